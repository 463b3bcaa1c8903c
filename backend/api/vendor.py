"""The vendor's own doors: model targets, organisations, and what operators did."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from features.actions.targets import add_target, point_alias
from features.models import ModelAlias, ModelTarget
from tenants.actions import create_tenant, login_for
from tenants.isolation import OPERATOR
from tenants.models import Tenant, VendorAuditEvent

from .door import Door, Strict, page
from .shapes import EVENT, TARGET, TENANT, listed
from .tenant import event_json


class TargetBody(Strict):
    """What an alias is to mean: prices are micro-units of the currency per million tokens."""

    alias = serializers.CharField(max_length=64)
    provider = serializers.CharField(max_length=40)
    model = serializers.CharField(max_length=200)
    input_price = serializers.IntegerField(min_value=0)
    output_price = serializers.IntegerField(min_value=0)
    cached_input_price = serializers.IntegerField(min_value=0, required=False)
    capabilities = serializers.DictField(required=False)


class AliasBody(Strict):
    """Which of its targets an alias means."""

    revision = serializers.IntegerField(min_value=1)


class TenantBody(Strict):
    """A new organisation and its first owner."""

    slug = serializers.SlugField(max_length=50)
    name = serializers.CharField(max_length=200)
    owner = serializers.EmailField()


class Models(Door):
    """Model targets."""

    @extend_schema(responses=listed(TARGET), summary="The targets, newest first (operators)")
    def get(self, request: Request) -> Response:
        self.actor.need("model.manage")
        current = set(ModelAlias.objects.using(OPERATOR).filter(valid_to=None).values_list("target_id", flat=True))
        rows = ModelTarget.objects.using(OPERATOR).all()
        return page(request, rows, lambda row: target_row(row, row.id in current), actor=self.actor)

    @extend_schema(request=TargetBody, responses={201: TARGET}, summary="Add a target and point its alias to it")
    def post(self, request: Request) -> Response:
        target = add_target(**self.read(TargetBody), by=self.actor)
        return Response(target_row(target, True), status=201)


class Alias(Door):
    """An alias."""

    @extend_schema(request=AliasBody, responses=TARGET, summary="Point an alias to one of its targets (operators)")
    def put(self, request: Request, alias: str) -> Response:
        return Response(target_row(point_alias(alias, self.read(AliasBody)["revision"], by=self.actor), True))


class Tenants(Door):
    """Organisations."""

    @extend_schema(responses=listed(TENANT), summary="The organisations (operators)")
    def get(self, request: Request) -> Response:
        self.actor.need("tenant.list")
        return page(request, Tenant.objects.using(OPERATOR).all(), _tenant_json, actor=self.actor)

    @extend_schema(request=TenantBody, responses={201: TENANT}, summary="Make an organisation (operators)")
    def post(self, request: Request) -> Response:
        body = self.read(TenantBody)
        self.actor.need("tenant.create")
        owner = login_for(body["owner"])
        tenant, _ = create_tenant(slug=body["slug"], name=body["name"], owner=owner, by=self.actor)
        return Response(_tenant_json(tenant), status=201)


class VendorAudit(Door):
    """What operators did."""

    @extend_schema(responses=listed(EVENT), summary="The vendor's audit list (operators)")
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
    }


def _tenant_json(row: Tenant) -> dict[str, Any]:
    return {"id": str(row.id), "slug": row.slug, "name": row.name}
