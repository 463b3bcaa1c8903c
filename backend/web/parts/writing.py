"""The editor of versions: the text, what is wrong with it by line, and what it would change."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from features.models import Version

from .upgrade import Trial
from .vendor import Comparison


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is wrong with a text, at which line (0: nowhere in particular)."""

    line: int
    where: str
    message: str


@dataclass(frozen=True, slots=True)
class Written:
    """A version as it is written. `key` is empty for a feature that is not there yet.

    `start` is the version that the text began from (`before`), `number` the one that it would become. With nothing
    `wrong` it compiles: `digest` names it and `comparison` tells what differs from `start`.
    """

    key: str
    title: str
    start: int
    number: int
    text: str
    message: str = ""
    wrong: Sequence[Wrong] = ()
    digest: str = ""
    comparison: Comparison | None = None
    samples: int = 0
    checked: bool = False
    refused: str = ""
    trial: Trial | None = None
    rolling: bool = False
    before: Version | None = None

    @property
    def marks(self) -> str:
        """What is wrong as JSON, for the editor to mark the lines."""
        return json.dumps([{"line": one.line, "message": one.message} for one in self.wrong])

    @property
    def short(self) -> str:
        return self.digest.split(":", 1)[-1][:8]
