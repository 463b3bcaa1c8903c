"""An organisation's own keys for model providers: written, listed, ended, and never read back."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from tenants.models import ProviderKey
from tenants.provider_keys import add_provider_key, find_provider_key, revoke_provider_key, state_of
from tenants.secrets import Secret

from .door import Door, page
from .fields import Strict, Text
from .outbound_shapes import PROVIDER_KEY
from .schema import PAGING
from .shapes import answers, listed


class KeyText(Text):
    """A provider's key: printable ASCII, as a header takes it. Errors never repeat it."""

    default_error_messages = {"key": "must have 16 to 500 characters, without spaces, as a header takes them"}

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str):
            self.fail("invalid")
        if not (16 <= len(data) <= 500 and data.isascii() and data.isprintable() and " " not in data):
            self.fail("key")
        return Secret(data)


class ProviderKeyBody(Strict):
    """A key to enter, for one of the providers that models are served by."""

    provider = Text(max_length=40)
    name = Text(max_length=100)
    key = KeyText(write_only=True)
    base_url = Text(max_length=2000, required=False, allow_null=True)


class ProviderKeys(Door):
    """The keys."""

    @extend_schema(parameters=PAGING, responses=answers(listed(PROVIDER_KEY)), summary="Own provider keys (admins)")
    def get(self, request: Request) -> Response:
        self.actor.need("provider_key.manage")
        rows = ProviderKey.objects.filter(tenant_id=self.actor.tenant_id)
        return page(request, rows, _json, actor=self.actor)

    @extend_schema(
        request=ProviderKeyBody, responses=answers(PROVIDER_KEY, 201),
        summary="Enter a provider key of one's own: it is never shown again (admins)",
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        self.actor.need("provider_key.manage")
        body = self.read(ProviderKeyBody)
        row = add_provider_key(
            provider=body["provider"], name=body["name"], key=body["key"], base_url=body.get("base_url") or "",
            by=self.actor,
        )  # fmt: skip
        return Response(_json(row), status=201)


class OneProviderKey(Door):
    """One key."""

    @extend_schema(responses={204: None}, summary="End a provider key, from the next call on (admins)")
    def delete(self, request: Request, key_id: UUID) -> Response:
        self.actor.need("provider_key.manage")
        revoke_provider_key(find_provider_key(key_id, self.actor), by=self.actor)
        return Response(status=204)


def _json(row: ProviderKey) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "provider": row.provider,
        "name": row.name,
        "base_url": row.base_url or None,
        "last_four": row.last_four,
        "fingerprint": row.fingerprint,
        "state": state_of(row),
        "created_by": row.created_by,
        "created": row.created_at,
        "revoked": row.revoked_at,
        "refused": row.refused_at,
    }
