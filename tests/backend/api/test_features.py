"""Features: what there is, as it is for who asks; and new ones, running at once."""

from typing import Any

from tests.cast import Cast
from tests.fakes.model import FakeModel, greeting
from tests.working import look

from .acts import FIRST, GREETING, MINE, behavior, everybody, kind, publish
from .conftest import Caller

SHOUT: dict[str, Any] = {
    "feature": "shout",
    "title": "Shout",
    "summary": "Says it louder.",
    "behavior": behavior(),
    "titles": {"vars.tone": {"label": "Tone", "help": "How it sounds"}},
}


def test_bob_finds_the_features_with_the_schemas_that_hold_for_him(cast: Cast, api: Caller) -> None:
    [greet] = api(cast.bob).get("/features").json()["items"]
    assert greet == api(cast.bob).get(GREETING).json()
    assert (greet["input"]["required"], greet["version"], greet["user_revision"]) == (["name"], 1, None)


def test_a_feature_says_what_one_may_edit(cast: Cast, api: Caller) -> None:
    assert "vars.tone" in api(cast.bob).get(GREETING).json()["editable"]
    assert "instructions.safety" not in api(cast.bob).get(GREETING).json()["editable"]
    assert api(cast.vera).get(GREETING).json()["editable"] == []  # a viewer only looks


def test_a_feature_names_the_versions_that_one_is_on(cast: Cast, api: Caller) -> None:
    api(cast.bob).put(MINE, {"set": {"vars.tone": "warm"}}, **FIRST)
    publish(api, cast)
    about = api(cast.bob).get(GREETING).json()
    assert (about["version"], about["tenant_revision"], about["user_revision"]) == (2, None, 1)


def test_a_feature_made_now_runs_now(cast: Cast, api: Caller, model: FakeModel) -> None:
    made = api(cast.operator).post("/features", SHOUT)
    assert (made.status_code, made.headers["Location"]) == (201, "/api/v1/features/shout")
    model.script(greeting("HELLO"))
    path = "/features/shout/runs"
    run = api(cast.mallory).post(path, {"input": {"name": "Ann"}}, Prefer="respond-async").json()["id"]
    look()
    assert api(cast.mallory).get(f"/runs/{run}").json()["output"] == {"greeting": "HELLO"}


def test_a_new_feature_moves_nobody_on_another(cast: Cast, api: Caller) -> None:
    before = everybody(api, cast)
    api(cast.operator).post("/features", SHOUT)
    assert everybody(api, cast) == before
    assert len(set(everybody(api, cast, "shout").values())) == 1


def test_a_feature_is_made_once(cast: Cast, api: Caller) -> None:
    api(cast.operator).post("/features", SHOUT)
    assert kind(api(cast.operator).post("/features", SHOUT)) == (409, "conflict")


def test_a_feature_that_does_not_compile_is_refused_with_every_reason(cast: Cast, api: Caller) -> None:
    bad = behavior(prompt="{{ input.nothing }}", instructions__tone="{% include 'x' %}", model__name=None)
    answer = api(cast.operator).post("/features", {**SHOUT, "behavior": bad})
    assert kind(answer) == (422, "invalid")
    assert any("model.name" in error["pointer"] for error in answer.json()["errors"])


def test_a_feature_that_names_an_unknown_model_is_refused(cast: Cast, api: Caller) -> None:
    answer = api(cast.operator).post("/features", {**SHOUT, "behavior": behavior(model__name="grand")})
    assert (kind(answer), answer.json()["errors"][0]["rule"]) == ((422, "invalid"), "model")


def test_a_features_key_is_a_name(cast: Cast, api: Caller) -> None:
    answer = api(cast.operator).post("/features", {**SHOUT, "feature": "Shout!"})
    assert answer.json()["errors"][0]["pointer"] == "/feature"


def test_titles_are_for_people(cast: Cast, api: Caller) -> None:
    api(cast.operator).post("/features", SHOUT)
    assert api(cast.bob).get("/features/shout").json()["titles"]["vars.tone"]["label"] == "Tone"
    wrong = api(cast.operator).post("/features", {**SHOUT, "feature": "shout2", "titles": {"vars.tone": "Tone"}})
    assert wrong.json()["errors"][0]["pointer"] == "/titles/vars.tone"
