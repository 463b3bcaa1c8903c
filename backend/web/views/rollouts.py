"""Rollouts, for operators: all there were, a new one (what changes, whom it reaches, its steps), and one as it goes."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from backend.web.confirming import whole
from backend.web.pages import PageRequest, answer, for_people
from backend.web.publishing import compare, compared, feature_line, titles_for, version_line
from backend.web.reaching import impact_csv, impact_view
from backend.web.reading import page_of, place_in
from backend.web.rolling import head_of, live_of, log_of
from backend.web.rollout_form import START, changed, drawn, read_rollout
from backend.web.tables import csv_answer
from backend.web.whereabouts import Whereabouts, places_part, whom_it_moves
from features.actions.rollouts import Seen, advance, pause, resume, roll_back, start_rollout
from features.find import find_feature, find_version
from features.impact import impact_of_rollout, look
from features.impact.by_tenant import newest_look
from features.models import Feature, Impact, Rollout, Version
from features.published import find_published, published, read_published
from features.rollouts import events_of, find_rollout, named_in, rollouts_of
from tenants.errors import AppError, ApprovalNeeded, Conflict, Invalid, Malformed, NotFound
from tenants.people import names_of

from .approvals import asked_for

NEW_TABS, TABS = ("changes", "impact", "steps"), ("live", "impact", "changes", "log")
NEXT = {Rollout.State.RUNNING.value: "pause", Rollout.State.PAUSED.value: "resume"}  # what can be done with a word why
LISTED = 50
OFFERED = 5  # versions of a feature to choose from, the newest; its page has all of them


@require_safe
@for_people
def rollouts(request: PageRequest) -> HttpResponseBase:
    """The rollouts that are under way, then those that ended, the newest first; `?before=` goes on."""
    actor, place = request.actor, place_in(request.GET.get("before"))
    actor.need("rollout.read")
    with actor.present():
        rows, older = page_of(rollouts_of(), place, LISTED)
        names = names_of({row.author for row in rows}, actor)
        named = named_in(*(row for row in rows if row.state == Rollout.State.RUNNING), say="name")
        heads = [head_of(row, names, named) for row in rows]
    may = "rollout.manage" in actor.can
    context = {
        "here": "rollouts", "rollouts": sorted(heads, key=lambda head: not head.open), "may": may, "older": older,
        "later": place is not None,
    }  # fmt: skip
    return answer(request, "web/rollouts.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@for_people
def new(request: PageRequest) -> HttpResponseBase:
    """A rollout before it is one, in three tabs by address: what changes, whom it reaches, steps and guards.

    Without a feature and a version in the address these are chosen first.
    """
    actor = request.actor
    actor.need("rollout.manage")
    asked = request.POST if request.method == "POST" else request.GET
    if request.method != "POST" and not (asked.get("feature") and asked.get("to")):
        return _choose(request, asked.get("feature", ""))
    feature, to = find_feature(asked.get("feature", ""), actor), whole(asked.get("to"))
    version = find_version(feature, to, actor)
    if request.method != "POST":
        return _new(request, feature, version, _tab(request, NEW_TABS))
    match asked.get("act"):
        case "look":
            look(feature, to=to, by=actor)
            return redirect(_address(feature, to, "impact"))
        case "draw":  # what was typed before, kept on the device
            return _new(request, feature, version, "steps", form=changed(asked.dict(), ""))
        case "start" if "change" in asked:
            return _new(request, feature, version, "steps", form=changed(asked.dict(), asked["change"]))
        case "start":
            return _start(request, feature, version)
    raise Malformed("Say what to do: look or start.")


def _choose(request: PageRequest, key: str) -> HttpResponseBase:
    """Which version of which feature it is to be: of all of them, or of the one in the address."""
    actor = request.actor
    rows = [find_published(key, actor)] if key else published(actor)
    lines = [
        (feature_line(row), [version for version in (version_line(v, row, {}, actor) for v in row.versions)
                             if version.may_roll_out][:OFFERED])
        for row in rows
    ]  # fmt: skip
    return answer(request, "web/rollout_choose.html", {"here": "rollouts", "lines": lines})


def _start(request: PageRequest, feature: Feature, version: Version) -> HttpResponseBase:
    data = request.POST.dict()
    try:
        begun = start_rollout(feature, to=version.number, **read_rollout(data), by=request.actor)
    except ApprovalNeeded as asked:
        return asked_for(request, asked)
    except (Invalid, Conflict) as refused:
        return _new(request, feature, version, "steps", form=data, refused=refused)
    messages.success(request, _("The rollout of version %(n)d has begun.") % {"n": version.number})
    return redirect("web:rollout", begun.id)


def _new(
    request: PageRequest, feature: Feature, version: Version, tab: str, *, form: Mapping[str, str] | None = None,
    refused: AppError | None = None,
) -> HttpResponseBase:  # fmt: skip
    actor, to = request.actor, version.number
    with actor.present():
        now = read_published(feature)
    before = now.current
    impact = newest_look(feature, before, to, actor)
    if request.GET.get("format") == "csv" and impact:
        return _csv(impact, request)
    comparison = compared(find_version(feature, before, actor), version)
    context: dict[str, Any] = {
        "here": "rollouts",
        "feature": feature,
        "before": before,
        "to": to,
        "tab": tab,
        "comparison": comparison,
        "impact": _impact(request, impact, version.titles) if tab == "impact" and impact else None,
        "looked": impact is not None and impact.state == Impact.State.DONE,
        "form": drawn(START if form is None else form, refused.errors if refused else ()) if tab == "steps" else None,
        "refused": refused if refused and not refused.errors else None,
        "wrong": bool(refused and refused.errors),
        "meanwhile": now.rollout,
        "address": reverse("web:rollout_new"),
        "oob": bool(request.htmx),
    }
    part = {"impact": "coming", "steps": "steps"}.get(tab, "")
    return answer(request, "web/rollout_new.html", context, part=part, status=refused.status if refused else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@for_people
def rollout(request: PageRequest, rollout_id: UUID) -> HttpResponseBase:
    """A rollout: live, its impact, what changes, its log; `?confirm=` names whom an act would move, or asks why."""
    row = find_rollout(rollout_id, request.actor)
    if request.method == "POST":
        return _act(request, row)
    if request.GET.get("format") == "csv":
        return _csv(impact_of_rollout(row.id, request.actor), request)
    return _show(request, row)


def _act(request: PageRequest, row: Rollout) -> HttpResponseBase:
    name, words = request.POST.get("act", ""), {"n": row.to}
    why, by = request.POST.get("why", "").strip(), request.actor
    try:
        match name:
            case "pause":
                pause(row, why=why, by=by)
            case "resume":
                resume(row, why=why, by=by)
            case "advance":  # whom it moves was named: if it has gone on since, that no longer holds
                advance(row, why=why, by=by, seen=_seen(request))
            case "rollback":
                roll_back(row, why=why, by=by)
            case _:
                raise Malformed("Say what to do: pause, resume, advance or rollback.")
    except Conflict as refused:
        return _show(request, find_rollout(row.id, request.actor), refused=refused)
    told = {
        "pause": _("Paused. Nobody is moved until somebody goes on."),
        "resume": _("It goes on; the step begins anew."),
        "advance": _("The next step of version %(n)d is in force."),
        "rollback": _("Rolled back. Everyone is on the version that they had before."),
    }
    messages.success(request, told[name] % words)
    return redirect("web:rollout", row.id)


def _show(request: PageRequest, row: Rollout, *, refused: AppError | None = None) -> HttpResponseBase:
    actor, tab = request.actor, _tab(request, TABS)
    may, asked = "rollout.manage" in actor.can, request.GET.get("confirm", "")
    impact = _latest_impact(request, row) if tab in ("live", "impact") else None
    with actor.present():
        events, where = list(events_of(row).order_by("at", "id")), Whereabouts(row)
        named = named_in(row, say="name") if tab in ("live", "log") or row.state == Rollout.State.RUNNING else {}
        names = names_of({row.author, *(event.actor for event in events)}, actor)
        head, log = head_of(row, names, named), log_of(row, events, names, named)
        possible = may and head.open and (asked == "rollback" or (asked == "advance" and head.advance != ""))
        context: dict[str, Any] = {
            "here": "rollouts",
            "head": head,
            "tab": tab,
            "may": may,
            "live": live_of(row, log, events, named, impact) if tab == "live" else None,
            "places": places_part(where, request.GET) if tab == "live" else None,
            "log": log if tab == "log" else None,
            "confirm": asked if possible else "",
            "saying": asked if may and asked == NEXT.get(row.state) else "",
            "moves": whom_it_moves(where, asked) if possible else [],
            "refused": refused,
            "oob": bool(request.htmx),
        }
    if tab == "impact" and impact is not None:
        context["impact"] = _impact(request, impact, titles_for(row.feature, row.to, actor))
    if tab == "changes":
        context["comparison"] = compare(row.feature, row.before, row.to, actor)
    part = "impact" if tab == "impact" else "live" if tab == "live" else ""
    return answer(request, "web/rollout.html", context, part=part, status=refused.status if refused else 200)


def _seen(request: PageRequest) -> Seen:
    """The step that an advance was confirmed for."""
    try:
        return Seen(int(request.POST.get("step", "")), datetime.fromisoformat(request.POST.get("since", "")))
    except (ValueError, TypeError):
        raise Malformed("Say which step this was decided in.") from None


def _latest_impact(request: PageRequest, row: Rollout) -> Impact | None:
    """The impact of the step that is in force; None when it was tidied away."""
    try:
        return impact_of_rollout(row.id, request.actor)
    except NotFound:
        return None


def _impact(request: PageRequest, impact: Impact, titles: Mapping[str, Any]) -> Any:
    return impact_view(impact, request.GET.dict(), request.actor, titles or {})


def _csv(impact: Impact, request: PageRequest) -> HttpResponseBase:
    return csv_answer(f"impact-{impact.feature.key}-{impact.to}", impact_csv(impact, request.actor))


def _tab(request: PageRequest, tabs: tuple[str, ...]) -> str:
    asked = request.GET.get("tab", "")
    return asked if asked in tabs else tabs[0]


def _address(feature: Feature, to: int, tab: str) -> str:
    return f"{reverse('web:rollout_new')}?feature={feature.key}&to={to}&tab={tab}"
