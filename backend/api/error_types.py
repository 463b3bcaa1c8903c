"""What each kind of error means to a caller, and what to do about it: where the `type` of a problem leads."""

from django.http import HttpRequest, HttpResponse, JsonResponse

from tenants.errors import NotFound

from .problems import KINDS, problem, reads

ADVICE = {
    "malformed": "Read `detail` and `errors`: JSON that cannot be read, a field or a query parameter that is not known "
    "here, or a header that does not say what it should. The same request will be refused again.",
    "unauthenticated": "Send `Authorization: Bearer bsk_…` with a key that is neither revoked nor ended, or sign in to "
    "the dashboard.",
    "over-budget": "Wait for the budget's next window, or ask who can raise it.",
    "forbidden": "Your role does not have the verb that `verb` names and `detail` says in words, or the key is of the "
    "wrong kind for this address. `GET /api/v1/me` says what you may do; reference/roles.md lists all roles.",
    "approval-needed": "The vendor has set that this takes two operators. What you asked for is recorded under "
    "`approval`, and nothing was changed yet: another operator with the role publish approves it by "
    "`POST /api/v1/approvals/{id}/approve`, and then it is done in your name.",
    "suspended": "The vendor has suspended or closed your organisation, and `detail` says why. Nothing runs or changes "
    "until it is active again; nothing was deleted. Runs that wait go on then; closing has cancelled them. "
    "Its owners and admins can still read everything. Ask them, or the vendor.",
    "not-found": "It is not there, or it belongs to another organisation or another person: the answer is the same, "
    "byte for byte.",
    "method-not-allowed": "Use one of the methods in the header `Allow`.",
    "not-acceptable": "Ask for `application/json`, or for a run's events for `text/event-stream`.",
    "too-slow": "Send the whole request without long breaks: a head within 20 seconds, of a body something every 60.",
    "conflict": "The state of things does not allow it now, and `detail` says why. Look at the state before you try "
    "again.",
    "unreproducible": "The behavior that a run's receipt names is not what it was when the run was accepted: versions "
    'and revisions never change, so somebody changed a row in the database itself. Ask again with `{"on": '
    '"current"}` or a version, and tell whoever runs this server the id in `request`.',
    "stale": "Somebody saved before you did, and nothing was changed. Read it again, put your change on top of that, "
    "and send `If-Match` with the ETag that you saw.",
    "too-large": "Send less: a request has at most 2 MiB, an input what the feature's `limits.input_bytes` says.",
    "address-too-long": "Send a shorter address: a path and its query have at most 8 KiB.",
    "unsupported-media": "Send `Content-Type: application/json`.",
    "invalid": "What you sent can be read, but breaks a schema or a rule. `errors` names every violation by a pointer "
    "(RFC 6901) into what you sent, the rule and what to do. Nothing was changed.",
    "too-many": "Wait as many seconds as `Retry-After` says.",
    "headers-too-large": "Send fewer or shorter headers: at most 100, of 32 KiB together.",
    "broken": "A fault of ours; nothing was half done. Tell us the id in `request`.",
    "unavailable": "A part that is needed is away. Ask again after as many seconds as `Retry-After` says; with an "
    "`Idempotency-Key` nothing is done twice.",
}


@reads
def error_type(request: HttpRequest, name: str) -> HttpResponse:
    """Tell of one kind of error."""
    kind = KINDS.get(name)
    if kind is None:
        return problem(NotFound("There is no such kind of error."), request)
    told = {"type": f"/errors/{name}", "title": kind.title, "status": kind.status, "advice": ADVICE[name]}
    return JsonResponse(told, json_dumps_params={"ensure_ascii": False})
