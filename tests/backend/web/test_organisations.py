"""Organisations at the vendor's desk: made, limited, suspended, closed, erased; and leave for support, seen there."""

from collections.abc import Callable

from tenants.actor import Actor
from tenants.isolation import OPERATOR
from tenants.models import Operator, Tenant
from tenants.privacy_models import Erasure
from tenants.support import end_support, grant_support
from tests.cast import Cast

from .conftest import Person, words

Sit = Callable[[Actor], Person]
ACME = "/vendor/tenants/acme"


def acme() -> Tenant:
    return Tenant.objects.using(OPERATOR).get(slug="acme")


def test_olga_makes_an_organisation_and_says_what_is_wrong_with_one(at_desk: Sit, cast: Cast) -> None:
    olga = at_desk(cast.operator)
    asked = {"name": "Initech", "slug": "initech", "owner": "bill@initech.example"}
    assert olga.send("/vendor/tenants", **asked)["Location"] == "/vendor/tenants/initech"
    assert "Tell bill@initech.example, who owns it, to choose a password" in words(olga.see("/vendor/tenants/initech"))
    again = olga.send("/vendor/tenants", **asked)
    assert again.status_code == 409 and "There is an organisation called initech already" in words(again)
    assert olga.send("/vendor/tenants", **{**asked, "slug": "in it"}).status_code == 422


def test_olga_suspends_limits_and_closes_an_organisation_and_says_why(at_desk: Sit, cast: Cast) -> None:
    olga = at_desk(cast.operator)
    silent = olga.send(ACME, act="state", state="suspended")
    assert silent.status_code == 422 and "Its people are shown it" in words(silent) and acme().state == "active"
    olga.send(ACME, act="state", state="suspended", reason="Unpaid since May")
    assert "suspended" in words(olga.see("/vendor/tenants")) and "Unpaid since May" in words(olga.see(ACME))
    assert olga.send(ACME, act="state", state="suspended", reason="Still").status_code == 409
    olga.send(ACME, act="limits", requests_per_minute="7")
    assert (acme().requests_per_minute, acme().concurrent_runs) == (7, None)
    olga.send(ACME, act="state", state="active")
    assert acme().state == "active"


def test_only_a_closed_organisation_is_erased_and_only_by_its_name(at_desk: Sit, cast: Cast) -> None:
    olga = at_desk(cast.operator)
    assert olga.send(ACME, act="erase", confirm="erase acme").status_code == 409
    olga.send(ACME, act="state", state="closed", reason="They left")
    wrong = olga.send(ACME, act="erase", confirm="acme")
    assert wrong.status_code == 422 and "Must be 'erase acme'" in words(wrong)
    olga.send(ACME, act="erase", confirm="erase acme")
    erasure = Erasure.objects.using(OPERATOR).get(tenant_id=acme().pk, subject=None)
    page = olga.see("/vendor/tenants")
    assert "acme You, just now At work" in words(page).split("Erased")[1] and str(erasure.id) not in page
    with cast.ada.present():
        Erasure.objects.filter(pk=erasure.pk).update(state="done", report={"counts": {"runs_run": 7}})
    page = olga.see("/vendor/tenants")
    assert "7 rows deleted" in words(page) and f'href="/api/v1/erasures/{erasure.id}"' in page


def test_the_vendor_sees_who_lets_support_look_and_why(at_desk: Sit, cast: Cast) -> None:
    olga = at_desk(cast.operator)
    assert "It has never let support look." in words(olga.see(ACME))
    grant_support(hours=4, reason="Greetings are odd", by=cast.ada)
    assert "support may look" in words(olga.see("/vendor/tenants")) and "Greetings are odd" in words(olga.see(ACME))
    assert "Greetings are odd" not in words(olga.see("/vendor/tenants/globex"))
    end_support(by=cast.ada)
    told = words(olga.see("/vendor/audit"))
    assert "Somebody at the organisation Changed whether support may look Acme" in told and "Ada" not in told
    page = words(olga.see(ACME))
    assert "not given" in page and "ended" in page and "support may look" not in words(olga.see("/vendor/tenants"))


def test_whoever_may_only_look_is_shown_no_verbs_and_can_do_nothing(at_desk: Sit, cast: Cast) -> None:
    Operator.objects.using(OPERATOR).update(roles=["read"])
    olga = at_desk(cast.operator)
    page = words(olga.see(ACME))
    assert "Save the state" not in page and "Make the organisation" not in words(olga.see("/vendor/tenants"))
    assert olga.client.post(ACME, {"act": "limits", "concurrent_runs": "1"}).status_code == 403
    assert olga.client.post("/vendor/tenants", {"name": "A", "slug": "a", "owner": "a@a.example"}).status_code == 403
    assert acme().concurrent_runs is None


def test_the_vendors_record_is_read_in_words_and_checked(at_desk: Sit, cast: Cast) -> None:
    olga = at_desk(cast.operator)
    olga.send(ACME, act="limits", requests_per_minute="7")
    page = olga.see("/vendor/audit?verify=1")
    told = words(page)
    assert "The record is whole" in told and "You Changed an organisation's limits Acme Requests per minute: 7" in told
    assert "Created a feature Greet" in told and f'title="tenant:{acme().pk}"' in page
    assert (
        "Changed an organisation's limits"
        not in words(olga.see("/vendor/audit?verb=feature.create")).split("Did what")[1]
    )
