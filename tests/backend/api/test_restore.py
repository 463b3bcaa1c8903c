"""Restore: as it worked then, by a moment or by a run, for one subject alone."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connections

from features.models import Override
from features.resolve import forget
from tests.cast import Cast

from .acts import FIRST, GREETING, MINE, OURS, digest, everybody, kind, moved, problems, publish, served
from .conftest import Caller
from .test_features import SHOUT

RESTORE = f"{GREETING}/restore"
POLITE = "You greet people politely."


def run(api: Caller, who: Any, **headers: str) -> str:
    """A run accepted now: its receipt says what it would be served with."""
    answer = api(who, **headers).post(f"{GREETING}/runs", {"input": {"name": "Ann"}}, Prefer="respond-async")
    return str(answer.json()["id"])


def test_alice_goes_back_to_a_moment_byte_for_byte_and_nobody_else_moves(cast: Cast, api: Caller) -> None:
    api(cast.alice).put(MINE, {"set": {"vars.tone": "warm"}}, **FIRST)
    then = served(api, cast.alice)
    api(cast.alice).put(f"{MINE}/fields/vars.tone", {"set": "formal"})
    api(cast.ada).put(OURS, {"set": {"vars.language": "Dutch"}}, **FIRST)
    publish(api, cast, instructions__role=POLITE)
    before = everybody(api, cast)
    told = api(cast.alice).post(RESTORE, {"at": then["at"]}).json()
    assert (told["result"], told["reasons"]) == ("exact", [])
    assert told["wanted"] == told["after"]["digest"] == digest(api, cast.alice) == then["receipt"]["digest"]
    assert moved(before, everybody(api, cast)) == {"alice"}
    assert served(api, cast.alice)["fields"] == then["fields"]


def test_alice_goes_back_to_how_a_run_of_hers_was_made(cast: Cast, api: Caller) -> None:
    api(cast.alice).put(MINE, {"set": {"vars.tone": "warm"}}, **FIRST)
    run_id = run(api, cast.alice)
    api(cast.alice).delete(MINE)
    publish(api, cast, instructions__role=POLITE)
    told = api(cast.alice).post(RESTORE, {"run": run_id}).json()
    receipt = api(cast.alice).get(f"/runs/{run_id}").json()["receipt"]
    assert (told["result"], digest(api, cast.alice)) == ("exact", receipt["digest"])
    assert (told["pin"]["kind"], told["pin"]["version"], told["pin"]["user_revision"]) == ("snapshot", 1, 1)


def test_an_end_user_goes_back_through_the_customers_software(cast: Cast, api: Caller) -> None:
    u1 = {"Bespoke_User": "u1"}
    run_id = run(api, cast.acme_service, **u1)
    then = digest(api, cast.acme_service, **u1)
    publish(api, cast, instructions__role=POLITE)
    assert api(cast.acme_service, **u1).post(RESTORE, {"run": run_id}).json()["result"] == "exact"
    assert digest(api, cast.acme_service, **u1) == then != digest(api, cast.acme_service, Bespoke_User="u2")


def test_the_organisation_goes_back_as_a_whole(cast: Cast, api: Caller) -> None:
    api(cast.ada).put(OURS, {"set": {"vars.tone": "warm"}}, **FIRST)
    then = served(api, cast.ada, "?as=tenant")
    api(cast.ada).delete(OURS)
    publish(api, cast, instructions__role=POLITE)
    before = everybody(api, cast)
    told = api(cast.ada).post(RESTORE, {"at": then["at"], "layer": "tenant"}).json()
    assert (told["result"], digest(api, cast.bob)) == ("exact", then["receipt"]["digest"])
    assert "mallory" not in moved(before, everybody(api, cast))
    assert kind(api(cast.alice).post(RESTORE, {"at": then["at"], "layer": "tenant"})) == (403, "forbidden")


def test_a_rehearsal_of_a_restore_changes_nothing(cast: Cast, api: Caller) -> None:
    then = served(api, cast.alice)
    publish(api, cast, instructions__role=POLITE)
    before = everybody(api, cast)
    told = api(cast.alice).post(f"{RESTORE}?dry_run=true", {"at": then["at"]}).json()
    assert (told["after"]["digest"], told["dry_run"]) == (then["receipt"]["digest"], True)
    assert everybody(api, cast) == before


def test_a_model_that_the_alias_left_is_still_served(cast: Cast, api: Caller) -> None:
    then = served(api, cast.alice)
    target = {"alias": "standard", "provider": "demo", "model": "newer", "input_price": 1, "output_price": 1}
    api(cast.operator).post("/models", target)
    assert served(api, cast.alice)["receipt"]["model_target"]["model"] == "newer"
    told = api(cast.alice).post(RESTORE, {"at": then["at"]}).json()
    assert (told["result"], told["after"]["model_target"]) == ("exact", then["receipt"]["model_target"])


def test_a_model_that_is_gone_is_substituted_and_the_answer_says_so(cast: Cast, api: Caller) -> None:
    run_id = run(api, cast.alice)
    with connections["owner"].cursor() as cursor:  # as when an old target is deleted by hand: nothing of ours does it
        cursor.execute("UPDATE features_modeltarget SET revision = 5")
    forget()
    told = api(cast.alice).post(RESTORE, {"run": run_id}).json()
    assert (told["result"], told["after"]["substituted"]) == ("substituted", True)
    assert "model" in told["reasons"][0]


def test_where_users_may_not_pin_the_answer_names_the_policy_and_what_one_can_do_instead(
    cast: Cast, api: Caller
) -> None:
    api(cast.alice).put(MINE, {"set": {"vars.tone": "warm"}}, **FIRST)
    then = served(api, cast.alice)
    api(cast.alice).put(f"{MINE}/fields/vars.tone", {"set": "formal"})
    publish(api, cast, instructions__role=POLITE, instructions__new="New.")
    api(cast.ada).patch("/tenant", {"policy": {"users_may_pin": "no"}})
    before = digest(api, cast.alice)
    refused = api(cast.alice).post(RESTORE, {"at": then["at"]})
    assert (kind(refused), problems(refused)) == ((422, "invalid"), {("", "users_may_pin")})
    instead = refused.json()["alternative"]
    assert (refused.json()["result"], instead["rollback_to_revision"]) == ("cannot", 1)
    assert set(instead["would_still_differ"]) == {"instructions.role", "instructions.new"}
    assert digest(api, cast.alice) == before


def test_a_restored_user_follows_again_when_unpinned(cast: Cast, api: Caller) -> None:
    then = served(api, cast.alice)
    publish(api, cast, instructions__role=POLITE)
    api(cast.alice).post(RESTORE, {"at": then["at"]})
    assert api(cast.alice).delete(f"{GREETING}/pin/user").json()["after"]["digest"] == digest(api, cast.bob)


def test_there_is_no_going_back_to_before_it_began_nor_to_what_is_to_come(cast: Cast, api: Caller) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert kind(api(cast.alice).post(RESTORE, {"at": "2020-01-01T00:00:00Z"})) == (404, "not-found")
    assert kind(api(cast.alice).post(RESTORE, {"at": tomorrow})) == (409, "conflict")


def test_other_peoples_runs_are_nobodys_way_back(cast: Cast, api: Caller) -> None:
    api(cast.alice).put(MINE, {"set": {"vars.tone": "warm"}}, **FIRST)
    run_id = run(api, cast.alice)
    foreign = api(cast.mallory).post(RESTORE, {"run": run_id})
    colleague = api(cast.bob).post(RESTORE, {"run": run_id})
    assert kind(foreign) == kind(colleague) == (404, "not-found")
    admin = api(cast.ada).post(RESTORE, {"run": run_id})  # she sees it, but its revisions are Alice's
    assert (kind(admin), problems(admin)) == ((422, "invalid"), {("/run", "subject")})


def test_a_run_of_another_feature_is_no_way_back_here(cast: Cast, api: Caller) -> None:
    api(cast.operator).post("/features", SHOUT)
    run_id = run(api, cast.alice)
    assert kind(api(cast.alice).post("/features/shout/restore", {"run": run_id})) == (404, "not-found")


def restored(api: Caller, who: Any, body: dict[str, Any], query: str = "") -> dict[str, Any]:
    answer = api(who).post(f"{GREETING}/restore{query}", body)
    assert answer.status_code == 200, answer.content
    return dict(answer.json())


def test_a_restore_has_a_reason_an_end_and_says_what_it_went_back_to(cast: Cast, api: Caller) -> None:
    then = served(api, cast.alice)["at"]
    until = "2099-01-01T00:00:00Z"
    told = restored(api, cast.alice, {"at": then, "reason": "The old one was better", "until": until})
    pinned = api(cast.alice).get(f"{GREETING}/pin/user").json()["pin"]
    assert pinned == told["pin"]
    assert (pinned["as_of"], pinned["run"], pinned["reason"], pinned["until"]) == (
        then, None, "The old one was better", until,
    )  # fmt: skip
    api(cast.alice).put(MINE, {"set": {"vars.tone": "warm"}}, **FIRST)  # which moves the pin's own part
    moved = api(cast.alice).get(f"{GREETING}/pin/user").json()["pin"]
    assert (moved["as_of"], moved["user_revision"]) == (then, 1)
    wrong = api(cast.alice).post(f"{GREETING}/restore", {"at": then, "until": "2020-01-01T00:00:00Z"})
    assert problems(wrong) == {("/until", "min")}


def test_a_restore_by_run_names_the_run(cast: Cast, api: Caller) -> None:
    run = api(cast.alice).post(f"{GREETING}/runs", {"input": {"name": "Ann"}}, Prefer="respond-async").json()["id"]
    assert restored(api, cast.alice, {"run": run})["pin"]["run"] == run
    [listed] = api(cast.ada).get(f"{GREETING}/pins").json()["items"]
    assert (listed["run"], listed["as_of"], listed["counts"]) == (run, None, True)


def test_a_restore_is_undone_by_the_request_that_it_answers(cast: Cast, api: Caller) -> None:
    then = served(api, cast.alice)["at"]
    publish(api, cast, instructions__role="You greet people politely.")
    followed = digest(api, cast.alice)
    undo = restored(api, cast.alice, {"at": then})["undo"]
    assert undo == {"method": "DELETE", "path": f"/api/v1{GREETING}/pin/user", "body": None}
    assert api(cast.alice).delete(undo["path"].removeprefix("/api/v1")).status_code == 200
    assert digest(api, cast.alice) == followed
    api(cast.alice).put(f"{GREETING}/pin/user", {"version": 2, "reason": "It works", "until": "2099-01-01T00:00:00Z"})
    before = api(cast.alice).get(f"{GREETING}/pin/user").json()["pin"]
    assert restored(api, cast.alice, {"at": then}, "?dry_run=true")["undo"] is None
    undo = restored(api, cast.alice, {"at": then})["undo"]
    assert digest(api, cast.alice) != followed
    again = api(cast.alice).post(undo["path"].removeprefix("/api/v1"), undo["body"]).json()
    assert (again["result"], digest(api, cast.alice)) == ("exact", followed)
    assert {**again["pin"], "created": None} == {**before, "created": None}


def test_a_former_pin_comes_back_to_whose_it_was_alone_and_not_beyond_its_end(cast: Cast, api: Caller) -> None:
    api(cast.alice).put(f"{GREETING}/pin/user", {"version": 1})
    pin_id = api(cast.alice).get(f"{GREETING}/behavior").json()["receipt"]["pin"]["id"]
    for other in (cast.bob, cast.mallory):
        assert kind(api(other).post(f"{GREETING}/restore", {"pin": pin_id})) == (404, "not-found")
    assert problems(api(cast.alice).post(f"{GREETING}/restore", {"pin": pin_id, "reason": "x"})) == {("", "together")}
    with connections["owner"].cursor() as cursor:
        cursor.execute("ALTER TABLE features_pin NO FORCE ROW LEVEL SECURITY")
        cursor.execute("UPDATE features_pin SET until = now() - interval '1 day'")
        cursor.execute("ALTER TABLE features_pin FORCE ROW LEVEL SECURITY")
    assert kind(api(cast.alice).post(f"{GREETING}/restore", {"pin": pin_id})) == (409, "conflict")


def test_where_a_revision_of_then_is_erased_the_answer_is_cannot_and_why(cast: Cast, api: Caller) -> None:
    api(cast.alice).put(MINE, {"set": {"vars.tone": "warm"}}, **FIRST)
    run = api(cast.alice).post(f"{GREETING}/runs", {"input": {"name": "Ann"}}, Prefer="respond-async").json()["id"]
    api(cast.alice).delete(MINE)
    before = digest(api, cast.alice)
    with cast.alice.present():
        Override.objects.filter(subject_id=cast.alice.acting_for().id, number=1).delete()
    forget()
    refused = api(cast.alice).post(f"{GREETING}/restore", {"run": run})
    assert (kind(refused), refused.json()["result"]) == ((422, "invalid"), "cannot")
    assert refused.json()["reasons"] == ["The behavior of then cannot be made again: There is no revision 1."]
    assert refused.json()["digest_now"] == before == digest(api, cast.alice)


def test_a_policy_that_forbids_pins_is_the_reason_and_suspends_those_there_are(cast: Cast, api: Caller) -> None:
    then = served(api, cast.alice)["at"]
    api(cast.alice).put(f"{GREETING}/pin/user", {"version": 1})
    api(cast.ada).patch("/tenant", {"policy": {"users_may_pin": "no"}})
    refused = api(cast.alice).post(f"{GREETING}/restore", {"at": then}).json()
    assert (refused["result"], refused["reasons"]) == ("cannot", [refused["detail"]])
    mine = api(cast.alice).get(f"{GREETING}/pin/user").json()["pin"]
    [listed] = api(cast.ada).get(f"{GREETING}/pins").json()["items"]
    assert (mine["counts"], listed["counts"]) == (False, False)
    api(cast.ada).patch("/tenant", {"policy": {"users_may_pin": 3}})
    mine = api(cast.alice).get(f"{GREETING}/pin/user").json()["pin"]
    assert mine["counts"] is True and mine["until"] is not None


def test_a_restore_to_a_withdrawn_version_says_what_stands_in(cast: Cast, api: Caller) -> None:
    publish(api, cast, instructions__role="You shout.")
    then = served(api, cast.alice)
    api(cast.operator).put(f"{GREETING}/current", {"version": 1})
    api(cast.operator).post(f"{GREETING}/versions/2/withdraw", {"replacement": 1, "reason": "It insults people."})
    told = restored(api, cast.alice, {"at": then["at"]})
    assert (told["result"], told["wanted"]) == ("substituted", then["receipt"]["digest"])
    assert told["reasons"] == ["Version 2 is withdrawn, and version 1 stands in for it: It insults people."]
    assert told["pin"]["withdrawn"]["replacement"] == 1
