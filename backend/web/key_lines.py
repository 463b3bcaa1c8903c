"""Keys as pages show them, in the two places where they stand: under oneself, and under the organisation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy

from tenants.actions import keys_seen_by
from tenants.actor import Actor
from tenants.models import ApiKey
from tenants.people import names_of
from tenants.roles import Scope

from .parts import KeyLine, ScopeBox

MOST = 100  # keys that a page shows
LASTS: Mapping[str, int] = {"90": 90, "30": 30, "365": 365, "never": 0}  # days
WORDS = {
    Scope.READ: (
        gettext_lazy("Read"),
        gettext_lazy("features, runs, people, usage; a key with nothing else changes nothing"),
    ),
    Scope.RUN: (gettext_lazy("Run"), gettext_lazy("run features, cancel, rate, batches, previews")),
    Scope.CUSTOMISE: (gettext_lazy("Customise"), gettext_lazy("change behavior, stay on versions, put back")),
    Scope.ADMIN: (
        gettext_lazy("Administer"),
        gettext_lazy("all the rest that the role may: people, keys, budgets, policy"),
    ),
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where keys stand: of which kind one makes there, and what they can be for."""

    here: str
    kind: str
    scopes: Sequence[Scope]

    def rows(self, actor: Actor) -> QuerySet[ApiKey]:
        """The keys that are shown here to somebody."""
        keys = keys_seen_by(actor).select_related("member__user")
        return keys.filter(member_id=actor.acting_for().id) if self.kind == ApiKey.Kind.MEMBER else keys

    def find(self, actor: Actor, key_id: UUID) -> ApiKey | None:
        """One of them."""
        with actor.present():
            return self.rows(actor).filter(pk=key_id).first()

    def line(self, row: ApiKey, actor: Actor, names: Mapping[str, str] | None = None) -> KeyLine:
        """A key as a line of the page."""
        own = row.member_id == actor.acting_for().id
        return KeyLine(
            id=str(row.id),
            name=row.name,
            holder=str(row.member.user) if row.member_id and row.member else "",
            maker=(names or {}).get(row.created_by, ""),
            scopes=[str(WORDS[Scope(scope)][0]) for scope in row.scopes],
            created=row.created_at,
            expires=row.expires_at,
            used=row.last_used_at,
            state=_state(row),
            may_rotate=row.replaced_by is None and (own or row.member_id is None),
            requests=row.requests_per_minute,
            runs=row.concurrent_runs,
        )

    def context(self, actor: Actor) -> dict[str, Any]:
        """What the page is drawn from."""
        with actor.present():
            rows = list(self.rows(actor)[:MOST])
            names = names_of([row.created_by for row in rows], actor)
            lines = [self.line(row, actor, names) for row in rows]
        return {
            "here": self.here,
            "tab": "keys",
            "own": self.kind == ApiKey.Kind.MEMBER,
            "lines": [line for line in lines if line.live],
            "ended": [line for line in lines if not line.live],
            "boxes": [ScopeBox(scope.value, str(WORDS[scope][0]), str(WORDS[scope][1])) for scope in self.scopes],
            "lasts": [(key, days) for key, days in LASTS.items()],
        }


OWN = Place("me", ApiKey.Kind.MEMBER, tuple(Scope))
ORGANISATION = Place("keys", ApiKey.Kind.SERVICE, (Scope.READ, Scope.RUN, Scope.CUSTOMISE))


def _state(row: ApiKey) -> str:
    if row.revoked_at is not None:
        return "revoked"
    if row.expires_at is not None and row.expires_at <= timezone.now():
        return "ended"
    return "rotated" if row.replaced_by is not None else "live"
