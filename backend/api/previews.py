"""Previews: a change tried on some inputs before it is made, both outputs side by side. Nothing of it is kept."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from features.find import find_feature
from features.models import Feature
from features.runs.differences import Difference
from features.runs.events import TERMINAL
from features.runs.follow import follow
from features.runs.models import Preview
from features.runs.preview import MOST_INPUTS, Wish, start_preview
from features.runs.previewed import Outcome, Pair, compared, end_preview, working
from features.runs.trying import start_sample_preview
from tenants.actor import Actor
from tenants.errors import Invalid, Problem, UnsupportedMedia
from tenants.workshop import workshop

from .asking import read_json
from .door import Door
from .features import change_json
from .fields import Choice, Moment, Object, Strict, Text, Whole
from .idempotency import begun_once, replayed
from .pins import PinBody
from .runs import door, json_answer, patience, patiently, threaded
from .runs_read import cost_json
from .runs_shapes import PREVIEW
from .shapes import answers

WISHES = ("override", "version", "pin", "restore", "resolve")


class PreviewOverride(Strict):
    """What a PUT of the override would say."""

    set = Object(required=False)
    append = Object(required=False)
    remove = serializers.ListField(child=Text(trim_whitespace=False), required=False)
    rules = Object(required=False)
    message = Text(max_length=500, required=False, allow_blank=True)


class PreviewRestore(Strict):
    """The moment, or the run, to go back to."""

    at = Moment(required=False)
    run = serializers.UUIDField(required=False)

    def validate(self, attrs: Any) -> Any:
        """One moment, said in one way."""
        if ("at" in attrs) == ("run" in attrs):
            raise serializers.ValidationError("Say one of at (a time) and run (an id).", code="one_of")
        return attrs


class PreviewBody(Strict):
    """One change to try, or none to try following the vendor again; and on what."""

    layer = Choice(["user", "tenant"], default="user")
    override = PreviewOverride(required=False)
    version = Whole(min_value=1, required=False)
    pin = PinBody(required=False)
    restore = PreviewRestore(required=False)
    resolve = Object(required=False)
    inputs = serializers.ListField(child=serializers.JSONField(), min_length=1, max_length=MOST_INPUTS, required=False)
    recent = Whole(min_value=1, max_value=MOST_INPUTS, required=False)

    def validate(self, attrs: Any) -> Any:
        """At most one change, and one sort of inputs."""
        if sum(name in attrs for name in WISHES) > 1:
            told = f"Try one change at a time: {', '.join(WISHES)}, or none to follow the vendor again."
            raise serializers.ValidationError(told, code="one_of")
        if ("inputs" in attrs) == ("recent" in attrs):
            raise serializers.ValidationError("Say one of inputs and recent (how many of your own).", code="one_of")
        return attrs


class SampleBody(Strict):
    """For operators: a version, or a behavior that is not published, on the catalog's samples."""

    version = Whole(min_value=1, required=False)
    behavior = Object(required=False)
    rules = Object(required=False)
    samples = Whole(min_value=1, max_value=MOST_INPUTS, required=False)

    def get_fields(self) -> dict[str, Any]:
        return {**super().get_fields(), "from": Whole(min_value=1, required=False, allow_null=True)}


@door("POST")
async def create_preview(request: HttpRequest, actor: Actor, feature: str) -> HttpResponseBase:
    """Try a change: `Prefer: wait=N` waits for all outputs, `respond-async` does not."""
    wait = patience(request)
    preview, again = await threaded(_begin)(actor, feature, request)
    if wait:
        await patiently(request, actor, _until_done(actor, preview, wait))
    shown = await threaded(lambda: preview_json(preview.id, by=actor))()
    headers = replayed({"Location": f"/api/v1/previews/{preview.id}"}, again=again)
    return json_answer(shown, 200 if shown["state"] == "done" else 202, headers)


class OnePreview(Door):
    """One preview."""

    @extend_schema(responses=answers(PREVIEW), summary="A preview, as far as it has come")
    def get(self, request: Request, preview_id: UUID) -> Response:
        return Response(preview_json(preview_id, by=self.actor))

    @extend_schema(responses={204: None}, summary="Stop a preview, and put it away")
    def delete(self, request: Request, preview_id: UUID) -> Response:
        end_preview(preview_id, by=self.actor)
        return Response(status=204)


def preview_json(preview_id: UUID, *, by: Actor) -> dict[str, Any]:
    """A preview as the API shows it: receipts, fields that differ, and both outputs of each input. Raises NotFound."""
    found = compared(preview_id, by=by)
    return {
        "id": str(found.preview.id),
        "feature": found.preview.feature.key,
        "layer": found.layer,
        "state": found.state,
        "before": found.before,
        "after": found.after,
        "same": found.before["digest"] == found.after["digest"],
        "changes": [change_json(change, found.hidden) for change in found.changes],
        "results": [_pair_json(pair) for pair in found.pairs],
        "done": found.done,
        "all": len(found.pairs),
        "cost": cost_json(found.cost),
        "most": cost_json(found.most),
        "created": found.preview.created_at,
        "expires": found.preview.expires_at,
    }


def _begin(actor: Actor, feature: str, request: HttpRequest) -> tuple[Preview, bool]:
    """A preview, and whether the same request has started it before. Raises NotFound for one put away meanwhile."""
    if request.content_type not in ("application/json", ""):
        raise UnsupportedMedia("Send application/json.")
    actor.need("run.create" if actor.tenant else "version.preview")
    sent, start = read_json(request), _start_own if actor.tenant else _start_samples
    found = find_feature(feature, actor)
    if actor.tenant is None:
        workshop()  # made before, where it is not there: what runs in it is another connection's
    started, again = begun_once(request, actor, sent, lambda: str(start(actor, found, sent).id))
    return compared(UUID(started), by=actor).preview, again


def _start_own(actor: Actor, feature: Feature, sent: Any) -> Preview:
    if isinstance(sent, Mapping) and sent.get("layer") == "tenant":
        actor.need("override.tenant")
    body = _read(PreviewBody, sent)
    if "override" in body:
        body["override"].pop("message", None)
    wish = Wish(**{name: body[name] for name in WISHES if name in body})
    inputs, recent = body.get("inputs"), body.get("recent")
    return start_preview(feature, body["layer"], wish, inputs=inputs, recent=recent, by=actor)


def _start_samples(actor: Actor, feature: Feature, sent: Any) -> Preview:
    typed = [name for name in ("inputs", "recent") if isinstance(sent, Mapping) and name in sent]
    if typed:
        told = [Problem(f"/{name}", "samples", "is not for operators") for name in typed]
        words = "Operators try versions on the catalog's samples only, never on inputs: say how many samples."
        raise Invalid(words, errors=told)
    body = _read(SampleBody, sent)
    return start_sample_preview(feature, before=body.pop("from", None), **body, by=actor)


def _read(serializer: type[Strict], sent: Any) -> dict[str, Any]:
    bound = serializer(data=sent)
    bound.is_valid(raise_exception=True)
    return dict(bound.validated_data)


async def _until_done(actor: Actor, preview: Preview, seconds: float) -> None:
    """Wait for one run after the other: those that ended meanwhile take no time."""
    try:
        async with asyncio.timeout(seconds):
            for run_id in map(UUID, preview.runs):
                ended = _has_ended(actor, preview.id, run_id)
                async with aclosing(follow(preview.tenant_id, run_id, "0", ended)) as events:
                    async for event in events:
                        if event.name in TERMINAL:
                            break
    except TimeoutError:
        return


def _has_ended(actor: Actor, preview_id: UUID, run_id: UUID) -> Callable[[], Awaitable[str | None]]:
    return threaded(lambda: None if run_id in working(preview_id, by=actor) else "done")


def _pair_json(pair: Pair) -> dict[str, Any]:
    return {
        "input": pair.input,
        "before": _outcome_json(pair.before),
        "after": _outcome_json(pair.after),
        "same": pair.same,
        "diff": None if pair.diff is None else [_difference_json(difference) for difference in pair.diff],
    }


def _outcome_json(outcome: Outcome) -> dict[str, Any]:
    return {**asdict(outcome), "cost": cost_json(outcome.cost)}


def _difference_json(difference: Difference) -> dict[str, Any]:
    told: dict[str, Any] = {
        "pointer": difference.pointer,
        "kind": difference.kind,
        "before": difference.before,
        "after": difference.after,
    }
    if difference.lines is not None:
        told["lines"] = [{"kind": kind, "text": text} for kind, text in difference.lines]
    return told
