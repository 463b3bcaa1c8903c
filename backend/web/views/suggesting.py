"""Make it mine in plain words: ask, look at the operations and untick some, try them on one's inputs, accept, undo.

Part of the editor's page (mine.py), under its address: `?suggest=` shows a suggestion, `&preview=` what it would do.
"""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any
from uuid import UUID

from django.http import HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from backend.web.boxes import as_text as box_text
from backend.web.boxes import problem_words
from backend.web.comparing import as_read, pieces
from backend.web.desk import Desk
from backend.web.drawing import failure_of, receipt_of
from backend.web.parts import Failure, SuggestedLine, Suggesting
from backend.web.reading import id_in
from backend.web.trying import place_of, trial_of
from features.actions.overrides import delete_override, rollback_override, save_override
from features.engine import is_text
from features.runs.bells import ring
from features.runs.models import State
from features.runs.preview import Wish, start_preview
from features.runs.proposing import Proposed, as_text
from features.runs.suggest import Suggestion, start_suggestion, suggestion_of
from tenants.errors import AppError, Conflict, Forbidden, Invalid, Malformed, NotFound, OverBudget, Stale, TooMany
from tenants.errors import Unavailable as Away

INPUTS = 3  # of one's last ones, on which a suggestion is tried
NOTHING: Mapping[str, Any] = {}
REFUSALS = (Invalid, Conflict, Forbidden, NotFound, OverBudget, TooMany, Away)


def act(desk: Desk) -> HttpResponseBase | None:
    """Carry out one of this box's acts; None for every other."""
    name = "".join(desk.request.POST.getlist("act")[-1:])
    carry_out = ACTS.get(name)
    return carry_out(desk) if carry_out else None


def show(desk: Desk) -> HttpResponseBase:
    """A suggestion as far as it has come; with `?preview=` also both outputs of one's last inputs."""
    asked = desk.request.GET
    found, chosen = _found(desk, asked.get("suggest", "")), asked.getlist("op") or None
    if "preview" not in asked:
        return _answer(desk, found, chosen)
    return _answer(desk, found, chosen, preview=id_in(asked["preview"]), place=place_of(asked.get("input", "")))


def _ask(desk: Desk) -> HttpResponseBase:
    words = desk.request.POST.get("request", "")
    try:
        accepted = start_suggestion(desk.feature, desk.layer, words, by=desk.request.actor)
    except REFUSALS as error:
        return _box(desk, status=error.status, request=words, problem=error.detail)
    if not accepted.ended:
        ring()
    here = f"{desk.request.path}?suggest={accepted.run_id}"
    if not desk.request.htmx:
        return redirect(here)
    return _answer(desk, _found(desk, str(accepted.run_id)), HX_Push_Url=here)


def _try(desk: Desk) -> HttpResponseBase:
    """Answer one's last inputs with what is served now and with what is ticked. Only when asked, since it costs."""
    found, chosen = _posted(desk)
    try:
        wish = Wish(override=found.document(_some(chosen)))
        preview = start_preview(desk.feature, desk.layer, wish, recent=INPUTS, by=desk.request.actor)
    except REFUSALS as error:
        return _answer(desk, found, chosen, status=error.status, problem=_told(desk, error))
    if not desk.request.htmx:
        return redirect(f"{_address(desk, found, chosen)}&preview={preview.id}")
    return _answer(desk, found, chosen, preview=preview.id)


def _accept(desk: Desk) -> HttpResponseBase:
    """Save what is ticked as an ordinary revision, unless somebody was quicker."""
    found, chosen = _posted(desk)
    before = desk.editing.revision.number if desk.editing.revision else 0  # under a stay, the one that is served
    try:
        document = found.document(_some(chosen))
        message = found.request.strip()[:500]
        saved = save_override(desk.feature, desk.layer, document, message=message, **desk.write)
    except Stale:
        fresh = Desk(desk.request, desk.feature, desk.layer)
        words = fresh.who_saved() + " " + _("What is proposed is shown on top of that now: look again.")
        again = suggestion_of(desk.feature, found.run.id, by=desk.request.actor)
        return _answer(fresh, again, chosen, problem=words, status=412)
    except REFUSALS as error:
        return _answer(desk, found, chosen, problem=_told(desk, error), status=error.status)
    fresh = Desk(desk.request, desk.feature, desk.layer)
    return _done(fresh, state="saved", saved=saved.row.number, undo=before, etag=fresh.etag)


def _undo(desk: Desk) -> HttpResponseBase:
    """Go back to what was before: the revision, or nothing changed at all."""
    text = desk.request.POST.get("revision", "")
    if not (text.isascii() and text.isdecimal() and len(text) < 9):
        raise Malformed("Say which revision.")
    try:
        if int(text):
            rollback_override(desk.feature, desk.layer, int(text), **desk.write)
        else:
            delete_override(desk.feature, desk.layer, **desk.write)
    except (Stale, NotFound, Conflict) as error:
        fresh = Desk(desk.request, desk.feature, desk.layer)
        words = fresh.who_saved() if isinstance(error, Stale) else error.detail
        return _box(fresh, problem=words, status=error.status, reloads=True)
    return _done(Desk(desk.request, desk.feature, desk.layer), state="undone")


ACTS: dict[str, Callable[[Desk], HttpResponseBase]] = {
    "suggest": _ask, "try-suggestion": _try, "accept": _accept, "undo-suggestion": _undo,
}  # fmt: skip


def _posted(desk: Desk) -> tuple[Suggestion, list[str]]:
    return _found(desk, desk.request.POST.get("suggestion", "")), desk.request.POST.getlist("op")


def _some(chosen: Collection[str]) -> Collection[str]:
    if not chosen:
        raise Invalid(_("Tick at least one."))
    return chosen


def _found(desk: Desk, text: str) -> Suggestion:
    """A suggestion of one's own for this layer. Raises NotFound for every other."""
    found = suggestion_of(desk.feature, id_in(text), by=desk.request.actor)
    if found.layer != desk.layer:
        raise NotFound
    return found


def _address(desk: Desk, found: Suggestion, chosen: Collection[str] | None) -> str:
    """Where a suggestion is looked at, with what is ticked of it."""
    ticked = "".join(f"&op={one}" for one in chosen or () if one.isascii() and one.isdecimal())
    return f"{desk.request.path}?suggest={found.run.id}{ticked}"


def _answer(
    desk: Desk, found: Suggestion, chosen: Collection[str] | None = None, *, status: int = 200, problem: str = "",
    preview: UUID | None = None, place: int | None = None, **headers: str,
) -> HttpResponseBase:  # fmt: skip
    """The box with a suggestion in it, perhaps tried; what is ticked stays ticked (None: everything)."""
    actor, run, trial = desk.request.actor, found.run, None
    if preview is not None:
        address = f"{_address(desk, found, chosen)}&preview="
        trial = trial_of(preview, place, desk.editing.served, actor, address=address)
    lines = [_line(desk, one, chosen) for one in found.operations]
    with actor.present():
        receipt = None if found.state == "working" else receipt_of(run)
    failed = failure_of(run) or Failure(_("It was stopped."), _("Ask again."), run.attempts)
    return _box(
        desk, status=status, headers=headers, state=found.state, id=str(run.id), request=found.request,
        reason=found.reason, lines=[one for one in lines if not one.why], refused=[one for one in lines if one.why],
        etag=found.etag, problem=problem, failed=failed if found.state == "failed" else None, receipt=receipt,
        asked=run.created_at, trial=trial, waits=run.state == State.QUEUED,
    )  # fmt: skip


def _done(desk: Desk, **about: Any) -> HttpResponseBase:
    """After a save: the box says so, and the editor beside it is drawn anew."""
    if not desk.request.htmx:
        return redirect(desk.request.path)
    return _box(desk, reloads=True, headers={"HX_Push_Url": desk.request.path}, **about)


def _box(
    desk: Desk, *, status: int = 200, reloads: bool = False, headers: Mapping[str, Any] = NOTHING, **about: Any
) -> HttpResponseBase:
    box = Suggesting(may=desk.may_wish, **about)
    return desk.answer(suggesting=box, part="suggestion", status=status, reloads=reloads, **headers)


def _line(desk: Desk, one: Proposed, chosen: Collection[str] | None) -> SuggestedLine:
    titles = desk.editing.titles
    title = desk.title(one.field) if one.field in desk.editing.fields else one.field
    line = partial(SuggestedLine, one.id, one.field, title, one.kind)
    if not one.allowed:
        return line(pieces(None, as_text(one.value)), problem_words(one.problems, one.field, titles))
    box = desk.editing.box(one.field)
    found = pieces(as_text(one.before), None if one.after is None else as_text(one.after))
    added = one.kind == "append" and box.may_append and one.field not in desk.editing.own
    return line(
        as_read(found, titles, desk.editing.contracts["input"]) if is_text(one.field) else found,
        ticked=chosen is None or one.id in chosen,
        mode="append" if added else "set",
        text=as_text(one.value) if added else box_text(one.after, box.widget),
    )


def _told(desk: Desk, error: AppError) -> str:
    """A refusal in words; what only repeats it is left out."""
    problems = [one for one in error.errors if one.rule not in ("cost", "none", "length")]
    return " ".join([error.detail, *problem_words(problems, "", desk.editing.titles)])
