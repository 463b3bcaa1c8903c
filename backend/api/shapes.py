"""The shapes of answers, as OpenAPI 3.1 schemas: what readers of the reference see. Answers are made beside their views."""

from typing import Any

TEXT: dict[str, Any] = {"type": "string"}
NUMBER: dict[str, Any] = {"type": "integer"}
TIME: dict[str, Any] = {"type": "string", "format": "date-time"}
ANYTHING: dict[str, Any] = {}
OBJECT: dict[str, Any] = {"type": "object", "additionalProperties": True}


def maybe(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def array(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": schema}


def shape(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def listed(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a page of a list."""
    return shape(items=array(schema), next=maybe({**TEXT, "description": "the cursor of the page after"}))


RECEIPT = shape(
    digest=TEXT, base=NUMBER, tenant=maybe(NUMBER), user=maybe(NUMBER), pin=maybe(OBJECT), held=maybe(OBJECT),
    rollout=maybe(OBJECT), withdrawn=maybe(OBJECT), model_target=maybe(OBJECT), substituted={"type": "boolean"},
)  # fmt: skip
FEATURE = shape(
    feature=TEXT, title=TEXT, summary=TEXT, verb=TEXT, icon=TEXT, version=maybe(NUMBER), digest=TEXT, input=OBJECT,
    output=OBJECT, editable=array(TEXT), titles=OBJECT, tenant_revision=maybe(NUMBER), user_revision=maybe(NUMBER),
)  # fmt: skip
FEATURES = listed(FEATURE)
BEHAVIOR = shape(
    feature=TEXT, at=TIME, fields=OBJECT, hidden=array(TEXT), receipt=RECEIPT, explain=OBJECT, suspended=array(OBJECT)
)
VERSION = shape(
    version=NUMBER, digest=TEXT, message=TEXT, created=TIME, current={"type": "boolean"}, fields=OBJECT, rules=OBJECT,
    titles=OBJECT, hidden=array(TEXT), publish=TEXT,
)  # fmt: skip
VERSIONS = listed(VERSION)
CHANGE = shape(field=TEXT, kind=TEXT, before=ANYTHING, after=ANYTHING, lines=array(OBJECT), hidden={"type": "boolean"})
DIFF = {"type": "object", "properties": {"from": NUMBER, "to": NUMBER, "changes": array(CHANGE)}}
CURRENT = shape(feature=TEXT, before=maybe(NUMBER), version=NUMBER, dry_run={"type": "boolean"})
OVERRIDE = shape(
    set=OBJECT, append=OBJECT, remove=array(TEXT), rules=OBJECT, revision=NUMBER, message=TEXT, author=maybe(TEXT),
    saved=maybe(TIME), suspended=array(OBJECT),
)  # fmt: skip
REVISIONS = listed(OVERRIDE)
PIN = shape(
    kind={"enum": ["base", "snapshot"]}, version=NUMBER, tenant_revision=maybe(NUMBER), user_revision=maybe(NUMBER),
    reason=TEXT, author=TEXT, until=maybe(TIME), created=TIME, subject=TEXT,
)  # fmt: skip
MOVED = shape(
    pin=maybe(PIN), before=RECEIPT, after=RECEIPT, changes=array(CHANGE), dry_run={"type": "boolean"}
)
RESTORED = {
    "type": "object",
    "properties": {
        **MOVED["properties"], "result": {"enum": ["exact", "substituted"]}, "reasons": array(TEXT), "wanted": TEXT,
    },
}  # fmt: skip
USAGE = shape(input_tokens=NUMBER, cached_input_tokens=NUMBER, output_tokens=NUMBER)
COST = shape(micro={**NUMBER, "description": "millionths of the currency"}, currency=TEXT)
RUN = shape(
    id=TEXT, feature=TEXT, state={"enum": ["queued", "running", "succeeded", "failed", "cancelled"]}, input=ANYTHING,
    output=ANYTHING, error=maybe(OBJECT), receipt=RECEIPT, usage=maybe(USAGE), cost=COST, attempts=NUMBER,
    cached={"type": "boolean"}, feedback=maybe(OBJECT), subject=TEXT, created=TIME, started=maybe(TIME),
    finished=maybe(TIME), calls=array(OBJECT),
)  # fmt: skip
RUNS = listed(RUN)
MEMBER = shape(id=TEXT, email=TEXT, name=TEXT, role=TEXT, created=TIME, subject=TEXT)
SUBJECT = shape(key=TEXT, kind=TEXT, created=TIME)
KEY = shape(
    id=TEXT, kind=TEXT, name=TEXT, created=TIME, expires=maybe(TIME), revoked=maybe(TIME), last_used=maybe(TIME),
    key={**TEXT, "description": "the whole key: shown once, when it is made"},
)  # fmt: skip
TENANT = shape(id=TEXT, slug=TEXT, name=TEXT, policy=OBJECT)
EVENT = shape(id=TEXT, at=TIME, actor=TEXT, verb=TEXT, target=TEXT, detail=OBJECT)
TARGET = shape(
    alias=TEXT, revision=NUMBER, provider=TEXT, model=TEXT, input_price=NUMBER, cached_input_price=NUMBER,
    output_price=NUMBER, capabilities=OBJECT, current={"type": "boolean"},
)  # fmt: skip
USAGE_ROW = shape(key=TEXT, runs=NUMBER, input_tokens=NUMBER, output_tokens=NUMBER, cost=COST, cached=NUMBER)
