"""The people and end users of a tenant with what each keeps of their own: for the admins who look after them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from django.db.models import Q, QuerySet

from tenants.actor import Actor
from tenants.errors import NotFound
from tenants.models import Member, Subject
from tenants.subjects import Who

from .actions.pins import pins_of
from .availability import features_for
from .models import Feature, Override, Pin
from .resolve import serve_warm
from .served import Served

Kind = Literal["member", "external"]
Show = Literal["all", "changed", "stays"]
_WITH_CHANGES = Q(valid_to=None) & ~Q(operations=[])


@dataclass(frozen=True, slots=True)
class Own:
    """What somebody keeps of one feature: their override if they change anything, their pin, what they are served."""

    feature: Feature
    override: Override | None
    pin: Pin | None
    served: Served


@dataclass(frozen=True, slots=True)
class Person:
    """A member (with role, and whether they have left) or an end user of the tenant's software."""

    who: Who
    name: str
    email: str
    role: str
    left: bool
    own: Sequence[Own]


@dataclass(frozen=True, slots=True)
class People:
    """One page of people, how many there are of each kind and under each filter, and whether there are more."""

    people: Sequence[Person]
    members: int
    users: int
    counts: Mapping[str, int]
    more: bool


def people_of(actor: Actor, kind: Kind, *, show: Show = "all", search: str = "", after: int = 0, most: int) -> People:
    """People by name, with what they keep of their own. Raises Forbidden without the right to look after them."""
    actor.need("pin.others")
    actor.need("behavior.others")
    with actor.present():
        features = {feature.id: feature for feature in features_for(actor)}
        overrides = list(Override.objects.filter(_WITH_CHANGES).exclude(subject_id=actor.tenant_id))
        pins = [pin for feature in features.values() for pin in pins_of(feature) if pin.subject_id != actor.tenant_id]
        changed, stays = {row.subject_id for row in overrides}, {row.subject_id for row in pins}
        members, users = _members(changed | stays), _users(changed | stays)
        every = [person for person in (members if kind == "member" else users) if _fits(person, search)]
        wanted = {"all": None, "changed": changed, "stays": changed | stays}[show]
        found = [person for person in every if wanted is None or person.who.id in wanted]
        shown = [_with_own(person, actor, features, overrides, pins) for person in found[after : after + most]]
        if show == "stays":
            shown = [person for person in shown if any(stays_behind(own) for own in person.own)]
        counts = {"all": len(every), "changed": sum(person.who.id in changed for person in every)}
    return People(shown, sum(not one.left for one in members), len(users), counts, len(found) > after + most)


def person_named(actor: Actor, who: Who) -> Person:
    """One of them, with every feature that serves them. Raises NotFound."""
    actor.need("behavior.others")
    with actor.present():
        rows = _members({who.id}) if who.kind == "member" else _users({who.id})
        person = next((one for one in rows if one.who.id == who.id), None)
        if person is None:
            raise NotFound("There is no such subject.")
        features = {feature.id: feature for feature in features_for(actor).order_by("title")}
        overrides = list(Override.objects.filter(_WITH_CHANGES, subject_id=who.id))
        pins = [pin for feature in features.values() for pin in pins_of(feature).filter(subject_id=who.id)]
        return _with_own(person, actor, features, overrides, pins, every=True)


def stays_behind(own: Own) -> bool:
    """Whether somebody stays on something, by their own pin or held by their own changes."""
    held = own.served.choice.held
    return own.pin is not None or (held is not None and held.by == "user")


def _fits(person: Person, search: str) -> bool:
    return search.casefold() in f"{person.name} {person.email}".casefold()


def _members(keeping: Collection[UUID]) -> list[Person]:
    """Who is a member now, and those who have left and still keep something."""
    rows = Member.objects.select_related("user").filter(Q(removed_at=None) | Q(pk__in=keeping))
    return sorted((_member(row) for row in rows), key=lambda person: (person.left, person.name.casefold()))


def _member(row: Member) -> Person:
    who = Who(row.id, f"member:{row.id}", "member")
    return Person(who, str(row.user), row.user.email, row.role, row.removed_at is not None, ())


def _users(keeping: Collection[UUID]) -> list[Person]:
    rows: QuerySet[Subject] = Subject.objects.filter(pk__in=keeping, kind=Subject.Kind.EXTERNAL).order_by("key")
    return [Person(Who(row.id, row.key, "external"), row.key, "", "", False, ()) for row in rows]


def _with_own(
    person: Person, actor: Actor, features: Mapping[UUID, Feature], overrides: Sequence[Override],
    pins: Sequence[Pin], *, every: bool = False,
) -> Person:  # fmt: skip
    changes = {row.feature_id: row for row in overrides if row.subject_id == person.who.id}
    stays = {row.feature_id: row for row in pins if row.subject_id == person.who.id}
    own = []
    for feature_id, feature in features.items():
        if not every and feature_id not in changes and feature_id not in stays:
            continue
        try:
            served = serve_warm(feature, actor.tenant_id, person.who)
        except NotFound:  # it serves nothing yet
            continue
        own.append(Own(feature, changes.get(feature_id), stays.get(feature_id), served))
    return Person(person.who, person.name, person.email, person.role, person.left, tuple(own))
