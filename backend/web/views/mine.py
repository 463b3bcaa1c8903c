"""Make it mine: every field with whose it is; change it, inherit it again, go back to a saved revision.

The same page is the organisation's editor at /org/f/, one layer down.
"""

import re
from collections.abc import Callable
from dataclasses import replace

from django.contrib import messages
from django.http import HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from backend.web.boxes import problem_words, read_box
from backend.web.desk import Desk, Layer
from backend.web.examples import as_draft, blank_example, example_with, read_example
from backend.web.pages import PageRequest, for_members, overview_of
from backend.web.parts import EditBox, NewExample, NewSection, Promoting
from backend.web.reading import id_in
from backend.web.rendering import summary_line
from features.actions.overrides import Saved, rollback_override, save_operation, save_override
from features.actions.promote import promote
from features.engine import Operation
from features.runs.correcting import keep_example
from tenants.errors import Invalid, Malformed, NotFound, Problem, Stale

from . import suggesting
from .runs import found_run


@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def mine(request: PageRequest, key: str, layer: Layer) -> HttpResponseBase:
    """The editor of a layer; `?show=` filters by origin, `?edit=`, `?row=`, `?add=` and `?revisions=` open parts."""
    if layer == "tenant":
        request.actor.need("override.tenant")
    desk = Desk(request, overview_of(request).feature(key), layer)
    if request.method == "POST":
        return suggesting.act(desk) or _act(desk)
    if "suggest" in request.GET:
        return suggesting.show(desk)
    field = request.GET.get("edit") or request.GET.get("row")
    row = desk.row(field, opened="edit" in request.GET) if field else None
    if "promote" in request.GET and desk.may_promote:
        return desk.answer(promoting=Promoting(desk.own_fields()))
    if row and request.htmx:
        return desk.answer(row=row, part="row")
    return desk.answer(row=row, new=_new(desk))


def _new(desk: Desk) -> NewSection | NewExample | None:
    """The box of what is to be added: a section, or an example, perhaps as a run of one's own went."""
    asked = desk.request.GET
    if "add" not in asked:
        return None
    if asked["add"] != "example" or not desk.editing.may_add("examples"):
        return NewSection()
    if "run" not in asked:
        return NewExample(blank_example(desk.editing.contracts))
    run = found_run(id_in(asked["run"]), desk.request.actor)
    if run.feature_id != desk.feature.id or run.input is None:
        raise NotFound
    output = (run.feedback or {}).get("correction") or run.output
    forms = blank_example(desk.editing.contracts, {"input": run.input, "output": output})
    return NewExample(forms, name=summary_line(run.input, 40), run=str(run.pk))


def _act(desk: Desk) -> HttpResponseBase:
    name = "".join(desk.request.POST.getlist("act")[-1:])  # a form's second button sends its own after the form's
    if name == "promote":
        return _promote(desk)
    if name == "draw":
        return _draw(desk)
    if desk.request.POST.get("side") == "theirs":
        messages.success(desk.request, _("What is saved stays as it is."))
        return desk.answer(oob=True) if desk.request.htmx else redirect(desk.request.path)
    act, was = ACTS.get(name), desk.newest
    if act is None:
        raise Malformed("Say what to do: save, remove, inherit, add, example, draw or rollback.")
    try:
        saved = act(desk)
    except (Invalid, Stale) as error:
        return _refused(desk, error, name)
    fresh = Desk(desk.request, desk.feature, desk.layer)
    unchanged = was is not None and was.number == saved.row.number
    messages.success(desk.request, _words(name, saved, fresh, unchanged=unchanged))
    return fresh.answer(oob=True) if desk.request.htmx else redirect(desk.request.path)


def _typed(desk: Desk) -> Operation:
    """The operation that a box holds. Raises Invalid where what was typed is not what the box is for."""
    post = desk.request.POST
    field, widget = post.get("field", ""), post.get("widget", "text")
    if widget == "example":
        forms = read_example(desk.editing.contracts, dict(post.lists()))
        if forms.problems:
            raise Invalid(_("Look at what is marked below."))
        return Operation(field, "set", forms.value)
    text = post.get("merged", "") if post.get("side") == "both" else post.get("value", "")
    return Operation(field, "append" if post.get("mode") == "append" else "set", read_box(text, widget))


def _save(desk: Desk) -> Saved:
    """Set or add to a field; in the organisation's editor also say who may change it for themselves."""
    operation = _typed(desk)
    field, rules = operation.field, desk.rules_with(operation.field, desk.request.POST.get("who", ""))
    if rules is None:
        return save_operation(desk.feature, desk.layer, field, {operation.kind: operation.value}, **desk.write)
    document = desk.document_with(operation, rules)
    return save_override(desk.feature, desk.layer, document, message=field, **desk.write)


def _remove(desk: Desk) -> Saved:
    return save_operation(desk.feature, desk.layer, desk.request.POST.get("field", ""), {"remove": True}, **desk.write)


def _inherit(desk: Desk) -> Saved:
    return save_operation(desk.feature, desk.layer, desk.request.POST.get("field", ""), None, **desk.write)


def _add(desk: Desk) -> Saved:
    """Add a section. Its name becomes a field's: lowercase, dashes for what else is in it."""
    post = desk.request.POST
    name = re.sub(r"[^a-z0-9_-]+", "-", post.get("name", "").lower()).strip("-")
    field, text = f"instructions.{name}", read_box(post.get("value", ""), "text")
    wrong = {
        _("Give it a name that begins with a letter."): not name[:1].isalpha(),
        _("There is a section of that name already."): field in desk.editing.fields,
        _("Write what it says."): not text.strip(),
    }
    if any(wrong.values()):
        raise Invalid(errors=[Problem("", "add", words) for words, so in wrong.items() if so])
    return save_operation(desk.feature, desk.layer, field, {"set": text}, **desk.write)


def _add_example(desk: Desk) -> Saved:
    """Add an example, called by its name, or without one by what goes in."""
    forms = read_example(desk.editing.contracts, dict(desk.request.POST.lists()))
    if forms.problems:
        raise Invalid(_("Look at what is marked below."))
    words = desk.request.POST.get("name", "").strip() or summary_line(forms.given.value, 40)
    return keep_example(desk.feature, desk.layer, forms.given.value, forms.wanted.value, words=words, **desk.write)[1]


def _draw(desk: Desk) -> HttpResponseBase:
    """A box with a draft in it that was kept on the person's device. Nothing of it is judged yet."""
    post = desk.request.POST
    forms = as_draft(read_example(desk.editing.contracts, dict(post.lists())))
    if not post.get("field"):
        return desk.answer(new=NewExample(forms, post.get("name", ""), post.get("run", "")))
    return desk.answer(row=desk.row(post["field"], opened=True, example=forms), part="row")


def _rollback(desk: Desk) -> Saved:
    text = desk.request.POST.get("revision", "")
    if not (text.isascii() and text.isdecimal() and len(text) < 9):
        raise Malformed("Say which revision.")
    return rollback_override(desk.feature, desk.layer, int(text), **desk.write)


ACTS: dict[str, Callable[[Desk], Saved]] = {
    "save": _save, "remove": _remove, "inherit": _inherit, "add": _add, "example": _add_example,
    "rollback": _rollback,
}  # fmt: skip


def _promote(desk: Desk) -> HttpResponseBase:
    """Make chosen changes of one's own everybody's: the organisation gets them, and one keeps or leaves one's own."""
    post = desk.request.POST
    fields, keep = post.getlist("field"), post.get("keep") != "no"
    chosen = [replace(option, chosen=option.value in fields) for option in desk.own_fields()]
    try:
        if not fields:
            raise Invalid(_("Choose at least one."))
        done = promote(desk.feature, fields=fields, keep_mine=keep, by=desk.request.actor)
    except Invalid as error:
        words = problem_words(error.errors, "", desk.editing.titles) or [error.detail]
        promoting = Promoting(chosen, keep, words)
        return Desk(desk.request, desk.feature, desk.layer).answer(
            promoting=promoting, status=error.status, HX_Retarget="#editor"
        )
    told = ngettext(
        "%(n)d change is everybody's at %(tenant)s now, as revision %(r)d.",
        "%(n)d changes are everybody's at %(tenant)s now, as revision %(r)d.",
        len(done.fields),
    )
    said = {"n": len(done.fields), "tenant": desk.editing.tenant, "r": done.ours.row.number}
    messages.success(desk.request, told % said + " " + _("You can go back to the one before under Our changes."))
    fresh = Desk(desk.request, desk.feature, desk.layer)
    return fresh.answer(oob=True) if desk.request.htmx else redirect(desk.request.path)


def _words(act: str, saved: Saved, desk: Desk, *, unchanged: bool) -> str:
    """What was done, and whom it reaches."""
    if unchanged:
        return _("Nothing to save: it was so already.")
    words = {"n": saved.row.number, "tenant": desk.editing.tenant, "field": ""}
    told = _("Saved as revision %(n)d.") % words
    if act == "inherit":
        field = desk.request.POST.get("field", "")
        told = _("%(field)s: inherited again, revision %(n)d.") % {**words, "field": desk.title(field)}
    if act == "rollback" and saved.suspended:
        asleep = len(saved.suspended)
        told += " " + ngettext("%d change is not in force.", "%d changes are not in force.", asleep) % asleep
    if desk.layer == "user":
        return told + " " + _("Nobody else was changed.")
    return told + " " + _("It reaches everyone at %(tenant)s who has not chosen otherwise.") % words


def _refused(desk: Desk, error: Invalid | Stale, act: str) -> HttpResponseBase:
    """Show what is wrong beside what was typed, and keep it; after a stale write, beside what was saved meanwhile."""
    fresh, post = Desk(desk.request, desk.feature, desk.layer), desk.request.POST
    stale = fresh.who_saved() if isinstance(error, Stale) else ""
    words = problem_words(error.errors, post.get("field", ""), fresh.editing.titles) or [error.detail]
    if act == "add":
        new = NewSection(post.get("name", ""), post.get("value", ""), [stale] if stale else words)
        return fresh.answer(new=new, status=error.status, HX_Retarget="#editor")
    if act == "example":
        return _refused_example(fresh, error, [stale] if stale else words)
    row = fresh.row(post.get("field", "")) if post.get("field") in fresh.editing.fields else None
    if act not in ("save", "remove") or row is None or not row.may_edit:
        return fresh.answer(notice=stale or " ".join(words), status=error.status, HX_Retarget="#editor")
    row = replace(row, edit=_as_typed(fresh, row.field, error, words))
    return fresh.answer(row=row, part="row", status=error.status, HX_Retarget=f"#{row.id}")


def _as_typed(desk: Desk, field: str, error: Invalid | Stale, words: list[str]) -> EditBox:
    """The box of a field with what was typed in it, and what became of saving that."""
    post, box = desk.request.POST, desk.editing.box(field)
    text = post.get("merged", "") if post.get("side") == "both" else post.get("value", "")
    forms = None
    if post.get("widget") == "example":
        read = read_example(desk.editing.contracts, dict(post.lists()))
        forms = read if read.problems else example_with(read, error.errors)
        words = [] if forms.problems else words
    return replace(
        box,
        text=text,
        mode="append" if post.get("mode") == "append" else "set",
        options=[replace(option, chosen=option.value == text) for option in box.options],
        who_may=[replace(option, chosen=option.value == post.get("who")) for option in box.who_may],
        meanwhile=desk.meanwhile(_typed(desk)) if isinstance(error, Stale) else None,
        problems=() if isinstance(error, Stale) else words,
        example=forms or box.example,
        widget="example" if forms else box.widget,
    )


def _refused_example(desk: Desk, error: Invalid | Stale, words: list[str]) -> HttpResponseBase:
    post = desk.request.POST
    read = read_example(desk.editing.contracts, dict(post.lists()))
    forms = read if read.problems else example_with(read, error.errors)
    new = NewExample(forms, post.get("name", ""), post.get("run", ""), [] if forms.problems else words)
    return desk.answer(new=new, status=error.status, HX_Retarget="#editor")
