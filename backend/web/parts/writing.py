"""The editor of versions: the text, what is wrong with it by line, and what it would change."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from backend.web.version_form import VersionForm
from features.models import Version

from .upgrade import Trial
from .vendor import Comparison


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is wrong with a text, at which line (0: nowhere in particular), or with a form, beside which control."""

    line: int
    where: str
    message: str
    at: str = ""


@dataclass(frozen=True, slots=True)
class Written:
    """A version as it is written. `key` is empty for a feature that is not there yet.

    `start` is the version that the text began from (`before`), `number` the one that it would become. With nothing
    `wrong` it compiles: `digest` names it and `comparison` tells what differs from `start`. A `form` is shown instead
    of the text, if there is one, `drawn` from an earlier text; `comments` are the lines with one, when somebody is to
    be asked whether they may go. `unheld` says why there is no going over to the other.
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
    began: str = ""
    form: VersionForm | None = None
    drawn: str = ""
    unheld: str = ""
    comments: int = 0

    @property
    def changed(self) -> bool:
        """Whether it is otherwise than it began."""
        return self.text != self.began

    @property
    def whole(self) -> bool:
        """Whether the text says all that stands in the form."""
        return self.form is None or not self.form.own

    @property
    def marks(self) -> str:
        """What is wrong as JSON, for the editor to mark the lines."""
        return json.dumps([{"line": one.line, "message": one.message, "at": one.at} for one in self.wrong])

    @property
    def short(self) -> str:
        return self.digest.split(":", 1)[-1][:8]
