"""Operators try versions on the vendor's own samples, in the workshop: never on a customer's inputs.

It is a preview like any other (preview.py), of two versions by themselves, or of one that is not published yet.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from features.actions.versions import rehearse_version
from features.engine import Choice, Json
from features.models import Feature, Version
from features.resolve import clock, serve_choice, serve_vendor
from features.samples import samples_of
from features.served import Served
from tenants.actor import Actor
from tenants.errors import Invalid, NotFound, Problem
from tenants.isolation import OPERATOR, operator_tx, tenant_tx
from tenants.workshop import WORKSHOP, workshop, workshop_itself

from .bells import ring
from .models import Preview
from .preview import MOST_INPUTS, begin, question_of
from .sides import serve_unpublished

SAMPLES = 3  # tried where nobody says how many


def start_sample_preview(
    feature: Feature,
    *,
    version: int | None = None,
    behavior: Mapping[str, Any] | None = None,
    rules: Mapping[str, Any] | None = None,
    own_samples: list[Any] | None = None,
    before: int | None = None,
    samples: int | None = None,
    by: Actor,
) -> Preview:
    """Run a version, or a behavior that is not published, beside another version (None: the current) on samples.

    The samples are the tried version's own; of a behavior `own_samples`, else those of the version before that fit.
    Raises NotFound for a version that is not there, Invalid for a behavior that could not be published, for a version
    without samples and over the cost cap, and TooMany.
    """
    by.need("version.preview")
    if (version is None) == (behavior is None):
        told = Problem("/version", "one_of", "say one of version and behavior")
        raise Invalid("Say which version to try, or a behavior.", errors=[told])
    tried = (
        _published(feature, version)
        if version is not None
        else rehearse_version(feature, behavior=behavior or {}, rules=rules, samples=own_samples, by=by)
    )
    inputs = samples_of(tried)[: min(samples or SAMPLES, MOST_INPUTS)]
    if not inputs:
        told = Problem("/samples", "none", "this version has neither samples nor examples")
        raise Invalid("There is nothing to try this version on: publish it with samples.", errors=[told])
    tenant = workshop()
    with by.doing("version.preview", feature) as event, tenant_tx(WORKSHOP):
        old = serve_vendor(feature) if before is None else _alone(feature, _published(feature, before).number)
        new = _alone(feature, tried.number) if behavior is None else serve_unpublished(feature, _of(tried), old.at)
        preview = _begin(feature, old, new, inputs, tenant.name, by)
        event.detail = {"preview": str(preview.id), "before": old.receipt.digest, "after": new.receipt.digest}
    ring(len(preview.runs))
    return preview


def _begin(feature: Feature, old: Served, new: Served, inputs: Sequence[Json], name: str, by: Actor) -> Preview:
    questions = [question_of(old, new, value) for value in inputs]
    return begin(feature, "vendor", workshop_itself(), WORKSHOP, old, new, {}, questions, tenant_name=name, by=by)


def _published(feature: Feature, number: int) -> Version:
    with operator_tx():
        found = Version.objects.using(OPERATOR).filter(feature=feature, number=number).first()
    if found is None:
        raise NotFound(f"{feature.key} has no version {number}.")
    return found


def _of(version: Version) -> dict[str, Any]:
    return {"fields": version.behavior, "rules": version.rules}


def _alone(feature: Feature, number: int) -> Served:
    choice = Choice(base=number, tenant=None, user=None, pin=None, fresh_until=None, users_may_override=True)
    return serve_choice(feature, WORKSHOP, workshop_itself(), choice, clock(), ())
