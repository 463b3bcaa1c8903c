"""A layer's editor, made from what is served: one row for each field, with whose it is, what lies beneath, who may."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from django.utils.translation import gettext as _

from features.engine import ABSENT, Operation, Revision, Rule, Suspended, effective_rule, is_text, judge, resolve
from features.explain import editable, rule_for
from features.served import Served

from .boxes import box_of
from .examples import blank_example, fits_forms
from .parts import Choice, EditBox, Layer, Paragraph, Row, RowGroup
from .rendering import field_summary
from .slots import slots
from .words import GROUP_HINTS, GROUP_TITLES, field_help, field_title, group_key, joined, layer_of, plain, readable

NEW = {"instructions": "instructions.new", "examples": "examples.new"}  # a field of each group that can be added to


@dataclass(frozen=True)
class Editing:
    """What an editor is made of.

    `may` says whether the person has the verb and the policy lets them. `hidden` tells which of some fields may not be
    shown; `admins` are the names of who can change what users may not, asked for only where a row has to say so.
    """

    served: Served
    layer: Literal["tenant", "user"]
    titles: Mapping[str, Any]
    tenant: str
    may: bool
    hidden: Callable[[Iterable[str]], frozenset[str]]
    admins: Callable[[], Sequence[str]]

    @cached_property
    def revision(self) -> Revision | None:
        """The layer's own revision that is served; under a snapshot that is the pinned one."""
        return self.served.tenant if self.layer == "tenant" else self.served.user

    @cached_property
    def own(self) -> Mapping[str, Operation]:
        return {operation.field: operation for operation in self.revision.operations} if self.revision else {}

    @cached_property
    def below(self) -> Mapping[str, Any]:
        """What would be inherited if this layer changed nothing."""
        return self._below.fields if self._below else self.served.base.fields

    @cached_property
    def _below(self) -> Any:
        return resolve(self.served.base, self.served.tenant, None) if self.layer == "user" else None

    @cached_property
    def fields(self) -> list[str]:
        """The fields in force, in rendering order, then those of own changes that are not."""
        fields = self.served.effective.fields
        return [*fields, *(name for name in self.own if name not in fields)]

    @cached_property
    def _hidden(self) -> frozenset[str]:
        return self.hidden({*self.fields, *self.below})

    @cached_property
    def _suspended(self) -> Mapping[str, Suspended]:
        items = self.served.effective.suspended
        return {item.operation.field: item for item in items if item.layer == self.layer}

    @cached_property
    def _who_can(self) -> str:
        names = list(self.admins())
        return _("%(names)s can change it.") % {"names": joined(names)} if names else ""

    def below_layer(self, field: str) -> Layer:
        return layer_of(self._below.origins[field]) if self._below and field in self._below.origins else "base"

    def rows(self) -> list[Row]:
        """A row for each field in force, for each own change that is not, and for what the organisation leaves out."""
        return [self.row(field) for field in self.fields] + [self._gone(field) for field in self._left_out]

    @cached_property
    def _left_out(self) -> list[str]:
        """What the vendor has, the organisation has taken out and the person does not have anew; nothing hidden."""
        if self.layer != "user" or self.served.tenant is None:
            return []
        removed = [op.field for op in self.served.tenant.operations if op.kind == "remove"]
        gone = [name for name in removed if name in self.served.base.fields and name not in (*self.fields, *self.below)]
        hidden = self.hidden(gone) if gone else frozenset()
        return [name for name in gone if name not in hidden]

    def _gone(self, field: str) -> Row:
        """A field that the organisation leaves out for everybody: named, with what the vendor has there."""
        value = self.served.base.fields[field]
        told = field_summary(field, value) if isinstance(value, dict | list) else plain(value)
        title, help_ = field_title(field, self.titles), field_help(field, self.titles)
        return Row(field, title, "tenant", (), help_, below=told, may_edit=False, removed=True, left_out=True)

    def row(self, field: str) -> Row:
        """One field as a closed row. Nothing of a hidden one gets this far."""
        rule = rule_for(field, self.served, self.layer)
        title, help_ = field_title(field, self.titles), field_help(field, self.titles)
        if field in self._hidden:
            origin = self.served.effective.origins.get(field)
            layer = layer_of(origin) if origin else self.layer
            return Row(field, title, layer, (), help_, may_edit=False, locked=_("Locked."), hidden=True)
        own, free = self.own.get(field), editable(rule, self.layer)
        below = self.below.get(field, ABSENT)
        value = self.served.effective.fields.get(field, ABSENT)
        shown = own.value if own and own.kind == "set" and value is ABSENT else value
        structured = isinstance(shown, dict | list)
        return Row(
            field=field,
            title=title,
            layer=self.layer if own else layer_of(self.served.effective.origins[field]),
            paragraphs=self._paragraphs(field, own),
            help=help_,
            structured=structured,
            summary=field_summary(field, shown) if structured else "",
            own=own.kind if own else "",
            below=None if below is ABSENT else plain(readable(field, below)),
            below_layer=self.below_layer(field),
            may_edit=self.may and free,
            locked="" if free or own else self._locked(field, rule),
            who_can=self._who_can if rule.edit == "tenant" and self.layer == "user" and not own else "",
            suspended=self._why_suspended(field),
            removed=own is not None and own.kind == "remove" and value is ABSENT,
            restricted=self.layer == "tenant" and free and self._for_users(field).edit != "user",
        )

    def opened(self, field: str, **changes: Any) -> Row:
        """A row with its box open, as it stands or (with changes) as it came back."""
        row = self.row(field)
        return replace(row, edit=replace(self.box(field), **changes)) if row.may_edit else row

    def box(self, field: str) -> EditBox:
        """The box that suits a field and the rule on it."""
        rule = rule_for(field, self.served, self.layer)
        below = self.below.get(field, ABSENT)
        box = box_of(field, rule, self.own.get(field), below)
        removal = Operation(field, "remove", None)
        removable = not judge(removal, layer=self.layer, rule=rule, inherited=below, result=ABSENT)
        if field.startswith("examples.") and box.widget == "json":
            box = self._as_forms(box, field)
        return replace(
            box,
            may_append=is_text(field) and below is not ABSENT,
            may_remove=removable,
            beneath=None if below is ABSENT else plain(below),
            beneath_layer=self.below_layer(field),
            who_may=self._who_may(field),
        )

    @property
    def contracts(self) -> Mapping[str, Any]:
        """What an example has to fit: the input and the output in force."""
        return {name: self.served.effective.fields[name] for name in ("input", "output")}

    def _as_forms(self, box: EditBox, field: str) -> EditBox:
        """An example in forms of its own, unless they could not hold all of it."""
        own = self.own.get(field)
        value = own.value if own and own.kind == "set" else self.below.get(field)
        if not fits_forms(self.contracts, value):
            return box
        return replace(box, widget="example", example=blank_example(self.contracts, value))

    def may_add(self, group: str) -> bool:
        """Whether the person may add to a group: sections to the instructions, and examples."""
        return group in NEW and self.may and editable(rule_for(NEW[group], self.served, self.layer), self.layer)

    def groups(self, rows: Sequence[Row], show: str = "all") -> list[RowGroup]:
        """The rows by group, in the order that people meet them, only those of one origin if asked."""
        wanted = [row for row in rows if show in ("all", row.layer)]
        found = []
        for key, title in GROUP_TITLES.items():
            inside = [row for row in wanted if group_key(row.field) == key]
            may_add = self.may_add(key)
            if inside or (key == "examples" and may_add and show == "all"):
                found.append(RowGroup(key, str(title), inside, str(GROUP_HINTS.get(key, "")), may_add))
        return found

    def counts(self, rows: Sequence[Row]) -> list[tuple[str, int]]:
        layers = ["user", "tenant", "base"] if self.layer == "user" else ["tenant", "base"]
        return [("all", len(rows)), *((layer, sum(row.layer == layer for row in rows)) for layer in layers)]

    def _paragraphs(self, field: str, own: Operation | None) -> list[Paragraph]:
        """A field's text in the stretches that each layer wrote; an own change that is not in force comes last."""
        value = self.served.effective.fields.get(field, ABSENT)
        found = [] if value is ABSENT else self._stretches(field, plain(readable(field, value)))
        if own and field in self._suspended and own.kind != "remove":
            found.append(Paragraph(self.layer, plain(own.value)))
        if not is_text(field):
            return found
        given = self.served.effective.fields.get("input")
        return [replace(one, slots=slots(one.text, self.titles, given)) for one in found]

    def _stretches(self, field: str, text: str) -> list[Paragraph]:
        origin = self.served.effective.origins[field]
        found: list[Paragraph] = []
        for layer in reversed(origin.appended):
            revision = self.served.tenant if layer == "tenant" else self.served.user
            added = next(op.value for op in revision.operations if op.field == field) if revision else ""
            text = text.removesuffix(f"\n\n{added}")
            found.insert(0, Paragraph("tenant" if layer == "tenant" else "user", str(added)))
        return [Paragraph(origin.layer, text), *found]

    def _locked(self, field: str, rule: Rule) -> str:
        if effective_rule(field, self.served.base.rules, {}).edit == "locked":
            return _("Locked by the vendor.")
        if rule.edit == "tenant" and effective_rule(field, self.served.base.rules, {}).edit == "tenant":
            return _("Kept for the admins of %(tenant)s.") % {"tenant": self.tenant}
        return _("Locked by %(tenant)s.") % {"tenant": self.tenant}

    def _why_suspended(self, field: str) -> str:
        item = self._suspended.get(field)
        match item.reason if item else None:
            case "policy":
                return _("%(tenant)s does not let its people change behavior.") % {"tenant": self.tenant}
            case "broken":
                return _("It does not fit the rest any more.")
            case "orphaned":
                return _("What it changes is not there any more.")
            case "rule":
                return self._locked_since(field)
        return ""

    def _locked_since(self, field: str) -> str:
        rule = rule_for(field, self.served, self.layer)
        if not editable(rule, self.layer):
            return self._locked(field, rule)
        return _("A rule that came later does not allow this value.")

    def _for_users(self, field: str) -> Rule:
        rules = self.served.tenant.rules if self.served.tenant else {}
        return effective_rule(field, self.served.base.rules, rules)

    def _who_may(self, field: str) -> list[Choice]:
        """In the organisation's editor: who may change a field for themselves, where the vendor leaves that open."""
        if self.layer == "user" or effective_rule(field, self.served.base.rules, {}).edit != "user":
            return []
        everyone = self._for_users(field).edit == "user"
        return [
            Choice("user", _("Everyone at %(tenant)s") % {"tenant": self.tenant}, everyone),
            Choice("tenant", _("Only admins"), not everyone),
        ]
