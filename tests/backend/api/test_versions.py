"""The base history: versions, differences, and which one is current."""

from features.actions.versions import create_feature
from features.models import Feature
from tenants.errors import Conflict
from tests.cast import GREET, Cast
from tests.tenants.test_membership import at_once, errors

from .acts import FIRST, GREETING, MINE, behavior, digest, everybody, hidden, kind, moved, problems, publish, served
from .conftest import Caller

POLITE = "You greet people politely."


def test_a_version_is_published_and_everyone_moves_who_stays_nowhere(cast: Cast, api: Caller) -> None:
    api(cast.alice).put(f"{GREETING}/pin/user", {"version": 1})
    before = everybody(api, cast)
    answer = api(cast.operator).post(
        f"{GREETING}/versions", {"behavior": behavior(instructions__role=POLITE), "publish": "current"}
    )
    assert (answer.status_code, answer.headers["Location"]) == (201, f"/api/v1{GREETING}/versions/2")
    assert moved(before, everybody(api, cast)) == before.keys() - {"alice"}


def test_a_version_that_is_only_published_moves_nobody_and_is_nobodys_to_see(cast: Cast, api: Caller) -> None:
    before = everybody(api, cast)
    assert publish(api, cast, move=False, instructions__role=POLITE) == 2
    assert everybody(api, cast) == before
    assert [row["version"] for row in api(cast.alice).get(f"{GREETING}/versions").json()["items"]] == [1]
    assert [row["version"] for row in api(cast.operator).get(f"{GREETING}/versions").json()["items"]] == [2, 1]


def test_a_version_not_released_answers_like_one_that_is_not_there(cast: Cast, api: Caller) -> None:
    publish(api, cast, move=False)
    for path in ("/versions/{}", "/versions/1/diff?to={}", "/versions/{}/diff?to=1"):
        unreleased, missing = (api(cast.ada).get(GREETING + path.format(n)) for n in (2, 3))
        assert unreleased.json()["detail"].replace("2", "3") == missing.json()["detail"]
        assert kind(unreleased) == kind(missing) == (404, "not-found")
    assert kind(api(cast.ada).put(f"{GREETING}/pin/user", {"version": 2})) == (404, "not-found")


def test_a_version_once_current_stays_to_be_seen(cast: Cast, api: Caller) -> None:
    publish(api, cast)
    api(cast.operator).put(f"{GREETING}/current", {"version": 1})
    assert [row["current"] for row in api(cast.bob).get(f"{GREETING}/versions").json()["items"]] == [False, True]


def test_what_is_not_given_stays_as_it_was(cast: Cast, api: Caller) -> None:
    api(cast.operator).post(f"{GREETING}/versions", {"behavior": behavior(), "rules": hidden()})
    api(cast.operator).post(f"{GREETING}/versions", {"behavior": behavior()})
    assert api(cast.operator).get(f"{GREETING}/versions/3").json()["rules"] == hidden()


def test_a_version_that_does_not_compile_or_has_wrong_rules_is_refused(cast: Cast, api: Caller) -> None:
    versions = f"{GREETING}/versions"
    wrong = api(cast.operator).post(versions, {"behavior": behavior(vars__colour=["no", "scalar"])})
    assert problems(wrong) and kind(wrong) == (422, "invalid")
    rules = {"vars.tone": {"edit": "everybody"}, "vars.language": {"hidden": True}}
    wrong = api(cast.operator).post(versions, {"behavior": behavior(), "rules": rules})
    assert {pointer for pointer, _ in problems(wrong)} >= {"/rules/vars.tone/edit", "/rules/vars.language/hidden"}
    assert len(api(cast.operator).get(versions).json()["items"]) == 1


def test_the_difference_of_two_versions_is_told_line_by_line(cast: Cast, api: Caller) -> None:
    publish(api, cast, instructions__role=f"You greet people.\n{POLITE}", vars__colour="blue", vars__language=None)
    changes = {c["field"]: c for c in api(cast.alice).get(f"{GREETING}/versions/1/diff?to=2").json()["changes"]}
    assert {field: change["kind"] for field, change in changes.items()} == {
        "instructions.role": "changed", "vars.colour": "added", "vars.language": "removed",
    }  # fmt: skip
    assert changes["instructions.role"]["lines"][1] == {"kind": "added", "text": POLITE}


def test_current_moves_both_ways_and_a_rehearsal_moves_nothing(cast: Cast, api: Caller) -> None:
    first = digest(api, cast.bob)
    publish(api, cast, instructions__role=POLITE)
    second = digest(api, cast.bob)
    rehearsed = api(cast.operator).put(f"{GREETING}/current?dry_run=true", {"version": 1}).json()
    assert (rehearsed["before"], rehearsed["version"], rehearsed["dry_run"]) == (2, 1, True)
    assert digest(api, cast.bob) == second
    api(cast.operator).put(f"{GREETING}/current", {"version": 1})
    assert digest(api, cast.bob) == first
    assert kind(api(cast.operator).put(f"{GREETING}/current", {"version": 9})) == (404, "not-found")


def test_an_override_lives_on_over_a_new_version(cast: Cast, api: Caller) -> None:
    api(cast.alice).put(MINE, {"set": {"vars.tone": "warm"}}, **FIRST)
    publish(api, cast, instructions__role=POLITE)
    fields = served(api, cast.alice)["fields"]
    assert (fields["vars.tone"], fields["instructions.role"]) == ("warm", POLITE)


def test_of_two_features_of_one_key_made_at_once_there_is_one(cast: Cast) -> None:
    def make() -> None:
        create_feature(key="greet-again", title="Again", summary="So.", behavior=GREET, by=cast.operator)

    assert errors(at_once(make, make)) == [Conflict]
    assert Feature.objects.filter(key="greet-again").count() == 1
