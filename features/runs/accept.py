"""Take a run in: checked, resolved, and written in one transaction. The row is the truth and the outbox."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from uuid import UUID

from django.db import IntegrityError, connections
from psycopg.errors import ForeignKeyViolation

from features.availability import refuse_retired
from features.engine import Json, canonical, check_json, dumps
from features.models import Feature
from features.resolve import serve_cached, serve_warm
from features.served import Served
from tenants.actor import Actor
from tenants.errors import AppError, Conflict, Invalid, TooLarge, TooMany
from tenants.ids import uuid7
from tenants.isolation import APP

from .inflight import enter, leave
from .models import IdempotencyKey, Run
from .once import ANOTHER
from .reservations import Short, note_refusal
from .taking import ORDINARY, Accepted, Asked, Taking

TRIES = 5  # a run resolved under stamps that have moved is resolved again; five moves in a row are a storm


def accept(
    feature: Feature, question: Json, *, idempotency_key: str | None = None, asked: Asked = ORDINARY,
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
    usual = None if idempotency_key or choosing else _usual(feature, question, run_id, asked, by)
    with _unless_erased():
        if usual is not None and (copied := usual.copied_at_once()):
            return copied  # which was never in flight
    try:
        enter(run_id, by)
    except TooMany:
        if idempotency_key and (known := _made_before(by, idempotency_key, fingerprint)):
            return known  # what was taken in before is no run more
        raise
    taken: Accepted | None = None
    try:
        with _unless_erased():
            taken = usual.queued_at_once() if usual else None
        if taken is None:
            taken = _take_in(feature, question, run_id, idempotency_key, fingerprint, asked, choosing, by)
        return taken
    except Short as short:
        note_refusal(short)
        raise
    finally:
        if taken is None or taken.replayed or taken.ended:
            leave(tenant.id, by.label, run_id)


def _usual(feature: Feature, question: Json, run_id: UUID, asked: Asked, by: Actor) -> Taking | None:
    """A run of what this process has last served the subject, if it may be written at once; None where not."""
    served = serve_cached(feature.id, by.tenant_id, by.acting_for())
    if served is None or not _fits(served, question):
        return None
    taking = Taking(run_id, served, question, asked, by)
    return taking if taking.usual else None


def _take_in(
    feature: Feature, question: Json, run_id: UUID, idempotency_key: str | None, fingerprint: str, asked: Asked,
    choosing: Callable[[Served], Served] | None, by: Actor,
) -> Accepted:  # fmt: skip
    tenant, who = by.in_tenant(), by.acting_for()
    for number in range(TRIES):
        with _unless_erased(), by.present():
            if idempotency_key and (known := _known(by, idempotency_key, fingerprint)):
                return known
            served = serve_cached(feature.id, tenant.id, who) if number == 0 and choosing is None else None
            if served is None or not _fits(served, question):  # what is stale may take in, never turn away
                now = serve_warm(feature, tenant.id, who)
                served = now if choosing is None else replace(choosing(now), stamps=now.stamps)
                check(served, question)
            if idempotency_key and not _promise(by, idempotency_key, fingerprint, run_id):
                continue
            taken = Taking(run_id, served, question, asked, by).take()
            if taken is not None:
                return taken
            IdempotencyKey.objects.filter(run=run_id).delete()
    raise Conflict("Behavior is being changed faster than this run can be taken in. Send it again.")


@contextmanager
def _unless_erased() -> Iterator[None]:
    """Let it be tried again where the subject's row was deleted between the look at it and the run that names it."""
    try:
        yield
    except IntegrityError as error:
        if not isinstance(error.__cause__, ForeignKeyViolation):
            raise


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
    row = IdempotencyKey.objects.filter(caller=by.credential, key=key).first()
    if row is None:
        return None
    if row.fingerprint != fingerprint:
        raise Invalid(ANOTHER)
    return Accepted(row.run, replayed=True)


def _promise(by: Actor, key: str, fingerprint: str, run_id: UUID) -> bool:
    """Note the key; of two at once the second waits here for the first's COMMIT, finds it taken, and looks again."""
    with connections[APP].cursor() as cursor:
        cursor.execute(
            "INSERT INTO runs_idempotencykey (id, tenant_id, caller, key, fingerprint, run) VALUES (%s,%s,%s,%s,%s,%s)"
            " ON CONFLICT (tenant_id, caller, key) DO NOTHING",
            [uuid7(), by.tenant_id, by.credential, key, fingerprint, run_id],
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
