"""A preview of an upgrade as a page: the same inputs answered by what is served now and by what would be."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from features.runs.models import State
from features.runs.previewed import Compared, Outcome, Pair, compared
from features.served import Served
from tenants.actor import Actor

from .comparing import Piece, pieces
from .drawing import money
from .parts import Side, Trial, Tried
from .rendering import Node, flat, render_output, summary_line

INPUTS = 5


def trial_of(preview_id: UUID, place: int | None, served: Served, actor: Actor, *, address: str) -> Trial:
    """How far a preview of one's own is. `place` is the input that is looked at; else the first that differs.

    `address` is that of the page which shows it, up to the preview's id. Raises NotFound.
    """
    return _trial(compared(preview_id, by=actor), place, served.effective.fields["output"], address)


def vendor_trial(preview_id: UUID, place: int | None, actor: Actor, *, address: str) -> Trial:
    """The same of an operator's preview, on the vendor's samples."""
    found = compared(preview_id, by=actor)
    return _trial(found, place, found.contract, address)


def _trial(found: Compared, place: int | None, contract: Any, address: str) -> Trial:
    inputs = [_tried(number, pair, contract) for number, pair in enumerate(found.pairs)]
    chosen = place if place is not None and place < len(inputs) else _first(inputs)
    return Trial(
        id=str(found.preview.id),
        address=f"{address}{found.preview.id}",
        going=found.state == "running",
        done=found.done,
        inputs=[replace(one, chosen=one.place == chosen) for one in inputs],
        cost=money(found.cost),
        old=found.before["base"],
        new=found.after["base"],
    )


def place_of(text: str) -> int | None:
    """Which input an address asks for."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 4 else None


def _first(inputs: Sequence[Tried]) -> int:
    ended = [one for one in inputs if one.same is not None]
    differ = [one for one in ended if not one.same]
    return (differ or ended or list(inputs))[0].place


def _tried(place: int, pair: Pair, contract: Any) -> Tried:
    title = summary_line(pair.input, 40) or _("Without text")
    if pair.same is None:
        return Tried(place, title, None)
    before, after = (_nodes(side, contract) for side in (pair.before, pair.after))
    return Tried(
        place,
        title,
        pair.same,
        sides_of(before, after),
        failed_before=_failed(pair.before),
        failed_after=_failed(pair.after),
    )


def _nodes(side: Outcome, contract: Any) -> Sequence[Node]:
    return render_output(side.output, contract) if side.state == State.SUCCEEDED else ()


def sides_of(before: Sequence[Node], after: Sequence[Node]) -> list[Side]:
    """The parts of both outputs by their places, in the order of the newer one."""
    old, new = ({node.pointer: node for node in nodes} for nodes in (before, after))
    found = []
    for pointer in dict.fromkeys([*new, *old]):
        texts = [flat(side[pointer]) if pointer in side else "" for side in (old, new)]
        told = pieces(*texts)
        label = (new.get(pointer) or old[pointer]).label
        found.append(Side(label, _without(told, "added"), _without(told, "removed")))
    return found


def _without(told: Sequence[Piece], kind: str) -> list[Piece]:
    return [piece for piece in told if piece.kind != kind]


def _failed(side: Outcome) -> str:
    if side.state == State.SUCCEEDED:
        return ""
    return str((side.error or {}).get("title") or _("Stopped"))
