"""Models and organisations as the vendor's pages show them."""

from collections.abc import Sequence

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from features.actions.targets import OfAlias, Remapped
from features.models import ModelTarget
from features.runs.usage import used_by_all
from tenants.actor import Actor
from tenants.people import names_of
from tenants.support import support_ends
from tenants.workshop import customers

from .days import Days, months_of
from .drawing import money
from .parts import AliasLine, TargetLine, TenantLine, TenantsPage
from .publishing import by_name
from .spending import amount, share_of


def alias_lines(found: Sequence[OfAlias], actor: Actor) -> list[AliasLine]:
    """Every alias with its targets, the newest first."""
    with actor.present():
        names = names_of({target.author for _a, _c, targets in found for target in targets}, actor)
    return [
        AliasLine(alias, [_target(target, target.revision == current, names) for target in targets])
        for alias, current, targets in found
    ]


def other_targets(found: Sequence[OfAlias], alias: str, revision: int) -> list[tuple[int, str]]:
    """What an alias that means a target could mean instead, the newest first; nothing where it means another."""
    for name, current, targets in found:
        if name == alias and current == revision:
            rest = (target for target in targets if target.revision != revision and target.ends_at is None)
            return [(one.revision, f"{one.revision}: {one.model}") for one in rest]
    return []


def _target(target: ModelTarget, current: bool, names: dict[str, str]) -> TargetLine:
    prices = (target.input_price, target.cached_input_price, target.output_price)
    return TargetLine(
        revision=target.revision, provider=target.provider, model=target.model,
        prices=" / ".join(amount(price) for price in prices), current=current, ends=target.ends_at,
        by=by_name(target.author, names), added=target.created_at,
    )  # fmt: skip


def reach_words(done: Remapped) -> list[str]:
    """Whom a change of a model reaches, in sentences."""
    named, told = done.named, []
    current = [one["feature"] for one in named.versions if one["current"]]
    if current:
        told.append(_("It is what these features are answered with now: %(list)s.") % {"list": ", ".join(current)})
    ours, theirs = named.overrides["by_tenants"], named.overrides["by_users"]
    if ours or theirs:
        told.append(
            _("%(ours)d changes of organisations and %(theirs)d of people name it.") % {"ours": ours, "theirs": theirs}
        )
    pins = sum(one["pins"] for one in named.pins)
    if pins:
        told.append(
            ngettext(
                "%(n)d person or organisation stays on one of its targets by a pin, and keeps it while it is served.",
                "%(n)d stay on one of its targets by a pin, and keep it while it is served.", pins,
            ) % {"n": pins}
        )  # fmt: skip
    return told or [_("Nothing names it yet.")]


def tenant_lines(month: Days, actor: Actor) -> TenantsPage:
    """Organisations with a month's usage, the dearest first."""
    with actor.present():
        used = {row.key: row for row in used_by_all("tenant", since=month.since, until=month.until)}
        rows = list(customers().order_by("name"))
        looked_at = support_ends()
    total = sum(row.cost for row in used.values())
    lines = [
        TenantLine(
            slug=row.slug, name=row.name, runs=used[row.slug].runs if row.slug in used else 0,
            cost=money(used[row.slug].cost) if row.slug in used else "",
            share=share_of(used[row.slug].cost if row.slug in used else 0, total),
            limits=_limits(row.requests_per_minute, row.concurrent_runs), since=row.created_at,
            state=row.state, support_until=looked_at.get(row.id),
        )
        for row in rows
    ]  # fmt: skip
    lines.sort(key=lambda line: (-(used[line.slug].cost if line.slug in used else 0), line.name.casefold()))
    return TenantsPage(month.month, month.title, months_of(month), lines, money(total) or f"0.00 {settings.CURRENCY}")


def _limits(requests: int | None, runs: int | None) -> str:
    told: Sequence[str] = [
        *([_("%(n)d requests a minute") % {"n": requests}] if requests else []),
        *([_("%(n)d runs in flight") % {"n": runs}] if runs else []),
    ]
    return ", ".join(told) or _("the default")
