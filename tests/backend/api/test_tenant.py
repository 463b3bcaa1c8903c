"""The organisation: its policy, its people, its keys, what was done in it."""

from typing import Any

import pytest

from tests.cast import Cast
from tests.conftest import Knock

from .acts import kind, problems
from .conftest import Caller


def test_members_read_the_policy_and_admins_change_it(cast: Cast, api: Caller) -> None:
    open_to_all = {
        "users_may_pin": "yes",
        "users_may_override": True,
        "retention_days": None,
        "store": True,
        "require_mfa": False,
    }
    assert api(cast.alice).get("/tenant").json()["policy"] == open_to_all
    changed = api(cast.ada).patch("/tenant", {"policy": {"users_may_pin": 14, "retention_days": 90}}).json()["policy"]
    assert changed == {
        "users_may_pin": 14,
        "users_may_override": True,
        "retention_days": 90,
        "store": True,
        "require_mfa": False,
    }
    assert kind(api(cast.alice).patch("/tenant", {"policy": {}})) == (403, "forbidden")


def test_one_organisations_policy_is_not_anothers(cast: Cast, api: Caller) -> None:
    api(cast.ada).patch("/tenant", {"policy": {"users_may_override": False}})
    assert api(cast.gus).get("/tenant").json()["policy"]["users_may_override"] is True


def test_an_admin_adds_a_person_gives_a_role_and_ends_the_membership(cast: Cast, api: Caller) -> None:
    ada = api(cast.ada)
    added = ada.post("/members", {"email": "Carl@acme.example", "role": "viewer", "name": "Carl"})
    assert (added.status_code, added.json()["email"]) == (201, "carl@acme.example")
    member = f"/members/{added.json()['id']}"
    assert ada.patch(member, {"role": "member"}).json()["role"] == "member"
    assert ada.delete(member).status_code == 204
    assert kind(ada.patch(member, {"role": "member"})) == kind(ada.delete(member)) == (404, "not-found")
    assert "carl@acme.example" not in [row["email"] for row in ada.get("/members").json()["items"]]


def test_whoever_is_removed_loses_their_keys_at_once(cast: Cast, api: Caller) -> None:
    bobs = api(cast.bob)
    assert bobs.get("/me").status_code == 200
    api(cast.ada).delete(f"/members/{cast.bob.subject.id}")
    assert kind(bobs.get("/me")) == (401, "unauthenticated")


def test_a_person_is_a_member_once(cast: Cast, api: Caller) -> None:
    assert kind(api(cast.ada).post("/members", {"email": "bob@acme.example", "role": "member"})) == (409, "conflict")


def test_an_organisation_keeps_an_owner(cast: Cast, api: Caller) -> None:
    me = f"/members/{cast.ada.subject.id}"
    assert kind(api(cast.ada).patch(me, {"role": "member"})) == (409, "conflict")
    assert kind(api(cast.ada).delete(me)) == (409, "conflict")


def test_only_an_owner_makes_owners(cast: Cast, api: Caller) -> None:
    api(cast.ada).patch(f"/members/{cast.bob.subject.id}", {"role": "admin"})
    refused = api(cast.bob).patch(f"/members/{cast.alice.subject.id}", {"role": "owner"})
    assert kind(refused) == (403, "forbidden")
    assert kind(api(cast.bob).delete(f"/members/{cast.ada.subject.id}")) == (403, "forbidden")


ADMINS: list[tuple[str, str, Any]] = [
    ("get", "/members", None), ("post", "/members", {"email": "x@y.example", "role": "viewer"}),
    ("get", "/subjects", None), ("get", "/audit", None), ("get", "/usage", None),
    ("post", "/keys", {"kind": "service", "name": "mine"}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body"), ADMINS)
@pytest.mark.parametrize("who", ["alice", "vera", "acme_service"])
def test_what_is_for_admins_is_not_for_others(
    who: str, method: str, path: str, body: Any, cast: Cast, api: Caller
) -> None:
    assert kind(api(getattr(cast, who)).request(method, path, body)) == (403, "forbidden")


def test_everybody_makes_keys_for_themselves_whose_text_is_shown_once(cast: Cast, api: Caller) -> None:
    made = api(cast.vera).post("/keys", {"kind": "member", "name": "laptop", "expires": "2999-01-01T00:00:00Z"})
    assert (made.status_code, made.headers["Cache-Control"]) == (201, "no-store")
    assert Knock(made.json()["key"], {}).get("/me").json()["name"] == "Vera"
    listed = api(cast.vera).get("/keys").json()["items"]
    assert [row["name"] for row in listed] == ["laptop", "test"] and "bsk_" not in str(listed)


def test_a_service_key_is_the_organisations_and_made_by_admins(cast: Cast, api: Caller) -> None:
    made = api(cast.ada).post("/keys", {"kind": "service", "name": "shop"}).json()
    assert Knock(made["key"], {"Bespoke-User": "u1"}).get("/me").json()["subject"] == "u1"
    assert "shop" in [row["name"] for row in api(cast.ada).get("/keys").json()["items"]]
    assert api(cast.alice).delete(f"/keys/{made['id']}").status_code == 404
    assert api(cast.ada).delete(f"/keys/{made['id']}").status_code == 204
    assert kind(Knock(made["key"], {}).get("/me")) == (401, "unauthenticated")


def test_nobody_sees_or_ends_the_keys_of_others(cast: Cast, api: Caller) -> None:
    bobs = api(cast.bob).post("/keys", {"kind": "member", "name": "bob's"}).json()
    assert "bob's" not in str(api(cast.alice).get("/keys").json())
    for who in (cast.alice, cast.mallory, cast.gus):
        assert kind(api(who).delete(f"/keys/{bobs['id']}")) == (404, "not-found")
    assert Knock(bobs["key"], {}).get("/me").status_code == 200
    assert api(cast.ada).delete(f"/keys/{bobs['id']}").status_code == 204


def test_a_service_key_makes_no_keys(cast: Cast, api: Caller) -> None:
    for body in ({"kind": "member", "name": "x"}, {"kind": "service", "name": "x"}):
        assert kind(api(cast.acme_service, Bespoke_User="u1").post("/keys", body)) == (403, "forbidden")
    assert api(cast.acme_service, Bespoke_User="u1").get("/keys").json()["items"] == []


def test_the_audit_list_says_who_did_what_newest_first(cast: Cast, api: Caller) -> None:
    api(cast.ada).patch("/tenant", {"policy": {"users_may_pin": "no"}})
    api(cast.ada).patch(f"/members/{cast.bob.subject.id}", {"role": "viewer"})
    newest, before = api(cast.ada).get("/audit").json()["items"][:2]
    assert (newest["verb"], newest["detail"]) == ("member.manage", {"from": "member", "to": "viewer"})
    assert (before["verb"], before["actor"]) == ("policy.manage", cast.ada.label)


def test_subjects_are_listed_once_something_was_written_for_them(cast: Cast, api: Caller) -> None:
    keys = {row["key"] for row in api(cast.ada).get("/subjects").json()["items"]}
    assert keys == {who.subject.key for who in (cast.ada, cast.alice, cast.bob, cast.vera)}


def test_a_wrong_role_is_named(cast: Cast, api: Caller) -> None:
    assert problems(api(cast.ada).patch(f"/members/{cast.bob.subject.id}", {"role": "king"})) == {
        ("/role", "invalid_choice")
    }
