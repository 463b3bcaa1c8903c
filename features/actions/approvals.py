"""What another operator has approved is done, in the name of who asked for it."""

from collections.abc import Callable
from typing import Any

from features.find import find_feature
from tenants.actor import Actor
from tenants.approvals import decide
from tenants.models import Approval
from tenants.operators import actor_who_asked

from .rollouts import start_rollout
from .versions import publish, set_current
from .withdrawals import withdraw

ACTIONS: dict[str, Callable[..., Any]] = {
    "publish": lambda feature, **given: publish(feature, make_current=True, **given),
    "current": set_current,
    "rollout": start_rollout,
    "withdraw": withdraw,
}


def approve(approval: Approval, *, by: Actor) -> Approval:
    """Approve what another operator asked for, and do it as they would have: with their verbs as they are now.

    Both are in the audit. Raises what `decide` raises, Forbidden when who asked may no longer do it, and whatever the
    action raises: then nothing is done, and the request stays open.
    """
    with by.present():  # deciding and doing are one transaction
        row = decide(approval, True, by=by)
        asker = actor_who_asked(row, approved_by=by.label)
        ACTIONS[row.action](find_feature(row.feature, asker), by=asker, **row.parameters)
    return row


def refuse(approval: Approval, *, by: Actor) -> Approval:
    """Refuse what was asked for; one's own too, which takes it back. Raises as `decide`."""
    return decide(approval, False, by=by)
