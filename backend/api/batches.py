"""Batches: many runs at once, taken in as a stream and given back as one."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from backend.actors import subject_named
from backend.listening import listening
from features.find import find_feature
from features.runs.batch_ends import ask_to_cancel, carry_out_cancel
from features.runs.batches import Taken, find_batch, take_batch
from features.runs.bells import ring
from features.runs.items import Body, Form
from features.runs.models import Batch
from features.runs.progress import count, estimate, read_results, state_of
from features.runs.taking import Asked
from tenants.actor import Actor
from tenants.errors import Malformed, NotFound, UnsupportedMedia

from .door import PRIVATE, Door, flag, page, whole
from .idempotency import begun_once, idempotency_key, replayed
from .runs import door, fresh, json_answer, nothing_more, one_by_one, sunset, text, threaded
from .runs_openapi import LINES
from .runs_read import cost_json
from .runs_shapes import BATCH
from .schema import PAGING
from .shapes import answers, listed

FORMS: dict[str, Form] = {
    "application/json": "list", "": "list", LINES: "lines", "application/ndjson": "lines", "application/jsonl": "lines",
}  # fmt: skip


@door("POST")
async def create_batch(request: HttpRequest, actor: Actor, feature: str) -> HttpResponseBase:
    """Take many inputs in at once: a JSON list, or NDJSON, of {"input": …, "key": "…"}; answered with 202."""
    actor.need("run.create")
    form = FORMS.get(request.content_type or "")
    if form is None:
        raise UnsupportedMedia(f"Send application/json with a list, or {LINES} with an item on each line.")
    store = flag(request, "store") if "store" in request.GET else True
    asked, key = Asked(store=store, fresh=fresh(request)), idempotency_key(request)
    taken = await threaded(_take)(actor, feature, Body(request, settings.BATCH_BYTES), form, asked, key)  # type: ignore[arg-type]
    shown, ending = await threaded(_show)(actor, taken.id)
    headers = {"Location": f"/api/v1/batches/{taken.id}", **ending}
    return json_answer(shown, 202, replayed(headers, again=taken.replayed))


@door("GET")
async def batch_results(request: HttpRequest, actor: Actor, batch_id: UUID) -> HttpResponseBase:
    """A batch's results, a line for each item in the order they came; `after` a place goes on from there."""
    after = whole(request.GET.get("after"), 0) if "after" in request.GET else -1
    if "after" in request.GET and after < 0:
        raise Malformed("after is the place of an item, a whole number from 0.")
    batch = await threaded(_find)(batch_id, actor)
    pages = read_results(batch, actor, after)

    async def body() -> AsyncIterator[bytes]:
        with listening(actor, request) as listener:
            async for some in listener.hear(one_by_one(pages)):
                yield "".join(text(_result_json(row)) + "\n" for row in some).encode()

    return StreamingHttpResponse(body(), content_type=LINES, headers={"Cache-Control": PRIVATE})


@door("POST")
async def cancel_one(request: HttpRequest, actor: Actor, batch_id: UUID) -> HttpResponseBase:
    """Cancel what has not ended: 200 when nothing is worked on any more, 202 while workers are asked to stop."""
    nothing_more(request)
    at_once, shown, again = await threaded(_cancel)(request, actor, batch_id)
    return json_answer(shown, 200 if at_once else 202, replayed({}, again=again))


class Batches(Door):
    """The batches one may see."""

    @extend_schema(
        parameters=[
            OpenApiParameter("feature", str, description="of one feature, by its key"),
            OpenApiParameter("user", str, description="of one subject (admins)"),
            *PAGING,
        ],
        responses=answers(listed(BATCH)),
        summary="My batches, newest first; an admin's are the whole organisation's",
    )
    def get(self, request: Request) -> Response:
        actor = self.actor
        actor.need("run.read")
        rows = Batch.objects.select_related("feature").filter(tenant_id=actor.tenant_id)
        feature, user = request.query_params.get("feature"), request.query_params.get("user")
        if user is not None:
            actor.need("run.others")
            rows = rows.filter(subject_id=subject_named(actor, user).id)
        elif "run.others" not in actor.can:
            rows = rows.filter(subject_id=actor.acting_for().id)
        if feature is not None:
            rows = rows.filter(feature=find_feature(feature, actor))
        return page(request, rows, batch_json, actor=actor)


class OneBatch(Door):
    """One batch."""

    @extend_schema(responses=answers(BATCH), summary="How far a batch has come, and what is left of it by estimate")
    def get(self, request: Request, batch_id: UUID) -> Response:
        batch = _find(batch_id, self.actor)
        with self.actor.present():
            return Response(batch_json(batch))


def batch_json(batch: Batch) -> dict[str, Any]:
    """A batch as the API shows it, within the tenant's transaction."""
    now = count(batch)
    left = estimate(batch, now) if now.left else None
    return {
        "id": str(batch.pk),
        "feature": batch.feature.key,
        "state": state_of(batch, now),
        "items": batch.items,
        "counts": {
            "queued": now.queued, "running": now.running, "succeeded": now.succeeded, "failed": now.failed,
            "cancelled": now.cancelled, "refused": batch.refused,
        },
        "cached": now.cached,
        "usage": {
            "input_tokens": now.input_tokens, "cached_input_tokens": now.cached_input_tokens,
            "output_tokens": now.output_tokens,
        },
        "cost": cost_json(now.cost),
        "estimate": None if left is None else {
            "cost_left": None if left.cost_left is None else cost_json(left.cost_left),
            "seconds_left": left.seconds_left,
        },
        "receipt": batch.receipt,
        "stored": batch.store,
        "created": batch.created_at,
        "finished": None if now.left else now.last or batch.created_at,
    }  # fmt: skip


def _result_json(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "run": None if row["run"] is None else str(row["run"]), "cost": cost_json(row["cost"])}


def _take(actor: Actor, feature: str, body: Body, form: Form, asked: Asked, key: str | None) -> Taken:
    taken = take_batch(find_feature(feature, actor), body, form, asked=asked, idempotency_key=key, by=actor)
    if not taken.replayed:
        ring()
    return taken


def _find(batch_id: UUID, actor: Actor) -> Batch:
    batch = find_batch(batch_id, actor)
    if batch is None:
        raise NotFound("There is no such batch.")
    return batch


def _show(actor: Actor, batch_id: UUID) -> tuple[dict[str, Any], dict[str, str]]:
    """A batch as the API shows it, and the header of a feature that is being retired."""
    batch = _find(batch_id, actor)
    with actor.present():
        return batch_json(batch), sunset(batch.feature)


def _cancel(request: HttpRequest, actor: Actor, batch_id: UUID) -> tuple[bool, dict[str, Any], bool]:
    batch = _find(batch_id, actor)

    def begin() -> str:
        ask_to_cancel(batch, by=actor)
        return str(batch.pk)

    _, again = begun_once(request, actor, {}, begin)
    at_once = carry_out_cancel(batch, by=actor)
    return at_once, _show(actor, batch_id)[0], again
