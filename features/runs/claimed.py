"""What a worker reads of a run that it has claimed, before each call: in one statement, and only while it is its."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from features.engine import replacement
from tenants.subjects import Who

from .dispatch import Claim
from .models import Run
from .trips import app_trips

# Whether the tenant has keys is read along, so that whoever has none pays no statement for it; and the target that the
# run was accepted with, unless it had ended by then.
_READ = """
SELECT q.deadline, q.reserved, q.budgets,
       EXISTS (SELECT FROM tenants_providerkey k WHERE k.tenant_id = q.tenant_id AND k.revoked_at IS NULL),
       r.feature_id, r.subject_id, r.state, r.input, r.receipt::text, r.now, r.batch, r.preview, r.cache_key,
       r.created_at, r.started_at, t.name, s.key, s.kind, f.key,
       (SELECT m.id FROM features_modeltarget m WHERE m.alias = r.receipt->'model_target'->>'alias'
        AND m.revision = (r.receipt->'model_target'->>'revision')::int AND (m.ends_at IS NULL OR m.ends_at > r.now)),
       (SELECT jsonb_object_agg(w.version, w.replacement)::text FROM features_withdrawal w
        WHERE w.feature_id = r.feature_id AND w.valid_to IS NULL)
FROM runs_queued q
JOIN runs_run r ON r.tenant_id = q.tenant_id AND r.id = q.id
JOIN tenants_tenant t ON t.id = q.tenant_id
LEFT JOIN features_feature f ON f.id = r.feature_id
JOIN tenants_subject s ON s.tenant_id = r.tenant_id AND s.id = r.subject_id
WHERE q.tenant_id = %(tenant)s AND q.id = %(run)s AND r.id = %(run)s AND q.token = %(token)s"""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A claimed run as it stands: its row, whose it is, what is held for it, and what bears on what it is served.

    `target` is the model target that it was accepted with, None where it has ended or there was none. `withdrawn`: its
    version was withdrawn since.
    """

    run: Run
    tenant_name: str
    feature_key: str
    who: Who
    own_keys: bool
    deadline: datetime | None
    reserved: int | None
    budgets: list[UUID]
    target: UUID | None
    withdrawn: bool

    @property
    def plain(self) -> bool:
        """Whether it is served what its receipt says and nothing else has to be looked up."""
        run = self.run
        again, item = run.started_at is not None, run.batch is not None and run.cache_key is not None
        return not (again or item or self.withdrawn or run.preview is not None or self.target is None)


def read_claimed(claim: Claim) -> Claimed | None:
    """Read a run, None where the claim is no longer ours."""
    parameters = {"tenant": claim.tenant_id, "run": claim.run_id, "token": claim.token}
    [rows] = app_trips.in_tenant(claim.tenant_id, (_READ, parameters))
    return _claimed(claim, *rows[0]) if rows else None


def _claimed(
    claim: Claim, deadline: datetime | None, reserved: int | None, budgets: list[UUID], own_keys: bool,
    feature_id: UUID, subject_id: UUID, state: str, given: str | None, receipt: str, now: datetime, batch: UUID | None,
    preview: UUID | None, cache_key: bytes | None, created_at: datetime, started_at: datetime | None,
    tenant_name: str, key: str, kind: Any, feature_key: str | None, target: UUID | None, withdrawals: str | None,
) -> Claimed:  # fmt: skip
    told: dict[str, Any] = json.loads(receipt)
    run = Run(
        id=claim.run_id, tenant_id=claim.tenant_id, feature_id=feature_id, subject_id=subject_id, state=state,
        input=None if given is None else json.loads(given), receipt=told, now=now, batch=batch, preview=preview,
        cache_key=cache_key, created_at=created_at, started_at=started_at,
    )  # fmt: skip
    stopped = {int(version): instead for version, instead in json.loads(withdrawals or "{}").items()}
    withdrawn = preview is None and replacement(told["base"], stopped) != told["base"]
    who = Who(subject_id, key, kind)
    return Claimed(run, tenant_name, feature_key or "", who, own_keys, deadline, reserved, budgets, target, withdrawn)
