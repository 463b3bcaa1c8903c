"""A rollout as its pages show it: its head, steps, guards over time, and what happened."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from features.models import Impact, Rollout, RolloutEvent
from features.rollouts import guards_json, steps_json
from features.runs.guards import runs_of_step

from .drawing import money
from .parts import GuardCard, Live, LogLine, PointRow, RolloutHead, StepLine
from .publishing import Names, by_name
from .words import joined

GUARD_TITLES = {
    "pins_away": gettext_lazy("Went back"),
    "schema_failures": gettext_lazy("Broken output form"),
    "failed_checks": gettext_lazy("Failed checks"),
    "cost_per_run": gettext_lazy("Cost per run"),
}
HOLDING = ("conflict", "broken", "held")  # outcomes that keep somebody on the version they had
NEAR = 0.7  # of its limit: from there on a guard is worth a look
POINTS, ROWS = 160, 40  # that a chart draws, that its table lists
LAST = 6  # things that happened, beside the live figures


def head_of(rollout: Rollout, names: Names, named: Mapping[str, str]) -> RolloutHead:
    """A rollout as its page is headed; `named` are the organisations that its steps name, by id."""
    now = timezone.now()
    words = {"step": rollout.step + 1, "steps": len(rollout.steps), "time": span(now - rollout.began_at)}
    lead = {
        "running": _("Step %(step)d of %(steps)d, running for %(time)s.") % words,
        "paused": _("Paused in step %(step)d of %(steps)d. Nobody is moved until somebody goes on.") % words,
        "done": _("Everyone who did not choose to stay is on version %(n)d.") % {"n": rollout.to},
        "rolled_back": _("Rolled back: everyone is on the version that they had before."),
    }[rollout.state]
    following = rollout.steps[rollout.step + 1 :] if rollout.state == Rollout.State.RUNNING else []
    return RolloutHead(
        id=str(rollout.id),
        feature=rollout.feature.key,
        feature_title=rollout.feature.title,
        before=rollout.before,
        to=rollout.to,
        state=rollout.state,  # type: ignore[arg-type]  # one of its states
        lead=lead,
        author=by_name(rollout.author, names),
        began=rollout.created_at,
        step=rollout.step,
        since=rollout.began_at,
        why=rollout.why,
        advance=step_title(following[0], named) if following else "",
    )


def live_of(
    rollout: Rollout, log: Sequence[LogLine], events: Sequence[RolloutEvent], named: Mapping[str, str],
    impact: Impact | None,
) -> Live:  # fmt: skip
    """A rollout as it goes, with its log and its latest impact; within the operator's transaction."""
    runs = runs_of_step(rollout) if rollout.state in Rollout.OPEN else None
    measured_ones = sorted(guards_json(rollout), key=lambda row: list(GUARD_TITLES).index(row["guard"]))
    guards = [_guard(row) for row in measured_ones]
    outcomes = impact.counts.get("outcomes", {}) if impact else {}
    warning, text = _warning(rollout, guards)
    return Live(
        steps=[_step(number, row, rollout, named, events, runs) for number, row in enumerate(steps_json(rollout))],
        guards=guards,
        log=log[:LAST],
        held=sum(outcomes.get(outcome, 0) for outcome in HOLDING),
        warning=warning,
        warning_text=text,
    )


def log_of(rollout: Rollout, events: Iterable[RolloutEvent], names: Names, named: Mapping[str, str]) -> list[LogLine]:
    """What happened to a rollout, the newest first."""
    return [
        LogLine(event.at, _happened(event, rollout.steps, names, named), str(event.detail.get("why", "")))
        for event in reversed(list(events))
    ]


def step_title(row: Mapping[str, Any], named: Mapping[str, str]) -> str:
    """Whom a step includes: "25%", "Everyone", or organisations by name."""
    if row.get("percent") is not None:
        return _("Everyone") if row["percent"] >= 100 else f"{row['percent']:g}%"
    names = [named.get(tenant, tenant) for tenant in row["tenants"]]
    return joined(names) if len(names) < 3 else _("%(n)d organisations") % {"n": len(names)}


def span(time: timedelta) -> str:
    """A duration in its two largest units: "3 h 12 min"."""
    minutes = max(0, int(time.total_seconds())) // 60
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        words = ngettext("%(n)d day", "%(n)d days", days) % {"n": days}
        return f"{words} {hours} h" if hours else words
    if hours:
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    return f"{rest} min"


def measured(name: str, value: float | None) -> str:
    """What a guard measured, or its limit, as people read it."""
    if value is None:
        return "–"
    if name == "cost_per_run":
        return money(round(value)) or f"0 {settings.CURRENCY}"
    share = value * 100
    return f"{share:.1f}%".replace(".0%", "%") if share >= 0.1 or not share else f"{share:.2g}%"


def _step(
    number: int, row: Mapping[str, Any], rollout: Rollout, named: Mapping[str, str], events: Sequence[RolloutEvent],
    runs: int | None,
) -> StepLine:  # fmt: skip
    title, when = step_title(row, named), row["when"]
    if when == "now" and rollout.state in Rollout.OPEN:
        note, progress = _now_note(row, rollout, runs or 0)
        return StepLine(title, note, "now", progress)
    if when == "now":
        return StepLine(title, _("ended here"), "never", 0)
    if when == "past":
        return StepLine(title, _held(number, rollout, events), "past", 100)
    if when == "never":
        return StepLine(title, _("not reached"), "never", 0)
    return StepLine(title, _coming(row), "next")


def _now_note(row: Mapping[str, Any], rollout: Rollout, runs: int) -> tuple[str, int]:
    passed = timezone.now() - rollout.began_at
    shares: list[float] = []
    told = []
    if row["hold"] is None:
        told.append(_("until somebody says so"))
    elif row["hold"]:
        hold = timedelta(seconds=row["hold"])
        told.append(_("%(passed)s of %(hold)s") % {"passed": span(min(passed, hold)), "hold": span(hold)})
        shares.append(passed.total_seconds() / row["hold"])
    if row["min_runs"]:
        told.append(_("%(n)s of %(of)s runs") % {"n": f"{runs:,}", "of": f"{row['min_runs']:,}"})
        shares.append(runs / row["min_runs"])
    else:
        told.append(ngettext("%(n)s run", "%(n)s runs", runs) % {"n": f"{runs:,}"})
    return ", ".join(told), int(min(100, 100 * min(shares, default=1.0)))


def _coming(row: Mapping[str, Any]) -> str:
    if row.get("percent") is not None and row["percent"] >= 100:
        return _("who did not choose to stay")
    told = []
    if row["hold"] is None:
        told.append(_("until somebody says so"))
    elif row["hold"]:
        told.append(span(timedelta(seconds=row["hold"])))
    if row["min_runs"]:
        told.append(_("at least %(n)s runs") % {"n": f"{row['min_runs']:,}"})
    return ", ".join(told) or _("no hold")


def _held(number: int, rollout: Rollout, events: Sequence[RolloutEvent]) -> str:
    entered = {event.step: event.at for event in events if event.kind in ("started", "advanced", "done")}
    end = entered.get(number + 1, rollout.ended_at)
    if number + 1 == len(rollout.steps):
        return _("who did not choose to stay")
    return _("held %(time)s") % {"time": span(end - entered[number])} if end and number in entered else _("passed")


def _guard(row: Mapping[str, Any]) -> GuardCard:
    name, points = row["guard"], row["points"]
    thin = _thinned(points)
    words = {"n": f"{row['sample']:,}", "of": f"{row['min_runs']:,}"}
    few = _("Too few runs yet, %(n)s of %(of)s") if name != "pins_away" else _("Too few people yet, %(n)s of %(of)s")
    value = row["value"]
    close = value is not None and row["max"] > 0 and value >= NEAR * row["max"]
    state = {"waiting": "few", "breached": "over"}.get(row["state"], "near" if close else "fine")
    values = [point["value"] for point in thin]
    top = max(row["max"] * 1.6, 1.15 * max((v for v in values if v is not None), default=0)) or 1
    return GuardCard(
        name=name,
        title=str(GUARD_TITLES[name]),
        value=measured(name, value),
        limit=_("limit %(limit)s") % {"limit": measured(name, row["max"])},
        does=_("pauses") if row["do"] == "pause" else _("rolls back"),
        sample=_sample(name, row["sample"]),
        state=state,  # type: ignore[arg-type]  # as written above
        few=few % words if state == "few" else "",
        chart=json.dumps(
            {
                "times": [round(point["at"].timestamp(), 3) for point in thin],
                "values": values,
                "words": [f"{measured(name, p['value'])}, {_sample(name, p['sample'])}" for p in thin],
                "limit": row["max"],
                "top": top,
            }
        ),
        rows=[PointRow(p["at"], measured(name, p["value"]), p["sample"]) for p in points[: -ROWS - 1 : -1]],
    )


def _sample(name: str, number: int) -> str:
    runs, people = ngettext("%(n)s run", "%(n)s runs", number), ngettext("%(n)s person", "%(n)s people", number)
    return (people if name == "pins_away" else runs) % {"n": f"{number:,}"}


def _thinned(points: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """So many points as a chart can show, the newest always among them."""
    apart = -(-len(points) // POINTS) or 1
    return list(points[::-1][::apart][::-1])


def _warning(rollout: Rollout, guards: Sequence[GuardCard]) -> tuple[str, str]:
    if rollout.state == Rollout.State.PAUSED:
        return _("Paused."), rollout.why
    if rollout.state == Rollout.State.ROLLED_BACK:
        return _("Rolled back."), rollout.why
    worst = [guard for guard in guards if guard.state in ("near", "over")] if rollout.state == "running" else []
    if not worst:
        return "", ""
    guard = next((one for one in worst if one.state == "over"), worst[0])
    words = {"value": guard.value, "limit": guard.limit, "sample": guard.sample, "does": guard.does}
    told = _("is close to its limit: %(value)s of %(sample)s, %(limit)s. Above it the rollout %(does)s by itself.")
    if guard.state == "over":
        told = _("is over its limit: %(value)s of %(sample)s, %(limit)s. The rollout %(does)s by itself.")
    return guard.title, told % words


def _happened(event: RolloutEvent, steps: Sequence[Mapping[str, Any]], names: Names, named: Mapping[str, str]) -> str:
    title = step_title(steps[event.step], named) if 0 <= event.step < len(steps) else ""
    words = {"who": by_name(event.actor, names), "n": event.step + 1, "whom": title}
    match event.kind:
        case "started":
            return _("%(who)s started the rollout: %(whom)s") % words
        case "advanced" if event.actor.startswith("system:"):
            return _("Step %(n)d began: %(whom)s") % words
        case "advanced":
            return _("%(who)s went on early to step %(n)d: %(whom)s") % words
        case "paused":
            return _("%(who)s paused it in step %(n)d") % words
        case "resumed":
            return _("%(who)s went on with step %(n)d, from its beginning") % words
        case "rolled_back":
            return _("%(who)s rolled it back in step %(n)d") % words
    return _("Everyone: the version is current, the rollout done")
