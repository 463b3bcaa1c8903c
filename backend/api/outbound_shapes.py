"""The shapes of what goes out to customers' own addresses: provider keys, webhooks, deliveries."""

from .shapes import ID, NUMBER, OBJECT, TEXT, TIME, TRUTH, Schema, array, choice, maybe, named, shape

PROVIDER_KEY = named("ProviderKey", shape(
    id=ID, provider=TEXT, name=TEXT,
    base_url={**maybe(TEXT), "description": "an endpoint of one's own; null: the provider's usual one"},
    last_four=TEXT, fingerprint={**TEXT, "description": "the first 8 digits of the key's SHA-256"},
    state={**choice("live", "revoked", "unreadable"), "description": "unreadable: enter it anew"},
    created_by=TEXT, created=TIME, revoked=maybe(TIME),
    refused={**maybe(TIME), "description": "when the provider last said that it is not good"},
))  # fmt: skip
_WEBHOOK: dict[str, Schema] = {
    "id": ID, "url": TEXT, "description": TEXT, "events": array(TEXT), "enabled": TRUTH, "disabled": maybe(TIME),
    "disabled_why": {**maybe(choice("asked", "gone", "failing")),
                     "description": "gone: it answered 410; failing: nothing has reached it for days"},
    "failing_since": {**maybe(TIME), "description": "no delivery has succeeded since"},
    "old_secret_until": {**maybe(TIME), "description": "until then the old secret signs too"},
    "created_by": TEXT, "created": TIME,
}  # fmt: skip
WEBHOOK = named("Webhook", shape(**_WEBHOOK))
NEW_WEBHOOK = shape(**_WEBHOOK, secret={**TEXT, "description": "what signs (`whsec_…`): shown this once"})
DELIVERY = named("Delivery", shape(
    id={**ID, "description": "in the header `webhook-id` after `msg_`"}, event=TEXT, data=OBJECT, at=TIME,
    state=choice("waiting", "delivered", "failed"), attempts=NUMBER,
    next={**maybe(TIME), "description": "when it is sent, or given up on if it is under way"},
    status={**maybe(NUMBER), "description": "of the last answer"}, problem=maybe(TEXT), delivered=maybe(TIME),
))  # fmt: skip
