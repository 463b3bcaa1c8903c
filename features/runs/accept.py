"""Take a run in: checked, resolved, and written in one transaction. The row is the truth and the outbox."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.db import connections

from features.availability import earliest, refuse_retired
from features.engine import Json, canonical, check_json, dumps
from features.models import Feature
from features.reading import STAMPS_SQL, stamp_parameters
from features.resolve import serve_cached, serve_warm
from features.served import Served
from tenants.actor import Actor
from tenants.errors import AppError, Conflict, Invalid, TooLarge
from tenants.ids import uuid7
from tenants.isolation import APP
from tenants.subjects import make_sure

from . import metrics, tracing
from .models import IdempotencyKey, Queued, Run

TRIES = 5  # a run resolved under stamps that have moved is resolved again; five moves in a row are a storm

_INSERT = f"""
WITH m AS MATERIALIZED (SELECT clock_timestamp() AS t)
INSERT INTO runs_run (id, tenant_id, feature_id, subject_id, state, input, receipt, now, author, attempts, cost, cached,
                      replay_of, created_at)
SELECT %(id)s, %(tenant)s, %(feature)s, %(subject)s, 'queued', %(input)s, %(receipt)s::jsonb, m.t, %(author)s, 0, 0,
       false, %(replay_of)s, m.t
FROM m WHERE {STAMPS_SQL} = %(stamps)s::bigint[] AND (%(fresh_until)s::timestamptz IS NULL OR m.t < %(fresh_until)s)"""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A run that was taken in, or the one that an idempotency key has made before."""

    run_id: UUID
    replayed: bool


def accept(
    feature: Feature, question: Json, *, idempotency_key: str | None = None,
    replays: tuple[UUID, str | int] | None = None, choosing: Callable[[Served], Served] | None = None, by: Actor,
) -> Accepted:  # fmt: skip
    """Check an input against the caller's effective behavior and write the run with its receipt.

    `replays` is the run that is asked again, and on what; `choosing` then says what is served instead of what is served
    now (runs/replay.py).

    Raises Invalid with each violation's pointer, TooLarge, Forbidden, and Invalid for an idempotency key that came with
    another request before. Nothing is written then.
    """
    by.need("run.create")
    tenant, who = by.in_tenant(), by.acting_for()
    replay_of = replays[0] if replays else None
    asked: Json = question if replays is None else [str(replays[0]), replays[1]]
    fingerprint = _fingerprint(feature, who.id, asked) if idempotency_key else ""
    for number in range(TRIES):
        with by.present():
            if idempotency_key and (known := _known(by, idempotency_key, fingerprint)):
                return known
            served = serve_cached(feature.id, tenant.id, who) if number == 0 and choosing is None else None
            if served is None or not _fits(served, question):  # what is stale may take in, never turn away
                now = serve_warm(feature, tenant.id, who)
                served = now if choosing is None else replace(choosing(now), stamps=now.stamps)
                _check(served, question)
            make_sure(tenant.id, who)
            run_id = uuid7()
            if idempotency_key and not _promise(by, idempotency_key, fingerprint, run_id):
                continue
            if _insert(run_id, served, question, replay_of, by):
                Queued.objects.create(id=run_id, tenant=tenant, feature=feature.id, trace=tracing.traceparent())
                metrics.ACCEPTED.inc()
                return Accepted(run_id, replayed=False)
            IdempotencyKey.objects.filter(run=run_id).delete()
    raise Conflict("Behavior is being changed faster than this run can be taken in. Send it again.")


def _fits(served: Served, question: Json) -> bool:
    try:
        _check(served, question)
    except AppError:
        return False
    return True


def _check(served: Served, question: Json) -> None:
    refuse_retired(served.feature, served.at)
    wrong = check_json(question, "/input")
    if wrong:
        raise Invalid("The input holds something that JSON here cannot.", errors=wrong)
    size = len(dumps(question).encode())
    if size > served.compiled.limits.input_bytes:
        most = served.compiled.limits.input_bytes
        raise TooLarge(f"The input has {size} bytes; {served.feature.key} takes at most {most}.")
    problems = served.compiled.input_problems(question)
    if problems:
        told = [type(p)(f"/input{p.pointer}", p.rule, p.message) for p in problems]
        raise Invalid(f"The input is not what {served.feature.key} takes.", errors=told)


def _insert(run_id: UUID, served: Served, question: Json, replay_of: UUID | None, by: Actor) -> bool:
    """Insert the run if its stamps still stand and nothing it rests on has ended; False says to resolve again."""
    parameters: dict[str, Any] = {
        **stamp_parameters(by.tenant_id, served.feature.id, served.who.id),
        "id": run_id,
        "input": dumps(question),
        "receipt": json.dumps(served.receipt.as_json()),
        "fresh_until": earliest(served.choice.fresh_until, served.feature.retires_at),
        "author": by.label,
        "replay_of": replay_of,
        "stamps": list(served.stamps),
    }
    with connections[APP].cursor() as cursor:
        cursor.execute(_INSERT, parameters)
        return bool(cursor.rowcount)


def _fingerprint(feature: Feature, subject_id: UUID, question: Json) -> str:
    """SHA-256 of the RFC 8785 bytes of what was asked, and for whom."""
    return hashlib.sha256(canonical([feature.key, str(subject_id), question])).hexdigest()


def _known(by: Actor, key: str, fingerprint: str) -> Accepted | None:
    row = IdempotencyKey.objects.filter(caller=by.label, key=key).first()
    if row is None:
        return None
    if row.fingerprint != fingerprint:
        raise Invalid("This Idempotency-Key came with another request before. Use a new key for a new request.")
    return Accepted(row.run, replayed=True)


def _promise(by: Actor, key: str, fingerprint: str, run_id: UUID) -> bool:
    """Note the key; of two at once the second waits here for the first's COMMIT, finds it taken, and looks again."""
    with connections[APP].cursor() as cursor:
        cursor.execute(
            "INSERT INTO runs_idempotencykey (id, tenant_id, caller, key, fingerprint, run) VALUES (%s,%s,%s,%s,%s,%s)"
            " ON CONFLICT (tenant_id, caller, key) DO NOTHING",
            [uuid7(), by.tenant_id, by.label, key, fingerprint, run_id],
        )
        return bool(cursor.rowcount)


def find_run(run_id: UUID, by: Actor) -> Run | None:
    """A run of the actor's tenant that the actor may see: one's own, or with `run.others` anybody's.

    A preview's run is nobody's: it is shown within its preview only.
    """
    with by.present():
        rows = Run.objects.select_related("feature").filter(pk=run_id, preview=None)
        if "run.others" not in by.can:
            rows = rows.filter(subject_id=by.acting_for().id)
        return rows.first()
