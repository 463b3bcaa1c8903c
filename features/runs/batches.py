"""Take a batch in: many runs of one feature on one behavior, all of them or, on an error, none.

Items wait behind everything interactive, hold nothing of a budget until they call, and each is a run with a receipt
and a ledger row like every other. What cannot be taken in of an item is said in its place, and stops no other.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connections
from django.db.models import QuerySet

from features.availability import refuse_retired
from features.engine import dumps
from features.models import Feature
from features.reading import STAMPS_SQL, stamp_parameters
from features.resolve import serve_warm
from features.served import Served
from tenants.actor import Actor
from tenants.errors import AppError, Conflict, Invalid, Problem, TooLarge, TooMany
from tenants.ids import uuid7
from tenants.isolation import APP
from tenants.subjects import Who, make_sure

from . import metrics
from .accept import TRIES, check
from .items import Body, Form, Item, read_items
from .models import Batch, IdempotencyKey, RefusedItem
from .once import ANOTHER
from .outputs import cache_key
from .reservations import Payer, Short, note_refusal, reserve, settle
from .sheets import read_sheet
from .taking import Asked

AS_USUAL = Asked()
MOST_ITEMS = 100_000
AT_ONCE = 500  # items that one statement writes
MOST_TOLD = 20  # problems of one item, and items of a batch that is refused as a whole

_QUEUE = """
WITH item AS (
    SELECT * FROM unnest(%(ids)s::uuid[], %(inputs)s::text[], %(cache_keys)s::bytea[], %(places)s::int[],
                         %(keys)s::text[]) AS i(id, input, cache_key, place, key)
), run AS (
    INSERT INTO runs_run (id, tenant_id, feature_id, subject_id, state, input, receipt, now, author, attempts, cost,
        cached, cache_key, store, input_digest, output_digest, created_at, batch, place, item_key)
    SELECT id, %(tenant)s, %(feature)s, %(subject)s, 'queued', input, %(receipt)s::jsonb, %(at)s, %(author)s, 0, 0,
           false, cache_key, %(store)s, '', '', %(at)s, %(batch)s, place, key
    FROM item RETURNING tenant_id, id, feature_id)
INSERT INTO runs_queued (tenant_id, id, feature, batch, item_of, quarantined, not_before, lost, alone, budgets)
SELECT tenant_id, id, feature_id, true, %(batch)s, false, %(at)s, 0, 0, '{}' FROM run"""


@dataclass(frozen=True, slots=True)
class Taken:
    """A batch that was taken in, or the one that an idempotency key has made before."""

    id: UUID
    replayed: bool


def take_batch(
    feature: Feature, body: Body, form: Form, *, asked: Asked = AS_USUAL, idempotency_key: str | None = None, by: Actor
) -> Taken:
    """Read a batch's items and write a run for each that the caller's effective behavior takes.

    Raises Invalid when there is no item, or none that can be taken in, with the first problems and their pointers;
    TooLarge beyond MOST_ITEMS, TooMany with too many batches open, OverBudget where a budget is spent, Conflict for a
    retired feature, Invalid for an idempotency key that came with another request. Nothing is written then.
    """
    by.need("run.create")
    batch = Batch(
        id=uuid7(), tenant_id=by.tenant_id, feature=feature, subject_id=by.acting_for().id, author=by.label,
        fresh=asked.fresh,
    )  # fmt: skip
    try:
        with by.doing("run.create", batch) as event:
            if idempotency_key:
                _promise(batch, idempotency_key, by)
            served = _behavior(feature, by)
            _refuse_more(by)
            _refuse_spent(Payer(by.tenant_id, batch.subject_id, feature.id))
            make_sure(by.tenant_id, served.who)
            batch.receipt, batch.created_at = served.receipt.as_json(), served.at
            batch.store = asked.store and _stores()
            batch.save(force_insert=True)
            _write(batch, served, judged(served, items_of(body, form, served)), by)
            if idempotency_key:
                rows = IdempotencyKey.objects.filter(caller=by.credential, key=idempotency_key)
                rows.update(fingerprint=_fingerprint(batch, body, asked))
            event.detail = {"feature": feature.key, "items": batch.items, "refused": batch.refused}
    except _MadeBefore as made:
        if made.fingerprint != _fingerprint(batch, body, asked):
            raise Invalid(ANOTHER) from None
        return Taken(made.id, replayed=True)
    except Short as short:
        note_refusal(short)
        raise
    metrics.ACCEPTED.inc(batch.items - batch.refused)
    return Taken(batch.id, replayed=False)


class _MadeBefore(Exception):
    """The idempotency key is known: what it made, and what was asked then."""

    def __init__(self, made: UUID, fingerprint: str) -> None:
        super().__init__()
        self.id, self.fingerprint = made, fingerprint


def _promise(batch: Batch, key: str, by: Actor) -> None:
    """Note the key before anything is read: a second request with it waits here for the COMMIT of the first."""
    with connections[APP].cursor() as cursor:
        cursor.execute(
            "INSERT INTO runs_idempotencykey (id, tenant_id, caller, key, fingerprint, run) VALUES (%s,%s,%s,%s,'',%s)"
            " ON CONFLICT (tenant_id, caller, key) DO NOTHING",
            [uuid7(), by.tenant_id, by.credential, key, batch.id],
        )
        if cursor.rowcount:
            return
    known = IdempotencyKey.objects.get(caller=by.credential, key=key)
    raise _MadeBefore(known.run, known.fingerprint)


def _fingerprint(batch: Batch, body: Body, asked: Asked) -> str:
    """SHA-256 of what was asked, and for whom: of the body's bytes as they came."""
    told = ["batch", batch.feature.key, str(batch.subject_id), asked.store, body.digest()]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _behavior(feature: Feature, by: Actor) -> Served:
    """What all items are served with, of which nothing had changed when the first was written."""
    for _ in range(TRIES):
        served = serve_warm(feature, by.tenant_id, by.acting_for())
        refuse_retired(served.feature, served.at)
        with connections[APP].cursor() as cursor:
            parameters = stamp_parameters(by.tenant_id, feature.id, served.who.id)
            cursor.execute(f"SELECT {STAMPS_SQL} = %(stamps)s::bigint[]", {**parameters, "stamps": list(served.stamps)})
            if cursor.fetchone() == (True,):
                return served
    raise Conflict("Behavior is being changed faster than this batch can be taken in. Send it again.")


def _refuse_more(by: Actor) -> None:
    most = settings.OPEN_BATCHES
    if Batch.objects.filter(tenant_id=by.tenant_id, finished_at=None)[:most].count() >= most:
        told = f"Your organisation has {most} batches that have not ended. Wait until one ends, or cancel one."
        raise TooMany(told, headers={"Retry-After": "60"})


def _refuse_spent(payer: Payer) -> None:
    """Raise OverBudget where not even a call for nothing could be made: every item would be refused one by one."""
    settle(payer, reserve(payer, 1), cost=0)


def _stores() -> bool:
    with connections[APP].cursor() as cursor:
        cursor.execute("SELECT coalesce((SELECT store FROM features_policy WHERE valid_to IS NULL), true)")
        (stores,) = cursor.fetchone()
        return bool(stores)


def items_of(body: Body, form: Form, served: Served) -> Iterator[Item]:
    """The items of a body in their order. Raises what read_items and read_sheet raise."""
    return read_sheet(body, served.effective.fields["input"]) if form == "sheet" else read_items(body, form)


def judged(served: Served, items: Iterable[Item]) -> Iterator[tuple[Item, AppError | None]]:
    """Each item with why the behavior does not take it, or None. Raises TooLarge beyond MOST_ITEMS."""
    for count, item in enumerate(items, 1):
        if count > MOST_ITEMS:
            raise TooLarge(f"A batch has at most {MOST_ITEMS} items. Send the rest as another one.")
        yield item, item.refusal or _refusal(served, item)


def _write(batch: Batch, served: Served, items: Iterator[tuple[Item, AppError | None]], by: Actor) -> None:
    first: list[tuple[Item, AppError]] = []
    while some := list(islice(items, AT_ONCE)):
        batch.items += len(some)
        refused = [(item, wrong) for item, wrong in some if wrong is not None]
        _queue(batch, served, [item for item, wrong in some if wrong is None], by)
        RefusedItem.objects.bulk_create(
            RefusedItem(tenant_id=batch.tenant_id, batch=batch, place=item.place, item_key=item.key, error=_told(wrong))
            for item, wrong in refused
        )
        batch.refused += len(refused)
        first += refused[: MOST_TOLD - len(first)]
    if not batch.items:
        raise Invalid('A batch has items: send a JSON list, or lines, of {"input": …}.')
    if batch.refused == batch.items:
        raise Invalid("None of the items can be taken in.", errors=list(_problems(first)))
    batch.save(update_fields=["items", "refused"])


def _queue(batch: Batch, served: Served, items: Iterable[Item], by: Actor) -> None:
    tenant, items = by.in_tenant(), list(items)
    if not items:
        return
    keys = [cache_key(served, tenant.id, tenant.name, item.input) if batch.store else None for item in items]
    parameters: dict[str, Any] = {
        "ids": [uuid7() for _ in items], "inputs": [dumps(item.input) for item in items], "cache_keys": keys,
        "places": [item.place for item in items], "keys": [item.key for item in items], "tenant": tenant.id,
        "feature": batch.feature_id, "subject": batch.subject_id, "receipt": json.dumps(batch.receipt),
        "at": batch.created_at, "author": by.label, "store": batch.store, "batch": batch.id,
    }  # fmt: skip
    with connections[APP].cursor() as cursor:
        cursor.execute(_QUEUE, parameters)


def _refusal(served: Served, item: Item) -> AppError | None:
    try:
        check(served, item.input)
    except AppError as wrong:
        return wrong
    return None


def _told(wrong: AppError) -> dict[str, Any]:
    """Why an item was refused, in the form in which a run tells its error."""
    problems = [{"pointer": p.pointer, "rule": p.rule, "message": p.message} for p in wrong.errors[:MOST_TOLD]]
    return {"type": wrong.type, "title": wrong.title, "detail": wrong.detail, "problems": problems}


def _problems(refused: Iterable[tuple[Item, AppError]]) -> Iterator[Problem]:
    for item, wrong in refused:
        for told in wrong.errors[:MOST_TOLD] or [Problem("", wrong.type, wrong.detail)]:
            yield Problem(f"/{item.place}{told.pointer}", told.rule, told.message)


def find_batch(batch_id: UUID, by: Actor) -> Batch | None:
    """A batch of the actor's tenant that the actor may see: one's own, or with `run.others` anybody's."""
    by.need("run.read")
    with by.present():
        rows = Batch.objects.select_related("feature").filter(pk=batch_id)
        if "run.others" not in by.can:
            rows = rows.filter(subject_id=by.acting_for().id)
        return rows.first()


def batches_of(
    by: Actor, *, feature: Feature | None = None, everybody: bool = False, of: Who | None = None,
    before: UUID | None = None,
) -> QuerySet[Batch]:  # fmt: skip
    """The actor's batches, newest first; those `of` somebody else, or with `everybody` of their whole organisation.

    Within the actor's transaction. Raises Forbidden where these are not theirs to see.
    """
    by.need("run.others" if everybody or of is not None else "run.read")
    rows = Batch.objects.select_related("feature").filter(tenant_id=by.tenant_id).order_by("-id")
    if not everybody:
        rows = rows.filter(subject_id=(of or by.acting_for()).id)
    if feature is not None:
        rows = rows.filter(feature=feature)
    return rows if before is None else rows.filter(id__lt=before)
