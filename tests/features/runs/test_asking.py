"""What a model's server may do to a call, and what the run then says; and what may change while a run is taken in."""

import threading
import time
from typing import Any

import pytest
from django.db import connections

from features.actions.overrides import ANY, save_operation
from features.runs import accept as accepting
from features.runs.accept import accept, find_run
from features.runs.dispatch import Lost, claim, take_back
from features.runs.execute import execute
from features.runs.finish import Ending, finish, give_up
from features.runs.leases import Lease
from features.runs.models import Attempt, Run, State
from tests.cast import Cast
from tests.fakes.model import Answer, FakeModel
from tests.outside import within
from tests.working import look

GARBAGE = {
    "no JSON": b"data: {oops\n\n",
    "no UTF-8": b"data: \xff\xfe\n\n",
    "choices that are none": b'data: {"choices": 7}\n\n',
    "a choice without a delta": b'data: {"choices": [{"index": 0}]}\n\n',
    "an error in the stream": b'data: {"error": {"message": "the input was Ann"}}\n\n',
}


@pytest.mark.parametrize("case", GARBAGE)
def test_a_stream_that_is_no_chat_is_tried_again_and_costs_the_run_no_worker(
    case: str, cast: Cast, model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("features.runs.execute.full_jitter", lambda *_, **__: 5.0)  # not asked again within this look
    model.script(Answer(raw=GARBAGE[case]))
    run_id = accept(cast.greet, {"name": "Ann"}, by=cast.alice).run_id
    assert look() == 1
    with cast.alice.present():
        [attempt] = Attempt.objects.filter(run=run_id)
        assert Run.objects.get(pk=run_id).state == State.QUEUED
    assert attempt.outcome == "unavailable" and "Ann" not in attempt.detail


def test_a_chunk_without_choices_is_taken_as_it_is(cast: Cast, model: FakeModel) -> None:
    good = b'data: {"choices": [{"index": 0, "delta": {"content": "{\\"greeting\\": \\"Hi\\"}"}, "finish_reason": "stop"}]}'
    model.script(Answer(raw=good + b'\n\ndata: {"choices": null, "usage": null}\n\ndata: [DONE]\n\n'))
    run_id = accept(cast.greet, {"name": "Ann"}, by=cast.alice).run_id
    look()
    run = find_run(run_id, cast.alice)
    assert run is not None and run.output == {"greeting": "Hi"}


def test_nobody_listening_is_unavailable(
    cast: Cast, model: FakeModel, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("features.runs.execute.full_jitter", lambda *_, **__: 5.0)
    settings.PROVIDERS = {"demo": {"base_url": "http://127.0.0.1:1/v1", "api_key": "a-key"}}
    run_id = accept(cast.greet, {"name": "Ann"}, by=cast.alice).run_id
    look()
    with cast.alice.present():
        assert [row.outcome for row in Attempt.objects.filter(run=run_id)] == ["unavailable"]


def test_behavior_that_changes_between_resolving_and_writing_is_resolved_again(
    cast: Cast, model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks, checked = accepting.check, []

    def check_while_alice_saves(served: Any, question: Any) -> None:
        checks(served, question)
        checked.append(served.receipt.user)
        if len(checked) == 1:
            saving = threading.Thread(target=_save_warm, args=(cast,))
            saving.start()
            saving.join()

    monkeypatch.setattr(accepting, "check", check_while_alice_saves)
    run_id = accept(cast.greet, {"name": "Ann"}, by=cast.alice).run_id
    assert checked == [None, 1]
    look()
    assert "warm tone" in model.requests[0]["messages"][0]["content"]
    run = find_run(run_id, cast.alice)
    assert run is not None and run.receipt["user"] == 1


def _save_warm(cast: Cast) -> None:
    save_operation(cast.greet, "user", "vars.tone", {"set": "warm"}, expected=ANY, by=cast.alice)
    connections.close_all()


def test_a_run_claimed_again_before_the_reaper_settles_is_left_to_its_new_worker(cast: Cast, model: FakeModel) -> None:
    run_id = accept(cast.greet, {"name": "Ann"}, by=cast.alice).run_id
    begun = Answer('{"greeting": "Hi"}', hold=threading.Event())
    model.script(begun)
    ours = claim()
    assert ours is not None
    worker = threading.Thread(target=lambda: (execute(ours, Lease(ours.token)), connections.close_all()))
    worker.start()
    assert begun.begun.wait(30)
    give_up(Lost(ours.tenant_id, run_id, lost=1, alone=1, cancelled=True))  # of the lease before, a moment late
    with cast.alice.present():
        assert Run.objects.get(pk=run_id).state == State.RUNNING
        assert [row.outcome for row in Attempt.objects.filter(run=run_id)] == [""]
    assert begun.hold is not None
    begun.hold.set()
    worker.join(30)
    run = find_run(run_id, cast.alice)
    assert run is not None and run.state == State.SUCCEEDED


def test_a_worker_that_wakes_up_late_cannot_end_what_another_works_on(cast: Cast, model: FakeModel) -> None:
    run_id = accept(cast.greet, {"name": "Ann"}, by=cast.alice).run_id
    late = claim()
    assert late is not None
    _let_leases_run_out()
    for lost in take_back():
        give_up(lost)
    ours = claim()
    assert ours is not None and ours.run_id == run_id
    assert (
        finish(late.tenant_id, run_id, Ending(State.SUCCEEDED, output={"greeting": "Late"}), token=late.token) is None
    )
    execute(ours, Lease(ours.token))
    run = find_run(run_id, cast.alice)
    assert run is not None and run.output == {"greeting": "Hello"}


def _let_leases_run_out() -> None:
    with connections["owner"].cursor() as cursor:
        cursor.execute("ALTER TABLE runs_queued NO FORCE ROW LEVEL SECURITY")
        cursor.execute("UPDATE runs_queued SET lease_until = now() - interval '1 second'")
        cursor.execute("ALTER TABLE runs_queued FORCE ROW LEVEL SECURITY")


def test_the_deadline_holds_for_a_model_that_falls_silent_in_mid_answer(cast: Cast, model: FakeModel) -> None:
    from features.runs.flow import Call, ProviderFailed
    from features.runs.provider import ask
    from features.runs.receipts import served_by

    run = find_run(accept(cast.greet, {"name": "Ann"}, by=cast.alice).run_id, cast.alice)
    assert run is not None
    with cast.alice.present():
        served = served_by(run)

    def asked(text: str, **how: Any) -> Answer:
        answer = Answer(text, hold=threading.Event(), **how)
        model.script(answer)
        began = time.monotonic()
        with pytest.raises(ProviderFailed) as failure:
            ask(
                Call("standard", "first", []), served.targets["standard"], served.compiled,
                deadline=began + 1, on_text=lambda _: None, stop=lambda: False, name="1",
            )  # fmt: skip
        assert failure.value.outcome == "timeout" and time.monotonic() - began > 0.9
        return answer

    for ask_it in (
        lambda: asked("word " * 20),  # a word, then nothing
        lambda: asked("word " * 20, mute=True),  # not even headers
        lambda: asked("word " * 200, pause=0.1),  # a word every tenth of a second
    ):
        assert within(1.9, ask_it).closed.wait(30)
