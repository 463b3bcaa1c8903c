"""The OpenAPI document, complete: what DRF's doors and the plain run doors say, and what holds for all of them."""

import threading
from copy import deepcopy
from functools import lru_cache
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.templatetags.static import static
from django.utils.html import format_html
from drf_spectacular.generators import SchemaGenerator

from .examples import REQUESTS
from .examples import SHAPES as SHOWN
from .idempotency import HEADER, REPLAYED
from .problems import KINDS, reads
from .runs_openapi import RUN_PATHS
from .schema import GROUPS, IF_MATCH, SECURITY
from .shapes import JSON, PROBLEM, SCHEMAS, TEXT, Schema

ABOUT = """Features that are behavior: run them, shape them for yourself, put them back.

**Who asks**: `Authorization: Bearer bsk_…`. With a service key, `Bespoke-User` names the user that you act for.

**Errors** are `application/problem+json` (RFC 9457): `type` is stable and leads to what it means, `errors` points into
what you sent, `request` is the id that is also in `Bespoke-Request` and in the logs. Fields and query parameters that
are not known are refused with 400.

**Lists** come newest first, a page at a time: `next` of one page is the `cursor` of the one after, null on the last.

**Retries**: after a 429 or a 503 send the same again once `Retry-After` seconds are over. Every POST takes an
`Idempotency-Key`: the same request with the same key, from the same API key or sign-in, is carried out once within 24
hours and answered again with `Idempotency-Replayed: true`; another request with it is 422, and one that comes while the
first is at work 409. Of what was refused nothing is kept: it may be sent again with the same key. PUT, PATCH and DELETE
do not read it: carried out twice they leave the same.

**Writes over what others may write too** take `If-Match` with the ETag last seen; over a newer state they are 412.

Times are RFC 3339 in UTC, money is whole millionths of the currency. Answers may get new fields at any time.
"""
METHODS = ("get", "post", "put", "patch", "delete")
BESPOKE_REQUEST = {"schema": TEXT, "description": "an id that is also in the logs"}
LIMITS = {
    "RateLimit-Policy": {
        "schema": TEXT,
        "example": '"tenant";q=6000;w=60, "key";q=3000;w=60',
        "description": "how many requests (q) in how many seconds (w) the organisation and this credential may make; "
        "absent while nothing is counted",
    },
    "RateLimit": {
        "schema": TEXT,
        "example": '"tenant";r=5871;t=60, "key";r=2990;t=60',
        "description": "how many are left (r), and for how many seconds there may be no more (t)",
    },
}
BESPOKE_USER = {
    "name": "Bespoke-User",
    "in": "header",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200},
    "description": "with a service key: the customer's own key for the user that it acts for, in UTF-8",
}
IDEMPOTENCY_KEY = {
    "name": HEADER,
    "in": "header",
    "schema": TEXT,
    "description": "a quoted string or bare `[A-Za-z0-9._:~-]{1,255}`, good for 24 hours: the same request is carried "
    "out once and answered the same again, and another one with this key is refused with 422",
}
_REPLAYED = {"schema": TEXT, "description": "`true`: the key has done this before"}
PATH_WORDS: dict[str, Schema] = {
    "feature": {"description": "the feature's key"},
    "layer": {
        "schema": {"type": "string", "enum": ["tenant", "user"]},
        "description": "whose changes: the organisation's (admins), or those of whom the caller acts for",
    },
    "slug": {"description": "the organisation's short name"},
    "number": {"description": "a version's number"},
    "field": {"description": "a field's name, such as `vars.tone`"},
    "subject": {"description": "an end user's key, or `member:<id>`"},
    "alias": {"description": "the name that behavior calls a model by"},
    "revision": {"description": "the number of one of its targets"},
}
DONE = {"200": "Done", "201": "Made", "202": "Taken in, and goes on", "204": "Done, and nothing to say"}
ALWAYS = (
    "malformed", "unauthenticated", "forbidden", "not-found", "not-acceptable", "address-too-long", "headers-too-large",
    "too-many", "unavailable",
)  # fmt: skip
SPENDING = ("post_run", "post_run_replay", "post_batch", "post_preview", "post_suggest")  # money, so with 402
ON_WRITING = ("stale", "conflict", "too-large", "unsupported-media", "invalid")

_making = threading.Lock()


def document() -> dict[str, Any]:
    """Return the whole document, made once per process, by one thread: its generator serves no two at once."""
    with _making:
        return _made()


@lru_cache(maxsize=1)
def _made() -> dict[str, Any]:
    generator: Any = SchemaGenerator  # has no types of its own
    made: dict[str, Any] = generator().get_schema(request=None, public=True)
    components = made["components"]
    for name, schema in components.get("schemas", {}).items():
        if name.endswith("Request"):  # unknown fields are refused
            schema["additionalProperties"] = False
    components["schemas"] = {**components.get("schemas", {}), **SCHEMAS}
    for name, example in SHOWN.items():
        components["schemas"][name] = {**components["schemas"][name], "examples": [example]}
    components["responses"] = {name: _problem(name) for name in KINDS}
    components["securitySchemes"] = SECURITY
    made["paths"] = dict(sorted({**made["paths"], **deepcopy(RUN_PATHS)}.items()))
    made["info"] |= {"description": ABOUT, "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}}
    made["tags"] = [{"name": name} for name in dict.fromkeys(GROUPS.values())]
    for path in made["paths"].values():
        replaced = any(_is_conditional(path.get(method, {})) for method in METHODS)
        for method in METHODS:
            if method in path:
                _complete(method, path[method], shows_etag=method == "get" and replaced)
    return made


def _problem(kind: str) -> Schema:
    told = KINDS[kind]
    headers: dict[str, Schema] = {"Bespoke-Request": BESPOKE_REQUEST}
    if kind != "unauthenticated":
        headers |= LIMITS
    if told.status in (429, 503):
        headers["Retry-After"] = {"schema": {"type": "integer"}, "description": "seconds"}
    content = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {"description": told.title, "headers": headers, "content": content}


def _is_conditional(operation: Schema) -> bool:
    return any(parameter["name"] == IF_MATCH.name for parameter in operation.get("parameters", []))


def _complete(method: str, operation: Schema, *, shows_etag: bool) -> None:
    """Add what holds for every door, and name the errors that this one can answer with."""
    parameters = operation.setdefault("parameters", [])
    for parameter in parameters:
        if parameter["in"] == "path":
            noun = parameter["name"].removesuffix("_id").replace("_", " ")
            parameter.update(PATH_WORDS.get(parameter["name"], {"description": f"the {noun}'s id"}))
    if operation["tags"] != [GROUPS["vendor"]]:
        parameters.append(BESPOKE_USER)
    operation["security"] = [{name: []} for name in SECURITY]
    if operation["operationId"] in REQUESTS:
        operation["requestBody"]["content"][JSON]["example"] = REQUESTS[operation["operationId"]]
    if method == "post":
        _once(operation)
    conditional = _is_conditional(operation)
    headers: dict[str, Schema] = {"Bespoke-Request": BESPOKE_REQUEST, **LIMITS}
    if conditional or shows_etag:
        headers["ETag"] = {"schema": TEXT, "description": "the state that this is: what If-Match names"}
    operation["responses"] = {  # anew: the run doors share theirs
        status: {**answer, "description": answer.get("description") or DONE[status],
                 "headers": {**answer.get("headers", {}), **headers}}
        for status, answer in operation["responses"].items()
    }  # fmt: skip
    kinds = [*ALWAYS, *(ON_WRITING if method != "get" else ("conflict",))]
    kinds += ["over-budget"] if operation["operationId"] in SPENDING else []
    for kind in kinds:
        told = {"$ref": f"#/components/responses/{kind}"}
        operation["responses"].setdefault(str(KINDS[kind].status), told)


def _once(operation: Schema) -> None:
    """Every POST takes an Idempotency-Key; the run doors say more of theirs."""
    if not any(parameter["name"] == HEADER for parameter in operation["parameters"]):
        operation["parameters"].append(IDEMPOTENCY_KEY)
    for status, answer in operation["responses"].items():
        answer["headers"] = {REPLAYED: _REPLAYED, **answer.get("headers", {})}
        answer.setdefault("description", DONE[status])


@reads
def openapi(request: HttpRequest) -> HttpResponse:
    """The document."""
    return JsonResponse(document())


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>The API of Bespoke</title>
<link rel="icon" href="{icon}">
<link rel="stylesheet" href="{style}">
</head>
<body>
<noscript>The document itself is at <a href="openapi.json">openapi.json</a>.</noscript>
<main id="reference"></main>
<script nonce="{nonce}" src="{bundle}"></script>
<script nonce="{nonce}" src="docs.js"></script>
</body>
</html>
"""
_SCRIPT = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#reference",
  deepLinking: true,
  validatorUrl: null,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
});
"""
_DIST = "drf_spectacular_sidecar/swagger-ui-dist"


@reads
def docs(request: HttpRequest) -> HttpResponse:
    """The document to read and try out: Swagger UI from our own files, its start in a file because of our CSP."""
    files = {"style": "swagger-ui.css", "bundle": "swagger-ui-bundle.js", "icon": "favicon-32x32.png"}
    nonce = request.csp_nonce  # type: ignore[attr-defined]
    named = {name: static(f"{_DIST}/{file}") for name, file in files.items()}
    return HttpResponse(format_html(_PAGE, nonce=nonce, **named))


@reads
def docs_script(request: HttpRequest) -> HttpResponse:
    """Start Swagger UI."""
    return HttpResponse(_SCRIPT, content_type="text/javascript; charset=utf-8")
