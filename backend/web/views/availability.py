"""Who has a feature, how long its outputs are reused, and when it ends: for operators."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from backend.web.availability import FORMS, carried_out, offer_of, rehearsed
from backend.web.availability_forms import AvailabilityForm, CachingForm, RetireForm
from backend.web.filled import Filled
from backend.web.pages import PageRequest, answer, for_people
from features.find import find_feature
from features.models import Feature
from tenants.errors import AppError, Conflict, Invalid, Malformed, NotFound

TEMPLATE = "web/vendor_availability.html"


@require_http_methods(["GET", "HEAD", "POST"])
@for_people
def availability(request: PageRequest, key: str) -> HttpResponseBase:
    """All three on one page. A form is answered with what it would do; `seen` says that this was read, and does it."""
    request.actor.need("version.read")
    feature = find_feature(key, request.actor)
    if request.method != "POST":
        return _show(request, feature)
    request.actor.need("feature.manage")
    act = request.POST.get("act", "")
    if act not in FORMS:
        raise Malformed("Say what to do: availability, caching, retire or go-on.")
    form = _forms(request, feature, request.POST)[act]
    if not form.is_valid():
        return _show(request, feature, {act: form}, status=422)
    return _changed(request, feature, act, form)


def _changed(request: PageRequest, feature: Feature, act: str, form: Any) -> HttpResponseBase:
    seen, refused = request.POST.get("seen"), None
    try:
        if seen:
            try:
                carried_out(act, feature, form.change(), seen, request.actor)
            except Conflict as error:
                feature, refused = find_feature(feature.key, request.actor), error
            else:
                messages.success(request, _("Saved. It counts from everybody's next request."))
                return redirect(request.path)
        change = rehearsed(act, feature, form.change(), request.POST, request.actor, refused)
    except (Invalid, Conflict) as error:
        form.refuse(error)
        return _show(request, feature, {act: form}, status=error.status)
    except NotFound as error:  # it goes on already
        return _show(request, feature, error=error, status=error.status)
    return _show(request, feature, {act: form}, change=change, status=refused.status if refused else 200)


def _forms(request: PageRequest, feature: Feature, data: Any = None) -> dict[str, Filled]:
    offer = offer_of(feature, request.actor)
    named = [(slug, f"{name} ({slug})") for slug, name in offer.listed]
    who = {"who": "listed" if feature.listed_only else "everybody"}
    return {
        "availability": AvailabilityForm(data, listed=named, initial=who),
        "caching": CachingForm(data, initial=CachingForm.of(feature)),
        "retire": RetireForm(data, initial=RetireForm.of(feature)),
        "go-on": FORMS["go-on"](data),
    }


def _show(
    request: PageRequest, feature: Feature, typed: dict[str, Any] | None = None, *, change: Any = None,
    error: AppError | None = None, status: int = 200,
) -> HttpResponseBase:  # fmt: skip
    forms = {**_forms(request, feature), **(typed or {})}
    context = {
        "here": "vendor", "feature": feature, "offer": offer_of(feature, request.actor), "change": change,
        "forms": [(act, forms[act]) for act in ("availability", "caching", "retire")], "error": error,
        "may": "feature.manage" in request.actor.can,
    }  # fmt: skip
    return answer(request, TEMPLATE, context, status=status)
