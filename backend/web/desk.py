"""One editor for one request: what it stands on is read once, and drawn as a page, as the editor, or as one row."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

from django.http import HttpResponse
from django.utils.translation import gettext as _

from features.actions.overrides import Expected, newest, whose
from features.contents import titles_of
from features.engine import ABSENT, Operation, document_of, documents_of, from_rows, same
from features.explain import hidden_among
from features.models import Feature, Override
from features.resolve import serve_warm
from features.timeline import revisions_of
from tenants.errors import NotFound
from tenants.people import names_of, names_of_those_who

from .drawing import feature_page
from .editing import Editing
from .meanwhile import meanwhile, touched
from .pages import PageRequest, answer, overview_of
from .parts import Choice, Editor, Meanwhile, NewExample, NewSection, Promoting, RevisionLine, Row, Suggesting
from .reading import number_in
from .telling import author_words, revision_words
from .words import field_title, joined

TEMPLATE = "web/mine.html"
FILTERS = ("all", "user", "tenant", "base")
LAST_REVISIONS = 20
Layer = Literal["user", "tenant"]


@dataclass(frozen=True)
class Desk:
    """The editor of a layer of a feature, as the person who asks sees it. Make a new one after a save."""

    request: PageRequest
    feature: Feature
    layer: Layer

    @cached_property
    def newest(self) -> Override | None:
        """The revision that a save names."""
        actor = self.request.actor
        with actor.present():
            return newest(self.feature, whose(self.layer, actor))

    @cached_property
    def editing(self) -> Editing:
        actor, _before = self.request.actor, self.newest  # read first: a save never passes over what was not shown
        with actor.present():
            served = serve_warm(self.feature, actor.tenant_id, whose(self.layer, actor))
            titles = titles_of(self.feature, served.choice.base)
        may = f"override.{self.layer}" in actor.can and (self.layer == "tenant" or served.choice.users_may_override)
        return Editing(served, self.layer, titles, actor.in_tenant().name, may, self._hidden, self._admins)

    @property
    def etag(self) -> str:
        return self.newest.etag if self.newest else '"0"'

    @property
    def write(self) -> dict[str, Any]:
        """What every save says: what the person last saw, and who they are."""
        return {"expected": Expected(etag=self.request.POST.get("etag", "")), "by": self.request.actor}

    def title(self, field: str) -> str:
        """What people call a field."""
        return field_title(field, self.editing.titles)

    def row(self, field: str, *, opened: bool = False, **changes: Any) -> Row:
        """One field's row; an open one with changes to its box. Raises NotFound for one that is not here."""
        if field not in self.editing.fields and field not in self.editing.below:
            raise NotFound
        return self.editing.opened(field, **changes) if opened else self.editing.row(field)

    def rules_with(self, field: str, who: str) -> dict[str, Any] | None:
        """The organisation's rules with who may change a field; None when they stay as they are."""
        choices = self.editing.box(field).who_may if field in self.editing.fields and self.layer == "tenant" else ()
        if who not in {choice.value for choice in choices if not choice.chosen}:
            return None
        kept = self.editing.revision.rules if self.editing.revision else {}
        rules: dict[str, Any] = dict(documents_of(kept))
        return {**rules, field: {**rules.get(field, {}), "edit": who}}

    def document_with(self, operation: Operation, rules: dict[str, Any]) -> dict[str, Any]:
        """The whole override with one operation; what only repeats what is inherited is no change."""
        own, below = self.editing.own, self.editing.below.get(operation.field, ABSENT)
        nothing_new = operation.field not in own and operation.kind == "set" and below is not ABSENT
        added = {} if nothing_new and same(operation.value, below) else {operation.field: operation}
        document = document_of({**own, **added}.values())
        return {**document, "rules": rules}

    @property
    def may_wish(self) -> bool:
        """Whether the person may ask for a change in plain words."""
        return "run.create" in self.request.actor.can and self.editing.may

    @property
    def may_promote(self) -> bool:
        """Whether the person may make changes of their own everybody's, and has any."""
        return self.layer == "user" and "override.tenant" in self.request.actor.can and bool(self.editing.own)

    def own_fields(self) -> list[Choice]:
        """One's own changes, to choose from."""
        return [Choice(field, self.title(field), True) for field in self.editing.own]

    def who_saved(self) -> str:
        """Who saved while one was editing, and what it is at now."""
        row, actor = self.newest, self.request.actor
        if row is None:
            return _("This was changed while you were editing.")
        who = author_words(row.author, self._names([row]), actor)
        return _("%(who)s saved revision %(n)d while you were editing.") % {"who": who, "n": row.number}

    def meanwhile(self, typed: Operation) -> Meanwhile:
        """What was saved since the person began on a field, beside what they have typed."""
        seen = self.request.POST.get("etag", "").strip('"')
        with self.request.actor.present():
            rows = revisions_of(self.feature, whose(self.layer, self.request.actor), LAST_REVISIONS)
        began = next((row for row in rows if str(row.number) == seen), None)
        before = {operation.field: operation for operation in from_rows(began.operations)} if began else {}
        now = {operation.field: operation for operation in from_rows(rows[0].operations)} if rows else {}
        fields = joined([self.title(field) for field in touched(before, now) if field != typed.field])
        told = self.who_saved()
        if (who := self._who_may_now(typed.field, began, rows)) is not None:
            told += " " + _("Who may change it for themselves was set to “%(who)s”.") % {"who": who}
        if fields:
            told += " " + _("It changes %(fields)s.") % {"fields": fields}
        return meanwhile(before, now, typed, self.editing.below.get(typed.field, ABSENT), told)

    def _who_may_now(self, field: str, began: Override | None, rows: Sequence[Override]) -> str | None:
        """Who may change a field by the rules as they are now, if that was changed meanwhile; None if not."""
        if not rows or self.layer != "tenant":
            return None
        then, now = ((row.rules if row else {}).get(field, {}).get("edit") for row in (began, rows[0]))
        if then == now:
            return None
        return next((choice.label for choice in self.editing.box(field).who_may if choice.chosen), None)

    def answer(
        self, *, row: Row | None = None, new: NewSection | NewExample | None = None, promoting: Promoting | None = None,
        notice: str = "", part: str = "editor", status: int = 200, oob: bool = False,
        suggesting: Suggesting | None = None, reloads: bool = False, **headers: str,
    ) -> HttpResponse:  # fmt: skip
        """Draw the page, or for htmx the editor, one row of it, or the box beside it (`reloads`: with the editor)."""
        actor = self.request.actor
        with actor.present():
            served = overview_of(self.request).served(self.feature)
            context = {
                **feature_page(self.feature, served, actor),
                "editor": self._editor(row, new, notice, promoting),
                "draft_key": f"{actor.tenant_id}:{actor.label}:{self.layer}:{self.feature.key}",
                "row": row,
                "oob": oob,
                "reloads": reloads,
                "suggesting": suggesting or Suggesting(may=self.may_wish),
            }
        return answer(self.request, TEMPLATE, context, part=part, status=status, **headers)

    def _editor(
        self, row: Row | None, new: NewSection | NewExample | None, notice: str, promoting: Promoting | None = None
    ) -> Editor:
        editing = self.editing
        rows = [row if row and row.field == one.field else one for one in editing.rows()]
        number = editing.revision.number if editing.revision else None
        revisions = self._revisions(number) if "revisions" in self.request.GET else []
        last = revisions[-1].number if len(revisions) == LAST_REVISIONS else 1
        pin = editing.served.choice.pin
        return Editor(
            layer=self.layer,
            etag=self.etag,
            groups=editing.groups(rows, self._show),
            counts=editing.counts(rows),
            show=self._show,
            revision=number,
            saved=self.newest.valid_from if self.newest and self.newest.number == number else None,
            revisions=revisions,
            older_revisions=last if last > 1 else 0,
            new=new if isinstance(new, NewSection) else None,
            new_example=new if isinstance(new, NewExample) else None,
            promoting=promoting,
            may_promote=self.may_promote,
            may_edit=editing.may,
            notice=notice or self._policy_notice(),
            kept=pin is not None and pin.kind == "snapshot" and pin.layer == self.layer,
        )

    @property
    def _show(self) -> str:
        """The filter: of this address, or, after a save, of the page that it was made on."""
        asked = self.request.GET.get("show")
        if asked is None and self.request.method == "POST":
            query = parse_qs(urlsplit(self.request.htmx.current_url or "").query)
            asked = "".join(query.get("show", [])[-1:])
        return asked if asked in FILTERS else "all"

    def _revisions(self, current: int | None) -> list[RevisionLine]:
        actor = self.request.actor
        before = number_in(self.request.GET.get("before"))
        rows = revisions_of(self.feature, whose(self.layer, actor), LAST_REVISIONS + 1, before)
        names, pairs = self._names(rows), zip(rows, [*rows[1:], None], strict=False)
        return [
            RevisionLine(
                number=row.number,
                saved=row.valid_from,
                by=author_words(row.author, names, actor),
                message=revision_words(row, previous, self.editing.titles),
                current=row.number == current,
            )
            for row, previous in list(pairs)[:LAST_REVISIONS]
        ]

    def _policy_notice(self) -> str:
        if self.layer == "tenant" or self.editing.served.choice.users_may_override:
            return ""
        words = _("%(tenant)s does not let its people change behavior. What you changed before is kept, not in force.")
        return words % {"tenant": self.editing.tenant}

    def _hidden(self, fields: Iterable[str]) -> frozenset[str]:
        with self.request.actor.present():
            return hidden_among(fields, self.editing.served, self.layer, today=self.editing.served)

    def _admins(self) -> list[str]:
        with self.request.actor.present():
            return names_of_those_who("override.tenant")

    def _names(self, rows: list[Override]) -> dict[str, str]:
        actor = self.request.actor
        with actor.present():
            return names_of({row.author for row in rows}, actor)
