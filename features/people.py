"""The people and end users of a tenant with what each keeps of their own: for the admins who look after them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal
from uuid import UUID

from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from tenants.actor import Actor
from tenants.errors import NotFound
from tenants.models import Member, Subject
from tenants.subjects import Who

from .availability import features_for
from .models import Feature, Override, Pin
from .overview import Overview
from .reading import Known, read_known_of, rows_of
from .resolve import serve_each
from .served import Served

Kind = Literal["member", "external"]
Show = Literal["all", "changed", "stays"]
MOST_FOUND = 200  # users that a search finds
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
        pins = list(_pins(features).exclude(subject_id=actor.tenant_id))
        changed, stays = {row.subject_id for row in overrides}, {row.subject_id for row in pins}
        members, users = _members(changed | stays), _users(changed | stays)
        listed = members if kind == "member" else _users_like(search) if search and show == "all" else users
        every = [person for person in listed if _fits(person, search)]
        wanted = {"all": None, "changed": changed, "stays": changed | stays}[show]
        found = [person for person in every if wanted is None or person.who.id in wanted]
        page = found[after : after + most]
        known = _known_of(page, actor, features, (*overrides, *pins))
        whom = {person.who.id: person.who for person in page}
        served = serve_each(((one, whom[whose]) for (_, whose), one in known.items()), actor.tenant_id)
        shown = _with_own(page, served.values(), overrides, pins)
        if show == "stays":
            shown = [person for person in shown if any(stays_behind(own) for own in person.own)]
        counts = {"all": len(every), "changed": sum(person.who.id in changed for person in every)}
    return People(shown, sum(not one.left for one in members), len(users), counts, len(found) > after + most)


def person_named(actor: Actor, who: Who, *, among: Sequence[Person] = (), overview: Overview | None = None) -> Person:
    """One of them, with every feature that serves them. Raises NotFound.

    `among` are those whom the caller has read, `overview` is what was or will be read for the actor.
    """
    actor.need("behavior.others")
    with actor.present():
        person = _found(who, among) or _found(who, _members({who.id}) if who.kind == "member" else _users({who.id}))
        if person is None:
            raise NotFound("There is no such subject.")
        served = (overview or Overview(actor)).beside(who)
        overrides, pins = _kept_by(who)
        return _with_own([person], served, overrides, pins)[0]


def colleagues_of(actor: Actor) -> list[Person]:
    """Who is a member now, by name, without what they keep of their own. Raises Forbidden as `people_of` does."""
    actor.need("pin.others")
    with actor.present():
        return _members(())


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
    return _people_of(rows)


def _users_like(search: str) -> list[Person]:
    """Users by a part of their key, also those who keep nothing of their own: of them there may be any number."""
    rows = Subject.objects.filter(kind=Subject.Kind.EXTERNAL, key__icontains=search).order_by("key")[:MOST_FOUND]
    return _people_of(rows)


def _people_of(rows: Iterable[Subject]) -> list[Person]:
    return [Person(Who(row.id, row.key, "external"), row.key, "", "", False, ()) for row in rows]


def _pins(features: Mapping[UUID, Feature]) -> QuerySet[Pin]:
    """The pins in force of these features in the present tenant, its own included."""
    live = Q(valid_to=None) | Q(valid_to__gt=Now())
    return Pin.objects.filter(live, feature_id__in=features, valid_from__lte=Now())


_KEPT = [
    (Override, """SELECT * FROM features_override WHERE subject_id = %(subject)s AND valid_to IS NULL
        AND operations <> '[]'"""),
    (Pin, """SELECT * FROM features_pin WHERE subject_id = %(subject)s AND valid_from <= statement_timestamp()
        AND (valid_to IS NULL OR valid_to > statement_timestamp())"""),
]  # fmt: skip


def _kept_by(who: Who) -> list[list[Any]]:
    """What somebody of the present tenant changes now, and their pins in force, of whatever feature."""
    return rows_of(_KEPT, {"subject": who.id})


def _found(who: Who, people: Iterable[Person]) -> Person | None:
    return next((one for one in people if one.who.id == who.id), None)


def _known_of(
    people: Sequence[Person], actor: Actor, features: Mapping[UUID, Feature], kept: Iterable[Override | Pin]
) -> Mapping[tuple[UUID, UUID], Known]:
    """The features of which people keep something, with their stamps, by both ids; in one statement."""
    keeps = {(row.feature_id, row.subject_id) for row in kept}
    pairs = ((one, person.who.id) for one in features.values() for person in people)
    return read_known_of(actor.tenant_id, ((one, whose) for one, whose in pairs if (one.id, whose) in keeps))


def _with_own(
    people: Sequence[Person], each: Iterable[Served], overrides: Sequence[Override], pins: Sequence[Pin]
) -> list[Person]:
    """People with what they keep of their own of each feature that they are served."""
    changes = {(row.feature_id, row.subject_id): row for row in overrides}
    stays = {(row.feature_id, row.subject_id): row for row in pins}
    own = {person.who.id: list[Own]() for person in people}
    for served in each:
        place = (served.feature.id, served.who.id)
        own[served.who.id].append(Own(served.feature, changes.get(place), stays.get(place), served))
    return [replace(person, own=tuple(own[person.who.id])) for person in people]
