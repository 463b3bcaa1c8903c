"""What a request may look like, by operation, and what an answer does, by shape: the reference shows them.

Tests hold every one against its schema, and send every request to its door.
"""

from typing import Any

_BEHAVIOR: dict[str, Any] = {
    "instructions.task": "You read a message and say which topic it is about.",
    "prompt": "{{ input.message | fence }}",
    "input": {
        "type": "object",
        "properties": {"message": {"type": "string", "maxLength": 4000}},
        "required": ["message"],
        "additionalProperties": False,
    },
    "output": {
        "type": "object",
        "properties": {"topic": {"enum": ["money", "delivery", "other"]}},
        "required": ["topic"],
        "additionalProperties": False,
    },
    "model.name": "standard",
}
_UNTIL = "2027-01-31T12:00:00Z"
_WHY = {"why": "failures went up in the first hour"}
_CHANGE = {"set": {"vars.tone": "warm"}, "append": {"instructions.task": "Our shop is closed on Sundays."}}

REQUESTS: dict[str, Any] = {
    "post_run": {"input": {"message": "My card has not arrived."}},
    "post_run_replay": {"on": "same"},
    "put_run_feedback": {"verdict": "bad", "note": "too long", "correction": {"body": "We will look into it today."}},
    "post_batch": [{"input": {"message": "Where is my parcel?"}, "key": "ticket-4711"}],
    "post_preview": {"override": _CHANGE, "recent": 3},
    "post_suggest": {"request": "Shorter, and never more than three sentences."},
    "put_override": {**_CHANGE, "message": "as agreed with support"},
    "put_override_field": {"set": "warm"},
    "post_rollback": {"revision": 1},
    "post_resolve": {"fields": {"vars.tone": "keep", "prompt": "take", "instructions.task": {"set": "Be brief."}}},
    "post_promote": {"fields": ["vars.tone"], "keep_mine": False},
    "post_hand_out": {"subjects": ["customer-4711"], "fields": ["vars.tone"]},
    "post_leave_to": {"to": "customer-4712", "features": ["reply"]},
    "put_pin": {"kind": "base", "version": 3, "reason": "until the audit is over", "until": _UNTIL},
    "post_restore": {"at": "2026-03-03T09:30:00Z", "reason": "as it worked on 3 March"},
    "post_budgets": {"period": "month", "soft": 40_000_000, "hard": 50_000_000, "feature": "reply"},
    "put_one_budget": {"soft": 80_000_000, "hard": 100_000_000},
    "post_webhooks": {"url": "https://hooks.acme.example/bespoke", "events": ["run.succeeded", "run.failed"]},
    "patch_one_webhook": {"enabled": True},
    "post_webhook_secret": {"overlap_hours": 24},
    "post_keys": {"kind": "service", "name": "our shop", "scopes": ["read", "run", "customise"], "expires": _UNTIL},
    "patch_one_key": {"requests_per_minute": 600, "concurrent_runs": 20},
    "post_rotate_key": {"until": _UNTIL},
    "post_provider_keys": {"provider": "openai", "name": "ours", "key": "sk-…"},
    "post_members": {"email": "bob@acme.example", "role": "member", "name": "Bob"},
    "patch_one_member": {"role": "admin"},
    "post_invitations": {"email": "eve@acme.example", "role": "member"},
    "patch_tenant": {"policy": {"users_may_pin": 90, "retention_days": 365}},
    "post_support_access": {"hours": 4, "reason": "the run of this morning"},
    "post_features": {
        "feature": "topic", "title": "Name the topic", "behavior": _BEHAVIOR,
        "rules": {"instructions.task": {"edit": "tenant"}},
    },
    "post_versions": {"behavior": _BEHAVIOR, "message": "one topic more", "publish": "none"},
    "put_current": {"version": 4},
    "post_withdraw": {"replacement": 3, "reason": "it promised refunds"},
    "post_rollouts": {
        "to": 4, "unit": "tenant", "steps": [{"tenants": ["acme"], "hold": 3600, "min_runs": 50}, {"percent": 100}],
        "guards": {"schema_failures": {"max": 0.02, "min_runs": 50, "do": "pause"}},
    },
    "post_advance": _WHY,
    "post_pause": _WHY,
    "post_resume": {"why": "it was the provider"},
    "post_roll_back": _WHY,
    "post_ask": {"to": 4, "percent": 10, "unit": "tenant"},
    "put_availability": {"listed_only": True, "add": ["acme"]},
    "put_caching": {"seconds": 3600},
    "put_retirement": {"at": _UNTIL, "message": "Use `answer` instead."},
    "post_models": {
        "alias": "standard", "provider": "openai", "model": "gpt-5-mini", "input_price": 250_000,
        "cached_input_price": 25_000, "output_price": 2_000_000,
    },
    "put_alias": {"revision": 2},
    "put_one_target": {"ends": _UNTIL, "replacement": 2},
    "post_tenants": {"slug": "initech", "name": "Initech", "owner": "bill@initech.example"},
    "patch_one_tenant": {"requests_per_minute": 600, "state": "suspended", "reason": "unpaid since May"},
    "post_erase_tenant": {"confirm": "initech"},
    "post_operator_keys": {"name": "deploys", "scopes": ["read"], "expires": _UNTIL},
    "post_rotate_operator_key": {"until": _UNTIL},
}  # fmt: skip

_DIGEST = "1:9f8def6ce62d72cfcb5c046a4daf4a01f820cedc52c089ecb25bb5c242519944"
_NONE_OF = dict.fromkeys(("pin", "held", "rollout", "withdrawn"))
_MODEL = {"alias": "standard", "revision": 1, "provider": "openai", "model": "gpt-5-mini"}
_RECEIPT = {
    "digest": _DIGEST, "base": 3, "tenant": 2, "user": None, **_NONE_OF, "model_target": _MODEL, "substituted": False,
}  # fmt: skip
_COST = {"micro": 178, "currency": "EUR"}

SHAPES: dict[str, Any] = {
    "Receipt": _RECEIPT,
    "Run": {
        "id": "01a21c08-ffa4-7131-8b3f-94dd3a97de8a", "feature": "reply", "subject": "customer-4711",
        "state": "succeeded", "input": {"message": "My card has not arrived."},
        "output": {"body": "Thank you for writing. A colleague will look into it today."}, "error": None,
        "receipt": _RECEIPT, "usage": {"input_tokens": 530, "cached_input_tokens": 512, "output_tokens": 24},
        "cost": _COST, "attempts": 1, "cached": False, "feedback": None, "batch": None, "replay_of": None,
        "stored": True, "input_digest": None, "output_digest": None, "created": "2026-11-27T08:04:41.510954Z",
        "started": "2026-11-27T08:04:41.525603Z", "finished": "2026-11-27T08:04:42.204741Z",
    },
    "Override": {
        **_CHANGE, "revision": 2, "message": "as agreed with support", "author": "customer-4711",
        "saved": "2026-11-27T08:06:10.256290Z",
    },
    "Problem": {
        "type": "/errors/invalid", "title": "The request breaks a schema or a rule", "status": 422,
        "detail": "The input is not what reply takes.", "request": "572ff9fef93f4ebe91251e2d56a006de",
        "errors": [{"pointer": "/input/message", "rule": "required", "message": "is missing"}],
    },
}  # fmt: skip
