"""The vendor's own doors: model targets, organisations, and what operators did."""

from typing import Any

from django.core.validators import validate_slug
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from features.actions.targets import add_target, point_alias
from features.models import ModelAlias, ModelTarget
from tenants.actions import create_tenant, login_for
from tenants.isolation import OPERATOR
from tenants.models import Tenant, VendorAuditEvent

from .door import Door, page
from .fields import Address, Object, Strict, Text, Whole
from .schema import PAGING
from .shapes import EVENT, TARGET, TENANT_ROW, answers, listed
from .tenant import event_json

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


class NewTenant(Strict):
    """A new organisation and its first owner."""

    slug = Text(max_length=50, validators=[validate_slug])
    name = Text(max_length=200)
    owner = Address()


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

    @extend_schema(request=TargetBody, responses=answers(TARGET, 201), summary="Add a target and point its alias to it")
    def post(self, request: Request) -> Response:
        self.actor.need("model.manage")
        target = add_target(**self.read(TargetBody), by=self.actor)
        return Response(target_row(target, True), status=201)


class Alias(Door):
    """An alias."""

    @extend_schema(
        request=AliasBody, responses=answers(TARGET), summary="Point an alias to one of its targets (operators)"
    )
    def put(self, request: Request, alias: str) -> Response:
        self.actor.need("model.manage")
        return Response(target_row(point_alias(alias, self.read(AliasBody)["revision"], by=self.actor), True))


class Tenants(Door):
    """Organisations."""

    @extend_schema(parameters=PAGING, responses=answers(listed(TENANT_ROW)), summary="The organisations (operators)")
    def get(self, request: Request) -> Response:
        self.actor.need("tenant.list")
        return page(request, Tenant.objects.using(OPERATOR).all(), _tenant_json, actor=self.actor)

    @extend_schema(request=NewTenant, responses=answers(TENANT_ROW, 201), summary="Make an organisation (operators)")
    def post(self, request: Request) -> Response:
        self.actor.need("tenant.create")
        body = self.read(NewTenant)
        owner = login_for(body["owner"])
        tenant, _ = create_tenant(slug=body["slug"], name=body["name"], owner=owner, by=self.actor)
        return Response(_tenant_json(tenant), status=201)


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
    }


def _tenant_json(row: Tenant) -> dict[str, Any]:
    return {"id": str(row.id), "slug": row.slug, "name": row.name}
