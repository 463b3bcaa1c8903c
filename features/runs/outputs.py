"""The output cache: an equal run is answered with the output that there is, and of equal runs in flight one asks.

Exact, and without a store of its own: an output is found by its key among the tenant's runs, so that whatever deletes
a run's content empties the cache too, and row level security stands between tenants here as everywhere. The key is
SHA-256 over all that the model's messages, the answer's form and its checks are made of: tenant, digest, model targets,
input and, where they took part, the organisation's name and the subject (docs/decisions/0009).
"""

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from features.engine import ABSENT, Absent, Json, dumps
from features.served import Served
from tenants.ids import floor_of
from tenants.isolation import one_row

from .models import Batch, Run

# Newest first, and one that has an output before one that still works. What waits in a batch is waited for by nobody.
FIND = """
SELECT r.id, r.state = 'succeeded' AS ended FROM runs_run r
WHERE r.tenant_id = %(tenant)s AND r.cache_key = %(cache_key)s::bytea AND r.id >= %(oldest)s::uuid
  AND (r.state = 'running' OR r.state = 'queued' AND r.batch IS NULL OR r.state = 'succeeded' AND r.output IS NOT NULL)
ORDER BY (r.state = 'succeeded') DESC, r.id DESC LIMIT 1"""

# Whether no run is equal, asked one caller at a time for each key until COMMIT: so of many at once one is the first. A
# function, because it looks when it has its turn: a statement by itself sees what there was when it began.
NONE_EQUAL = """(%(lock)s::bigint IS NULL
    OR runs_none_equal(%(tenant)s::uuid, %(cache_key)s::bytea, %(oldest)s::uuid, %(lock)s::bigint))"""
REMEMBERED = 20_000

_remembered: dict[bytes, None] = {}


def remember(key: bytes | None) -> None:
    """Note that there is, or soon will be, an output under a key."""
    if key is not None:
        _remembered[key] = None
        if len(_remembered) > REMEMBERED:
            _remembered.pop(next(iter(_remembered)), None)


def remembered(key: bytes) -> bool:
    """Whether it is worth looking for an output first: this process has met the key lately."""
    return key in _remembered


@dataclass(frozen=True, slots=True)
class Equal:
    """A run that has the same key: with an output already, or on its way to one."""

    id: UUID
    ended: bool


def lifetime(served: Served) -> timedelta:
    """How long an output of the feature answers equal runs; zero: never."""
    seconds = served.feature.cache_seconds
    return timedelta(seconds=settings.CACHE_SECONDS if seconds is None else seconds)


def cache_key(served: Served, tenant_id: UUID, tenant_name: str, question: Json) -> bytes | None:
    """The key of a run's output, None where none may be kept: the feature's cache is off, or the text names the time.

    What a subject's own layer took part in, or its key, is answered to that subject alone.
    """
    uses = served.compiled.uses
    if not lifetime(served) or "now" in uses:
        return None
    personal = served.user is not None or "user" in uses
    parts = [
        str(tenant_id),
        served.digest,
        *(f"{alias}={target.id}" for alias, target in sorted(served.targets.items())),
        tenant_name if "tenant" in uses else "",
        f"{served.who.id} {served.who.key}" if personal else "",
        dumps(question),  # in its own order: a template may show an object as it came
    ]
    return hashlib.sha256("\0".join(f"{len(part)}:{part}" for part in parts).encode()).digest()


def find_equal(served: Served, tenant_id: UUID, key: bytes) -> Equal | None:
    """An equal run of the tenant that is young enough, within its transaction."""
    row = one_row(FIND, {"tenant": tenant_id, **equal_parameters(served, key)})
    return None if row is None else Equal(*row)


def equal_parameters(served: Served, key: bytes | None) -> dict[str, Any]:
    """What FIND asks besides the tenant; by no key nothing is found."""
    return {"cache_key": key, "oldest": floor_of(timezone.now() - lifetime(served))}


def output_for_item(served: Served, run: Run) -> Json | Absent:
    """The output of an equal run for an item of a batch that is about to be carried out; ABSENT where there is none."""
    if run.batch is None or run.cache_key is None:
        return ABSENT
    equal = find_equal(served, run.tenant_id, bytes(run.cache_key))
    if equal is None or not equal.ended:
        return ABSENT
    if Batch.objects.filter(tenant_id=run.tenant_id, pk=run.batch, fresh=True).exists():
        return ABSENT
    output: Json = Run.objects.only("output").get(tenant_id=run.tenant_id, pk=equal.id).output
    return output


def still_works(tenant_id: UUID, run_id: UUID) -> bool:
    """Whether a run has not ended, and hold off its end until this transaction's: so a follower is never missed."""
    statement = "SELECT true FROM runs_queued WHERE tenant_id = %(tenant)s AND id = %(run)s FOR KEY SHARE"
    return one_row(statement, {"tenant": tenant_id, "run": run_id}) is not None
