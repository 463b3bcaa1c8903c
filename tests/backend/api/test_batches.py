"""Batches: many inputs at once by HTTP, each a run of its own; what they cost, how they end, and who sees them."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connections

from features.actions.availability import set_caching
from features.actions.versions import publish
from features.runs import batch_ends, batches, progress
from features.runs.batch_ends import end_batches
from features.runs.budgets import add_budget
from features.runs.dispatch import claim
from features.runs.forgetting import delete_old_runs, forget_unstored
from features.runs.models import Batch, IdempotencyKey, Ledger, Queued, RefusedItem, Run, State
from tenants.actor import Actor
from tenants.models import AuditEvent
from tests.cast import GREET, Cast
from tests.conftest import Knock
from tests.fakes.model import FakeModel, greeting
from tests.working import look

GREETING = "/features/greet"
LINES = "application/x-ndjson"
Caller = Callable[..., Knock]


def items(*names: Any) -> list[dict[str, Any]]:
    return [{"input": {"name": name}, "key": f"k{place}"} for place, name in enumerate(names)]


def post(api: Caller, who: Actor, body: Any, query: str = "", **headers: str) -> Any:
    return api(who).post(f"{GREETING}/batches{query}", body, **headers)


def post_lines(api: Caller, who: Actor, text: str, content_type: str = LINES, **headers: str) -> Any:
    knock = api(who)
    given = {**knock.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return knock.client.post(f"/api/v1{GREETING}/batches", text, content_type=content_type, headers=given)


def work() -> None:
    while look():
        pass
    end_batches()


def results(api: Caller, who: Actor, batch: str, query: str = "") -> list[dict[str, Any]]:
    answer = api(who).get(f"/batches/{batch}/results{query}")
    assert (answer.status_code, answer["Content-Type"]) == (200, LINES)
    return [json.loads(line) for line in b"".join(_parts(answer)).splitlines()]


def _parts(answer: Any) -> list[bytes]:
    async def whole() -> list[bytes]:
        return [part async for part in answer.streaming_content]

    return async_to_sync(whole)()


def show(api: Caller, who: Actor, batch: str) -> dict[str, Any]:
    answer = api(who).get(f"/batches/{batch}")
    assert answer.status_code == 200, answer.content
    body: dict[str, Any] = answer.json()
    return body


@pytest.mark.parametrize("form", ["list", "lines"])
def test_each_item_is_a_run_and_the_results_come_in_the_order_of_the_items(
    form: str, cast: Cast, api: Caller, model: FakeModel
) -> None:
    model.default = lambda asked: greeting(asked["messages"][-1]["content"][-200:])
    given = [*items("Ann", "Bea"), {"input": {"nom": "Cid"}, "key": "wrong"}, {"input": {"name": "Dora"}}]
    if form == "list":
        answer = post(api, cast.alice, given)
    else:
        answer = post_lines(api, cast.alice, "\n".join(map(json.dumps, given)))
    body = answer.json()
    assert answer.status_code == 202 and answer["Location"] == f"/api/v1/batches/{body['id']}", body
    assert (body["state"], body["items"], body["finished"]) == ("running", 4, None)
    assert body["counts"] == {
        "queued": 3, "running": 0, "succeeded": 0, "failed": 0, "cancelled": 0, "refused": 1,
    }  # fmt: skip
    work()
    body = show(api, cast.alice, body["id"])
    assert (body["state"], body["counts"]["succeeded"], body["estimate"]) == ("finished", 3, None)
    assert body["finished"] is not None and body["cost"]["micro"] == 3 * 140
    found = results(api, cast.alice, body["id"])
    assert [(row["place"], row["key"], row["state"]) for row in found] == [
        (0, "k0", "succeeded"), (1, "k1", "succeeded"), (2, "wrong", "refused"), (3, "", "succeeded"),
    ]  # fmt: skip
    assert all(name in str(row["output"]) for name, row in zip(("Ann", "Bea"), found, strict=False))
    assert found[2]["run"] is None and found[2]["error"]["problems"][0]["pointer"].startswith("/input")
    run = api(cast.alice).get(f"/runs/{found[0]['run']}").json()
    assert run["batch"] == body["id"] and run["receipt"] == body["receipt"]
    with cast.alice.present():
        assert Ledger.objects.count() == 3 and not Queued.objects.exists()
    assert results(api, cast.alice, body["id"], "?after=1") == found[2:]


def test_results_go_over_pages_and_what_is_not_done_is_said(
    cast: Cast, api: Caller, model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PAGE", 2)
    monkeypatch.setattr(batches, "AT_ONCE", 3)
    given = [{"input": {"name": f"N{place}"}} if place % 3 else {"input": {}} for place in range(11)]
    batch = post(api, cast.alice, given).json()["id"]
    found = results(api, cast.alice, batch)
    assert [row["place"] for row in found] == list(range(11))
    assert [row["state"] for row in found] == ["queued" if place % 3 else "refused" for place in range(11)]


def test_a_batch_with_nothing_to_run_is_refused_with_where_and_why(cast: Cast, api: Caller) -> None:
    for body, pointer in (([], None), (items(7, 8), "/0/input/name"), ([1], "/0"), ([{"input": 1, "\0": 2}], "/0")):
        answer = post(api, cast.alice, body)
        assert answer.status_code == 422, answer.content
        assert pointer is None or answer.json()["errors"][0]["pointer"] == pointer
    with cast.alice.present():
        assert not Batch.objects.exists() and not Run.objects.exists() and not RefusedItem.objects.exists()


@pytest.mark.parametrize(("text", "content_type", "status"), [
    ("{}", "application/json", 400), ("[", "application/json", 400), ("a,b", "text/csv", 415), ("\n", LINES, 422),
])  # fmt: skip
def test_what_is_no_batch_is_told_apart(text: str, content_type: str, status: int, cast: Cast, api: Caller) -> None:
    assert post_lines(api, cast.alice, text, content_type).status_code == status


def test_one_item_or_byte_too_many_and_nothing_is_taken_in(
    cast: Cast, api: Caller, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setattr(batches, "MOST_ITEMS", 4)
    monkeypatch.setattr(batches, "AT_ONCE", 2)
    assert post(api, cast.alice, items(*"abcde")).status_code == 413
    settings.BATCH_BYTES = 100
    assert post(api, cast.alice, items(*"abcd")).status_code == 413
    with cast.alice.present():
        assert not Batch.objects.exists() and not Run.objects.exists() and not Queued.objects.exists()
        assert not AuditEvent.objects.filter(verb="run.create").exists()
    settings.BATCH_BYTES = 10_000
    assert post(api, cast.alice, items(*"abcd")).status_code == 202


def test_a_key_makes_one_batch_and_is_good_for_the_same_bytes_alone(cast: Cast, api: Caller) -> None:
    first = post(api, cast.alice, items("Ann"), Idempotency_Key="once")
    again = post(api, cast.alice, items("Ann"), Idempotency_Key="once")
    assert (again.status_code, again["Idempotency-Replayed"], again.json()["id"]) == (202, "true", first.json()["id"])
    for other in (items("Bea"), items("Ann", "Bea")):
        assert post(api, cast.alice, other, Idempotency_Key="once").status_code == 422
    assert post(api, cast.alice, items("Ann"), "?store=false", Idempotency_Key="once").status_code == 422
    assert (
        api(cast.alice).post(f"{GREETING}/runs", {"input": {"name": "Ann"}}, Idempotency_Key="once").status_code == 422
    )
    assert post(api, cast.bob, items("Ann"), Idempotency_Key="once").json()["id"] != first.json()["id"]
    with cast.alice.present():
        assert Run.objects.count() == 2 and IdempotencyKey.objects.count() == 2


def test_all_items_keep_the_behavior_that_they_were_taken_in_with(cast: Cast, api: Caller, model: FakeModel) -> None:
    batch = post(api, cast.alice, items("Ann", "Bea")).json()
    assert look() == 2
    changed = {**GREET, "prompt": "Something else for {{ input.name }}."}
    publish(cast.greet, behavior=changed, make_current=True, by=cast.operator)
    second = post(api, cast.alice, items("Ann")).json()
    assert second["receipt"]["digest"] != batch["receipt"]["digest"]
    with cast.alice.present():
        digests = {run.receipt["digest"] for run in Run.objects.filter(batch=batch["id"])}
    assert digests == {batch["receipt"]["digest"]}


def test_equal_items_are_asked_once_and_a_fresh_batch_asks_again(cast: Cast, api: Caller, model: FakeModel) -> None:
    set_caching(cast.greet, 3600, by=cast.operator)
    first = post(api, cast.alice, items("Ann", "Ann", "Ann")).json()["id"]
    work()
    body = show(api, cast.alice, first)
    assert (len(model.requests), body["cached"], body["counts"]["succeeded"]) == (1, 2, 3)
    assert body["cost"]["micro"] == 140
    post(api, cast.bob, items("Ann"))
    work()
    assert len(model.requests) == 1
    post(api, cast.alice, items("Ann"), Cache_Control="no-cache")
    work()
    assert len(model.requests) == 2


def test_nobody_waits_for_an_item_that_waits(cast: Cast, api: Caller, model: FakeModel) -> None:
    set_caching(cast.greet, 3600, by=cast.operator)
    post(api, cast.alice, items("Ann"))
    run = api(cast.alice).post(f"{GREETING}/runs", {"input": {"name": "Ann"}}, Prefer="respond-async").json()
    with cast.alice.present():
        assert Queued.objects.get(pk=run["id"]).follows is None
    claimed = claim()
    assert claimed is not None and str(claimed.run_id) == run["id"]  # and it passes the batch by


def test_cancelling_ends_what_waits_at_once_and_asks_what_runs_to_stop(
    cast: Cast, api: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_ends, "PIECE", 2)
    batch = post(api, cast.alice, items(*"abcdef")).json()["id"]
    other = post(api, cast.alice, items("x")).json()["id"]
    assert claim() is not None  # a worker has the first
    answer = api(cast.alice).post(f"/batches/{batch}/cancel")
    body = answer.json()
    assert (answer.status_code, body["state"], body["counts"]["cancelled"], body["counts"]["queued"]) == (
        202, "cancelling", 5, 1,
    )  # fmt: skip
    with cast.alice.present():
        assert Queued.objects.get(item_of=batch).cancel_requested_at is not None
        assert Ledger.objects.filter(state=State.CANCELLED).count() == 5
        assert Queued.objects.filter(item_of=other).count() == 1
    assert api(cast.alice).post(f"/batches/{other}/cancel").status_code == 200
    assert api(cast.alice).post(f"/batches/{other}/cancel").status_code == 409
    end_batches()
    assert show(api, cast.alice, other)["state"] == "cancelled"


def test_a_cancel_that_a_crash_cut_short_is_gone_on_with(cast: Cast, api: Caller) -> None:
    batch = post(api, cast.alice, items(*"abc")).json()["id"]
    with cast.alice.present(), connections["default"].cursor() as cursor:
        cursor.execute("UPDATE runs_batch SET cancel_requested_at = now()")
    end_batches()
    end_batches()
    assert show(api, cast.alice, batch)["state"] == "cancelled"


def test_what_a_batch_holds_of_a_budget_is_held_by_the_call(cast: Cast, api: Caller, model: FakeModel) -> None:
    add_budget(period="day", soft=None, hard=2000, by=cast.ada)
    batch = post(api, cast.alice, items(*map(str, range(40)))).json()["id"]
    work()
    counts = show(api, cast.alice, batch)["counts"]
    assert counts["failed"] > 0 and counts["succeeded"] > 0
    errors = {row["error"]["type"] for row in results(api, cast.alice, batch) if row["state"] == "failed"}
    assert errors == {"over_budget"}
    with cast.alice.present():
        spent = sum(row.cost for row in Ledger.objects.all())
    assert spent <= 2000
    assert api(cast.ada).get("/budgets").json()["items"][0]["reserved"]["micro"] == 0


def test_one_organisation_has_so_many_batches_open(cast: Cast, api: Caller, model: FakeModel, settings: Any) -> None:
    settings.OPEN_BATCHES = 1
    assert post(api, cast.alice, items("Ann")).status_code == 202
    answer = post(api, cast.bob, items("Ann"))
    assert answer.status_code == 429 and answer["Retry-After"]
    assert post(api, cast.mallory, items("Ann")).status_code == 202
    work()
    assert post(api, cast.bob, items("Ann")).status_code == 202


def test_who_sees_a_batch(cast: Cast, api: Caller) -> None:
    batch = post(api, cast.alice, items("Ann")).json()["id"]
    for who, status in ((cast.alice, 200), (cast.ada, 200), (cast.bob, 404), (cast.mallory, 404)):
        assert api(who).get(f"/batches/{batch}").status_code == status
        assert api(who).get(f"/batches/{batch}/results").status_code == status
        listed = [row["id"] for row in api(who).get("/batches").json()["items"]]
        assert listed == ([batch] if status == 200 else [])
    assert api(cast.bob).post(f"/batches/{batch}/cancel").status_code == 404
    assert api(cast.alice).get("/runs").json()["items"] == []
    assert len(api(cast.alice).get(f"/runs?batch={batch}").json()["items"]) == 1
    assert api(cast.alice).get("/runs?batch=x").status_code == 400


def test_what_is_not_stored_can_be_fetched_until_an_hour_after_the_end(
    cast: Cast, api: Caller, model: FakeModel, settings: Any
) -> None:
    settings.UNSTORED_BATCH_SECONDS = settings.UNSTORED_SECONDS = 0
    batch = post(api, cast.alice, items("Ann"), "?store=false").json()["id"]
    assert look() == 1
    forget_unstored()
    assert results(api, cast.alice, batch)[0]["output"] is not None  # the batch has not ended yet
    end_batches()
    forget_unstored()
    found = results(api, cast.alice, batch)
    assert (found[0]["state"], found[0]["output"]) == ("succeeded", None)


def test_retention_takes_batches_with_their_runs(cast: Cast, api: Caller, model: FakeModel) -> None:
    batch = post(api, cast.alice, [*items("Ann"), {"input": {}}]).json()["id"]
    work()
    assert api(cast.ada).patch("/tenant", {"policy": {"retention_days": 1}}).status_code == 200
    delete_old_runs()
    assert len(results(api, cast.alice, batch)) == 2
    long_ago = "01890000-0000-7000-8000-000000000000"
    with cast.alice.present():
        old = Batch.objects.get(pk=batch)
        old.pk = long_ago
        old.save(force_insert=True)
        RefusedItem.objects.create(tenant_id=old.tenant_id, batch_id=long_ago, place=0, error={})
    delete_old_runs()
    with cast.alice.present():
        assert not Batch.objects.filter(pk=long_ago).exists() and RefusedItem.objects.count() == 1


def test_an_estimate_says_what_is_left_by_what_was(cast: Cast, api: Caller, model: FakeModel) -> None:
    first = post(api, cast.alice, items("a")).json()
    assert first["estimate"] == {"cost_left": None, "seconds_left": None}
    work()
    told = post(api, cast.alice, items(*"bcd")).json()["estimate"]
    assert (told["cost_left"]["micro"], told["seconds_left"]) == (3 * 140, None)
    batch = show(api, cast.alice, first["id"])
    assert batch["estimate"] is None
