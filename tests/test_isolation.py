"""Every address × every method × everybody who should not: what each gets, in one table; and nothing leaks or changes.

The targets are Alice's, of Acme: her run, key, membership, pin, override, which all hold the word CANARY-ALICE; Acme's
own override holds CANARY-ACME. An address that is not in the table fails, so that nobody adds one unnoticed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import URLPattern, get_resolver
from django.utils import timezone

from features.runs.models import Run
from tenants.actions import create_key, revoke_key
from tenants.errors import NotFound
from tenants.models import User
from tests.cast import Cast
from tests.conftest import Knock

METHODS = ("get", "post", "put", "patch", "delete")
RANDOM = "01890a5d-ac96-774b-bcce-b302099a8057"
REFUSED = {302, 401, 403, 404, 405}  # what every method that is not in the table may answer
THIRD_PARTY = "accounts/"  # allauth's, which answers other methods in its own ways

# Who asks. `stranger` and `owner` are of Globex, a member and its owner; `viewer` and `colleague` are of Acme, and
# `software` is Acme's service key for an end user; `vendor` is an operator.
ASKERS = ("nobody", "revoked", "stranger", "owner", "viewer", "colleague", "software", "vendor")
OF_ACME = {"viewer", "colleague", "software"}


@dataclass(frozen=True)
class Row:
    """One method of one address, with Alice's ids in it, and the status that each asker gets, in ASKERS' order."""

    method: str
    path: str
    expected: str
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    def statuses(self) -> dict[str, int]:
        return dict(zip(ASKERS, map(int, self.expected.split()), strict=True))


ASYNC = {"Prefer": "respond-async"}
FIRST = {"If-None-Match": "*"}
WARM = {"set": {"vars.tone": "warm"}}
TRY = {"version": 1, "inputs": [{"name": "Ann"}]}
OWN_KEY = {"provider": "demo", "name": "CANARY-ACME", "key": "sk-CANARY-ACME-0123456789"}
HOOK = {"url": "https://hooks.example/in", "events": ["run.succeeded"]}
KEEP = {"fields": {"vars.tone": "keep"}}
#   in this order: nobody revoked stranger owner viewer colleague software vendor
TABLE: dict[str, list[Row]] = {
    "api/v1/openapi.json": [
        Row("get", "/api/v1/openapi.json", "200 200 200 200 200 200 200 200"),
    ],
    "api/v1/docs": [
        Row("get", "/api/v1/docs", "200 200 200 200 200 200 200 200"),
    ],
    "api/v1/docs.js": [
        Row("get", "/api/v1/docs.js", "200 200 200 200 200 200 200 200"),
    ],
    "api/v1/me": [
        Row("get", "/api/v1/me", "401 401 200 200 200 200 200 200"),
    ],
    "api/v1/features": [
        Row("get", "/api/v1/features", "401 401 200 200 200 200 200 200"),
        Row("post", "/api/v1/features", "401 401 403 403 403 403 403 422", {"feature": "x"}),
    ],
    "api/v1/features/<str:feature>": [
        Row("get", "/api/v1/features/greet", "401 401 200 200 200 200 200 200"),
    ],
    "api/v1/features/<str:feature>/impact": [
        Row("post", "/api/v1/features/greet/impact", "401 401 403 403 403 403 403 202", {"to": 1}, ASYNC),
    ],
    "api/v1/features/<str:feature>/impacts": [
        Row("get", "/api/v1/features/greet/impacts", "401 401 403 403 403 403 403 200"),
    ],
    "api/v1/impacts/<id:impact_id>": [
        Row("get", f"/api/v1/impacts/{RANDOM}", "401 401 403 403 403 403 403 404"),
    ],
    "api/v1/impacts/<id:impact_id>/rows": [
        Row("get", f"/api/v1/impacts/{RANDOM}/rows", "401 401 403 403 403 403 403 404"),
    ],
    "api/v1/rollouts/<id:rollout_id>/impact": [
        Row("get", f"/api/v1/rollouts/{RANDOM}/impact", "401 401 403 403 403 403 403 404"),
    ],
    "api/v1/features/<str:feature>/behavior": [
        Row("get", "/api/v1/features/greet/behavior", "401 401 200 200 200 200 200 200"),
        Row("get", "/api/v1/features/greet/behavior?explain=true&user={subject}", "401 401 403 404 403 403 403 403"),
        Row("get", "/api/v1/features/greet/behavior?as=tenant", "401 401 403 200 403 403 403 403"),
    ],
    "api/v1/features/<str:feature>/versions": [
        Row("get", "/api/v1/features/greet/versions", "401 401 200 200 200 200 200 200"),
        Row("post", "/api/v1/features/greet/versions", "401 401 403 403 403 403 403 422", {"behavior": {}}),
    ],
    "api/v1/features/<str:feature>/versions/<int:number>": [
        Row("get", "/api/v1/features/greet/versions/1", "401 401 200 200 200 200 200 200"),
    ],
    "api/v1/features/<str:feature>/versions/<int:number>/diff": [
        Row("get", "/api/v1/features/greet/versions/1/diff?to=1", "401 401 200 200 200 200 200 200"),
    ],
    "api/v1/features/<str:feature>/versions/<int:number>/withdraw": [
        Row("get", "/api/v1/features/greet/versions/1/withdraw", "401 401 403 403 403 403 403 404"),
        Row("post", "/api/v1/features/greet/versions/1/withdraw", "401 401 403 403 403 403 403 409", {"replacement": 1, "reason": "x"}),
        Row("delete", "/api/v1/features/greet/versions/1/withdraw", "401 401 403 403 403 403 403 404"),
    ],
    "api/v1/features/<str:feature>/availability": [
        Row("get", "/api/v1/features/greet/availability", "401 401 403 403 403 403 403 200"),
        Row("put", "/api/v1/features/greet/availability", "401 401 403 403 403 403 403 200", {"listed_only": False}),
    ],
    "api/v1/features/<str:feature>/caching": [
        Row("get", "/api/v1/features/greet/caching", "401 401 403 403 403 403 403 200"),
        Row("put", "/api/v1/features/greet/caching", "401 401 403 403 403 403 403 200", {"seconds": None}),
    ],
    "api/v1/features/<str:feature>/retirement": [
        Row("get", "/api/v1/features/greet/retirement", "401 401 403 403 403 403 403 200"),
        Row("put", "/api/v1/features/greet/retirement", "401 401 403 403 403 403 403 422", {"at": "2020-01-01T00:00:00Z"}),
        Row("delete", "/api/v1/features/greet/retirement", "401 401 403 403 403 403 403 404"),
    ],
    "api/v1/features/<str:feature>/current": [
        Row("get", "/api/v1/features/greet/current", "401 401 403 403 403 403 403 200"),
        Row("put", "/api/v1/features/greet/current", "401 401 403 403 403 403 403 200", {"version": 1}),
    ],
    "api/v1/features/<str:feature>/override/user/promote": [
        Row("post", "/api/v1/features/greet/override/user/promote?dry_run=true", "401 401 403 404 403 403 403 403", {}),
    ],
    "api/v1/features/<str:feature>/override/tenant/hand-out": [
        Row("post", "/api/v1/features/greet/override/tenant/hand-out", "401 401 403 404 403 403 403 403", {"subjects": ["{subject}"]}),
    ],
    "api/v1/features/<str:feature>/overrides": [
        Row("get", "/api/v1/features/greet/overrides", "401 401 403 200 403 403 403 403"),
    ],
    "api/v1/features/<str:feature>/overrides/<str:subject>": [
        Row("delete", "/api/v1/features/greet/overrides/{subject}", "401 401 403 404 403 403 403 403"),
    ],
    "api/v1/features/<str:feature>/override/<layer:layer>": [
        Row("get", "/api/v1/features/greet/override/user", "401 401 200 200 200 200 200 403"),
        Row("get", "/api/v1/features/greet/override/tenant", "401 401 403 200 403 403 403 403"),
        Row("put", "/api/v1/features/greet/override/user", "401 401 200 200 403 200 200 403", WARM, FIRST),
        Row("put", "/api/v1/features/greet/override/tenant", "401 401 403 200 403 403 403 403", WARM, FIRST),
        Row("delete", "/api/v1/features/greet/override/user", "401 401 200 200 403 200 200 403"),
        Row("delete", "/api/v1/features/greet/override/tenant", "401 401 403 200 403 403 403 403"),
    ],
    "api/v1/features/<str:feature>/override/<layer:layer>/fields/<str:field>": [
        Row("put", "/api/v1/features/greet/override/user/fields/vars.tone", "401 401 200 200 403 200 200 403", {"set": "warm"}),
        Row("put", "/api/v1/features/greet/override/tenant/fields/vars.tone", "401 401 403 200 403 403 403 403", {"set": "warm"}),
        Row("delete", "/api/v1/features/greet/override/user/fields/vars.tone", "401 401 200 200 403 200 200 403"),
    ],
    "api/v1/features/<str:feature>/override/<layer:layer>/revisions": [
        Row("get", "/api/v1/features/greet/override/user/revisions", "401 401 200 200 200 200 200 403"),
        Row("get", "/api/v1/features/greet/override/tenant/revisions", "401 401 403 200 403 403 403 403"),
    ],
    "api/v1/features/<str:feature>/override/<layer:layer>/rollback": [
        Row("post", "/api/v1/features/greet/override/user/rollback", "401 401 200 200 403 200 200 403", {"revision": 1}),
        Row("post", "/api/v1/features/greet/override/tenant/rollback", "401 401 403 200 403 403 403 403", {"revision": 1}),
    ],
    "api/v1/features/<str:feature>/override/<layer:layer>/conflicts": [
        Row("get", "/api/v1/features/greet/override/user/conflicts", "401 401 200 200 200 200 200 403"),
        Row("get", "/api/v1/features/greet/override/tenant/conflicts", "401 401 403 200 403 403 403 403"),
    ],
    "api/v1/features/<str:feature>/override/<layer:layer>/resolve": [
        Row("post", "/api/v1/features/greet/override/user/resolve", "401 401 422 422 403 422 422 403", KEEP),
        Row("post", "/api/v1/features/greet/override/tenant/resolve", "401 401 403 422 403 403 403 403", KEEP),
    ],
    "api/v1/features/<str:feature>/pin/<layer:layer>": [
        Row("get", "/api/v1/features/greet/pin/user", "401 401 200 200 200 200 200 403"),
        Row("get", "/api/v1/features/greet/pin/tenant", "401 401 200 200 200 200 200 403"),
        Row("put", "/api/v1/features/greet/pin/user", "401 401 200 200 403 200 200 403", {"version": 1}),
        Row("put", "/api/v1/features/greet/pin/tenant", "401 401 403 200 403 403 403 403", {"version": 1}),
        Row("delete", "/api/v1/features/greet/pin/user", "401 401 200 200 403 200 200 403"),
        Row("delete", "/api/v1/features/greet/pin/tenant", "401 401 403 200 403 403 403 403"),
    ],
    "api/v1/features/<str:feature>/pins": [
        Row("get", "/api/v1/features/greet/pins", "401 401 403 200 403 403 403 403"),
    ],
    "api/v1/features/<str:feature>/pins/<str:subject>": [
        Row("delete", "/api/v1/features/greet/pins/{subject}", "401 401 403 404 403 403 403 403"),
    ],
    "api/v1/features/<str:feature>/restore": [
        Row("post", "/api/v1/features/greet/restore", "401 401 404 404 403 404 404 403", {"run": "{run}"}),
    ],
    "api/v1/features/<str:feature>/rollouts": [
        Row("get", "/api/v1/features/greet/rollouts", "401 401 403 403 403 403 403 200"),
        Row("post", "/api/v1/features/greet/rollouts", "401 401 403 403 403 403 403 422", {}),
    ],
    "api/v1/rollouts/<id:rollout_id>": [
        Row("get", f"/api/v1/rollouts/{RANDOM}", "401 401 403 403 403 403 403 404"),
    ],
    "api/v1/rollouts/<id:rollout_id>/events": [
        Row("get", f"/api/v1/rollouts/{RANDOM}/events", "401 401 403 403 403 403 403 404"),
    ],
    "api/v1/rollouts/<id:rollout_id>/guards": [
        Row("get", f"/api/v1/rollouts/{RANDOM}/guards", "401 401 403 403 403 403 403 404"),
    ],
    "api/v1/rollouts/<id:rollout_id>/tenants": [
        Row("get", f"/api/v1/rollouts/{RANDOM}/tenants", "401 401 403 403 403 403 403 404"),
    ],
    "api/v1/rollouts/<id:rollout_id>/advance": [
        Row("post", f"/api/v1/rollouts/{RANDOM}/advance", "401 401 403 403 403 403 403 404"),
    ],
    "api/v1/rollouts/<id:rollout_id>/pause": [
        Row("post", f"/api/v1/rollouts/{RANDOM}/pause", "401 401 403 403 403 403 403 404"),
    ],
    "api/v1/rollouts/<id:rollout_id>/resume": [
        Row("post", f"/api/v1/rollouts/{RANDOM}/resume", "401 401 403 403 403 403 403 404"),
    ],
    "api/v1/rollouts/<id:rollout_id>/rollback": [
        Row("post", f"/api/v1/rollouts/{RANDOM}/rollback", "401 401 403 403 403 403 403 404"),
    ],
    "api/v1/features/<str:feature>/preview": [
        Row("post", "/api/v1/features/greet/preview", "401 401 202 202 403 202 202 422", TRY, ASYNC),
    ],
    "api/v1/previews/<id:preview_id>": [
        Row("get", "/api/v1/previews/{preview}", "401 401 404 404 404 404 404 404"),
        Row("delete", "/api/v1/previews/{preview}", "401 401 404 404 404 404 404 404"),
    ],
    "api/v1/features/<str:feature>/suggest": [
        Row("post", "/api/v1/features/greet/suggest", "401 401 503 503 403 503 503 403", {"request": "warmer"}, ASYNC),
    ],
    "api/v1/features/<str:feature>/suggestions/<id:suggestion_id>": [
        Row("get", "/api/v1/features/greet/suggestions/{run}", "401 401 404 404 404 404 404 403"),
    ],
    "api/v1/features/<str:feature>/runs": [
        Row("post", "/api/v1/features/greet/runs", "401 401 202 202 403 202 202 403", {"input": {"name": "Ann"}}, ASYNC),
    ],
    "api/v1/features/<str:feature>/batches": [
        Row("post", "/api/v1/features/greet/batches", "401 401 202 202 403 202 202 403", [{"input": {"name": "Ann"}}]),
    ],
    "api/v1/batches": [
        Row("get", "/api/v1/batches", "401 401 200 200 200 200 200 403"),
    ],
    "api/v1/batches/<id:batch_id>": [
        Row("get", "/api/v1/batches/{batch}", "401 401 404 404 404 404 404 403"),
    ],
    "api/v1/batches/<id:batch_id>/results": [
        Row("get", "/api/v1/batches/{batch}/results", "401 401 404 404 404 404 404 403"),
    ],
    "api/v1/batches/<id:batch_id>/cancel": [
        Row("post", "/api/v1/batches/{batch}/cancel", "401 401 404 404 404 404 404 403"),
    ],
    "api/v1/runs": [
        Row("get", "/api/v1/runs", "401 401 200 200 200 200 200 403"),
        Row("get", "/api/v1/runs?user={subject}", "401 401 403 404 403 403 403 403"),
    ],
    "api/v1/runs/<id:run_id>": [
        Row("get", "/api/v1/runs/{run}", "401 401 404 404 404 404 404 403"),
    ],
    "api/v1/runs/<id:run_id>/events": [
        Row("get", "/api/v1/runs/{run}/events", "401 401 404 404 404 404 404 403"),
    ],
    "api/v1/runs/<id:run_id>/cancel": [
        Row("post", "/api/v1/runs/{run}/cancel", "401 401 404 404 404 404 404 403", {}),
    ],
    "api/v1/runs/<id:run_id>/replay": [
        Row("post", "/api/v1/runs/{run}/replay", "401 401 404 404 403 404 404 403", {"on": "same"}),
    ],
    "api/v1/runs/<id:run_id>/feedback": [
        Row("get", "/api/v1/runs/{run}/feedback", "401 401 404 404 404 404 404 403"),
        Row("put", "/api/v1/runs/{run}/feedback", "401 401 404 404 403 404 404 403", {"verdict": "bad"}),
    ],
    "api/v1/notices": [
        Row("get", "/api/v1/notices", "401 401 200 200 200 200 200 403"),
    ],
    "api/v1/notices/<id:notice_id>/read": [
        Row("post", "/api/v1/notices/{notice}/read", "401 401 404 404 404 404 404 403"),
    ],
    "api/v1/usage": [
        Row("get", "/api/v1/usage?by=user", "401 401 403 200 403 403 403 403"),
    ],
    "api/v1/tenant": [
        Row("get", "/api/v1/tenant", "401 401 200 200 200 200 200 403"),
        Row("patch", "/api/v1/tenant", "401 401 403 200 403 403 403 403", {"policy": {}}),
    ],
    "api/v1/members": [
        Row("get", "/api/v1/members", "401 401 403 200 403 403 403 403"),
        Row("post", "/api/v1/members", "401 401 403 201 403 403 403 403", {"email": "eve@evil.example", "role": "viewer"}),
    ],
    "api/v1/members/<id:member_id>": [
        Row("get", "/api/v1/members/{member}", "401 401 403 404 403 403 403 403"),
        Row("patch", "/api/v1/members/{member}", "401 401 403 404 403 403 403 403", {"role": "viewer"}),
        Row("delete", "/api/v1/members/{member}", "401 401 403 404 403 403 403 403"),
    ],
    "api/v1/invitations": [
        Row("get", "/api/v1/invitations", "401 401 403 200 403 403 403 403"),
        Row("post", "/api/v1/invitations", "401 401 403 201 403 403 403 403", {"email": "eve2@evil.example", "role": "viewer"}),
    ],
    "api/v1/invitations/<id:invitation_id>": [
        Row("delete", "/api/v1/invitations/{invitation}", "401 401 403 404 403 403 403 403"),
    ],
    "api/v1/invitations/<id:invitation_id>/resend": [
        Row("post", "/api/v1/invitations/{invitation}/resend", "401 401 403 404 403 403 403 403"),
    ],
    "api/v1/subjects": [
        Row("get", "/api/v1/subjects", "401 401 403 200 403 403 403 403"),
    ],
    "api/v1/subjects/<str:subject>/leave-to": [
        Row("post", "/api/v1/subjects/{subject}/leave-to", "401 401 403 404 403 403 403 403", {"to": "u1"}),
        Row("post", "/api/v1/subjects/u1/leave-to", "401 401 403 404 403 403 403 403", {"to": "{subject}"}),
    ],
    "api/v1/subjects/<str:subject>/erase": [
        Row("post", "/api/v1/subjects/{subject}/erase", "401 401 403 404 403 403 403 403"),
    ],
    "api/v1/erasures": [
        Row("get", "/api/v1/erasures", "401 401 403 200 403 403 403 200"),
    ],
    "api/v1/erasures/<id:erasure_id>": [
        Row("get", "/api/v1/erasures/{erasure}", "401 401 403 404 403 403 403 404"),
    ],
    "api/v1/export": [
        Row("get", "/api/v1/export", "401 401 403 200 403 403 403 403"),
        Row("post", "/api/v1/export", "401 401 403 202 403 403 403 403"),
    ],
    "api/v1/export/<id:export_id>": [
        Row("get", "/api/v1/export/{export}", "401 401 403 404 403 403 403 403"),
    ],
    "api/v1/export/<id:export_id>/download": [
        Row("get", "/api/v1/export/{export}/download", "401 401 403 404 403 403 403 403"),
    ],
    "api/v1/keys": [
        Row("get", "/api/v1/keys", "401 401 200 200 200 200 200 403"),
        Row("post", "/api/v1/keys", "401 401 403 201 403 403 403 403", {"kind": "service", "name": "mine"}),
    ],
    "api/v1/budgets": [
        Row("get", "/api/v1/budgets", "401 401 403 200 403 403 403 403"),
        Row("post", "/api/v1/budgets", "401 401 403 422 403 403 403 403", {"period": "day"}),
    ],
    "api/v1/budgets/<id:budget_id>": [
        Row("get", f"/api/v1/budgets/{RANDOM}", "401 401 403 404 403 403 403 403"),
        Row("put", f"/api/v1/budgets/{RANDOM}", "401 401 403 404 403 403 403 403", {"hard": 1}),
        Row("delete", f"/api/v1/budgets/{RANDOM}", "401 401 403 404 403 403 403 403"),
    ],
    "api/v1/keys/<id:key_id>": [
        Row("get", "/api/v1/keys/{key}", "401 401 404 404 404 404 404 403"),
        Row("patch", "/api/v1/keys/{key}", "401 401 403 404 403 403 403 403", {"requests_per_minute": 1}),
        Row("delete", "/api/v1/keys/{key}", "401 401 404 404 404 404 404 403"),
    ],
    "api/v1/keys/<id:key_id>/rotate": [
        Row("post", "/api/v1/keys/{key}/rotate", "401 401 404 404 404 404 404 403"),
    ],
    "api/v1/approvals": [
        Row("get", "/api/v1/approvals", "401 401 403 403 403 403 403 200"),
    ],
    "api/v1/approvals/<id:approval_id>/approve": [
        Row("post", f"/api/v1/approvals/{RANDOM}/approve", "401 401 403 403 403 403 403 404"),
    ],
    "api/v1/approvals/<id:approval_id>/refuse": [
        Row("post", f"/api/v1/approvals/{RANDOM}/refuse", "401 401 403 403 403 403 403 404"),
    ],
    "api/v1/support-access": [
        Row("get", "/api/v1/support-access", "401 401 403 200 403 403 403 403"),
        Row("post", "/api/v1/support-access", "401 401 403 201 403 403 403 403", {"hours": 1, "reason": "theirs"}),
        Row("delete", "/api/v1/support-access", "401 401 403 204 403 403 403 403"),
    ],
    "api/v1/operator/keys": [
        Row("get", "/api/v1/operator/keys", "401 401 403 403 403 403 403 200"),
        Row("post", "/api/v1/operator/keys", "401 401 403 403 403 403 403 201", {"name": "theirs"}),
    ],
    "api/v1/operator/keys/<id:key_id>": [
        Row("delete", f"/api/v1/operator/keys/{RANDOM}", "401 401 403 403 403 403 403 404"),
    ],
    "api/v1/operator/keys/<id:key_id>/rotate": [
        Row("post", f"/api/v1/operator/keys/{RANDOM}/rotate", "401 401 403 403 403 403 403 404"),
    ],
    "api/v1/provider-keys": [
        Row("get", "/api/v1/provider-keys", "401 401 403 200 403 403 403 403"),
        Row("post", "/api/v1/provider-keys", "401 401 403 201 403 403 403 403", {**OWN_KEY, "name": "theirs"}),
    ],
    "api/v1/provider-keys/<id:key_id>": [
        Row("delete", "/api/v1/provider-keys/{provider_key}", "401 401 403 404 403 403 403 403"),
    ],
    "api/v1/webhooks": [
        Row("get", "/api/v1/webhooks", "401 401 403 200 403 403 403 403"),
        Row("post", "/api/v1/webhooks", "401 401 403 201 403 403 403 403", HOOK),
    ],
    "api/v1/webhooks/<id:webhook_id>": [
        Row("get", "/api/v1/webhooks/{webhook}", "401 401 403 404 403 403 403 403"),
        Row("patch", "/api/v1/webhooks/{webhook}", "401 401 403 404 403 403 403 403", {"enabled": False}),
        Row("delete", "/api/v1/webhooks/{webhook}", "401 401 403 404 403 403 403 403"),
    ],
    "api/v1/webhooks/<id:webhook_id>/secret": [
        Row("post", "/api/v1/webhooks/{webhook}/secret", "401 401 403 404 403 403 403 403"),
    ],
    "api/v1/webhooks/<id:webhook_id>/test": [
        Row("post", "/api/v1/webhooks/{webhook}/test", "401 401 403 404 403 403 403 403"),
    ],
    "api/v1/webhooks/<id:webhook_id>/deliveries": [
        Row("get", "/api/v1/webhooks/{webhook}/deliveries", "401 401 403 404 403 403 403 403"),
    ],
    "api/v1/webhooks/<id:webhook_id>/deliveries/<id:delivery_id>/resend": [
        Row("post", "/api/v1/webhooks/{webhook}/deliveries/{delivery}/resend", "401 401 403 404 403 403 403 403"),
    ],
    "api/v1/audit": [
        Row("get", "/api/v1/audit", "401 401 403 200 403 403 403 403"),
    ],
    "api/v1/audit/verify": [
        Row("get", "/api/v1/audit/verify", "401 401 403 200 403 403 403 403"),
    ],
    "api/v1/models": [
        Row("get", "/api/v1/models", "401 401 403 403 403 403 403 200"),
        Row("post", "/api/v1/models", "401 401 403 403 403 403 403 422", {}),
    ],
    "api/v1/models/<str:alias>": [
        Row("get", "/api/v1/models/standard", "401 401 403 403 403 403 403 200"),
        Row("put", "/api/v1/models/standard", "401 401 403 403 403 403 403 200", {"revision": 1}),
    ],
    "api/v1/models/<str:alias>/targets/<int:revision>": [
        Row("get", "/api/v1/models/standard/targets/1", "401 401 403 403 403 403 403 200"),
        Row("put", "/api/v1/models/standard/targets/1", "401 401 403 403 403 403 403 409", {"ends": None}),
        Row("delete", "/api/v1/models/standard/targets/1", "401 401 403 403 403 403 403 409"),
    ],
    "api/v1/tenants": [
        Row("get", "/api/v1/tenants", "401 401 403 403 403 403 403 200"),
        Row("post", "/api/v1/tenants", "401 401 403 403 403 403 403 201", {"slug": "x", "name": "X", "owner": "x@y.example"}),
    ],
    "api/v1/tenants/<slug:slug>": [
        Row("get", "/api/v1/tenants/acme", "401 401 403 403 403 403 403 200"),
        Row("patch", "/api/v1/tenants/acme", "401 401 403 403 403 403 403 200", {"requests_per_minute": None}),
    ],
    "api/v1/operator/usage": [
        Row("get", "/api/v1/operator/usage", "401 401 403 403 403 403 403 200"),
    ],
    "api/v1/tenants/<slug:slug>/erase": [
        Row("post", "/api/v1/tenants/acme/erase", "401 401 403 403 403 403 403 409", {"confirm": "erase acme"}),
    ],
    "api/v1/operator/audit/verify": [
        Row("get", "/api/v1/operator/audit/verify", "401 401 403 403 403 403 403 200"),
    ],
    "api/v1/operator/audit": [
        Row("get", "/api/v1/operator/audit", "401 401 403 403 403 403 403 200"),
    ],
    "errors/<slug:name>": [
        Row("get", "/errors/not-found", "200 200 200 200 200 200 200 200"),
    ],
    "healthz": [
        Row("get", "/healthz", "200 200 200 200 200 200 200 200"),
    ],
    "readyz": [
        Row("get", "/readyz", "503 503 503 503 503 503 503 503"),
    ],
    "metrics": [
        Row("get", "/metrics", "404 404 404 404 404 404 404 404"),
    ],
    "accounts/login/": [
        Row("get", "/accounts/login/", "200 200 302 302 302 302 200 302"),
        Row("post", "/accounts/login/", "200 200 302 302 302 302 200 302", {"login": "alice@acme.example", "password": "a guess"}),
    ],
    "accounts/logout/": [
        Row("get", "/accounts/logout/", "302 302 200 200 200 200 302 200"),
    ],
    "accounts/inactive/": [
        Row("get", "/accounts/inactive/", "200 200 200 200 200 200 200 200"),
    ],
    "accounts/signup/": [
        Row("get", "/accounts/signup/", "200 200 302 302 302 302 200 302"),
        Row("post", "/accounts/signup/", "200 200 302 302 302 302 200 302", {"email": "eve@evil.example"}),
    ],
    "accounts/reauthenticate/": [
        Row("get", "/accounts/reauthenticate/", "302 302 403 403 403 403 302 403"),
    ],
    "accounts/password/change/": [
        Row("get", "/accounts/password/change/", "302 302 302 302 302 302 302 302"),
    ],
    "accounts/password/set/": [
        Row("get", "/accounts/password/set/", "302 302 200 200 200 200 302 200"),
    ],
    "accounts/password/reset/": [
        Row("get", "/accounts/password/reset/", "200 200 200 200 200 200 200 200"),
    ],
    "accounts/login/code/confirm/": [
        Row("get", "/accounts/login/code/confirm/", "302 302 302 302 302 302 302 302"),
    ],
    "accounts/password/reset/key/done/": [
        Row("get", "/accounts/password/reset/key/done/", "200 200 200 200 200 200 200 200"),
    ],
    "accounts/^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$": [
        Row("get", "/accounts/password/reset/key/1-abc/", "200 200 200 200 200 200 200 200"),
    ],
    "accounts/password/reset/done/": [
        Row("get", "/accounts/password/reset/done/", "200 200 200 200 200 200 200 200"),
    ],
    "accounts/2fa/": [
        Row("get", "/accounts/2fa/", "302 302 200 200 200 200 302 200"),
    ],
    "accounts/2fa/authenticate/": [
        Row("get", "/accounts/2fa/authenticate/", "302 302 302 302 302 302 302 302"),
    ],
    "accounts/2fa/reauthenticate/": [
        Row("get", "/accounts/2fa/reauthenticate/", "302 302 403 403 403 403 302 403"),
    ],
    "accounts/2fa/totp/activate/": [
        Row("get", "/accounts/2fa/totp/activate/", "302 302 200 200 200 200 302 200"),
    ],
    "accounts/2fa/totp/deactivate/": [
        Row("get", "/accounts/2fa/totp/deactivate/", "302 302 404 404 404 404 302 404"),
    ],
    "accounts/2fa/recovery-codes/": [
        Row("get", "/accounts/2fa/recovery-codes/", "302 302 404 404 404 404 302 404"),
    ],
    "accounts/2fa/recovery-codes/generate/": [
        Row("get", "/accounts/2fa/recovery-codes/generate/", "302 302 200 200 200 200 302 200"),
    ],
    "accounts/2fa/recovery-codes/download/": [
        Row("get", "/accounts/2fa/recovery-codes/download/", "302 302 404 404 404 404 302 404"),
    ],
    "": [
        Row("get", "/", "302 302 200 200 200 200 302 302"),
    ],
    "switch": [
        Row("post", "/switch", "302 302 404 404 302 302 302 404", {"tenant": "{tenant}"}),
    ],
    "f/<str:key>": [
        Row("get", "/f/greet", "302 302 200 200 200 200 302 302"),
        Row("get", "/f/greet?run={run}", "302 302 404 404 404 404 302 302"),
        Row("post", "/f/greet", "302 302 422 422 422 422 302 302", {"name": "Ann"}),
    ],
    "f/<str:key>/batches": [
        Row("get", "/f/greet/batches", "302 302 200 200 200 200 302 302"),
        Row("post", "/f/greet/batches", "302 302 422 422 403 422 302 302", {"act": "look"}),
    ],
    "f/<str:key>/mine": [
        Row("get", "/f/greet/mine", "302 302 200 200 200 200 302 302"),
        Row("post", "/f/greet/mine", "302 302 412 412 403 412 302 302", {"act": "save", "field": "vars.tone", "value": "warm"}),
    ],
    "f/<str:key>/try": [
        Row("get", "/f/greet/try", "302 302 200 200 200 200 302 302"),
        Row("get", "/f/greet/try?preview={run}", "302 302 404 404 404 404 302 302"),
        Row("post", "/f/greet/try", "302 302 412 412 403 412 302 302", {"act": "clear"}),
    ],
    "f/<str:key>/timeline": [
        Row("get", "/f/greet/timeline", "302 302 200 200 200 200 302 302"),
        Row("get", "/f/greet/timeline?run={run}", "302 302 404 404 404 404 302 302"),
        Row("post", "/f/greet/timeline", "302 302 404 404 404 404 302 302", {"act": "restore", "run": "{run}"}),
    ],
    "f/<str:key>/upgrade": [
        Row("get", "/f/greet/upgrade", "302 302 200 200 200 200 302 302"),
        Row("get", "/f/greet/upgrade?preview={run}", "302 302 404 404 404 404 302 302"),
        Row("post", "/f/greet/upgrade", "302 302 403 403 403 403 302 302", {"act": "take"}),
    ],
    "org/f/<str:key>/upgrade": [
        Row("get", "/org/f/greet/upgrade", "302 302 403 200 403 403 302 302"),
        Row("post", "/org/f/greet/upgrade", "302 302 403 403 403 403 302 302", {"act": "take"}),
    ],
    "org/f/<str:key>/try": [
        Row("get", "/org/f/greet/try", "302 302 403 200 403 403 302 302"),
        Row("post", "/org/f/greet/try", "302 302 403 412 403 403 302 302", {"act": "clear"}),
    ],
    "org/f/<str:key>/timeline": [
        Row("get", "/org/f/greet/timeline", "302 302 403 200 403 403 302 302"),
        Row("post", "/org/f/greet/timeline", "302 302 403 404 403 403 302 302", {"act": "unpin"}),
    ],
    "org/conflicts": [
        Row("get", "/org/conflicts", "302 302 403 200 403 403 302 302"),
    ],
    "org/people": [
        Row("get", "/org/people", "302 302 403 200 403 403 302 302"),
    ],
    "org/people/<path:key>": [
        Row("get", "/org/people/{subject}", "302 302 403 404 403 403 302 302"),
        Row("post", "/org/people/{subject}", "302 302 403 404 403 403 302 302", {"act": "inherit", "feature": "greet"}),
    ],
    "org/usage": [
        Row("get", "/org/usage", "302 302 403 200 403 403 302 302"),
        Row("get", "/org/usage?by=user", "302 302 403 200 403 403 302 302"),
    ],
    "org/usage.csv": [
        Row("get", "/org/usage.csv?by=user", "302 302 403 200 403 403 302 302"),
    ],
    "org/budgets": [
        Row("get", "/org/budgets", "302 302 403 200 403 403 302 302"),
        Row("post", "/org/budgets", "302 302 403 404 403 403 302 302", {"act": "remove", "budget": "{budget}"}),
    ],
    "org/provider-keys": [
        Row("get", "/org/provider-keys", "302 302 403 200 403 403 302 302"),
        Row("post", "/org/provider-keys", "302 302 403 404 403 403 302 302", {"act": "end", "key": "{provider_key}"}),
    ],
    "org/webhooks": [
        Row("get", "/org/webhooks", "302 302 403 200 403 403 302 302"),
        Row("post", "/org/webhooks", "302 302 403 422 403 403 302 302", {"url": "x"}),
    ],
    "org/webhooks/<id:webhook_id>": [
        Row("get", "/org/webhooks/{webhook}", "302 302 403 404 403 403 302 302"),
        Row("post", "/org/webhooks/{webhook}", "302 302 403 404 403 403 302 302", {"act": "remove"}),
    ],
    "org/audit": [
        Row("get", "/org/audit", "302 302 403 200 403 403 302 302"),
        Row("get", "/org/audit?verify=1", "302 302 403 200 403 403 302 302"),
    ],
    "org/data": [
        Row("get", "/org/data", "302 302 403 200 403 403 302 302"),
        Row("post", "/org/data", "302 302 403 404 403 403 302 302", {"act": "erase", "whose": "{subject}", "sure": "on"}),
    ],
    "org/settings": [
        Row("get", "/org/settings", "302 302 403 200 403 403 302 302"),
        Row("post", "/org/settings", "302 302 403 422 403 403 302 302", {"pins": "days"}),
    ],
    "notices": [
        Row("get", "/notices", "302 302 200 200 200 200 302 302"),
    ],
    "notices/count": [
        Row("get", "/notices/count", "302 302 200 200 200 200 302 302"),
    ],
    "notices/<id:notice_id>/read": [
        Row("post", "/notices/{run}/read", "302 302 404 404 404 404 302 302", {}),
    ],
    "org/f/<str:key>": [
        Row("get", "/org/f/greet", "302 302 403 200 403 403 302 302"),
        Row("post", "/org/f/greet", "302 302 403 412 403 403 302 302", {"act": "save", "field": "vars.tone", "value": "warm"}),
    ],
    "me": [
        Row("get", "/me", "302 302 200 200 200 200 302 200"),
        Row("post", "/me", "302 302 400 400 400 400 302 400", {"act": "nothing"}),
    ],
    "me/keys": [
        Row("get", "/me/keys", "302 302 200 200 200 200 302 200"),
        Row("post", "/me/keys", "302 302 404 404 404 404 302 404", {"act": "revoke", "id": "{key}"}),
    ],
    "org/keys": [
        Row("get", "/org/keys", "302 302 403 200 403 403 302 302"),
        Row("post", "/org/keys", "302 302 403 404 403 403 302 302", {"act": "revoke", "id": "{key}"}),
        Row("post", "/org/keys", "302 302 403 404 403 403 302 302", {"act": "limit", "id": "{key}", "concurrent_runs": "1"}),
    ],
    "org/access": [
        Row("get", "/org/access", "302 302 403 200 403 403 302 302"),
        Row("post", "/org/access", "302 302 403 302 403 403 302 302", {"act": "end"}),
    ],
    "vendor/approvals": [
        Row("get", "/vendor/approvals", "302 302 403 403 403 403 302 200"),
        Row("post", "/vendor/approvals", "302 302 403 403 403 403 302 404", {"act": "approve", "id": RANDOM}),
    ],
    "org/members": [
        Row("get", "/org/members", "302 302 403 200 403 403 302 302"),
        Row("post", "/org/members", "302 302 403 404 403 403 302 302", {"act": "remove", "id": "{member}"}),
        Row("post", "/org/members", "302 302 403 404 403 403 302 302", {"act": "resend", "id": "{invitation}"}),
    ],
    "join/<str:text>": [
        Row("get", "/join/bsi_nothing", "404 404 404 404 404 404 404 404"),
        Row("post", "/join/bsi_nothing", "404 404 404 404 404 404 404 404", {"name": "Eve", "password": "a horse in the library"}),
    ],
    "runs": [
        Row("get", "/runs", "302 302 200 200 200 200 302 302"),
        Row("get", "/runs?user={subject}", "302 302 403 404 403 403 302 302"),
    ],
    "batches": [
        Row("get", "/batches", "302 302 200 200 200 200 302 302"),
        Row("get", "/batches?whose=all", "302 302 200 200 200 200 302 302"),
    ],
    "batches/<id:batch_id>": [
        Row("get", "/batches/{batch}?show=all", "302 302 404 404 404 404 302 302"),
        Row("post", "/batches/{batch}", "302 302 404 404 404 404 302 302", {"act": "cancel"}),
    ],
    "batches/<id:batch_id>/results.csv": [
        Row("get", "/batches/{batch}/results.csv", "302 302 404 404 404 404 302 302"),
    ],
    "runs/compare": [
        Row("get", "/runs/compare?a={run}&b={run}", "302 302 404 404 404 404 302 302"),
    ],
    "runs/<id:run_id>": [
        Row("get", "/runs/{run}", "302 302 404 404 404 404 302 302"),
    ],
    "runs/<id:run_id>/output.<str:form>": [
        Row("get", "/runs/{run}/output.json", "302 302 404 404 404 404 302 302"),
    ],
    "runs/<id:run_id>/correct": [
        Row("get", "/runs/{run}/correct", "302 302 404 404 404 404 302 302"),
        Row("post", "/runs/{run}/correct", "302 302 404 404 404 404 302 302", {"act": "save"}),
    ],
    "runs/<id:run_id>/stop": [
        Row("post", "/runs/{run}/stop", "302 302 404 404 404 404 302 302", {}),
    ],
    "runs/<id:run_id>/again": [
        Row("post", "/runs/{run}/again", "302 302 404 404 404 404 302 302", {}),
    ],
    "runs/<id:run_id>/rate": [
        Row("post", "/runs/{run}/rate", "302 302 404 404 404 404 302 302", {"verdict": "bad"}),
    ],
    "vendor/features": [
        Row("get", "/vendor/features", "302 302 403 403 403 403 302 200"),
    ],
    "vendor/features/new": [
        Row("get", "/vendor/features/new", "302 302 403 403 403 403 302 200"),
        Row("post", "/vendor/features/new", "302 302 403 403 403 403 302 422", {"act": "publish", "text": "x"}),
    ],
    "vendor/f/<str:key>/edit": [
        Row("get", "/vendor/f/greet/edit", "302 302 403 403 403 403 302 200"),
        Row("post", "/vendor/f/greet/edit", "302 302 403 403 403 403 302 422", {"act": "publish", "text": "x", "from": "1"}),
    ],
    "vendor/f/<str:key>/versions": [
        Row("get", "/vendor/f/greet/versions", "302 302 403 403 403 403 302 200"),
        Row("post", "/vendor/f/greet/versions", "302 302 403 403 403 403 302 302", {"act": "current", "version": 1}),
    ],
    "vendor/f/<str:key>/availability": [
        Row("get", "/vendor/f/greet/availability", "302 302 403 403 403 403 302 200"),
        Row("post", "/vendor/f/greet/availability", "302 302 403 403 403 403 302 422", {"act": "caching", "how": "for"}),
    ],
    "vendor/f/<str:key>/impacts": [
        Row("get", "/vendor/f/greet/impacts", "302 302 403 403 403 403 302 200"),
        Row("post", "/vendor/f/greet/impacts", "302 302 403 403 403 403 302 422", {"reach": "everybody", "to": "9"}),
    ],
    "vendor/impacts/<id:impact_id>": [
        Row("get", f"/vendor/impacts/{RANDOM}", "302 302 403 403 403 403 302 404"),
    ],
    "vendor/tenants": [
        Row("get", "/vendor/tenants", "302 302 403 403 403 403 302 200"),
        Row("post", "/vendor/tenants", "302 302 403 403 403 403 302 422", {"slug": "a b"}),
    ],
    "vendor/tenants/<slug:slug>": [
        Row("get", "/vendor/tenants/acme", "302 302 403 403 403 403 302 200"),
        Row("get", "/vendor/tenants/nobody", "302 302 403 403 403 403 302 404"),
        Row("post", "/vendor/tenants/acme", "302 302 403 403 403 403 302 422", {"act": "limits", "concurrent_runs": 0}),
    ],
    "vendor/tenants/<slug:slug>/look": [
        Row("get", "/vendor/tenants/acme/look", "302 302 403 403 403 403 302 403"),
        Row("get", "/vendor/tenants/nobody/look", "302 302 403 403 403 403 302 404"),
    ],
    "vendor/tenants/<slug:slug>/look/runs/<id:run_id>": [
        Row("get", "/vendor/tenants/acme/look/runs/{run}", "302 302 403 403 403 403 302 403"),
    ],
    "vendor/tenants/<slug:slug>/look/f/<str:feature>": [
        Row("get", "/vendor/tenants/acme/look/f/greet?user={subject}", "302 302 403 403 403 403 302 403"),
    ],
    "vendor/usage": [
        Row("get", "/vendor/usage?by=model", "302 302 403 403 403 403 302 200"),
    ],
    "vendor/audit": [
        Row("get", "/vendor/audit", "302 302 403 403 403 403 302 200"),
    ],
    "vendor/models": [
        Row("get", "/vendor/models", "302 302 403 403 403 403 302 200"),
        Row("post", "/vendor/models", "302 302 403 403 403 403 302 422", {"act": "add"}),
    ],
    "vendor/system": [
        Row("get", "/vendor/system", "302 302 403 403 403 403 302 200"),
    ],
    "vendor/rollouts": [
        Row("get", "/vendor/rollouts", "302 302 403 403 403 403 302 200"),
    ],
    "vendor/rollouts/new": [
        Row("get", "/vendor/rollouts/new?feature=greet&to=1", "302 302 403 403 403 403 302 200"),
        Row("post", "/vendor/rollouts/new", "302 302 403 403 403 403 302 400", {"feature": "greet", "to": 1}),
    ],
    "vendor/rollouts/<id:rollout_id>": [
        Row("get", f"/vendor/rollouts/{RANDOM}", "302 302 403 403 403 403 302 404"),
        Row("post", f"/vendor/rollouts/{RANDOM}", "302 302 403 403 403 403 302 404", {"act": "pause"}),
    ],
}  # fmt: skip


def routes() -> dict[str, Any]:
    """Every route of the URL configuration."""

    def walk(patterns: list[Any], prefix: str) -> Iterator[tuple[str, Any]]:
        for pattern in patterns:
            route = prefix + str(pattern.pattern)
            if isinstance(pattern, URLPattern):
                yield route, pattern.callback
            else:
                yield from walk(pattern.url_patterns, route)

    return dict(walk(get_resolver().url_patterns, ""))


@dataclass
class Alice:
    """What is hers, and how the rest of the world looks for it."""

    cast: Cast
    ids: dict[str, str]
    keys: dict[str, str]
    key: str
    before: dict[str, Any] = field(default_factory=dict)
    browsers: dict[str, Client] = field(default_factory=dict)

    def state(self) -> dict[str, Any]:
        """What is hers, as she sees it: nobody's knocking may change it, but for what her organisation decides."""
        knock = Knock(self.key, {})
        mine = {path: knock.get(f"/features/greet/{path}").json() for path in ("override/user", "pin/user")}
        run, me = knock.get(f"/runs/{self.ids['run']}").json(), knock.get("/me").json()
        run["batch"] = knock.get(f"/batches/{self.ids['batch']}").json()
        run["tried"] = knock.get(f"/previews/{self.ids['preview']}").json()
        receipt = knock.get("/features/greet/behavior").json()["receipt"]
        return {**mine, "run": run, "me": me, "receipt": receipt}

    def browser(self, who: str) -> Client:
        """Somebody at the dashboard, with a session if they are people who have one."""
        if who in self.browsers:
            return self.browsers[who]
        client = self.browsers[who] = Client()
        email = {"stranger": "mallory@globex", "owner": "gus@globex", "viewer": "vera@acme", "colleague": "bob@acme",
                 "vendor": "operator@bespoke"}  # fmt: skip
        if who in email:
            client.force_login(
                User.objects.get(email=f"{email[who]}.example"),
                backend="allauth.account.auth_backends.AuthenticationBackend",
            )
        return client

    def ask(self, who: str, row: Row, ids: dict[str, str]) -> Any:
        """What one asker gets; the request's id is always the same, so that answers can be compared."""
        api = row.path.startswith("/api/")
        headers = {**row.headers, "X-Request-Id": "the-same-for-all"}
        client = Client()
        if api or who in ("revoked", "software"):
            headers |= {"Authorization": f"Bearer {self.keys[who]}"} if who in self.keys else {}
            headers |= {"Bespoke-User": "u2"} if who == "software" else {}
        if not api:
            client = self.browser(who)
        options: dict[str, Any] = {}
        if row.body is not None or api and row.method not in ("get", "delete"):
            options["data"] = _filled(row.body or {}, ids)
            options |= {"content_type": "application/json"} if api else {}
        return getattr(client, row.method)(_filled(row.path, ids), headers=headers, **options)


def _filled(value: Any, ids: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(inner, ids) for key, inner in value.items()}
    if isinstance(value, str):
        for name, text in ids.items():
            value = value.replace(f"{{{name}}}", text)
    return value


def body_of(answer: Any) -> bytes:
    """An answer's bytes, without what is new each time: tokens, nonces, and how wide a picture draws time."""
    if answer.streaming:
        return b"a stream"
    changes = rb'[A-Za-z0-9]{64}|nonce="[A-Za-z0-9+/=]{24}"|colspan="[0-9]+"'
    return re.sub(changes, b"new", answer.content)


@pytest.fixture
def alice(cast: Cast) -> Alice:
    """Alice with something of everything, and everybody with their key."""
    cache.clear()  # allauth counts who knocks at its doors
    knock = {name: Knock(cast.key(getattr(cast, name)), {}) for name in ("ada", "alice")}
    greet = "/features/greet"
    house = {"set": {"instructions.house": "CANARY-ACME"}}
    assert knock["ada"].put(f"{greet}/override/tenant", house, **FIRST).status_code == 200
    mine = {"set": {"instructions.mine": "CANARY-ALICE"}, "message": "CANARY-ALICE"}
    assert knock["alice"].put(f"{greet}/override/user", mine, **FIRST).status_code == 200
    soon = (timezone.now() + timedelta(days=3)).isoformat()  # which tells her something
    stay = {"version": 1, "reason": "CANARY-ALICE", "until": soon}
    assert knock["alice"].put(f"{greet}/pin/user", stay).status_code == 200
    run = knock["alice"].post(f"{greet}/runs", {"input": {"name": "CANARY-ALICE"}}, **ASYNC).json()
    hers = {"version": 1, "inputs": [{"name": "CANARY-ALICE"}]}
    preview = knock["alice"].post(f"{greet}/preview", hers, **ASYNC).json()
    key = knock["alice"].post("/keys", {"kind": "member", "name": "CANARY-ALICE"}).json()
    [notice] = knock["alice"].get("/notices").json()["items"]
    own = knock["ada"].post("/provider-keys", OWN_KEY).json()
    invited = knock["ada"].post("/invitations", {"email": "CANARY-ACME@acme.example", "role": "member"}).json()
    told = {**HOOK, "url": "https://hooks.example/CANARY-ACME", "description": "CANARY-ACME"}
    hook = knock["ada"].post("/webhooks", told).json()
    delivery = knock["ada"].post(f"/webhooks/{hook['id']}/test").json()
    budget = knock["ada"].post("/budgets", {"period": "month", "hard": 5_000_000}).json()
    export = knock["ada"].post("/export").json()
    someone = Knock(cast.key(cast.acme_service), {"Bespoke-User": "gone"})
    assert someone.put(f"{greet}/override/user", WARM, **FIRST).status_code == 200
    erasure = knock["ada"].post("/subjects/gone/erase").json()
    revoked, text = create_key(kind="member", name="lost", by=cast.alice)
    revoke_key(revoked, by=cast.alice)
    keys = {
        "revoked": text, "stranger": cast.key(cast.mallory), "owner": cast.key(cast.gus),
        "viewer": cast.key(cast.vera), "colleague": cast.key(cast.bob), "software": cast.key(cast.acme_service), "vendor": cast.key(cast.operator),
    }  # fmt: skip
    batch = knock["alice"].post(f"{greet}/batches", [{"input": {"name": "CANARY-ALICE"}, "key": "CANARY-ALICE"}]).json()
    member = str(cast.alice.subject.id)
    ids = {"batch": batch["id"], "budget": budget["id"], "run": run["id"], "preview": preview["id"], "key": key["id"], "notice": notice["id"], "member": member, "provider_key": own["id"], "invitation": invited["id"], "webhook": hook["id"],
           "delivery": delivery["id"], "export": export["id"], "erasure": erasure["id"],
           "subject": f"member:{member}", "tenant": str(cast.alice.tenant_id)}  # fmt: skip
    made = Alice(cast, ids, keys, key["key"])
    made.before = made.state()
    return made


def test_an_action_on_another_organisations_row_finds_nothing(alice: Alice) -> None:
    """The actions' own check, behind that of the database and of whoever looked the row up."""
    with alice.cast.alice.present():
        run = Run.objects.get(pk=alice.ids["run"])
    with pytest.raises(NotFound), alice.cast.gus.doing("run.cancel", run):
        raise AssertionError("it began")


def test_every_address_has_its_row_and_every_row_its_address() -> None:
    assert routes().keys() == TABLE.keys()


@pytest.mark.parametrize("who", ASKERS)
def test_everybody_gets_what_the_table_says_and_nothing_of_alices(who: str, alice: Alice) -> None:
    wrong, leaks = [], []
    canary = b"CANARY-ALICE" if who in OF_ACME else b"CANARY"
    for rows in TABLE.values():
        for row in rows:
            answer = alice.ask(who, row, alice.ids)
            if answer.status_code != row.statuses()[who]:
                wrong.append((row.method, row.path, answer.status_code, row.statuses()[who]))
            if canary in body_of(answer):
                leaks.append((row.method, row.path))
    assert (wrong, leaks) == ([], [])
    assert alice.state() == alice.before


@pytest.mark.parametrize("who", ["nobody", "owner"])
def test_no_other_method_does_anything(who: str, alice: Alice) -> None:
    wrong = []
    for route, rows in TABLE.items():
        allowed = REFUSED | ({200, 429} if route.startswith(THIRD_PARTY) else set())
        for method in set(METHODS) - {row.method for row in rows}:
            answer = alice.ask(who, Row(method, rows[0].path, ""), alice.ids)
            if answer.status_code not in allowed or b"CANARY" in body_of(answer):
                wrong.append((method, rows[0].path, answer.status_code))
    assert wrong == []
    assert alice.state() == alice.before


@pytest.mark.parametrize("who", ASKERS)
def test_what_is_alices_answers_like_what_is_not_there(who: str, alice: Alice) -> None:
    nowhere = {**dict.fromkeys(alice.ids, RANDOM), "subject": f"member:{RANDOM}"}
    compared, differ = 0, []
    for rows in TABLE.values():
        for row in rows:
            named = "{" in f"{row.path}{row.body}".replace("{}", "").replace("{'", "")
            if not named or row.statuses()[who] not in (401, 403, 404):
                continue
            compared += 1
            hers, none = alice.ask(who, row, alice.ids), alice.ask(who, row, nowhere)
            echoed = body_of(hers)  # a form that is refused comes back as it was filled in
            for name, text in alice.ids.items():
                echoed = echoed.replace(text.encode(), nowhere[name].encode())
            if (hers.status_code, echoed) != (none.status_code, body_of(none)):
                differ.append((row.method, row.path, body_of(hers), body_of(none)))
    assert differ == []
    assert compared >= 10
