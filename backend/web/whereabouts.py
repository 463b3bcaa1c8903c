"""Who is where in a rollout, and whom an act would move, as its pages show it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlencode

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from features.models import Rollout
from features.rollouts import WHERE, Place, Where, place_counts, places_of, places_under, steps_json, tenants_of

from .bars import Part, laid_out
from .parts import PlaceLine, Places
from .words import few

PAGE, MOST = 15, 2_000  # organisations listed at first; how many are put in order


@dataclass(frozen=True)
class Whereabouts:
    """The organisations of a rollout by name (the first MOST of them) and where each is, read once."""

    rollout: Rollout

    @cached_property
    def places(self) -> Sequence[Place]:
        return places_of(self.rollout, list(tenants_of(self.rollout).order_by("name", "id")[:MOST]))

    @cached_property
    def counts(self) -> Mapping[Where, int]:
        """How many are where, of all of them."""
        if len(self.places) == MOST:
            return place_counts(self.rollout)
        found = Counter(place.where for place in self.places)
        return {where: found[where] for where in WHERE}

    def under(self, rollout: Rollout) -> "Whereabouts":
        """The same organisations with the rollout in another step."""
        then = Whereabouts(rollout)
        then.__dict__["places"] = places_under(rollout, self.places)
        return then


def places_part(found: Whereabouts, asked: Mapping[str, str]) -> Places:
    """Who is where, as a bar and a list; within the operator's transaction."""
    rollout, counts = found.rollout, found.counts
    words = {"to": rollout.to, "before": rollout.before}
    closed = rollout.state in (Rollout.State.DONE, Rollout.State.ROLLED_BACK)
    labels = {
        "to": _("On version %(to)d") % words,
        "partly": _("Some of their people on version %(to)d") % words,
        "before": (_("On version %(before)d") if closed else _("On version %(before)d, their turn comes")) % words,
        "pinned": _("Chose to stay (pinned)"),
    }
    keys = {"to": "new", "partly": "partly", "before": "later", "pinned": "stay"}
    most = min(MOST, int(asked["show"])) if asked.get("show", "").isdecimal() else PAGE
    places = sorted(found.places, key=lambda place: WHERE.index(place.where))
    note = _("Whoever chose to stay is never moved.")
    if rollout.unit == Rollout.Unit.USER:
        note += " " + _("People move one by one; an organisation itself moves at the end.")
    return Places(
        total=sum(counts.values()),
        parts=laid_out(Part(keys[key], labels[key], counts[key]) for key in WHERE),
        lines=[PlaceLine(p.name, labels[p.where], p.version, p.pins) for p in places[:most]],
        note=note,
        more_url=f"?{urlencode({'show': most + 50})}#organisations" if len(places) > most else "",
    )


def whom_it_moves(found: Whereabouts, act: str) -> list[str]:
    """What going on early, or rolling back, would do, and to whom; within the operator's transaction."""
    rollout, now = found.rollout, found.counts
    if act == "rollback":
        inside = now["to"] + now["partly"]
        back = ngettext("%(n)s organisation goes", "%(n)s organisations go", inside) % {"n": f"{inside:,}"}
        told = _("%(back)s back to version %(before)d at once%(who)s.")
        words = {"back": back, "before": rollout.before, "who": _named(found, ("to", "partly"))}
        return [told % words, _("Whoever chose to stay is not moved."), _("The rollout ends; another can be started.")]
    later = copy(rollout)
    later.step += 1
    row = steps_json(later)[later.step]
    if row["included"]["percent"] >= 100:
        rest = now["before"] + now["partly"]
        told = ngettext("%(n)s more organisation takes", "%(n)s more organisations take", rest) % {"n": f"{rest:,}"}
        words = {"told": told, "n": rollout.to, "who": _named(found, ("before", "partly"))}
        return [
            _("%(told)s version %(n)d%(who)s.") % words,
            _("Version %(n)d becomes current and the rollout is done.") % words,
            _("Whoever chose to stay is not moved."),
        ]
    then = found.under(later)
    more = then.counts["to"] - now["to"]
    if rollout.unit == Rollout.Unit.USER and not row.get("tenants"):
        told = _("The part of people who are served version %(n)d grows to %(percent)g%%.")
        return [told % {"n": rollout.to, "percent": row["included"]["percent"]}, *_early(rollout)]
    told = ngettext("%(n)s more organisation takes", "%(n)s more organisations take", more) % {"n": f"{more:,}"}
    who = _newly(found, then)
    return [_("%(told)s version %(n)d%(who)s.") % {"told": told, "n": rollout.to, "who": who}, *_early(rollout)]


def _early(rollout: Rollout) -> list[str]:
    told = [_("Whoever chose to stay is not moved.")]
    row = rollout.steps[rollout.step]
    if row["hold"] or row["min_runs"]:
        told.insert(0, _("The hold and the sample of step %(n)d are skipped.") % {"n": rollout.step + 1})
    return told


def _named(found: Whereabouts, where: tuple[Where, ...]) -> str:
    return _colon([place.name for place in found.places if place.where in where])


def _newly(found: Whereabouts, then: Whereabouts) -> str:
    pairs = zip(found.places, then.places, strict=True)
    return _colon([after.name for before, after in pairs if after.where == "to" and before.where != "to"])


def _colon(names: list[str]) -> str:
    """`: Acme and Globex`; nothing for nobody."""
    return f": {few(names)}" if names else ""
