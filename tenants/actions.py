"""What people do to organisations, memberships and keys."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import cast
from uuid import UUID
from zoneinfo import available_timezones

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from .actor import Actor, note_for
from .errors import Conflict, Forbidden, Invalid, NotFound, Problem
from .ids import uuid7
from .isolation import OPERATOR
from .keys import mint
from .limits import requests_of_tenant, runs_of_tenant
from .models import ApiKey, Invitation, Member, Subject, Tenant, User
from .roles import VERBS, Role, Scope
from .subjects import make_sure, member_subject, tenant_itself


def create_tenant(*, slug: str, name: str, owner: User, by: Actor) -> tuple[Tenant, Member]:
    """Make an organisation with its first owner. Raises Conflict when the slug is taken."""
    tenant = Tenant(slug=slug, name=name)
    with by.doing("tenant.create", tenant):
        try:
            with transaction.atomic(using=OPERATOR):
                tenant.save(using=OPERATOR, force_insert=True)
        except IntegrityError:
            raise Conflict(f"There is an organisation called {slug} already.") from None
        member = Member(tenant=tenant, user=owner, role=Role.OWNER)
        for who in (tenant_itself(tenant.id), member_subject(member.id)):
            Subject(id=who.id, tenant=tenant, kind=who.kind, key=who.key).save(using=OPERATOR)
        member.save(using=OPERATOR)
    return tenant, member


def add_member(*, email: str, role: str, name: str = "", by: Actor) -> Member:
    """Make the person with this address a member; a login is made when there is none, to be opened by password reset.

    Raises Invalid for an unknown role, Forbidden when only an owner may give it, Conflict for a member already there,
    and for somebody who has opened a login elsewhere: they are asked (`invite`), and nobody reads their name before.
    So an admin learns that there is one. Not to tell would be to say that they were added when they were not.
    """
    tenant = by.in_tenant()
    with by.doing("member.manage", tenant) as event:
        check_role(role, by)
        hold_roles(by)
        user = User.objects.filter(email=email.lower()).first()
        if user is not None and user.has_usable_password() and not Member.objects.filter(user=user).exists():
            raise Conflict(f"{user.email} has a login of their own. Invite them, so that they say yes themselves.")
        member = enter(tenant, user or User.objects.of(email, name=name), role)
        event.detail = {"member": str(member.id), "role": role}
    return member


def change_role(member: Member, role: str, *, by: Actor) -> Member:
    """Give a member another role; what they invited to and now may not is revoked. The last owner stays (Conflict)."""
    with by.doing("member.manage", member) as event:
        now = hold_roles(by, member)
        check_role(role, by, was=now.role)
        _keep_an_owner(now, role)
        event.detail = {"from": now.role, "to": role}
        now.role = role
        now.save(update_fields=["role"])
        _revoke_invitations(now, VERBS[role])
    return now


def remove_member(member: Member, *, by: Actor) -> None:
    """End a membership and its keys at once. The person's runs and overrides stay; the last owner stays (Conflict)."""
    with by.doing("member.manage", member):
        now = hold_roles(by, member)
        check_role(now.role, by, was=now.role)
        _end(now)


def leave(*, by: Actor) -> None:
    """End one's own membership and its keys at once. The last owner stays (Conflict)."""
    member = find_member(by.acting_for().id, by)
    with by.doing("member.leave", member):
        _end(hold_roles(by, member))


def enter(tenant: Tenant, user: User, role: str) -> Member:
    """Make a person a member, again if they were one; within the tenant's transaction. Raises Conflict if they are."""
    user = User.objects.select_for_update(no_key=True).get(pk=user.pk)  # whichever way they come, one after the other
    member = Member.objects.filter(user=user).first()
    if member is not None and member.removed_at is None:
        raise Conflict(f"{user.email} is a member already.")
    member = member or Member(tenant=tenant, user=user)
    member.role, member.removed_at = role, None
    make_sure(tenant.id, member_subject(member.id))
    member.save()
    return member


def require_mfa(required: bool, *, by: Actor) -> None:
    """Ask every person of the organisation for a second factor, from their next request on; keys are not asked.

    Who has none is led to set one up before anything else.
    """
    tenant = by.in_tenant()
    with by.doing("policy.manage", tenant) as event:
        event.detail = {"require_mfa": required}
        Tenant.objects.filter(pk=tenant.pk).update(require_mfa=required)
        tenant.require_mfa = required


def change_profile(user: User, *, name: str, time_zone: str) -> None:
    """Change what a person is called and in which zone they are shown times (IANA name, empty: the browser's).

    It is their login's, in no organisation. Raises Invalid for a zone that there is not.
    """
    if time_zone and time_zone not in available_timezones():
        raise Invalid("That is no time zone.", errors=[Problem("/time_zone", "enum", "choose one of the list")])
    user.name, user.time_zone = name, time_zone
    user.save(update_fields=["name", "time_zone"])


def limit_tenant(tenant: Tenant, limits: Mapping[str, int | None], *, by: Actor) -> Tenant:
    """Give an organisation its own `requests_per_minute` and `concurrent_runs`; None is the default again (vendor)."""
    with by.doing("tenant.limits", tenant) as event:
        event.detail = dict(limits)
        Tenant.objects.using(OPERATOR).filter(pk=tenant.pk).update(**limits)
        tenant.refresh_from_db(using=OPERATOR)
    return tenant


def set_tenant_state(tenant: Tenant, state: str, *, reason: str = "", by: Actor) -> Tenant:
    """Suspend, close or open an organisation again, from everybody's next request on (vendor). Nothing is deleted.

    While it is suspended its waiting runs wait; when it is closed they are cancelled (features/runs/closing.py). Its
    people are shown the reason. Raises Invalid for no reason, and Conflict for the state that it is in.
    """
    if state != Tenant.State.ACTIVE and not reason.strip():
        raise Invalid("Say why.", errors=[Problem("/reason", "required", "its people are shown it")])
    with by.doing("tenant.state", tenant) as event:
        rows = Tenant.objects.using(OPERATOR).filter(pk=tenant.pk)
        was = rows.select_for_update(no_key=True).get().state  # keys may go on referring to it
        if was == state:
            raise Conflict(f"{tenant.name} is {state} already.")
        event.detail = {"from": was, "to": state, "reason": reason}
        rows.update(state=state, state_reason=reason, state_at=Now())
        note_for(tenant, "tenant.state", event.detail, by=by)
        tenant.refresh_from_db(using=OPERATOR)
    return tenant


def limit_key(key: ApiKey, limits: Mapping[str, int | None], *, by: Actor) -> ApiKey:
    """Give a key its own `requests_per_minute` and `concurrent_runs`. Raises Invalid above the organisation's."""
    with by.doing("key.manage", key) as event:
        _check_limits(limits, by.in_tenant())
        event.detail = dict(limits)
        ApiKey.objects.filter(pk=key.pk).update(**limits)
        key.refresh_from_db()
    return key


def create_key(
    *, kind: str, name: str, scopes: Collection[str] | None = None, expires_at: datetime | None = None,
    limits: Mapping[str, int | None] | None = None, by: Actor,
) -> tuple[ApiKey, str]:  # fmt: skip
    """Make a member key for oneself or a service key for the organisation. Returns the row and the text, shown once.

    Without `scopes` it may be used for all that its maker may (a service key administers nothing); a key makes none
    that may more than itself (Forbidden). `limits` of its own are for who manages keys: as in `limit_key`.
    """
    tenant, who = by.in_tenant(), by.acting_for()
    refuse_past(expires_at)
    scopes = chosen_scopes(scopes, by, without={Scope.ADMIN} if kind == ApiKey.Kind.SERVICE else set())
    with by.doing("key.manage" if kind == ApiKey.Kind.SERVICE else "key.own", tenant) as event:
        key_id = uuid7()
        text, kept = mint(tenant.id, key_id)
        row = ApiKey(id=key_id, tenant=tenant, kind=kind, name=name, secret_hash=kept, expires_at=expires_at)
        row.scopes = scopes
        row.member_id = who.id if kind == ApiKey.Kind.MEMBER else None
        row.created_by = by.label
        if limits:
            by.need("key.manage")
            _check_limits(limits, tenant)
            row.requests_per_minute, row.concurrent_runs = (
                limits.get("requests_per_minute"),
                limits.get("concurrent_runs"),
            )
        row.save(force_insert=True)
        row.refresh_from_db(fields=["created_at"])
        event.detail = {"key": str(key_id), "kind": kind, "scopes": scopes, **(limits or {})}
    return row, text


def chosen_scopes(asked: Collection[str] | None, by: Actor, *, without: Collection[str] = ()) -> list[str]:
    """The scopes of a key to make, in their order: those asked for, or all that its maker has and its kind can use."""
    mine = by.scopes - frozenset(without)
    if asked is None:
        return [scope.value for scope in Scope if scope in mine]
    if not asked:
        raise Invalid("A key is for something.", errors=[Problem("/scopes", "min_length", "name one at least")])
    if frozenset(asked) & frozenset(without):
        told = "a service key administers nothing: use a member's"
        raise Invalid("A service key has no such scope.", errors=[Problem("/scopes", "enum", told)])
    if not mine.issuperset(asked):
        raise Forbidden("A key makes no key that may do more than itself. Sign in, or use one with more scopes.")
    return [scope.value for scope in Scope if scope in asked]


def refuse_past(expires_at: datetime | None) -> None:
    """Refuse (Invalid) a key that would have ended before it is used."""
    if expires_at is not None and expires_at <= timezone.now():
        raise Invalid("A key cannot end in the past.", errors=[Problem("/expires", "min", "must be in the future")])


def keys_seen_by(actor: Actor) -> QuerySet[ApiKey]:
    """The keys that an actor may see: all of the organisation for who manages keys, else one's own."""
    keys = ApiKey.objects.order_by("-id")
    return keys if "key.manage" in actor.can else keys.filter(member_id=actor.acting_for().id)


def revoke_key(key: ApiKey, *, by: Actor) -> None:
    """End a key at once; its own holder may, and who manages keys. Ending an ended key changes nothing."""
    own = key.member_id == by.acting_for().id
    with by.doing("key.own" if own else "key.manage", key):
        ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=Now())


def login_for(email: str, *, name: str = "") -> User:
    """Return the login with this address, made if there is none, to be opened by password reset."""
    return User.objects.db_manager(OPERATOR).of(email, name=name)


def _check_limits(limits: Mapping[str, int | None], tenant: Tenant) -> None:
    most = {"requests_per_minute": requests_of_tenant(tenant), "concurrent_runs": runs_of_tenant(tenant)}
    wrong = [
        Problem(f"/{name}", "max_value", f"must be at most the organisation's {most[name]}")
        for name, number in limits.items()
        if number is not None and number > most[name]
    ]
    if wrong:
        raise Invalid("A key cannot have more than its organisation.", errors=wrong)


def check_address(email: str) -> None:
    """Refuse (Invalid) what is no e-mail address, or longer than one is kept."""
    try:
        validate_email(email)
        User._meta.get_field("email").run_validators(email)
    except ValidationError:
        told = "must be an e-mail address"
        raise Invalid("That is no e-mail address.", errors=[Problem("/email", "invalid", told)]) from None


def check_role(role: str, by: Actor, was: str = "") -> None:
    """Refuse a role that there is not (Invalid), and one above the actor's own, to give or to take (Forbidden)."""
    if role not in list(Role):
        known = ", ".join(Role)
        raise Invalid(f"There is no role {role}.", errors=[Problem("/role", "enum", f"must be one of: {known}")])
    if cast(str, Role.OWNER) in (role, was) and "owner.manage" not in by.can:
        raise Forbidden("Only an owner may make, change or remove an owner.")


def hold_roles(by: Actor, member: Member | None = None) -> Member:
    """Read anew, and hold to the end of the transaction, who is what: the actor, the member, and every owner.

    So nobody acts in a role that somebody has just taken from them, nor judges a member by what they were a moment ago.
    All in the order of their ids, so that two who change each other never wait for each other. Returns the member, or
    the actor's own row. Raises Forbidden for an actor who is something else by now, NotFound for a member who is gone.
    """
    mine = by.acting_for().id
    wanted = mine if member is None else member.pk
    rows = Member.objects.select_related("user").select_for_update(of=("self",), no_key=True)
    live = rows.filter(Q(pk__in=(mine, wanted)) | Q(role=Role.OWNER), removed_at=None).order_by("pk")
    held = {row.pk: row for row in live}
    if mine not in held or held[mine].role != by.role:
        raise Forbidden("Your role was changed a moment ago. Look again what you may do.")
    if wanted not in held:
        raise NotFound
    return held[wanted]


def _end(member: Member) -> None:
    """End a membership, its keys, and what it has invited to that nobody has come to."""
    _keep_an_owner(member, None)
    ApiKey.objects.filter(member=member, revoked_at=None).update(revoked_at=Now())
    _revoke_invitations(member, frozenset())
    member.removed_at = timezone.now()
    member.save(update_fields=["removed_at"])


def _revoke_invitations(member: Member, can: Collection[str]) -> None:
    """Revoke what a member has asked people to become that they could not ask them now."""
    open_ones = Invitation.objects.filter(invited_by=f"member:{member.id}", accepted_at=None, revoked_at=None)
    if "member.manage" in can:
        open_ones = open_ones.none() if "owner.manage" in can else open_ones.filter(role=Role.OWNER)
    open_ones.update(revoked_at=Now())


def _keep_an_owner(member: Member, role: str | None) -> None:
    """Refuse (Conflict) to leave an organisation without an owner; within `hold_roles`."""
    if member.role != Role.OWNER or role == Role.OWNER:
        return
    if not Member.objects.filter(role=Role.OWNER, removed_at=None).exclude(pk=member.pk).exists():
        raise Conflict("An organisation needs an owner: make somebody else one first.")


def members_of(actor: Actor, *, search: str = "", after: UUID | None = None, most: int | None = None) -> list[Member]:
    """The members of the actor's organisation with their logins, the longest-serving first: all, or a page of them.

    `search` is a part of their name or address, `after` the id of the last one of the page before.
    """
    with actor.present():
        rows = Member.objects.select_related("user").filter(removed_at=None).order_by("id")
        if search:
            rows = rows.filter(Q(user__name__icontains=search) | Q(user__email__icontains=search))
        return list(rows[:most] if after is None else rows.filter(id__gt=after)[:most])


def owners_of(actor: Actor) -> int:
    """How many owners the actor's organisation has."""
    with actor.present():
        return Member.objects.filter(removed_at=None, role=Role.OWNER).count()


def find_member(member_id: UUID, actor: Actor) -> Member:
    """The member with this id in the actor's organisation; NotFound otherwise."""
    with actor.present():
        member = Member.objects.select_related("user").filter(pk=member_id, removed_at=None).first()
    if member is None:
        raise NotFound
    return member
