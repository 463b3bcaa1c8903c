"""Members, roles and invitations as pages show them."""

from collections.abc import Sequence
from uuid import UUID

from django.utils.translation import gettext_lazy

from tenants.actions import members_of, owners_of
from tenants.actor import Actor
from tenants.invitations import invitations
from tenants.models import Invitation, Member
from tenants.people import names_of
from tenants.roles import Role

from .parts import InvitationLine, MemberLine
from .reading import page_of
from .words import role_word

MEANS = {
    "owner": gettext_lazy("everything, and making owners"),
    "admin": gettext_lazy("the organisation's own behavior, people, keys, budgets"),
    "member": gettext_lazy("runs features, and makes them theirs"),
    "viewer": gettext_lazy("looks at everything a member sees, and changes nothing"),
}
MOST = 50  # members, and invitations, that a page shows


def roles_to_give(actor: Actor) -> list[tuple[str, str, str]]:
    """The roles that an actor may give, each with its word and what it means."""
    may = [role.value for role in reversed(Role) if role != Role.OWNER or "owner.manage" in actor.can]
    return [(role, role_word(role), str(MEANS[role])) for role in may]


def member_lines(actor: Actor, search: str, after: UUID | None) -> tuple[list[MemberLine], str]:
    """A page of members, the longest-serving first, with what the actor may do to them; and what the next comes after.

    `search` is a part of their name or address, `after` the last one of the page before.
    """
    found, owners = members_of(actor, search=search, after=after, most=MOST + 1), owners_of(actor)
    lines = [_line(member, actor, member.role == Role.OWNER and owners == 1) for member in found[:MOST]]
    return lines, lines[-1].id if len(found) > MOST else ""


def _line(member: Member, actor: Actor, last_owner: bool) -> MemberLine:
    above = member.role == Role.OWNER and "owner.manage" not in actor.can
    return MemberLine(
        id=str(member.id),
        name=str(member.user),
        email=member.user.email if member.user.name else "",
        role=member.role,
        role_word=role_word(member.role),
        since=member.created_at,
        you=member.id == actor.acting_for().id,
        may_change=not above and not last_owner,
        last_owner=last_owner,
    )


def invitation_lines(actor: Actor, before: UUID | None = None) -> tuple[Sequence[InvitationLine], str]:
    """The newest invitations, or those before one, with who sent them; and what the next page comes after."""
    with actor.present():
        rows, older = page_of(invitations(), before, MOST)
        names = names_of([row.invited_by for row in rows], actor)
    return [_invited(row, names.get(row.invited_by, "")) for row in rows], older


def _invited(row: Invitation, host: str) -> InvitationLine:
    return InvitationLine(
        id=str(row.id),
        email=row.email,
        role_word=role_word(row.role),
        host=host,
        state=row.state,
        sent=row.sent_at,
        expires=row.expires_at,
    )
