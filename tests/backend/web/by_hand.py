"""Where a person does what each operation of the API does: a page, and on it a control for each field and parameter.

`On` is a page as somebody sees it in a product that was lived in (lived_in.py), `controls` the names that its forms or
links send, by what the API calls them. `Older` is how its address goes on in a list. What has no control says why.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


class Why(str):
    """Why something has no control, or an operation no page."""

    __slots__ = ()


@dataclass(frozen=True)
class Older:
    """A list whose next page the address names by this."""

    name: str = "before"


@dataclass(frozen=True)
class At:
    """A control on another page than the operation's."""

    who: str
    path: str
    name: str


Control = str | Why | Older | At


@dataclass(frozen=True)
class On:
    """A page, who looks, and its controls by the API's names."""

    who: str
    path: str
    controls: Mapping[str, Control] = field(default_factory=dict)


def same(*names: str) -> dict[str, Control]:
    """Controls that are called as the API calls them."""
    return {name: name for name in names}


ALL = Why("the page shows all of them")
EVERYWHERE: dict[str, Control] = {
    "limit": Why("a page shows as many as are read at a glance, and links to the rest"),
    "dry_run": Why("a page says what an act comes to before it does it, or can be undone with one click"),
}
OF_LAYER = Why("the organisation's page is another one, under /org/f/")
OF_WALK = Why("the page remembers by itself how far it has walked, and goes on from there")
DOCUMENT = dict.fromkeys(("behavior", "rules", "titles", "samples"), "text")
MORE = Why("the page links to more of them, or narrows them down by name")
PERSON = "/org/people/{subject}"
VERSIONS = "/vendor/f/greet/versions"
KEYS = "/org/keys"
LIMITS = {name: At("ada", f"{KEYS}?limits={{service}}", name) for name in ("requests_per_minute", "concurrent_runs")}
DAYS: dict[str, Control] = {"by": "by", "from": "since", "to": "until"}
STEPS: dict[str, Control] = {
    "steps.percent": "step-0-who", "steps.tenants": "step-0-kind", "steps.hold": "step-0-hold",
    "steps.min_runs": "step-0-runs",
}  # fmt: skip
GUARDS: dict[str, Control] = {
    f"guards.{guard}.{api}": f"guard-{guard}-{page}"
    for guard in ("schema_failures", "failed_checks", "pins_away", "cost_per_run")
    for api, page in (("max", "max"), ("min_runs", "runs"), ("do", "do"))
}

BY_HAND: dict[str, On | Why] = {
    # features and behavior
    "get_features": On("alice", "/", {"cursor": ALL}),
    "post_features": On("operator", "/vendor/features/new", {
        **dict.fromkeys(("feature", "title", "summary", "verb", "icon"), "text"), **DOCUMENT, "message": "message",
    }),
    "get_one_feature": On("alice", "/f/greet"),
    "get_behavior": On("ada", f"{PERSON}?feature=greet", {
        "at": "at", "user": Why("it is the page of that person"), "as": OF_LAYER,
        "explain": Why("every page of behavior says whose each field is"),
    }),
    "get_versions": On("operator", VERSIONS, {"cursor": ALL}),
    "post_versions": On("operator", "/vendor/f/greet/edit?from=2", {**DOCUMENT, "message": "message", "publish": "act"}),
    "get_one_version": On("operator", f"{VERSIONS}?show=2"),
    "get_version_diff": On("operator", f"{VERSIONS}?a=1&b=2", {"to": "b"}),
    "get_current": On("operator", VERSIONS),
    "put_current": On("operator", VERSIONS, {"version": "version"}),
    # runs
    "post_run": On("alice", "/f/greet", {"input": "in/name", "store": "unstored"}),
    "get_runs": On("ada", "/runs", {
        "cursor": Older(), "feature": "feature", "state": "state", "user": At("ada", PERSON, "user"),
        "batch": Why("a batch's page lists its items, each with its run"),
    }),
    "get_one_run": On("alice", "/runs/{run}"),
    "get_run_events": Why("a stream that software follows: the page of a run follows it by itself"),
    "post_run_cancel": On("alice", "/f/greet"),
    "post_run_replay": On("alice", "/runs/{run}", {"on.version": "on"}),
    "get_run_feedback": On("alice", "/runs/{run}"),
    "put_run_feedback": On("alice", "/runs/{run}", {  # one that is good; of a bad one the same form asks what is not right
        **same("verdict", "note"), "correction": At("alice", "/runs/{run}/correct", "in/greeting"),
    }),
    "get_usage": On("ada", "/org/usage", DAYS),
    "get_vendor_usage": On("operator", "/vendor/usage", DAYS),
    # batches
    "get_batches": On("ada", "/batches?whose=all", {
        "cursor": Older(), "feature": At("ada", "/batches?whose=all&feature=greet", "feature"),
        "user": At("ada", PERSON, "user"),
    }),
    "post_batch": On("alice", "/f/greet/batches", {"input": "file", "key": "file", "store": "unstored"}),
    "get_one_batch": On("alice", "/batches/{batch}"),
    "get_batch_results": On("alice", "/batches/{batch}?show=all", {"after": Older("after")}),
    "post_batch_cancel": On("alice", "/batches/{waiting}?confirm=cancel"),
    # overrides
    "get_override": On("alice", "/f/greet/mine"),
    "put_override": On("ada", "/org/f/greet/try", {
        **dict.fromkeys(("set", "append", "remove", "rules"), "text"), "message": "message",
    }),
    "delete_override": On("alice", "/f/greet/try"),
    "put_override_field": On("alice", "/f/greet/mine?edit=instructions.tone", {
        "set": "value", "append": "mode", "remove": "act",
    }),
    "delete_override_field": On("alice", "/f/greet/mine"),
    "get_revisions": On("alice", "/f/greet/mine?revisions=1", {"cursor": Older()}),
    "post_rollback": On("alice", "/f/greet/mine?revisions=1", {"revision": "revision"}),
    "get_conflicts": On("alice", "/f/greet/upgrade"),
    "post_resolve": On("alice", "/f/greet/upgrade", {
        "fields": Why("beside each field that waits stands what can be decided"),
        "version": Why("the page decides on the version that it shows, and says so when another has come"),
        "message": Why("the revision says what was decided, field by field"),
    }),
    "get_overrides": On("ada", "/org/people?show=changed", {"cursor": Older("after")}),
    "delete_override_of": On("ada", f"{PERSON}?feature=greet&confirm=inherit"),
    "post_promote": On("ada", "/f/greet/mine?promote=1", {"fields": "field", "keep_mine": "keep"}),
    "post_hand_out": On("ada", f"{PERSON}?feature=greet&confirm=hand", {
        "fields": "field", "keep_ours": "keep", "subjects": Why("one person at a time, on the page of that person"),
        "replace": Why("asked where they have changes of their own there"),
    }),
    "post_leave_to": On("ada", f"{PERSON}?confirm=leave&to={{colleague}}", {
        "to": "to", "features": "field", "replace": Why("asked where the other has changes of their own there"),
    }),
    # pins, previews, suggestions, notices
    "get_pin": On("alice", "/f/greet/timeline"),
    "put_pin": On("alice", "/f/greet/timeline?confirm=pin&version=1", {
        **same("version", "reason"), "until": "ends",
        "kind": Why("a version is `base`; a moment that it is put back to, the present one too, is `snapshot`"),
    }),
    "delete_pin": On("alice", "/f/greet/timeline"),
    "get_pins": On("ada", "/org/people?show=stays", {"cursor": Older("after")}),
    "delete_pin_of": On("ada", f"{PERSON}?feature=greet&confirm=end"),
    "post_restore": On("alice", "/f/greet/timeline?run={run}&confirm=restore", {
        **same("run", "reason"), "until": "ends", "at": At("alice", "/f/greet/timeline?at={moment}&confirm=restore", "at"),
        "pin": Why("“Undo” right after an act; later the moment at which one stayed so"), "layer": OF_LAYER,
    }),
    "post_preview": On("alice", "/f/greet/try", {
        **same("version", "inputs", "recent"), "override": "text", "restore": "at", "layer": OF_LAYER,
        "pin": Why("what a stay would serve is what the version serves: try that"),
        "resolve": Why("the page of an upgrade tries what was decided on it"),
        "from": At("operator", "/vendor/f/greet/edit?from=2", "from"),
        "behavior": At("operator", "/vendor/f/greet/edit?from=2", "text"),
        "rules": At("operator", "/vendor/f/greet/edit?from=2", "text"),
        "samples": Why("the editor tries as many samples as the version has, up to the most there may be"),
    }),
    "get_one_preview": On("alice", "/f/greet/try"),
    "delete_one_preview": On("alice", "/f/greet/try"),
    "post_suggest": On("alice", "/f/greet/mine", {"request": "request", "layer": OF_LAYER}),
    "get_one_suggestion": On("alice", "/f/greet/mine"),
    "get_notices": On("alice", "/notices", {"unread": "show", "cursor": Older("after")}),
    "post_read_notice": On("alice", "/notices"),
    # the organisation
    "get_me": On("alice", "/me"),
    "get_tenant": On("ada", "/org/settings"),
    "patch_tenant": On("ada", "/org/settings", {
        "policy.users_may_pin": "pins", **{f"policy.{name}": name for name in ("users_may_override", "retention_days",
        "store")}, "policy.require_mfa": At("ada", "/org/access", "required"),
    }),
    "get_members": On("ada", "/org/members", {"cursor": Older("after")}),
    "post_members": On("ada", "/org/members", same("email", "name", "role")),
    "get_one_member": On("ada", "/org/members"),
    "patch_one_member": On("ada", "/org/members", same("role")),
    "delete_one_member": On("ada", "/org/members"),
    "get_invitations": On("ada", "/org/members", {"cursor": Older()}),
    "post_invitations": On("ada", "/org/members", same("email", "role")),
    "delete_one_invitation": On("ada", "/org/members"),
    "post_resend_invitation": On("ada", "/org/members"),
    "get_subjects": On("ada", "/org/people?kind=users", {"cursor": Older("after")}),
    "get_keys": On("ada", KEYS, {"cursor": Older()}),
    "post_keys": On("ada", KEYS, {
        **LIMITS, "name": "name", "scopes": "scope", "expires": "ends",
        "kind": Why("service keys are made here, and one's own under /me/keys"),
    }),
    "get_one_key": On("ada", KEYS),
    "patch_one_key": On("ada", f"{KEYS}?limits={{service}}", LIMITS),
    "delete_one_key": On("ada", f"{KEYS}?revoke={{service}}"),
    "post_rotate_key": On("ada", f"{KEYS}?rotate={{service}}", same("until")),
    "get_budgets": On("ada", "/org/budgets", {"cursor": ALL}),
    "post_budgets": On("ada", "/org/budgets", {
        **same("soft", "hard", "period", "feature"), "user": "person", "each_user": "whose",
    }),
    "get_one_budget": On("ada", "/org/budgets?edit={budget}"),
    "put_one_budget": On("ada", "/org/budgets?edit={budget}", {"soft": "amounts-soft", "hard": "amounts-hard"}),
    "delete_one_budget": On("ada", "/org/budgets?remove={budget}"),
    "get_provider_keys": On("ada", "/org/provider-keys", {"cursor": ALL}),
    "post_provider_keys": On("ada", "/org/provider-keys", same("provider", "name", "key", "base_url")),
    "delete_one_provider_key": On("ada", "/org/provider-keys"),
    "get_webhooks": On("ada", "/org/webhooks", {"cursor": ALL}),
    "post_webhooks": On("ada", "/org/webhooks", same("url", "events", "description")),
    "get_one_webhook": On("ada", "/org/webhooks/{webhook}"),
    "patch_one_webhook": On("ada", "/org/webhooks/{webhook}", {
        **same("url", "events", "description"), "enabled": "act",
    }),
    "delete_one_webhook": On("ada", "/org/webhooks/{webhook}?confirm=remove"),
    "post_webhook_secret": On("ada", "/org/webhooks/{webhook}?confirm=renew", {"overlap_hours": "hours"}),
    "post_webhook_test": On("ada", "/org/webhooks/{webhook}"),
    "get_deliveries": On("ada", "/org/webhooks/{webhook}", {"state": "state", "cursor": Older()}),
    "post_resend": On("ada", "/org/webhooks/{webhook}"),
    "get_support_access": On("ada", "/org/access", {"cursor": Why("the one in force; those that were stand in the audit")}),
    "post_support_access": On("ada", "/org/access", same("hours", "reason")),
    "delete_support_access": On("ada", "/org/access"),
    "get_audit": On("ada", "/org/audit", {"cursor": Older()}),
    "get_audit_verify": On("ada", "/org/audit?verify=1", {"after": OF_WALK, "digest": OF_WALK}),
    "get_exports": On("ada", "/org/data", {"cursor": Why("an export can be taken for a day: the newest are all there are")}),
    "post_exports": On("ada", "/org/data"),
    "get_one_export": On("ada", "/org/data"),
    "get_export_file": On("ada", "/org/data"),
    "get_erasures": On("ada", "/org/data", {"cursor": Older()}),
    "get_one_erasure": On("ada", "/org/data"),
    "post_erase_subject": On("ada", "/org/data"),
    # the vendor
    "get_availability": On("operator", "/vendor/f/greet/availability"),
    "put_availability": On("operator", "/vendor/f/greet/availability", {
        "listed_only": "who", "add": "add", "remove": Why("each organisation on the list has a box to take it off"),
        "tenants": Why("a whole list is what was put on and taken off it by name"),
    }),
    "get_caching": On("operator", "/vendor/f/greet/availability"),
    "put_caching": On("operator", "/vendor/f/greet/availability", {"seconds": "number"}),
    "get_retirement": On("operator", "/vendor/f/greet/availability"),
    "put_retirement": On("operator", "/vendor/f/greet/availability", same("at", "message")),
    "delete_retirement": On("operator", "/vendor/f/greet/availability"),
    "get_withdraw": On("operator", VERSIONS),
    "post_withdraw": On("operator", f"{VERSIONS}?confirm=withdraw&version=2", same("replacement", "reason")),
    "delete_withdraw": On("operator", VERSIONS),
    "post_ask": On("operator", "/vendor/f/greet/impacts", same("to", "percent", "tenants", "unit", "withdraw")),
    "get_impacts": On("operator", "/vendor/f/greet/impacts", {"cursor": Older()}),
    "get_one_impact": On("operator", "/vendor/impacts/{impact}"),
    "get_impact_rows": On("operator", "/vendor/impacts/{impact}", {"outcome": "class", "cursor": MORE}),
    "get_rollouts": On("operator", "/vendor/rollouts", {"cursor": Older()}),
    "post_rollouts": On("operator", "/vendor/rollouts/new?feature=greet&to=2&tab=steps", {
        **same("to", "unit", "message"), **STEPS, **GUARDS,
    }),
    "get_one_rollout": On("operator", "/vendor/rollouts/{rollout}"),
    "get_rollout_events": On("operator", "/vendor/rollouts/{rollout}?tab=log", {"cursor": ALL}),
    "get_rollout_guards": On("operator", "/vendor/rollouts/{rollout}"),
    "get_rollout_impact": On("operator", "/vendor/rollouts/{rollout}?tab=impact"),
    "get_rollout_tenants": On("operator", "/vendor/rollouts/{rollout}", {"cursor": MORE}),
    "post_advance": On("operator", "/vendor/rollouts/{rollout}?confirm=advance", same("why")),
    "post_pause": On("operator", "/vendor/rollouts/{rollout}?confirm=pause", same("why")),
    "post_resume": On("operator", "/vendor/rollouts/{rollout}?confirm=pause", same("why")),  # the same card, while it is paused
    "post_roll_back": On("operator", "/vendor/rollouts/{rollout}?confirm=rollback", same("why")),
    "get_approvals": On("operator", "/vendor/approvals", {"cursor": Older()}),
    "post_approve": On("operator", "/vendor/approvals"),
    "post_refuse": On("operator", "/vendor/approvals"),
    "get_models": On("operator", "/vendor/models", {"cursor": ALL}),
    "post_models": On("operator", "/vendor/models", {
        **same("alias", "provider", "model", "input_price", "output_price", "cached_input_price"),
        "capabilities": "max_output_tokens",
    }),
    "get_alias": On("operator", "/vendor/models"),
    "put_alias": On("operator", "/vendor/models", same("revision")),
    "get_one_target": On("operator", "/vendor/models?confirm=end&alias=standard&revision=1"),
    "put_one_target": On("operator", "/vendor/models?confirm=end&alias=standard&revision=1", same("ends", "replacement")),
    "delete_one_target": On("operator", "/vendor/models?confirm=end&alias=standard&revision=1", same("replacement")),
    "get_tenants": On("operator", "/vendor/tenants", {"cursor": ALL}),
    "post_tenants": On("operator", "/vendor/tenants", same("slug", "name", "owner")),
    "get_one_tenant": On("operator", "/vendor/tenants/acme"),
    "patch_one_tenant": On("operator", "/vendor/tenants/acme", same(
        "requests_per_minute", "concurrent_runs", "state", "reason")),
    "post_erase_tenant": On("operator", "/vendor/tenants/globex", same("confirm")),
    "get_operator_keys": On("operator", "/me/keys", {"cursor": Older()}),
    "post_operator_keys": On("operator", "/me/keys", {"name": "name", "scopes": "scope", "expires": "ends"}),
    "delete_one_operator_key": On("operator", "/me/keys?revoke={operator_key}"),
    "post_rotate_operator_key": On("operator", "/me/keys?rotate={operator_key}", same("until")),
    "get_vendor_audit": On("operator", "/vendor/audit", {"cursor": Older()}),
    "get_vendor_audit_verify": On("operator", "/vendor/audit?verify=1", {"after": OF_WALK, "digest": OF_WALK}),
}  # fmt: skip
