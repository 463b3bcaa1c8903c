"""The end of a login: what is left of a person who belongs to no organisation any more."""

from uuid import UUID

from django.contrib.auth import SESSION_KEY
from django.contrib.auth.hashers import make_password
from django.contrib.sessions.models import Session

from .isolation import OPERATOR, operator_tx, user_tx
from .models import Member, Operator, User
from .records import login_tables

ELSEWHERE = "@erased.invalid"  # RFC 2606: no mail ever goes there


def anonymise(user_id: UUID, *, leaving: UUID) -> bool:
    """Take out of a login all that says whose it is, and end its sessions; False where it is needed still.

    It is, where another organisation than the one that is left has or had them as a member, or the vendor as staff.
    Outside any transaction; doing it again changes nothing.
    """
    with user_tx(user_id):
        elsewhere = Member.objects.filter(user_id=user_id).exclude(tenant_id=leaving).exists()
    with operator_tx():
        staff = Operator.objects.using(OPERATOR).filter(user_id=user_id).exists()
    if elsewhere or staff:
        return False
    for model, column in login_tables():
        if model is not Operator:
            model._base_manager.filter(**{column: user_id}).delete()
    User.objects.filter(pk=user_id).update(
        email=f"{user_id}{ELSEWHERE}", name="", password=make_password(None), is_active=False, last_login=None
    )
    _end_sessions(user_id)
    return True


def _end_sessions(user_id: UUID) -> None:
    """A session says whose it is only inside, so all of them are looked through."""
    for session in Session.objects.iterator(500):
        if session.get_decoded().get(SESSION_KEY) == str(user_id):
            session.delete()
