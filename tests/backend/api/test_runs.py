"""Runs: asked for, waited for, followed, cancelled, rated; each with a receipt, and each only its own subject's."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from django.db import connections
from rest_framework.renderers import JSONRenderer

from backend.api.runs import text
from tests.cast import Cast
from tests.conftest import Knock
from tests.fakes.model import Answer, FakeModel, greeting
from tests.working import look

from .acts import FIRST, GREETING, MINE, OURS, behavior, digest, kind, problems, publish
from .conftest import Caller

RUNS = f"{GREETING}/runs"
ANN = {"input": {"name": "Ann"}}
ASYNC = {"Prefer": "respond-async"}


def ask(knock: Knock, **headers: str) -> dict[str, Any]:
    """A run that is taken in and not waited for."""
    answer = knock.post(RUNS, ANN, **{**ASYNC, **headers})
    assert answer.status_code == 202, answer.content
    return dict(answer.json())


@contextmanager
def a_worker() -> Iterator[None]:
    """Carry out, beside what this test does, the next run that is asked for."""
    done = threading.Event()

    def work() -> None:
        while not done.is_set() and not look():
            done.wait(0.02)
        connections.close_all()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield
    finally:
        done.set()
        worker.join(20)


def test_who_waits_gets_the_output_with_its_receipt(cast: Cast, api: Caller, model: FakeModel) -> None:
    model.script(greeting("Hello Ann"))
    with a_worker():
        answer = api(cast.alice).post(RUNS, ANN, Prefer="wait=15")
    run = answer.json()
    assert (answer.status_code, run["state"], run["output"]) == (200, "succeeded", {"greeting": "Hello Ann"})
    assert run["receipt"]["digest"] == digest(api, cast.alice)
    assert answer.headers["Location"] == f"/api/v1/runs/{run['id']}"
    assert (run["subject"], run["calls"][0]["outcome"]) == (cast.alice.subject.key, "answered")


def test_json_is_written_as_the_other_doors_write_it() -> None:
    value = {
        "text": 'a "quoted" \u2028 \u2029 \u00e9 \U0001f600 \\', "at": datetime(2026, 3, 3, 9, 30, 0, 120, UTC), "id": UUID(int=7),
        "n": [1, 2.5, None, True, -0.0], "deep": {"": {}},
    }  # fmt: skip
    assert text(value) == JSONRenderer().render(value).decode()


def test_whose_patience_ends_gets_202_and_where_to_look(cast: Cast, api: Caller) -> None:
    answer = api(cast.alice).post(RUNS, ANN, Prefer="wait=0")
    assert (answer.status_code, answer.json()["state"]) == (202, "queued")
    assert api(cast.alice).get(answer.headers["Location"].removeprefix("/api/v1")).json()["id"] == answer.json()["id"]
    assert api(cast.alice).post(RUNS, ANN, Prefer="respond-async, wait=1").status_code == 202


def events(answer: Any) -> list[tuple[str, str]]:
    """(event, data) of a stream, in order."""

    async def all_of_it() -> bytes:
        return b"".join([part async for part in answer.streaming_content])

    found = []
    for block in asyncio.run(all_of_it()).decode().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if lines:
            found.append((lines["event"], lines["data"], lines.get("id", "")))
    return found  # type: ignore[return-value]


def test_a_run_is_followed_as_it_happens_and_again_from_where_one_was(
    cast: Cast, api: Caller, model: FakeModel
) -> None:
    model.script(Answer('{"greting": 1}'), greeting("Hello Ann"))
    run = ask(api(cast.alice))
    look()
    followed = events(api(cast.alice).get(f"/runs/{run['id']}/events"))
    names = [event[0] for event in followed]
    assert names[:2] == ["queued", "started"] and "repair" in names and names[-1] == "done"
    assert '"Hello Ann"' in followed[-1][1]
    rest = events(api(cast.alice).get(f"/runs/{run['id']}/events", Last_Event_ID=followed[-2][2]))
    assert [event[0] for event in rest] == ["done"]


def test_a_new_run_streams_when_asked_to(cast: Cast, api: Caller, model: FakeModel) -> None:
    with a_worker():
        answer = api(cast.alice).post(RUNS, ANN, Accept="text/event-stream")
        names = [event[0] for event in events(answer)]
    assert (names[0], names[-1]) == ("queued", "done")


@pytest.mark.parametrize("seen", ["x", "1", "1-2-3", "'"])
def test_an_event_id_that_is_none_is_400(seen: str, cast: Cast, api: Caller) -> None:
    run = ask(api(cast.alice))
    assert kind(api(cast.alice).get(f"/runs/{run['id']}/events", Last_Event_ID=seen)) == (400, "malformed")


def test_bad_input_is_named_violation_by_violation_and_makes_no_run(cast: Cast, api: Caller) -> None:
    answer = api(cast.alice).post(RUNS, {"input": {"nam": "Ann", "name": 5}}, **ASYNC)
    assert kind(answer) == (422, "invalid")
    assert {pointer for pointer, _ in problems(answer)} == {"/input/nam", "/input/name"}
    assert api(cast.alice).get("/runs").json()["items"] == []


def test_the_input_is_held_against_the_schema_that_is_effective_for_who_asks(cast: Cast, api: Caller) -> None:
    shorter = behavior()["input"]
    shorter["properties"]["name"] = {"type": "string", "maxLength": 2}
    api(cast.alice).put(f"{GREETING}/pin/user", {"version": 1})
    publish(api, cast, input=shorter, examples__first=None)
    assert problems(api(cast.bob).post(RUNS, ANN, **ASYNC)) == {("/input/name", "maxLength")}
    assert api(cast.alice).post(RUNS, ANN, **ASYNC).status_code == 202


def test_a_run_that_fails_says_how(cast: Cast, api: Caller, model: FakeModel) -> None:
    model.default = lambda _: Answer('{"greeting": 7}')
    run = ask(api(cast.alice))
    look()
    shown = api(cast.alice).get(f"/runs/{run['id']}").json()
    assert (shown["state"], shown["error"]["type"], shown["output"]) == ("failed", "invalid", None)
    assert shown["error"]["problems"][0]["pointer"] == "/greeting"


# Idempotency, over HTTP.


def test_the_same_key_makes_one_run_quoted_or_bare(cast: Cast, api: Caller) -> None:
    first = api(cast.alice).post(RUNS, ANN, Idempotency_Key="order:7", **ASYNC)
    again = api(cast.alice).post(RUNS, ANN, Idempotency_Key='"order:7"', **ASYNC)
    assert (first.json()["id"], "Idempotency-Replayed" in first.headers) == (again.json()["id"], False)
    assert again.headers["Idempotency-Replayed"] == "true"


def test_a_replay_gives_the_run_as_it_is_now(cast: Cast, api: Caller, model: FakeModel) -> None:
    api(cast.alice).post(RUNS, ANN, Idempotency_Key="k", **ASYNC)
    look()
    again = api(cast.alice).post(RUNS, ANN, Idempotency_Key="k", **ASYNC)
    assert (again.status_code, again.json()["state"], len(model.requests)) == (200, "succeeded", 1)


def test_the_same_key_with_another_body_is_422(cast: Cast, api: Caller) -> None:
    api(cast.alice).post(RUNS, ANN, Idempotency_Key="k", **ASYNC)
    refused = api(cast.alice).post(RUNS, {"input": {"name": "Bea"}}, Idempotency_Key="k", **ASYNC)
    assert kind(refused) == (422, "invalid")
    assert len(api(cast.alice).get("/runs").json()["items"]) == 1


def test_a_refused_request_does_not_use_its_key_up(cast: Cast, api: Caller) -> None:
    assert api(cast.alice).post(RUNS, {"input": {}}, Idempotency_Key="k", **ASYNC).status_code == 422
    assert api(cast.alice).post(RUNS, ANN, Idempotency_Key="k", **ASYNC).status_code == 202


def test_one_persons_key_is_not_anothers(cast: Cast, api: Caller) -> None:
    ids = {ask(api(who), Idempotency_Key="k")["id"] for who in (cast.alice, cast.bob, cast.mallory)}
    assert len(ids) == 3


@pytest.mark.parametrize("key", ["", '""', "a b", "x" * 256, '"a', "é"])
def test_a_key_that_is_none_is_400(key: str, cast: Cast, api: Caller) -> None:
    assert kind(api(cast.alice).post(RUNS, ANN, Idempotency_Key=key, **ASYNC)) == (400, "malformed")


# What may be seen, cancelled and rated, and by whom.


def test_everybody_sees_their_own_runs_and_admins_the_organisations(cast: Cast, api: Caller) -> None:
    u1 = {"Bespoke_User": "u1"}
    made = {
        "alice": ask(api(cast.alice))["id"],
        "u1": ask(api(cast.acme_service, **u1))["id"],
        "mallory": ask(api(cast.mallory))["id"],
    }

    def seen(knock: Knock, query: str = "") -> list[str]:
        return [run["id"] for run in knock.get(f"/runs{query}").json()["items"]]

    assert seen(api(cast.alice)) == [made["alice"]] and seen(api(cast.bob)) == []
    assert seen(api(cast.acme_service, **u1)) == [made["u1"]] and seen(api(cast.acme_service)) == []
    assert seen(api(cast.ada)) == [made["u1"], made["alice"]]
    assert seen(api(cast.ada), "?user=u1") == [made["u1"]] and seen(api(cast.gus)) == [made["mallory"]]
    assert kind(api(cast.alice).get("/runs?user=u1")) == (403, "forbidden")


def test_runs_are_found_by_state_and_feature(cast: Cast, api: Caller, model: FakeModel) -> None:
    first = ask(api(cast.alice))["id"]
    look()
    second = ask(api(cast.alice))["id"]
    for query, expected in {
        "state=succeeded": [first],
        "state=queued": [second],
        "feature=greet": [second, first],
    }.items():
        assert [run["id"] for run in api(cast.alice).get(f"/runs?{query}").json()["items"]] == expected


STRANGERS = ["bob", "vera", "mallory", "gus", "acme_service", "globex_service"]


@pytest.mark.parametrize("who", STRANGERS)
def test_somebody_elses_run_is_not_there(who: str, cast: Cast, api: Caller) -> None:
    run, stranger = ask(api(cast.alice))["id"], api(getattr(cast, who))
    unknown = "01890a5d-ac96-774b-bcce-b302099a8057"
    for path in ("/runs/{}", "/runs/{}/events"):
        there, nowhere = (stranger.get(path.format(pk), X_Request_Id="the-same") for pk in (run, unknown))
        assert (there.status_code, there.content) == (404, nowhere.content)
    assert api(cast.alice).get(f"/runs/{run}").status_code == 200


def test_a_run_that_has_not_begun_is_cancelled_at_once(cast: Cast, api: Caller) -> None:
    run = ask(api(cast.alice))["id"]
    cancelled = api(cast.alice).post(f"/runs/{run}/cancel")
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    assert kind(api(cast.alice).post(f"/runs/{run}/cancel")) == (409, "conflict")
    assert [event[0] for event in events(api(cast.alice).get(f"/runs/{run}/events"))][-1] == "cancelled"


def test_a_run_is_cancelled_by_nobody_else(cast: Cast, api: Caller) -> None:
    run = ask(api(cast.alice))["id"]
    assert kind(api(cast.bob).post(f"/runs/{run}/cancel")) == (404, "not-found")
    assert kind(api(cast.mallory).post(f"/runs/{run}/cancel")) == (404, "not-found")
    assert api(cast.ada).post(f"/runs/{run}/cancel").status_code == 200


def test_an_output_is_rated_and_corrected_within_its_own_schema(cast: Cast, api: Caller, model: FakeModel) -> None:
    run = ask(api(cast.alice))["id"]
    feedback = f"/runs/{run}/feedback"
    assert kind(api(cast.alice).put(feedback, {"verdict": "good"})) == (409, "conflict")
    look()
    wrong = api(cast.alice).put(feedback, {"verdict": "bad", "correction": {"greeting": 3}})
    assert problems(wrong) == {("/correction/greeting", "type")}
    good = {"verdict": "bad", "correction": {"greeting": "Hi"}, "note": "Too stiff"}
    assert api(cast.alice).put(feedback, good).json()["feedback"] == good
    assert kind(api(cast.bob).put(feedback, good)) == (404, "not-found")
    assert problems(api(cast.alice).put(feedback, {"verdict": "so so"})) == {("/verdict", "invalid_choice")}


def test_a_viewer_runs_nothing(cast: Cast, api: Caller) -> None:
    assert kind(api(cast.vera).post(RUNS, ANN, **ASYNC)) == (403, "forbidden")
    assert kind(api(cast.vera).post(RUNS, {"nonsense": 1}, **ASYNC)) == (403, "forbidden")


def test_a_run_names_the_versions_that_served_it_whatever_moves_afterwards(
    cast: Cast, api: Caller, model: FakeModel
) -> None:
    api(cast.ada).put(OURS, {"set": {"vars.language": "Dutch"}}, **FIRST)
    api(cast.alice).put(MINE, {"set": {"vars.tone": "warm"}}, **FIRST)
    run = ask(api(cast.alice))
    publish(api, cast)
    api(cast.alice).delete(MINE)
    look()
    receipt = api(cast.alice).get(f"/runs/{run['id']}").json()["receipt"]
    assert receipt == run["receipt"]
    assert (receipt["base"], receipt["tenant"], receipt["user"]) == (1, 1, 1)


def test_usage_is_counted_by_what_one_asks(cast: Cast, api: Caller, model: FakeModel) -> None:
    api(cast.alice).put(MINE, {"set": {"vars.tone": "warm"}}, **FIRST)
    for who in (cast.alice, cast.bob, cast.mallory):
        ask(api(who))
    while look():
        pass

    def counted(by: str, query: str = "") -> dict[str, int]:
        rows = api(cast.ada).get(f"/usage?by={by}{query}").json()["items"]
        return {row["key"]: row["runs"] for row in rows}

    assert counted("feature") == {"greet": 2} and counted("layer") == {"user": 1, "base": 1}
    assert counted("user") == {cast.alice.subject.key: 1, cast.bob.subject.key: 1}
    assert counted("model") == {"standard": 2} and list(counted("day").values()) == [2]
    assert counted("feature", "&to=2020-01-01T00:00:00Z") == {} == counted("feature", "&from=2999-01-01T00:00:00Z")
    assert kind(api(cast.alice).get("/usage")) == (403, "forbidden")
