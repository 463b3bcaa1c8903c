"""What the tables of runs hold, for export and erasure (tenants/records.py)."""

from django.db import connections
from django.db.models import Q
from django.db.models.functions import Now

from tenants.isolation import APP, tenant_tx
from tenants.records import LETTING_GO, Records, Whose, listed

from .events import drop_streams
from .finish import Ending, finish
from .models import (
    Attempt,
    Batch,
    Budget,
    BudgetUse,
    IdempotencyKey,
    Ledger,
    Preview,
    Queued,
    RefusedItem,
    Run,
    State,
)
from .once import forget_answers
from .previewed import put_away

PIECE = 200  # runs that are stopped at a time
_SPENT = "what was spent was spent: amounts and ids only"
_WORKING = "says which process works on it"

listed(
    Records(
        Run, "runs",
        ["id", "tenant_id", "feature_id", "subject_id", "state", "input", "output", "error", "receipt", "now",
         "author", "attempts", "usage", "cost", "cached", "feedback", "replay_of", "batch", "place", "item_key",
         "preview", "store", "forget_at", "input_digest", "output_digest", "created_at", "started_at", "finished_at"],
        {"cache_key": "says which runs would have the same answer"}, subject="subject_id", gone=drop_streams,
    ),
    Records(
        Batch, "batches",
        ["id", "tenant_id", "feature_id", "subject_id", "author", "receipt", "store", "fresh", "items", "refused",
         "totals", "cancel_requested_at", "created_at", "finished_at"],
        subject="subject_id",
    ),
    Records(
        RefusedItem, "refused_items", ["id", "tenant_id", "batch_id", "place", "item_key", "error"],
        follows=[(Batch, "batch_id")], key=("batch_id", "place"),
    ),
    Records(
        Preview, "previews",
        ["id", "tenant_id", "feature_id", "subject_id", "author", "sides", "runs", "created_at", "expires_at"],
        subject="subject_id",
    ),
    Records(
        Queued, "queue",
        ["id", "tenant_id", "feature", "batch", "item_of", "not_before", "follows", "deadline", "cancel_requested_at"],
        dict.fromkeys(["quarantined", "token", "process", "lease_until", "lost", "alone", "reserved", "budgets",
                       "trace"], _WORKING),
        follows=[(Run, "id")],
    ),
    Records(
        Attempt, "attempts",
        ["id", "tenant_id", "run", "number", "kind", "target_id", "started_at", "finished_at", "outcome", "detail",
         "input_tokens", "cached_input_tokens", "output_tokens", "own_key", "cost"],
        {"reserved": _WORKING}, follows=[(Run, "run")], key=("run", "number"),
    ),
    Records(
        Ledger, "ledger",
        ["id", "tenant_id", "run", "feature", "subject", "at", "state", "cached", "model", "version", "error",
         "repairs", "malformed", "preview", "calls", "input_tokens", "cached_input_tokens", "output_tokens", "cost",
         "base_tokens", "tenant_tokens", "user_tokens"],
        subject="subject", kept=_SPENT, stays=_SPENT, instead={"subject": "%(pseudonym)s"}, key=("run",),
    ),
    Records(
        IdempotencyKey, "idempotency_keys", ["id", "tenant_id", "caller", "key", "fingerprint", "run", "created_at"],
        {"answer": "kept for a day for who asked, and may hold a secret"}, follows=[(Run, "run"), (Batch, "run")],
    ),
    Records(
        Budget, "budgets",
        ["id", "tenant_id", "subject_id", "each_user", "feature_id", "period", "soft", "hard", "author", "created_at"],
        subject="subject_id",
    ),
    Records(
        BudgetUse, "budget_use", ["id", "tenant_id", "budget_id", "subject", "began", "spent", "soft_at", "hard_at"],
        {"reserved": _WORKING}, subject="subject", follows=[(Budget, "budget_id")], key=("budget_id", "subject"),
    ),
)  # fmt: skip

_WAITING = """
SELECT q.id FROM runs_queued q JOIN runs_run r ON r.tenant_id = q.tenant_id AND r.id = q.id
WHERE q.tenant_id = %(tenant)s AND (%(subject)s::uuid IS NULL OR r.subject_id = %(subject)s) AND q.token IS NULL
LIMIT %(piece)s"""
_STOP = """
UPDATE runs_queued q SET cancel_requested_at = coalesce(q.cancel_requested_at, clock_timestamp()) FROM runs_run r
WHERE q.tenant_id = %(tenant)s AND r.tenant_id = q.tenant_id AND r.id = q.id
  AND (%(subject)s::uuid IS NULL OR r.subject_id = %(subject)s)"""


def _let_go(whose: Whose) -> bool:
    """Cancel what waits, ask what runs to stop, put previews and kept answers away; True when nothing is under way."""
    parameters = {"tenant": whose.tenant_id, "subject": whose.subject, "piece": PIECE}
    with tenant_tx(whose.tenant_id), connections[APP].cursor() as cursor:
        cursor.execute(_STOP, parameters)
        running = cursor.rowcount
        cursor.execute(_WAITING, parameters)
        waiting = [row[0] for row in cursor.fetchall()]
    for run_id in waiting:
        finish(whose.tenant_id, run_id, Ending(State.CANCELLED), token=None)
    forget_answers(whose.tenant_id)
    with tenant_tx(whose.tenant_id):
        rows = Preview.objects.filter(tenant_id=whose.tenant_id)
        if whose.subject is not None:
            rows = rows.filter(Q(subject_id=whose.subject) | Q(author=whose.label))
        rows.update(expires_at=Now())
        previews = list(rows.values_list("id", flat=True)[:PIECE])
    gone = [put_away(whose.tenant_id, preview_id) for preview_id in previews]
    return running == 0 and all(gone) and len(previews) < PIECE


LETTING_GO.append(_let_go)
