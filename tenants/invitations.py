"""Asking people by mail to become members: a link that works once, for a week, for the address it was sent to.

What the link carries names its tenant and its row, as a key does (keys.py), so that the door can look it up there; only
a hash of its secret is kept. Mail is handed over in the transaction: an invitation that could not be sent is none.
"""

from dataclasses import dataclass
from datetime import timedelta
from smtplib import SMTPException, SMTPRecipientsRefused
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from .actions import check_address, check_role, enter, hold_roles
from .actor import Actor
from .errors import Conflict, Forbidden, Invalid, NotFound, Problem, TooMany, Unavailable
from .ids import uuid7
from .isolation import APP, tenant_tx
from .keys import INVITATION, KeyText, matches, mint, parse
from .models import Invitation, Member, Tenant, User
from .subjects import member_subject

LASTS = timedelta(days=7)
AGAIN_AFTER = timedelta(minutes=1)  # how soon one person may be mailed again
MOST_OPEN = 500  # invitations of one organisation that nobody has come to


@dataclass(frozen=True, slots=True)
class Invited:
    """A good invitation as its link finds it, with its organisation and the login of its address if there is one."""

    invitation: Invitation
    tenant: Tenant
    login: User | None

    @property
    def known(self) -> bool:
        """Whether the person has a login that they can sign in with; else they choose a password now."""
        return self.login is not None and self.login.has_usable_password()


def invite(*, email: str, role: str, by: Actor) -> Invitation:
    """Mail somebody an invitation; an open one of theirs is replaced, and its link is dead.

    Raises Invalid for an unknown role, what is no address and one that the mail server refuses, Forbidden for a role
    above one's own, Conflict for a member and when too many are open, TooMany within a minute of the last mail to them,
    and Unavailable when no mail can be sent. Nothing is kept then.
    """
    tenant, address = by.in_tenant(), email.lower()
    with by.doing("member.manage", tenant) as event:
        check_role(role, by)
        check_address(address)
        hold_roles(by)
        if Member.objects.filter(user__email=address, removed_at=None).exists():
            raise Conflict(f"{address} is a member already.")
        earlier = _unanswered().select_for_update().filter(email=address).first()
        if earlier is not None:
            _refuse_haste(earlier)
            Invitation.objects.filter(pk=earlier.pk).update(revoked_at=Now())
        if _unanswered().filter(expires_at__gt=timezone.now()).count() >= MOST_OPEN:
            raise Conflict(f"{MOST_OPEN} invitations are open. Revoke some that nobody will come to.")
        made = Invitation(id=uuid7(), tenant=tenant, email=address, role=role, invited_by=by.label)
        event.detail = {"invitation": str(made.id), "role": role}
        _send(made, tenant, by)
    return made


def send_again(invitation: Invitation, *, by: Actor) -> Invitation:
    """Mail a new link, good for a week from now; the one before is dead.

    Raises as `invite` does, and Conflict for an invitation that was accepted or revoked.
    """
    with by.doing("member.manage", invitation):
        row = _unanswered().select_for_update().filter(pk=invitation.pk).first()
        if row is None:
            raise Conflict("This invitation has ended. Invite them again.")
        check_role(row.role, by)
        hold_roles(by)
        _refuse_haste(row)
        _send(row, by.in_tenant(), by)
    return row


def revoke_invitation(invitation: Invitation, *, by: Actor) -> None:
    """End an invitation at once. Ending an ended one changes nothing."""
    with by.doing("member.manage", invitation):
        _unanswered().filter(pk=invitation.pk).update(revoked_at=Now())


def invitations() -> QuerySet[Invitation]:
    """The invitations of the present organisation, the newest first; within its transaction."""
    return Invitation.objects.order_by("-id")


def find_invitation(text: str) -> Invited:
    """What a link leads to. Raises NotFound, in the same words for one that never was, was used, has ended."""
    key = _read(text)
    with tenant_tx(key.tenant_id):
        row = _good(key)
        tenant = Tenant.objects.get(pk=key.tenant_id)
    return Invited(row, tenant, User.objects.filter(email=row.email).first())


def accept_as(text: str, user: User) -> Member:
    """Make the person signed in a member. Raises NotFound as `find_invitation`, Forbidden for another's invitation."""
    if user.email != find_invitation(text).invitation.email:
        raise Forbidden("This invitation is for somebody else. Sign out, and open its link again.")
    return _accept(text, user)


def accept_as_new(text: str, *, name: str, password: str) -> Member:
    """Make a login with this password, and it a member. Raises NotFound, and Conflict for a login that has a password.

    Whoever reads the mail has the address: so the link opens a login that nobody has opened yet.
    """
    key, found = _read(text), find_invitation(text)
    with tenant_tx(key.tenant_id):
        _good(key, lock=True)
        user = User.objects.of(found.invitation.email, name=name)
        user = User.objects.select_for_update().get(pk=user.pk)
        if user.has_usable_password():
            raise Conflict("There is a login with this address: sign in, and open the link again.")
        user.name = name
        user.set_password(password)
        user.save(update_fields=["name", "password"])
        return _accept(text, user)


def _read(text: str) -> KeyText:
    key = parse(text, INVITATION)
    if key is None:
        raise _no_good()
    return key


def _accept(text: str, user: User) -> Member:
    key = _read(text)
    if not user.is_active:
        raise _no_good()
    with tenant_tx(key.tenant_id):
        row = _good(key, lock=True)
        tenant = Tenant.objects.get(pk=key.tenant_id)
        member = enter(tenant, user, row.role)
        who = member_subject(member.id)
        verbs = frozenset({"invitation.accept"})  # the one thing that they may do before they are in
        by = Actor("member", f"member:{member.id}", row.role, verbs, tenant, who, str(user))
        with by.doing("invitation.accept", row) as event:
            event.detail = {"role": row.role, "invited_by": row.invited_by}
            Invitation.objects.filter(pk=row.pk).update(accepted_at=Now())
    return member


def _good(key: KeyText, *, lock: bool = False) -> Invitation:
    rows = _unanswered().select_for_update() if lock else _unanswered()
    row = rows.filter(pk=key.key_id, expires_at__gt=timezone.now()).first()
    if row is None or not matches(key, row.secret_hash):
        raise _no_good()
    return row


def _unanswered() -> QuerySet[Invitation]:
    return Invitation.objects.filter(accepted_at=None, revoked_at=None)


def _refuse_haste(earlier: Invitation) -> None:
    left = (earlier.sent_at + AGAIN_AFTER - timezone.now()).total_seconds()
    if left > 0:
        wait = {"Retry-After": str(int(left) + 1)}
        raise TooMany(f"{earlier.email} was mailed a moment ago. Wait {int(left) + 1} s.", headers=wait)


def _send(invitation: Invitation, tenant: Tenant, by: Actor) -> None:
    text, invitation.secret_hash = mint(tenant.id, invitation.id, INVITATION)
    invitation.sent_at = timezone.now()
    invitation.expires_at = invitation.sent_at + LASTS
    try:
        with transaction.atomic(using=APP):
            invitation.save()
        _message(invitation, tenant, by.name, f"{settings.BASE_URL}/join/{text}").send()
    except IntegrityError:  # somebody else invited them in the same moment
        raise Conflict(f"{invitation.email} has just been invited.") from None
    except SMTPRecipientsRefused:
        told = "is refused by the mail server"
        raise Invalid("No mail can be sent there.", errors=[Problem("/email", "refused", told)]) from None
    except (SMTPException, OSError):
        told = "Mail cannot be sent just now, so nobody was invited. Try again in a moment."
        raise Unavailable(told, headers={"Retry-After": "30"}) from None


def _message(invitation: Invitation, tenant: Tenant, host: str, link: str) -> EmailMessage:
    until = f"{invitation.expires_at:%d %B %Y, %H:%M} UTC"
    body = (
        f"Hello,\n\n{host} invites you to {tenant.name} on Bespoke, as {invitation.role}. To come in, open\n\n"
        f"{link}\n\n"
        f"The link is for you alone, works once, and ends on {until}. If you do not know {tenant.name}, do nothing.\n"
    )
    subject = " ".join(f"{host} invites you to {tenant.name}".split())
    return EmailMessage(subject=subject, body=body, to=[invitation.email])


def _no_good() -> NotFound:
    return NotFound(
        "This invitation is not known, has ended, or was used already. Ask whoever invited you for another, or sign in "
        "if you are a member."
    )


def invitation_named(invitation_id: UUID, actor: Actor) -> Invitation:
    """An invitation of the actor's organisation; NotFound for a missing one and another's alike."""
    with actor.present():
        row = Invitation.objects.filter(pk=invitation_id).first()
    if row is None:
        raise NotFound
    return row
