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
RETIRES = maybe(shape(at={**TIME, "description": "from then on nothing of it runs or is saved"}, message=TEXT))
FEATURE = named("Feature", shape(
    "tenant_revision", "user_revision", "digest", "input", "output", "editable", "titles",
    feature=TEXT, title=TEXT, summary=TEXT, verb=TEXT, icon=TEXT, version=maybe(NUMBER),
    tenant_revision=maybe(NUMBER), user_revision=maybe(NUMBER), digest=TEXT, input=OBJECT, output=OBJECT,
    editable=array(TEXT), titles=OBJECT,
    retires=RETIRES,
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
WITHDRAWN = shape(
    version=NUMBER, replacement={**NUMBER, "description": "the version that is served in its place"}, reason=TEXT,
    since=TIME,
)  # fmt: skip
_VERSION: dict[str, Schema] = {
    "version": NUMBER, "digest": TEXT, "message": TEXT, "created": TIME, "current": TRUTH,
    "withdrawn": maybe(WITHDRAWN),
}  # fmt: skip
VERSION_ROW = named("VersionRow", shape("publish", **_VERSION, publish=choice("current", "none")))
VERSION = named("Version", shape(
    "samples", **_VERSION, fields=OBJECT, rules=OBJECT, titles=OBJECT, hidden=array(TEXT),
    samples={**array(ANYTHING), "description": "inputs that the version is tried on (operators)"},
))  # fmt: skip
CHANGE = named("Change", shape(
    "before", "after", "lines", "hidden",
    field=TEXT, kind=choice("added", "removed", "changed"), before=ANYTHING, after=ANYTHING,
    lines=array(shape(kind=choice("same", "removed", "added"), text=TEXT)), hidden=TRUTH,
))  # fmt: skip
DIFF = shape(**{"from": NUMBER, "to": NUMBER, "changes": array(CHANGE)})
CURRENT_NOW = shape(feature=TEXT, version=maybe(NUMBER))
CURRENT = shape(
    feature=TEXT, before=maybe(NUMBER), version=NUMBER, dry_run=TRUTH,
    impact={**maybe(ID), "description": "whom it reaches: /impacts/{id}; null where nothing moved"},
)  # fmt: skip
_LIMIT: dict[str, Schema] = {
    "guard": choice("schema_failures", "failed_checks", "pins_away", "cost_per_run"),
    "max": {"type": "number"}, "min_runs": NUMBER, "do": choice("pause", "roll_back"),
    "value": maybe({"type": "number", "description": "a share from 0 to 1, or micro-units"}), "sample": NUMBER,
    "state": choice("waiting", "within", "breached"), "at": maybe(TIME),
}  # fmt: skip
GUARD_POINTS = named("GuardPoints", shape(**_LIMIT, points=array(shape(
    at=TIME, step=NUMBER, value=maybe({"type": "number"}), sample=NUMBER,
))))  # fmt: skip
_ROLLOUT: dict[str, Schema] = {
    "id": ID, "feature": TEXT, "before": NUMBER, "to": NUMBER, "unit": choice("tenant", "user"),
    "state": choice("running", "paused", "done", "rolled_back"),
    "why": {**TEXT, "description": "of the last change"}, "message": TEXT,
    "step": {**NUMBER, "description": "the index of the step in force"},
    "steps": array(shape(
        "percent", "tenants",
        percent={"type": "number"}, tenants=array(ID), hold=maybe({**NUMBER, "description": "seconds"}),
        min_runs=NUMBER, included=shape(percent={"type": "number"}, tenants=array(ID)),
        when=choice("past", "now", "next", "never"),
    )),
    "named": {**OBJECT, "description": "slugs of the tenants that steps name, by id"},
    "share": {"type": "number", "description": "per cent of the buckets that it includes now"},
    "guards": array(shape(**_LIMIT)), "began": TIME,
    "next_at": maybe({**TIME, "description": "the soonest that the next step begins by itself"}),
    "author": TEXT, "created": TIME, "ended": maybe(TIME),
}  # fmt: skip
ROLLOUT = named("Rollout", shape(**_ROLLOUT))
ROLLOUT_NOW = shape(**_ROLLOUT, places=shape(to=NUMBER, partly=NUMBER, before=NUMBER, pinned=NUMBER))
ROLLOUT_EVENT = named("RolloutEvent", shape(
    id=ID, at=TIME, kind=choice("started", "advanced", "paused", "resumed", "rolled_back", "done"), step=NUMBER,
    actor=TEXT, detail=OBJECT,
))  # fmt: skip
PLACE = named("Place", shape(
    tenant=ID, slug=TEXT, name=TEXT, where=choice("to", "partly", "before", "pinned"),
    version={**NUMBER, "description": "what the organisation itself follows, holds apart"},
    pins={**NUMBER, "description": "users who stay on a version of their own choice"},
))  # fmt: skip
WITHDRAWAL = named("Withdrawal", shape(
    version=NUMBER, replacement=NUMBER, reason=TEXT, author=TEXT, since=TIME, lifted=maybe(TIME),
    serves={**NUMBER, "description": "what whoever is on the version is served in the end"},
    pins={**shape(tenants=NUMBER, users=NUMBER), "description": "how many stay on the version, and are kept"},
    impact={**maybe(ID), "description": "whom it reaches: /impacts/{id}"},
    rolled_back={**maybe(ID), "description": "the rollout towards the version that was ended with it"}, dry_run=TRUTH,
))  # fmt: skip
_AVAILABLE: dict[str, Schema] = {
    "feature": TEXT, "listed_only": TRUTH, "tenants": array(TEXT), "retires": RETIRES,
}  # fmt: skip
AVAILABILITY = named("Availability", shape(**_AVAILABLE))
RETIREMENT = shape(**_AVAILABLE, dry_run=TRUTH)
AVAILABLE = shape(
    **_AVAILABLE, served_before={**NUMBER, "description": "how many organisations had it"}, served=NUMBER,
    dry_run=TRUTH,
)  # fmt: skip
OVERRIDE = named("Override", shape(
    "set", "append", "remove", "rules", "hold", "suspended",
    set=OBJECT, append=OBJECT, remove=array(TEXT), rules=OBJECT, hold=array(TEXT),
    revision=NUMBER, message=TEXT, author=maybe(TEXT), saved=maybe(TIME), suspended=array(SUSPENDED),
))  # fmt: skip
_PIN: dict[str, Schema] = {
    "kind": choice("base", "snapshot"), "version": NUMBER, "tenant_revision": maybe(NUMBER),
    "user_revision": maybe(NUMBER), "reason": TEXT, "author": TEXT, "until": maybe(TIME), "created": TIME,
    "as_of": {**maybe(TIME), "description": "the moment that a restore went back to"},
    "run": {**maybe(ID), "description": "or the run"},
    "counts": {**TRUTH, "description": "false: kept, but suspended by the organisation's policy"},
    "withdrawn": maybe(WITHDRAWN),
}  # fmt: skip
PIN = named("Pin", shape(**_PIN))
PIN_LISTED = shape(**_PIN, subject={**TEXT, "description": "empty: the organisation"}, layer=choice("tenant", "user"))
_MOVED: dict[str, Schema] = {
    "pin": maybe(PIN), "before": RECEIPT, "after": RECEIPT, "changes": array(CHANGE), "dry_run": TRUTH,
}  # fmt: skip
MOVED = named("Moved", shape(**_MOVED))
RESTORED = named("Restored", shape(
    result=choice("exact", "substituted"), reasons=array(TEXT),
    wanted={**TEXT, "description": "the digest of the moment or run that was asked for"},
    undo={**maybe(shape(method=choice("DELETE", "POST"), path=TEXT, body=maybe(OBJECT))),
          "description": "the request that takes this back; null for a rehearsal"},
    **_MOVED,
))  # fmt: skip
_HELD = shape(by=choice("tenant", "user"), fields=array(TEXT))
CONFLICTS = named("Conflicts", shape(
    feature=TEXT, layer=choice("tenant", "user"), revision=NUMBER,
    version={**NUMBER, "description": "what is served now"},
    newest={**NUMBER, "description": "what would be without pins and holds: send it as `version` of a resolution"},
    held=maybe(OBJECT), pinned=TRUTH, digest=TEXT,
    digest_if_kept={**TEXT, "description": "the digest on the newest version with every operation kept"},
    operations=array(shape(
        "mine", "then", "now",
        field=TEXT, operation=choice("set", "append", "remove"),
        outcome=choice("carried", "redundant", "suspended", "orphaned", "conflict", "broken"),
        changed=maybe(choice("vendor", "tenant")),
        open={**TRUTH, "description": "whether it waits for a decision"},
        holds={**TRUTH, "description": "whether one stays on `version` until it is decided"},
        hidden=TRUTH, mine=ANYTHING,
        then={**ANYTHING, "description": "what its author inherited; not there if that was nothing"},
        now={**ANYTHING, "description": "what it would inherit; not there if that is nothing"},
        merged=maybe({**TEXT, "description": "both changes in one text, where they do not touch"}),
        problems=array(OBJECT),
    )),
    changes={**array(CHANGE), "description": "what is new beneath this layer"},
))  # fmt: skip
RESOLVED = named("Resolved", shape(
    override=OVERRIDE, before=RECEIPT, after=RECEIPT, changes=array(CHANGE), held=maybe(_HELD),
    pinned={**TRUTH, "description": "a pin still stands: it is not ended by deciding"},
    open={**array(TEXT), "description": "the fields that are still in conflict"},
    suspended=array(SUSPENDED), dry_run=TRUTH,
))  # fmt: skip
NOTICE = named("Notice", shape(
    id=ID,
    kind=choice("held", "conflict", "suspended", "withdrawn", "pin_ending", "model_ending", "retiring",
                "budget_soft", "budget_hard", "key_ending"),
    feature={**maybe(TEXT), "description": "null where it concerns all of them, or a key"},
    layer={**choice("tenant", "user"), "description": "the organisation's (told to its admins), or mine"},
    at={**TIME, "description": "when it came about or, of what is to come, when it will"}, title=TEXT, text=TEXT,
    action=shape(
        href={**TEXT, "description": "the page where one sees to it"}, api={**TEXT, "description": "and the address"},
    ),
    read=TRUTH,
))  # fmt: skip
CHANGED = shape(
    "override",
    subject=TEXT, revision=NUMBER, fields=array(TEXT), author=TEXT, saved=TIME,
    override=shape("set", "append", "remove", set=OBJECT, append=OBJECT, remove=array(TEXT)),
)  # fmt: skip
LEFT = shape(**{
    "from": TEXT, "to": TEXT,
    "items": array(shape(feature=TEXT, override=maybe(OVERRIDE), pin=maybe(PIN))), "dry_run": TRUTH,
})  # fmt: skip
PROMOTED = shape(
    fields=array(TEXT),
    replaced={**array(TEXT), "description": "fields that the organisation had changed itself"},
    joined={**array(TEXT), "description": "texts of the organisation's that my paragraph was added to"},
    ours=OVERRIDE, mine={**maybe(OVERRIDE), "description": "null where they stay mine as well"}, dry_run=TRUTH,
)  # fmt: skip
HANDED = shape(
    fields=array(TEXT), theirs=array(shape(subject=TEXT, override=OVERRIDE)),
    ours={**maybe(OVERRIDE), "description": "null where they stay the organisation's as well"}, dry_run=TRUTH,
)  # fmt: skip
COST = named("Cost", shape(micro={**NUMBER, "description": "millionths of the currency"}, currency=TEXT))
BUDGET = named("Budget", shape(
    id=ID, period=choice("day", "month"), feature=maybe(TEXT), user=maybe(TEXT), each_user=TRUTH, soft=maybe(NUMBER),
    hard=maybe(NUMBER), spent=COST, reserved={**COST, "description": "what calls in flight may cost at the worst"},
    soft_reached=TRUTH, hard_reached=TRUTH, began=TIME, ends=TIME,
))  # fmt: skip
CACHING = shape(seconds=maybe(NUMBER), effective=NUMBER)
ME = shape(
    kind=choice("member", "service", "operator"), name=TEXT, role=TEXT, can=array(TEXT), tenant=maybe(TEXT),
    subject=maybe(TEXT),
)  # fmt: skip
MEMBER = named("Member", shape(id=ID, email=TEXT, name=TEXT, role=TEXT, subject=TEXT))
SUBJECT = shape(key=TEXT, kind=choice("member", "external"), created=TIME)
_LIMITS: dict[str, Schema] = {
    name: {**maybe(NUMBER), "description": "a limit of its own; null: the default"}
    for name in ("requests_per_minute", "concurrent_runs")
}
_KEY: dict[str, Schema] = {
    "id": ID, "kind": choice("member", "service"), "name": TEXT, "created": TIME, "expires": maybe(TIME),
    "revoked": maybe(TIME), "last_used": maybe(TIME), **_LIMITS,
    "scopes": array(choice("read", "run", "customise", "admin")),
    "replaced_by": {**maybe(ID), "description": "the key that it was rotated to"},
}  # fmt: skip
KEY = named("Key", shape(**_KEY))
NEW_KEY = shape(**_KEY, key={**TEXT, "description": "the whole key: shown once, when it is made"})
_OPERATOR_KEY: dict[str, Schema] = {name: _KEY[name] for name in _KEY if name not in ("kind", *_LIMITS)}
OPERATOR_KEY = named("OperatorKey", shape(**_OPERATOR_KEY))
NEW_OPERATOR_KEY = shape(**_OPERATOR_KEY, key=NEW_KEY["properties"]["key"])
POLICY = shape(
    users_may_pin=ANYTHING, users_may_override=TRUTH, retention_days=maybe(NUMBER), store=TRUTH, require_mfa=TRUTH
)
TENANT = shape(
    id=ID, slug=TEXT, name=TEXT, policy=POLICY, limits=shape(requests_per_minute=NUMBER, concurrent_runs=NUMBER)
)
TENANT_ROW = shape(
    id=ID, slug=TEXT, name=TEXT, **_LIMITS, state=choice("active", "suspended", "closed"),
    reason={**TEXT, "description": "why it is not active, as its people are told"}, since=maybe(TIME),
)  # fmt: skip
INVITATION = named("Invitation", shape(
    id=ID, email=TEXT, role=TEXT, state=choice("open", "accepted", "revoked", "expired"), invited_by=TEXT, sent=TIME,
    expires=TIME,
))  # fmt: skip
SUPPORT = named("SupportAccess", shape(
    id=ID, reason=TEXT, granted_by=TEXT, created=TIME, until=TIME, ended=maybe(TIME),
))  # fmt: skip
APPROVAL = named("Approval", shape(
    id=ID, action=choice("publish", "current", "rollout", "withdraw"), feature=TEXT, parameters=OBJECT,
    state=choice("open", "approved", "refused", "expired"), requested_by=TEXT, requester=TEXT, created=TIME,
    expires=TIME, decided_by=maybe(TEXT), decided=maybe(TIME),
))  # fmt: skip
EVENT = named("AuditEvent", shape(
    id=ID, at=TIME, actor=TEXT, verb=TEXT, target=TEXT, detail=OBJECT, sequence=NUMBER,
    digest={**TEXT, "description": "of this event and all before it, in hexadecimal"},
))  # fmt: skip
_TARGET: dict[str, Schema] = {
    "alias": TEXT, "revision": NUMBER, "provider": TEXT, "model": TEXT, "input_price": NUMBER,
    "cached_input_price": NUMBER, "output_price": NUMBER, "capabilities": OBJECT, "current": TRUTH,
    "ends": {**maybe(TIME), "description": "from then on what the alias means stands in for it"},
}  # fmt: skip
TARGET = named("ModelTarget", shape(**_TARGET))
NAMED_BY = named("NamedBy", shape(
    versions=array(shape(feature=TEXT, versions=array(NUMBER), current=TRUTH)),
    overrides={
        **shape(by_tenants=NUMBER, by_users=NUMBER, tenants=NUMBER),
        "description": "overrides that name the alias, and in how many organisations",
    },
    pins=array(shape(revision=NUMBER, pins=NUMBER, tenants=NUMBER)),
    pinned_tenants=array(shape(tenant=TEXT, pins=NUMBER, own=TRUTH)),
))  # fmt: skip
REMAPPED = named("Remapped", shape(
    **_TARGET, before={**maybe(NUMBER), "description": "the target that the alias meant"}, named_by=NAMED_BY,
    dry_run=TRUTH,
))  # fmt: skip
_COUNT = {"type": "integer", "minimum": 0}
IMPACT = named("Impact", shape(
    id=ID, feature=TEXT, kind=choice("look", "look_withdraw", "publish", "current", "rollout", "withdraw"),
    before={**NUMBER, "description": "the current version, or the one withdrawn"}, to=NUMBER,
    stage={**maybe(shape(share=NUMBER, tenants=array(ID), unit=choice("tenant", "user"))),
           "description": "whom it includes: `share` of 10,000 buckets, and tenants; null: everybody"},
    rollout=maybe(ID), state=choice("queued", "running", "done", "failed"), why=TEXT,
    at={**TIME, "description": "what was served at this instant is what it compares with"},
    counts=maybe(shape(
        outcomes=shape(**dict.fromkeys((
            "broken", "conflict", "held", "orphaned", "suspended", "redundant", "carried", "unaffected", "pinned",
        ), _COUNT)),
        moving={**shape(tenants=_COUNT, members=_COUNT, users=_COUNT),
                "description": "those without anything of their own who simply move"},
        overruled={**_COUNT, "description": "pins that lose to a withdrawal"},
    )),
    tenants_done=NUMBER, tenants_all={**NUMBER, "description": "0 until a worker has begun"},
    author=TEXT, created=TIME, finished=maybe(TIME),
))  # fmt: skip
IMPACT_ROW = named("ImpactRow", shape(
    tenant=ID, tenant_name=TEXT, subject=ID, layer=choice("tenant", "user"), name=TEXT,
    outcome=choice("broken", "conflict", "held", "orphaned", "suspended", "redundant", "carried", "unaffected",
                   "pinned"),
    fields={**array(TEXT), "description": "those with this outcome"}, before=NUMBER,
    after={**NUMBER, "description": "the version served afterwards; the same as `before` for whoever stays"},
    overruled={**TRUTH, "description": "a pin that loses to a withdrawal"},
))  # fmt: skip
