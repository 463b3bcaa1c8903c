"""Whom a move reaches, as a page shows it: counted by class, and tenant by tenant, the worst first."""

from collections.abc import Mapping
from urllib.parse import urlencode
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from features.impact.by_tenant import TenantImpact, impact_by_tenant, rows_of_tenant
from features.models import Impact, ImpactRow
from tenants.actor import Actor
from tenants.errors import Malformed

from .bars import Part, laid_out
from .parts import ClassLine, ImpactSubject, ImpactTenant, ImpactView
from .tables import table
from .words import field_title, joined

# Always in this order, with what it means in half a sentence. Who was held before is drawn only where there is one.
CLASSES = (
    ("unaffected", gettext_lazy("Unaffected"), gettext_lazy("nothing of their own is touched")),
    ("carried", gettext_lazy("Carried"), gettext_lazy("their change stays, the rest is new")),
    ("redundant", gettext_lazy("Now the same"), gettext_lazy("the version says what they said")),
    ("pinned", gettext_lazy("Pinned"), gettext_lazy("they chose to stay")),
    ("held", gettext_lazy("Held before"), gettext_lazy("they stay behind as until now")),
    ("suspended", gettext_lazy("Suspended"), gettext_lazy("newly locked")),
    ("conflict", gettext_lazy("Conflict"), gettext_lazy("held until they decide")),
    ("broken", gettext_lazy("Broken"), gettext_lazy("does not fit together, held")),
    ("orphaned", gettext_lazy("Orphaned"), gettext_lazy("their field is gone")),
)
LABELS = {key: label for key, label, _hint in CLASSES}
DECISIONS = ("broken", "conflict")  # what somebody at the customer has to decide
PAGE, MOST, MOST_ROWS = 50, 10_000, 200


def impact_view(impact: Impact, asked: Mapping[str, str], actor: Actor, titles: Mapping[str, object]) -> ImpactView:
    """An impact, filtered as the address asks: `class`, `find`, `org` opened, `show` so many."""
    only, find = _only(asked), asked.get("find", "")[:100]
    most = min(MOST, int(asked["show"])) if asked.get("show", "").isdecimal() else PAGE
    rows, total = impact_by_tenant(impact, actor, only=only, find=find, most=most)
    opened = _uuid(asked.get("org"))
    counts = counts_of(impact)

    def url(**change: str) -> str:
        kept = {key: asked[key] for key in ("feature", "to", "tab", "class", "find") if asked.get(key)} | change
        return f"?{urlencode({key: value for key, value in kept.items() if value})}"

    classes = [
        ClassLine(
            Part(key, str(label), counts[key], str(hint)),
            url(**{"class": "" if asked.get("class") == key else key}),
            asked.get("class") == key,
        )
        for key, label, hint in CLASSES
        if key != "held" or counts["held"]
    ]
    return ImpactView(
        id=str(impact.id),
        state=impact.state,  # type: ignore[arg-type]  # one of its states
        title=_title(counts, impact.counts.get("moving", {})),
        note=_note(impact),
        done=impact.tenants_done,
        all=impact.tenants_all,
        at=impact.at,
        parts=laid_out(line.part for line in classes),
        classes=classes,
        tenants=[_tenant(row, impact, actor, titles, url, opened, only) for row in rows],
        total=total,
        shown=asked.get("class", ""),
        find=find,
        more_url=url(show=str(most + PAGE)) if total > len(rows) else "",
        all_url=url(**{"class": ""}),
        decide_url=url(**{"class": "decide"}),
        decide=asked.get("class") == "decide",
        numbers_url=url(format="csv"),
    )


def counts_of(impact: Impact) -> dict[str, int]:
    """How many come to each class: who has changed nothing and simply moves is unaffected."""
    outcomes, moving = impact.counts.get("outcomes", {}), impact.counts.get("moving", {})
    plain = moving.get("members", 0) + moving.get("users", 0) + moving.get("tenants", 0)
    return {key: outcomes.get(key, 0) + (plain if key == "unaffected" else 0) for key, *_rest in CLASSES}


def impact_csv(impact: Impact, actor: Actor) -> str:
    """The tenants of an impact as CSV: a column for each class."""
    rows, _total = impact_by_tenant(impact, actor, most=MOST)
    head = ["organisation", *(key for key, *_rest in CLASSES), "fields"]
    return table(
        head, ([row.name, *(row.outcomes.get(key, 0) for key, *_rest in CLASSES), " ".join(row.fields)] for row in rows)
    )


def _only(asked: Mapping[str, str]) -> tuple[str, ...]:
    chosen = asked.get("class", "")
    if chosen == "decide":
        return DECISIONS
    if chosen and chosen not in LABELS:
        raise Malformed("That is no class of an impact.")
    return (chosen,) if chosen else ()


def _title(counts: Mapping[str, int], moving: Mapping[str, int]) -> str:
    own = sum(counts.values()) - sum(moving.values())
    people = moving.get("members", 0) + moving.get("users", 0)
    words = {"own": f"{own:,}", "people": f"{people:,}", "tenants": f"{moving.get('tenants', 0):,}"}
    told = ngettext("%(own)s change or stay", "%(own)s changes and stays", own) % words
    if not people + moving.get("tenants", 0):
        return told
    words["told"] = told
    return _("%(told)s; %(people)s people and %(tenants)s organisations without any simply move") % words


def _note(impact: Impact) -> str:
    if impact.finished_at is None or impact.state != Impact.State.DONE:
        return ""
    seconds = (impact.finished_at - impact.created_at).total_seconds()
    return _("worked out in %(n)s s") % {"n": f"{seconds:.1f}"}


def _tenant(
    row: TenantImpact, impact: Impact, actor: Actor, titles: Mapping[str, object], url: object,
    opened: UUID | None, only: tuple[str, ...],
) -> ImpactTenant:  # fmt: skip
    happens, state, icon = _happens(row.outcomes, impact)
    here = opened == row.tenant
    parts = laid_out(Part(key, str(label), row.outcomes.get(key, 0)) for key, label, _hint in CLASSES)
    rows = rows_of_tenant(impact, row.tenant, actor, only=only, most=MOST_ROWS) if here else []
    return ImpactTenant(
        id=str(row.tenant),
        name=row.name,
        subjects=row.subjects,
        parts=parts,
        fields=joined([field_title(field, titles) for field in row.fields]) or _("none"),
        happens=happens,
        state=state,  # type: ignore[arg-type]  # as written below
        icon=icon,
        url=url(org="" if here else str(row.tenant)),  # type: ignore[operator]  # made above
        rows=[_subject(one, titles) for one in rows],
    )


def _subject(row: ImpactRow, titles: Mapping[str, object]) -> ImpactSubject:
    return ImpactSubject(
        name=row.name,
        layer="tenant" if row.layer == "tenant" else "user",
        outcome=str(LABELS.get(row.outcome, row.outcome)),
        key=row.outcome,
        fields=joined([field_title(field, titles) for field in row.fields]),
        before=row.before,
        after=row.after,
    )


def _happens(outcomes: Mapping[str, int], impact: Impact) -> tuple[str, str, str]:
    """The one thing to know of a tenant, and how bad it is."""
    words = {"before": impact.before, "to": impact.to}
    held = outcomes.get("conflict", 0) + outcomes.get("broken", 0)
    moved = outcomes.get("carried", 0) + outcomes.get("redundant", 0)
    if held:
        told = ngettext("%(n)d held on version %(before)d", "%(n)d held on version %(before)d", held)
        return told % {**words, "n": held}, "attention", "pin"
    if n := outcomes.get("orphaned", 0):
        told = ngettext("%(n)d change loses its field", "%(n)d changes lose their field", n)
        return told % {"n": n}, "bad", "alert-triangle"
    if n := outcomes.get("suspended", 0):
        return ngettext("%(n)d change suspended", "%(n)d changes suspended", n) % {"n": n}, "attention", "lock"
    if n := outcomes.get("held", 0):
        return ngettext("%(n)d stays held", "%(n)d stay held", n) % {"n": n}, "attention", "pin"
    if impact.stage is not None and not moved:
        return _("Nothing of theirs changes in this step"), "good", "check"
    if staying := outcomes.get("pinned", 0):
        return ngettext("All but %(n)d take version %(to)d", "All but %(n)d take version %(to)d", staying) % {
            **words, "n": staying
        }, "good", "check"  # fmt: skip
    return _("All take version %(to)d") % words, "good", "check"


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
