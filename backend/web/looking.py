"""The impacts of a feature: those that are kept as lines, and the form that asks for another."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from features.engine import BUCKETS
from features.models import Impact, Rollout
from tenants.actor import Actor
from tenants.people import names_of
from tenants.workshop import customers

from .availability_forms import slugs_in
from .bars import Part, laid_out
from .filled import Filled
from .parts import ImpactLine
from .publishing import Names, by_name
from .reaching import CLASSES, counts_of
from .words import few

KINDS = {
    "look": gettext_lazy("Asked before anything was moved"),
    "look_withdraw": gettext_lazy("Asked before anything was withdrawn"),
    "publish": gettext_lazy("Published to everybody"),
    "current": gettext_lazy("Made current"),
    "rollout": gettext_lazy("A step of a rollout"),
    "withdraw": gettext_lazy("Withdrawn"),
}
REACHES = (
    ("everybody", gettext_lazy("Everybody moves")), ("percent", gettext_lazy("A part of everybody moves")),
    ("tenants", gettext_lazy("Organisations by name move")), ("withdraw", gettext_lazy("A version is withdrawn")),
)  # fmt: skip
UNITS = (
    (Rollout.Unit.TENANT, gettext_lazy("whole organisations")),
    (Rollout.Unit.USER, gettext_lazy("person by person")),
)


class AskForm(Filled):
    """A move, or a withdrawal, of which somebody wants to know whom it would reach."""

    columns = True
    reach = forms.ChoiceField(label=gettext_lazy("If"), choices=REACHES)
    to = forms.TypedChoiceField(
        label=gettext_lazy("To version"), coerce=int,
        help_text=gettext_lazy("Or, for a withdrawal, what stands in for it."),
    )  # fmt: skip
    percent = forms.FloatField(label=gettext_lazy("Per cent"), required=False, min_value=0, max_value=100)
    tenants = forms.CharField(
        label=gettext_lazy("Which organisations"), required=False, max_length=20_000,
        help_text=gettext_lazy("Short names, as in acme, globex."),
    )  # fmt: skip
    unit = forms.ChoiceField(label=gettext_lazy("Who moves together"), required=False, choices=UNITS)
    withdraw = forms.TypedChoiceField(label=gettext_lazy("The version withdrawn"), required=False, coerce=int)

    def __init__(self, *arguments: Any, versions: Sequence[int], **named: Any) -> None:
        super().__init__(*arguments, **named)
        for name in ("to", "withdraw"):
            choices: Any = self.fields[name]
            choices.choices = [(number, _("Version %(n)d") % {"n": number}) for number in versions]

    def clean(self) -> dict[str, Any]:
        """Return the fields. Raises ValidationError where what was chosen needs one that is empty."""
        given = super().clean() or {}
        needed = {"percent": _("Say how many per cent."), "tenants": _("Name at least one organisation.")}
        reach = given.get("reach", "")
        if reach in needed and reach not in self.errors and given.get(reach) in (None, ""):
            self.add_error(reach, needed[reach])
        return given

    def question(self) -> dict[str, Any]:
        """Return what `look` takes."""
        given = self.given()
        match given["reach"]:
            case "percent":
                return {"to": given["to"], "percent": given["percent"], "unit": given["unit"] or "tenant"}
            case "tenants":
                return {"to": given["to"], "tenants": slugs_in(given["tenants"]), "unit": given["unit"] or "tenant"}
            case "withdraw":
                return {"to": given["to"], "withdraw": given["withdraw"] or given["to"]}
        return {"to": given["to"]}


def impact_lines(rows: Sequence[Impact], actor: Actor) -> list[ImpactLine]:
    """Impacts as lines; within the operator's transaction, two statements at most."""
    names = names_of({row.author for row in rows}, actor)
    named = _named(rows)
    return [_line(row, names, named) for row in rows]


def legend_of(lines: Sequence[ImpactLine]) -> list[Part]:
    """What the colours of the lines' bars mean: the classes that any of them has, in their order."""
    there = {part.key for line in lines for part in line.parts}
    return [Part(key, str(label), 0, str(hint)) for key, label, hint in CLASSES if key in there]


def _line(row: Impact, names: Names, named: Mapping[str, str]) -> ImpactLine:
    counts = counts_of(row)
    parts = laid_out(Part(key, str(label), counts[key]) for key, label, _hint in CLASSES)
    return ImpactLine(
        id=str(row.id), title=move_words(row), kind=str(KINDS.get(row.kind, row.kind)), who=_who(row, named),
        state=row.state,  # type: ignore[arg-type]  # one of its states
        asked=row.created_at, by=by_name(row.author, names), parts=parts if row.state == Impact.State.DONE else (),
        rollout=str(row.rollout_id or ""),
    )  # fmt: skip


def move_words(impact: Impact) -> str:
    """Which move it is about: "Version 1 to 2", or which version is withdrawn for which."""
    words = {"a": impact.before, "b": impact.to}
    if impact.kind in ("look_withdraw", "withdraw"):
        return _("Version %(a)d withdrawn for %(b)d") % words
    return _("Version %(a)d to %(b)d") % words


def _who(row: Impact, named: Mapping[str, str]) -> str:
    """Whom the move includes."""
    if row.stage is None:
        return _("Everybody on version %(n)d") % {"n": row.before} if "withdraw" in row.kind else _("Everybody")
    told = []
    if row.stage.get("tenants"):
        told.append(few([named.get(tenant, tenant) for tenant in row.stage["tenants"]]))
    if row.stage.get("share"):
        share = f"{row.stage['share'] * 100 / BUCKETS:g}%"
        people = row.stage.get("unit") == Rollout.Unit.USER
        told.append((_("%(share)s of people") if people else _("%(share)s of organisations")) % {"share": share})
    return ", ".join(told) or _("Nobody")


def _named(rows: Sequence[Impact]) -> dict[str, str]:
    """The names of the organisations that their stages name, by id."""
    ids = {tenant for row in rows if row.stage for tenant in row.stage.get("tenants", ())}
    found = customers().filter(pk__in=ids).values_list("id", "name") if ids else ()
    return {str(tenant_id): name for tenant_id, name in found}
