"""Keys as pages show them, in the two places where they stand: under oneself, and under the organisation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy

from tenants.actions import create_key, keys_seen_by, revoke_key
from tenants.actor import Actor
from tenants.models import ApiKey, OperatorKey
from tenants.operators import create_operator_key, keys_of_operator, oneself, revoke_operator_key
from tenants.roles import Scope
from tenants.rotation import rotate_key, rotate_operator_key

from .parts import KeyLine, ScopeBox
from .reading import page_of

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


OPERATORS_WORDS = {
    Scope.READ: (
        gettext_lazy("Read"),
        gettext_lazy("features, impacts, rollouts, organisations, usage; what support may look at"),
    ),
    Scope.RUN: (gettext_lazy("Run"), gettext_lazy("try versions on the vendor's own samples")),
    Scope.ADMIN: (
        gettext_lazy("Administer"),
        gettext_lazy("all the rest that your roles may: publish, roll out, withdraw, organisations, models"),
    ),
}
Key = ApiKey | OperatorKey


@dataclass(frozen=True, slots=True)
class Place:
    """Where keys stand: of which kind one makes there, and what they can be for."""

    here: str
    kind: str
    scopes: Sequence[Scope]
    words: Mapping[Scope, tuple[Any, Any]]

    def make(self, name: str, scopes: Sequence[str], ends: datetime | None, actor: Actor) -> tuple[Any, str]:
        """Make a key. Returns the row and the text, shown once. Raises Invalid and Forbidden."""
        return create_key(kind=self.kind, name=name, scopes=scopes, expires_at=ends, by=actor)

    def rotate(self, row: Any, until: datetime | None, actor: Actor) -> tuple[Any, str]:
        """Make a key like another, which ends then, or in a day. Raises Invalid, Conflict, Forbidden and NotFound."""
        return rotate_key(row, until=until, by=actor)

    def revoke(self, row: Any, actor: Actor) -> None:
        """End a key at once."""
        revoke_key(row, by=actor)

    def rows(self, actor: Actor) -> QuerySet[Any]:
        """The keys that are shown here to somebody."""
        keys = keys_seen_by(actor).select_related("member__user")
        return keys.filter(member_id=actor.acting_for().id) if self.kind == ApiKey.Kind.MEMBER else keys

    def find(self, actor: Actor, key_id: UUID) -> Any:
        """One of them, or None."""
        with actor.present():
            return self.rows(actor).filter(pk=key_id).first()

    def whose(self, row: Any, actor: Actor) -> tuple[str, bool]:
        """Who acts by a key, and whether whoever looks may rotate it."""
        own = row.member_id == actor.acting_for().id
        return str(row.member.user) if row.member_id and row.member else "", own or row.member_id is None

    def limits(self, row: Any) -> tuple[int | None, int | None]:
        """A key's own limits: requests per minute and runs in flight."""
        return row.requests_per_minute, row.concurrent_runs

    def line(self, row: Any, actor: Actor) -> KeyLine:
        """A key as a line of the page."""
        (holder, may), (requests, runs) = self.whose(row, actor), self.limits(row)
        return KeyLine(
            id=str(row.id),
            name=row.name,
            holder=holder,
            scopes=[str(WORDS[Scope(scope)][0]) for scope in row.scopes],
            created=row.created_at,
            expires=row.expires_at,
            used=row.last_used_at,
            state=_state(row),
            may_rotate=row.replaced_by is None and may,
            requests=requests,
            runs=runs,
        )

    def context(self, actor: Actor, before: UUID | None = None) -> dict[str, Any]:
        """What the page is drawn from: the newest keys, or those before one."""
        with actor.present():
            found, older = page_of(self.rows(actor), before, MOST)
            lines = [self.line(row, actor) for row in found]
        return {
            "older": older,
            "later": before is not None,
            "here": self.here,
            "tab": "keys",
            "own": self.kind != ApiKey.Kind.SERVICE,
            "lines": [line for line in lines if line.live],
            "ended": [line for line in lines if not line.live],
            "boxes": [ScopeBox(scope.value, *map(str, self.words[scope])) for scope in self.scopes],
            "lasts": [(key, days) for key, days in LASTS.items()],
        }


class OperatorsPlace(Place):
    """Where the vendor's staff have theirs: everybody their own alone."""

    def make(self, name: str, scopes: Sequence[str], ends: datetime | None, actor: Actor) -> tuple[Any, str]:
        return create_operator_key(oneself(actor), name=name, scopes=scopes, expires_at=ends, by=actor)

    def rotate(self, row: Any, until: datetime | None, actor: Actor) -> tuple[Any, str]:
        return rotate_operator_key(row, until=until, by=actor)

    def revoke(self, row: Any, actor: Actor) -> None:
        revoke_operator_key(row, by=actor)

    def rows(self, actor: Actor) -> QuerySet[Any]:
        actor.need("operator_key.own")
        return keys_of_operator(actor)

    def whose(self, row: Any, actor: Actor) -> tuple[str, bool]:
        return actor.name, True

    def limits(self, row: Any) -> tuple[int | None, int | None]:
        return None, None


OWN = Place("me", ApiKey.Kind.MEMBER, tuple(Scope), WORDS)
ORGANISATION = Place("keys", ApiKey.Kind.SERVICE, (Scope.READ, Scope.RUN, Scope.CUSTOMISE), WORDS)
OPERATORS = OperatorsPlace("me", "operator", tuple(OPERATORS_WORDS), OPERATORS_WORDS)


def own_place(actor: Actor) -> Place:
    """Where somebody's own keys stand."""
    return OWN if actor.tenant is not None else OPERATORS


def _state(row: Key) -> str:
    if row.revoked_at is not None:
        return "revoked"
    if row.expires_at is not None and row.expires_at <= timezone.now():
        return "ended"
    return "rotated" if row.replaced_by is not None else "live"
