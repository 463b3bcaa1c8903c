"""The vendor's doors: models and their aliases, organisations, what operators did."""

from tenants.models import User
from tests.cast import Cast

from .acts import FIRST, OURS, digest, kind, problems, publish, served
from .conftest import Caller

NEWER = {"alias": "standard", "provider": "demo", "model": "newer", "input_price": 5, "output_price": 7}


def test_a_new_target_takes_its_alias_at_once_and_moves_no_digest(cast: Cast, api: Caller) -> None:
    before = digest(api, cast.alice)
    made = api(cast.operator).post("/models", {**NEWER, "capabilities": {"json": True}})
    assert (made.status_code, made.json()["revision"], made.json()["cached_input_price"]) == (201, 2, 5)
    told = served(api, cast.alice)["receipt"]
    assert (told["model_target"]["revision"], told["digest"]) == (2, before)
    assert [(row["revision"], row["current"]) for row in api(cast.operator).get("/models").json()["items"]] == [
        (2, True), (1, False),
    ]  # fmt: skip


def test_an_alias_is_pointed_back(cast: Cast, api: Caller) -> None:
    api(cast.operator).post("/models", NEWER)
    assert api(cast.operator).put("/models/standard", {"revision": 1}).json()["current"] is True
    assert served(api, cast.alice)["receipt"]["model_target"]["revision"] == 1
    assert kind(api(cast.operator).put("/models/standard", {"revision": 9})) == (404, "not-found")
    assert kind(api(cast.operator).put("/models/nothing", {"revision": 1})) == (404, "not-found")


def test_prices_and_names_have_bounds(cast: Cast, api: Caller) -> None:
    wrong = {**NEWER, "input_price": -1, "output_price": 10**15, "model": ""}
    assert problems(api(cast.operator).post("/models", wrong)) == {
        ("/input_price", "min_value"), ("/output_price", "max_value"), ("/model", "blank"),
    }  # fmt: skip
    assert problems(api(cast.operator).post("/models", {**NEWER, "alias": "A B"})) == {("/alias", "name")}


def test_an_organisation_chooses_among_the_models_that_there_are(cast: Cast, api: Caller) -> None:
    refused = api(cast.ada).put(OURS, {"set": {"model.name": "grand"}}, **FIRST)
    assert problems(refused) == {("/set/model.name", "model")}
    api(cast.operator).post("/models", {**NEWER, "alias": "grand"})
    assert api(cast.ada).put(OURS, {"set": {"model.name": "grand"}}, **FIRST).status_code == 200
    assert served(api, cast.bob)["receipt"]["model_target"]["alias"] == "grand"


def test_an_organisation_is_made_with_its_first_owner(cast: Cast, api: Caller) -> None:
    body = {"slug": "initech", "name": "Initech", "owner": "bill@initech.example"}
    assert api(cast.operator).post("/tenants", body).status_code == 201
    assert [row["slug"] for row in api(cast.operator).get("/tenants").json()["items"]] == ["initech", "globex", "acme"]
    assert kind(api(cast.operator).post("/tenants", body)) == (409, "conflict")


def test_what_operators_did_is_listed_for_operators(cast: Cast, api: Caller) -> None:
    publish(api, cast)
    event = api(cast.operator).get("/operator/audit").json()["items"][0]
    assert (event["verb"], event["actor"], event["detail"]["version"]) == ("version.publish", cast.operator.label, 2)


def test_operators_never_see_what_customers_wrote(cast: Cast, api: Caller) -> None:
    api(cast.ada).put(OURS, {"set": {"instructions.house": "A secret of the house."}}, **FIRST)
    for path in ("/features", "/features/greet/behavior?explain=true", "/operator/audit", "/tenants", "/models"):
        assert "secret of the house" not in api(cast.operator).get(path).content.decode()


TARGET = "/models/standard/targets"


def test_a_change_of_models_is_rehearsed_with_whom_it_reaches(cast: Cast, api: Caller) -> None:
    api(cast.alice).put("/features/greet/pin/user", {"kind": "snapshot"})
    told = api(cast.operator).post("/models?dry_run=true", NEWER).json()
    assert (told["revision"], told["before"], told["named_by"]["pins"]) == (
        2, 1, [{"revision": 1, "pins": 1, "tenants": 1}],
    )  # fmt: skip
    assert len(api(cast.operator).get("/models").json()["items"]) == 1
    api(cast.operator).post("/models", NEWER)
    pointed = api(cast.operator).put("/models/standard?dry_run=true", {"revision": 1}).json()
    assert (pointed["before"], pointed["dry_run"]) == (2, True)
    assert served(api, cast.bob)["receipt"]["model_target"]["revision"] == 2


def test_a_target_ends_and_says_first_whom_that_touches(cast: Cast, api: Caller) -> None:
    api(cast.alice).put("/features/greet/pin/user", {"kind": "snapshot"})
    api(cast.operator).post("/models", NEWER)
    told = api(cast.operator).get(f"{TARGET}/1").json()["named_by"]
    assert told["pinned_tenants"] == [{"tenant": "acme", "pins": 1, "own": False}]
    later = {"ends": "2099-01-01T00:00:00Z"}
    assert api(cast.operator).put(f"{TARGET}/1", later).json()["ends"] == later["ends"]
    assert api(cast.operator).get("/models").json()["items"][1]["ends"] == later["ends"]
    assert served(api, cast.alice)["receipt"]["substituted"] is False
    assert api(cast.operator).delete(f"{TARGET}/1").status_code == 200
    assert served(api, cast.alice)["receipt"]["substituted"] is True
    assert api(cast.operator).put(f"{TARGET}/1", {"ends": None}).json()["ends"] is None
    assert kind(api(cast.operator).delete(f"{TARGET}/2")) == (409, "conflict")
    assert api(cast.operator).delete(f"{TARGET}/2?replacement=1").json()["current"] is False
    assert kind(api(cast.operator).delete(f"{TARGET}/1?replacement=x")) == (400, "malformed")
    assert kind(api(cast.operator).get(f"{TARGET}/9")) == (404, "not-found")
    both = {"ends": None, "replacement": 1}
    assert problems(api(cast.operator).put(f"{TARGET}/1", both)) == {("/replacement", "together")}


def test_an_organisation_that_was_not_made_leaves_no_login_behind(cast: Cast, api: Caller) -> None:
    taken = {"slug": "acme", "name": "Acme", "owner": "nobody.yet@acme.example"}
    assert kind(api(cast.operator).post("/tenants", taken)) == (409, "conflict")
    assert not User.objects.filter(email=taken["owner"]).exists()
