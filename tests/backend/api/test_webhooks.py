"""Webhooks through the API: made, seen, changed, renewed, tried, sent again and taken away."""

from typing import Any

import pytest

from tenants.deliveries import Outcome, claim, settle
from tenants.webhooks import EVENTS
from tests.cast import Cast

from .acts import kind, problems
from .conftest import Caller

DOOR = "/webhooks"
BODY = {"url": "https://hooks.example/in", "events": ["run.succeeded", "run.failed"], "description": "ours"}


@pytest.fixture
def made(cast: Cast, api: Caller) -> dict[str, Any]:
    answer = api(cast.ada).post(DOOR, BODY)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (201, "no-store")
    return dict(answer.json())


def test_the_secret_is_shown_once(made: dict[str, Any], cast: Cast, api: Caller) -> None:
    assert made.pop("secret").startswith("whsec_")
    assert made["enabled"] and made["events"] == ["run.failed", "run.succeeded"]
    assert api(cast.ada).get(f"{DOOR}/{made['id']}").json() == made
    assert api(cast.ada).get(DOOR).json()["items"] == [made]


def test_it_is_changed_disabled_and_enabled(made: dict[str, Any], cast: Cast, api: Caller) -> None:
    door = f"{DOOR}/{made['id']}"
    changed = api(cast.ada).patch(door, {"url": "https://other.example/", "events": ["run.failed"]}).json()
    assert (changed["url"], changed["events"], changed["description"]) == (
        "https://other.example/",
        ["run.failed"],
        "ours",
    )
    off = api(cast.ada).patch(door, {"enabled": False}).json()
    assert (off["enabled"], off["disabled_why"]) == (False, "asked") and off["disabled"]
    assert kind(api(cast.ada).post(f"{door}/test")) == (409, "conflict")
    on = api(cast.ada).patch(door, {"enabled": True}).json()
    assert (on["enabled"], on["disabled_why"], on["disabled"]) == (True, None, None)


def test_renewing_shows_the_new_secret_and_how_long_the_old_one_counts(
    made: dict[str, Any], cast: Cast, api: Caller
) -> None:
    answer = api(cast.ada).post(f"{DOOR}/{made['id']}/secret")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json()["secret"] != made["secret"] and answer.json()["old_secret_until"]
    at_once = api(cast.ada).post(f"{DOOR}/{made['id']}/secret", {"overlap_hours": 0}).json()
    assert at_once["old_secret_until"] is None


def test_what_became_of_messages_and_sending_one_again(made: dict[str, Any], cast: Cast, api: Caller) -> None:
    door = f"{DOOR}/{made['id']}/deliveries"
    sent = api(cast.ada).post(f"{DOOR}/{made['id']}/test").json()
    assert (sent["event"], sent["state"], sent["attempts"]) == ("webhook.test", "waiting", 0)
    assert kind(api(cast.ada).post(f"{door}/{sent['id']}/resend")) == (409, "conflict")
    settle(claim(1)[0], Outcome(200))
    [listed] = api(cast.ada).get(f"{door}?state=delivered").json()["items"]
    assert (listed["id"], listed["state"], listed["status"]) == (sent["id"], "delivered", 200)
    assert api(cast.ada).get(f"{door}?state=failed").json()["items"] == []
    assert kind(api(cast.ada).get(f"{door}?state=lost")) == (400, "malformed")
    again = api(cast.ada).post(f"{door}/{sent['id']}/resend")
    assert again.status_code == 202 and again.json()["state"] == "waiting"


def test_taken_away_it_is_not_there_any_more(made: dict[str, Any], cast: Cast, api: Caller) -> None:
    door = f"{DOOR}/{made['id']}"
    assert api(cast.ada).delete(door).status_code == 204
    assert api(cast.ada).get(DOOR).json()["items"] == []
    for answer in (api(cast.ada).get(door), api(cast.ada).delete(door), api(cast.ada).get(f"{door}/deliveries")):
        assert kind(answer) == (404, "not-found")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"url": "http://hooks.example/"}, "/url"), ({"url": "https://169.254.169.254/"}, "/url"),
        ({"url": "https://hooks.example:8443/"}, "/url"), ({"url": "nonsense"}, "/url"), ({"url": ""}, "/url"),
        ({"events": []}, "/events"), ({"events": ["everything"]}, "/events/0"), ({"events": "run.failed"}, "/events"),
        ({"description": "x" * 201}, "/description"),
    ],
)  # fmt: skip
def test_what_cannot_be_one_is_refused_by_name(change: dict[str, Any], pointer: str, cast: Cast, api: Caller) -> None:
    answer = api(cast.ada).post(DOOR, {**BODY, **change})
    assert kind(answer) == (422, "invalid") and {place for place, _ in problems(answer)} == {pointer}


def test_an_address_is_judged_when_it_is_changed_too(made: dict[str, Any], cast: Cast, api: Caller) -> None:
    answer = api(cast.ada).patch(f"{DOOR}/{made['id']}", {"url": "https://[::1]/"})
    assert problems(answer) == {("/url", "address")}
    assert api(cast.ada).get(f"{DOOR}/{made['id']}").json()["url"] == BODY["url"]


def test_there_are_so_many_and_no_more(cast: Cast, api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenants.webhooks.MOST", 1)
    assert api(cast.ada).post(DOOR, BODY).status_code == 201
    assert kind(api(cast.ada).post(DOOR, BODY)) == (409, "conflict")


def test_every_act_leaves_an_audit_row_without_the_secret(made: dict[str, Any], cast: Cast, api: Caller) -> None:
    door = f"{DOOR}/{made['id']}"
    sent = api(cast.ada).post(f"{door}/test").json()
    settle(claim(1)[0], Outcome(200))
    api(cast.ada).post(f"{door}/deliveries/{sent['id']}/resend")
    api(cast.ada).post(f"{door}/secret")
    api(cast.ada).patch(door, {"description": "CANARY"})
    api(cast.ada).delete(door)
    audit = api(cast.ada).get("/audit")
    rows = [row["target"].partition(":")[0] for row in audit.json()["items"] if row["verb"] == "webhook.manage"]
    assert rows == ["webhook", "webhook", "webhook", "delivery", "webhook", "tenant"]
    assert "whsec_" not in audit.content.decode() and "CANARY" not in audit.content.decode()


def test_every_event_is_in_the_guide() -> None:
    from tests.test_docs import ROOT

    guide = (ROOT / "docs/webhooks.md").read_text()
    assert all(f"| `{event}` | {told} |" in guide for event, told in EVENTS.items())
