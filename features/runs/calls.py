"""A call to a model, from the row that stands before it is made to what is written of it in the end."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from features.models import ModelTarget
from tenants.ids import uuid7
from tenants.provider_keys import Credential

from .costs import price
from .dispatch import Claim
from .flow import Call
from .output import Reply
from .reservations import Hold

# What a call came to, in the transaction that comes next anyway: that of the next call or of the run's end. One that
# the reaper has settled as lost meanwhile stays as it is.
SETTLE = """
UPDATE runs_attempt a SET finished_at = clock_timestamp(), outcome = %(outcome)s, detail = %(call_detail)s,
    input_tokens = %(input_tokens)s, cached_input_tokens = %(cached_input_tokens)s, output_tokens = %(output_tokens)s,
    cost = %(call_cost)s
FROM {ours}
WHERE a.tenant_id = %(tenant)s AND a.run = %(run)s AND a.number = %(called)s AND a.finished_at IS NULL
RETURNING a.number, a.kind, a.detail, a.input_tokens, a.cached_input_tokens, a.output_tokens, a.cost"""

SETTLE_ALONE = SETTLE.format(ours="(SELECT) ours")

# A call begins: if the claim is still ours the run is noted as running, the call before as settled, and this one's row
# written. The run's time counts from its first call.
BEGIN = f"""
WITH mine AS (
    UPDATE runs_queued SET deadline = coalesce(deadline, %(until)s)
    WHERE tenant_id = %(tenant)s AND id = %(run)s AND token = %(token)s RETURNING tenant_id, id
), run AS (
    UPDATE runs_run r SET state = 'running', started_at = coalesce(r.started_at, clock_timestamp()) FROM mine
    WHERE NOT %(begun)s AND r.tenant_id = %(tenant)s AND r.id = %(run)s AND r.state IN ('queued', 'running')
), settled AS ({SETTLE.format(ours="mine")})
INSERT INTO runs_attempt (id, tenant_id, run, number, kind, target_id, detail, reserved, own_key, started_at, outcome,
    input_tokens, cached_input_tokens, output_tokens, cost)
SELECT %(attempt)s, mine.tenant_id, mine.id, %(number)s, %(kind)s, %(target)s, %(wrong)s, %(reserved)s, %(own_key)s,
       clock_timestamp(), '', 0, 0, 0, 0
FROM mine RETURNING true"""


@dataclass(slots=True)
class Called:
    """A call whose attempt stands, and in the end what it came to."""

    number: int
    call: Call
    target: ModelTarget
    hold: Hold
    own: Credential | None = None  # the tenant's own key, if it has one
    reply: Reply = field(default_factory=lambda: Reply(None, None))
    outcome: str = "lost"
    detail: str = ""

    @property
    def cost(self) -> int:
        """What it came to, in micro-units: nothing with the tenant's own key."""
        return 0 if self.own else price(self.target, self.reply)


def settling(called: Called | None) -> dict[str, Any]:
    """The parameters of SETTLE, which matches no row where there is nothing to settle."""
    reply = called.reply if called else Reply(None, None)
    return {
        "called": called.number if called else -1, "outcome": called.outcome if called else "",
        "call_detail": called.detail if called else "", "input_tokens": reply.input_tokens,
        "cached_input_tokens": reply.cached_input_tokens, "output_tokens": reply.output_tokens,
        "call_cost": called.cost if called else 0,
    }  # fmt: skip


def beginning(claim: Claim, called: Called, before: Called | None, *, begun: bool, until: datetime) -> dict[str, Any]:
    """The parameters of BEGIN: a call, and the one before it that is to be settled; until when the run may take."""
    return {
        **settling(before), "tenant": claim.tenant_id, "run": claim.run_id, "token": claim.token, "begun": begun,
        "until": until, "attempt": uuid7(), "number": called.number, "kind": called.call.kind,
        "target": called.target.id, "wrong": called.call.wrong, "reserved": called.hold.amount,
        "own_key": called.own.id if called.own else None,
    }  # fmt: skip
