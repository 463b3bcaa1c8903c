"""A wrong answer put right: the correction is kept with its run, and if wished as an example that runs follow."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from features.actions.judging import Layer
from features.actions.overrides import ANY, Expected, Saved, save_operation, whose
from features.engine import Json
from features.explain import editable, rule_for
from features.models import Feature
from features.resolve import serve
from features.served import Served
from tenants.actor import Actor
from tenants.errors import Forbidden

from .finish import rate
from .models import Run

LONGEST = 32  # characters of an example's name
NAMELESS = "example"


def may_exemplify(served: Served, layer: Layer, by: Actor) -> bool:
    """Whether somebody may add examples to a layer: by their role, the rules, and the organisation's policy."""
    allowed = layer == "tenant" or served.choice.users_may_override
    return (
        f"override.{layer}" in by.can and allowed and editable(rule_for(f"examples.{NAMELESS}", served, layer), layer)
    )


def example_field(words: str, taken: Collection[str]) -> str:
    """Name an example by its words, as a field that is not taken: "Ann's order" → `examples.ann-s-order`."""
    name = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")
    if len(name) > LONGEST:
        name = name[:LONGEST].rpartition("-")[0] or name[:LONGEST]
    if not name[:1].isalpha():
        name = f"{NAMELESS}-{name}".rstrip("-")
    field, number = f"examples.{name}", 2
    while field in taken:
        field, number = f"examples.{name}-{number}", number + 1
    return field


def keep_example(
    feature: Feature, layer: Layer, given: Json, output: Json, *, words: str, expected: Expected = ANY, by: Actor
) -> tuple[str, Saved]:
    """Add an example to a layer, named by `words`; returns its field and the revision.

    Raises Invalid naming what of it breaks a rule or the contract of today, Stale, and Forbidden.
    """
    with by.present():
        served = serve(feature, by.tenant_id, whose(layer, by))
        own = served.tenant if layer == "tenant" else served.user
        taken = {*served.effective.fields, *served.base.fields, *(op.field for op in (own.operations if own else ()))}
        field = example_field(words, taken)
        saved = save_operation(
            feature, layer, field, {"set": {"input": given, "output": output}}, expected=expected, by=by
        )
    return field, saved


def correct(run: Run, output: Mapping[str, Any], *, example: str | None = None, by: Actor) -> Run:
    """Keep how an output should have read, as feedback on its run.

    With `example` (its words) the run's input and the correction also become an example of the person's own, which
    their next runs follow: both or neither is kept. Raises Conflict for a run without an output, Invalid for a
    correction that breaks the contract that the run was served with or, as an example, today's; Forbidden for an
    example from a run that was made for somebody else.
    """
    feedback = {**(run.feedback or {}), "verdict": "bad", "correction": dict(output)}
    with by.present():
        kept = rate(run, feedback, by=by)
        if example is not None:
            if run.subject_id != by.acting_for().id:
                raise Forbidden("This run was made for somebody else: it cannot become an example of yours.")
            keep_example(run.feature, "user", run.input, dict(output), words=example, by=by)
    return kept


def take_correction_back(run: Run, *, by: Actor) -> Run:
    """Leave the verdict and take the correction out. An example that was made of it stays."""
    feedback = {name: value for name, value in (run.feedback or {}).items() if name != "correction"}
    return rate(run, feedback, by=by)
