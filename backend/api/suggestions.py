"""Suggestions: plain words in, a proposed override out, checked against the rules and not saved."""

from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from features.find import find_feature
from features.runs.bells import ring
from features.runs.ends import until_ended
from features.runs.suggest import LONGEST, start_suggestion, suggestion_of
from features.runs.taking import Accepted
from tenants.actor import Actor
from tenants.errors import UnsupportedMedia

from .asking import read_json
from .door import Door
from .fields import Choice, Strict, Text
from .idempotency import idempotency_key, replayed
from .runs import door, fresh, has_ended, json_answer, patience, threaded
from .runs_read import cost_json
from .runs_shapes import SUGGESTION
from .shapes import answers


class SuggestBody(Strict):
    """What one wants changed, and for whom."""

    request = Text(max_length=LONGEST)
    layer = Choice(["user", "tenant"], default="user")


@door("POST")
async def create_suggestion(request: HttpRequest, actor: Actor, feature: str) -> HttpResponseBase:
    """Ask for a change in plain words: `Prefer: wait=N` waits for it, `respond-async` does not."""
    wait, key = patience(request), idempotency_key(request)
    accepted = await threaded(_start)(actor, feature, request, key)
    if wait and not accepted.ended:
        await until_ended(accepted.run_id, has_ended(actor, accepted.run_id), wait)
    shown, etag = await threaded(_shown)(actor, feature, accepted.run_id)
    headers = {"Location": f"/api/v1/features/{feature}/suggestions/{accepted.run_id}", "ETag": etag}
    headers = replayed(headers, again=accepted.replayed)
    return json_answer(shown, 202 if shown["state"] == "working" else 200, headers)


class OneSuggestion(Door):
    """One suggestion."""

    @extend_schema(responses=answers(SUGGESTION), summary="A suggestion of one's own, judged by today's rules")
    def get(self, request: Request, feature: str, suggestion_id: UUID) -> Response:
        shown, etag = _shown(self.actor, feature, suggestion_id)
        return Response(shown, headers={"ETag": etag})


def _start(actor: Actor, feature: str, request: HttpRequest, key: str | None) -> Accepted:
    if request.content_type not in ("application/json", ""):
        raise UnsupportedMedia("Send application/json.")
    actor.need("run.create")
    sent = read_json(request)
    wants_tenant = isinstance(sent, dict) and sent.get("layer") == "tenant"
    actor.need("override.tenant" if wants_tenant else "override.user")
    found = find_feature(feature, actor)
    bound = SuggestBody(data=sent)
    bound.is_valid(raise_exception=True)
    body = bound.validated_data
    accepted = start_suggestion(
        found, body["layer"], body["request"], idempotency_key=key, fresh=fresh(request), by=actor
    )
    if not (accepted.replayed or accepted.ended):
        ring()
    return accepted


def _shown(actor: Actor, feature: str, run_id: UUID) -> tuple[dict[str, Any], str]:
    """A suggestion as the API shows it, and the ETag that saving its override names."""
    actor.in_tenant()
    found = suggestion_of(find_feature(feature, actor), run_id, by=actor)
    shown = {
        "id": str(found.run.id),
        "feature": feature,
        "layer": found.layer,
        "state": found.state,
        "request": found.request,
        "reason": found.reason,
        "operations": [
            {
                "id": one.id, "field": one.field, "operation": one.kind, "value": one.value, "allowed": one.allowed,
                "before": one.before, "after": one.after, "problems": [asdict(problem) for problem in one.problems],
            }
            for one in found.operations
        ],
        "override": found.document() if found.state == "ready" else None,
        "revision": found.row.number if found.row else 0,
        "error": found.run.error,
        "receipt": found.run.receipt,
        "cost": cost_json(found.run.cost),
    }  # fmt: skip
    return shown, found.etag
