"""The access page of an organisation, and the approvals of operators."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.core import mail
from django.test import Client
from django.utils import timezone

from features.mailing import send_notices
from tenants.actions import create_key
from tenants.actor import Actor
from tenants.models import ApiKey
from tests.backend.api.test_operators import hire
from tests.cast import Cast
from tests.conftest import Knock

from .conftest import BACKEND, Person, login, words

Sit = Callable[[Actor], Person]
PAGE, APPROVALS = "/org/access", "/vendor/approvals"


def test_support_is_let_in_for_a_time_and_shown_out(at_desk: Sit, cast: Cast) -> None:
    ada = at_desk(cast.ada)
    assert "nobody looks" in words(ada.see(PAGE))
    _, sue = hire("sue", "support", **{"Bespoke-Tenant": "acme"})
    assert ada.send(PAGE, htmx=False, act="grant", hours="5", reason="The run of Monday.").status_code == 302
    page = words(ada.see(PAGE))
    assert "“The run of Monday.” Ada" in page and "until" in page
    assert sue.get("/runs").status_code == 200
    ada.send(PAGE, htmx=False, act="end")
    assert "nobody looks" in words(ada.see(PAGE)) and sue.get("/runs").status_code == 403


def test_without_a_reason_nobody_is_let_in(at_desk: Sit, cast: Cast) -> None:
    ada = at_desk(cast.ada)
    for form in ({"hours": "4", "reason": " "}, {"hours": "9999", "reason": "x"}, {"hours": "", "reason": "x"}):
        refused = ada.send(PAGE, act="grant", **form)
        told = "Say why" if form["hours"] == "4" else "Say for how many hours, at most 168."
        assert refused.status_code == 422 and told in words(refused)
    assert "nobody looks" in words(ada.see(PAGE))


def test_a_second_factor_is_asked_of_everybody(at_desk: Sit, cast: Cast) -> None:
    at_desk(cast.ada).send(PAGE, htmx=False, act="require", required="yes")
    assert at_desk(cast.bob).client.get("/")["Location"] == "/accounts/2fa/totp/activate/"


def test_the_page_is_for_admins(at_desk: Sit, cast: Cast) -> None:
    for who in (cast.alice, cast.vera):
        at_desk(who).see(PAGE, 403)
        assert at_desk(who).send(PAGE, act="grant", hours="4", reason="x").status_code == 403


def test_another_operator_approves_on_a_page(cast: Cast, settings: Any) -> None:
    people = {}
    for name in ("pat", "quinn"):
        hire(name, "publish")
        client = Client()
        client.force_login(login(f"{name}@bespoke.example"), backend=BACKEND)
        people[name] = Person(client)
    settings.SECOND_APPROVAL = True
    asked = people["pat"].send("/vendor/f/greet/versions", htmx=False, act="current", version=1)
    assert (asked.status_code, asked["Location"]) == (302, APPROVALS)
    row = people["pat"].see(APPROVALS)
    assert "Make version 1 current greet" in words(row) and "Take back" in row and ">Approve<" not in row
    page = people["quinn"].see(APPROVALS)
    request = page.split('name="id" value="')[1][:36]
    assert people["pat"].send(APPROVALS, act="approve", id=request).status_code == 403
    assert people["quinn"].send(APPROVALS, htmx=False, act="approve", id=request).status_code == 302
    assert "approved" in words(people["quinn"].see(APPROVALS))


def test_a_key_that_ends_soon_is_told_to_whoever_can_rotate_it(at_desk: Sit, cast: Cast) -> None:
    soon, late = (timezone.now() + timedelta(days=days) for days in (3, 30))
    bobs, _ = create_key(kind="member", name="laptop", expires_at=soon, by=cast.bob)
    with cast.bob.present():  # made long ago, so that the one that takes its place lasts as long again
        ApiKey.objects.filter(pk=bobs.pk).update(created_at=timezone.now() - timedelta(days=90))
    create_key(kind="service", name="shop", expires_at=soon, by=cast.ada)
    create_key(kind="service", name="later", expires_at=late, by=cast.ada)
    ada, bob = words(at_desk(cast.ada).see("/notices")), at_desk(cast.bob).see("/notices")
    assert "The key “shop” ends soon" in ada and "laptop" not in ada and "later" not in ada
    assert "The key “laptop” ends soon" in words(bob) and "shop" not in bob and 'href="/me/keys"' in bob
    [told] = Knock(cast.key(cast.bob), {}).get("/notices").json()["items"]
    assert (told["kind"], told["feature"], told["layer"]) == ("key_ending", None, "user")
    assert Knock(cast.key(cast.bob), {}).post(told["action"]["api"].removeprefix("/api/v1")).status_code == 201
    assert "laptop" not in words(at_desk(cast.bob).see("/notices"))
    send_notices()
    assert sorted(message.to[0] for message in mail.outbox) == ["ada@acme.example"]
    with cast.ada.present():  # its time has come
        ApiKey.objects.filter(name="shop").update(expires_at=timezone.now() - timedelta(minutes=1))
    assert "shop" not in words(at_desk(cast.ada).see("/notices"))
