"""If-Match wherever state is replaced: who has not seen what is there now writes over nothing."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import OperationalError, connections

from backend.api import budgets
from backend.api.openapi import document
from features.runs.models import Budget
from tests.canaries import superuser
from tests.cast import Cast
from tests.fakes.model import FakeModel, greeting
from tests.working import look

from .acts import FIRST, GREETING, MINE, kind, publish
from .conftest import Caller
from .test_operators import hire
from .test_webhooks import BODY as HOOK

# What these do is no replacing: they end something that nobody changes.
ENDS = {
    "delete_one_preview", "delete_one_invitation", "delete_one_operator_key", "delete_one_provider_key",
    "delete_support_access", "delete_withdraw", "delete_pin_of",
}  # fmt: skip
FAR, FARTHER = "2099-01-01T00:00:00Z", "2099-02-01T00:00:00Z"


@dataclass
class Place:
    """Where something is replaced, by whom: two writes that differ, and whether nothing may be there at first."""

    who: Any
    path: str
    method: str
    body: Any
    other: Any
    empty: bool = False


Stage = tuple[Cast, Caller]


def operators(path: str, method: str, body: Any, other: Any, *, empty: bool = False) -> Callable[[Stage], Place]:
    return lambda stage: Place(stage[1](stage[0].operator), path, method, body, other, empty)


def of_new(door: str, made: Any, method: str, body: Any, other: Any) -> Callable[[Stage], Place]:
    def place(stage: Stage) -> Place:
        ada = stage[1](stage[0].ada)
        answer = ada.post(door, made)
        assert answer.status_code == 201, answer.content
        return Place(ada, f"{door}/{answer.json()['id']}", method, body, other)

    return place


def mine(path: str, body: Any, other: Any) -> Callable[[Stage], Place]:
    return lambda stage: Place(stage[1](stage[0].alice), path, "put", body, other, empty=True)


def tenants_policy(stage: Stage) -> Place:
    said = [{"policy": {"users_may_pin": days}} for days in (30, 60)]
    return Place(stage[1](stage[0].ada), "/tenant", "patch", *said)


def current(stage: Stage) -> Place:
    publish(stage[1], stage[0], move=False, vars__tone="warm")
    return Place(stage[1](stage[0].operator), f"{GREETING}/current", "put", {"version": 2}, {"version": 1})


def alias(stage: Stage) -> Place:
    newer = {"alias": "standard", "provider": "demo", "model": "newer", "input_price": 5, "output_price": 7}
    vendor = stage[1](stage[0].operator)
    assert vendor.post("/models", newer).status_code == 201
    return Place(vendor, "/models/standard", "put", {"revision": 1}, {"revision": 2})


def target(stage: Stage) -> Place:
    place = alias(stage)
    return Place(place.who, "/models/standard/targets/1", "put", {"ends": FAR}, {"ends": FARTHER})


def feedback(stage: Stage) -> Place:
    alice = stage[1](stage[0].alice)
    run = alice.post(f"{GREETING}/runs", {"input": {"name": "Ann"}}, Prefer="respond-async").json()["id"]
    look()
    assert alice.get(f"/runs/{run}").json()["state"] == "succeeded"
    return Place(alice, f"/runs/{run}/feedback", "put", {"verdict": "good"}, {"verdict": "bad"}, empty=True)


LIMITS = ({"requests_per_minute": 5}, {"requests_per_minute": 6})
KEY = {"kind": "service", "name": "our shop"}
PLACES: dict[str, Callable[[Stage], Place]] = {
    "put_override": mine(MINE, {"set": {"vars.tone": "warm"}}, {"set": {"vars.tone": "formal"}}),
    "put_pin": mine(f"{GREETING}/pin/user", {"version": 1}, {"version": 1, "reason": "it works"}),
    "put_run_feedback": feedback,
    "put_one_budget": of_new("/budgets", {"period": "day", "hard": 10}, "put", {"hard": 20}, {"hard": 30}),
    "patch_one_webhook": of_new("/webhooks", HOOK, "patch", {"description": "a"}, {"description": "b"}),
    "patch_one_key": of_new("/keys", KEY, "patch", *LIMITS),
    "patch_one_member": of_new(
        "/members", {"email": "eve@acme.example", "role": "viewer"}, "patch", {"role": "member"}, {"role": "admin"}
    ),
    "patch_tenant": tenants_policy,
    "put_availability": operators(f"{GREETING}/availability", "put", {"add": ["acme"]}, {"add": ["globex"]}),
    "put_caching": operators(f"{GREETING}/caching", "put", {"seconds": 5}, {"seconds": 6}, empty=True),
    "put_retirement": operators(f"{GREETING}/retirement", "put", {"at": FAR}, {"at": FARTHER}, empty=True),
    "put_current": current,
    "put_alias": alias,
    "put_one_target": target,
    "patch_one_tenant": operators("/tenants/globex", "patch", *LIMITS),
}
# Which place these take away from, and what they say.
AWAY = {
    "delete_override": "put_override", "delete_pin": "put_pin", "delete_one_budget": "put_one_budget",
    "delete_one_webhook": "patch_one_webhook", "delete_one_key": "patch_one_key",
    "delete_one_member": "patch_one_member", "delete_retirement": "put_retirement",
    "delete_one_target": "put_one_target",
}  # fmt: skip
ELSEWHERE = {"put_override_field", "delete_override_field", "delete_override_of"}  # their ETag is the override's


@pytest.fixture
def stage(cast: Cast, api: Caller, model: FakeModel) -> Stage:
    model.script(greeting("Hello Ann"))
    return cast, api


def test_every_write_replaces_under_a_condition_or_ends_something(cast: Cast) -> None:
    reading: set[str] = set()
    others: set[str] = set()
    for item in document()["paths"].values():
        for method in {"put", "patch", "delete"} & item.keys():
            named = {parameter["name"] for parameter in item[method]["parameters"]}
            (reading if "If-Match" in named else others).add(item[method]["operationId"])
            if "If-Match" in named and "get" in item:
                assert "ETag" in item["get"]["responses"]["200"]["headers"]
    assert reading == {*PLACES, *AWAY, *ELSEWHERE}
    assert others == ENDS


def send(place: Place, body: Any, **headers: str) -> Any:
    return place.who.request(place.method, place.path, body, **headers)


@pytest.mark.parametrize("operation", PLACES)
def test_only_who_saw_what_is_there_replaces_it(operation: str, stage: Stage) -> None:
    place = PLACES[operation](stage)
    seen = place.who.get(place.path).headers["ETag"]
    first = send(place, place.body, If_Match=seen)
    assert first.status_code == 200, first.content
    now = place.who.get(place.path)
    assert first.headers["ETag"] == now.headers["ETag"] != seen
    stale = send(place, place.other, If_Match=seen)
    assert kind(stale) == (412, "stale") and "again" in stale.json()["detail"]
    assert place.who.get(place.path).content == now.content
    assert kind(send(place, place.other, If_None_Match="*")) == (412, "stale")
    assert kind(send(place, place.other, If_Match="seven")) == (400, "malformed")
    assert place.who.get(place.path).content == now.content
    assert send(place, place.other, If_Match=now.headers["ETag"]).status_code == 200
    assert place.who.get(place.path).headers["ETag"] != now.headers["ETag"]


@pytest.mark.parametrize("operation", PLACES)
def test_the_first_may_say_that_there_is_nothing_yet(operation: str, stage: Stage) -> None:
    place = PLACES[operation](stage)
    assert send(place, place.body, If_None_Match="*").status_code == (200 if place.empty else 412)
    assert send(place, place.other, If_None_Match="*").status_code == 412


@pytest.mark.parametrize("operation", AWAY)
def test_only_who_saw_it_takes_it_away(operation: str, stage: Stage) -> None:
    place = PLACES[AWAY[operation]](stage)
    assert send(place, place.body, **(FIRST if AWAY[operation] == "put_override" else {})).status_code == 200
    seen = place.who.get(place.path).headers["ETag"]
    assert send(place, place.other, If_Match=seen).status_code == 200
    now = place.who.get(place.path)
    assert kind(place.who.delete(place.path, If_Match=seen)) == (412, "stale")
    assert place.who.get(place.path).content == now.content
    assert place.who.delete(place.path, If_Match=now.headers["ETag"]).status_code in (200, 204)


def test_where_there_is_no_etag_one_is_not_passed_over(cast: Cast, api: Caller) -> None:
    """RFC 9110, 13.1.1: a condition that cannot hold is not carried out."""
    refused = api(cast.ada).delete("/support-access", If_Match='"1"')
    assert kind(refused) == (412, "stale") and "Leave If-Match out" in refused.json()["detail"]
    assert api(cast.ada).delete("/support-access", If_Match="*").status_code == 204
    assert kind(api(cast.ada).post("/keys", {"kind": "service", "name": "x"}, If_Match='"1"')) == (412, "stale")


@pytest.mark.parametrize("of", ["current", "caching", "retirement", "availability"])
def test_a_method_that_there_is_not_is_no_more_under_a_condition(of: str, cast: Cast, api: Caller) -> None:
    asked = api(cast.operator).patch(f"{GREETING}/{of}", {}, If_Match='"1"')
    assert (asked.status_code, "PUT" in asked.headers["Allow"]) == (405, True)


def test_an_admin_takes_out_the_changes_that_they_saw(cast: Cast, api: Caller) -> None:
    api(cast.alice).put(MINE, {"set": {"vars.tone": "warm"}}, **FIRST)
    door = f"{GREETING}/overrides/{cast.alice.acting_for().key}"
    assert kind(api(cast.ada).delete(door, If_Match='"7"')) == (412, "stale")
    assert api(cast.ada).delete(door, If_Match='"1"').status_code == 200


def test_of_two_who_saw_the_same_one_writes(cast: Cast, api: Caller) -> None:
    budget = api(cast.ada).post("/budgets", {"period": "day", "hard": 10}).json()["id"]
    seen, together = api(cast.ada).get(f"/budgets/{budget}").headers["ETag"], threading.Barrier(8)
    answers: list[int] = []

    def write(amount: int) -> None:
        try:
            together.wait()
            answers.append(api(cast.ada).put(f"/budgets/{budget}", {"hard": amount}, If_Match=seen).status_code)
        finally:
            for connection in connections.all():
                connection.close()

    writers = [threading.Thread(target=write, args=(20 + n,)) for n in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(answers) == [200] + [412] * 7


def test_nobody_writes_between_the_look_and_the_write(cast: Cast, api: Caller, monkeypatch: Any) -> None:
    """Not even who sends no condition, as a page does not: what is compared is held until COMMIT."""
    budget = api(cast.ada).post("/budgets", {"period": "day", "hard": 10}).json()["id"]
    seen = api(cast.ada).get(f"/budgets/{budget}").headers["ETag"]
    change, met = budgets.change_budget, list[bool]()

    def is_held() -> bool:
        try:
            with cast.ada.present():
                list(Budget.objects.select_for_update(nowait=True).filter(pk=budget))
        except OperationalError:
            return True
        finally:
            for connection in connections.all():
                connection.close()
        return False

    def late(*given: Any, **named: Any) -> Any:
        with ThreadPoolExecutor(1) as other:
            met.append(other.submit(is_held).result())
        return change(*given, **named)

    monkeypatch.setattr(budgets, "change_budget", late)
    assert api(cast.ada).put(f"/budgets/{budget}", {"hard": 20}, If_Match=seen).status_code == 200
    assert met == [True]


def test_asking_another_operator_is_kept_under_a_condition_too(cast: Cast, api: Caller, settings: Any) -> None:
    publish(api, cast, move=False, vars__tone="formal")
    (_, ask), (_, decide) = hire("pat", "publish"), hire("quinn", "publish")
    settings.SECOND_APPROVAL = True
    seen = ask.get(f"{GREETING}/current").headers["ETag"]
    asked = ask.put(f"{GREETING}/current", {"version": 2}, If_Match=seen)
    assert kind(asked) == (403, "approval-needed")
    assert [row["id"] for row in decide.get("/approvals").json()["items"]] == [asked.json()["approval"]]


@pytest.mark.parametrize("operation", PLACES)
def test_who_may_not_write_learns_no_more_by_a_condition(operation: str, stage: Stage) -> None:
    """And moves no stamp: a condition is looked at for who may see what it is about."""
    place, (cast, api) = PLACES[operation](stage), stage
    for who in (cast.mallory, cast.vera, cast.operator, cast.gus):
        if api(who).headers == place.who.headers:
            continue
        plain = api(who).request(place.method, place.path, place.body, **(FIRST if operation == "put_override" else {}))
        if plain.status_code < 300:
            continue  # theirs, as a user of their own
        before = stamps()
        answer = api(who).request(place.method, place.path, place.body, If_Match='"x"')
        assert answer.status_code in (plain.status_code, 404, 412), (who.name, answer.content)
        assert answer.status_code < 500 and stamps() == before


def stamps() -> list[Any]:
    with superuser() as db:
        tables = ("features_stamp", "features_vendorstamp")
        return [db.execute(f"SELECT coalesce(sum(value), 0) FROM {table}").fetchone() for table in tables]
