"""The vendor's own doors: model targets, organisations, and what operators did."""

from typing import Any

from django.core.validators import validate_slug
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from features.actions.targets import (
    Remapped,
    add_target,
    end_target,
    keep_target,
    meant_by,
    point_alias,
    rehearse_target,
    target_of,
)
from features.models import MODELS, ModelAlias, ModelTarget
from features.validity import bump_vendor
from tenants.actions import create_tenant, limit_tenant, login_for, set_tenant_state
from tenants.errors import Malformed, NotFound
from tenants.isolation import OPERATOR
from tenants.models import Tenant, VendorAuditEvent
from tenants.privacy import erase_tenant
from tenants.workshop import customers

from .conditions import Conditional
from .door import Door, flag, page, whole
from .fields import Address, Choice, Moment, Object, Strict, Text, Whole
from .privacy import AFTER, erasure_json, walked
from .privacy_shapes import ERASURE, VERIFIED
from .schema import DRY_RUN, PAGING
from .shapes import EVENT, REMAPPED, TARGET, TENANT_ROW, answers, listed
from .tenant import LIMITS, LimitsBody, event_json

REPLACEMENT = OpenApiParameter("replacement", int, description="what the alias is to mean from now on, if this")
HIGHEST_PRICE = 10**12  # a million of the currency per million tokens


class TargetBody(Strict):
    """What an alias is to mean: prices are micro-units of the currency per million tokens."""

    alias = Text(max_length=64)
    provider = Text(max_length=40)
    model = Text(max_length=200)
    input_price = Whole(min_value=0, max_value=HIGHEST_PRICE)
    output_price = Whole(min_value=0, max_value=HIGHEST_PRICE)
    cached_input_price = Whole(min_value=0, max_value=HIGHEST_PRICE, required=False)
    capabilities = Object(required=False)


class AliasBody(Strict):
    """Which of its targets an alias means."""

    revision = Whole(min_value=1)


class EndBody(Strict):
    """When a target ends, null for never, and what its alias is to mean from now on if it means this one."""

    ends = Moment(allow_null=True)
    replacement = Whole(min_value=1, required=False)

    def validate(self, attrs: Any) -> Any:
        """What does not end needs no replacement."""
        if attrs["ends"] is None and "replacement" in attrs:
            raise serializers.ValidationError({"replacement": "A target that stays needs none."}, code="together")
        return attrs


class NewTenant(Strict):
    """A new organisation and its first owner."""

    slug = Text(max_length=50, validators=[validate_slug])
    name = Text(max_length=200)
    owner = Address()


class TenantBody(LimitsBody):
    """What the vendor sets of an organisation; what is not given stays. A state that is not active takes a reason."""

    state = Choice(Tenant.State.values, required=False)
    reason = Text(max_length=500, required=False, allow_blank=True)

    def validate(self, attrs: Any) -> Any:
        """A reason goes with a state."""
        if "reason" in attrs and "state" not in attrs:
            raise serializers.ValidationError({"reason": "A reason goes with a state."}, code="together")
        return attrs


class Models(Door):
    """Model targets."""

    @extend_schema(
        parameters=PAGING, responses=answers(listed(TARGET)), summary="The targets, newest first (operators)"
    )
    def get(self, request: Request) -> Response:
        self.actor.need("model.manage")
        current = set(ModelAlias.objects.using(OPERATOR).filter(valid_to=None).values_list("target_id", flat=True))
        rows = ModelTarget.objects.using(OPERATOR).all()
        return page(request, rows, lambda row: target_row(row, row.id in current), actor=self.actor)

    @extend_schema(
        request=TargetBody, parameters=[DRY_RUN], responses={**answers(TARGET, 201), **answers(REMAPPED)},
        summary="Add a target and point its alias to it; a rehearsal answers whom that would reach",
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        self.actor.need("model.manage")
        body = self.read(TargetBody)
        if flag(request, "dry_run"):
            return Response(_remapped(rehearse_target(**body, by=self.actor), True))
        return Response(target_row(add_target(**body, by=self.actor), True), status=201)


class OfModels(Conditional):
    """A door of what model aliases mean."""

    def hold(self, **named: Any) -> None:
        bump_vendor(MODELS)


class Alias(OfModels):
    """An alias."""

    state = ("revision",)

    @extend_schema(responses=answers(REMAPPED), summary="The target that an alias means (operators)")
    def get(self, request: Request, alias: str) -> Response:
        return Response(_remapped(meant_by(alias, self.actor), False))

    @extend_schema(
        request=AliasBody, parameters=[DRY_RUN], responses=answers(REMAPPED),
        summary="Point an alias to one of its targets, and see whom that reaches (operators)",
    )  # fmt: skip
    def put(self, request: Request, alias: str) -> Response:
        self.actor.need("model.manage")
        revision, dry = self.read(AliasBody)["revision"], flag(request, "dry_run")
        return Response(_remapped(point_alias(alias, revision, by=self.actor, dry_run=dry), dry))


class OneTarget(OfModels):
    """A target of an alias, and its end."""

    state = ("ends", "current")

    @extend_schema(responses=answers(REMAPPED), summary="A target, and whom its end would touch (operators)")
    def get(self, request: Request, alias: str, revision: int) -> Response:
        self.actor.need("model.manage")
        return Response(_remapped(target_of(alias, revision, self.actor), False))

    @extend_schema(
        request=EndBody, parameters=[DRY_RUN], responses=answers(REMAPPED),
        summary="Say when a target ends, or that it does not (operators)",
    )  # fmt: skip
    def put(self, request: Request, alias: str, revision: int) -> Response:
        self.actor.need("model.manage")
        body, dry = self.read(EndBody), flag(request, "dry_run")
        if body["ends"] is None:
            return Response(_remapped(keep_target(alias, revision, by=self.actor, dry_run=dry), dry))
        stand_in = body.get("replacement")
        ended = end_target(alias, revision, at=body["ends"], replacement=stand_in, by=self.actor, dry_run=dry)
        return Response(_remapped(ended, dry))

    @extend_schema(
        parameters=[DRY_RUN, REPLACEMENT], responses=answers(REMAPPED), summary="End a target at once (operators)"
    )
    def delete(self, request: Request, alias: str, revision: int) -> Response:
        self.actor.need("model.manage")
        dry, text = flag(request, "dry_run"), request.query_params.get("replacement")
        stand_in = None if text is None else whole(text, -1)
        if stand_in is not None and stand_in < 1:
            raise Malformed("replacement is the number of a target.")
        ended = end_target(alias, revision, at=None, replacement=stand_in, by=self.actor, dry_run=dry)
        return Response(_remapped(ended, dry))


class Tenants(Door):
    """Organisations."""

    @extend_schema(parameters=PAGING, responses=answers(listed(TENANT_ROW)), summary="The organisations (operators)")
    def get(self, request: Request) -> Response:
        self.actor.need("tenant.list")
        return page(request, customers(), _tenant_json, actor=self.actor)

    @extend_schema(request=NewTenant, responses=answers(TENANT_ROW, 201), summary="Make an organisation (operators)")
    def post(self, request: Request) -> Response:
        self.actor.need("tenant.create")
        body = self.read(NewTenant)
        with self.actor.present():  # without the organisation no login for its owner either
            owner = login_for(body["owner"])
            tenant, _ = create_tenant(slug=body["slug"], name=body["name"], owner=owner, by=self.actor)
        return Response(_tenant_json(tenant), status=201)


class OneTenant(Conditional):
    """One organisation."""

    state = (*LIMITS, "state", "reason")

    def hold(self, slug: str) -> None:
        list(customers().select_for_update(no_key=True).filter(slug=slug))

    @extend_schema(responses=answers(TENANT_ROW), summary="An organisation (operators)")
    def get(self, request: Request, slug: str) -> Response:
        self.actor.need("tenant.list")
        return Response(_tenant_json(self._found(slug)))

    def _found(self, slug: str) -> Tenant:
        with self.actor.present():
            tenant = customers().filter(slug=slug).first()
        if tenant is None:
            raise NotFound("There is no such organisation.")
        return tenant

    @extend_schema(
        request=TenantBody, responses=answers(TENANT_ROW),
        summary="Suspend, close or open an organisation, or give it limits of its own (operators)",
    )  # fmt: skip
    def patch(self, request: Request, slug: str) -> Response:
        self.actor.need("tenant.limits")
        body, tenant = self.read(TenantBody), self._found(slug)
        limits = {name: body[name] for name in LIMITS if name in body}
        with self.actor.present():  # both or neither
            if limits:
                tenant = limit_tenant(tenant, limits, by=self.actor)
            if "state" in body:
                tenant = set_tenant_state(tenant, body["state"], reason=body.get("reason", ""), by=self.actor)
        return Response(_tenant_json(tenant))


class EraseBody(Strict):
    """Which organisation is meant, said in words."""

    confirm = Text(max_length=100)


class EraseTenant(Door):
    """The erasing of a whole organisation."""

    @extend_schema(
        request=EraseBody, responses=answers(ERASURE, 202),
        summary="Erase a closed organisation, all of it: `confirm` is `erase <slug>` (operators)",
    )  # fmt: skip
    def post(self, request: Request, slug: str) -> Response:
        self.actor.need("tenant.erase")
        confirm = self.read(EraseBody)["confirm"]
        with self.actor.present():
            tenant = customers().filter(slug=slug).first()
        if tenant is None:
            raise NotFound("There is no such organisation.")
        erasure = erase_tenant(tenant, confirm=confirm, by=self.actor)
        return Response(erasure_json(erasure), status=202, headers={"Location": f"/api/v1/erasures/{erasure.id}"})


class VendorAuditVerify(Door):
    """The chain of what operators did."""

    @extend_schema(parameters=AFTER, responses=answers(VERIFIED), summary="Walk the vendor's audit chain (operators)")
    def get(self, request: Request) -> Response:
        self.actor.need("audit.vendor")
        return walked(request, None)


class VendorAudit(Door):
    """What operators did."""

    @extend_schema(parameters=PAGING, responses=answers(listed(EVENT)), summary="The vendor's audit list (operators)")
    def get(self, request: Request) -> Response:
        self.actor.need("audit.vendor")
        return page(request, VendorAuditEvent.objects.using(OPERATOR).all(), event_json, actor=self.actor)


def target_row(row: ModelTarget, current: bool) -> dict[str, Any]:
    """A model target as the API shows it."""
    return {
        "alias": row.alias,
        "revision": row.revision,
        "provider": row.provider,
        "model": row.model,
        "input_price": row.input_price,
        "cached_input_price": row.cached_input_price,
        "output_price": row.output_price,
        "capabilities": row.capabilities,
        "current": current,
        "ends": row.ends_at,
    }


def _remapped(done: Remapped, dry_run: bool) -> dict[str, Any]:
    told = {"before": done.before, "named_by": done.named.as_json(), "dry_run": dry_run}
    return {**target_row(done.target, done.current), **told}


def _tenant_json(row: Tenant) -> dict[str, Any]:
    limits = {"requests_per_minute": row.requests_per_minute, "concurrent_runs": row.concurrent_runs}
    state = {"state": row.state, "reason": row.state_reason, "since": row.state_at}
    return {"id": str(row.id), "slug": row.slug, "name": row.name, **limits, **state}
