"""What following the vendor's newest version would come to, as a page: conflicts as choices, and the rest told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from features.actions.conflicts import Conflicts, Item, Resolved, conflicts
from features.actions.overrides import Layer
from features.contents import titles_of
from features.engine import ABSENT, Change, diff, is_text
from features.explain import hidden_between, rule_for
from features.find import version_row
from features.models import Feature, Version
from tenants.actor import Actor
from tenants.errors import AppError, Invalid, Problem
from tenants.people import names_of_those_who

from .boxes import box_of, problem_words, read_box
from .comparing import Piece, as_read, pieces
from .differing import difference_pieces, hidden_difference
from .parts import Decision, Difference, Kept, Upgrade, Verdict
from .rendering import field_summary
from .slots import as_field, shortened
from .upgrade_words import ENDS, HEADLINES, REASONS, SAME, STAYING, WITHDRAWN
from .words import field_title, joined, plain

CHOICES = ("keep", "take", "hold")
Typed = Mapping[str, str]
NOTHING: Typed = {}
SHOWN = 300  # characters of a change that needs no decision


@dataclass(frozen=True)
class Upgrading:
    """A layer's way to the newest version, read once. `typed` is what a form sent, which no refusal takes away."""

    feature: Feature
    layer: Layer
    actor: Actor
    found: Conflicts
    typed: Typed

    @classmethod
    def of(cls, feature: Feature, layer: Layer, actor: Actor, typed: Typed = NOTHING) -> "Upgrading":
        return cls(feature, layer, actor, conflicts(feature, layer, by=actor), typed)

    @property
    def old(self) -> int:
        return self.found.before.base.number

    @property
    def new(self) -> int:
        """The version that waits; under a hold of the organisation `after` is held with it."""
        choice = self.found.before.choice
        return choice.wanted if self.state == "held_by_tenant" else self.found.after.base.number

    @cached_property
    def open(self) -> list[Item]:
        return [item for item in self.found.items if item.open]

    @cached_property
    def state(self) -> Any:
        """Why the layer is where it is."""
        choice = self.found.before.choice
        if choice.pin is not None and self.found.after.base.number != self.old:
            return "pinned" if choice.pin.layer == self.layer else "pinned_by_tenant"
        if choice.held is not None:
            return "held" if choice.held.by == self.layer else "held_by_tenant"
        return "open" if self.open else ""

    @property
    def verbs(self) -> list[str]:
        """The rights that the page's act takes."""
        return [
            *([f"override.{self.layer}"] if self.open else []),
            *([f"pin.{self.layer}"] if self.state == "pinned" else []),
        ]

    @property
    def may(self) -> bool:
        return self.state in ("held", "pinned", "open") and all(verb in self.actor.can for verb in self.verbs)

    @cached_property
    def version(self) -> Version | None:
        with self.actor.present():
            return version_row(self.feature, self.new, self.actor)

    @cached_property
    def titles(self) -> Mapping[str, Any]:
        with self.actor.present():
            older = titles_of(self.feature, self.old)
        return {**older, **(self.version.titles if self.version else {})}

    def title(self, field: str) -> str:
        return field_title(field, self.titles)

    def page(self, problems: Mapping[str, list[str]] | None = None, notice: str = "") -> Upgrade:
        """The whole page; `problems` are what is wrong with decisions, by field."""
        own = {item.field for item in self.found.items}
        with self.actor.present():
            hidden = hidden_between(self.found.before, self.found.after, self.layer, today=self.found.before)
            reason, forbidden = self._reason(), self._forbidden()
        pin = self.found.before.choice.pin
        kept = [self._kept(item) for item in self.found.items if not item.open]
        return Upgrade(
            layer=self.layer,
            state=self.state,
            old=self.old,
            new=self.new,
            title=self._headline(),
            reason=reason,
            etag=self.found.row.etag if self.found.row else '"0"',
            may=self.may,
            forbidden=forbidden,
            message=self.version.message if self.version else "",
            published=self.version.created_at if self.version else None,
            until=pin.until if pin and self.state == "pinned" else None,
            decisions=[self._decision(item, (problems or {}).get(item.field, [])) for item in self.open],
            kept=[one for one in kept if self.state or one.note],
            coming=[self._coming(c, hidden | self.found.hidden) for c in self.found.changes if c.field not in own],
            changes=len(diff(self.found.before.effective.fields, self.found.after.effective.fields)),
            notice=notice,
        )  # fmt: skip

    def decisions(self) -> dict[str, Any]:
        """What the form decided, as `resolve` takes it; what was left open is left out. Raises Invalid."""
        read: dict[str, Any] = {}
        wrong: list[Problem] = []
        for item in self.open:
            try:
                decision = self._read(item)
            except AppError as error:
                wrong += [Problem(f"/fields/{item.field}", one.rule, one.message) for one in error.errors]
                continue
            if decision is not None:
                read[item.field] = decision
        if wrong:
            raise Invalid(_("Look at what is marked below."), errors=wrong)
        return read

    def verdict(self, resolved: Resolved | None, after: str, base: int, *, anew: bool = False) -> Verdict:
        """What the rehearsal came to. `after` and `base` are the digest and version that one would have."""
        before = self.found.before
        takes = base == self.new
        open_still = [self.title(field) for field in resolved.open] if resolved else []
        tenant = self.actor.in_tenant().name
        effects = [_("From your next run on.")] if takes and self.layer == "user" else []
        if self.layer == "user":
            effects.append(_("Nobody else is affected."))
        else:
            effects.append(_("It reaches everyone at %(tenant)s who has not chosen otherwise.") % {"tenant": tenant})
        if self.state == "pinned" and takes:
            effects.insert(0, str(ENDS[self.layer]) % self._words)
        for item in resolved.suspended if resolved else ():
            effects.append(_("%(field)s stays out of force.") % {"field": self.title(item.operation.field)})
        verb = _("Take version %(n)d") % {"n": self.new}
        if not takes or self.new == self.old:
            verb = _("Save the decisions")
        return Verdict(
            before=before.digest, after=after, changed=len(resolved.changes) if resolved else 0, takes=takes,
            verb=verb, open=open_still, effects=effects, anew=anew,
        )  # fmt: skip

    def problems_of(self, error: AppError) -> dict[str, list[str]]:
        """A refusal's problems by the field that each is about, in words."""
        by_field: dict[str, list[Problem]] = {}
        for problem in error.errors:
            parts = problem.pointer.split("/")
            by_field.setdefault(parts[2] if len(parts) > 2 else "", []).append(problem)
        return {field: problem_words(problems, field, self.titles) for field, problems in by_field.items()}

    def _read(self, item: Item) -> Any:
        chosen = self.typed.get(f"d:{item.field}", "")
        if chosen in CHOICES:
            return chosen
        if chosen == "both" and item.merged is not None:
            return {"set": item.merged}
        if chosen == "edit":
            return {"set": read_box(self.typed.get(f"v:{item.field}", ""), self.typed.get(f"w:{item.field}", "text"))}
        return None

    def _decision(self, item: Item, problems: list[str]) -> Decision:
        rebased, operation = item.rebased, item.rebased.operation
        base = Decision(
            field=item.field, title=self.title(item.field), broken=rebased.outcome == "broken", holds=rebased.holds,
            then=(), now=(), mine=(), merged=item.merged, box=None, chosen=self._chosen(item),
            why=problem_words(item.problems, item.field, self.titles), problems=problems, hidden=item.hidden,
            removes=operation.kind == "remove", gone=rebased.now is ABSENT,
        )  # fmt: skip
        if item.hidden:
            return base
        then = _shown(rebased.then)
        mine = "" if operation.kind == "remove" else plain(operation.value)
        if operation.kind == "append":
            mine = f"{_shown(rebased.now)}\n\n{mine}"
        return replace(
            base,
            then=self._read_as(item.field, pieces(then, then)),
            now=self._read_as(item.field, pieces(then, _shown(rebased.now))),
            mine=self._read_as(item.field, pieces(then, mine)),
            both=self._read_as(item.field, pieces(item.merged, item.merged)) if item.merged is not None else (),
            box=self._box(item),
        )

    def _read_as(self, field: str, found: Sequence[Piece]) -> Sequence[Piece]:
        """A text of a field as people read it: what is filled in by its name."""
        return as_read(found, self.titles, self._contract) if is_text(field) else found

    @property
    def _contract(self) -> Any:
        return self.found.after.effective.fields.get("input")

    def _box(self, item: Item) -> Any:
        """The text in a box of one's own: first with both changes where that works, else one's own."""
        operation, field = item.rebased.operation, item.field
        rule = rule_for(field, self.found.after, self.layer)
        box = box_of(field, rule, operation if operation.kind == "set" else None, item.rebased.now)
        text = item.merged if item.merged is not None and box.widget == "text" else box.text
        text = self.typed.get(f"v:{field}", text)
        options = [replace(option, chosen=option.value == text) for option in box.options]
        return replace(box, text=text, options=options)

    def _chosen(self, item: Item) -> str:
        typed = self.typed.get(f"d:{item.field}")
        if typed is not None:
            return typed
        if item.rebased.operation.hold:
            return "hold"
        if item.merged is not None:
            return "both"
        return "" if item.rebased.holds else "keep"

    def _kept(self, item: Item) -> Kept:
        operation, outcome = item.rebased.operation, item.rebased.outcome
        value = operation.value
        text = _("Left out") if operation.kind == "remove" else plain(value)
        if isinstance(value, dict | list):
            text = field_summary(item.field, value)
        read = shortened(as_field(item.field, text, self.titles, self._contract), SHOWN)
        return Kept(self.title(item.field), outcome, read, self._note(item))

    def _note(self, item: Item) -> str:
        operation, outcome = item.rebased.operation, item.rebased.outcome
        tenant = self.actor.in_tenant().name
        match outcome:
            case "redundant":
                return str(SAME[self.layer])
            case "orphaned":
                return _("What it changes is not there any more. It is kept, and works again if that comes back.")
            case "suspended":
                words = " ".join(problem_words(item.problems, item.field, self.titles))
                return words or _("A rule of the new version does not allow it. It is kept.")
        if item.rebased.changed == "tenant":
            return _("%(tenant)s changed what lies beneath; yours stays.") % {"tenant": tenant}
        if item.rebased.changed == "vendor":
            added = _("The text before it is new; yours still follows it.")
            return added if operation.kind == "append" else _("The vendor changed it; it stays left out.")
        return ""

    def _coming(self, change: Change, hidden: frozenset[str]) -> Difference:
        title = self.title(change.field)
        if change.field in hidden:
            return hidden_difference(title)
        return Difference(title, difference_pieces(change, self.titles, self._contract))

    @property
    def _words(self) -> dict[str, Any]:
        held = self.found.before.choice.held
        fields = joined([self.title(field) for field in held.fields]) if held else ""
        return {"old": self.old, "new": self.new, "tenant": self.actor.in_tenant().name, "fields": fields}

    def _headline(self) -> str:
        if self.state != "open":
            return str(HEADLINES[self.state, self.layer]) % self._words
        told = ngettext(
            "Version %(new)d changed %(n)d thing that you changed as well",
            "Version %(new)d changed %(n)d things that you changed as well",
            len(self.open),
        )
        return told % {**self._words, "n": len(self.open)}

    def _reason(self) -> str:
        choice = self.found.before.choice
        if not self.state and choice.withdrawn is not None:
            return str(WITHDRAWN) % {**self._words, "gone": choice.withdrawn}
        if not self.state and choice.pin is not None:
            return str(STAYING[choice.pin.layer, self.layer]) % self._words
        told = str(REASONS[self.state, self.layer]) % self._words
        if self.state != "held_by_tenant":
            return told
        admins = joined(names_of_those_who("override.tenant"))
        return f"{told} {_('%(names)s can do that.') % {'names': admins}}" if admins else told

    def _forbidden(self) -> str:
        if self.may or self.state in ("", "held_by_tenant", "pinned_by_tenant"):
            return ""
        return _("A viewer can look but not decide. An admin of your organisation can change your role.")


def _shown(value: Any) -> str:
    return "" if value is ABSENT else plain(value)
