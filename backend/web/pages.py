"""What every page begins and ends with: somebody signed in, and an answer that is the page or the part asked for."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Concatenate, ParamSpec
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.contrib import messages
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render, resolve_url
from django.utils import timezone
from django.utils.cache import patch_cache_control, patch_vary_headers
from django.utils.translation import gettext as _
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from backend.actors import READS, TENANT_OF_SESSION, actor_of_login, admit
from backend.second_factor import lacks_second_factor
from features.models import Feature
from features.overview import Overview
from features.runs.suggest import CUSTOMIZE
from tenants.actor import Actor
from tenants.errors import Forbidden, Malformed
from tenants.limits import count_request
from tenants.models import User

P = ParamSpec("P")


class PageRequest(HttpRequest):
    """A request as views get it, with what middleware and the decorators below have added."""

    actor: Actor
    overview: Overview
    htmx: HtmxDetails
    user: User
    id: str


def overview_of(request: PageRequest) -> Overview:
    """What there is for who asks: read once by a request that only looks, anew each time by one that may have written.

    So a page is drawn as of one moment, and after a save as what was saved.
    """
    if request.method not in READS:
        return Overview(request.actor)
    if not hasattr(request, "overview"):
        request.overview = Overview(request.actor)
    return request.overview


def features_to_use(overview: Overview) -> list[Feature]:
    """The features that people choose from: all but the one that is the box on Make it mine."""
    return [one for one in overview.features if one.key != CUSTOMIZE]


def zone_of(person: User) -> ZoneInfo | None:
    """The zone in which somebody is shown times; None is the server's, which their browser turns into its own."""
    try:
        return ZoneInfo(person.time_zone) if person.time_zone else None
    except ZoneInfoNotFoundError:  # one that this machine's list no longer has
        return None


View = Callable[Concatenate[PageRequest, P], HttpResponseBase]


def for_logins(view: View[P]) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
    """A page for whoever is signed in, wherever they are members; others are sent to sign in and come back."""

    @wraps(view)
    def behind(request: PageRequest, /, *arguments: P.args, **named: P.kwargs) -> HttpResponseBase:
        person: User | AnonymousUser = request.user
        if isinstance(person, AnonymousUser):
            return _to_login(request)
        _refuse_nul(request)
        with timezone.override(zone_of(person)):
            answer = view(request, *arguments, **named)
        patch_vary_headers(answer, ["HX-Request"])  # one address, two answers: the page, and a part of it
        patch_cache_control(answer, private=True, no_cache=True)
        return answer

    return behind  # type: ignore[return-value]  # the middlewares have made it a PageRequest


def for_people(view: View[P]) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
    """A page for whoever is signed in and a member or an operator."""

    @wraps(view)
    def behind(request: PageRequest, /, *arguments: P.args, **named: P.kwargs) -> HttpResponseBase:
        actor = actor_of_login(request.user, request.session.get(TENANT_OF_SESSION))
        if actor is None:
            raise Forbidden(_("You are not a member of any organisation. An admin of yours can add you."))
        if lacks_second_factor(actor, request.user):
            return _to_second_factor(request)
        admit(actor, request)
        count_request(actor)
        request.actor = actor
        return view(request, *arguments, **named)

    return for_logins(behind)


def for_members(view: View[P]) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
    """A page for people of an organisation. Operators, who are in none, land on theirs."""

    @wraps(view)
    def behind(request: PageRequest, /, *arguments: P.args, **named: P.kwargs) -> HttpResponseBase:
        if request.actor.tenant is None:
            return redirect("web:vendor_features")
        return view(request, *arguments, **named)

    return for_people(behind)


def answer(
    request: HttpRequest, template: str, context: Mapping[str, Any], *, part: str = "", status: int = 200,
    **headers: str,
) -> HttpResponse:  # fmt: skip
    """Render a page, or for htmx the named part of it. Headers are given as HX_Retarget="#form"."""
    name = f"{template}#{part}" if part and request.htmx else template  # type: ignore[attr-defined]
    made = render(request, name, dict(context), status=status)
    for header, value in headers.items():
        made[header.replace("_", "-")] = value
    return made


def _refuse_nul(request: HttpRequest) -> None:
    """Raise Malformed for U+0000 in whatever was sent: PostgreSQL holds none, so nothing is called so."""
    sent = [value for form in (request.GET, request.POST) for name, values in form.lists() for value in (name, *values)]
    if any("\0" in text for text in (request.path, *sent)):
        raise Malformed(_("What was sent holds a character that cannot be kept (U+0000). Take it out."))


def _to_second_factor(request: PageRequest) -> HttpResponseBase:
    """Before anything else, as the organisation asks: set up what it needs, once."""
    if request.htmx:
        return HttpResponseClientRedirect(resolve_url("mfa_activate_totp"))
    messages.info(request, _("Your organisation asks for a second factor. Set one up, and you can go on."))
    return redirect("mfa_activate_totp")


def _to_login(request: PageRequest) -> HttpResponseBase:
    answer = redirect_to_login(_stood_at(request), resolve_url("account_login"))
    return HttpResponseClientRedirect(answer.url) if request.htmx else answer


def _stood_at(request: PageRequest) -> str:
    """The page that somebody was at, to come back to: what a form is sent to need not be one."""
    if request.htmx:
        return request.htmx.current_url_abs_path or resolve_url("web:home")
    from_page = urlsplit(request.headers.get("Referer", ""))
    if request.method in READS or from_page.netloc != request.get_host():
        return request.get_full_path()
    return from_page._replace(scheme="", netloc="").geturl()
