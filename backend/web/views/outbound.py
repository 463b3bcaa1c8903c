"""Provider keys and webhooks of the organisation, for admins: enter, change, try, end."""

from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.http import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from backend.web.filled import Filled, ProviderKeyForm, RenewForm, WebhookForm
from backend.web.pages import PageRequest, answer, for_members
from backend.web.parts import DeliveryLine, ProviderKeyLine, WebhookLine
from backend.web.reading import id_in, place_in
from backend.web.telling import author_words
from tenants.actor import Actor
from tenants.errors import Conflict, Malformed
from tenants.models import Delivery, ProviderKey, Webhook
from tenants.people import names_of
from tenants.provider_keys import (
    add_provider_key,
    find_provider_key,
    provider_keys_of,
    revoke_provider_key,
)
from tenants.provider_keys import state_of as key_state
from tenants.webhooks import (
    STATES,
    add_webhook,
    change_webhook,
    deliveries_to,
    find_delivery,
    find_webhook,
    remove_webhook,
    renew_secret,
    resend,
    send_test,
    state_of,
    webhooks_of,
)

KEYS, WEBHOOKS, WEBHOOK = "web/provider_keys.html", "web/webhooks.html", "web/webhook.html"
PAGE = 30


@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def provider_keys(request: PageRequest) -> HttpResponseBase:
    """The keys: enter one, end one (`?end=` asks first)."""
    actor = request.actor
    actor.need("provider_key.manage")
    if request.method != "POST":
        return _keys(request)
    if request.POST.get("act") == "end":
        revoke_provider_key(find_provider_key(id_in(request.POST.get("key")), actor), by=actor)
        return _done(request, _keys, _("The key has ended. No call is begun with it any more."))
    form = ProviderKeyForm(request.POST)
    with form.trying():
        add_provider_key(**form.given(), by=actor)
        return _done(request, _keys, _("The key is sealed and used from the next call on."))
    return _keys(request, form=form)


def _keys(request: PageRequest, *, form: Filled | None = None, plain: bool = False) -> HttpResponseBase:
    actor, form = request.actor, form or ProviderKeyForm()
    with actor.present():
        rows = provider_keys_of(actor)
        names = names_of([row.created_by for row in rows], actor)
    newest: dict[str, ProviderKey] = {}
    for row in rows:
        if row.revoked_at is None:
            newest.setdefault(row.provider, row)
    lines = [_key_line(row, newest.get(row.provider) == row, names, actor) for row in rows]
    asked: Any = {} if plain else request.GET
    context = {
        "here": "keys",
        "lines": lines,
        "form": form,
        "ending": asked.get("end", ""),
        "oob": plain,
    }
    return answer(request, KEYS, context, part="page", status=form.status)


@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def webhooks(request: PageRequest) -> HttpResponseBase:
    """The webhooks, and a form for one more. Its secret is shown on the page that answers, and never again."""
    actor = request.actor
    actor.need("webhook.manage")
    if request.method != "POST":
        return _webhooks(request)
    form = WebhookForm(request.POST)
    with form.trying():
        row, secret = add_webhook(**form.given(), by=actor)
        return _webhook(request, row, secret=secret, HX_Push_Url=reverse("web:org_webhook", args=[row.id]))
    return _webhooks(request, form=form)


def _webhooks(request: PageRequest, *, form: Filled | None = None) -> HttpResponseBase:
    actor, form = request.actor, form or WebhookForm()
    with actor.present():
        rows = webhooks_of(actor)
        names = names_of([row.created_by for row in rows], actor)
    context = {"here": "keys", "lines": [_line(row, names, actor) for row in rows], "form": form}
    return answer(request, WEBHOOKS, context, part="page", status=form.status)


@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def webhook(request: PageRequest, webhook_id: Any) -> HttpResponseBase:
    """One webhook and what became of its messages: `?state=` waiting, delivered or failed, `?before=` older ones."""
    request.actor.need("webhook.manage")
    row = find_webhook(webhook_id, request.actor)
    if request.method != "POST":
        return _webhook(request, row)
    try:
        return _act(request, row)
    except Conflict as error:
        return _webhook(request, row, refused=error.detail, status=error.status)


def _act(request: PageRequest, row: Webhook) -> HttpResponseBase:
    post, actor = request.POST, request.actor
    match post.get("act"):
        case "save":
            form = WebhookForm(post)
            with form.trying():
                change_webhook(row, **form.given(), by=actor)
                return _again(request, row, _("Saved. It counts from the next event on."))
            return _webhook(request, row, form=form, status=form.status)
        case "renew":
            hours = RenewForm(post)
            if not hours.is_valid():
                return _webhook(request, row, renewing=hours, status=422)
            row, secret = renew_secret(row, overlap=timedelta(hours=hours.cleaned_data["hours"]), by=actor)
            return _webhook(request, row, secret=secret)
        case "on" | "off" as how:
            row = change_webhook(row, enabled=how == "on", by=actor)
            told = (
                _("It is told again, from the next event on.") if how == "on" else _("Nothing is sent to it any more.")
            )
            return _again(request, row, told)
        case "test":
            send_test(row, by=actor)
            return _again(request, row, _("A test event is on its way. What becomes of it stands below."))
        case "resend":
            resend(find_delivery(row, id_in(post.get("delivery")), actor), by=actor)
            return _again(request, row, _("It is sent again, under the same id."))
        case "remove":
            remove_webhook(row, by=actor)
            messages.success(request, _("The webhook and its secret are gone."))
            return redirect("web:org_webhooks") if not request.htmx else _gone(request)
    raise Malformed(_("Say what to do: save, renew, on, off, test, resend or remove."))


def _gone(request: PageRequest) -> HttpResponseBase:
    made = _webhooks(request)
    made["HX-Push-Url"] = reverse("web:org_webhooks")
    return made


def _again(request: PageRequest, row: Webhook, told: str) -> HttpResponseBase:
    messages.success(request, told)
    return _webhook(request, row, plain=True) if request.htmx else redirect("web:org_webhook", row.id)


def _webhook(
    request: PageRequest, row: Webhook, *, form: Filled | None = None, renewing: Filled | None = None,
    secret: str = "", refused: str = "", status: int = 200, plain: bool = False, **headers: str,
) -> HttpResponseBase:  # fmt: skip
    actor, asked = request.actor, {} if plain else request.GET
    state = asked.get("state", "") if asked.get("state") in STATES else ""
    with actor.present():
        names = names_of([row.created_by], actor)
        found = deliveries_to(row, state=state, before=place_in(asked.get("before")), most=PAGE + 1)
    initial = {"url": row.url, "description": row.description, "events": row.events}
    context = {
        "here": "keys", "webhook": _line(row, names, actor), "form": form or WebhookForm(initial=initial),
        "renewing": renewing or RenewForm(), "asked": "renew" if renewing else asked.get("confirm", ""),
        "secret": secret, "refused": refused, "deliveries": [_delivery(one) for one in found[:PAGE]],
        "state": state, "states": list(STATES),
        "more": str(found[PAGE - 1].id) if len(found) > PAGE else "", "oob": plain,
        "sending": any(one.due_at for one in found[:PAGE]) and not asked.get("before"),
    }  # fmt: skip
    return answer(request, WEBHOOK, context, part="page", status=status, **headers)


def _done(request: PageRequest, show: Any, told: str) -> HttpResponseBase:
    messages.success(request, told)
    made: HttpResponseBase = show(request, plain=True) if request.htmx else redirect(request.path)
    return made


def _key_line(row: ProviderKey, used: bool, names: dict[str, str], actor: Actor) -> ProviderKeyLine:
    return ProviderKeyLine(
        id=str(row.id), provider=row.provider, name=row.name, base_url=row.base_url, last_four=row.last_four,
        fingerprint=row.fingerprint, state=key_state(row), used=used, created=row.created_at,
        by=author_words(row.created_by, names, actor, inside=True), refused=row.refused_at,
    )  # fmt: skip


def _line(row: Webhook, names: dict[str, str], actor: Actor) -> WebhookLine:
    reasons = {
        "asked": _("Somebody turned it off."), "gone": _("The address answered that it is gone (410)."),
        "failing": _("Nothing has reached the address for days."),
    }  # fmt: skip
    overlaps = row.previous_until is not None and row.previous_until > timezone.now()
    return WebhookLine(
        id=str(row.id), url=row.url, description=row.description, events=tuple(row.events), created=row.created_at,
        by=author_words(row.created_by, names, actor, inside=True),
        why=reasons.get(row.disabled_why, reasons["asked"]) if row.disabled_at else "",
        failing=row.failing_since, old_until=row.previous_until if overlaps else None,
    )  # fmt: skip


def _delivery(row: Delivery) -> DeliveryLine:
    told = row.problem or (_("answered %(status)s") % {"status": row.status} if row.status else "")
    return DeliveryLine(
        id=str(row.id),
        event=row.event,
        at=row.at,
        state=state_of(row),
        attempts=row.attempts,
        told=told,
        next=row.due_at,
    )
