"""Who has a feature, how long its outputs are reused and when it ends: as it is, and what a change would do."""

import hashlib
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from features.actions.availability import availability_of, retire, set_available, set_caching, unretire
from features.models import Feature
from features.runs.reliance import Reliance, who_relies
from tenants.actor import Actor
from tenants.errors import AppError, Conflict, Malformed
from tenants.workshop import customers

from .availability_forms import AvailabilityForm, CachingForm, GoOnForm, RetireForm
from .parts import Offer, OfferChange
from .rolling import span
from .templatetags.b import clock
from .words import few

LATELY = timedelta(days=30)  # who ran it since then uses it
FORMS: Mapping[str, Any] = {
    "availability": AvailabilityForm, "caching": CachingForm, "retire": RetireForm, "go-on": GoOnForm,
}  # fmt: skip


def offer_of(feature: Feature, actor: Actor) -> Offer:
    """How a feature is offered now, each in a sentence; with the organisations on its list, slug and name."""
    told = availability_of(feature, actor)
    with actor.present():
        everybody = customers().count()
        listed = list(customers().filter(slug__in=told["tenants"]).order_by("name").values_list("slug", "name"))
    ends = feature.retires_at
    return Offer(
        listed_only=feature.listed_only,
        listed=listed,
        who=_who(feature.listed_only, [name for _slug, name in listed], everybody),
        caching=_lifetime(feature.cache_seconds),
        ends=ends,
        ended=ends is not None and ends <= timezone.now(),
        message=feature.retiring,
    )


def rehearsed(
    act: str, feature: Feature, change: dict[str, Any], typed: Any, actor: Actor, refused: AppError | None = None
) -> OfferChange:
    """What a change would do: it is carried out and taken back. `typed` goes along. Raises as the actions do."""
    told = _carry_out(act, feature, change, actor, dry_run=True)
    title, verb, effects = _WORDS[act](feature, told, actor)
    hidden = [(name, value) for name, values in typed.lists() if name in FORMS[act].base_fields for value in values]
    return OfferChange(
        act=act, title=title, verb=verb, effects=effects, typed=hidden, seen=_print_of(told),
        ends=act == "retire", problem=refused.detail if refused else "",
    )  # fmt: skip


def carried_out(act: str, feature: Feature, change: dict[str, Any], seen: str, actor: Actor) -> None:
    """Do what was said before, in one transaction. Raises Conflict where it would come to something else by now."""
    with actor.present():
        if _print_of(_carry_out(act, feature, change, actor, dry_run=False)) != seen:
            raise Conflict(_("Somebody has changed this feature meanwhile. This is what it would do now."))


def _carry_out(act: str, feature: Feature, change: dict[str, Any], by: Actor, *, dry_run: bool) -> dict[str, Any]:
    match act:
        case "availability":
            before = availability_of(feature, by)
            return {**set_available(feature, **change, by=by, dry_run=dry_run), "had": before}
        case "caching":
            return set_caching(feature, **change, by=by, dry_run=dry_run)
        case "retire":
            return retire(feature, **change, by=by, dry_run=dry_run)
        case "go-on":
            return unretire(feature, by=by, dry_run=dry_run)
    raise Malformed("Say what to do: availability, caching, retire or go-on.")


def _print_of(told: Mapping[str, Any]) -> str:
    """What a change came to, so that twice can be compared: not whether it was a rehearsal."""
    facts = {name: value for name, value in told.items() if name != "dry_run"}
    return hashlib.sha256(repr(sorted(facts.items())).encode()).hexdigest()[:24]


def _who(listed_only: bool, names: Collection[str], everybody: int) -> str:
    if not listed_only:
        told = ngettext("Every organisation has it: %(n)s.", "Every organisation has it: %(n)s of them.", everybody)
        return told % {"n": f"{everybody:,}"}
    if not names:
        return _("No organisation has it: it is served to listed ones alone, and none is listed.")
    words = {"who": few(list(names)), "all": f"{everybody:,}", "n": len(names)}
    return _("%(n)d of %(all)s organisations have it: %(who)s.") % words


def _lifetime(seconds: int | None) -> str:
    if seconds is None:
        usual = settings.CACHE_SECONDS
        told = _("An answer to the same input is given again for %(time)s, as is usual here.")
        return told % {"time": _time(usual)} if usual else _("Each run asks the model, as is usual here.")
    if seconds == 0:
        return _("Each run asks the model: no answer is given again.")
    return _("An answer to the same input is given again for %(time)s.") % {"time": _time(seconds)}


def _time(seconds: int) -> str:
    return _("%(n)d s") % {"n": seconds} if seconds < 60 else span(timedelta(seconds=seconds))


Words = tuple[str, str, list[str]]


def _offered(feature: Feature, told: Mapping[str, Any], actor: Actor) -> Words:
    """Who gains and who loses it, and what they have of it."""
    had = told["had"]
    title = (
        _("Let every organisation have %(feature)s?") if not told["listed_only"] else _("Change who has %(feature)s?")
    )
    before, after = _served(had), _served(told)
    effects = [_("It is served to %(before)s now, and to %(after)s then.") % {
        "before": _count(told["served_before"]), "after": _count(told["served"])
    }]  # fmt: skip
    if before == after:
        effects = [_("Nobody gains or loses it.")]
    gained = None if after is None and before is not None else sorted((after or set()) - (before or set()))
    if after is None and before is not None:
        effects.append(_("The organisations that do not have it get its current version from their next request on."))
    elif gained and before is not None:
        effects.append(_("%(who)s: from the next request on they have its current version.") % {"who": few(gained)})
    effects += _losses(feature, before, after, actor)
    return title % {"feature": feature.title}, _("Change who has it"), effects


def _served(told: Mapping[str, Any]) -> set[str] | None:
    """The slugs that a feature is served to; None is everybody."""
    return set(told["tenants"]) if told["listed_only"] else None


def _losses(feature: Feature, before: set[str] | None, after: set[str] | None, actor: Actor) -> list[str]:
    if after is None or (before is not None and before <= after):
        return []
    relies = [
        one for one in _relies(feature, actor) if one.slug not in after and (before is None or one.slug in before)
    ]
    gone = _("To who does not have it, it is as if there were no such feature, from the next request on.")
    kept = _("What they changed of it is kept, and counts again when they have it again.")
    if not relies:
        return [gone, _("None of those who lose it uses it: no run in the last 30 days, nothing of their own in it.")]
    return [gone, _("Who loses it and uses it: %(who)s.") % {"who": _named(relies)}, kept]


def _cached(feature: Feature, told: Mapping[str, Any], actor: Actor) -> Words:
    title = _("Change how long answers of %(feature)s are given again?") % {"feature": feature.title}
    effects = [_lifetime(told["seconds"])]
    if told["effective"]:
        effects.append(_("Equal are runs of one organisation with the same behavior, models and input."))
        effects.append(_("It counts at once, for answers that there are already too."))
    else:
        effects.append(_("Every run is paid for, equal ones too, from the next one on."))
    return title, _("Change it"), effects


def _ending(feature: Feature, told: Mapping[str, Any], actor: Actor) -> Words:
    at, message = told["retires"]["at"], told["retires"]["message"]
    title = _("Retire %(feature)s?") % {"feature": feature.title}
    effects = [
        _("From %(at)s on nothing of it runs or is saved, for anybody. Runs taken in before are carried out.")
        % {"at": clock(at)},
        _("Everything that was run and changed stays to be read."),
        _("Everybody who has it is told from now on, with the feature: “%(message)s”") % {"message": message}
        if message
        else _("Everybody who has it is told from now on, with the feature."),
    ]
    relies = _relies(feature, actor)
    if relies:
        effects.append(_("Who uses it: %(who)s.") % {"who": _named(relies)})
    else:
        effects.append(_("Nobody uses it: no run in the last 30 days, and nobody keeps anything of their own in it."))
    effects.append(_("Until then, and after, you can let it go on."))
    return title, _("Retire it"), effects


def _going_on(feature: Feature, told: Mapping[str, Any], actor: Actor) -> Words:
    title = _("Let %(feature)s go on?") % {"feature": feature.title}
    effects = [_("It has no end any more, and nobody is told of one.")]
    if feature.retires_at and feature.retires_at <= timezone.now():
        effects.append(_("It runs again, for everybody who has it, from the next request on."))
    return title, _("Let it go on"), effects


_WORDS = {"availability": _offered, "caching": _cached, "retire": _ending, "go-on": _going_on}


def _relies(feature: Feature, actor: Actor) -> list[Reliance]:
    return who_relies(feature, since=timezone.now() - LATELY, by=actor)


def _count(n: int) -> str:
    return ngettext("%(n)s organisation", "%(n)s organisations", n) % {"n": f"{n:,}"}


def _named(relies: list[Reliance]) -> str:
    """ "Acme (12 runs in 30 days, 2 changes or stays) and Globex (…)"."""
    told = []
    for one in relies:
        runs = ngettext("%(n)s run in 30 days", "%(n)s runs in 30 days", one.runs) % {"n": f"{one.runs:,}"}
        kept = ngettext("%(n)s change or stay", "%(n)s changes and stays", one.kept) % {"n": f"{one.kept:,}"}
        told.append(f"{one.name} ({', '.join([runs, kept] if one.kept else [runs])})")
    return few(told)
