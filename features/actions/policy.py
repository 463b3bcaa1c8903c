"""What a tenant lets its users do."""

from uuid import UUID

from features.engine import ABSENT, Absent
from features.models import EVERY_FEATURE, Policy
from features.validity import bump, supersede
from tenants.actor import Actor
from tenants.errors import Invalid, Problem
from tenants.models import Tenant


def policy_now() -> Policy:
    """The policy in force in the present tenant; a tenant that saved none has the open defaults."""
    return Policy.objects.filter(valid_to=None).first() or Policy()


def set_policy(
    *,
    users_may_pin: str | int | None = None,
    users_may_override: bool | None = None,
    retention_days: int | Absent | None = ABSENT,
    store: bool | None = None,
    by: Actor,
) -> Policy:
    """Change the tenant's policy; what is not given stays. `users_may_pin` is "yes", "no" or a number of days.

    Without `store` neither input nor output of a run is kept; with `retention_days` runs are deleted after so long
    (None: never).

    Takes effect at everybody's next request, and suspends rather than deletes. Raises Invalid.
    """
    tenant = by.in_tenant()
    with by.doing("policy.manage", tenant) as event:
        bump(tenant.id, EVERY_FEATURE, tenant.id)
        was = policy_now()
        new = Policy(tenant=tenant, author=by.label)
        new.users_may_pin = was.users_may_pin if users_may_pin is None else _may_pin(users_may_pin)
        new.users_may_override = was.users_may_override if users_may_override is None else users_may_override
        new.retention_days = was.retention_days if isinstance(retention_days, Absent) else retention_days
        new.store = was.store if store is None else store
        supersede(Policy.objects.filter(tenant=tenant), new)
        event.detail = {"users_may_pin": new.users_may_pin, "users_may_override": new.users_may_override}
        event.detail |= {"retention_days": new.retention_days, "store": new.store}
    return new


def hold_policy(tenant_id: UUID) -> None:
    """Keep the policy as it is until COMMIT, within the tenant's transaction; what is part of it in its row too."""
    bump(tenant_id, EVERY_FEATURE, tenant_id)
    list(Tenant.objects.select_for_update(no_key=True).filter(pk=tenant_id))


def _may_pin(value: str | int) -> str:
    text = str(value)
    if not isinstance(value, bool) and (text in ("yes", "no") or (text.isdecimal() and 1 <= int(text) <= 3650)):
        return text
    message = 'must be "yes", "no" or a number of days from 1 to 3650'
    raise Invalid("That is no policy for pins.", errors=[Problem("/policy/users_may_pin", "enum", message)])
