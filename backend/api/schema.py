"""How the doors of DRF are told to the OpenAPI generator: names, groups, and who may ask."""

import re
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter

GROUPS = {  # in the order that the reference has them
    "features": "Features and behavior",
    "runs": "Runs",
    "runs_read": "Runs",
    "usage": "Runs",
    "batches": "Batches",
    "overrides": "Overrides",
    "conflicts": "Overrides",
    "people": "Overrides",
    "pins": "Pins and restore",
    "previews": "Previews",
    "suggestions": "Suggestions",
    "notices": "Notices",
    "webhooks": "Webhooks",
    "tenant": "The organisation",
    "budgets": "The organisation",
    "invitations": "The organisation",
    "privacy": "The organisation",
    "provider_keys": "The organisation",
    "support": "The organisation",
    "vendor": "The vendor",
    "approvals": "The vendor",
    "availability": "The vendor",
    "operator_keys": "The vendor",
    "withdrawals": "The vendor",
    "rollouts": "Rollouts",
    "impact": "Rollouts",
}

SECURITY = {
    "key": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "bsk_<id>_<secret>",
        "description": "A member's key acts as that member; a service key for the subject that `Bespoke-User` names, "
        "or without it for the organisation; an operator's key is the vendor's.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "session",
        "description": "The dashboard's sign-in; writes also send `X-CSRFToken`.",
    },
}


def header(name: str, words: str) -> OpenApiParameter:
    """Return a request header as a parameter."""
    return OpenApiParameter(name, str, OpenApiParameter.HEADER, description=words)


IF_MATCH = header("If-Match", "the ETag last seen; a write over a newer state is refused with 412")
IF_NONE_MATCH = header("If-None-Match", "`*`: there is none yet")
CONDITIONS = [IF_MATCH, IF_NONE_MATCH]
DRY_RUN = OpenApiParameter("dry_run", bool, description="answer what would change, and change nothing")
PAGING = [
    OpenApiParameter("limit", OpenApiTypes.INT, description="how many, 1 to 200; 50 if not said"),
    OpenApiParameter("cursor", str, description="`next` of the page before"),
]


class DoorSchema(AutoSchema):
    """Names an operation by its method and view (`put_override`), and groups it by the noun of its module."""

    def get_operation_id(self) -> str:
        name = type(self.view).__name__.removesuffix("Door")
        return self.method.lower() + re.sub(r"([A-Z])", r"_\1", name).lower()

    def get_override_parameters(self) -> list[Any]:
        if self.method in ("PUT", "PATCH", "DELETE") and hasattr(self.view, "state"):
            return list(CONDITIONS)
        return []

    def get_tags(self) -> list[str]:
        return [GROUPS[type(self.view).__module__.rpartition(".")[2]]]


class ActorScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # has no types of its own
    """Who may ask: either of the two."""

    target_class = "backend.api.asking.ActorAuthentication"
    name = list(SECURITY)

    def get_security_definition(self, auto_schema: AutoSchema) -> list[dict[str, Any]]:
        return list(SECURITY.values())
