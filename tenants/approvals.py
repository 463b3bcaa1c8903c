"""What takes two operators: one asks, another decides. Whether anything does is the vendor's to set."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from .actor import Actor
from .errors import ApprovalNeeded, Conflict, Forbidden, NotFound
from .isolation import OPERATOR, operator_tx
from .models import Approval

OPEN_FOR = timedelta(days=1)


def ask_another(action: str, verb: str, feature: str, parameters: dict[str, Any], *, by: Actor) -> None:
    """Go on where one operator is enough, or another has approved; else record what is asked for.

    Raises ApprovalNeeded then, with the request's id: nothing else has changed. Raises Forbidden without the verb. What
    the vendor's own processes do (a guard that rolls back, the catalog) takes nobody.
    """
    if not settings.SECOND_APPROVAL or by.approved_by or by.label.startswith("system:"):
        return
    asked = Approval(action=action, feature=feature, given=json.dumps(parameters), requested_by=by.label)
    asked.operator_id = UUID(by.label.removeprefix("operator:"))
    asked.expires_at = timezone.now() + OPEN_FOR
    with by.doing(verb, asked) as event:
        asked.save(using=OPERATOR, force_insert=True)
        event.detail = {"asked": action, "feature": feature}
    told = f"This takes two operators. It is recorded as {asked.id}, and nothing was changed: another operator with the"
    raise ApprovalNeeded(f"{told} role publish approves it within a day.", approval=str(asked.id))


def approvals() -> QuerySet[Approval]:
    """What was asked for, with who asked, the newest first."""
    return Approval.objects.using(OPERATOR).select_related("operator__user").order_by("-id")


def find_approval(approval_id: UUID, by: Actor) -> Approval:
    """One of them. Raises NotFound."""
    with by.present():
        row = approvals().filter(pk=approval_id).first()
    if row is None:
        raise NotFound
    return row


def decide(approval: Approval, approved: bool, *, by: Actor) -> Approval:
    """Approve or refuse what another has asked for; within the operator's transaction in which it is then done.

    Raises Forbidden for one's own request, and Conflict for one that was decided or has expired.
    """
    with operator_tx(), by.doing("approval.decide", approval) as event:
        row = Approval.objects.using(OPERATOR).select_for_update().get(pk=approval.pk)
        if row.state != "open":
            raise Conflict(f"This request is {row.state}. Ask for it anew.")
        if approved and row.requested_by == by.label:
            raise Forbidden("It takes another operator to approve what you have asked for.")
        row.decided_at, row.decided_by, row.approved = timezone.now(), by.label, approved
        row.save(using=OPERATOR, update_fields=["decided_at", "decided_by", "approved"])
        event.detail = {"approved": approved, "action": row.action, "feature": row.feature}
    return row
