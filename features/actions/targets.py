"""Model targets and the aliases that behavior names them by."""

from typing import Any

from features.engine import check_field
from features.models import MODELS, ModelAlias, ModelTarget
from features.validity import bump_vendor, supersede
from tenants.actor import Actor
from tenants.errors import Invalid, NotFound, Problem
from tenants.isolation import OPERATOR


def add_target(
    *,
    alias: str,
    provider: str,
    model: str,
    input_price: int,
    output_price: int,
    cached_input_price: int | None = None,
    capabilities: dict[str, Any] | None = None,
    by: Actor,
) -> ModelTarget:
    """Add the next immutable target of an alias and point the alias to it.

    Prices are micro-units of the currency per million tokens; cached input costs as input where nothing is said.
    Raises Invalid for a name that cannot be an alias.
    """
    if check_field(f"vars.{alias}") is not None:
        raise Invalid("This cannot be an alias.", errors=[Problem("/alias", "name", "use a-z, 0-9, - and _")])
    last = ModelTarget.objects.using(OPERATOR).filter(alias=alias).order_by("-revision")
    target = ModelTarget(alias=alias, provider=provider, model=model, capabilities=capabilities or {})
    target.input_price, target.output_price = input_price, output_price
    target.cached_input_price = input_price if cached_input_price is None else cached_input_price
    with by.doing("model.manage", target) as event:
        bump_vendor(MODELS)
        newest = last.first()
        target.revision, target.author = (newest.revision if newest else 0) + 1, by.label
        target.save(using=OPERATOR)
        _point(alias, target, by)
        event.detail = {"alias": alias, "revision": target.revision, "model": model}
    return target


def point_alias(alias: str, revision: int, *, by: Actor) -> ModelTarget:
    """Let an alias mean another of its targets again. Raises NotFound."""
    target = ModelTarget.objects.using(OPERATOR).filter(alias=alias, revision=revision).first()
    if target is None:
        raise NotFound(f"{alias} has no target {revision}.")
    with by.doing("model.manage", target) as event:
        bump_vendor(MODELS)
        _point(alias, target, by)
        event.detail = {"alias": alias, "revision": revision}
    return target


def _point(alias: str, target: ModelTarget, by: Actor) -> None:
    rows = ModelAlias.objects.using(OPERATOR).filter(alias=alias)
    supersede(rows, ModelAlias(alias=alias, target=target, author=by.label))
