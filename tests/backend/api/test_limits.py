"""What callers see of limits: the fields of every answer, 429 with what to do, runs in flight, and who may set them."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from django.db import ProgrammingError, connections
from django.test import Client

from features.runs.finish import Ending, cancel, finish
from features.runs.inflight import KEPT_SECONDS, enter, leave
from features.runs.models import IdempotencyKey, Queued, Run, State
from tenants import valkey
from tenants.errors import TooMany
from tenants.isolation import tenant_tx
from tenants.models import ApiKey, User
from tests.cast import Cast
from tests.conftest import Knock
from tests.fakes.model import FakeModel, greeting
from tests.working import look

from .acts import kind, problems
from .conftest import Caller

ANN = {"input": {"name": "Ann"}}
ASYNC = {"Prefer": "respond-async"}
RUNS = "/features/greet/runs"


def limit(api: Caller, cast: Cast, **limits: int | None) -> Any:
    """The vendor gives Acme limits of its own."""
    return api(cast.operator).patch("/tenants/acme", limits)


def test_every_answer_to_somebody_says_what_is_left(cast: Cast, api: Caller) -> None:
    alice = api(cast.alice)
    for number, answer in enumerate([
        alice.get("/me"), alice.get("/features/nothing"), alice.get("/audit"), alice.post(RUNS, {"input": {}}),
        alice.post(RUNS, ANN, **ASYNC), alice.put("/me", {}),
    ], 1):  # fmt: skip
        assert answer.headers["RateLimit-Policy"] == '"tenant";q=6000;w=60, "key";q=3000;w=60'
        assert answer.headers["RateLimit"] == f'"tenant";r={6000 - number};t=60, "key";r={3000 - number};t=60'
    assert "RateLimit" not in Client().get("/api/v1/me").headers


def test_streams_say_it_too(cast: Cast, api: Caller) -> None:
    run = api(cast.alice).post(RUNS, ANN, **ASYNC).json()["id"]
    assert '"tenant";r=5998' in api(cast.alice).get(f"/runs/{run}/events").headers["RateLimit"]


@pytest.mark.parametrize(("method", "path"), [("get", "/me"), ("post", RUNS)])
def test_one_too_many_is_told_when_to_come_back_and_nothing_is_done(
    method: str, path: str, cast: Cast, api: Caller
) -> None:
    limit(api, cast, requests_per_minute=2)
    assert [api(cast.alice).get("/me").status_code for _ in range(2)] == [200, 200]
    refused = api(cast.bob).request(method, path, None if method == "get" else ANN)
    assert kind(refused) == (429, "too-many")
    assert int(refused.headers["Retry-After"]) >= 1
    assert refused.json()["violated-policies"] == ["tenant"]
    assert refused.headers["RateLimit"].startswith('"tenant";r=0;t=')
    assert api(cast.mallory).get("/me").status_code == 200
    with tenant_tx(cast.alice.tenant_id):
        assert not Run.objects.exists()


def test_another_address_in_a_header_changes_nothing(cast: Cast, api: Caller) -> None:
    limit(api, cast, requests_per_minute=5)
    statuses = [api(cast.alice).get("/me", X_Forwarded_For=f"10.0.0.{n}").status_code for n in range(12)]
    assert statuses == [200] * 5 + [429] * 7


def test_keys_of_one_organisation_share_its_minute_and_a_keys_own_is_its_own(cast: Cast, api: Caller) -> None:
    ada = api(cast.ada)
    made = ada.post("/keys", {"kind": "service", "name": "shop", "requests_per_minute": 2}).json()
    assert made["requests_per_minute"] == 2
    shop = Knock(made["key"], {})
    assert [shop.get("/features").status_code for _ in range(3)] == [200, 200, 429]
    assert api(cast.acme_service).get("/features").status_code == 200
    assert ada.patch(f"/keys/{made['id']}", {"requests_per_minute": None}).json()["requests_per_minute"] is None
    assert shop.get("/features").status_code == 200


def test_with_valkey_away_everybody_is_let_in_and_nothing_is_told(
    cast: Cast, api: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(api, cast, requests_per_minute=1, concurrent_runs=1)
    monkeypatch.setattr(valkey, "client", valkey.connect("redis://127.0.0.1:1/0"))
    answers = [api(cast.alice).post(RUNS, ANN, **ASYNC) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [202] * 3
    assert not any("RateLimit" in answer.headers for answer in answers)


def test_a_page_counts_by_its_reader_and_its_scripts_do_not(cast: Cast, api: Caller) -> None:
    limit(api, cast, requests_per_minute=2)
    browser = Client()
    browser.force_login(User.objects.get(email="alice@acme.example"))
    assert [browser.get("/notices").status_code for _ in range(3)] == [200, 200, 429]
    page = browser.get("/notices")
    assert int(page.headers["Retry-After"]) >= 1
    assert browser.get("/accounts/login/").status_code != 429


def test_the_vendor_sets_an_organisations_limits(cast: Cast, api: Caller) -> None:
    told = limit(api, cast, requests_per_minute=600, concurrent_runs=20).json()
    assert (told["requests_per_minute"], told["concurrent_runs"]) == (600, 20)
    assert api(cast.alice).get("/tenant").json()["limits"] == {"requests_per_minute": 600, "concurrent_runs": 20}
    assert limit(api, cast, requests_per_minute=None).json()["concurrent_runs"] == 20
    assert api(cast.alice).get("/tenant").json()["limits"]["requests_per_minute"] == 6000
    event = api(cast.operator).get("/operator/audit").json()["items"][0]
    assert (event["verb"], event["detail"]) == ("tenant.limits", {"requests_per_minute": None})
    assert problems(limit(api, cast, requests_per_minute=0)) == {("/requests_per_minute", "min_value")}
    assert kind(api(cast.operator).patch("/tenants/nobody", {})) == (404, "not-found")
    assert kind(api(cast.ada).patch("/tenants/acme", {"requests_per_minute": 9})) == (403, "forbidden")


def test_the_apps_role_cannot_change_an_organisations_limits(cast: Cast) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"), tenant_tx(cast.ada.tenant_id):
        connections["default"].cursor().execute("UPDATE tenants_tenant SET requests_per_minute = 1000000")


def test_admins_set_a_keys_limits_and_never_above_their_organisations(cast: Cast, api: Caller) -> None:
    limit(api, cast, concurrent_runs=20)
    mine = {"kind": "member", "name": "mine"}
    assert kind(api(cast.alice).post("/keys", {**mine, "concurrent_runs": 1})) == (403, "forbidden")
    key = f"/keys/{api(cast.alice).post('/keys', mine).json()['id']}"
    assert kind(api(cast.alice).patch(key, {"concurrent_runs": 1})) == (403, "forbidden")
    assert kind(api(cast.gus).patch(key, {"concurrent_runs": 1})) == (404, "not-found")
    assert api(cast.ada).patch(key, {"concurrent_runs": 20}).json()["concurrent_runs"] == 20
    above = {"concurrent_runs": 21, "requests_per_minute": 6001}
    told = {("/concurrent_runs", "max_value"), ("/requests_per_minute", "max_value")}
    assert problems(api(cast.ada).patch(key, above)) == told
    assert problems(api(cast.ada).post("/keys", {**mine, **above})) == told
    assert problems(api(cast.ada).patch(key, {"concurrent_runs": 0})) == {("/concurrent_runs", "min_value")}


def in_flight(cast: Cast) -> tuple[int, int]:
    place = f"flight:{{{cast.alice.tenant_id}}}"
    return int(valkey.client.zcard(place)), int(valkey.client.zcard(f"{place}:{cast.alice.label}"))


def test_one_run_too_many_in_flight_is_refused_and_nothing_is_written(
    cast: Cast, api: Caller, model: FakeModel
) -> None:
    model.script(greeting("Hello Ann"))
    limit(api, cast, concurrent_runs=1)
    first = api(cast.alice).post(RUNS, ANN, **ASYNC, Idempotency_Key="one")
    refused = api(cast.bob).post(RUNS, ANN, **ASYNC, Idempotency_Key="two")
    assert kind(refused) == (429, "too-many")
    assert (refused.headers["Retry-After"], refused.json()["in_flight"]) == ("1", 1)
    with tenant_tx(cast.alice.tenant_id):
        assert (Run.objects.count(), Queued.objects.count(), IdempotencyKey.objects.count()) == (1, 1, 1)
    again = api(cast.alice).post(RUNS, ANN, **ASYNC, Idempotency_Key="one")
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    assert api(cast.mallory).post(RUNS, ANN, **ASYNC).status_code == 202
    look()
    assert in_flight(cast) == (0, 0)
    assert api(cast.bob).post(RUNS, ANN, **ASYNC, Idempotency_Key="two").status_code == 202


def test_a_repeated_key_and_a_refused_input_count_nothing(cast: Cast, api: Caller) -> None:
    for _ in range(3):
        api(cast.alice).post(RUNS, ANN, **ASYNC, Idempotency_Key="one")
    api(cast.alice).post(RUNS, {"input": {}}, **ASYNC)
    assert in_flight(cast) == (1, 1)


def test_a_cancelled_run_and_a_lost_one_leave(cast: Cast, api: Caller) -> None:
    runs = [api(cast.alice).post(RUNS, ANN, **ASYNC).json()["id"] for _ in range(2)]
    assert in_flight(cast) == (2, 2)
    with tenant_tx(cast.alice.tenant_id):
        first = Run.objects.get(pk=runs[0])
    cancel(first, by=cast.alice)
    assert in_flight(cast) == (1, 1)
    finish(cast.alice.tenant_id, runs[1], Ending(State.FAILED, error={"type": "worker_lost", "title": ""}), token=None)
    assert in_flight(cast) == (0, 0)


def test_a_callers_own_limit_is_shared_by_what_they_ask_with(cast: Cast, api: Caller) -> None:
    limit(api, cast, concurrent_runs=5)
    api(cast.alice)  # makes the key
    with tenant_tx(cast.alice.tenant_id):
        ApiKey.objects.filter(member_id=cast.alice.acting_for().id).update(concurrent_runs=1)
    assert api(cast.alice).post(RUNS, ANN, **ASYNC).status_code == 202
    assert kind(api(cast.alice).post(RUNS, ANN, **ASYNC)) == (429, "too-many")
    assert api(cast.bob).post(RUNS, ANN, **ASYNC).status_code == 202


def test_of_many_at_once_as_many_enter_as_may(cast: Cast) -> None:
    cast.alice.in_tenant().concurrent_runs = 20

    def try_it(number: int) -> bool:
        try:
            enter(uuid4(), cast.alice)
        except TooMany:
            return False
        return True

    with ThreadPoolExecutor(40) as pool:
        assert sum(pool.map(try_it, range(200))) == 20
    assert in_flight(cast) == (20, 20)


def test_what_a_crashed_process_left_is_forgotten(cast: Cast) -> None:
    cast.alice.in_tenant().concurrent_runs = 1
    lost, place = uuid4(), f"flight:{{{cast.alice.tenant_id}}}"
    enter(lost, cast.alice)
    now = int(valkey.client.time()[0])
    for name in (place, f"{place}:{cast.alice.label}"):
        assert now < valkey.client.zscore(name, str(lost)) <= now + KEPT_SECONDS
        assert 0 < valkey.client.ttl(name) <= KEPT_SECONDS
        valkey.client.zadd(name, {str(lost): now - 1})
    enter(uuid4(), cast.alice)
    assert in_flight(cast) == (1, 1)
    leave(cast.alice.tenant_id, cast.alice.label, lost)
