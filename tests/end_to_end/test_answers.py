"""How a run is asked for and answered, through real web, worker and beat: waiting, later, and as a stream."""

import threading

import httpx2
import pytest

from tests.end_to_end.test_lost_workers import within
from tests.fakes.model import Answer, greeting
from tests.outside import until
from tests.processes import Stack


def held(text: str = '{"greeting": "Hello Ann, how are you?"}') -> Answer:
    """An answer whose first words come at once, and the others when `hold` is set."""
    return Answer(text, hold=threading.Event())


def test_waiting_answers_with_the_output_and_the_receipt(stack: Stack) -> None:
    stack.model.script(greeting("Hello Ann"))
    answer = stack.knock("alice").run("Ann", prefer="wait=20")
    run = answer.json()
    assert (answer.status_code, run["state"], run["output"]) == (200, "succeeded", {"greeting": "Hello Ann"})
    assert run["receipt"]["base"] == 1 and run["receipt"]["digest"].startswith("1:")
    assert [call["outcome"] for call in run["calls"]] == ["answered"]
    assert stack.ledger(run["id"]) == [("succeeded", 1)]


def test_respond_async_answers_202_with_the_place_to_look(stack: Stack) -> None:
    answer = held()
    stack.model.script(answer)
    taken = stack.knock("alice").run("Ann", prefer="respond-async")
    assert (taken.status_code, taken.json()["output"]) == (202, None)
    assert taken.headers["location"] == f"/api/v1/runs/{taken.json()['id']}"
    assert answer.begun.wait(30)
    answer.hold.set()
    assert stack.knock("alice").ended(taken.json()["id"])["output"] == {"greeting": "Hello Ann, how are you?"}


def test_patience_that_ends_first_answers_202(stack: Stack) -> None:
    answer = held()
    stack.model.script(answer)
    taken = stack.knock("alice").run("Ann", prefer="wait=1")
    assert (taken.status_code, taken.json()["state"]) == (202, "running")
    answer.hold.set()
    assert stack.knock("alice").ended(taken.json()["id"])["state"] == "succeeded"


def test_words_stream_out_of_the_worker_while_the_model_is_still_speaking(stack: Stack) -> None:
    answer = held()
    stack.model.script(answer)
    with stack.knock("alice").events("/features/greet/runs", {"input": {"name": "Ann"}}) as events:
        assert events.response.headers["content-type"] == "text/event-stream"
        seen = [events.next("queued"), events.next("started"), events.next("delta")]
        assert seen[2].data == {"text": '{"greeti'} and not answer.hold.is_set()
        answer.hold.set()
        rest = list(events)
    assert rest[-1].name == "done" and rest[-1].data["output"] == {"greeting": "Hello Ann, how are you?"}
    assert "".join(event.data["text"] for event in [seen[2], *rest[:-1]]) == answer.text


def test_a_follower_who_comes_back_gets_only_what_came_after_and_a_second_one_all(stack: Stack) -> None:
    answer = held()
    stack.model.script(answer)
    alice = stack.knock("alice")
    with alice.events("/features/greet/runs", {"input": {"name": "Ann"}}) as events:
        last = events.next("delta")
        place = f"{events.response.headers['location'].removeprefix('/api/v1')}/events"
    answer.hold.set()
    with alice.events(place, Last_Event_ID=last.id) as again, stack.knock("ada").events(place) as other:
        after, all_of_it = list(again), list(other)
    assert {event.name for event in after} == {"delta", "done"}
    names = [event.name for event in all_of_it]  # what comes at once is told at once, in one delta
    assert names[:3] == ["queued", "started", "delta"] and set(names[3:-1]) <= {"delta"} and names[-1] == "done"
    assert "".join(event.data["text"] for event in all_of_it[2:-1]) == answer.text
    assert [event.id for event in after] == [event.id for event in all_of_it[3:]]
    with alice.events(place, Last_Event_ID=after[-1].id) as nothing:
        assert [event.name for event in nothing] == ["done"]  # it has ended: the row says so


def test_a_stream_goes_on_after_the_web_process_has_died_and_was_started_again(stack: Stack) -> None:
    answer = held()
    stack.model.script(answer)
    alice = stack.knock("alice")
    feature = within(60, stack)  # to start again takes longer than greet may
    with alice.events(f"/features/{feature}/runs", {"input": {"name": "Ann"}}) as events:
        run_id, last = events.next("queued").data["id"], events.next("delta")
        stack.web.kill()
        with pytest.raises(httpx2.HTTPError):
            list(events)
    stack.web.start()
    until(stack.ready, "the web process answers again", 60)
    answer.hold.set()
    with stack.knock("alice").events(f"/runs/{run_id}/events", Last_Event_ID=last.id or "") as again:
        rest = list(again)
    assert rest[-1].name == "done" and rest[-1].data["output"] == {"greeting": "Hello Ann, how are you?"}
    assert "".join(event.data["text"] for event in [last, *rest[:-1]]) == answer.text  # none twice, none missing


def test_nobody_else_follows_a_run(stack: Stack) -> None:
    run_id = stack.knock("alice").run().json()["id"]
    for stranger in ("bob", "mallory", "globex_service"):
        answer = stack.knock(stranger).get(f"/runs/{run_id}/events")
        assert (answer.status_code, answer.json()["type"]) == (404, answer.json()["type"])


def test_cancelling_a_run_that_speaks_closes_the_models_stream(stack: Stack) -> None:
    answer = held()
    stack.model.script(answer)
    alice = stack.knock("alice")
    run_id = alice.run(prefer="respond-async").json()["id"]
    assert answer.begun.wait(30)
    assert alice.post(f"/runs/{run_id}/cancel").status_code == 202
    run = alice.ended(run_id)
    assert (run["state"], run["output"], stack.attempts(run_id)) == ("cancelled", None, ["stopped"])
    assert answer.closed.wait(30) and not answer.hold.is_set()
    assert stack.ledger(run_id) == [("cancelled", 1)]
    assert alice.post(f"/runs/{run_id}/cancel").status_code == 409


def test_cancelling_a_run_whose_model_has_not_said_a_word_hangs_up_too(stack: Stack) -> None:
    answer = held()
    answer.mute = True
    stack.model.script(answer)
    alice = stack.knock("alice")
    run_id = alice.run(prefer="respond-async").json()["id"]
    assert answer.begun.wait(30)
    alice.post(f"/runs/{run_id}/cancel")
    assert alice.ended(run_id)["state"] == "cancelled"
    assert answer.closed.wait(30)
