"""Changes before they are passed on: the organisation's to one person, or one's to a colleague, and what that does."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.http import QueryDict
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from features.actions.effects import Effect
from features.actions.people import Left, leave_to, what_to_leave
from features.actions.promote import HandedOut, hand_out
from features.contents import titles_of
from features.models import Feature
from features.people import Person
from features.served import Served
from tenants.actor import Actor
from tenants.errors import Conflict, Invalid, NotFound
from tenants.subjects import Who

from .boxes import problem_words
from .differing import differences_of
from .parts import Choice, Passing, Reached
from .words import field_title


@dataclass(frozen=True, slots=True)
class Hand:
    """Which of the organisation's changes go to somebody: all if no fields are named; whether it keeps them too."""

    fields: Sequence[str] | None
    keep: bool
    replace: bool


def read_hand(asked: QueryDict) -> Hand:
    """Read the choices from an address or a form; none yet are all of them, kept."""
    fields = asked.getlist("field") if asked.get("chosen") else None
    return Hand(fields, asked.get("keep") != "no", asked.get("replace") == "yes")


def do_hand(feature: Feature, person: Person, hand: Hand, by: Actor, *, dry_run: bool = False) -> HandedOut:
    """Hand them out. Raises Invalid, Conflict and NotFound, as `hand_out`."""
    if hand.fields is not None and not hand.fields:
        raise Invalid(_("Choose at least one."))
    return hand_out(
        feature, fields=hand.fields, subjects=[person.who], keep_ours=hand.keep, replace_theirs=hand.replace, by=by,
        dry_run=dry_run,
    )  # fmt: skip


def handing(itself: Served, person: Person, hand: Hand, by: Actor) -> Passing | None:
    """What handing out would do of a feature as the organisation is served it; None where it has changed nothing."""
    feature = itself.feature
    with by.present():
        titles = titles_of(feature, itself.choice.base)
    ours = [operation.field for operation in itself.tenant.operations] if itself.tenant else []
    if not ours:
        return None
    chosen = ours if hand.fields is None else hand.fields
    tenant, effects, problem, taken = by.in_tenant().name, tuple[Effect, ...](), "", False
    try:
        effects = do_hand(feature, person, hand, by, dry_run=True).effects
    except Conflict as refused:
        problem, taken = refused.detail, True
    except (Invalid, NotFound) as refused:
        problem = " ".join(problem_words(refused.errors, "", titles)) or refused.detail
    called = [person.name, _("Everybody else at %(tenant)s") % {"tenant": tenant}]
    words = {"tenant": tenant, "name": person.name, "feature": feature.title, "n": len(chosen)}
    return Passing(
        act="hand",
        title=_("Hand %(tenant)s's changes of %(feature)s to %(name)s?") % words,
        text=_("They become changes of %(name)s's own, which stay when %(tenant)s changes or removes its own.") % words,
        verb=ngettext("Hand over %(n)d change", "Hand over %(n)d changes", len(chosen)) % words,
        asked=[("feature", feature.key), ("confirm", "hand"), ("chosen", "yes")],
        options=[Choice(field, field_title(field, titles), field in chosen) for field in ours],
        keep=hand.keep, replace=hand.replace, taken=taken or hand.replace, problem=problem,
        reached=[
            Reached(who, differences_of(effect.changes, effect.hidden, titles))
            for who, effect in zip(called, effects, strict=False)
        ],
    )  # fmt: skip


def chosen_features(asked: QueryDict, person: Person) -> list[Feature]:
    """Of which features what somebody has goes to a colleague: of all, until some are chosen."""
    theirs = [own.feature for own in person.own if own.override is not None or own.pin is not None]
    return [one for one in theirs if one.key in asked.getlist("field")] if asked.get("chosen") else theirs


def do_leave(person: Person, to: Who, asked: QueryDict, by: Actor, *, dry_run: bool = False) -> tuple[Left, ...]:
    """Copy it. Raises Invalid, Conflict and NotFound, as `leave_to`."""
    features = chosen_features(asked, person) if asked.get("chosen") else None
    if features == []:
        raise Invalid(_("Choose at least one."))
    return leave_to(person.who, to, features=features, replace=asked.get("replace") == "yes", by=by, dry_run=dry_run)


def leaving(person: Person, to: Person, asked: QueryDict, by: Actor) -> Passing:
    """What copying what somebody has to a colleague would do."""
    replace, chosen = asked.get("replace") == "yes", chosen_features(asked, person)
    left, later = tuple[Left, ...](), list[Feature]()
    problem, taken = "", False
    try:
        if len(chosen) > 1:  # what that does is shown of each by itself, as it is found out
            later = what_to_leave(person.who, to.who, features=chosen, replace=replace, by=by)
        else:
            left = do_leave(person, to.who, asked, by, dry_run=True)
    except Conflict as refused:
        problem, taken = refused.detail.replace(to.who.key, to.name), True
    except (Invalid, NotFound) as refused:
        problem = refused.detail
    words = {"name": person.name, "other": to.name}
    return Passing(
        act="leave",
        title=_("Copy what %(name)s has to %(other)s?") % words,
        text=_("%(name)s keeps everything. %(other)s can go back to what they had under Make it mine, Undo a save.")
        % words,
        verb=_("Copy it to %(other)s") % words,
        asked=[("confirm", "leave"), ("to", to.who.key), ("chosen", "yes")],
        options=[
            Choice(own.feature.key, own.feature.title, own.feature in chosen)
            for own in person.own
            if own.override is not None or own.pin is not None
        ],
        replace=replace, taken=taken or replace, problem=problem,
        reached=[_reached(one, to, by) for one in left if one.effect is not None],
        later=[(_title(to, one), _alone(to, one, replace)) for one in later],
    )  # fmt: skip


def _alone(to: Person, feature: Feature, replace: bool) -> str:
    """The query of the address that says of one feature what leaving it would do."""
    asked = {"confirm": "leave", "to": to.who.key, "chosen": "yes", "field": feature.key}
    return urlencode({**asked, "replace": "yes"} if replace else asked)


def _title(to: Person, feature: Feature) -> str:
    return _("%(other)s, %(feature)s") % {"other": to.name, "feature": feature.title}


def _reached(left: Left, to: Person, by: Actor) -> Reached:
    assert left.effect is not None
    with by.present():
        titles = titles_of(left.feature, left.effect.after.base)
    return Reached(_title(to, left.feature), differences_of(left.effect.changes, left.effect.hidden, titles))
