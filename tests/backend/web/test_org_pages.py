"""The organisation's own pages: what it spends and where that stops, keys and webhooks, its policy."""

import csv
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from html import unescape
from io import StringIO
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from features.actions.policy import policy_now, set_policy
from features.runs.accept import accept
from features.runs.budgets import add_budget, budgets_of
from features.runs.models import Ledger
from features.runs.taking import Asked
from tenants.actor import Actor
from tenants.models import ProviderKey, Webhook
from tenants.provider_keys import provider_keys_of
from tenants.webhooks import add_webhook, deliveries_to, webhooks_of
from tests.canaries import superuser
from tests.cast import Cast
from tests.fakes.model import FakeModel, greeting
from tests.outside import until
from tests.working import look

from .conftest import Person, words

Sit = Callable[[Actor], Person]
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
HOOK = "https://hooks.example/in"
SECRET = "sk-a-secret-of-acme-0123456789"


def ran(cast: Cast, model: FakeModel, who: Actor, name: str = "Ann", *, fresh: bool = False) -> None:
    """Somebody greets somebody, and it ends: 140 millionths, if the model is asked."""
    model.script(greeting(f"Hello {name}"))
    accept(cast.greet, {"name": name}, asked=Asked(fresh=fresh), by=who)
    while look():
        pass


def row_of(page: str, title: str) -> str:
    """What a table says in the row of this title."""
    return words(next(row for row in page.split("<tr>") if f">{title}<" in row))


def budgets(who: Actor) -> list[Any]:
    with who.present():
        return budgets_of(who)


def test_ada_sees_what_is_spent_by_whom_and_what_the_cache_saved(
    at_desk: Sit, cast: Cast, model: FakeModel, settings: Any
) -> None:
    settings.CACHE_SECONDS = 3600
    ran(cast, model, cast.alice)
    ran(cast, model, cast.bob)  # who is served what Alice is: the answer is there
    ran(cast, model, cast.bob, "Eve")
    page = at_desk(cast.ada).see("/org/usage?by=user")
    told = words(page)
    assert "Spent so far 0.000280 EUR" in told and "Answered from cache 33%" in told and "Runs 3" in told
    assert "saved about 0.000140 EUR" in told
    assert row_of(page, "Bob").startswith("Bob 2 50%") and "50.0%" in row_of(page, "Alice")
    assert "Mallory" not in page


@pytest.mark.parametrize(
    ("by", "title"),
    [("feature", "Greet"), ("user", "Alice"), ("model", "standard"), ("layer", "The vendor's behavior alone")],
)
def test_it_is_told_by_feature_person_model_and_layer(
    at_desk: Sit, cast: Cast, model: FakeModel, by: str, title: str
) -> None:
    ran(cast, model, cast.alice)
    page = at_desk(cast.ada).see(f"/org/usage?by={by}")
    assert title in words(page) and "100.0%" in words(page)


def test_a_day_has_its_row_and_a_past_month_its_page(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    ran(cast, model, cast.alice)
    with cast.ada.present():
        then = timezone.now().replace(day=1) - timedelta(days=3)
        Ledger.objects.update(at=then)
    page = at_desk(cast.ada).see(f"/org/usage?month={then:%Y-%m}&by=day")
    assert f"{then.day} {then:%B}" in words(page) and "Spent 0.000140 EUR" in words(page)
    assert "Expected on" not in words(page)
    assert "No runs in" in words(at_desk(cast.ada).see("/org/usage"))


def test_any_days_are_shown_and_taken_away(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    ran(cast, model, cast.alice)
    then = timezone.now() - timedelta(days=100)
    with cast.ada.present():
        Ledger.objects.update(at=then)
    ada, day = at_desk(cast.ada), f"{then:%Y-%m-%d}"
    page = ada.see(f"/org/usage?since={day}&until={day}&by=user")
    assert "Alice" in row_of(page, "Alice") and "Spend in the days from" in words(page)
    assert "Alice" in ada.see(f"/org/usage.csv?since={day}&until={day}&by=user")
    before = f"{then - timedelta(days=2):%Y-%m-%d}"
    assert "No runs in the days from" in words(ada.see(f"/org/usage?since={before}&until={before}"))
    assert at_desk(cast.operator).see(f"/vendor/usage?since={day}&until={day}&format=csv").count("acme") == 1


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("since=2026-02-30&until=2026-03-01", "Enter a valid date."),
        ("since=2026-03-02&until=2026-03-01", "is not after the last one"),
        ("since=2999-01-01&until=2999-01-02", "a day that has been"),
        ("since=2020-01-01&until=2026-01-01", "at most a year"),
        ("since=2026-01-01", "This field is required."),
    ],
)
def test_days_that_cannot_be_are_said_beside_the_form_and_no_file_is_made(
    at_desk: Sit, cast: Cast, asked: str, told: str
) -> None:
    ada = at_desk(cast.ada)
    assert told in words(ada.see(f"/org/usage?{asked}", 422))
    ada.see(f"/org/usage.csv?{asked}", 400)


@pytest.mark.parametrize("asked", ["month=soon", "month=2026-13", "month=2999-01", "by=mood"])
def test_what_is_no_month_or_group_is_said(at_desk: Sit, cast: Cast, asked: str) -> None:
    at_desk(cast.ada).see(f"/org/usage?{asked}", 400)


def test_the_rows_can_be_taken_away_and_no_name_becomes_a_formula(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    model.script(greeting("Hello"))
    from backend.actors import actor_of_key

    service = actor_of_key(cast.key(cast.acme_service), "=HYPERLINK(1)")
    accept(cast.greet, {"name": "Ann"}, by=service)
    look()
    answer = at_desk(cast.ada).client.get("/org/usage.csv?by=user")
    [row] = csv.DictReader(StringIO(answer.content.decode()))
    assert (row["user"], row["runs"], row["cost_micro"]) == ("'=HYPERLINK(1)", "1", "140")
    assert answer["Content-Disposition"].endswith('-by-user.csv"')


def test_the_chart_says_where_it_is_going_and_where_it_stops(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    add_budget(period="month", soft=100, hard=1000, by=cast.ada)
    ran(cast, model, cast.alice)
    page = at_desk(cast.ada).see("/org/usage")
    assert "Stop at 0.001" in page and "Warn at 0.000100" in page
    assert "14% of 0.0010" in words(page) and "Warning reached" in words(page)


def test_ada_bounds_what_is_spent_changes_it_and_takes_it_away(at_desk: Sit, cast: Cast) -> None:
    ada = at_desk(cast.ada)
    assert "Nothing stops the spending yet" in words(ada.see("/org/budgets"))
    answer = ada.send("/org/budgets", act="add", whose="all", period="month", hard="500", soft="400")
    assert answer.status_code == 200 and "binds from the next call on" in words(answer)
    [budget] = budgets(cast.ada)
    assert (budget.hard, budget.soft, budget.period) == (500_000_000, 400_000_000, "month")
    assert 'value="400"' in ada.see(f"/org/budgets?edit={budget.id}")
    change = {"act": "change", "budget": str(budget.id), "amounts-hard": "600.5", "amounts-soft": ""}
    assert ada.send(f"/org/budgets?edit={budget.id}", **change).status_code == 200
    assert [(one.hard, one.soft) for one in budgets(cast.ada)] == [(600_500_000, None)]
    assert "Nothing bounds" in words(ada.see(f"/org/budgets?remove={budget.id}"))
    ada.send("/org/budgets", act="remove", budget=str(budget.id))
    assert budgets(cast.ada) == []


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"whose": "all", "hard": "1", "soft": "2"}, "must not be above hard"),
        ({"whose": "all"}, "say soft, hard or both"),
        ({"whose": "all", "hard": "much"}, "Enter a number"),
        ({"whose": "one", "person": "", "hard": "1"}, "A user&#x27;s key has 1 to 200 characters"),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused_beside_its_cause_and_nothing_typed_is_lost(
    at_desk: Sit, cast: Cast, form: dict[str, str], told: str
) -> None:
    answer = at_desk(cast.ada).send("/org/budgets", act="add", period="day", **form)
    assert answer.status_code in (400, 422) and told in answer.content.decode().replace("Must", "must").replace(
        "Say", "say"
    )
    if "hard" in form:
        assert f'value="{form["hard"]}"' in answer.content.decode()
    assert budgets(cast.ada) == []


def test_a_member_is_named_by_address_and_a_user_by_key(at_desk: Sit, cast: Cast) -> None:
    for person in ("Alice@acme.example", "customer-42"):
        at_desk(cast.ada).send("/org/budgets", act="add", whose="one", person=person, period="day", hard="1")
    assert {one.subject.key for one in budgets(cast.ada)} == {cast.alice.acting_for().key, "customer-42"}
    told = words(at_desk(cast.ada).see("/org/budgets"))
    assert "Alice" in told and "customer-42" in told
    again = at_desk(cast.ada).send("/org/budgets", act="add", whose="one", person="customer-42", period="day", hard="2")
    assert again.status_code == 409 and "just that already" in words(again)


def test_a_provider_key_is_entered_and_ended_and_never_shown(at_desk: Sit, cast: Cast) -> None:
    ada = at_desk(cast.ada)
    bad = ada.send("/org/provider-keys", act="add", provider="demo", name="Ours", key="with spaces in it, long")
    assert bad.status_code == 422 and "no spaces" in words(bad) and "with spaces" not in bad.content.decode()
    entered = ada.send("/org/provider-keys", act="add", provider="demo", name="Ours", key=SECRET, base_url="")
    page = entered.content.decode()
    assert "In use" in words(page) and f"…{SECRET[-4:]}" in page and SECRET not in page
    with cast.ada.present():
        [key] = provider_keys_of(cast.ada)
    assert "No call is begun with this key" in words(ada.see(f"/org/provider-keys?end={key.id}"))
    assert "has ended" in words(ada.send("/org/provider-keys", act="end", key=str(key.id)))
    with cast.ada.present():
        assert ProviderKey.objects.get().revoked_at is not None


def test_an_endpoint_that_may_not_be_called_is_refused_beside_it(at_desk: Sit, cast: Cast) -> None:
    form = {"act": "add", "provider": "demo", "name": "Ours", "key": SECRET, "base_url": "http://127.0.0.1/v1"}
    answer = at_desk(cast.ada).send("/org/provider-keys", **form)
    assert answer.status_code == 422 and 'id="id_base_url_error"' in answer.content.decode()


def test_a_webhook_is_added_tried_renewed_turned_off_and_removed(at_desk: Sit, cast: Cast) -> None:
    ada = at_desk(cast.ada)
    made = ada.send("/org/webhooks", url=HOOK, description="Our inbox", events=["run.failed", "batch.finished"])
    with cast.ada.present():
        [hook] = webhooks_of(cast.ada)
    here = f"/org/webhooks/{hook.id}"
    assert "whsec_" in made.content.decode() and made["HX-Push-Url"] == here
    assert "whsec_" not in ada.see(here) and "Our inbox" in words(ada.see("/org/webhooks"))
    assert "On its way" in words(ada.send(here, act="test"))
    assert "whsec_" in ada.send(here, act="renew", hours="2").content.decode()
    off = ada.send(here, act="off")
    assert "Somebody turned it off" in words(off)
    assert ada.send(here, act="test").status_code == 409
    with cast.ada.present():
        [delivery] = deliveries_to(hook, most=5)
    assert ada.send(here, act="resend", delivery=str(delivery.id)).status_code == 409
    ada.send(here, act="on")
    assert "On its way" in words(ada.send(here, act="resend", delivery=str(delivery.id)))
    saved = ada.send(here, act="save", url=HOOK, description="", events=["run.failed"])
    assert saved.status_code == 200
    ada.send(here, act="remove")
    ada.see(here, 404)
    with cast.ada.present():
        assert Webhook.objects.get().events == ["run.failed"] and webhooks_of(cast.ada) == []


@pytest.mark.parametrize("url", ["http://hooks.example/in", "https://127.0.0.1/", "https://hooks.example:22/", "what"])
def test_a_webhook_to_where_nobody_may_call_is_refused(at_desk: Sit, cast: Cast, url: str) -> None:
    answer = at_desk(cast.ada).send("/org/webhooks", url=url, events=["run.failed"])
    assert answer.status_code == 422 and 'id="id_url_error"' in answer.content.decode()


def test_messages_are_paged_and_filtered(at_desk: Sit, cast: Cast) -> None:
    hook, _secret = add_webhook(url=HOOK, events=["run.failed"], by=cast.ada)
    ada = at_desk(cast.ada)
    for _n in range(31):
        ada.send(f"/org/webhooks/{hook.id}", act="test")
    page = ada.see(f"/org/webhooks/{hook.id}?state=waiting")
    assert page.count("webhook.test") == 30 and "Show older ones" in page
    assert "None of them" in words(ada.see(f"/org/webhooks/{hook.id}?state=delivered"))


def test_ada_says_what_people_may_do_and_what_is_kept(at_desk: Sit, cast: Cast) -> None:
    set_policy(retention_days=30, by=cast.ada)
    ada = at_desk(cast.ada)
    assert 'value="30"' in ada.see("/org/settings")
    form = {"pins": "days", "days": "14", "users_may_override": "on", "retention_days": ""}
    assert "Saved" in words(ada.send("/org/settings", **form))
    with cast.ada.present():
        now = policy_now()
    assert (now.users_may_pin, now.users_may_override, now.store, now.retention_days) == ("14", True, False, None)
    wrong = ada.send("/org/settings", pins="days", days="")
    assert wrong.status_code == 422 and "Say for how many days" in words(wrong)


def test_of_admins_who_save_the_policy_at_once_none_undoes_another(at_desk: Sit, cast: Cast) -> None:
    seen = unescape(re.findall(r'name="seen" value="([^"]*)"', at_desk(cast.ada).see("/org/settings"))[0])

    def saved(**typed: str) -> Any:
        try:
            return at_desk(cast.ada).send("/org/settings", pins="yes", users_may_override="on", seen=seen, **typed)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as others, superuser() as looking, cast.ada.present():
        set_policy(retention_days=400, by=cast.ada)
        same = others.submit(saved, store="on", retention_days="90")
        beside = others.submit(saved, retention_days="")
        until(lambda: looking.execute(WAITING).fetchone() == (2,), "both others wait for the first")
    assert same.result().status_code == 412
    assert "saved “400 days” here while you were editing" in words(same.result())
    assert "Saved." in words(beside.result())
    with cast.ada.present():
        now = policy_now()
    assert (now.retention_days, now.store) == (400, False)


@pytest.mark.parametrize(
    "path", ["/org/usage", "/org/usage.csv", "/org/budgets", "/org/provider-keys", "/org/webhooks", "/org/settings"]
)
def test_members_are_told_who_may(at_desk: Sit, cast: Cast, path: str) -> None:
    told = words(at_desk(cast.alice).see(path, 403))
    assert re.search(r"A member may not see [\w' ]+\. Owners and admins may\.", told), told
    assert not re.search(r"[a-z_]+\.(manage|read|others)", told)  # a verb's name is for the API
