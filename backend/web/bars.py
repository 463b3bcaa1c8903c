"""Bars made of parts: what share of its width each part takes, so that even the smallest stays to be seen."""

from collections.abc import Iterable
from dataclasses import dataclass

LEAST = 1.2  # per cent of the width: four pixels on a phone
ROOM, ROOM_ON_A_PHONE = 3.0, 9.0  # per cent that a number needs to stand inside


@dataclass(frozen=True, slots=True)
class Part:
    """A class of a bar: `key` is its colour and hatch, `x` and `width` are per cent, as SVG writes them."""

    key: str
    label: str
    count: int
    hint: str = ""
    x: str = "0%"
    width: str = "0%"
    number: bool = False
    narrow: bool = False


def laid_out(parts: Iterable[Part]) -> list[Part]:
    """Give each part that is not empty its place; the widths come to 100 per cent."""
    there = [part for part in parts if part.count > 0]
    total = sum(part.count for part in there)
    small = [part for part in there if part.count * 100 / total < LEAST]
    rest = sum(part.count for part in there) - sum(part.count for part in small)
    left = 100 - LEAST * len(small)
    x, placed = 0.0, []
    for part in there:
        width = LEAST if part in small else part.count * left / rest
        placed.append(
            Part(
                part.key, part.label, part.count, part.hint, f"{x:.2f}%", f"{width:.2f}%",
                number=width >= ROOM, narrow=width < ROOM_ON_A_PHONE,
            )
        )  # fmt: skip
        x += width
    return placed
