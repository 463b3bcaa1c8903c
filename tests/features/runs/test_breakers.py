"""When a model is left alone, and when a tenant may not try again: arithmetic, and what runs make of it."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from typing import Any

import pytest
from django.utils import timezone

from features.runs import execute, provider
from features.runs.accept import accept, find_run
from features.runs.breakers import (
    FAILURES,
    FIRST_PAUSE,
    LONGEST_PAUSE,
    MOST_RETRIES,
    RETRIES_AT_FIRST,
    TRIAL_SECONDS,
    Breakers,
    RetryBudgets,
    full_jitter,
)
from features.runs.models import Attempt, Queued, State
from tests.cast import Cast
from tests.fakes.model import Answer, FakeModel
from tests.working import look


def opened(breakers: Breakers, key: str, now: float) -> None:
    for _ in range(FAILURES):
        assert breakers.wait(key, now) == 0
        breakers.report(key, False, now)


def test_a_breaker_opens_after_failures_in_a_row_and_for_its_key_alone() -> None:
    breakers = Breakers()
    for _ in range(FAILURES - 1):
        breakers.report("a", False, 0)
    breakers.report("a", True, 0)  # not in a row
    breakers.report("a", False, 0)
    assert breakers.wait("a", 0) == 0
    opened(breakers, "b", 10)
    assert breakers.wait("b", 10) == FIRST_PAUSE and breakers.open_now(10) == ["b"]
    assert breakers.wait("a", 10) == 0


def test_after_the_pause_one_tries_for_all_and_its_answer_counts() -> None:
    breakers = Breakers()
    opened(breakers, "a", 0)
    assert [breakers.wait("a", FIRST_PAUSE), breakers.wait("a", FIRST_PAUSE) > 0] == [0, True]
    breakers.report("a", True, FIRST_PAUSE)
    assert breakers.wait("a", FIRST_PAUSE) == 0 and breakers.open_now(FIRST_PAUSE) == []


def test_trials_that_fail_double_the_pause_up_to_thirty_seconds() -> None:
    breakers, now, pauses = Breakers(), 0.0, []
    opened(breakers, "a", now)
    for _ in range(7):
        pauses.append(breakers.wait("a", now))
        now += pauses[-1]
        assert breakers.wait("a", now) == 0  # the trial
        breakers.report("a", False, now)
    assert pauses == [2, 4, 8, 16, 30, 30, 30] and LONGEST_PAUSE == 30


def test_a_trial_that_says_nothing_is_not_waited_for_for_ever() -> None:
    breakers = Breakers()
    opened(breakers, "a", 0)
    assert breakers.wait("a", 5) == 0
    assert breakers.wait("a", 5 + TRIAL_SECONDS) == 0
    breakers.forget_trial("a")
    assert breakers.wait("a", 6 + TRIAL_SECONDS) == 0


def test_a_tenth_of_the_calls_may_be_made_again() -> None:
    budgets = RetryBudgets()
    assert sum(budgets.spend("a") for _ in range(50)) == RETRIES_AT_FIRST
    for _ in range(100):
        budgets.earn("a")
    assert sum(budgets.spend("a") for _ in range(50)) in (9, 10)
    for _ in range(100_000):
        budgets.earn("a")
    assert sum(budgets.spend("a") for _ in range(1000)) == MOST_RETRIES
    assert budgets.spend("b")


def test_jitter_is_anywhere_up_to_a_bound_that_doubles() -> None:
    assert [full_jitter(n, base=1, most=8, draw=lambda: 1.0) for n in range(1, 6)] == [1, 2, 4, 8, 8]
    assert full_jitter(3, base=1, most=8, draw=lambda: 0.0) == 0


@pytest.fixture
def _longest_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a run which waits is not claimed again by the same look."""
    monkeypatch.setattr(execute, "full_jitter", partial(full_jitter, draw=lambda: 1.0))


def run_of(cast: Cast, name: str) -> Any:
    return accept(cast.greet, {"name": name}, by=cast.alice).run_id


@pytest.mark.usefixtures("_longest_pauses")
def test_a_model_that_only_fails_is_hardly_asked_and_asked_again_when_it_is_back(
    cast: Cast, model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("features.runs.breakers.FIRST_PAUSE", 6.0)
    model.default = lambda _: Answer(status=503)
    runs = [run_of(cast, f"Ann {number}") for number in range(15)]
    look()
    assert len(model.requests) == FAILURES  # the others found the breaker open, and wait without a call
    with cast.alice.present():
        assert Attempt.objects.count() == FAILURES and Queued.objects.count() == 15
    execute.breakers.clear()  # as the pause is over
    model.default = FakeModel().default
    with cast.alice.present():
        Queued.objects.update(not_before="2020-01-01T00:00:00Z")
    while look():
        pass
    ended = [find_run(run_id, cast.alice) for run_id in runs]
    assert {run.state for run in ended if run} == {State.SUCCEEDED}


def test_a_retry_after_that_the_deadline_does_not_allow_fails_at_once(cast: Cast, model: FakeModel) -> None:
    answers = ["100000", "11", "Wed, 21 Oct 2099 07:28:00 GMT"]
    model.script(*[Answer(status=429, headers={"Retry-After": value}) for value in answers])
    runs = [run_of(cast, value) for value in answers]
    while look():
        pass
    ended = [find_run(run_id, cast.alice) for run_id in runs]
    assert [(run.state, run.error["type"]) for run in ended if run] == [(State.FAILED, "unavailable")] * 3


AT = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("7", 7.0), ("0", 0.0), ("100000", 100_000.0), ("Thu, 26 Nov 2026 12:00:09 GMT", 9.0),
        ("Thu, 26 Nov 2026 11:00:00 GMT", 0.0), ("-1", None), ("7.5", None), ("soon", None), ("", None),
        ("\u0667", None), ("Thu, 32 Nov 2026 12:00:00 GMT", None),
    ],
)  # fmt: skip
def test_retry_after_is_read_as_seconds_or_a_date_and_nothing_else(
    told: str, seconds: float | None, time_machine: Any
) -> None:
    time_machine.move_to(AT, tick=False)
    assert provider._retry_after(told) == seconds


@pytest.mark.usefixtures("_longest_pauses")
def test_a_retry_after_that_is_a_date_is_waited_for_in_the_queue(cast: Cast, model: FakeModel) -> None:
    date = timezone.now().replace(microsecond=0) + timedelta(seconds=7)
    model.script(Answer(status=429, headers={"Retry-After": format_datetime(date, usegmt=True)}))
    run_of(cast, "Ann")
    assert look() == 1
    with cast.alice.present():
        waiting = Queued.objects.get()
    assert waiting.token is None and waiting.not_before > timezone.now()  # the worker has let go of it, and is free
    assert 1 <= (waiting.not_before - date).total_seconds() < 4  # a second of jitter, and what it took to write


@pytest.mark.usefixtures("_longest_pauses")
def test_a_retry_after_that_is_none_is_not_believed(cast: Cast, model: FakeModel) -> None:
    answers = ["-1", "soon", ""]
    model.script(*[Answer(status=429, headers={"Retry-After": value}) for value in answers])
    for value in answers:
        run_of(cast, value)
    assert look() == 3
    with cast.alice.present():
        assert Queued.objects.count() == 3  # each waits a moment of our own choice


@pytest.mark.usefixtures("_longest_pauses")
def test_the_deadline_of_a_run_that_waits_for_the_model_goes_on(cast: Cast, model: FakeModel) -> None:
    model.script(Answer(status=503))
    run_id = run_of(cast, "Ann")
    look()
    with cast.alice.present():
        first = Queued.objects.get().deadline
        Queued.objects.update(not_before="2020-01-01T00:00:00Z")
    model.script(Answer(status=503))
    look()
    with cast.alice.present():
        assert Queued.objects.get(pk=run_id).deadline == first is not None
