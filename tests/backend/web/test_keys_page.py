"""Keys in the dashboard: made with what they are for, shown once, rotated, revoked after a confirmation."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from tenants.actor import Actor
from tests.cast import Cast
from tests.conftest import Knock

from .conftest import Person, words

Sit = Callable[[Actor], Person]
MINE, OURS = "/me/keys", "/org/keys"
MAKE = {"act": "make", "name": "shop", "lasts": "90", "scope": ["read", "run"]}


def text_of(answer: Any) -> str:
    """The key that an answer shows."""
    found = re.search(r'id="secret" value="(bsk_[^"]+)"', answer.content.decode())
    assert found, words(answer)[:300]
    return found[1]


def id_of(person: Person, path: str, name: str) -> str:
    row = next(row for row in person.see(path).split("<tr>") if f">{name}<" in row)
    found = re.search(r'revoke=([^"]+)"', row)
    assert found
    return found[1]


def test_a_key_is_shown_once_and_may_what_was_ticked(at_desk: Sit, cast: Cast) -> None:
    alice = at_desk(cast.alice)
    made = alice.send(MINE, **MAKE)
    assert made.status_code == 200 and "no-store" in made["Cache-Control"]
    can = {"feature.read", "run.cancel", "run.create", "run.rate", "run.read", "tenant.read"}
    assert set(Knock(text_of(made), {}).get("/me").json()["can"]) == can
    page = alice.see(MINE)
    assert "bsk_" not in page and "shop" in page and "Read, Run" in words(page)


def test_without_the_script_it_is_a_page_all_the_same(at_desk: Sit, cast: Cast) -> None:
    made = at_desk(cast.alice).send(MINE, htmx=False, **MAKE)
    assert "<html" in made.content.decode() and Knock(text_of(made), {}).get("/me").status_code == 200


def test_a_service_key_is_made_for_the_organisation(at_desk: Sit, cast: Cast) -> None:
    made = at_desk(cast.ada).send(OURS, **MAKE)
    told = Knock(text_of(made), {"Bespoke-User": "u1"}).get("/me").json()
    assert (told["kind"], told["subject"]) == ("service", "u1")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": " "}, "Say what the key is for"),
        ({"scope": []}, "A key is for something."),
        ({"lasts": "forever"}, "Choose how long the key lasts."),
    ],
)
def test_what_is_missing_is_said_and_nothing_is_made(
    change: dict[str, Any], told: str, at_desk: Sit, cast: Cast
) -> None:
    alice = at_desk(cast.alice)
    refused = alice.send(MINE, **{**MAKE, **change})
    assert refused.status_code == 422 and told in words(refused) and "bsk_" not in refused.content.decode()
    assert "You have no key." in words(alice.see(MINE))


def test_a_rotated_key_works_beside_the_new_one(at_desk: Sit, cast: Cast) -> None:
    alice = at_desk(cast.alice)
    old = text_of(alice.send(MINE, **MAKE))
    rotated = alice.send(MINE, act="rotate", id=id_of(alice, MINE, "shop"))
    assert "The old one works too, and ends" in words(rotated)
    assert [Knock(text, {}).get("/me").status_code for text in (old, text_of(rotated))] == [200, 200]


def test_a_key_ends_and_an_old_one_lives_on_until_the_moment_that_one_says(at_desk: Sit, cast: Cast) -> None:
    alice = at_desk(cast.alice)
    ends, until = (timezone.now() + timedelta(days=days) for days in (400, 3))
    text = text_of(alice.send(MINE, **{**MAKE, "lasts": "30", "ends": f"{ends:%Y-%m-%dT%H:%M}"}))
    row = id_of(alice, MINE, "shop")
    asked = words(alice.part(f"{MINE}?rotate={row}"))
    assert "Rotate “shop”?" in asked and "Empty: in a day." in asked
    expires = {key["id"]: key["expires"] for key in Knock(text, {}).get("/keys").json()["items"]}
    assert expires[row].startswith(f"{ends:%Y-%m-%dT%H:%M}")
    newer = Knock(text_of(alice.send(MINE, act="rotate", id=row, until=f"{until:%Y-%m-%dT%H:%M}")), {})
    expires = {key["id"]: key["expires"] for key in newer.get("/keys").json()["items"]}
    assert expires[row].startswith(f"{until:%Y-%m-%dT%H:%M}")


@pytest.mark.parametrize(("until", "told"), [("soon", "That is no moment"), ("2020-01-01T10:00", "cannot live until")])
def test_a_moment_that_cannot_be_is_said_beside_the_open_form_and_nothing_is_made(
    until: str, told: str, at_desk: Sit, cast: Cast
) -> None:
    alice = at_desk(cast.alice)
    alice.send(MINE, **MAKE)
    refused = alice.send(MINE, act="rotate", id=id_of(alice, MINE, "shop"), until=until)
    assert refused.status_code == 422 and told in words(refused) and "Rotate “shop”?" in words(refused)
    assert f'value="{until}"' in refused.content.decode() and "rotated" not in words(alice.see(MINE))


def test_revoking_names_what_stops_and_then_it_does(at_desk: Sit, cast: Cast) -> None:
    ada = at_desk(cast.ada)
    key = Knock(text_of(ada.send(OURS, **MAKE)), {"Bespoke-User": "u1"})
    row = id_of(ada, OURS, "shop")
    asked = words(ada.part(f"{OURS}?revoke={row}"))
    assert "Revoke “shop”?" in asked and "Software of Acme that uses it" in asked and "It was never used." in asked
    assert key.get("/me").status_code == 200
    assert "“shop” is revoked." in words(ada.send(OURS, act="revoke", id=row))
    assert key.get("/me").status_code == 401
    assert "1 key that has ended" in words(ada.see(OURS))


def test_admins_see_all_keys_and_rotate_none_of_other_people(at_desk: Sit, cast: Cast) -> None:
    at_desk(cast.bob).send(MINE, **{**MAKE, "name": "script"})
    ada = at_desk(cast.ada)
    row = next(row for row in ada.see(OURS).split("<tr>") if ">script<" in row)
    assert "acts as Bob" in words(row) and ">Rotate<" not in row and "Revoke" in row
    assert ada.send(OURS, act="rotate", id=id_of(ada, OURS, "script")).status_code == 404


def test_keys_of_others_are_not_there(at_desk: Sit, cast: Cast) -> None:
    bob = at_desk(cast.bob)
    bob.send(MINE, **MAKE)
    row = id_of(bob, MINE, "shop")
    for who, path in ((cast.alice, MINE), (cast.ada, MINE), (cast.gus, OURS), (cast.mallory, MINE)):
        person = at_desk(who)
        assert ">shop<" not in person.see(path)
        assert person.send(path, act="revoke", id=row).status_code == 404
        person.see(f"{path}?revoke={row}", 404)
    at_desk(cast.alice).see(OURS, 403)
    assert at_desk(cast.alice).send(OURS, **MAKE).status_code == 403


def test_a_key_is_given_limits_of_its_own_and_the_organisations_again(at_desk: Sit, cast: Cast) -> None:
    ada, key = at_desk(cast.ada), cast.acme_service.label.removeprefix("key:")
    page = words(ada.part(f"{OURS}?limits={key}"))
    assert "Limits of “acme's software”" in page and "at most" in page
    for wrong in ("0", "x", "1.5", "9" * 12, "99999999"):
        refused = ada.send(OURS, act="limit", id=key, requests_per_minute=wrong, concurrent_runs="")
        assert refused.status_code == 422 and wrong in refused.content.decode()
    assert "7 requests a minute" not in words(ada.see(OURS))
    done = words(ada.send(OURS, act="limit", id=key, requests_per_minute="7", concurrent_runs=""))
    assert "It counts at the key's next request." in done and "7 requests a minute" in done
    assert "runs in flight" not in done
    knock = Knock(cast.keys[cast.acme_service.label], {"Bespoke-User": "u"})
    assert [knock.get("/features").status_code for _n in range(8)] == [200] * 7 + [429]
    ada.send(OURS, act="limit", id=key, requests_per_minute="", concurrent_runs="")
    assert "7 requests a minute" not in words(ada.see(OURS))


@pytest.mark.parametrize(("who", "status"), [("ada", 200), ("alice", 403), ("vera", 403), ("gus", 404)])
def test_who_may_limit_a_key(at_desk: Sit, cast: Cast, who: str, status: int) -> None:
    key, person = cast.acme_service.label.removeprefix("key:"), at_desk(getattr(cast, who))
    assert person.client.get(f"{OURS}?limits={key}").status_code == status
    assert person.send(OURS, act="limit", id=key, requests_per_minute="5").status_code == status


def test_nobody_limits_a_key_on_their_own_page(at_desk: Sit, cast: Cast) -> None:
    alice = at_desk(cast.alice)
    alice.send(MINE, **MAKE)
    key = id_of(alice, MINE, "shop")
    assert "Limits" not in words(alice.see(f"{MINE}?limits={key}"))
    assert alice.send(MINE, act="limit", id=key, requests_per_minute="5").status_code == 403
