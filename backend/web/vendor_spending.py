"""What all organisations used in some days, by organisation, feature, model or day: counts and money, never content."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from django.urls import reverse
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from features.availability import features_for
from features.runs.usage import Used, VendorBy, used_by_all
from tenants.actor import Actor
from tenants.workshop import customers

from .days import Days, months_of
from .drawing import money
from .parts import Figure, UsagePage
from .spending import money_of_nothing, share_of, used_line
from .tables import table

GROUPS: Mapping[VendorBy, Any] = {
    "tenant": gettext_lazy("Organisation"), "feature": gettext_lazy("Feature"), "model": gettext_lazy("Model"),
    "day": gettext_lazy("Day"),
}  # fmt: skip
PAGES = {"tenant": "web:vendor_tenant", "feature": "web:vendor_versions"}  # where a row leads to
SUMS = ("runs", "cached", "repaired", "input_tokens", "cached_input_tokens", "output_tokens", "cost")


def vendor_usage_page(days: Days, by: VendorBy, actor: Actor) -> UsagePage:
    """All that the page shows, the dearest first; days as they were. Raises Forbidden."""
    rows, titles = _used(days, by, actor)
    total = sum(row.cost for row in rows)
    ordered = rows if by == "day" else sorted(rows, key=lambda row: (-row.cost, -row.runs, row.key))
    lines = [used_line(row, titles.get(row.key, row.key), total, href=_page_of(row, by)) for row in ordered]
    return UsagePage(
        month=days.month, asked=days.asked, title=days.title, figures=_figures(rows, total), chart={}, days=(),
        lines=lines, by=by,
        groups=[(key, str(word)) for key, word in GROUPS.items()], months=months_of(days),
        total=money(total) or money_of_nothing(), over=days.over,
    )  # fmt: skip


def vendor_usage_csv(days: Days, by: VendorBy, actor: Actor) -> str:
    """The same rows to take away, in whole numbers: tokens, and money in millionths of the currency."""
    rows, titles = _used(days, by, actor)
    head = [by, "name", *SUMS[:-1], "cost_micro"]
    return table(
        head, ([row.key, titles.get(row.key, row.key), *(getattr(row, name) for name in SUMS)] for row in rows)
    )


def _used(days: Days, by: VendorBy, actor: Actor) -> tuple[list[Used], dict[str, str]]:
    actor.need("usage.vendor")
    with actor.present():
        rows = used_by_all(by, since=days.since, until=days.until)
        return rows, _titles(rows, by, actor)


def _titles(rows: Sequence[Used], by: VendorBy, actor: Actor) -> dict[str, str]:
    keys = [row.key for row in rows]
    if by == "tenant":
        return dict(customers().filter(slug__in=keys).values_list("slug", "name"))
    if by == "feature":
        return dict(features_for(actor).filter(key__in=keys).values_list("key", "title"))
    if by == "day":
        return {key: date_format(date.fromisoformat(key), "j F") for key in keys}
    return {"": _("No model was asked")}


def _page_of(row: Used, by: VendorBy) -> str:
    return reverse(PAGES[by], args=[row.key]) if by in PAGES else ""


def _figures(rows: Sequence[Used], total: int) -> list[Figure]:
    runs, cached = sum(row.runs for row in rows), sum(row.cached for row in rows)
    tokens = sum(row.input_tokens + row.output_tokens for row in rows)
    each = _("%(amount)s each") % {"amount": money(total // (runs - cached))} if runs > cached and total else ""
    return [
        Figure(_("Cost"), money(total) or money_of_nothing()),
        Figure(_("Runs"), f"{runs:,}", each),
        Figure(_("Answered from cache"), share_of(cached, runs)),
        Figure(_("Tokens"), f"{tokens:,}"),
    ]
