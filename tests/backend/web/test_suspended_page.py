"""What people see of an organisation that is suspended."""

from collections.abc import Callable

import pytest

from tenants.actions import add_member, create_key, set_tenant_state
from tenants.actor import Actor
from tenants.errors import Suspended
from tenants.models import ApiKey
from tests.cast import Cast

from .conftest import Person, words

Sit = Callable[[Actor], Person]


def suspend(cast: Cast, state: str = "suspended") -> None:
    set_tenant_state(cast.ada.in_tenant(), state, reason="Unpaid since May.", by=cast.operator)


def test_members_see_why_and_whom_to_ask(at_desk: Sit, cast: Cast) -> None:
    alice = at_desk(cast.alice)
    suspend(cast)
    for path in ("/", "/f/greet", "/runs"):
        page = words(alice.see(path, 403))
        assert "Acme is suspended: Unpaid since May. Nothing was deleted. Ask Ada or the vendor." in page
        assert "Sign out" in page


def test_owners_read_under_a_banner_and_change_nothing(at_desk: Sit, cast: Cast) -> None:
    ada = at_desk(cast.ada)
    suspend(cast)
    for path in ("/", "/f/greet", "/org/people", "/org/f/greet"):
        assert "Acme is not active: Unpaid since May. The vendor has suspended it" in words(ada.see(path))
    refused = ada.send("/org/f/greet", act="save", field="vars.tone", value="warm", etag="")
    assert refused.status_code == 403 and "Acme is suspended" in words(refused)


def test_no_action_changes_anything_there_whatever_door_it_came_through(cast: Cast) -> None:
    suspend(cast)
    with pytest.raises(Suspended, match="Unpaid since May"):
        create_key(kind="service", name="x", by=cast.ada)
    with cast.ada.present():
        assert not ApiKey.objects.filter(name="x").exists()


def test_an_owner_still_asks_for_the_data(at_desk: Sit, cast: Cast) -> None:
    ada = at_desk(cast.ada)
    suspend(cast)
    assert "At work" in words(ada.send("/org/data", act="export"))
    assert at_desk(cast.alice).send("/org/data", act="export").status_code == 403


def test_a_closed_one_says_so(at_desk: Sit, cast: Cast) -> None:
    suspend(cast, "closed")
    assert "The vendor has closed it" in words(at_desk(cast.ada).see("/"))


def test_who_is_in_another_organisation_goes_on_there(at_desk: Sit, cast: Cast) -> None:
    add_member(email="alice@acme.example", role="member", by=cast.gus)
    alice = at_desk(cast.alice)
    suspend(cast)
    page = alice.see("/", 403)
    assert "Go on at Globex" in words(page) and "Go on at Acme" not in words(page)
    assert alice.send("/switch", htmx=False, tenant=str(cast.gus.tenant_id)).status_code == 302
    assert "Globex" in words(alice.see("/"))
