"""The organisation: who is in it, its keys, its policy, what was done in it."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from features.actions.policy import hold_policy, policy_now, set_policy
from features.models import Policy
from tenants.actions import (
    add_member,
    change_role,
    create_key,
    find_member,
    keys_seen_by,
    leave,
    limit_key,
    remove_member,
    require_mfa,
    revoke_key,
)
from tenants.limits import requests_of_tenant, runs_of_tenant
from tenants.models import ApiKey, AuditEvent, Member, Subject
from tenants.roles import Role
from tenants.rotation import rotate_key

from .conditions import Conditional, held
from .door import Door, found, page, shown_once
from .fields import Address, Choice, MayPin, Moment, Scopes, Strict, Text, Truth, Whole
from .schema import PAGING
from .shapes import EVENT, KEY, ME, MEMBER, NEW_KEY, SUBJECT, TENANT, answers, listed

HIGHEST_LIMIT = 1_000_000
LIMITS = ("requests_per_minute", "concurrent_runs")


class PolicyBody(Strict):
    """What users may do; what is not given stays."""

    users_may_pin = MayPin(required=False)
    users_may_override = Truth(required=False)
    retention_days = Whole(min_value=1, max_value=3650, required=False, allow_null=True)
    store = Truth(required=False)
    require_mfa = Truth(required=False)


class TenantChange(Strict):
    """What can be changed of the organisation."""

    policy = PolicyBody()


class MemberBody(Strict):
    """A person to add."""

    email = Address()
    role = Choice([role.value for role in Role])
    name = Text(max_length=200, required=False, allow_blank=True)


class RoleBody(Strict):
    """Another role."""

    role = Choice([role.value for role in Role])


class LimitsBody(Strict):
    """Limits of a tenant's or a key's own; null is the default, and what is not given stays."""

    requests_per_minute = Whole(min_value=1, max_value=HIGHEST_LIMIT, required=False, allow_null=True)
    concurrent_runs = Whole(min_value=1, max_value=HIGHEST_LIMIT, required=False, allow_null=True)


class KeyBody(LimitsBody):
    """A key to make."""

    kind = Choice(ApiKey.Kind.values)
    name = Text(max_length=100)
    scopes = Scopes(required=False)
    expires = Moment(required=False, allow_null=True)


class RotationBody(Strict):
    """Until when the old key lives on."""

    until = Moment(required=False)


class Me(Door):
    """Who one is here."""

    @extend_schema(responses=answers(ME), summary="Who am I, in which organisation, and what may I do")
    def get(self, request: Request) -> Response:
        actor = self.actor
        return Response(
            {
                "kind": actor.kind,
                "name": actor.name,
                "role": actor.role,
                "can": sorted(actor.can),
                "tenant": actor.tenant.slug if actor.tenant else None,
                "subject": actor.subject.key if actor.subject else None,
            }
        )


class TenantDoor(Conditional):
    """The organisation itself."""

    state = ("policy",)

    def hold(self) -> None:
        hold_policy(self.actor.tenant_id)

    @extend_schema(responses=answers(TENANT), summary="The organisation and its policy")
    def get(self, request: Request) -> Response:
        self.actor.need("tenant.read")
        with self.actor.present():
            return Response(self._json(policy_now()))

    @extend_schema(request=TenantChange, responses=answers(TENANT), summary="Change the policy (admins)")
    def patch(self, request: Request) -> Response:
        self.actor.need("policy.manage")
        asked = self.read(TenantChange)["policy"]
        second = asked.pop("require_mfa", None)
        with self.actor.present():  # both or neither
            if second is not None:
                require_mfa(second, by=self.actor)
            policy = set_policy(**asked, by=self.actor) if asked or second is None else policy_now()
        return Response(self._json(policy))

    def _json(self, policy: Policy) -> dict[str, Any]:
        tenant = self.actor.in_tenant()
        may_pin = policy.users_may_pin
        told = {
            "users_may_pin": int(may_pin) if may_pin.isdigit() else may_pin,
            "users_may_override": policy.users_may_override,
            "retention_days": policy.retention_days,
            "store": policy.store,
            "require_mfa": tenant.require_mfa,
        }
        limits = {"requests_per_minute": requests_of_tenant(tenant), "concurrent_runs": runs_of_tenant(tenant)}
        return {"id": str(tenant.id), "slug": tenant.slug, "name": tenant.name, "policy": told, "limits": limits}


class Members(Door):
    """The people of the organisation."""

    @extend_schema(parameters=PAGING, responses=answers(listed(MEMBER)), summary="The members (admins)")
    def get(self, request: Request) -> Response:
        self.actor.need("member.read")
        rows = Member.objects.select_related("user").filter(tenant_id=self.actor.tenant_id, removed_at=None)
        return page(request, rows, member_json, actor=self.actor)

    @extend_schema(request=MemberBody, responses=answers(MEMBER, 201), summary="Add a person (admins)")
    def post(self, request: Request) -> Response:
        self.actor.need("member.manage")
        return Response(member_json(add_member(**self.read(MemberBody), by=self.actor)), status=201)


class OneMember(Conditional):
    """One person."""

    state = ("role",)

    def hold(self, member_id: UUID) -> None:
        held(Member.objects.all(), member_id)

    @extend_schema(responses=answers(MEMBER), summary="A member (admins)")
    def get(self, request: Request, member_id: UUID) -> Response:
        self.actor.need("member.read")
        return Response(member_json(find_member(member_id, self.actor)))

    @extend_schema(request=RoleBody, responses=answers(MEMBER), summary="Give a member another role (admins)")
    def patch(self, request: Request, member_id: UUID) -> Response:
        self.actor.need("member.manage")
        body = self.read(RoleBody)
        return Response(member_json(change_role(find_member(member_id, self.actor), body["role"], by=self.actor)))

    @extend_schema(responses={204: None}, summary="End a membership (admins), or leave (one's own)")
    def delete(self, request: Request, member_id: UUID) -> Response:
        if self.actor.acting_for().id == member_id:
            leave(by=self.actor)
            return Response(status=204)
        self.actor.need("member.manage")
        remove_member(find_member(member_id, self.actor), by=self.actor)
        return Response(status=204)


class Subjects(Door):
    """Whom behavior was resolved for."""

    @extend_schema(
        parameters=PAGING, responses=answers(listed(SUBJECT)),
        summary="The subjects that something was written for (admins)",
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        self.actor.need("subject.read")
        rows = Subject.objects.filter(tenant_id=self.actor.tenant_id).exclude(kind=Subject.Kind.TENANT)
        return page(request, rows, _subject_json, actor=self.actor)


class Keys(Door):
    """API keys."""

    @extend_schema(parameters=PAGING, responses=answers(listed(KEY)), summary="My keys; for admins the organisation's")
    def get(self, request: Request) -> Response:
        rows = keys_seen_by(self.actor).filter(tenant_id=self.actor.tenant_id)
        return page(request, rows, key_json, actor=self.actor)

    @extend_schema(request=KeyBody, responses=answers(NEW_KEY, 201), summary="Make a key: its text is shown this once")
    def post(self, request: Request) -> Response:
        self.actor.in_tenant()
        body = self.read(KeyBody)
        limits = {name: body[name] for name in LIMITS if name in body}
        row, text = create_key(
            kind=body["kind"], name=body["name"], scopes=body.get("scopes"), expires_at=body.get("expires"),
            limits=limits, by=self.actor,
        )  # fmt: skip
        return shown_once(key_json(row), text)


class OneKey(Conditional):
    """One key."""

    state = LIMITS

    def hold(self, key_id: UUID) -> None:
        held(ApiKey.objects.all(), key_id)

    @extend_schema(responses=answers(KEY), summary="A key of mine; for admins any of the organisation's")
    def get(self, request: Request, key_id: UUID) -> Response:
        return Response(key_json(found(keys_seen_by(self.actor), key_id, self.actor)))

    @extend_schema(request=LimitsBody, responses=answers(KEY), summary="Give a key limits of its own (admins)")
    def patch(self, request: Request, key_id: UUID) -> Response:
        self.actor.need("key.manage")
        limits = self.read(LimitsBody)
        return Response(key_json(limit_key(found(keys_seen_by(self.actor), key_id, self.actor), limits, by=self.actor)))

    @extend_schema(responses={204: None}, summary="Revoke a key, at once")
    def delete(self, request: Request, key_id: UUID) -> Response:
        revoke_key(found(keys_seen_by(self.actor), key_id, self.actor), by=self.actor)
        return Response(status=204)


class RotateKey(Door):
    """A key that takes another's place."""

    @extend_schema(
        request=RotationBody, responses=answers(NEW_KEY, 201),
        summary="Make a key like this one, whose text is shown this once; the old one lives until a given time",
    )  # fmt: skip
    def post(self, request: Request, key_id: UUID) -> Response:
        until = self.read(RotationBody).get("until")
        row = found(keys_seen_by(self.actor), key_id, self.actor)
        new, text = rotate_key(row, until=until, by=self.actor)
        return shown_once(key_json(new), text)


class Audit(Door):
    """What was done in the organisation."""

    @extend_schema(parameters=PAGING, responses=answers(listed(EVENT)), summary="The audit list (admins)")
    def get(self, request: Request) -> Response:
        self.actor.need("audit.read")
        rows = AuditEvent.objects.filter(tenant_id=self.actor.tenant_id)
        return page(request, rows, event_json, actor=self.actor)


def member_json(member: Member) -> dict[str, Any]:
    """A member as the API shows them."""
    return {
        "id": str(member.id),
        "email": member.user.email,
        "name": member.user.name,
        "role": member.role,
        "subject": f"member:{member.id}",
    }


def _subject_json(row: Subject) -> dict[str, Any]:
    return {"key": row.key, "kind": row.kind, "created": row.created_at}


def key_json(row: ApiKey) -> dict[str, Any]:
    """A key as the API shows it: never its secret."""
    return {
        "id": str(row.id),
        "kind": row.kind,
        "name": row.name,
        "scopes": row.scopes,
        "created": row.created_at,
        "expires": row.expires_at,
        "revoked": row.revoked_at,
        "last_used": row.last_used_at,
        "replaced_by": row.replaced_by,
        "requests_per_minute": row.requests_per_minute,
        "concurrent_runs": row.concurrent_runs,
    }


def event_json(row: Any) -> dict[str, Any]:
    """An audit event as the API shows it."""
    return {
        "id": str(row.id),
        "at": row.at,
        "actor": row.actor,
        "verb": row.verb,
        "target": row.target,
        "detail": row.detail,
        "sequence": row.sequence,
        "digest": bytes(row.digest).hex(),
    }
