"""The audit's page and that of the organisation's data, as Ada uses them."""

import re
from collections.abc import Callable
from html import unescape

import pytest

from backend.actors import actor_of_key
from backend.web.verb_words import DONE, SILENT, verb_words
from backend.web.views import audit
from features.actions.overrides import ANY, save_operation
from features.actions.pins import pin
from features.runs.budgets import add_budget
from tenants.actions import create_key
from tenants.actor import Actor
from tenants.models import AuditEvent
from tenants.privacy_models import Erasure, Export
from tenants.roles import VERBS
from tenants.subjects import external_subject
from tenants.tasks import privacy
from tests.canaries import superuser
from tests.cast import Cast

from .conftest import Person, words

Sit = Callable[[Actor], Person]


def changed(cast: Cast, times: int = 1) -> None:
    for number in range(times):
        save_operation(cast.greet, "tenant", "vars.language", {"set": f"L{number}"}, expected=ANY, by=cast.ada)


def test_ada_reads_who_did_what_and_filters_it(at_desk: Sit, cast: Cast) -> None:
    changed(cast)
    ada = at_desk(cast.ada)
    page = words(ada.see("/org/audit"))
    assert "You Changed the organisation's behavior" in page and "Globex" not in page
    only = words(ada.see("/org/audit?verb=override.tenant"))
    assert "Changed who belongs here" in page and "Changed who belongs here" not in only
    assert "by you" in words(ada.see(f"/org/audit?who={cast.ada.label}"))
    assert "Nothing like that was done" in words(ada.see("/org/audit?verb=nothing"))
    ada.see("/org/audit?before=soon", 400)


def test_a_long_record_goes_on_on_the_next_page(at_desk: Sit, cast: Cast) -> None:
    changed(cast, 55)
    page = at_desk(cast.ada).see("/org/audit")
    older = page.split('href="?before=')[1].split('"')[0]
    assert 'title="override.tenant"' in at_desk(cast.ada).see(f"/org/audit?before={older}")


def test_the_record_is_checked_and_a_changed_one_is_found(at_desk: Sit, cast: Cast) -> None:
    changed(cast, 3)
    assert "The record is whole" in words(at_desk(cast.ada).see("/org/audit?verify=1"))
    with superuser() as database:
        database.execute(
            "UPDATE tenants_auditevent SET verb = 'nothing' WHERE verb = 'override.tenant' AND sequence > 3"
        )
    page = words(at_desk(cast.ada).see("/org/audit?verify=1"))
    assert "not what was written" in page and "changed" in page


def test_a_long_record_is_checked_a_stretch_at_a_time(
    at_desk: Sit, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "STRETCH", 6)
    changed(cast, 9)
    ada = at_desk(cast.ada)
    with cast.ada.present():
        events = AuditEvent.objects.count()
    page, seen = ada.see("/org/audit?verify=1"), []
    while going := re.search(r'id="check" aria-busy="true" hx-get="([^"]+)"', page):
        seen.append(re.findall(r"(\d+) of (\d+) events are in order", words(page)))
        page = ada.see(f"/org/audit{unescape(going[1])}")
    assert seen == [[(str(at), str(events))] for at in range(6, events, 6)] and len(seen) > 1
    assert f"The record is whole: {events} events" in words(page)
    ada.see(f"/org/audit?verify=6-{'0' * 64}:unsigned", 400)


def test_everything_is_exported_and_taken(at_desk: Sit, cast: Cast) -> None:
    ada = at_desk(cast.ada)
    assert "At work" in words(ada.send("/org/data", act="export"))
    privacy()
    page = ada.see("/org/data")
    assert "Take it" in words(page)
    with cast.ada.present():
        export = Export.objects.get()
    assert f"/api/v1/export/{export.id}/download" in page


def test_somebody_is_erased_only_after_it_was_said_twice(at_desk: Sit, cast: Cast) -> None:
    someone = actor_of_key(cast.key(cast.acme_service), "customer-42")
    save_operation(cast.greet, "user", "vars.language", {"set": "French"}, expected=ANY, by=someone)
    ada = at_desk(cast.ada)
    unsure = ada.send("/org/data", act="erase", whose="customer-42")
    assert unsure.status_code == 422 and 'value="customer-42"' in unsure.content.decode()
    assert ada.send("/org/data", act="erase", whose="nobody-at-all", sure="on").status_code == 404
    assert ada.send("/org/data", act="erase", whose="bob@acme.example", sure="on").status_code == 409
    assert "being erased" in words(ada.send("/org/data", act="erase", whose="customer-42", sure="on"))
    privacy()
    assert "deleted" in words(ada.see("/org/data"))
    with cast.ada.present():
        assert Erasure.objects.get().subject == external_subject(cast.ada.tenant_id, "customer-42").id


@pytest.mark.parametrize("path", ["/org/audit", "/org/data"])
def test_members_see_neither(at_desk: Sit, cast: Cast, path: str) -> None:
    at_desk(cast.alice).see(path, 403)


def test_what_it_was_done_to_has_a_name_and_its_id_for_who_looks_closer(at_desk: Sit, cast: Cast) -> None:
    changed(cast)
    page = at_desk(cast.ada).see("/org/audit")
    told = words(page)
    assert "Changed the organisation's behavior Greet" in told and "Changed who belongs here Acme" in told
    assert f'title="feature:{cast.greet.pk}"' in page and str(cast.greet.pk) not in told


def test_details_name_people_keys_and_end_users_and_leave_bare_ids_to_who_looks_closer(
    at_desk: Sit, cast: Cast
) -> None:
    someone = actor_of_key(cast.key(cast.acme_service), "customer-42")
    save_operation(cast.greet, "user", "vars.language", {"set": "French"}, expected=ANY, by=someone)
    created, _text = create_key(kind="service", name="The till", scopes=["run"], by=cast.ada)
    budget = add_budget(period="month", soft=None, hard=1_000_000, by=cast.ada)
    pin(cast.greet, "user", kind="base", version=1, by=cast.alice)
    page = at_desk(cast.ada).see("/org/audit")
    told = words(page)
    assert "Changed on which version they stay Greet Stays · " in told and "Layer:" not in told
    assert "Stops at: 1.00 EUR" in told
    assert "Subject: customer-42" in told and "Key: The till" in told and "Member: Alice" in told
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-", told)
    assert f"{created.id}" in unescape(page) and f"{budget.id}" in unescape(page)


def test_every_verb_that_can_be_audited_has_words() -> None:
    assert set().union(*VERBS.values()) - SILENT - set(DONE) == set()
    assert verb_words("till.open") == "Till open"
