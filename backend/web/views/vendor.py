"""Features and their versions, for operators: compare, make current, withdraw and lift."""

from collections.abc import Mapping

from django.contrib import messages
from django.http import HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from backend.web.confirming import whole
from backend.web.pages import PageRequest, answer, for_people
from backend.web.publishing import compare, feature_line, open_line, rehearse, version_in_full, version_line
from features.actions.versions import set_current
from features.actions.withdrawals import lift, withdraw
from features.find import find_feature, find_version
from features.models import Feature
from features.published import find_published, published
from tenants.errors import AppError, ApprovalNeeded, Conflict, Invalid, Malformed
from tenants.people import names_of

from .approvals import asked_for


@require_safe
@for_people
def features(request: PageRequest) -> HttpResponseBase:
    """Every feature with its current version, the rollout that is under way, and who has it."""
    may = "feature.create" in request.actor.can
    context = {"here": "vendor", "features": [feature_line(row) for row in published(request.actor)], "may_create": may}
    return answer(request, "web/vendor_features.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@for_people
def versions(request: PageRequest, key: str) -> HttpResponseBase:
    """A feature's versions; `?a=&b=` compares two, `?show=` is one in full, `?confirm=&version=` rehearses an act."""
    request.actor.need("version.read")
    if request.method == "POST":
        return _act(request, find_feature(key, request.actor))
    return _show(request, key, request.GET)


def _show(
    request: PageRequest, key: str, asked: Mapping[str, str], *, refused: AppError | None = None
) -> HttpResponseBase:
    actor, comparison, act = request.actor, None, None
    row = find_published(key, actor)
    feature = row.feature
    if asked.get("a") and asked.get("b"):
        comparison = compare(feature, whole(asked["a"]), whole(asked["b"]), actor)
    if asked.get("confirm"):
        replacement = whole(asked["replacement"]) if asked.get("replacement") else None
        act = rehearse(
            row, asked["confirm"], whole(asked.get("version")), actor, replacement=replacement,
            reason=asked.get("reason", ""), refused=refused,
        )  # fmt: skip
    with actor.present():
        names = names_of({v.author for v in row.versions} | {w.author for w in row.withdrawn.values()}, actor)
    context = {
        "here": "vendor",
        "feature": feature_line(row),
        "rollout": open_line(row.rollout),
        "versions": [version_line(version, row, names, actor) for version in row.versions],
        "comparison": comparison,
        "act": act,
        "shown": version_in_full(find_version(feature, whole(asked["show"]), actor)) if asked.get("show") else None,
        "may_write": "version.publish" in actor.can,
        "error": refused if refused and act is None else None,
    }
    return answer(request, "web/vendor_versions.html", context, status=refused.status if refused else 200)


def _act(request: PageRequest, feature: Feature) -> HttpResponseBase:
    post, actor = request.POST, request.actor
    act, number = post.get("act", ""), whole(post.get("version"))
    words = {"n": number, "feature": feature.title}
    try:
        match act:
            case "current":
                set_current(feature, number, by=actor)
                told = _("Version %(n)d of %(feature)s is current.")
            case "withdraw":
                done = withdraw(
                    feature, number, replacement=whole(post.get("replacement")), reason=post.get("reason", ""), by=actor
                )
                words["other"] = done.serves
                told = _("Version %(n)d is withdrawn. Version %(other)d stands in for it.")
            case "lift":
                lift(feature, number, by=actor)
                told = _("Version %(n)d is served again.")
            case _:
                raise Malformed("Say what to do: current, withdraw or lift.")
    except ApprovalNeeded as asked:
        return asked_for(request, asked)
    except (Conflict, Invalid) as refused:
        return _show(request, feature.key, {**post.dict(), "confirm": act}, refused=refused)
    messages.success(request, told % words)
    return redirect(request.path)
