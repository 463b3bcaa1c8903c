"""The keys of the vendor's staff: everybody's own."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from tenants.models import OperatorKey
from tenants.operators import create_operator_key, keys_of_operator, oneself, revoke_operator_key
from tenants.rotation import rotate_operator_key

from .door import Door, found, page, shown_once
from .fields import Moment, Scopes, Strict, Text
from .schema import PAGING
from .shapes import NEW_OPERATOR_KEY, OPERATOR_KEY, answers, listed
from .tenant import RotationBody


class OperatorKeyBody(Strict):
    """A key to make."""

    name = Text(max_length=100)
    scopes = Scopes(required=False)
    expires = Moment(required=False, allow_null=True)


class OperatorKeys(Door):
    """One's own keys."""

    @extend_schema(parameters=PAGING, responses=answers(listed(OPERATOR_KEY)), summary="My keys (operators)")
    def get(self, request: Request) -> Response:
        self.actor.need("operator_key.own")
        return page(request, keys_of_operator(self.actor), operator_key_json, actor=self.actor)

    @extend_schema(
        request=OperatorKeyBody, responses=answers(NEW_OPERATOR_KEY, 201),
        summary="Make a key: its text is shown this once (operators)",
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        self.actor.need("operator_key.own")
        body = self.read(OperatorKeyBody)
        row, text = create_operator_key(
            oneself(self.actor), name=body["name"], scopes=body.get("scopes"), expires_at=body.get("expires"),
            by=self.actor,
        )  # fmt: skip
        return shown_once(operator_key_json(row), text)


class OneOperatorKey(Door):
    """One of them."""

    @extend_schema(responses={204: None}, summary="Revoke a key of mine, at once (operators)")
    def delete(self, request: Request, key_id: UUID) -> Response:
        self.actor.need("operator_key.own")
        revoke_operator_key(found(keys_of_operator(self.actor), key_id, self.actor), by=self.actor)
        return Response(status=204)


class RotateOperatorKey(Door):
    """A key that takes another's place."""

    @extend_schema(
        request=RotationBody, responses=answers(NEW_OPERATOR_KEY, 201),
        summary="Make a key like this one; the old one lives until a given time (operators)",
    )  # fmt: skip
    def post(self, request: Request, key_id: UUID) -> Response:
        self.actor.need("operator_key.own")
        until = self.read(RotationBody).get("until")
        row = found(keys_of_operator(self.actor), key_id, self.actor)
        new, text = rotate_operator_key(row, until=until, by=self.actor)
        return shown_once(operator_key_json(new), text)


def operator_key_json(row: OperatorKey) -> dict[str, Any]:
    """A key as the API shows it: never its secret."""
    return {
        "id": str(row.id),
        "name": row.name,
        "scopes": row.scopes,
        "created": row.created_at,
        "expires": row.expires_at,
        "revoked": row.revoked_at,
        "last_used": row.last_used_at,
        "replaced_by": row.replaced_by,
    }
