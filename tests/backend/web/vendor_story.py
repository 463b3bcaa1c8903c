"""A vendor in the middle of its work: versions, customers with changes of all kinds, a rollout that has been measured."""

from copy import deepcopy
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils import timezone

from features.actions.overrides import Expected, save_override
from features.actions.pins import pin
from features.actions.rollouts import start_rollout
from features.actions.versions import publish
from features.models import Feature, GuardPoint, Rollout, Version
from tenants.actions import create_tenant, login_for
from tenants.isolation import OPERATOR, operator_tx
from tenants.system import system_actor
from tests.cast import GREET, Cast

CUSTOMERS = (
    "Initech", "Umbrella Bank", "Hooli Credit", "Stark Savings", "Wayne Trust", "Tyrell", "Cyberdyne", "Soylent",
    "Vandelay", "Wonka",
)  # fmt: skip
STEPS: list[dict[str, Any]] = [
    {"tenants": ["acme"], "hold": "2h"},
    {"percent": 40, "hold": "6h", "min_runs": 500},
    {"percent": 70, "hold": "6h", "min_runs": 2000},
]
GUARDS = {
    "pins_away": {"max": 0.02, "min_runs": 30},
    "schema_failures": {"max": 0.01, "min_runs": 30},
    "failed_checks": {"max": 0.02, "min_runs": 200},
    "cost_per_run": {"max": 2000, "min_runs": 30, "do": "roll_back"},
}


@dataclass
class Story:
    """What was made: the feature, its second version, and what the second changes for whom."""

    feature: Feature
    second: Version


def tell(cast: Cast, customers: int = 0) -> Story:
    """Publish a second version under people who have changed and pinned things; nobody is moved to it yet.

    Alice has another tone (carried), Bob another role (conflict), Ada has left out the example for Acme (carried),
    Mallory stays on version 1, Gus changed the language that version 2 no longer has (orphaned).
    """
    system = system_actor("tests")
    for name in CUSTOMERS[:customers]:
        slug = name.lower().replace(" ", "-")
        create_tenant(
            slug=slug, name=name, owner=login_for(f"owner@{slug}.example", name=f"Owner of {name}"), by=system
        )
    change(cast, cast.alice, "user", {"set": {"vars.tone": "warm"}})
    change(cast, cast.bob, "user", {"set": {"instructions.role": "You greet people as old friends."}})
    change(cast, cast.ada, "tenant", {"remove": ["examples.first"]})
    change(cast, cast.gus, "user", {"set": {"vars.language": "French"}})
    pin(cast.greet, "user", kind="base", version=1, reason="Tested with it", by=cast.mallory)
    behavior = deepcopy(GREET)
    behavior["instructions"]["role"] = "You greet people politely, by their first name."
    behavior["instructions"]["opening"] = "Begin with the time of day."
    del behavior["vars"]["language"]
    second = publish(
        cast.greet, behavior=behavior, message="Politer, and by the time of day", make_current=False, by=cast.operator
    )
    return Story(cast.greet, second)


def change(cast: Cast, who: Any, layer: str, document: dict[str, Any]) -> None:
    save_override(cast.greet, layer, document, expected=Expected(nothing=True), by=who)


def begin(cast: Cast, steps: list[dict[str, Any]] | None = None, guards: dict[str, Any] | None = None) -> Rollout:
    """Start the rollout of version 2."""
    return start_rollout(
        cast.greet, to=2, steps=STEPS if steps is None else steps, guards=GUARDS if guards is None else guards,
        message="Politer greetings", by=cast.operator,
    )  # fmt: skip


def measure(rollout: Rollout, guard: str, values: list[float | None], *, sample: int = 400, minutes: int = 5) -> None:
    """Write points of a guard, one each `minutes`, the last of them now; what the watching task would have kept."""
    with operator_tx():
        began = timezone.now() - timedelta(minutes=minutes * len(values))
        Rollout.objects.using(OPERATOR).filter(pk=rollout.pk).update(began_at=began)
        GuardPoint.objects.using(OPERATOR).bulk_create(
            GuardPoint(
                rollout=rollout, guard=guard, step=rollout.step, value=value,
                sample=max(1, sample * (number + 1) // len(values)),
                at=began + timedelta(minutes=minutes * (number + 1)),
            )
            for number, value in enumerate(values)
        )  # fmt: skip
