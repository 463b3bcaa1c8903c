"""The vendor's own workshop: a tenant that is nobody's, because every run belongs to one and operators are in none.

Operators try versions on the catalog's samples there (features.runs.preview). It has no members, keys or overrides,
no customer's input ever comes into it, and wherever organisations are listed or counted it is left out (`customers`).
Its row is made when it is first needed, so that a database emptied or restored needs no step of its own.
"""

from uuid import UUID

from django.db.models import QuerySet

from .isolation import OPERATOR, operator_tx
from .models import Subject, Tenant
from .subjects import Who, tenant_itself

WORKSHOP = UUID(int=1)
_SLUG = "~workshop"  # no organisation can be called so: a slug has no tilde


def workshop() -> Tenant:
    """The workshop's row, and that of it as a subject, made if they are not there yet."""
    with operator_tx():
        made = Tenant(id=WORKSHOP, slug=_SLUG, name="Workshop")
        Tenant.objects.using(OPERATOR).bulk_create([made], ignore_conflicts=True)
        itself = workshop_itself()
        subject = Subject(id=itself.id, tenant_id=WORKSHOP, kind=itself.kind, key=itself.key)
        Subject.objects.using(OPERATOR).bulk_create([subject], ignore_conflicts=True)
        return Tenant.objects.using(OPERATOR).get(pk=WORKSHOP)


def workshop_itself() -> Who:
    """The subject of the vendor's own runs."""
    return tenant_itself(WORKSHOP)


def customers() -> QuerySet[Tenant]:
    """Every organisation that is somebody's, for operators."""
    return Tenant.objects.using(OPERATOR).exclude(pk=WORKSHOP)
