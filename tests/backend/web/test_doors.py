"""Who gets which page, and what every answer carries."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.db import OperationalError, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLResolver, get_resolver

from backend.actors import memberships
from features.runs.accept import accept
from tenants.actions import add_member, login_for
from tenants.actor import Actor
from tenants.ids import uuid7
from tests.cast import Cast
from tests.fakes.model import FakeModel

from .conftest import BACKEND, Person, login, words

Sit = Callable[[Actor], Person]
PAGES = ["/", "/f/greet", "/f/greet/mine", "/f/greet/timeline", "/runs", "/runs?feature=greet"]


@pytest.mark.parametrize("path", [*PAGES, "/org/f/greet", "/vendor/features"])
def test_strangers_are_sent_to_sign_in_and_come_back(cast: Cast, path: str) -> None:
    answer = Client().get(path)
    assert answer.status_code == 302
    assert answer["Location"].startswith("/accounts/login/?next=/")


def test_htmx_asks_after_the_session_ended_take_the_whole_page_to_sign_in(cast: Cast) -> None:
    asked = {"HX-Request": "true", "HX-Current-URL": "http://testserver/f/greet/mine"}
    answer = Client().get("/f/greet/mine?edit=vars.tone", headers=asked)
    assert answer["HX-Redirect"] == "/accounts/login/?next=/f/greet/mine"  # where they were


def test_the_sign_in_page_asks_nothing_of_nobody(cast: Cast) -> None:
    page = Client().get("/accounts/login/")
    assert page.status_code == 200 and "Sign in" in words(page)


def test_alice_signs_in_by_typing_and_lands_on_her_features(cast: Cast) -> None:
    person = login("alice@acme.example")
    person.set_password("a long enough secret")
    person.save(update_fields=["password"])
    client = Client()
    answer = client.post("/accounts/login/", {"login": person.email, "password": "a long enough secret"})
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert "Greets somebody." in words(client.get("/"))


@pytest.mark.parametrize("path", PAGES)
def test_every_page_opens_and_keeps_the_policy_against_foreign_content(at_desk: Sit, cast: Cast, path: str) -> None:
    answer = at_desk(cast.alice).client.get(path)
    assert answer.status_code == 200
    policy = answer["Content-Security-Policy"]
    [nonce] = re.findall(r"script-src 'nonce-([A-Za-z0-9+/=]{22,})'(?:;|$)", policy)
    assert "unsafe" not in policy and "default-src 'none'" in policy
    scripts = re.findall(r"<script\b[^>]*>", answer.content.decode())
    assert scripts and all(f'nonce="{nonce}"' in script for script in scripts)
    assert nonce not in at_desk(cast.alice).client.get(path)["Content-Security-Policy"]
    assert "HX-Request" in answer["Vary"] and "no-cache" in answer["Cache-Control"]


@pytest.mark.parametrize("path", ["/f/nothing", "/f/nothing/mine", "/f/nothing/timeline", "/runs?feature=nothing"])
def test_a_feature_that_is_not_there_is_a_page_that_says_so(at_desk: Sit, cast: Cast, path: str) -> None:
    assert "There is no feature nothing" in words(at_desk(cast.alice).see(path, 404))


def test_an_error_takes_the_whole_page_when_a_part_was_asked_for(at_desk: Sit, cast: Cast) -> None:
    answer = at_desk(cast.alice).part("/f/nothing")
    assert (answer.status_code, answer["HX-Retarget"], answer["HX-Reswap"]) == (404, "body", "innerHTML")


def test_a_member_has_no_editor_for_the_organisation(at_desk: Sit, cast: Cast) -> None:
    assert "Your role does not allow this" in words(at_desk(cast.alice).see("/org/f/greet", 403))
    assert "For all of Acme" not in words(at_desk(cast.alice).see("/f/greet"))
    assert "For all of Acme" in words(at_desk(cast.ada).see("/f/greet"))


def test_operators_land_on_what_is_published(at_desk: Sit, cast: Cast) -> None:
    olga = at_desk(cast.operator)
    assert olga.client.get("/")["Location"] == "/vendor/features"
    page = words(olga.see("/vendor/features"))
    assert "Greet greet Greets somebody. Version 1 1 Version 1" in page and "Olga" in page


def test_what_the_vendor_sees_is_not_for_customers(at_desk: Sit, cast: Cast) -> None:
    at_desk(cast.ada).see("/vendor/features", 403)


def test_a_login_without_an_organisation_is_told_so(cast: Cast) -> None:
    client = Client()
    login_for("nobody@nowhere.example")
    client.force_login(login("nobody@nowhere.example"), backend=BACKEND)
    answer = client.get("/")
    assert answer.status_code == 403 and "not a member of any organisation" in words(answer)
    assert "Sign out" in words(answer)


def test_with_the_database_away_a_page_says_so_without_asking_it_again(
    at_desk: Sit, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = at_desk(cast.alice)

    def away(_: SessionStore) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(SessionStore, "load", away)
    answer = alice.part("/f/greet")
    assert answer.status_code == 503 and "The database is away. Nothing was changed" in words(answer)
    assert "Sign out" not in words(answer)


def test_somebody_in_two_organisations_switches_between_them(at_desk: Sit, cast: Cast) -> None:
    add_member(email="alice@acme.example", role="member", by=cast.gus)
    alice = at_desk(cast.alice)
    assert "Member, Acme" in words(alice.see("/"))
    assert alice.client.post("/switch", {"tenant": str(cast.gus.tenant_id)})["Location"] == "/"
    assert "Member, Globex" in words(alice.see("/"))
    assert len(memberships(login("alice@acme.example"))) == 2


def test_a_link_of_her_other_organisation_is_opened_there(at_desk: Sit, cast: Cast) -> None:
    add_member(email="alice@acme.example", role="member", by=cast.gus)
    run = accept(cast.greet, {"name": "Ann"}, by=cast.alice).run_id
    alice, link = at_desk(cast.alice), f"/runs/{run}"
    acme, globex = (str(who.tenant_id) for who in (cast.alice, cast.gus))
    alice.send("/switch", htmx=False, tenant=globex)
    page = alice.see(link, 404)
    assert "Perhaps it is of another organisation of yours." in words(page) and "Go on at Acme" in words(page)
    assert words(page).count("Go on at") == 1 and f'name="next" value="{link}"' in page
    assert alice.send("/switch", htmx=False, tenant=acme, next=link)["Location"] == link
    alice.see(link)
    assert alice.send("/switch", htmx=False, tenant=globex, next="https://evil.example/")["Location"] == "/"
    assert "Perhaps" not in words(at_desk(cast.bob).see(f"/runs/{uuid7()}", 404))


def test_nobody_switches_into_an_organisation_that_they_are_not_in(at_desk: Sit, cast: Cast) -> None:
    alice = at_desk(cast.alice)
    assert alice.client.post("/switch", {"tenant": str(cast.gus.tenant_id)}).status_code == 404
    assert "Member, Acme" in words(alice.see("/"))


@pytest.mark.parametrize("path", PAGES)
def test_pages_ask_little_of_the_database(at_desk: Sit, cast: Cast, path: str) -> None:
    """At most 15 statements once this process knows the behavior, beside opening and closing transactions."""
    alice = at_desk(cast.alice)
    alice.see(path)
    with CaptureQueriesContext(connections["default"]) as asked:
        alice.see(path)
    told = [
        q["sql"]
        for q in asked
        if not q["sql"].startswith(("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "SELECT set_config"))
    ]
    assert len(told) <= 15, "\n".join(told)


def test_a_viewer_looks_at_everything_and_can_do_nothing(at_desk: Sit, cast: Cast) -> None:
    vera = at_desk(cast.vera)
    assert "A viewer can look but not run" in words(vera.see("/f/greet"))
    assert "data-b-edit>" not in vera.see("/f/greet/mine") and "Add a section" not in vera.see("/f/greet/mine")
    timeline = vera.see("/f/greet/timeline")
    assert "Stay on it" not in timeline and "A viewer can look but not change." in words(timeline)
    assert vera.send("/f/greet", in__name="Ann").status_code == 403
    assert (
        vera.send(
            "/f/greet/mine", act="save", field="vars.tone", widget="choice", value='"warm"', etag='"0"'
        ).status_code
        == 403
    )
    assert vera.send("/f/greet/timeline", act="pin", version="1").status_code == 403


def test_an_id_in_an_address_is_the_same_in_either_case(
    at_desk: Sit, cast: Cast, api: Callable[..., Any], model: FakeModel
) -> None:
    run = accept(cast.greet, {"name": "Ann"}, by=cast.alice).run_id
    for written in (str(run), str(run).upper()):
        assert api(cast.alice).get(f"/runs/{written}").json()["id"] == str(run)
        at_desk(cast.alice).see(f"/runs/{written}")
        at_desk(cast.bob).see(f"/runs/{written}", 404)
    known = {*_routes(get_resolver())}
    assert {route for route in known if "<id:run_id>" in route}
    assert {route for route in known if "<uuid:" in route} == set()


def _routes(resolver: Any, before: str = "") -> Iterator[str]:
    """Every address, as it is written where it is named."""
    for one in resolver.url_patterns:
        route = f"{before}{one.pattern}"
        yield from _routes(one, route) if isinstance(one, URLResolver) else [route]
