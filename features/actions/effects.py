"""What passing changes on does to those whom it reaches, for whoever is asked before it is done."""

from collections.abc import Sequence
from dataclasses import dataclass

from features.engine import Change, diff
from features.explain import Viewer, hidden_between
from features.reading import Reading, read_each
from features.receipt import Receipt
from features.resolve import serve_as_read
from features.served import Served
from tenants.subjects import Who


@dataclass(frozen=True, slots=True)
class Effect:
    """What becomes of one subject: receipts before and after, the fields that change, those whose text stays hidden."""

    who: Who
    before: Receipt
    after: Receipt
    changes: tuple[Change, ...]
    hidden: frozenset[str]

    @property
    def same(self) -> bool:
        """Whether the subject is served the same as before, byte for byte."""
        return self.before.digest == self.after.digest


def effects_since(before: Sequence[Reading]) -> tuple[Effect, ...]:
    """What has become of those who were read before, as admins see it: users, and perhaps last their organisation.

    Of users each of one feature; an organisation is read along with the first of them. In their transaction.
    """
    after = read_each([(one.feature, one.who) for one in before if not one.who.is_tenant], before[0].tenant_id)
    after += [after[0].of_tenant()] if len(before) > len(after) else []
    return tuple(
        effect_of(serve_as_read(was), serve_as_read(now), "tenant") for was, now in zip(before, after, strict=True)
    )


def effect_of(before: Served, after: Served, viewer: Viewer) -> Effect:
    """Compare what a subject was served and is served, within the transaction of both, as `viewer` may see it."""
    hidden = hidden_between(before, after, viewer, today=before)
    changes = tuple(diff(before.effective.fields, after.effective.fields))
    return Effect(after.who, before.receipt, after.receipt, changes, hidden)
