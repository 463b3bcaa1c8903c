"""Plain words in, a typed change out: the catalog's feature `customize` is asked, and its answer judged, never applied.

Asking is an ordinary run of that feature by whoever asks (so with versions, overrides, a receipt, budgets and ledger
rows), whose input is the wish and the fields that the caller may change. What it answers is judged whenever it is
looked at, by the rules of that moment. A suggestion is its run: it needs no table, and it is read by who made it alone.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from features.actions.judging import Content, Layer
from features.actions.overrides import whose
from features.availability import refuse_retired
from features.engine import Json
from features.find import find_feature
from features.models import Feature, Override
from features.reading import read
from features.resolve import serve, serve_as_read
from features.served import Served
from tenants.actor import Actor
from tenants.errors import Conflict, Invalid, NotFound, Problem, Unavailable

from .accept import accept, find_run
from .models import FINAL, Run, State
from .proposing import Proposed, content_now, document_with, judged, told
from .taking import Accepted, Asked

CUSTOMIZE = "customize"
LONGEST = 1_000  # characters of a wish

Came = Literal["working", "ready", "nothing", "failed"]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What a wish came to, as it stands now.

    `state`: working while the model is asked; ready with at least one operation that could be saved; nothing without
    one; failed where the run has no output. `reason` are the model's words. `row` is the layer's newest revision,
    which a save of it names.
    """

    run: Run
    layer: Layer
    state: Came
    request: str
    reason: str
    operations: tuple[Proposed, ...]
    row: Override | None
    served: Served
    was: Content

    @property
    def etag(self) -> str:
        return self.row.etag if self.row else '"0"'

    def document(self, ids: Collection[str] | None = None) -> dict[str, Json]:
        """The whole override with the good operations, or with those of them that are named. Raises Invalid."""
        chosen = [one for one in self.operations if one.allowed and (ids is None or one.id in ids)]
        return document_with(chosen, self.served, self.layer, self.was)


def start_suggestion(
    feature: Feature, layer: Layer, request: str, *, idempotency_key: str | None = None, fresh: bool = False, by: Actor
) -> Accepted:
    """Ask for operations that fulfil a wish on the fields that the caller may change in a layer.

    Raises Forbidden and NotFound as saving would, Invalid for a wish of the wrong length and where there is nothing
    that could be changed, Unavailable where `customize` is not offered, and whatever accepting a run raises.
    """
    by.need("run.create")
    by.need(f"override.{layer}")
    who = whose(layer, by)
    if not request.strip() or len(request) > LONGEST:
        wrong = Problem("/request", "length", f"has 1 to {LONGEST} characters")
        raise Invalid("Say in a few words what you want changed.", errors=[wrong])
    with by.present():
        served = serve(feature, by.tenant_id, who)
        refuse_retired(feature, served.at)
        if layer == "user" and not served.choice.users_may_override:
            wrong = Problem("", "users_may_override", "your organisation's policy keeps users' own changes inactive")
            raise Invalid("Your organisation does not let its users change behavior for themselves.", errors=[wrong])
        fields = told(served, layer)
    if not fields:
        wrong = Problem("", "edit", f"every field of {feature.key} is locked here")
        raise Invalid("There is nothing here that you may change.", errors=[wrong])
    question: dict[str, Json] = {"request": request, "feature": feature.key, "layer": layer, "fields": fields}
    return accept(customize(by), question, idempotency_key=idempotency_key, asked=Asked(fresh=fresh), by=by)


def customize(by: Actor) -> Feature:
    """The catalog's feature that suggests. Raises Unavailable where the vendor has not published it for the tenant."""
    try:
        return find_feature(CUSTOMIZE, by)
    except NotFound as missing:
        told = "Changes cannot be suggested here yet: the vendor has not published the feature customize."
        raise Unavailable(told) from missing


def suggestion_of(feature: Feature, run_id: UUID, *, by: Actor) -> Suggestion:
    """A suggestion of one's own, judged by what one is served now.

    Raises NotFound for every other run, Forbidden for a layer that one may not change, and Conflict for one whose
    content is not kept any more.
    """
    run = find_run(run_id, by)
    if run is None or run.feature.key != CUSTOMIZE or run.subject_id != by.acting_for().id:
        raise NotFound("There is no such suggestion.")
    if run.input is None:
        raise Conflict("This suggestion was not kept: ask again.")
    asked: Mapping[str, Any] = run.input
    layer: Layer = "tenant" if asked.get("layer") == "tenant" else "user"
    if asked.get("feature") != feature.key:
        raise NotFound("There is no such suggestion.")
    by.need(f"override.{layer}")
    who = whose(layer, by)
    with by.present():
        now = read(feature, by.tenant_id, who)
        served = serve_as_read(now)
        was = content_now(served, now)
        output: Any = run.output if run.state == State.SUCCEEDED and isinstance(run.output, Mapping) else {}
        found = tuple(judged(_operations(output), served, layer, was))
    return Suggestion(
        run=run, layer=layer, state=_came(run, found), request=str(asked.get("request", "")),
        reason=str(output.get("reason", "")), operations=found, row=now.newest, served=served, was=was,
    )  # fmt: skip


def _came(run: Run, found: tuple[Proposed, ...]) -> Came:
    if run.state not in FINAL:
        return "working"
    if run.state != State.SUCCEEDED:
        return "failed"
    return "ready" if any(one.allowed for one in found) else "nothing"


def _operations(output: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What the output holds of operations: an override of `customize` itself may have given it another form."""
    listed = output.get("operations")
    wanted = {"field", "kind", "value"}
    found = (
        [one for one in listed if isinstance(one, Mapping) and wanted <= set(one)] if isinstance(listed, list) else []
    )
    return [one for one in found if one["kind"] in ("set", "append", "remove")]
