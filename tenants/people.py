"""Who is behind a label: the names that pages show for authors, and who can help."""

from collections.abc import Iterable
from uuid import UUID

from .actor import Actor
from .isolation import OPERATOR
from .models import ApiKey, Member, Operator
from .roles import VERBS
from .subjects import Who, member_subject

MEMBER, KEY, OPERATOR_LABEL = "member:", "key:", "operator:"


def names_of(labels: Iterable[str], actor: Actor) -> dict[str, str]:
    """Return the names behind labels (`member:<id>`, `key:<id>`, `operator:<id>`), as far as the actor may know them.

    Within the actor's transaction; one statement for each kind of label that occurs. To members, everybody at the
    vendor is left out of the answer: the vendor is one voice to them.
    """
    wanted = set(labels)
    if actor.tenant is None:
        rows = Operator.objects.using(OPERATOR).select_related("user").filter(pk__in=_ids(wanted, OPERATOR_LABEL))
        return {f"{OPERATOR_LABEL}{row.id}": str(row.user) for row in rows}
    names: dict[str, str] = {}
    if members := _ids(wanted, MEMBER):
        found = Member.objects.select_related("user").filter(pk__in=members)
        names |= {f"{MEMBER}{row.id}": str(row.user) for row in found}
    if keys := _ids(wanted, KEY):
        names |= {f"{KEY}{row.id}": row.name for row in ApiKey.objects.filter(pk__in=keys)}
    return names


def names_of_those_who(verb: str, most: int = 3) -> list[str]:
    """Return the names of members whose role has a verb, the longest-serving first; within the tenant's transaction."""
    roles = [role for role, verbs in VERBS.items() if verb in verbs]
    rows = Member.objects.select_related("user").filter(role__in=roles, removed_at=None).order_by("created_at")
    return [str(row.user) for row in rows[:most]]


def member_called(email: str, *, left: bool = False) -> Who | None:
    """The member with an e-mail address, whatever its case, or who had it and has left; within the transaction."""
    rows = Member.objects.filter(user__email__iexact=email.strip())
    row = rows.order_by("removed_at").last() if left else rows.filter(removed_at=None).first()
    return member_subject(row.id) if row else None


def _ids(labels: Iterable[str], prefix: str) -> list[UUID]:
    return [UUID(label.removeprefix(prefix)) for label in labels if label.startswith(prefix)]
