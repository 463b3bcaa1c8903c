"""What becomes of a step by what its guards measured, as a table."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from features.engine import Decision, Guard, Measure, Step, decide, included, parse_guards, parse_steps, state_of

BEGAN = datetime(2026, 3, 3, 9, tzinfo=UTC)
FORM = Guard("schema_failures", 0.02, 30, "pause")
CHECKS = Guard("failed_checks", 0.5, 30, "roll_back")
PINS = Guard("pins_away", 0.1, 10, "pause")
COST = Guard("cost_per_run", 1000, 30, "roll_back")

#   guard, value, sample → what is done, and why
BREACHES = [
    (FORM, 0.0312, 240, "pause", "3.1% of 240 runs had a broken output form; the limit is 2%."),
    (FORM, 0.02, 240, "wait", ""),
    (FORM, 0.02004, 100_000, "pause", "2.004% of 100,000 runs had a broken output form; the limit is 2%."),
    (FORM, 1.0, 29, "wait", ""),
    (FORM, None, 240, "wait", ""),
    (CHECKS, 0.75, 40, "roll_back", "75% of 40 runs failed their checks; the limit is 50%."),
    (PINS, 0.25, 12, "pause", "25% of the 12 served version 2 pinned another; the limit is 10%."),
    (COST, 1234.5, 30, "roll_back", "A run cost 1,234.5 micro-units on average over 30 runs; the limit is 1,000."),
]


def decided(guards: Any = (), measured: Any = None, **changes: Any) -> Decision:
    facts = {"runs": 0, "began": BEGAN, "now": BEGAN, "to": 2, **changes}
    step = facts.pop("step", Step(10, (), None, 0))
    return decide(step, guards, measured or {}, **facts)


@pytest.mark.parametrize(("guard", "value", "sample", "do", "why"), BREACHES)
def test_a_limit_that_is_exceeded_over_enough_is_told_in_words(
    guard: Guard, value: float | None, sample: int, do: str, why: str
) -> None:
    decision = decided([guard], {guard.name: Measure(value, sample)})
    assert (decision.do, decision.why, decision.guard) == (do, why, guard.name if why else None)


def test_of_two_breaches_the_one_that_rolls_back_counts() -> None:
    measured = {"schema_failures": Measure(0.5, 50), "failed_checks": Measure(0.9, 50)}
    assert decided([FORM, CHECKS], measured).guard == "failed_checks"


#   hold, min_runs, seconds since it began, runs → what is done
STEPS = [
    (None, 0, 10**9, 10**6, "wait"),
    (0, 0, 0, 0, "advance"),
    (60, 0, 59, 10**6, "wait"),
    (60, 0, 60, 0, "advance"),
    (60, 5, 10**9, 4, "wait"),
    (60, 5, 60, 5, "advance"),
]


@pytest.mark.parametrize(("hold", "least", "seconds", "runs", "do"), STEPS)
def test_a_step_ends_by_itself_after_its_hold_and_its_sample(
    hold: int | None, least: int, seconds: int, runs: int, do: str
) -> None:
    now = BEGAN + timedelta(seconds=seconds)
    assert decided(step=Step(10, (), hold, least), now=now, runs=runs).do == do


def test_a_breach_goes_before_going_on_and_a_withdrawal_before_both() -> None:
    ripe: dict[str, Any] = {"step": Step(10, (), 0, 0), "measured": {"failed_checks": Measure(0.9, 50)}}
    assert decided([CHECKS], **ripe).do == "roll_back"
    stopped = decided([CHECKS], withdrawn=True, **ripe)
    assert (stopped.do, "withdrawn" in stopped.why) == ("pause", True)


def test_going_on_says_what_it_went_by() -> None:
    decision = decided([FORM], step=Step(10, (), 7200, 0), now=BEGAN + timedelta(hours=2), runs=1)
    assert decision.why == "The step held 2 hours over 1 run, and no guard's limit was exceeded."


@pytest.mark.parametrize(
    ("value", "sample", "state"), [(None, 99, "waiting"), (0.9, 29, "waiting"), (0.02, 30, "within"), (0.03, 30, "breached")]
)  # fmt: skip
def test_a_guard_is_said_to_be_in_one_of_three_states(value: float | None, sample: int, state: str) -> None:
    assert state_of(FORM, Measure(value, sample)) == state


def test_steps_are_read_as_people_write_them() -> None:
    rows: Any = [
        {"tenants": ["a", "b", "a"], "hold": "30m"},
        {"percent": 0.01, "min_runs": 9},
        {"percent": 25, "hold": 5},
    ]
    steps, wrong = parse_steps(rows, {"a": "1", "b": "2"})
    assert wrong == []
    assert steps == (
        Step(None, ("1", "2"), 1800, 0), Step(0.01, (), 0, 9), Step(25, (), 5, 0), Step(100, (), None, 0),
    )  # fmt: skip
    assert [Step.of_json(step.as_json()) for step in steps] == list(steps)
    assert [included(steps, n) for n in range(-1, 4)] == [
        (0, ()), (0, ("1", "2")), (1, ("1", "2")), (2500, ("1", "2")), (10_000, ("1", "2")),
    ]  # fmt: skip


def test_a_step_of_named_tenants_takes_nobody_out_of_the_share_before_it() -> None:
    steps, _ = parse_steps([{"percent": 10}, {"tenants": ["a"]}, {"percent": 20}], {"a": "1"})
    assert [included(steps, n) for n in range(4)] == [(1000, ()), (1000, ("1",)), (2000, ("1",)), (10_000, ("1",))]


@pytest.mark.parametrize(
    ("rows", "at"),
    [
        ([{"percent": 10}, {"percent": 10}], "/steps/1/percent"),
        ([{"percent": 10}, {"tenants": ["a"]}, {"percent": 9}], "/steps/2/percent"),
        ([{"tenants": ["a"]}, {"tenants": ["a"]}], "/steps/1/tenants"),
        ([{"percent": 100}, {"tenants": ["a"]}], "/steps/1"),
    ],
)
def test_each_step_must_add_somebody(rows: Any, at: str) -> None:
    assert [(problem.pointer, problem.rule) for problem in parse_steps(rows, {"a": "1"})[1]] == [(at, "grows")]


def test_guards_have_a_sample_and_pause_when_nothing_is_said() -> None:
    guards, wrong = parse_guards({"schema_failures": {"max": 0.02}, "cost_per_run": {"max": 5000, "do": "roll_back"}})
    assert (wrong, guards) == (
        [], (Guard("schema_failures", 0.02, 30, "pause"), Guard("cost_per_run", 5000, 30, "roll_back")),
    )  # fmt: skip
    assert [Guard.of_json(guard.name, guard.as_json()) for guard in guards] == list(guards)
