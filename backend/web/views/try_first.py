"""Try it first: a version, a moment, or all of one's changes as one document, on inputs that one chooses.

Nothing counts before it is saved; a document is saved whole, with a reason, or everything is inherited again.
"""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponseBase
from django.shortcuts import redirect, resolve_url
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from backend.web.desk import Desk, Layer
from backend.web.drawing import feature_page
from backend.web.pages import PageRequest, answer, for_members, overview_of
from backend.web.reading import id_in
from backend.web.try_form import TryForm
from backend.web.trying import place_of, trial_of
from features.actions.overrides import delete_override, save_override, whose
from features.actions.written import write_value
from features.engine import document_of
from features.released import released
from features.runs.preview import start_preview
from features.runs.previewed import end_preview
from tenants.errors import Invalid, Malformed, NotFound, Problem, Stale, TooMany

TEMPLATE = "web/try.html"


@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def try_first(request: PageRequest, key: str, layer: Layer) -> HttpResponseBase:
    """The page of a layer; `?preview=` shows a trial, `&input=` which of its inputs, `?confirm=clear` asks first."""
    if layer == "tenant":
        request.actor.need("override.tenant")
    desk = Desk(request, overview_of(request).feature(key), layer)
    if request.method == "POST":
        return _act(desk)
    preview = request.GET.get("preview")
    return _show(desk, _form(desk), preview=id_in(preview) if preview else None)


def _act(desk: Desk) -> HttpResponseBase:
    post, form = desk.request.POST, _form(desk, desk.request.POST)
    match post.get("act"):
        case "try":
            return _try(desk, form)
        case "save":
            return _save(desk, form)
        case "clear":
            return _clear(desk)
        case "stop":
            end_preview(id_in(post.get("preview")), by=desk.request.actor)
            messages.success(desk.request, _("It is stopped, and put away."))
            return _again(desk)
    raise Malformed("Say what to do: try, stop, save or clear.")


def _try(desk: Desk, form: TryForm) -> HttpResponseBase:
    """Answer inputs with what is served now and with what is wished for. Only when asked, since it costs."""
    desk.request.actor.need("run.create")
    with form.trying():
        try:
            made = start_preview(desk.feature, desk.layer, form.wish(), **form.questions(), by=desk.request.actor)
        except TooMany as error:
            form.add_error(None, error.detail)
            form.status = error.status
        else:
            return _show(desk, form, preview=made.id, HX_Push_Url=f"{desk.request.path}?preview={made.id}")
    return _show(desk, form)


def _save(desk: Desk, form: TryForm) -> HttpResponseBase:
    """Save the document whole, as a revision with what was said of it."""
    with form.trying():
        given = form.given()
        if given["what"] != "document":
            raise Invalid(errors=[Problem("/what", "document", _("Choose the changes written below, to save them."))])
        try:
            saved = save_override(
                desk.feature, desk.layer, given["text"], message=given["message"].strip(), **desk.write
            )
        except Stale as error:
            return _stale(desk, form, error)
        messages.success(desk.request, _("Saved as revision %(n)d.") % {"n": saved.row.number})
        return _again(desk)
    return _show(desk, form)


def _clear(desk: Desk) -> HttpResponseBase:
    """Inherit everything again."""
    try:
        delete_override(desk.feature, desk.layer, **desk.write)
    except (NotFound, Stale) as error:
        form = _form(Desk(desk.request, desk.feature, desk.layer))
        return _show(desk, form, notice=error.detail, status=error.status)
    messages.success(desk.request, _("Everything is inherited again. “Undo a save” under Make it mine brings it back."))
    return _again(desk)


def _stale(desk: Desk, form: TryForm, error: Stale) -> HttpResponseBase:
    """What was typed stays; what was saved meanwhile stands beside it, and a second save is over that."""
    fresh = Desk(desk.request, desk.feature, desk.layer)
    words = fresh.who_saved() + " " + _("What is saved stands below what you typed. Save again to replace it.")
    return _show(fresh, form, notice=words, meanwhile=_document(fresh), status=error.status)


def _again(desk: Desk) -> HttpResponseBase:
    """The page as it is now, under its own address."""
    if not desk.request.htmx:
        return redirect(desk.request.path)
    fresh = Desk(desk.request, desk.feature, desk.layer)
    return _show(fresh, _form(fresh), oob=True, HX_Push_Url=desk.request.path)


def _document(desk: Desk) -> str:
    """All that this layer changes, as it is written."""
    rules = desk.editing.revision.rules if desk.editing.revision else {}
    document = document_of(desk.editing.own.values(), rules)
    return write_value(document) if document else ""


def _form(desk: Desk, data: Any = None) -> TryForm:
    actor = desk.request.actor
    with actor.present():
        versions = sorted(released(desk.feature, actor.tenant_id, whose(desk.layer, actor)), reverse=True)
    initial = {"what": "document" if desk.editing.may else "version", "text": _document(desk)}
    return TryForm(data, versions=versions, titles=desk.editing.titles, initial=initial)


def _show(
    desk: Desk, form: TryForm, *, preview: UUID | None = None, notice: str = "", meanwhile: str = "",
    status: int = 0, oob: bool = False, **headers: str,
) -> HttpResponseBase:  # fmt: skip
    request, feature, actor = desk.request, desk.feature, desk.request.actor
    trial = None
    if preview is not None:
        place, address = place_of(request.GET.get("input", "")), f"{request.path}?preview="
        trial = trial_of(preview, place, desk.editing.served, actor, address=address)
    with actor.present():
        context = feature_page(feature, overview_of(request).served(feature), actor)
    may = {"try": "run.create" in actor.can, "save": desk.editing.may, "clear": bool(desk.editing.own)}
    context |= {
        "layer": desk.layer, "form": form, "etag": desk.etag, "trial": trial, "notice": notice, "meanwhile": meanwhile,
        "may": may, "clearing": request.GET.get("confirm") == "clear" and may["save"] and may["clear"], "oob": oob,
        "editor_url": resolve_url("web:org_mine" if desk.layer == "tenant" else "web:mine", feature.key),
    }  # fmt: skip
    return answer(request, TEMPLATE, context, part="page", status=status or form.status, **headers)
