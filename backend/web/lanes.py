"""A history as a picture: what was served in lanes over time, each stretch as wide as it lasted, never too thin to hit.

The places of events are the anchors of all lanes: between two of them there are at least LEAST columns, so that many
saves in one hour can still be told apart, and the rest of the room is shared out by time.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from features.engine import Choice
from features.runs.listing import Counted
from features.timeline import Happening

from .moments import Past
from .parts import Bar, Lane, Picture, Segment, Tick
from .templatetags.b import clock

COLUMNS, LEAST = 112, 5
SPANS = {"week": timedelta(days=7), "month": timedelta(days=28), "all": None}
TICKS = 4
HIGH = 28


def began(past: Past, span: str) -> datetime:
    """Where the picture begins: so long ago, but not before the first thing that happened, nor before what is read."""
    events, length = past.history.happenings, SPANS.get(span, SPANS["month"])
    now = past.now.at
    first = events[-1].at if events else now - timedelta(days=1)
    return first if length is None else max(first, now - length)


def picture(past: Past, *, span: str, chosen: datetime | None, counted: Sequence[Counted] = ()) -> Picture:
    """Draw what happened since `began` until now."""
    start, now = began(past, span), past.now.at
    events = [event for event in reversed(past.history.happenings) if event.at > start]
    opening = next((event for event in past.history.happenings if event.at <= start), None)
    scale = _Scale.over(start, now, [event.at for event in events])
    walk = _walk(start, opening, events, past.now.choice, past.now.digest)
    place = None if chosen is None or not start <= chosen <= now else scale.place(chosen)
    return Picture(
        columns=COLUMNS,
        title=_title(start, now),
        behaviors=len({step.digest for step in walk if step.digest}),
        lanes=_lanes(past, walk, scale, chosen),
        ticks=_ticks(scale, start, now),
        spans=[(key, str(words), key == (span if span in SPANS else "month")) for key, words in _span_words()],
        bars=_bars(counted, scale, start, now),
        until=place,
        rest=COLUMNS - place if place is not None else 0,
        flag=clock(chosen) if chosen and place is not None else "",
    )


@dataclass(frozen=True, slots=True)
class _Step:
    """What was served from a moment on."""

    at: datetime
    choice: Choice | None
    digest: str | None


def _walk(
    start: datetime, opening: Happening | None, events: Sequence[Happening], choice: Choice, digest: str
) -> list[_Step]:
    """The picture's steps, oldest first. Where nothing happened, all of it is as it is now."""
    if opening is not None:
        first = _Step(start if opening.at < start else opening.at, opening.chose, opening.after)
    elif events:
        first = _Step(start, events[0].left, events[0].before)
    else:
        first = _Step(start, choice, digest)
    return [first, *(_Step(event.at, event.chose, event.after) for event in events)]


@dataclass(frozen=True, slots=True)
class _Scale:
    """Moments → columns, straight between the anchors."""

    moments: Sequence[datetime]
    places: Sequence[int]

    @classmethod
    def over(cls, start: datetime, now: datetime, moments: Iterable[datetime]) -> "_Scale":
        anchors = sorted({start, *moments, now})
        least = min(LEAST, COLUMNS // max(len(anchors) - 1, 1))
        free, total = COLUMNS - least * (len(anchors) - 1), (now - start).total_seconds() or 1.0
        places = [round(free * (at - start).total_seconds() / total) + least * i for i, at in enumerate(anchors)]
        return cls(anchors, places)

    def place(self, at: datetime) -> int:
        """The column that a moment stands at."""
        after = min(max(bisect_right(self.moments, at), 1), len(self.moments) - 1)
        left, right = self.moments[after - 1], self.moments[after]
        length = (right - left).total_seconds()
        share = (at - left).total_seconds() / length if length else 0.0
        return round(self.places[after - 1] + min(max(share, 0.0), 1.0) * (self.places[after] - self.places[after - 1]))


def _lanes(past: Past, walk: Sequence[_Step], scale: _Scale, chosen: datetime | None) -> list[Lane]:
    tenant = past.actor.in_tenant().name
    ours = past.layer == "tenant"
    served = _("%(tenant)s was served") % {"tenant": tenant} if ours else _("You were served")
    lanes = [
        Lane("served", served, _cut(walk, scale, lambda step: step.digest, _served(past, walk, chosen))),
        Lane("base", _("Vendor"), _cut(walk, scale, _followed, _numbered(_("Version %(n)d"), "v%d", "package"))),
        Lane("tenant", _("Organisation") if ours else _("Your organisation"),
             _cut(walk, scale, lambda step: step.choice and step.choice.tenant,
                  _numbered(_("Revision %(n)d"), "%d", "building"))),
    ]  # fmt: skip
    if not ours:
        user = _cut(walk, scale, lambda step: step.choice and step.choice.user,
                    _numbered(_("Revision %(n)d"), "%d", "user"))  # fmt: skip
        lanes.append(Lane("user", _("Yours"), user))
    return [*lanes, Lane("stay", _("Pins and holds"), _cut(walk, scale, _stays, _stay_words))]


def _cut(
    walk: Sequence[_Step], scale: _Scale, key: Callable[[_Step], Any], draw: Callable[[_Step, int, bool], Segment]
) -> list[Segment]:
    """One lane: steps that are alike in what the lane shows are one segment; where there is nothing, an empty one."""
    found: list[tuple[_Step, int]] = []
    for step in walk:
        if not found or key(step) != key(found[-1][0]):
            found.append((step, scale.place(step.at)))
    segments = []
    for (step, left), (_next, right) in pairwise([*found, (walk[-1], COLUMNS)]):
        if right > left:
            last = right == COLUMNS
            segments.append(draw(step, right - left, last) if key(step) else Segment(right - left))
    return segments


def _served(past: Past, walk: Sequence[_Step], chosen: datetime | None) -> Callable[[_Step, int, bool], Segment]:
    def draw(step: _Step, span: int, last: bool) -> Segment:
        letter = past.letters.get(step.digest or "", "")
        inside = chosen is not None and _within(walk, step, chosen)
        words = _("%(letter)s, now") % {"letter": letter} if last else letter
        choice = step.choice
        return Segment(
            span, words, letter, letter, step.at,
            base=choice.base if choice else None, tenant=choice.tenant if choice else None,
            user=choice.user if choice else None, state="chosen" if inside else "now" if last else "",
        )  # fmt: skip

    return draw


def _within(walk: Sequence[_Step], step: _Step, chosen: datetime) -> bool:
    """Whether a moment lies in the stretch that a step begins."""
    later = next((other.at for other in walk if other.at > step.at and other.digest != step.digest), None)
    return step.at <= chosen and (later is None or chosen < later)


def _numbered(words: str, short: str, icon: str) -> Callable[[_Step, int, bool], Segment]:
    def draw(step: _Step, span: int, _last: bool) -> Segment:
        choice = step.choice
        number = {"package": _followed(step), "building": choice and choice.tenant, "user": choice and choice.user}[
            icon
        ]
        return Segment(span, words % {"n": number}, short % number, at=step.at, icon=icon)

    return draw


def _followed(step: _Step) -> int | None:
    """The version that the vendor had for the subject, whether or not they stayed on another."""
    return step.choice.wanted or step.choice.base if step.choice else None


def _stays(step: _Step) -> tuple[Any, ...] | None:
    choice = step.choice
    if choice is None:
        return None
    if choice.pin is not None:
        return ("pin", choice.pin.kind, choice.pin.layer, choice.pin.base, choice.withdrawn)
    if choice.held is not None:
        return ("held", choice.base, choice.held.by)
    return None


def _stay_words(step: _Step, span: int, last: bool) -> Segment:
    choice = step.choice
    assert choice is not None  # only drawn where somebody stays
    words = {"n": choice.base}
    if choice.pin is None:
        told = _("Held on v%(n)d") if last else _("Was held on v%(n)d")
        icon = "git-merge"
    else:
        put_back = choice.pin.kind == "snapshot"
        icon = "pin"
        told = _("Put back") if put_back else _("Stays on v%(n)d") if last else _("Stayed on v%(n)d")
    return Segment(span, told % words, f"v{choice.base}", at=step.at, icon=icon)


def _title(start: datetime, now: datetime) -> str:
    if (now - start) < timedelta(days=1):
        return _("Since %(start)s") % {"start": clock(start)}
    days = [date_format(timezone.localtime(moment), "j F") for moment in (start, now)]
    return _("%(start)s to %(end)s") % {"start": days[0], "end": days[1]}


def _ticks(scale: _Scale, start: datetime, now: datetime) -> list[Tick]:
    length = now - start
    pattern = "H:i" if length < timedelta(days=2) else "j M"
    moments = [start + length * i / TICKS for i in range(TICKS)]
    places = [scale.place(moment) for moment in moments]
    found = [
        Tick(right - left, date_format(timezone.localtime(moment), pattern) if right - left >= 10 else "")
        for moment, (left, right) in zip(moments, pairwise([*places, COLUMNS]), strict=True)
        if right > left
    ]
    told = [tick.words for tick in found]
    return [
        Tick(one.span, "" if place and one.words == told[place - 1] else one.words) for place, one in enumerate(found)
    ]


def _span_words() -> list[tuple[str, str]]:
    return [("week", _("Week")), ("month", _("4 weeks")), ("all", _("All"))]


def _bars(counted: Sequence[Counted], scale: _Scale, start: datetime, now: datetime) -> list[Bar]:
    most = max((one.runs for one in counted), default=0)
    bars = []
    for one in counted:
        left, right = scale.place(max(one.since, start)), scale.place(min(one.until, now))
        words = ngettext("%(n)d run", "%(n)d runs", one.runs) % {"n": one.runs}
        if one.bad:
            words += ", " + ngettext("%(n)d not right", "%(n)d not right", one.bad) % {"n": one.bad}
        gap = 0.3 if right - left > 1 else 0.1
        bars.append(Bar(left + gap, max(right - left - 2 * gap, 0.5), max(HIGH * one.runs / most, 2),
                        HIGH * one.bad / most, f"{clock(one.since)}: {words}"))  # fmt: skip
    return bars
