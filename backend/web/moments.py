"""The timeline of a feature for a person or their organisation: events with letters of behavior, a chosen moment."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from features.actions.overrides import Layer, whose
from features.actions.pins import restore
from features.contents import titles_of
from features.engine import diff
from features.explain import hidden_between
from features.models import Feature
from features.resolve import serve
from features.runs.models import Run
from features.runs.receipts import served_by
from features.served import Served
from features.timeline import History, history
from tenants.actor import Actor
from tenants.errors import Invalid
from tenants.people import names_of, names_of_those_who

from .differing import differences_of
from .parts import Event, Moment, Stay
from .telling import author_of, author_words, authors, happening_words
from .words import field_title, joined

TOLD = ("As it was ", "As in a run")  # reasons that a restore gives itself: the page tells that by the pin
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class Past:
    """What happened to a feature for the person who looks, or for their organisation, read once.

    Within the person's transaction. `layer` says which of the two it is.
    """

    layer: Layer
    feature: Feature
    actor: Actor
    now: Served
    history: History
    names: dict[str, str]
    letters: dict[str, str]

    def events(self, chosen: datetime | None) -> list[Event]:
        """What happened, newest first, each with the behaviors before and after it as letters."""
        titles = self.titles
        return [
            Event(
                at=event.at,
                layer=event.layer,
                title=happening_words(event, self.history.versions, titles, self.actor.in_tenant().name, self.layer),
                by=author_of(event, self.history.versions, self.names, self.actor),
                before=self.letters.get(event.before or "", ""),
                after=self.letters.get(event.after or "", ""),
                chosen=event.at == chosen,
                stay=event.kind in ("stay", "follow"),
            )
            for event in self.history.happenings
        ]

    def stay(self) -> Stay:
        """Whether the layer stays on a version, by its own choice or, for a person, their organisation's."""
        choice = self.now.choice
        pin = next((row for row in self.history.pins if choice.pin and str(row.id) == choice.pin.id), None)
        may, current = self._may, self.history.current
        if pin is None or choice.pin is None or choice.pin.layer != self.layer:
            numbers = sorted(self.history.versions, reverse=True) if may else []
            return Stay(
                choice.base, current, versions=numbers, may_pin=may, forbidden="" if may else self.forbidden(),
                of_tenant=choice.pin is not None, held=choice.held.by if choice.held else "",
            )  # fmt: skip
        by = _("you") if pin.author == self.actor.label else author_words(pin.author, self.names, self.actor)
        return Stay(
            choice.base, current, kind=choice.pin.kind, since=pin.created_at, until=choice.pin.until, by=by,
            reason="" if pin.reason in TOLD or (pin.as_of and pin.reason.startswith(TOLD)) else pin.reason.rstrip("."),
            as_of=pin.as_of, may_pin=f"pin.{self.layer}" in self.actor.can,
        )  # fmt: skip

    def moment(self, then: Served, at: datetime, run: Run | None = None) -> Moment:
        """What was served then, what was different from now, and whether one may go back to it."""
        is_now = then.digest == self.now.digest
        may = self._may
        return Moment(
            at=at,
            digest=then.digest,
            base=then.choice.base,
            tenant=then.receipt.tenant,
            user=then.receipt.user,
            differences=differences_of(
                diff(self.now.effective.fields, then.effective.fields),
                hidden_between(self.now, then, self.layer, today=self.now),
                {**titles_of(self.feature, then.choice.base), **self.titles},
                self.contract,
            ),
            letter=self.letters.get(then.digest, ""),
            run=str(run.id) if run else "",
            is_now=is_now,
            may_restore=may,
            forbidden="" if may or is_now else self.forbidden(at=at, run=run),
        )

    def forbidden(self, *, at: datetime | None = None, run: Run | None = None) -> str:
        """Why one may not stay or go back: whose policy, who can change it, and what one can do instead."""
        tenant = self.actor.in_tenant().name
        if f"pin.{self.layer}" not in self.actor.can:
            return _("A viewer can look but not change.")
        admins = names_of_those_who("policy.manage")
        words = _("%(tenant)s does not let its people stay on a version.") % {"tenant": tenant}
        if admins:
            words += " " + _("%(names)s can change that.") % {"names": joined(admins)}
        return f"{words} {self._instead(at, run)}".strip() if at or run else words

    def _instead(self, at: datetime | None, run: Run | None) -> str:
        """The alternative that a refused restore names: one's own revision of then, and what would still differ."""
        try:
            receipt = run.receipt if run else None
            restore(self.feature, self.layer, at=None if run else at, receipt=receipt, by=self.actor, dry_run=True)
        except Invalid as refused:
            offered: dict[str, Any] = refused.extra.get("alternative") or {}
            number = offered.get("rollback_to_revision")
            if number is None or number == offered.get("own_revision_now"):
                return ""
            differs = [field_title(field, self.titles) for field in offered.get("would_still_differ", [])]
            words = _("You can go back to your own revision %(n)d instead.") % {"n": number}
            still = _("Still different would be: %(fields)s.") % {"fields": joined(differs)}
            return f"{words} {still}" if differs else words
        return ""

    @property
    def _may(self) -> bool:
        allowed = self.layer == "tenant" or self.history.policy.users_may_pin is not False
        return f"pin.{self.layer}" in self.actor.can and allowed

    @property
    def contract(self) -> Any:
        """What is given to a run, as it is served now."""
        return self.now.effective.fields.get("input")

    @property
    def titles(self) -> dict[str, Any]:
        """What people read for fields, as the version says that is served now."""
        version = self.history.versions.get(self.now.choice.base)
        return dict(version.titles) if version else {}


def past_of(now: Served, layer: Layer, actor: Actor, *, before: datetime | None = None) -> Past:
    """Read what happened until what is served `now`; within the actor's transaction."""
    feature = now.feature
    found = history(feature, actor.tenant_id, now.who, now.at, before=before)
    labels = authors(found.happenings) | {pin.author for pin in found.pins}
    return Past(layer, feature, actor, now, found, names_of(labels, actor), letters_of(found))


def then_of(feature: Feature, layer: Layer, actor: Actor, at: datetime | None, run: Run | None) -> Served:
    """What was served at a moment or to a run. Raises NotFound before there was anything, Conflict for the future."""
    return served_by(run) if run else serve(feature, actor.tenant_id, whose(layer, actor), at)


def letters_of(found: History) -> dict[str, str]:
    """A letter for each behavior in view, by first appearance; the same letter is the same behavior byte for byte."""
    digests: Sequence[str | None] = [
        digest for event in reversed(found.happenings) for digest in (event.before, event.after)
    ]
    return {digest: _letter(place) for place, digest in enumerate(dict.fromkeys(filter(None, digests)))}


def _letter(place: int) -> str:
    """A, B … Z, AA, AB …"""
    return (_letter(place // len(LETTERS) - 1) if place >= len(LETTERS) else "") + LETTERS[place % len(LETTERS)]
