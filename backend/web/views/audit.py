"""What was done, by members or operators, and whether the record is whole; an organisation's data, and erasing it."""

import json
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core import signing
from django.http import HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from backend.actors import subject_named
from backend.web.filled import EraseForm, Filled
from backend.web.jobs import SHOWN, erasure_line, export_line
from backend.web.pages import PageRequest, answer, for_members, for_people
from backend.web.parts import AuditLine
from backend.web.reading import number_in, page_of, place_in
from backend.web.telling import author_words, detail_words, target_words
from backend.web.verb_words import verb_words
from features.audited import named
from tenants.actor import Actor
from tenants.audit import events_of
from tenants.errors import Malformed
from tenants.models import AuditEvent, VendorAuditEvent
from tenants.people import member_called, names_of
from tenants.privacy import ask_for_export, erase_subject, erasures_of, exports_of
from tenants.walking import STRETCH, Place, verified

AUDIT, DATA = "web/audit.html", "web/data.html"
PAGE = 50


@require_safe
@for_members
def audit(request: PageRequest) -> HttpResponseBase:
    """The newest events first. `?verb=` and `?who=` filter, `?before=` goes on, `?verify=1` walks the chain."""
    request.actor.need("audit.read")
    return _audit(request, request.actor.tenant_id)


@require_safe
@for_people
def vendor_audit(request: PageRequest) -> HttpResponseBase:
    """The same of what operators did."""
    request.actor.need("audit.vendor")
    return _audit(request, None)


def _audit(request: PageRequest, tenant_id: UUID | None) -> HttpResponseBase:
    actor, asked = request.actor, request.GET
    before, verb, who = number_in(asked.get("before")), asked.get("verb", "")[:60], asked.get("who", "")[:100]
    with actor.present():
        rows = events_of(tenant_id, verb=verb, who=who, before=before or None, most=PAGE + 1)
        names = named(rows[:PAGE], actor)
        names |= names_of({who, *(row.actor for row in rows[:PAGE])} - names.keys(), actor)
    context = {
        "here": "audit", "lines": [_line(row, names, actor) for row in rows[:PAGE]], "verb": verb, "who": who,
        "verb_words": verb_words(verb) if verb else "",
        "who_words": author_words(who, names, actor, inside=True) if who else "",
        "more": rows[PAGE - 1].sequence if len(rows) > PAGE else 0,
        **(_walked(tenant_id, asked["verify"]) if asked.get("verify") else {}),
    }  # fmt: skip
    return answer(request, AUDIT, context, part="list")


def _walked(tenant_id: UUID | None, asked: str) -> dict[str, Any]:
    """The next stretch of the chain: the page asks for one after the other, as long as all is well.

    Where it goes on is signed: a link that leaves out the beginning cannot make the page say that all of it is whole.
    """
    signer = signing.Signer(salt=f"audit {tenant_id}")
    try:
        after = None if asked == "1" else Place.read(*signer.unsign(asked).split("-"))
    except signing.BadSignature:
        raise Malformed(_("Check the record from its beginning.")) from None
    found = verified(tenant_id, after=after, most=STRETCH)
    return {"verified": found, "go_on": signer.sign(f"{found.sequence}-{found.digest}")}


@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def data(request: PageRequest) -> HttpResponseBase:
    """Exports, and erasures with a form for one more (`?erase=` asks first and names what will happen)."""
    request.actor.need("data.export")
    if request.method != "POST":
        return _data(request)
    actor = request.actor
    match request.POST.get("act"):
        case "export":
            ask_for_export(by=actor)
            return _asked(request, _("The export is being made. It is listed here, and can be taken for a day."))
        case "erase":
            form = EraseForm(request.POST)
            with form.trying():
                erase_subject(_whose(form.given()["whose"], actor), by=actor)
                return _asked(request, _("It is being erased. The report stands here when it is done."))
            return _data(request, form=form)
    raise Malformed(_("Say what to do: export or erase."))


data.while_suspended = True  # type: ignore[attr-defined]  # for actors.admit: the data is theirs


def _asked(request: PageRequest, told: str) -> HttpResponseBase:
    messages.success(request, told)
    return _data(request, oob=True) if request.htmx else redirect("web:org_data")


def _whose(text: str, actor: Actor) -> Any:
    with actor.present():
        member = member_called(text, left=True) if "@" in text else None
    return member or subject_named(actor, text)


def _data(request: PageRequest, *, form: Filled | None = None, oob: bool = False) -> HttpResponseBase:
    actor, form, place = request.actor, form or EraseForm(), place_in(request.GET.get("before"))
    with actor.present():
        exports = list(exports_of(actor).order_by("-id").defer("manifest")[:SHOWN])
        erasures, older = page_of(erasures_of(actor), place, SHOWN)
        names = names_of({row.author for row in (*exports, *erasures)}, actor)
    made = [export_line(row, names, actor) for row in exports]
    gone = [erasure_line(row, names, actor) for row in erasures]
    context = {
        "here": "audit", "exports": made, "erasures": gone, "form": form, "oob": oob,
        "going": any(line.going for line in (*made, *gone)), "older": older, "later": place is not None,
    }  # fmt: skip
    return answer(request, DATA, context, part="page", status=form.status)


def _line(row: AuditEvent | VendorAuditEvent, names: dict[str, str], actor: Actor) -> AuditLine:
    return AuditLine(
        row.sequence, row.at, author_words(row.actor, names, actor), row.actor, row.verb, verb_words(row.verb),
        row.target, names.get(row.target) or target_words(row.target), detail_words(row.detail, names),
        json.dumps(row.detail, ensure_ascii=False), bytes(row.digest).hex(),
    )  # fmt: skip
