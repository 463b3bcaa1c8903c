"""Admins and their people through the API: who changed what, taking it out, leaving it, promoting, handing out."""

from tests.cast import Cast

from .acts import FIRST, GREETING, MINE, OURS, digest, kind, problems
from .conftest import Caller

WARM = {"set": {"vars.tone": "warm"}}


def key(who: object) -> str:
    return str(who.subject.key)  # type: ignore[attr-defined]


def test_an_admin_sees_who_changed_what_and_lets_them_inherit_again(cast: Cast, api: Caller) -> None:
    api(cast.alice).put(MINE, {**WARM, "message": "For me"}, **FIRST)
    before = digest(api, cast.bob)
    [row] = api(cast.ada).get(f"{GREETING}/overrides").json()["items"]
    assert (row["subject"], row["revision"], row["fields"], row["override"]) == (
        key(cast.alice),
        1,
        ["vars.tone"],
        WARM,
    )
    assert "message" not in row
    done = api(cast.ada).delete(f"{GREETING}/overrides/{key(cast.alice)}")
    assert (done.status_code, done.json()["revision"], done.json()["author"]) == (200, 2, cast.ada.label)
    assert digest(api, cast.alice) == before
    assert api(cast.ada).get(f"{GREETING}/overrides").json()["items"] == []
    assert kind(api(cast.ada).delete(f"{GREETING}/overrides/{key(cast.alice)}")) == (404, "not-found")
    assert kind(api(cast.bob).get(f"{GREETING}/overrides")) == (403, "forbidden")
    revisions = api(cast.alice).get(f"{MINE}/revisions").json()["items"]
    assert [item["author"] for item in revisions] == [cast.ada.label, cast.alice.label]


def test_a_departing_members_behavior_is_left_to_a_colleague(cast: Cast, api: Caller) -> None:
    api(cast.alice).put(MINE, WARM, **FIRST)
    api(cast.alice).put(f"{GREETING}/pin/user", {"version": 1, "reason": "It works"})
    hers, path = digest(api, cast.alice), f"/subjects/{key(cast.alice)}/leave-to"
    assert api(cast.ada).delete(f"/members/{cast.alice.acting_for().id}").status_code == 204
    assert api(cast.ada).post(f"{path}?dry_run=true", {"to": key(cast.bob)}).json()["items"][0]["feature"] == "greet"
    assert digest(api, cast.bob) != hers
    [item] = api(cast.ada).post(path, {"to": key(cast.bob), "features": ["greet"]}).json()["items"]
    assert (item["override"]["set"], item["pin"]["reason"]) == (WARM["set"], "It works")
    assert digest(api, cast.bob) == hers
    again = api(cast.ada).post(path, {"to": key(cast.bob)})
    assert (kind(again), again.json()["features"]) == ((409, "conflict"), ["greet"])
    assert api(cast.ada).post(path, {"to": key(cast.bob), "replace": True}).status_code == 200
    assert problems(api(cast.ada).post(path, {"to": key(cast.alice)})) == {("/to", "subject")}
    assert kind(api(cast.ada).post(path, {"to": "member:" + "0" * 8})) == (404, "not-found")
    assert kind(api(cast.ada).post(path, {"to": key(cast.bob), "features": ["nothing"]})) == (404, "not-found")


def test_my_changes_are_promoted_and_the_organisations_handed_out(cast: Cast, api: Caller) -> None:
    api(cast.ada).put(MINE, WARM, **FIRST)
    before = digest(api, cast.ada)
    done = api(cast.ada).post(f"{MINE}/promote", {"fields": ["vars.tone"], "keep_mine": False})
    told = done.json()
    assert (done.status_code, told["fields"], told["ours"]["set"], told["mine"]["revision"]) == (
        200, ["vars.tone"], WARM["set"], 2,
    )  # fmt: skip
    assert digest(api, cast.bob) == before
    body = {"subjects": [key(cast.bob), "u1"], "keep_ours": False}
    assert api(cast.ada).post(f"{OURS}/hand-out?dry_run=true", body).json()["dry_run"] is True
    assert api(cast.ada).get(OURS).json()["set"] == WARM["set"]
    handed = api(cast.ada).post(f"{OURS}/hand-out", body).json()
    assert {row["subject"] for row in handed["theirs"]} == {key(cast.bob), "u1"}
    assert digest(api, cast.bob) == before == digest(api, cast.acme_service, Bespoke_User="u1")
    assert digest(api, cast.vera) != before
    assert kind(api(cast.alice).post(f"{MINE}/promote")) == (403, "forbidden")
    assert problems(api(cast.ada).post(f"{OURS}/hand-out", {"subjects": []})) == {("/subjects", "min_length")}


def test_a_member_of_another_organisation_is_nobody(cast: Cast, api: Caller) -> None:
    api(cast.ada).put(OURS, WARM, **FIRST)
    theirs, nobodys = key(cast.mallory), "member:01890a5d-ac96-774b-bcce-b302099a8057"
    for path, body in (
        ("/subjects/{}/leave-to", {"to": "u1"}),
        ("/subjects/u1/leave-to", {"to": "{}"}),
        (f"{OURS}/hand-out", {"subjects": ["{}"]}),
    ):
        sent = [
            api(cast.ada, X_Request_Id="the-same").post(
                path.format(who), {k: [who] if isinstance(v, list) else v.format(who) for k, v in body.items()}
            )
            for who in (theirs, nobodys)
        ]
        assert (sent[0].status_code, sent[0].content) == (404, sent[1].content)
