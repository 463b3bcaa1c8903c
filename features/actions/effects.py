"""What passing changes on does to those whom it reaches, for whoever is asked before it is done."""

from dataclasses import dataclass

from features.engine import Change, diff
from features.explain import Viewer, hidden_between
from features.receipt import Receipt
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


def effect_of(before: Served, after: Served, viewer: Viewer) -> Effect:
    """Compare what a subject was served and is served, within the transaction of both, as `viewer` may see it."""
    hidden = hidden_between(before, after, viewer, today=before)
    changes = tuple(diff(before.effective.fields, after.effective.fields))
    return Effect(after.who, before.receipt, after.receipt, changes, hidden)
