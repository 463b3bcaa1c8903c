"""The shapes of answers, as OpenAPI 3.1 schemas: what readers of the reference see and tests hold answers against.

Answers are made beside their views. A shape lists every property; those that are not always there come first, by name.
"""

from typing import Any

Schema = dict[str, Any]
JSON, PROBLEM, EVENTS = "application/json", "application/problem+json", "text/event-stream"

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "integer"}
TRUTH: Schema = {"type": "boolean"}
TIME: Schema = {"type": "string", "format": "date-time"}
ID: Schema = {"type": "string", "format": "uuid"}
ANYTHING: Schema = {}
OBJECT: Schema = {"type": "object", "additionalProperties": True}

SCHEMAS: dict[str, Schema] = {}  # the shapes that have a name in the document


def maybe(schema: Schema) -> Schema:
    """Return the schema or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def array(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def choice(*values: str) -> Schema:
    return {"type": "string", "enum": list(values)}


def shape(*optional: str, **properties: Schema) -> Schema:
    """Return an object with these properties, all of them there but the optional ones."""
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
    }


def named(name: str, schema: Schema) -> Schema:
    """Put a schema among the document's components, and return the reference to it."""
    SCHEMAS[name] = schema
    return {"$ref": f"#/components/schemas/{name}"}


def listed(schema: Schema) -> Schema:
    """Return a page of a list."""
    return shape(items=array(schema), next=maybe({**TEXT, "description": "the cursor of the page after"}))


def answers(schema: Schema, status: int = 200) -> dict[tuple[int, str], Schema]:
    """What `extend_schema(responses=…)` takes for an answer of this shape."""
    return {(status, JSON): schema}


named("Problem", shape(
    "errors",
    type={**TEXT, "description": "which kind of error: a path that tells more about it"},
    title=TEXT, status=NUMBER, detail=TEXT,
    request={**TEXT, "description": "the id that is also in Bespoke-Request and in the logs"},
    errors=array(shape(
        pointer={**TEXT, "description": "where in what was sent (RFC 6901)"}, rule=TEXT, message=TEXT,
    )),
))  # fmt: skip
TARGET_NAMED = shape(alias=TEXT, revision=NUMBER, provider=TEXT, model=TEXT)
RECEIPT = named("Receipt", shape(
    digest={**TEXT, "description": "names the effective behavior exactly"},
    base=NUMBER, tenant=maybe(NUMBER), user=maybe(NUMBER),
    pin=maybe(shape(id=TEXT, layer=choice("tenant", "user"), kind=choice("base", "snapshot"), until=maybe(TIME))),
    held=maybe(OBJECT), rollout=maybe(OBJECT), withdrawn=maybe(OBJECT), model_target=maybe(TARGET_NAMED),
    substituted=TRUTH,
))  # fmt: skip
FEATURE = named("Feature", shape(
    "tenant_revision", "user_revision", "digest", "input", "output", "editable", "titles",
    feature=TEXT, title=TEXT, summary=TEXT, verb=TEXT, icon=TEXT, version=maybe(NUMBER),
    tenant_revision=maybe(NUMBER), user_revision=maybe(NUMBER), digest=TEXT, input=OBJECT, output=OBJECT,
    editable=array(TEXT), titles=OBJECT,
))  # fmt: skip
SUSPENDED = named("Suspended", shape(
    "value",
    layer=choice("tenant", "user"), revision=NUMBER, field=TEXT, operation=choice("set", "append", "remove"),
    reason=choice("rule", "policy", "broken", "orphaned"), problems=array(OBJECT), value=ANYTHING,
))  # fmt: skip
EXPLAINED = shape(
    "version", "revision", "inherited",
    layer=choice("base", "tenant", "user"), version=NUMBER, revision=NUMBER, appended=array(TEXT), rule=OBJECT,
    editable=TRUTH, hidden=TRUTH, inherited=ANYTHING,
)  # fmt: skip
BEHAVIOR = named("Behavior", shape(
    "explain", "suspended",
    feature=TEXT, at=TIME, fields=OBJECT, hidden=array(TEXT), receipt=RECEIPT,
    explain={"type": "object", "additionalProperties": EXPLAINED}, suspended=array(SUSPENDED),
))  # fmt: skip
_VERSION: dict[str, Schema] = {
    "version": NUMBER, "digest": TEXT, "message": TEXT, "created": TIME, "current": TRUTH,
}  # fmt: skip
VERSION_ROW = named("VersionRow", shape("publish", **_VERSION, publish=choice("current", "none")))
VERSION = named("Version", shape(**_VERSION, fields=OBJECT, rules=OBJECT, titles=OBJECT, hidden=array(TEXT)))
CHANGE = named("Change", shape(
    "before", "after", "lines", "hidden",
    field=TEXT, kind=choice("added", "removed", "changed"), before=ANYTHING, after=ANYTHING,
    lines=array(shape(kind=choice("same", "removed", "added"), text=TEXT)), hidden=TRUTH,
))  # fmt: skip
DIFF = shape(**{"from": NUMBER, "to": NUMBER, "changes": array(CHANGE)})
CURRENT = shape(feature=TEXT, before=maybe(NUMBER), version=NUMBER, dry_run=TRUTH)
OVERRIDE = named("Override", shape(
    "set", "append", "remove", "rules", "suspended",
    set=OBJECT, append=OBJECT, remove=array(TEXT), rules=OBJECT, revision=NUMBER, message=TEXT, author=maybe(TEXT),
    saved=maybe(TIME), suspended=array(SUSPENDED),
))  # fmt: skip
_PIN: dict[str, Schema] = {
    "kind": choice("base", "snapshot"), "version": NUMBER, "tenant_revision": maybe(NUMBER),
    "user_revision": maybe(NUMBER), "reason": TEXT, "author": TEXT, "until": maybe(TIME), "created": TIME,
}  # fmt: skip
PIN = named("Pin", shape(**_PIN))
PIN_LISTED = shape(**_PIN, subject={**TEXT, "description": "empty: the organisation"}, layer=choice("tenant", "user"))
_MOVED: dict[str, Schema] = {
    "pin": maybe(PIN), "before": RECEIPT, "after": RECEIPT, "changes": array(CHANGE), "dry_run": TRUTH,
}  # fmt: skip
MOVED = named("Moved", shape(**_MOVED))
RESTORED = named("Restored", shape(
    result=choice("exact", "substituted"), reasons=array(TEXT),
    wanted={**TEXT, "description": "the digest of the moment or run that was asked for"}, **_MOVED,
))  # fmt: skip
USAGE = shape(input_tokens=NUMBER, cached_input_tokens=NUMBER, output_tokens=NUMBER)
COST = named("Cost", shape(micro={**NUMBER, "description": "millionths of the currency"}, currency=TEXT))
CALL = shape(
    number=NUMBER, kind=TEXT, outcome=maybe(TEXT), detail=maybe(TEXT), model=TEXT, provider=TEXT, started=TIME,
    finished=maybe(TIME), input_tokens=NUMBER, output_tokens=NUMBER, cost=NUMBER,
)  # fmt: skip
RUN = named("Run", shape(
    "calls",
    id=ID, feature=TEXT, subject={**TEXT, "description": "whom it was run for; empty: the organisation"},
    state=choice("queued", "running", "succeeded", "failed", "cancelled"), input=ANYTHING, output=ANYTHING,
    error=maybe(shape("detail", "problems", type=TEXT, title=TEXT, detail=TEXT, problems=array(OBJECT))),
    receipt=RECEIPT, usage=maybe(USAGE), cost=COST, attempts=NUMBER, cached=TRUTH, feedback=maybe(OBJECT),
    created=TIME, started=maybe(TIME), finished=maybe(TIME), calls=array(CALL),
))  # fmt: skip
USAGE_ROW = shape(key=TEXT, runs=NUMBER, input_tokens=NUMBER, output_tokens=NUMBER, cost=COST, cached=NUMBER)
ME = shape(
    kind=choice("member", "service", "operator"), name=TEXT, role=TEXT, can=array(TEXT), tenant=maybe(TEXT),
    subject=maybe(TEXT),
)  # fmt: skip
MEMBER = named("Member", shape(id=ID, email=TEXT, name=TEXT, role=TEXT, subject=TEXT))
SUBJECT = shape(key=TEXT, kind=choice("member", "external"), created=TIME)
_KEY: dict[str, Schema] = {
    "id": ID, "kind": choice("member", "service"), "name": TEXT, "created": TIME, "expires": maybe(TIME),
    "revoked": maybe(TIME), "last_used": maybe(TIME),
}  # fmt: skip
KEY = named("Key", shape(**_KEY))
NEW_KEY = shape(**_KEY, key={**TEXT, "description": "the whole key: shown once, when it is made"})
POLICY = shape(users_may_pin=ANYTHING, users_may_override=TRUTH, retention_days=maybe(NUMBER))
TENANT = shape(id=ID, slug=TEXT, name=TEXT, policy=POLICY)
TENANT_ROW = shape(id=ID, slug=TEXT, name=TEXT)
EVENT = named("AuditEvent", shape(id=ID, at=TIME, actor=TEXT, verb=TEXT, target=TEXT, detail=OBJECT))
TARGET = named("ModelTarget", shape(
    alias=TEXT, revision=NUMBER, provider=TEXT, model=TEXT, input_price=NUMBER, cached_input_price=NUMBER,
    output_price=NUMBER, capabilities=OBJECT, current=TRUTH,
))  # fmt: skip
