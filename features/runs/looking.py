"""Look a batch over before it is one: how many items there are, which could not be taken in, what it may cost."""

from collections.abc import Sequence
from dataclasses import dataclass

from features.availability import refuse_retired
from features.engine import Json, dumps
from features.models import Feature
from features.resolve import serve_warm
from tenants.actor import Actor
from tenants.errors import AppError

from .batches import MOST_TOLD, items_of, judged
from .items import Body, Form, Item
from .progress import usual_cost
from .taking import worst_first_call


@dataclass(frozen=True, slots=True)
class Looked:
    """What a body would come to as a batch, were it taken in now.

    items came, `refused` of them could not be taken in, the first with why. usual: what a run costs by the feature's
    latest. longest: what a call on the longest input costs if its answer is as long as it may be. Both in micro-units,
    None where nothing tells it. digest: SHA-256 of the body, by which a later one is known for the same.
    """

    items: int
    refused: int
    first: Sequence[tuple[Item, AppError]]
    usual: int | None
    longest: int | None
    digest: str

    @property
    def good(self) -> int:
        """How many items would be runs."""
        return self.items - self.refused


def look_over(feature: Feature, body: Body, form: Form, *, by: Actor) -> Looked:
    """Read a batch's items as `take_batch` does, and keep nothing of them.

    Raises Conflict for a retired feature, TooLarge, and what `items_of` raises.
    """
    by.need("run.create")
    with by.present():
        served = serve_warm(feature, by.tenant_id, by.acting_for())
        refuse_retired(served.feature, served.at)
        usual = usual_cost(by.tenant_id, feature.id)
    first: list[tuple[Item, AppError]] = []
    items, refused, size = 0, 0, -1
    longest: Json = None
    for item, wrong in judged(served, items_of(body, form, served)):
        items += 1
        if wrong is not None:
            refused += 1
            first += [(item, wrong)] if len(first) < MOST_TOLD else []
        elif (length := len(dumps(item.input))) > size:
            size, longest = length, item.input
    with by.present():
        dearest = None if size < 0 else worst_first_call(served, by.in_tenant(), longest)
    return Looked(items, refused, first, usual, dearest, body.digest())
