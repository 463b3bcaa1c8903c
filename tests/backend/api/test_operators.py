"""The vendor's staff: what each role may, what takes two, and looking into an organisation that lets them."""

from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.utils import timezone

from backend.actors import actor_of_key
from tenants.actions import login_for
from tenants.actor import Actor
from tenants.isolation import OPERATOR, operator_tx
from tenants.models import Operator, OperatorKey, SupportGrant, VendorAuditEvent
from tenants.operators import create_operator_key, set_roles
from tenants.roles import OPERATORS
from tenants.support import grants_told
from tenants.system import system_actor
from tests.cast import Cast
from tests.conftest import Knock
from tests.fakes.model import FakeModel, greeting
from tests.working import look

from .acts import behavior, digest, kind, problems, publish, served
from .conftest import Caller

GREET = "/features/greet"
IN_ACME = {"Bespoke-Tenant": "acme"}
Hire = Callable[..., tuple[Actor, Knock]]


def hire(name: str, *roles: str, **headers: str) -> tuple[Actor, Knock]:
    """Another operator with these roles, and how they knock."""
    system = system_actor("tests")
    with operator_tx():
        row = Operator.objects.using(OPERATOR).create(user_id=login_for(f"{name}@bespoke.example", name=name).id)
        set_roles(row, roles, by=system)
    text = create_operator_key(row, name="test", by=system)[1]
    return actor_of_key(text), Knock(text, headers)


NEWER = {"alias": "standard", "provider": "demo", "model": "newer", "input_price": 5, "output_price": 7}
# What operators with one role get: read, publish, support.
TABLE: list[tuple[str, str, Any, str]] = [
    ("get", "/tenants", None, "200 200 200"),
    ("get", "/operator/audit", None, "200 200 200"),
    ("get", f"{GREET}/rollouts", None, "200 200 200"),
    ("get", "/approvals", None, "200 200 200"),
    ("get", "/operator/keys", None, "200 200 200"),
    ("post", f"{GREET}/versions", {"behavior": {}}, "403 422 403"),
    ("put", f"{GREET}/current", {"version": 1}, "403 200 403"),
    ("post", f"{GREET}/rollouts", {}, "403 422 403"),
    ("post", f"{GREET}/versions/1/withdraw", {"replacement": 1, "reason": "x"}, "403 409 403"),
    ("post", "/features", {"feature": "x"}, "403 422 403"),
    ("post", "/models", NEWER, "403 201 403"),
    ("put", f"{GREET}/caching", {"seconds": None}, "403 200 403"),
    ("post", "/tenants", {"slug": "initech", "name": "Initech", "owner": "bill@initech.example"}, "403 403 201"),
    ("patch", "/tenants/globex", {"requests_per_minute": 50}, "403 403 200"),
    ("patch", "/tenants/globex", {"state": "suspended", "reason": "x"}, "403 403 200"),
]


@pytest.mark.parametrize(("method", "path", "body", "expected"), TABLE)
def test_each_role_may_its_own(method: str, path: str, body: Any, expected: str, cast: Cast) -> None:
    found = [hire(role, role)[1].request(method, path, body).status_code for role in OPERATORS]
    assert found == [int(status) for status in expected.split()]


def test_a_refusal_names_the_role_that_it_takes(cast: Cast) -> None:
    refused = hire("rea", "read")[1].put(f"{GREET}/current", {"version": 1}).json()
    told = "To make another version the current one takes the operator's role publish; yours: read."
    assert (refused["detail"], refused["verb"]) == (told, "current.move")


def test_other_roles_count_from_the_next_request_on(cast: Cast) -> None:
    _, knock = hire("ren", "publish")
    assert knock.put(f"{GREET}/current", {"version": 1}).status_code == 200
    call_command("operator", "ren@bespoke.example", roles="read")
    assert kind(knock.put(f"{GREET}/current", {"version": 1})) == (403, "forbidden")
    call_command("operator", "ren@bespoke.example", roles="")
    assert kind(knock.get("/tenants")) == (403, "forbidden")


def test_the_first_operator_is_made_by_a_command(committed: None) -> None:
    call_command("operator", "olga@vendor.example", roles="read,support")
    assert Operator.objects.using(OPERATOR).get().roles == ["read", "support"]
    with pytest.raises(CommandError, match="must be some of"):
        call_command("operator", "olga@vendor.example", roles="king")


def test_the_first_operator_s_first_key_is_printed_once_and_opens_the_api(committed: None) -> None:
    said = StringIO()
    with pytest.raises(CommandError):
        call_command("operator", "olga@vendor.example", roles="king", key="laptop")
    assert not OperatorKey.objects.using(OPERATOR).exists()
    call_command("operator", "olga@vendor.example", roles="read,support", key="laptop", stdout=said)
    knock = Knock(said.getvalue().split()[-1], {})
    assert [key["name"] for key in knock.get("/operator/keys").json()["items"]] == ["laptop"]
    made = knock.post("/tenants", {"slug": "initech", "name": "Initech", "owner": "bill@initech.example"})
    assert made.status_code == 201
    call_command("operator", "olga@vendor.example", roles="read", stdout=said)
    assert said.getvalue().count("bsk_") == 1


# Two operators


@pytest.fixture
def two(cast: Cast, settings: Any) -> tuple[Knock, Knock]:
    """Pat and Quinn, who publish, where it takes two."""
    pat, quinn = hire("pat", "publish"), hire("quinn", "publish")
    settings.SECOND_APPROVAL = True
    return pat[1], quinn[1]


def asked(answer: Any) -> str:
    assert kind(answer) == (403, "approval-needed"), answer.content
    return str(answer.json()["approval"])


ASKED: list[tuple[str, str, str, Any]] = [
    ("publish", "post", f"{GREET}/versions", {"behavior": behavior(vars__tone="warm"), "publish": "current"}),
    ("current", "put", f"{GREET}/current", {"version": 2}),
    ("rollout", "post", f"{GREET}/rollouts", {"to": 2, "steps": [{"percent": 100}]}),
    ("withdraw", "post", f"{GREET}/versions/1/withdraw", {"replacement": 2, "reason": "Wrong."}),
]


@pytest.mark.parametrize(("action", "method", "path", "body"), ASKED)
def test_it_is_done_when_another_approves_and_in_the_askers_name(
    action: str, method: str, path: str, body: Any, cast: Cast, api: Caller, settings: Any
) -> None:
    publish(api, cast, move=False, vars__tone="formal")
    (pat, ask), (quinn, decide) = hire("pat", "publish"), hire("quinn", "publish")
    settings.SECOND_APPROVAL = True
    before = digest(api, cast.alice)
    request = asked(ask.request(method, path, body))
    assert digest(api, cast.alice) == before
    row = decide.get("/approvals").json()["items"][0]
    assert (row["id"], row["action"], row["state"], row["requester"]) == (request, action, "open", "pat")
    assert kind(ask.post(f"/approvals/{request}/approve")) == (403, "forbidden")
    assert decide.post(f"/approvals/{request}/approve").json()["state"] == "approved"
    assert digest(api, cast.alice) != before
    with operator_tx():
        done = VendorAuditEvent.objects.using(OPERATOR).filter(actor=pat.label).order_by("-id")
        details = [event.detail for event in done]
    assert quinn.label in [detail.get("approved_by") for detail in details]


def test_what_moves_nobody_takes_nobody_else(cast: Cast, two: tuple[Knock, Knock]) -> None:
    ask, _ = two
    body = {"behavior": behavior(vars__tone="warm"), "publish": "none"}
    assert ask.post(f"{GREET}/versions", body).status_code == 201
    assert ask.put(f"{GREET}/current?dry_run=true", {"version": 2}).status_code == 200
    assert ask.get("/approvals").json()["items"] == []


def test_a_request_is_refused_taken_back_or_expires(cast: Cast, two: tuple[Knock, Knock]) -> None:
    ask, decide = two
    first, second, third = (asked(ask.put(f"{GREET}/current", {"version": 1})) for _ in range(3))
    assert decide.post(f"/approvals/{first}/refuse").json()["state"] == "refused"
    assert ask.post(f"/approvals/{second}/refuse").json()["state"] == "refused"
    for request in (first, second):
        assert kind(decide.post(f"/approvals/{request}/approve")) == (409, "conflict")
    with time_machine.travel(timezone.now() + timedelta(days=1, minutes=1), tick=False):
        assert kind(decide.post(f"/approvals/{third}/approve")) == (409, "conflict")
        assert decide.get("/approvals").json()["items"][0]["state"] == "expired"


def test_what_cannot_be_done_leaves_the_request_open_and_nothing_half_done(
    cast: Cast, two: tuple[Knock, Knock]
) -> None:
    ask, decide = two
    request = asked(ask.put(f"{GREET}/current", {"version": 9}))
    assert kind(decide.post(f"/approvals/{request}/approve")) == (404, "not-found")
    assert decide.get("/approvals").json()["items"][0]["state"] == "open"


def test_who_asked_must_still_be_allowed_to(cast: Cast, two: tuple[Knock, Knock]) -> None:
    ask, decide = two
    request = asked(ask.put(f"{GREET}/current", {"version": 1}))
    call_command("operator", "pat@bespoke.example", roles="read")
    assert kind(decide.post(f"/approvals/{request}/approve")) == (403, "forbidden")
    assert decide.get("/approvals").json()["items"][0]["state"] == "open"


def test_without_the_role_nobody_asks_or_decides(cast: Cast, two: tuple[Knock, Knock]) -> None:
    _, knock = hire("rea", "read", "support")
    assert kind(knock.put(f"{GREET}/current", {"version": 1})) == (403, "forbidden")
    request = asked(two[0].put(f"{GREET}/current", {"version": 1}))
    assert kind(knock.post(f"/approvals/{request}/approve")) == (403, "forbidden")


def test_where_one_is_enough_it_is_done_at_once(cast: Cast, api: Caller) -> None:
    assert api(cast.operator).put(f"{GREET}/current", {"version": 1}).status_code == 200


# Support access


@pytest.fixture
def run(cast: Cast, api: Caller, model: FakeModel) -> str:
    """A run of Alice's that has ended, with her words in it."""
    model.script(greeting("CANARY-OUTPUT"))
    body = {"input": {"name": "CANARY-INPUT"}}
    made = api(cast.alice).post(f"{GREET}/runs", body, Prefer="respond-async").json()["id"]
    assert look() == 1
    return str(made)


def grant(api: Caller, cast: Cast, **more: Any) -> Any:
    return api(cast.ada).post("/support-access", {"hours": 4, "reason": "The run of Monday.", **more})


def test_without_leave_nobody_of_the_vendor_looks_in(cast: Cast, api: Caller, run: str) -> None:
    _, sue = hire("sue", "support")
    for path in ("/runs", f"/runs/{run}", f"{GREET}/behavior"):
        if path != f"{GREET}/behavior":  # which is the vendor's own, without an organisation
            assert kind(sue.get(path)) == (403, "forbidden")
        assert kind(sue.get(path, **{"Bespoke_Tenant": "acme"})) == (403, "forbidden")
    unknown = sue.get("/runs", Bespoke_Tenant="nobody").json()["detail"].replace("nobody", "acme")
    assert unknown == sue.get("/runs", Bespoke_Tenant="acme").json()["detail"]


def test_with_leave_support_reads_runs_and_behavior_and_nothing_else(cast: Cast, api: Caller, run: str) -> None:
    api(cast.mallory).post(f"{GREET}/runs", {"input": {"name": "CANARY-GLOBEX"}}, Prefer="respond-async")
    assert grant(api, cast).status_code == 201
    _, sue = hire("sue", "support", **IN_ACME)
    shown = sue.get(f"/runs/{run}").json()
    assert (shown["input"], shown["output"]) == ({"name": "CANARY-INPUT"}, {"greeting": "CANARY-OUTPUT"})
    assert [row["id"] for row in sue.get("/runs").json()["items"]] == [run]
    assert "CANARY-GLOBEX" not in str(sue.get("/runs").json())
    alices = f"member:{cast.alice.acting_for().id}"
    assert sue.get(f"{GREET}/behavior?user={alices}").json()["receipt"]["digest"] == digest(api, cast.alice)
    for path in ("/members", "/audit", "/usage", "/budgets", "/provider-keys", "/webhooks", "/invitations"):
        assert kind(sue.get(path)) == (403, "forbidden")
    assert sue.get("/keys").json()["items"] == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("post", f"{GREET}/runs", {"input": {"name": "Ann"}}),
        ("put", f"{GREET}/override/tenant", {"set": {"vars.tone": "warm"}}),
        ("put", f"{GREET}/pin/tenant", {"version": 1}),
        ("post", "/support-access", {"hours": 100, "reason": "x"}),
        ("post", "/keys", {"kind": "service", "name": "x"}),
        ("patch", "/tenants/acme", {"requests_per_minute": 1}),
    ],
)
def test_support_changes_nothing(method: str, path: str, body: Any, cast: Cast, api: Caller) -> None:
    grant(api, cast)
    before = served(api, cast.alice)["receipt"]
    _, sue = hire("sue", "support", **IN_ACME)
    assert kind(sue.request(method, path, body)) == (403, "forbidden")
    assert served(api, cast.alice)["receipt"] == before


def test_the_role_support_is_needed(cast: Cast, api: Caller) -> None:
    grant(api, cast)
    assert kind(hire("pat", "publish", "read", **IN_ACME)[1].get("/runs")) == (403, "forbidden")
    for who in (cast.mallory, cast.acme_service):
        assert kind(api(who, Bespoke_Tenant="acme").get("/runs")) == (400, "malformed")


def test_it_ends_by_itself_and_when_it_is_ended_at_the_next_request(cast: Cast, api: Caller, run: str) -> None:
    grant(api, cast)
    _, sue = hire("sue", "support", **IN_ACME)
    assert sue.get(f"/runs/{run}").status_code == 200
    with time_machine.travel(timezone.now() + timedelta(hours=4, minutes=1), tick=False):
        assert kind(sue.get(f"/runs/{run}")) == (403, "forbidden")
    assert api(cast.ada).delete("/support-access").status_code == 204
    assert kind(sue.get(f"/runs/{run}")) == (403, "forbidden")


def test_a_new_grant_takes_the_place_of_the_one_before(cast: Cast, api: Caller) -> None:
    grant(api, cast)
    grant(api, cast, hours=1)
    with cast.ada.present():
        assert SupportGrant.objects.filter(ended_at=None).count() == 1
    assert [row["ended"] is None for row in api(cast.ada).get("/support-access").json()["items"]] == [True, False]


@pytest.mark.parametrize("hours", [0, 169])
def test_leave_is_given_for_a_week_at_most_by_admins(hours: int, cast: Cast, api: Caller) -> None:
    assert problems(grant(api, cast, hours=hours)) <= {("/hours", "min_value"), ("/hours", "max_value")}
    for who in (cast.alice, cast.vera, cast.acme_service, cast.operator):
        assert kind(api(who).post("/support-access", {"hours": 1, "reason": "x"})) == (403, "forbidden")


def test_every_look_is_in_both_audits(cast: Cast, api: Caller, run: str) -> None:
    ada = api(cast.ada)
    grant(api, cast)
    sues, sue = hire("sue", "support", **IN_ACME)
    sue.get(f"/runs/{run}")
    theirs = ada.get("/audit").json()["items"][0]
    ours = api(cast.operator).get("/operator/audit").json()["items"][0]
    for row in (theirs, ours):
        assert (row["verb"], row["actor"], row["detail"]["path"]) == (
            "support.read", sues.label, f"/api/v1/runs/{run}",
        )  # fmt: skip
    granted = [row["verb"] for row in api(cast.operator).get("/operator/audit").json()["items"]]
    assert "support.grant" in granted


def test_neither_audit_holds_why_support_was_let_in_nor_whom_it_looked_for(cast: Cast, api: Caller) -> None:
    """Audits outlive people. Why is on the organisation's own row, which the vendor reads and an erasure takes."""
    leave = {"hours": 4, "reason": "CANARY-WHY: ask Ann Smith"}
    assert api(cast.ada).post("/support-access", leave).status_code == 201
    _, sue = hire("sue", "support", **IN_ACME)
    assert sue.get("/runs?user=CANARY-ANN").status_code in (200, 404)
    assert sue.get(f"{GREET}/overrides/CANARY-ANN").status_code == 405
    told = str([api(who).get(path).json() for who, path in ((cast.ada, "/audit"), (cast.operator, "/operator/audit"))])
    assert "support.grant" in told and "/overrides/subject" in told and "CANARY" not in told
    with operator_tx():
        [given] = grants_told(cast.ada.in_tenant())
    assert (given.reason, given.ended) == (leave["reason"], None)
