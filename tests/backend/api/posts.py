"""Every POST of the document as somebody may send it, with what has to be there first: {operation: stage → request}.

A new POST that is not here fails tests/backend/api/test_once.py.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from features.actions.catalog import FOLDER, load_file, read_file
from tenants.deliveries import Outcome, claim, settle
from tenants.models import Invitation
from tenants.system import system_actor
from tests.canaries import superuser
from tests.cast import GREET_RULES, Cast

from .acts import FIRST, GREETING, MINE, OURS, behavior, publish
from .conftest import Caller
from .test_conflicts import LANGUAGE, conflict
from .test_operators import hire
from .test_rollouts import PLAN
from .test_webhooks import BODY as HOOK

ASYNC = {"Prefer": "respond-async"}
WARM = {"set": {"vars.tone": "warm"}}
ANN = {"input": {"name": "Ann"}}
NEWER = {"alias": "standard", "provider": "demo", "model": "newer", "input_price": 5, "output_price": 7}


@dataclass
class Stage:
    """Who there is, how they knock, and the settings."""

    cast: Cast
    api: Caller
    settings: Any

    def begun(self, who: str, path: str, body: Any, **headers: str) -> dict[str, Any]:
        """What somebody has made before."""
        answer = self.api(getattr(self.cast, who)).post(path, body, **headers)
        assert answer.status_code < 300, answer.content
        return dict(answer.json())


@dataclass
class Sent:
    """One request: who sends it, where, what."""

    who: Any
    path: str
    body: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    def post(self, **more: str) -> Any:
        return self.who.post(self.path, self.body, **self.headers, **more)


def _as(who: str, path: str, body: Any = None, **headers: str) -> Callable[[Stage], Sent]:
    return lambda stage: Sent(stage.api(getattr(stage.cast, who)), path, {} if body is None else body, headers)


def _approval(what: str, stage: Stage) -> Sent:
    publish(stage.api, stage.cast, move=False, vars__tone="formal")
    (_, ask), (_, decide) = hire("pat", "publish"), hire("quinn", "publish")
    stage.settings.SECOND_APPROVAL = True
    told = ask.put(f"{GREETING}/current", {"version": 2})
    return Sent(decide, f"/approvals/{told.json()['approval']}/{what}")


def _rollout(what: str, stage: Stage) -> Sent:
    publish(stage.api, stage.cast, move=False, instructions__role="You greet people politely.")
    made = stage.begun("operator", f"{GREETING}/rollouts", PLAN)
    if what == "resume":
        stage.begun("operator", f"/rollouts/{made['id']}/pause", {})
    return Sent(stage.api(stage.cast.operator), f"/rollouts/{made['id']}/{what}")


def _start_rollout(stage: Stage) -> Sent:
    publish(stage.api, stage.cast, move=False, instructions__role="You greet people politely.")
    return Sent(stage.api(stage.cast.operator), f"{GREETING}/rollouts", PLAN)


def _withdraw(stage: Stage) -> Sent:
    publish(stage.api, stage.cast, vars__tone="warm")
    body = {"replacement": 1, "reason": "It insults people."}
    return Sent(stage.api(stage.cast.operator), f"{GREETING}/versions/2/withdraw", body)


def _changed(who: str, layer: str, path: str, body: Any, stage: Stage) -> Sent:
    knock = stage.api(getattr(stage.cast, who))
    assert knock.put(layer, WARM, **FIRST).status_code == 200
    return Sent(knock, path, body)


def _restore(stage: Stage) -> Sent:
    return _changed("alice", MINE, f"{GREETING}/restore", {"at": datetime.now(UTC).isoformat()}, stage)


def _resolve(stage: Stage) -> Sent:
    conflict(stage.api, stage.cast)
    return Sent(stage.api(stage.cast.alice), f"{MINE}/resolve", {"fields": {LANGUAGE: "keep"}})


def _notice(stage: Stage) -> Sent:
    alice = stage.api(stage.cast.alice)
    alice.put(MINE, {"set": {"instructions.role": "Mine."}}, **FIRST)
    publish(stage.api, stage.cast, instructions__role="Theirs.")
    return Sent(alice, f"/notices/{alice.get('/notices').json()['items'][0]['id']}/read")


def _of_new(who: str, door: str, made: Any, what: str, stage: Stage) -> Sent:
    """Something done to what somebody has just made."""
    row = stage.begun(who, door, made)
    return Sent(stage.api(getattr(stage.cast, who)), f"{door}/{row['id']}/{what}")


def _invited(stage: Stage) -> Sent:
    sent = _of_new("ada", "/invitations", {"email": "eve@acme.example", "role": "viewer"}, "resend", stage)
    with stage.cast.ada.present():
        Invitation.objects.update(sent_at=datetime.now(UTC) - timedelta(minutes=2))
    return sent


def _delivery(stage: Stage) -> Sent:
    hook = stage.begun("ada", "/webhooks", HOOK)
    sent = stage.begun("ada", f"/webhooks/{hook['id']}/test", {})
    settle(claim(1)[0], Outcome(200))
    return Sent(stage.api(stage.cast.ada), f"/webhooks/{hook['id']}/deliveries/{sent['id']}/resend")


def _waiting(what: str, body: Any, stage: Stage) -> Sent:
    run = stage.begun("alice", f"{GREETING}/runs", ANN, **ASYNC)
    return Sent(stage.api(stage.cast.alice), f"/runs/{run['id']}/{what}", body, ASYNC if what == "replay" else {})


def _cancel_batch(stage: Stage) -> Sent:
    made = stage.begun("alice", f"{GREETING}/batches", [ANN])
    return Sent(stage.api(stage.cast.alice), f"/batches/{made['id']}/cancel")


def _left(what: str, stage: Stage) -> Sent:
    """Alice has changed something, and left."""
    alice, ada = stage.cast.alice.acting_for(), stage.api(stage.cast.ada)
    stage.api(stage.cast.alice).put(MINE, WARM, **FIRST)
    assert ada.delete(f"/members/{alice.id}").status_code == 204
    body = {"to": stage.cast.bob.acting_for().key} if what == "leave-to" else {}
    return Sent(ada, f"/subjects/{alice.key}/{what}", body)


def _closed(stage: Stage) -> Sent:
    with superuser() as db:
        db.execute("UPDATE tenants_tenant SET state = 'closed' WHERE slug = 'globex'")
    return Sent(stage.api(stage.cast.operator), "/tenants/globex/erase", {"confirm": "erase globex"})


def _suggest(stage: Stage) -> Sent:
    load_file(read_file(FOLDER / "customize.yaml"), force=False, by=system_actor("tests"))
    return Sent(stage.api(stage.cast.alice), f"{GREETING}/suggest", {"request": "Be warmer"}, ASYNC)


FEATURE = {"feature": "wave", "title": "Wave", "behavior": behavior(), "rules": GREET_RULES}
VERSION = {"behavior": behavior(vars__tone="formal"), "rules": GREET_RULES, "publish": "current"}
POSTS: dict[str, Callable[[Stage], Sent]] = {
    "post_run": _as("alice", f"{GREETING}/runs", ANN, **ASYNC),
    "post_run_cancel": partial(_waiting, "cancel", {}),
    "post_run_replay": partial(_waiting, "replay", {"on": "same"}),
    "post_batch": _as("alice", f"{GREETING}/batches", [ANN]),
    "post_batch_cancel": _cancel_batch,
    "post_preview": _as("alice", f"{GREETING}/preview", {"override": WARM, "inputs": [{"name": "Ann"}]}, **ASYNC),
    "post_suggest": _suggest,
    "post_rollback": partial(_changed, "alice", MINE, f"{MINE}/rollback", {"revision": 1}),
    "post_resolve": _resolve,
    "post_promote": partial(_changed, "ada", MINE, f"{MINE}/promote", {}),
    "post_hand_out": partial(_changed, "ada", OURS, f"{OURS}/hand-out", {"subjects": ["u1"]}),
    "post_restore": _restore,
    "post_leave_to": partial(_left, "leave-to"),
    "post_erase_subject": partial(_left, "erase"),
    "post_read_notice": _notice,
    "post_keys": _as("ada", "/keys", {"kind": "service", "name": "our shop"}),
    "post_rotate_key": partial(_of_new, "ada", "/keys", {"kind": "service", "name": "x"}, "rotate"),
    "post_provider_keys": _as("ada", "/provider-keys", {"provider": "demo", "name": "ours", "key": "sk-0123456789abc"}),
    "post_members": _as("ada", "/members", {"email": "eve@acme.example", "role": "viewer"}),
    "post_invitations": _as("ada", "/invitations", {"email": "eve@acme.example", "role": "viewer"}),
    "post_resend_invitation": _invited,
    "post_budgets": _as("ada", "/budgets", {"period": "month", "soft": 10, "hard": 20}),
    "post_support_access": _as("ada", "/support-access", {"hours": 1, "reason": "this morning's run"}),
    "post_exports": _as("ada", "/export"),
    "post_webhooks": _as("ada", "/webhooks", HOOK),
    "post_webhook_secret": partial(_of_new, "ada", "/webhooks", HOOK, "secret"),
    "post_webhook_test": partial(_of_new, "ada", "/webhooks", HOOK, "test"),
    "post_resend": _delivery,
    "post_features": _as("operator", "/features", FEATURE),
    "post_versions": _as("operator", f"{GREETING}/versions", VERSION),
    "post_withdraw": _withdraw,
    "post_rollouts": _start_rollout,
    "post_advance": partial(_rollout, "advance"),
    "post_pause": partial(_rollout, "pause"),
    "post_resume": partial(_rollout, "resume"),
    "post_roll_back": partial(_rollout, "rollback"),
    "post_ask": _as("operator", f"{GREETING}/impact", {"to": 1}, **ASYNC),
    "post_models": _as("operator", "/models", NEWER),
    "post_tenants": _as(
        "operator", "/tenants", {"slug": "initech", "name": "Initech", "owner": "bill@initech.example"}
    ),
    "post_erase_tenant": _closed,
    "post_approve": partial(_approval, "approve"),
    "post_refuse": partial(_approval, "refuse"),
    "post_operator_keys": _as("operator", "/operator/keys", {"name": "deploys"}),
    "post_rotate_operator_key": partial(_of_new, "operator", "/operator/keys", {"name": "deploys"}, "rotate"),
}
