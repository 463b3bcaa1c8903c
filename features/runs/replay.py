"""Run an input once more: on the behavior that its run was accepted with, on today's, or on another version."""

from copy import copy
from dataclasses import replace
from typing import Literal

from features.engine import PinRow, Situation
from features.models import Feature
from features.released import released
from features.resolve import choice_now, serve_choice
from features.served import Served
from tenants.actor import Actor
from tenants.errors import Conflict, Forbidden, NotFound
from tenants.subjects import Who

from .accept import accept
from .models import Run
from .receipts import served_by
from .taking import Accepted, Asked

On = Literal["same", "current"] | int


def replay(run: Run, on: On, *, idempotency_key: str | None = None, by: Actor) -> Accepted:
    """Take the run's input in again, as a run of its own that names the first.

    `on` is "same": the versions, revisions and model target of the run's receipt, as far as they are still there (a
    version withdrawn since is replaced, as in every run); "current": what the caller is served now; or a version's
    number: that one, with the caller's own newest changes on it. Nothing else of the caller's moves.

    Raises Forbidden for a run that was made for somebody else, NotFound for a version that does not exist for the
    caller, and whatever accepting raises.
    """
    by.need("run.create")
    if run.subject_id != by.acting_for().id:
        raise Forbidden("This run was made for somebody else: only they, or who acts for them, can replay it.")

    if run.input is None:
        raise Conflict("This run's input was not kept: there is nothing to ask again.")

    def chosen(now: Served) -> Served:
        if on == "current":
            return now
        if on == "same":
            again = copy(run)
            again.now = now.at  # a model target that has ended since is not called again
            served = served_by(again)
            receipt = replace(served.receipt, pin=None)
            return replace(served, choice=replace(served.choice, fresh_until=now.choice.fresh_until), receipt=receipt)
        if on not in released(run.feature, by.tenant_id, now.who):
            raise NotFound(f"{run.feature.key} has no version {on}.")
        return on_version(run.feature, on, now.who, now, by)

    asked = Asked(store=run.store, fresh=True, replays=(run.pk, on))
    return accept(run.feature, run.input, idempotency_key=idempotency_key, asked=asked, choosing=chosen, by=by)


def on_version(feature: Feature, number: int, who: Who, before: Served, by: Actor) -> Served:
    """As if the subject had decided for a version, with its own newest operations on it, and no pin."""

    def there(situation: Situation) -> Situation:
        decided = PinRow(
            layer="tenant" if who.is_tenant else "user", kind="base", base=number, tenant_revision=None,
            user_revision=None, targets={}, created=before.at, until=None, id="",
        )  # fmt: skip
        allowed = replace(situation, policy=replace(situation.policy, users_may_pin=True))
        return replace(allowed, tenant_pin=decided) if who.is_tenant else replace(allowed, user_pin=decided)

    choice = choice_now(feature, by.tenant_id, who, change=there)
    return serve_choice(feature, by.tenant_id, who, replace(choice, pin=None), before.at, before.stamps)
