"""Idempotency-Key at every POST: one effect, one answer; and nothing of it outlives its day, its process or its owner."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from backend.api.openapi import document
from features.runs.forgetting import delete_old_keys
from features.runs.models import IdempotencyKey, OperatorIdempotencyKey
from tenants import erasure, jobs
from tenants.actions import create_key
from tenants.isolation import OPERATOR, operator_tx
from tenants.models import ApiKey, Approval, AuditEvent, VendorAuditEvent
from tenants.privacy_models import Erasure
from tenants.roles import Scope
from tenants.secrets import rotate
from tests.canaries import superuser
from tests.cast import Cast
from tests.conftest import Knock

from .acts import GREETING, behavior, kind, publish
from .conftest import Caller, Checked
from .posts import ANN, ASYNC, POSTS, Stage
from .test_operators import hire

ONCE = {"Idempotency_Key": "order:7"}
SERVICE = {"kind": "service", "name": "our shop"}
# These answer what has become of it by now: the same one, not the same bytes.
LIVE = {"post_run", "post_run_replay", "post_run_cancel", "post_batch", "post_batch_cancel", "post_preview",
        "post_suggest", "post_ask"}  # fmt: skip
# Which the audit does not note.
UNNOTED = {"post_run", "post_run_replay", "post_preview", "post_suggest", "post_read_notice"}


def posts() -> dict[str, str]:
    """Every POST of the document: its operation and its address."""
    return {item["post"]["operationId"]: path for path, item in document()["paths"].items() if "post" in item}


@pytest.fixture
def stage(cast: Cast, api: Caller, settings: Any) -> Stage:
    return Stage(cast, api, settings)


def noted() -> int:
    """How much all audits hold."""
    with superuser() as db:
        tables = (AuditEvent, VendorAuditEvent)
        return sum(db.execute(f"SELECT count(*) FROM {m._meta.db_table}").fetchone()[0] for m in tables)


def test_every_post_there_is_is_in_the_table() -> None:
    assert set(POSTS) == set(posts())


@pytest.mark.parametrize("operation", sorted(POSTS))
def test_the_same_again_is_answered_and_not_done_again(operation: str, stage: Stage) -> None:
    sent = POSTS[operation](stage)
    before = noted()
    first = sent.post(**ONCE)
    assert first.status_code < 300, first.content
    assert "Idempotency-Replayed" not in first.headers
    after = noted()
    assert after > before or operation in UNNOTED
    again = sent.post(Idempotency_Key='"order:7"')
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (first.status_code, "true")
    assert noted() == after
    assert first.headers.get("Location") == again.headers.get("Location")
    if operation in LIVE:
        assert first.json()["id"] == again.json()["id"]
    else:
        assert first.content == again.content
        for name in ("Content-Type", "Cache-Control", "ETag"):
            assert first.headers.get(name) == again.headers.get(name)


@pytest.mark.parametrize("operation", sorted(POSTS))
def test_a_key_that_is_none_is_refused_and_nothing_done(operation: str, stage: Stage) -> None:
    sent = POSTS[operation](stage)
    before = noted()
    refused = sent.post(Idempotency_Key="not a token!")
    assert kind(refused) == (400, "malformed")
    assert refused.json()["detail"].startswith("Idempotency-Key has 1 to 255")
    assert noted() == before


def test_every_post_says_so_in_the_document() -> None:
    for path, item in document()["paths"].items():
        for method in ("get", "post", "put", "patch", "delete"):
            headers = [p["name"] for p in item.get(method, {}).get("parameters", []) if p["in"] == "header"]
            assert headers.count("Idempotency-Key") == (method == "post" and "post" in item), (path, method)
        for status, answer in item.get("post", {}).get("responses", {}).items():
            assert ("Idempotency-Replayed" in answer.get("headers", {})) == (status < "300"), (path, status)


def test_twenty_at_once_have_one_effect(cast: Cast, api: Caller) -> None:
    together = threading.Barrier(20)

    def send(_: int) -> Any:
        try:
            together.wait()
            while True:
                answer = Knock(cast.key(cast.ada), {}).post("/keys", SERVICE, **ONCE)
                if answer.status_code != 409:
                    return answer
                assert "is being carried out" in answer.json()["detail"] and answer.headers["Retry-After"] == "1"
        finally:
            for connection in connections.all():
                connection.close()

    cast.key(cast.ada)
    with ThreadPoolExecutor(20) as senders:
        answers = list(senders.map(send, range(20)))
    assert {answer.status_code for answer in answers} == {201} and len({a.content for a in answers}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1
    with cast.ada.present():
        assert ApiKey.objects.filter(name="our shop").count() == 1


def test_who_comes_while_it_is_being_done_is_told_so(cast: Cast, api: Caller, monkeypatch: Any) -> None:
    """Not made to wait: what is being done may take long."""
    met: list[Any] = []
    made, begun = create_key, list[str]()

    def slowly(**named: Any) -> Any:
        begun.append(named["name"])
        if len(begun) == 1:
            with ThreadPoolExecutor(1) as other:
                met.append(other.submit(elsewhere, lambda: api(cast.ada).post("/keys", SERVICE, **ONCE)).result())
        return made(**named)

    cast.key(cast.ada)
    monkeypatch.setattr("backend.api.tenant.create_key", slowly)
    assert api(cast.ada).post("/keys", SERVICE, **ONCE).status_code == 201
    assert kind(met[0]) == (409, "conflict") and met[0].headers["Retry-After"] == "1"
    assert len(begun) == 1


def elsewhere(work: Callable[[], Any]) -> Any:
    """Do something in a thread with connections of its own."""
    try:
        return work()
    finally:
        for connection in connections.all():
            connection.close()


class Dies(BaseException):
    """A process that ends in the middle."""


@pytest.mark.parametrize("who", ["ada", "operator"])
def test_of_a_process_that_dies_in_the_middle_nothing_is_left(
    who: str, cast: Cast, api: Caller, monkeypatch: Any
) -> None:
    """Its key was made and its answer not yet kept: sent again it is made, once, and nobody waits for the dead."""
    door, body = {"ada": ("/keys", SERVICE), "operator": ("/operator/keys", {"name": "our shop"})}[who]
    actor, before = getattr(cast, who), noted()
    cast.key(actor)

    def dies(*_: Any, **__: Any) -> Any:
        raise Dies

    before = noted()
    with monkeypatch.context() as patched:
        patched.setattr("features.runs.once._keep", dies)
        with pytest.raises(Dies):
            api(actor).post(door, body, **ONCE)
    assert noted() == before
    again = api(actor).post(door, body, **ONCE)
    assert again.status_code == 201 and "Idempotency-Replayed" not in again.headers
    assert [row["name"] for row in api(actor).get(door).json()["items"]].count("our shop") == 1


def test_a_key_stands_for_one_request_whatever_it_was(cast: Cast, api: Caller) -> None:
    ada = api(cast.ada)
    assert ada.post("/keys", SERVICE, **ONCE).status_code == 201
    assert ada.post("/keys", json.loads('{"name": "our shop", "kind": "service"}'), **ONCE).status_code == 201
    for path, body in (
        ("/keys", {**SERVICE, "name": "another"}), ("/members", {"email": "eve@acme.example", "role": "viewer"}),
        (f"{GREETING}/runs", ANN), (f"{GREETING}/batches", [ANN]),
    ):  # fmt: skip
        refused = ada.post(path, body, **ONCE, **ASYNC)
        assert kind(refused) == (422, "invalid") and "another request" in refused.json()["detail"]
    assert ada.post(f"{GREETING}/runs", ANN, Idempotency_Key="run", **ASYNC).status_code == 202
    assert kind(ada.post("/keys", SERVICE, Idempotency_Key="run")) == (422, "invalid")


def test_a_run_that_takes_the_key_meanwhile_wins(cast: Cast, api: Caller, monkeypatch: Any) -> None:
    """They do not hold the same lock: the row that both write decides, and the other is undone whole."""
    made = create_key

    def overtaken(**named: Any) -> Any:
        with ThreadPoolExecutor(1) as other:
            knock = lambda: api(cast.ada).post(f"{GREETING}/runs", ANN, **ONCE, **ASYNC)  # noqa: E731
            assert other.submit(elsewhere, knock).result().status_code == 202
        return made(**named)

    cast.key(cast.ada)
    monkeypatch.setattr("backend.api.tenant.create_key", overtaken)
    assert kind(api(cast.ada).post("/keys", SERVICE, **ONCE)) == (422, "invalid")
    assert [row["name"] for row in api(cast.ada).get("/keys").json()["items"]].count("our shop") == 0


def test_it_is_one_credentials_own(cast: Cast, api: Caller) -> None:
    """Another key of the same person gets no answer that this one got: it may be for less."""
    first = api(cast.ada).post("/keys", SERVICE, **ONCE).json()
    _, narrow = create_key(kind="member", name="narrow", scopes=[Scope.READ, Scope.RUN], by=cast.ada)
    refused = Checked(narrow, {}).post("/keys", SERVICE, **ONCE)
    assert kind(refused) == (403, "forbidden") and first["key"] not in refused.content.decode()
    _, other = create_key(kind="member", name="other", by=cast.ada)
    assert Checked(other, {}).post("/keys", SERVICE, **ONCE).json()["id"] != first["id"]
    assert api(cast.gus).post("/keys", SERVICE, **ONCE).json()["id"] != first["id"]


def test_for_another_of_their_users_it_is_another_request(cast: Cast, api: Caller) -> None:
    body = {"override": {"set": {"vars.tone": "warm"}}, "inputs": [{"name": "Ann"}]}
    sent = [api(cast.acme_service, Bespoke_User=u).post(f"{GREETING}/preview", body, **ONCE, **ASYNC) for u in "ab"]
    assert [answer.status_code for answer in sent] == [202, 422]


def test_what_was_refused_may_be_sent_again(cast: Cast, api: Caller) -> None:
    ada = api(cast.ada)
    assert kind(ada.post("/members", {"email": cast.bob.name + "@acme.example", "role": "viewer"}, **ONCE))[0] == 409
    assert kind(ada.post("/keys", {"kind": "service", "name": ""}, **ONCE)) == (422, "invalid")
    assert kind(ada.post("/keys", SERVICE, Content_Type="text/plain", **ONCE))[0] in (400, 415, 422, 201)
    assert ada.post("/keys", SERVICE, Idempotency_Key="again").status_code == 201


def test_asking_another_operator_is_done_once_though_it_is_a_refusal(cast: Cast, api: Caller, settings: Any) -> None:
    publish(api, cast, move=False, vars__tone="formal")
    _, ask = hire("pat", "publish")
    settings.SECOND_APPROVAL = True
    body = {"behavior": behavior(vars__tone="warm"), "publish": "current"}
    first, again = (ask.post(f"{GREETING}/versions", body, **ONCE) for _ in range(2))
    assert kind(first) == kind(again) == (403, "approval-needed")
    assert again.content == first.content and again.headers["Idempotency-Replayed"] == "true"
    with operator_tx():
        assert Approval.objects.using(OPERATOR).count() == 1


def test_a_secret_is_answered_again_and_kept_sealed_for_a_day(cast: Cast, api: Caller, settings: Any) -> None:
    made = api(cast.ada).post("/keys", SERVICE, **ONCE)
    vendors = api(cast.operator).post("/operator/keys", {"name": "deploys"}, **ONCE)
    assert api(cast.ada).post("/keys", SERVICE, **ONCE).json()["key"] == made.json()["key"]
    with superuser() as db:
        kept = [row[0] for row in db.execute("SELECT answer FROM runs_idempotencykey").fetchall()]
        kept += [row[0] for row in db.execute("SELECT answer FROM runs_operatoridempotencykey").fetchall()]
    assert len(kept) == 2 and all(text.startswith("v1.") for text in kept)
    assert not any(
        secret["key"] in text or secret["id"] in text for text in kept for secret in (made.json(), vendors.json())
    )
    settings.SECRET_RING = {"new": b"n" * 32, **settings.SECRET_RING}
    assert (rotated := rotate()).unreadable == 0 and rotated.sealed >= 2
    settings.SECRET_RING = {"new": b"n" * 32}
    assert api(cast.operator).post("/operator/keys", {"name": "deploys"}, **ONCE).content == vendors.content
    settings.SECRET_RING = {"newer": b"x" * 32}
    gone = api(cast.ada).post("/keys", SERVICE, **ONCE)
    assert kind(gone) == (409, "conflict") and "not kept any more" in gone.json()["detail"]


def test_after_a_day_nothing_is_left_of_it(cast: Cast, api: Caller) -> None:
    for key in ("old", "new"):
        api(cast.ada).post("/keys", SERVICE, Idempotency_Key=key)
        api(cast.operator).post("/operator/keys", {"name": "deploys"}, Idempotency_Key=key)
    long_ago = timezone.now() - timedelta(hours=25)
    with cast.ada.present():
        IdempotencyKey.objects.filter(key="old").update(created_at=long_ago)
    with operator_tx():
        OperatorIdempotencyKey.objects.using(OPERATOR).filter(key="old").update(created_at=long_ago)
    assert delete_old_keys() == 2
    with cast.ada.present():
        assert [row.key for row in IdempotencyKey.objects.all()] == ["new"]
    with operator_tx():
        assert [row.key for row in OperatorIdempotencyKey.objects.using(OPERATOR).all()] == ["new"]


def test_where_somebody_is_erased_no_answer_that_may_name_them_is_kept(cast: Cast, api: Caller) -> None:
    """What was done with a key stays done once: sent again, it says that its answer is gone."""
    ada, body = api(cast.ada), {"email": "eve@acme.example", "role": "viewer"}
    eve = ada.post("/members", body, **ONCE).json()
    assert ada.delete(f"/members/{eve['id']}").status_code == 204
    assert ada.post(f"/subjects/{eve['subject']}/erase").status_code == 202
    jobs.each(Erasure, erasure.carry_out)
    with cast.ada.present():
        assert [row.answer for row in IdempotencyKey.objects.all()] == [""]
    gone = ada.post("/members", body, **ONCE)
    assert kind(gone) == (409, "conflict") and "Look at what is there" in gone.json()["detail"]


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete"])
def test_other_methods_do_not_read_it(method: str, cast: Cast, api: Caller) -> None:
    calls = {
        "get": ("/tenant", None), "put": (f"{GREETING}/pin/user", {"version": 1}),
        "patch": ("/tenant", {"policy": {"users_may_pin": "yes"}}), "delete": (f"{GREETING}/pin/user", None),
    }  # fmt: skip
    path, body = calls[method]
    ada = api(cast.ada)
    ada.put(f"{GREETING}/pin/user", {"version": 1})
    answer = ada.request(method, path, body, Idempotency_Key="not a token!")
    assert answer.status_code == 200 and "Idempotency-Replayed" not in answer.headers
