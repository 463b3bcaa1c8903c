"""What goes out to addresses and with keys of the organisation's own: provider keys, webhooks, their messages."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ProviderKeyLine:
    """A provider key without its secret. `state` is live, revoked or unreadable; `used`: it is the one in use."""

    id: str
    provider: str
    name: str
    base_url: str
    last_four: str
    fingerprint: str
    state: str
    used: bool
    created: datetime
    by: str
    refused: datetime | None = None


@dataclass(frozen=True, slots=True)
class WebhookLine:
    """A webhook. `why` says in words why it is off, empty for one that is on."""

    id: str
    url: str
    description: str
    events: tuple[str, ...]
    created: datetime
    by: str
    why: str = ""
    failing: datetime | None = None
    old_until: datetime | None = None

    @property
    def on(self) -> bool:
        return not self.why


@dataclass(frozen=True, slots=True)
class DeliveryLine:
    """A message to a webhook, and what became of it. `state` is waiting, delivered or failed."""

    id: str
    event: str
    at: datetime
    state: str
    attempts: int
    told: str
    next: datetime | None = None
