"""Two runs side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

from .runs import ReceiptLine, RunView
from .timeline import Difference
from .upgrade import Side


@dataclass(frozen=True, slots=True)
class RunSide:
    """One of the two, with its receipt."""

    run: RunView
    receipt: ReceiptLine
    is_first: bool = False


@dataclass(frozen=True, slots=True)
class ComparedRuns:
    """What is the same of two runs and what differs, the second against the first. `address` is the other way round."""

    a: RunSide
    b: RunSide
    one_feature: bool
    same_input: bool
    given: Sequence[Difference]
    same_output: bool
    sides: Sequence[Side]
    same_behavior: bool
    behavior: Sequence[Difference]
    address: str

    @property
    def both(self) -> tuple[RunSide, RunSide]:
        return self.a, self.b
