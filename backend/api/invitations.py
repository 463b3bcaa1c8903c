"""Asking people by mail to become members."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from tenants.invitations import invitation_named, invitations, invite, revoke_invitation, send_again
from tenants.models import Invitation
from tenants.roles import Role

from .door import Door, page
from .fields import Address, Choice, Strict
from .schema import PAGING
from .shapes import INVITATION, answers, listed


class InvitationBody(Strict):
    """Whom to invite, and as what."""

    email = Address()
    role = Choice([role.value for role in Role])


class Invitations(Door):
    """The invitations of the organisation."""

    @extend_schema(parameters=PAGING, responses=answers(listed(INVITATION)), summary="The invitations (admins)")
    def get(self, request: Request) -> Response:
        self.actor.need("member.manage")
        rows = invitations().filter(tenant_id=self.actor.tenant_id)
        return page(request, rows, invitation_json, actor=self.actor)

    @extend_schema(
        request=InvitationBody, responses=answers(INVITATION, 201), summary="Invite a person by mail (admins)"
    )
    def post(self, request: Request) -> Response:
        self.actor.need("member.manage")
        return Response(invitation_json(invite(**self.read(InvitationBody), by=self.actor)), status=201)


class OneInvitation(Door):
    """One invitation."""

    @extend_schema(responses={204: None}, summary="Revoke an invitation: its link is dead (admins)")
    def delete(self, request: Request, invitation_id: UUID) -> Response:
        self.actor.need("member.manage")
        revoke_invitation(invitation_named(invitation_id, self.actor), by=self.actor)
        return Response(status=204)


class ResendInvitation(Door):
    """The mail of an invitation."""

    @extend_schema(request=None, responses=answers(INVITATION), summary="Mail a new link; the one before is dead")
    def post(self, request: Request, invitation_id: UUID) -> Response:
        self.actor.need("member.manage")
        self.read(Strict)
        return Response(invitation_json(send_again(invitation_named(invitation_id, self.actor), by=self.actor)))


def invitation_json(row: Invitation) -> dict[str, Any]:
    """An invitation as the API shows it: never what its link carries."""
    return {
        "id": str(row.id),
        "email": row.email,
        "role": row.role,
        "state": row.state,
        "invited_by": row.invited_by,
        "sent": row.sent_at,
        "expires": row.expires_at,
    }
