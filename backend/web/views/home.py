"""The features as cards, and the switch between organisations."""

from uuid import UUID

from django.http import HttpResponseBase
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from backend.actors import TENANT_OF_SESSION, memberships
from backend.web.drawing import head_of, line_of
from backend.web.pages import PageRequest, answer, features_to_use, for_logins, for_members, overview_of
from backend.web.parts import Card
from features.runs.listing import my_counts_since, my_runs
from features.served import Served
from tenants.errors import NotFound

LAST_RUNS = 5


@require_safe
@for_members
def home(request: PageRequest) -> HttpResponseBase:
    """Every feature: what it does, what of it is mine and ours, its version, how often I used it."""
    actor = request.actor
    month = timezone.localtime().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    overview = overview_of(request)
    with actor.present():
        counts = my_counts_since(actor, month)
        served = overview.served_each()
        cards = [_card(served[feature.id], counts) for feature in features_to_use(overview) if feature.id in served]
        waits = next((card.feature for card in cards if card.feature.held and card.feature.held_by == "user"), None)
        lines = [line_of(run) for run in my_runs(actor, most=LAST_RUNS)]
    return answer(request, "web/home.html", {"here": "home", "cards": cards, "lines": lines, "waits": waits})


@require_POST
@for_logins
def switch(request: PageRequest) -> HttpResponseBase:
    """Go on in another of one's organisations, at `next` or its features. Raises NotFound for none of theirs."""
    chosen, there = request.POST.get("tenant", ""), request.POST.get("next", "")
    if chosen not in {str(member.tenant_id) for member in memberships(request.user)}:
        raise NotFound
    request.session[TENANT_OF_SESSION] = chosen
    ours = url_has_allowed_host_and_scheme(there, request.get_host(), require_https=request.is_secure())
    return redirect(there if ours else "web:home")


def _card(served: Served, counts: dict[UUID, int]) -> Card:
    feature = served.feature
    return Card(
        feature=head_of(feature, served),
        version=served.choice.base,
        runs=counts.get(feature.id, 0),
        stays=served.choice.pin is not None,
    )
