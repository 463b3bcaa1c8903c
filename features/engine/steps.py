"""The plan of a rollout: steps that only ever include more, and the guards that watch each of them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tenants.errors import Problem

from .rollout import BUCKETS
from .values import Json, pointer

GuardName = Literal["schema_failures", "failed_checks", "pins_away", "cost_per_run"]
GUARDS: tuple[GuardName, ...] = ("schema_failures", "failed_checks", "pins_away", "cost_per_run")
MIN_SAMPLE = 30  # what a guard waits for when its author does not say
MOST_STEPS, MOST_TENANTS, MOST_RUNS = 50, 1_000, 1_000_000_000
LONGEST_HOLD = 90 * 86_400  # seconds
HIGHEST_COST = 10**15  # micro-units
SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_HOLD = re.compile(r"(\d{1,7})([smhd])")


@dataclass(frozen=True, slots=True)
class Step:
    """One step: everybody in so many per cent of the buckets, or tenants by id, and what lets the next one begin.

    hold: seconds after which it may; None waits for a person. min_runs: of the new version, within this step.
    """

    percent: float | None
    tenants: tuple[str, ...]
    hold: int | None
    min_runs: int

    @property
    def share(self) -> int:
        """The step's buckets of 10,000; none for a step of tenants."""
        return round((self.percent or 0) * BUCKETS / 100)

    def as_json(self) -> dict[str, Any]:
        """Return what `of_json` reads."""
        who = {"tenants": list(self.tenants)} if self.percent is None else {"percent": self.percent}
        return {**who, "hold": self.hold, "min_runs": self.min_runs}

    @classmethod
    def of_json(cls, row: Mapping[str, Any]) -> "Step":
        return cls(row.get("percent"), tuple(row.get("tenants", ())), row["hold"], row["min_runs"])


LAST = Step(100, (), None, 0)


@dataclass(frozen=True, slots=True)
class Guard:
    """A limit that a step must not exceed: shares from 0 to 1, cost in micro-units a run; and what a breach does."""

    name: GuardName
    max: float
    min_runs: int
    do: Literal["pause", "roll_back"]

    def as_json(self) -> dict[str, Any]:
        return {"max": self.max, "min_runs": self.min_runs, "do": self.do}

    @classmethod
    def of_json(cls, name: str, row: Mapping[str, Any]) -> "Guard":
        return cls(name, row["max"], row["min_runs"], row["do"])  # type: ignore[arg-type]  # as it was written


def included(steps: Sequence[Step], step: int) -> tuple[int, tuple[str, ...]]:
    """Whom a step includes, the steps before it too: a share of 10,000 buckets, and ids of tenants in order."""
    reached = steps[: step + 1]
    share = max((one.share for one in reached), default=0)
    return share, tuple(dict.fromkeys(tenant for one in reached for tenant in one.tenants))


def tenants_named(steps: Json) -> set[str]:
    """Every text that could be the name of a tenant, whatever else is wrong: what the caller looks up."""
    rows = steps if isinstance(steps, list) else []
    lists = (row.get("tenants") for row in rows if isinstance(row, dict))
    return {name for names in lists if isinstance(names, list) for name in names if isinstance(name, str)}


def parse_steps(document: Json, tenants: Mapping[str, str]) -> tuple[tuple[Step, ...], list[Problem]]:
    """Read steps; `tenants` gives the id of each name that is known. Appends the step of 100 % where it is not there.

    Returns the steps and everything that is wrong with them, by pointers below /steps.
    """
    if not isinstance(document, list) or not document:
        return (), [Problem("/steps", "type", "must be a list of at least one step")]
    if len(document) > MOST_STEPS:
        return (), [Problem("/steps", "size", f"has {len(document)} steps; {MOST_STEPS} are allowed")]
    wrong: list[Problem] = []
    steps = [_step(row, f"/steps/{i}", tenants, wrong) for i, row in enumerate(document)]
    if not wrong:
        wrong += _growing(steps)
    return (*steps, *(() if wrong or steps[-1].share >= BUCKETS else (LAST,))), wrong


def parse_guards(document: Json) -> tuple[tuple[Guard, ...], list[Problem]]:
    """Read guards. Returns them and everything that is wrong with them, by pointers below /guards."""
    if not isinstance(document, dict):
        return (), [Problem("/guards", "type", "must be an object: a limit for each guard")]
    wrong = _unknown(document, GUARDS, "/guards")
    guards = [_guard(name, document[name], wrong) for name in GUARDS if name in document]
    return tuple(guards), wrong


def _step(row: Json, at: str, tenants: Mapping[str, str], wrong: list[Problem]) -> Step:
    if not isinstance(row, dict):
        wrong.append(Problem(at, "type", 'must be an object such as {"percent": 10, "hold": "1h"}'))
        return LAST
    wrong += _unknown(row, ("percent", "tenants", "hold", "min_runs"), at)
    if ("percent" in row) == ("tenants" in row):
        wrong.append(Problem(at, "one_of", "must have one of percent and tenants"))
    percent = _percent(row["percent"], at, wrong) if "percent" in row else None
    named = _tenants(row["tenants"], at, tenants, wrong) if "tenants" in row else ()
    min_runs = _whole(row.get("min_runs", 0), f"{at}/min_runs", MOST_RUNS, wrong)
    hold = _hold(row["hold"], f"{at}/hold", wrong) if row.get("hold") is not None else None
    if hold is None and min_runs:
        hold = 0  # a sample alone is enough to go on by
    return Step(percent, named, hold, min_runs)


def _percent(value: Json, at: str, wrong: list[Problem]) -> float:
    """A percentage that is a whole number of buckets."""
    number = 0.0 if isinstance(value, bool) or not isinstance(value, int | float) else value
    if not 0 < number <= 100 or abs(number * 100 - round(number * 100)) > 1e-6:
        told = "must be a number above 0 and at most 100, with at most two decimals"
        wrong.append(Problem(f"{at}/percent", "range", told))
    return number


def _tenants(value: Json, at: str, known: Mapping[str, str], wrong: list[Problem]) -> tuple[str, ...]:
    at = f"{at}/tenants"
    if not isinstance(value, list) or not 1 <= len(value) <= MOST_TENANTS:
        wrong.append(Problem(at, "type", f"must be a list of 1 to {MOST_TENANTS} tenants, by slug or id"))
        return ()
    for i, name in enumerate(value):
        if not isinstance(name, str) or name not in known:
            wrong.append(Problem(f"{at}/{i}", "tenant", f"there is no tenant {str(name)[:60]}"))
    return tuple(dict.fromkeys(known[name] for name in value if isinstance(name, str) and name in known))


def _hold(value: Json, at: str, wrong: list[Problem]) -> int | None:
    match = _HOLD.fullmatch(value) if isinstance(value, str) else None
    seconds = int(match[1]) * SECONDS[match[2]] if match else value
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not 0 <= seconds <= LONGEST_HOLD:
        told = 'must be seconds, or a time such as "30m", "1h" or "2d", of at most 90 days'
        wrong.append(Problem(at, "hold", told))
        return None
    return seconds


def _growing(steps: Sequence[Step]) -> Iterable[Problem]:
    share, tenants = 0, set[str]()
    for i, step in enumerate(steps):
        if share >= BUCKETS:
            yield Problem(f"/steps/{i}", "grows", "comes after 100 percent, which ends a rollout")
        elif step.percent is not None and step.share <= share:
            told = f"must be more than the {share * 100 / BUCKETS:g} of the step before: steps only grow"
            yield Problem(f"/steps/{i}/percent", "grows", told)
        elif step.percent is None and tenants.issuperset(step.tenants):
            yield Problem(f"/steps/{i}/tenants", "grows", "must add a tenant: those named before stay included")
        share, tenants = max(share, step.share), tenants | set(step.tenants)


def _guard(name: GuardName, row: Json, wrong: list[Problem]) -> Guard:
    at = f"/guards/{name}"
    if not isinstance(row, dict):
        wrong.append(Problem(at, "type", 'must be an object such as {"max": 0.02, "do": "pause"}'))
        return Guard(name, 0, MIN_SAMPLE, "pause")
    wrong += _unknown(row, ("max", "min_runs", "do"), at)
    most = HIGHEST_COST if name == "cost_per_run" else 1
    limit, do = row.get("max"), row.get("do", "pause")
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 <= limit <= most:
        told = f"must be micro-units, 0 to {most}" if name == "cost_per_run" else "must be a share from 0 to 1"
        wrong.append(Problem(f"{at}/max", "range" if "max" in row else "required", told))
        limit = 0
    if do not in ("pause", "roll_back"):
        wrong.append(Problem(f"{at}/do", "enum", "must be one of: pause, roll_back"))
    sample = _whole(row.get("min_runs", MIN_SAMPLE), f"{at}/min_runs", MOST_RUNS, wrong)
    return Guard(name, limit, max(1, sample), do)  # type: ignore[arg-type]  # or it is refused


def _whole(value: Json, at: str, most: int, wrong: list[Problem]) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        wrong.append(Problem(at, "range", f"must be a whole number from 0 to {most}"))
        return 0
    return value


def _unknown(row: Mapping[str, Json], known: Sequence[str], at: str) -> list[Problem]:
    told = f"is not known here; there are: {', '.join(known)}"
    return [Problem(at + pointer(key), "unknown", told) for key in row if key not in known]
