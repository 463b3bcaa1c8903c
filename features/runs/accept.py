"""Take a run in: checked, resolved, and written in one transaction. The row is the truth and the outbox."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

from django.conf import settings
from django.db import connections

from features.availability import earliest, refuse_retired
from features.engine import Json, canonical, check_json, dumps
from features.models import Feature
from features.reading import STAMPS_SQL, stamp_parameters
from features.resolve import serve_cached, serve_warm
from features.served import Served
from tenants.actor import Actor
from tenants.errors import AppError, Conflict, Invalid, OverBudget, TooLarge, TooMany
from tenants.ids import uuid7
from tenants.isolation import APP
from tenants.provider_keys import has_own_key
from tenants.subjects import make_sure

from . import metrics, tracing
from .costs import MICRO, most_per_run, worst
from .inflight import enter, leave
from .models import IdempotencyKey, Run, State
from .outputs import cache_key, find_equal, find_equal_alone, still_works
from .reservations import APPLIES, Hold, Payer, reserve
from .telling import TOLD

TRIES = 5  # a run resolved under stamps that have moved is resolved again; five moves in a row are a storm

# What is looked up for a run in one statement: whether its subject has a row, whether budgets bind it, and whether the
# organisation keeps what its runs are given and give.
_LOOK = f"""
SELECT EXISTS (SELECT FROM tenants_subject WHERE tenant_id = %(tenant)s AND id = %(subject)s),
       EXISTS (SELECT FROM runs_budget b WHERE {APPLIES}),
       coalesce((SELECT p.store FROM features_policy p WHERE p.tenant_id = %(tenant)s AND p.valid_to IS NULL), true)"""

_STANDS = f"""{STAMPS_SQL} = %(stamps)s::bigint[]
    AND (%(fresh_until)s::timestamptz IS NULL OR m.t < %(fresh_until)s)"""
_COLUMNS = """id, tenant_id, feature_id, subject_id, state, input, output, receipt, now, author, attempts, usage, cost,
    cached, replay_of, cache_key, store, forget_at, input_digest, output_digest, created_at, started_at, finished_at"""

_QUEUE = f"""
WITH m AS MATERIALIZED (SELECT clock_timestamp() AS t), run AS (
    INSERT INTO runs_run ({_COLUMNS})
    SELECT %(id)s, %(tenant)s, %(feature)s, %(subject)s, 'queued', %(input)s, NULL, %(receipt)s::jsonb, m.t, %(author)s,
           0, NULL, 0, false, %(replay_of)s, %(cache_key)s, %(store)s, NULL, '', '', m.t, NULL, NULL
    FROM m WHERE {_STANDS} RETURNING tenant_id, id, feature_id, created_at)
INSERT INTO runs_queued (tenant_id, id, feature, batch, quarantined, not_before, follows, lost, alone, reserved,
    budgets, trace)
SELECT tenant_id, id, feature_id, false, false, created_at, %(follows)s, 0, 0, %(reserved)s, %(budgets)s,
       %(trace)s FROM run"""

# A run whose output there is already: it ends as it begins, with a ledger row like every other and at no cost.
_COPY = f"""
WITH m AS MATERIALIZED (SELECT clock_timestamp() AS t), run AS (
    INSERT INTO runs_run ({_COLUMNS})
    SELECT %(id)s, %(tenant)s, %(feature)s, %(subject)s, 'succeeded', %(input)s, source.output, %(receipt)s::jsonb, m.t,
           %(author)s, 0, '{{"input_tokens": 0, "cached_input_tokens": 0, "output_tokens": 0}}'::jsonb, 0, true,
           %(replay_of)s, NULL, %(store)s, CASE WHEN %(store)s THEN NULL ELSE m.t + %(kept)s END, '', '', m.t, m.t, m.t
    FROM m, runs_run source
    WHERE source.tenant_id = %(tenant)s AND source.id = %(source)s AND source.output IS NOT NULL AND {_STANDS}
    RETURNING tenant_id, id, feature_id, subject_id, receipt, state, preview, batch), told AS ({TOLD})
INSERT INTO runs_ledger (id, tenant_id, run, feature, subject, at, state, cached, model, version, error, repairs,
    malformed, preview, calls, input_tokens, cached_input_tokens, output_tokens, cost, base_tokens, tenant_tokens,
    user_tokens)
SELECT gen_random_uuid(), tenant_id, id, feature_id, subject_id, clock_timestamp(), 'succeeded', true,
       coalesce(receipt->'model_target'->>'alias', ''), (receipt->>'base')::int, '', 0, false, false, 0, 0, 0, 0, 0, 0,
       0, 0
FROM run"""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A run that was taken in, or the one that an idempotency key has made before. `ended`: it has its output."""

    run_id: UUID
    replayed: bool
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """What a caller asks for besides the input.

    `store`: False keeps neither input nor output (the organisation's policy may say so for all). `fresh`: the model
    is asked even if there is an output of an equal run. `replays`: the run that is asked again, and on what.
    """

    store: bool = True
    fresh: bool = False
    replays: tuple[UUID, str | int] | None = None


def accept(
    feature: Feature, question: Json, *, idempotency_key: str | None = None, asked: Asked = Asked(),
    choosing: Callable[[Served], Served] | None = None, by: Actor,
) -> Accepted:  # fmt: skip
    """Check an input against the caller's effective behavior and write the run with its receipt.

    An equal run's output is taken at once, an equal run in flight is followed (runs/outputs.py); else what the first
    call can cost at the worst is held of every budget. `choosing` says what is served instead of what is served now
    (runs/replay.py).

    Raises Invalid with each violation's pointer, TooLarge, Forbidden, OverBudget, Invalid for an idempotency key that
    came with another request before, and TooMany for a run more than may be in flight. Nothing is written then.
    """
    by.need("run.create")
    tenant, who = by.in_tenant(), by.acting_for()
    told: Json = question if asked.replays is None else [str(asked.replays[0]), asked.replays[1]]
    fingerprint = _fingerprint(feature, who.id, told, asked) if idempotency_key else ""
    run_id = uuid7()
    try:
        enter(run_id, by)
    except TooMany:
        if idempotency_key and (known := _made_before(by, idempotency_key, fingerprint)):
            return known  # what was taken in before is no run more
        raise
    taken: Accepted | None = None
    try:
        taken = _take_in(feature, question, run_id, idempotency_key, fingerprint, asked, choosing, by)
        return taken
    finally:
        if taken is None or taken.replayed or taken.ended:
            leave(tenant.id, by.label, run_id)


def _take_in(
    feature: Feature, question: Json, run_id: UUID, idempotency_key: str | None, fingerprint: str, asked: Asked,
    choosing: Callable[[Served], Served] | None, by: Actor,
) -> Accepted:  # fmt: skip
    tenant, who = by.in_tenant(), by.acting_for()
    for number in range(TRIES):
        with by.present():
            if idempotency_key and (known := _known(by, idempotency_key, fingerprint)):
                return known
            served = serve_cached(feature.id, tenant.id, who) if number == 0 and choosing is None else None
            if served is None or not _fits(served, question):  # what is stale may take in, never turn away
                now = serve_warm(feature, tenant.id, who)
                served = now if choosing is None else replace(choosing(now), stamps=now.stamps)
                check(served, question)
            if idempotency_key and not _promise(by, idempotency_key, fingerprint, run_id):
                continue
            taken = _Taking(run_id, served, question, asked, by).take()
            if taken is not None:
                return taken
            IdempotencyKey.objects.filter(run=run_id).delete()
    raise Conflict("Behavior is being changed faster than this run can be taken in. Send it again.")


class _Taking:
    """One run while it is written: answered from the cache, queued behind an equal one, or queued to be carried out."""

    def __init__(self, run_id: UUID, served: Served, question: Json, asked: Asked, by: Actor) -> None:
        self.run_id, self.served, self.question, self.asked, self.by = run_id, served, question, asked, by
        self.tenant, self.payer = by.in_tenant(), Payer(by.tenant_id, served.who.id, served.feature.id)
        key = cache_key(served, by.tenant_id, self.tenant.name, question)
        self.key = None if asked.fresh else key
        self.parameters: dict[str, Any] = {
            **stamp_parameters(by.tenant_id, served.feature.id, served.who.id),
            "id": run_id,
            "input": dumps(question),
            "receipt": json.dumps(served.receipt.as_json()),
            "fresh_until": earliest(served.choice.fresh_until, served.feature.retires_at),
            "author": by.label,
            "replay_of": asked.replays[0] if asked.replays else None,
            "stamps": list(served.stamps),
            "cache_key": key,
            "trace": tracing.traceparent(),
        }

    def take(self) -> Accepted | None:
        """Write it; None says that its stamps have moved, and to resolve again."""
        known, budgets, stores = self._row(_LOOK, self.payer.parameters())
        self.parameters["store"] = self.asked.store and stores
        if not self.parameters["store"]:  # what is not to be kept answers nobody else
            self.parameters["cache_key"] = None
        if not known:
            make_sure(self.by.tenant_id, self.served.who)
        equal = None if self.key is None else find_equal(self.served, self.tenant.id, self.key)
        if self.key is not None and equal is None:
            equal = find_equal_alone(self.served, self.tenant.id, self.key)
        if equal is not None and not equal.ended and not still_works(self.tenant.id, equal.id):
            equal = find_equal(self.served, self.tenant.id, self.key or b"")  # it has ended in the meantime
        if equal is not None and equal.ended:
            copied = self._write(_COPY, source=equal.id, kept=timedelta(seconds=settings.UNSTORED_SECONDS))
            if not copied:
                return None
            metrics.ACCEPTED.inc()
            metrics.ended(State.SUCCEEDED, "", cached=True)
            return Accepted(self.run_id, replayed=False, ended=True)
        if equal is not None:
            queued = self._write(_QUEUE, follows=equal.id, reserved=None, budgets=[], cache_key=None)
        else:
            hold = self._hold(budgets)
            held, of = (hold.amount, list(hold.budgets)) if hold else (None, [])
            queued = self._write(_QUEUE, follows=None, reserved=held, budgets=of)
        if not queued:
            return None
        metrics.ACCEPTED.inc()
        return Accepted(self.run_id, replayed=False)

    def _hold(self, budgets: bool) -> Hold | None:
        """Hold the first call's worst cost. Raises OverBudget also for a behavior whose own bound is below it.

        None where no call can be made as things are: whoever makes one all the same must look for budgets then.
        """
        compiled = self.served.compiled
        target, most = self.served.targets.get(compiled.model), most_per_run(compiled)
        if not budgets and most is None:
            return Hold(0)
        if target is None or has_own_key(self.tenant.id, target.provider):  # which is found when it is made
            return None
        try:
            given = cast("dict[str, Json]", self.question)  # its schema has accepted it
            messages = compiled.messages(
                given, tenant_name=self.tenant.name, user_key=self.served.who.key, now=self.served.at
            )
        except AppError:
            return None
        amount = worst(target, messages, compiled)
        if most is not None and amount > most:
            told = f"may cost {amount / MICRO:g} {settings.CURRENCY}; {self.served.feature.key} lets a run cost"
            raise OverBudget(f"This run's first call {told} {most / MICRO:g}. Send a shorter input.")
        return reserve(self.payer, amount) if budgets else Hold(0)

    def _write(self, statement: str, **more: Any) -> bool:
        with connections[APP].cursor() as cursor:
            cursor.execute(statement, {**self.parameters, **more})
            return bool(cursor.rowcount)

    def _row(self, statement: str, parameters: dict[str, Any]) -> tuple[Any, ...]:
        with connections[APP].cursor() as cursor:
            cursor.execute(statement, parameters)
            row: tuple[Any, ...] = cursor.fetchone()
            return row


def _fits(served: Served, question: Json) -> bool:
    try:
        check(served, question)
    except AppError:
        return False
    return True


def check(served: Served, question: Json) -> None:
    """Refuse an input that the behavior does not take. Raises Invalid with each violation's pointer, and TooLarge."""
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


def _fingerprint(feature: Feature, subject_id: UUID, question: Json, asked: Asked) -> str:
    """SHA-256 of the RFC 8785 bytes of what was asked, and for whom."""
    options: list[Json] = [] if asked.store else ["store: false"]
    return hashlib.sha256(canonical([feature.key, str(subject_id), question, *options])).hexdigest()


def _made_before(by: Actor, key: str, fingerprint: str) -> Accepted | None:
    with by.present():
        return _known(by, key, fingerprint)


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
    by.need("run.read")
    with by.present():
        rows = Run.objects.select_related("feature", "subject").filter(pk=run_id, preview=None)
        if "run.others" not in by.can:
            rows = rows.filter(subject_id=by.acting_for().id)
        return rows.first()
