"""Who has changed what and who stays on which version, for admins: look at it, end a stay, take changes out."""

from collections.abc import Sequence

from django.contrib import messages
from django.http import HttpResponseBase, QueryDict
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_safe

from backend.actors import subject_named
from backend.web.pages import PageRequest, answer, for_members, overview_of
from backend.web.parts import Passing
from backend.web.passing import do_hand, do_leave, handing, leaving, read_hand
from backend.web.peopled import asked_of, line_of_person, looked_at
from backend.web.reading import moment_in, number_in
from features.actions.people import inherit_for
from features.actions.pins import end_pin_of
from features.models import Feature
from features.people import Kind, Person, Show, colleagues_of, people_of, person_named
from tenants.actor import Actor
from tenants.errors import AppError, Conflict, Invalid, Malformed, NotFound
from tenants.subjects import Who

TEMPLATE = "web/people.html"
PERSON = "web/person.html"
PAGE = 30
Colleagues = Sequence[Person]  # who is a member now; nobody for those who may not pass changes on
SHOWS: tuple[Show, ...] = ("all", "changed", "stays")
KINDS: dict[str, Kind] = {"members": "member", "users": "external"}


@require_safe
@for_members
def people(request: PageRequest) -> HttpResponseBase:
    """Everybody, by name. `?kind=` members or users, `?show=`, `?q=` a part of the name, `?after=` the next page."""
    asked = request.GET
    kind = asked["kind"] if asked.get("kind") in KINDS else "members"
    show: Show = next((one for one in SHOWS if one == asked.get("show")), "all")
    after = number_in(asked.get("after")) or 0
    search = asked.get("q", "").strip()[:100]
    found = people_of(request.actor, KINDS[kind], show=show, search=search, after=after, most=PAGE)
    lines = [line_of_person(one, request.actor) for one in found.people]
    query = asked.copy()
    query["after"] = str(after + PAGE)
    held = [line for line in lines if any(own.stay and own.stay.kind == "held" for own in line.own)]
    context = {
        "here": "people", "lines": lines, "kind": kind, "show": show, "search": search,
        "kinds": [("members", found.members), ("users", found.users)],
        "counts": [(key, found.counts.get(key)) for key in SHOWS],
        "more_url": f"?{query.urlencode()}" if found.more else "",
        "held": len(held), "held_one": held[0] if len(held) == 1 else None,
    }  # fmt: skip
    return answer(request, TEMPLATE, context, part="list")


@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def person(request: PageRequest, key: str) -> HttpResponseBase:
    """One of them. `?feature=` shows what they are served, `?at=` what they were then, `?confirm=` what an act does."""
    actor = request.actor
    actor.need("behavior.others")
    everybody = colleagues_of(actor) if "override.others" in actor.can else []
    who = _named(key, everybody, actor)
    return _act(request, who, everybody) if request.method == "POST" else _show(request, who, everybody)


def _named(key: str, everybody: Colleagues, actor: Actor) -> Who:
    """The subject that an address or a form names, looked up unless it is a colleague. Raises NotFound."""
    return next((one.who for one in everybody if one.who.key == key), None) or subject_named(actor, key)


def _act(request: PageRequest, who: Who, everybody: Colleagues) -> HttpResponseBase:
    post, actor = request.POST, request.actor
    person = person_named(actor, who, among=everybody)
    try:
        match post.get("act"):
            case "end":
                feature = _feature(request, post.get("feature"))
                end_pin_of(feature, who, by=actor)
                told = _("%(name)s follows the vendor again in %(feature)s. Nobody else was changed.")
            case "inherit":
                feature = _feature(request, post.get("feature"))
                inherit_for(feature, who, by=actor)
                told = _("%(name)s inherits everything again in %(feature)s. They can go back to what they had.")
            case "leave":
                return _leave(request, person, everybody)
            case "hand":
                return _hand(request, person, everybody)
            case _:
                raise Malformed("Say what to do: end, inherit, hand or leave.")
    except (Invalid, Conflict, NotFound) as error:
        return _show(request, who, everybody, error=error, status=error.status)
    messages.success(request, told % {"name": person.name, "feature": feature.title})
    return redirect(request.path) if not request.htmx else _show(request, who, everybody, plain=True, oob=True)


def _leave(request: PageRequest, person: Person, everybody: Colleagues) -> HttpResponseBase:
    """Copy what they have to a colleague. Where that one has changes of their own, ask whether to replace them."""
    post, actor = request.POST, request.actor
    to = _named(post.get("to", ""), everybody, actor)
    try:
        left = do_leave(person, to, post, actor)
    except (Invalid, Conflict, NotFound) as error:
        return _show(request, person.who, everybody, status=error.status)
    other = person_named(actor, to, among=everybody).name
    told = ngettext(
        "%(other)s has what %(name)s had, of %(n)d feature. Nobody else was changed.",
        "%(other)s has what %(name)s had, of %(n)d features. Nobody else was changed.",
        len(left),
    )
    messages.success(request, told % {"name": person.name, "other": other, "n": len(left)})
    return redirect(request.path) if not request.htmx else _show(request, person.who, everybody, plain=True, oob=True)


def _hand(request: PageRequest, person: Person, everybody: Colleagues) -> HttpResponseBase:
    """Hand changes of the organisation to them, and say how that is undone."""
    post, actor = request.POST, request.actor
    feature, hand = _feature(request, post.get("feature")), read_hand(post)
    try:
        done = do_hand(feature, person, hand, actor)
    except (Invalid, Conflict, NotFound) as error:
        return _show(request, person.who, everybody, status=error.status)
    words = {"name": person.name, "n": len(done.fields), "tenant": actor.in_tenant().name}
    told = (
        ngettext(
            "%(n)d change is %(name)s's own now. “Remove their changes” takes it back.",
            "%(n)d changes are %(name)s's own now. “Remove their changes” takes them back.",
            len(done.fields),
        )
        % words
    )
    if not hand.keep:
        told += " " + _("%(tenant)s has them back by Undo a save under Our changes.") % words
    messages.success(request, told)
    return redirect(request.path) if not request.htmx else _show(request, person.who, everybody, plain=True, oob=True)


def _show(
    request: PageRequest, who: Who, everybody: Colleagues, *, error: AppError | None = None, status: int = 200,
    plain: bool = False, oob: bool = False,
) -> HttpResponseBase:  # fmt: skip
    actor = request.actor
    may_pass = "override.others" in actor.can
    found: Person = person_named(actor, who, among=everybody, overview=overview_of(request))
    asked = QueryDict() if plain else request.POST if request.method == "POST" else request.GET
    chosen, confirm = asked.get("feature"), asked.get("confirm", "")
    feature = _feature(request, chosen) if chosen else None
    own = next((one for one in found.own if feature and one.feature.id == feature.id), None)
    try:
        looked = looked_at(own, actor, moment_in(asked.get("at"), "at")) if own and not confirm else None
    except (Invalid, NotFound) as refused:
        looked, error, status = looked_at(own, actor) if own else None, refused, refused.status
    context = {
        "here": "people",
        "person": line_of_person(found, actor),
        "looked": looked,
        "at": asked.get("at", ""),
        "zone": timezone.get_current_timezone_name(),
        "asked": asked_of(confirm, found, own) if request.method != "POST" else None,
        "passing": _passing(request, found, feature, asked, everybody) if may_pass else None,
        "error": {"title": error.title, "detail": error.detail} if error else None,
        "others": [(one.who.key, one.name) for one in everybody if one.who.id != who.id and not one.left],
        "leaving": asked.get("to", ""),
        "may_pass": may_pass,
        "may_see_runs": "run.others" in actor.can,
        "oob": oob,
    }
    return answer(request, PERSON, context, part="person", status=status)


def _passing(
    request: PageRequest, person: Person, feature: Feature | None, asked: QueryDict, everybody: Colleagues
) -> Passing | None:
    """What is about to be passed on, to them or from them, as it was asked or has just been refused."""
    actor, act = request.actor, asked.get("act") or asked.get("confirm")
    if act == "hand" and feature is not None:
        return handing(overview_of(request).served(feature, "tenant"), person, read_hand(asked), actor)
    if act == "leave" and (key := asked.get("to")):
        to = next((one for one in everybody if one.who.key == key), None)
        return leaving(person, to or person_named(actor, subject_named(actor, key)), asked, actor)
    return None


def _feature(request: PageRequest, key: str | None) -> Feature:
    return overview_of(request).feature(key or "")
