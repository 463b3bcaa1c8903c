"""What was worked out before, kept by content: thousands of behaviors share their schemas, templates and examples."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")

LONGEST = 20_000  # characters of a key beyond which nothing is kept: so many times `most` is the bound


def exactly(value: object) -> str:
    """Return a text that is the same for the same value only: 1, 1.0 and true differ, and so do orders of properties.

    Empty for what is nested too deeply to be written.
    """
    try:
        return repr(value)
    except RecursionError:
        return ""


class Kept(Generic[Value]):
    """Results by the texts that they follow from: at `most` so many, those that were asked for last.

    No lock is needed: two threads that make the same at once keep one of the two.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[tuple[str, ...], Value] = OrderedDict()

    def get(self, key: tuple[str, ...], make: Callable[[], Value]) -> Value:
        """Return what is kept under these texts, or `make` it. What raises is not kept, nor what has an empty text."""
        try:
            self._kept.move_to_end(key)
            return self._kept[key]
        except KeyError:  # not there, or another thread has just dropped it
            made = make()
        if all(key) and sum(map(len, key)) <= LONGEST:
            self._kept[key] = made
            while len(self._kept) > self._most:
                self._drop_one()
        return made

    def _drop_one(self) -> None:
        try:
            self._kept.popitem(last=False)
        except KeyError:  # other threads have dropped them all
            return


class ByPair(Generic[Value]):
    """Results by two objects that never change, one of which may be none: those of the last few pairs."""

    def __init__(self, most: int = 64) -> None:
        self._most = most
        self._kept: dict[tuple[int, int], tuple[object, object, Value]] = {}

    def get(self, one: object, other: object, make: Callable[[], Value]) -> Value:
        """Return what is kept for these very objects, or `make` it."""
        kept = self._kept.get((id(one), id(other)))
        if kept is None:
            kept = (one, other, make())  # with both, whose ids stay theirs for as long as they are held here
            while len(self._kept) >= self._most:
                self._kept.pop(next(iter(self._kept.copy())), None)
            self._kept[id(one), id(other)] = kept
        return kept[2]
