"""What becomes of a rollout by what its guards measured in a step: wait, go on, pause or roll back, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from .steps import Guard, GuardName, Step


@dataclass(frozen=True, slots=True)
class Measure:
    """What a guard measured in a step: a share or micro-units, and over how many; no value is none at all."""

    value: float | None
    sample: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with a rollout now, the reason in words, and the guard whose limit was exceeded if one was."""

    do: Literal["wait", "advance", "pause", "roll_back"]
    why: str = ""
    guard: GuardName | None = None


NOTHING_YET = Measure(None, 0)


def state_of(guard: Guard, measure: Measure) -> Literal["waiting", "within", "breached"]:
    """What a measurement says of its guard; `waiting` while the sample is too small to say anything."""
    if measure.value is None or measure.sample < guard.min_runs:
        return "waiting"
    return "breached" if measure.value > guard.max else "within"


def decide(
    step: Step,
    guards: Sequence[Guard],
    measured: Mapping[GuardName, Measure],
    *,
    runs: int,
    began: datetime,
    now: datetime,
    to: int,
    withdrawn: bool = False,
) -> Decision:
    """Decide on a running rollout to version `to`, whose step began at an instant and has had so many runs since.

    A breach that rolls back goes before one that pauses. A version that is withdrawn is not rolled out any further.
    """
    if withdrawn:
        return Decision("pause", f"Version {to} was withdrawn. Roll back, or lift the withdrawal and resume.")
    breached = [guard for guard in guards if state_of(guard, measured.get(guard.name, NOTHING_YET)) == "breached"]
    if breached:
        worst = min(breached, key=lambda guard: guard.do != "roll_back")
        return Decision(worst.do, words(worst, measured[worst.name], to), worst.name)
    if step.hold is None or now < began + timedelta(seconds=step.hold) or runs < step.min_runs:
        return Decision("wait")
    watched = "no guard's limit was exceeded" if guards else "nothing watched it"
    return Decision("advance", f"The step held {lasted(now - began)} over {count(runs, 'run')}, and {watched}.")


def words(guard: Guard, measure: Measure, to: int) -> str:
    """Say a breach so that somebody who knows nothing of guards understands it."""
    if guard.name == "cost_per_run":
        cost, limit = _apart(measure.value or 0, guard.max, 1)
        return f"A run cost {cost} micro-units on average over {count(measure.sample, 'run')}; the limit is {limit}."
    share, limit = _apart(measure.value or 0, guard.max, 100)
    of = {
        "schema_failures": f"{count(measure.sample, 'run')} had a broken output form",
        "failed_checks": f"{count(measure.sample, 'run')} failed their checks",
        "pins_away": f"the {measure.sample:,} served version {to} pinned another",
    }
    return f"{share}% of {of[guard.name]}; the limit is {limit}%."


def count(number: int, noun: str) -> str:
    """`1 run`, `1,200 runs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def lasted(time: timedelta) -> str:
    """A duration as people say it, in its largest unit: `2 days`, `1 hour`."""
    seconds = int(time.total_seconds())
    for unit, noun in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= unit:
            return count(seconds // unit, noun)
    return count(seconds, "second")


def _apart(value: float, limit: float, times: int) -> tuple[str, str]:
    """Two numbers with as many decimals as it takes to tell one from the other."""
    for decimals in range(1, 8):
        told = _number(value * times, decimals), _number(limit * times, decimals)
        if told[0] != told[1]:
            return told
    return told


def _number(value: float, decimals: int) -> str:
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".")
