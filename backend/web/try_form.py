"""The form that tries a behavior first: which one, and on which inputs; and that saves changes as one document."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from features.actions.written import read_value
from features.engine import Json
from features.runs.preview import MOST_INPUTS, Wish
from tenants.errors import AppError, Malformed, Problem

from .boxes import problem_words
from .filled import Filled

PLACES = {"what": "what", "inputs": "inputs", "recent": "recent", "version": "version", "at": "at", "restore": "at"}
LONGEST = 400_000  # characters of a document, or of inputs


def _text(label: Any, help_text: Any, rows: int) -> forms.CharField:
    shown = {"rows": rows, "spellcheck": "false", "class": "form-control b-mono"}
    return forms.CharField(
        label=label, help_text=help_text, required=False, max_length=LONGEST, strip=False,
        widget=forms.Textarea(attrs=shown),
    )  # fmt: skip


class TryForm(Filled):
    """What to try, on which inputs, and, where it is a document, what is said of it when it is saved."""

    WHAT = (
        ("document", gettext_lazy("The changes written below")), ("version", gettext_lazy("A version of the vendor")),
        ("at", gettext_lazy("How it was at a moment")),
        ("follow", gettext_lazy("The vendor's newest, without a stay")),
    )  # fmt: skip
    what = forms.ChoiceField(label=gettext_lazy("Try"), choices=WHAT, widget=forms.RadioSelect)
    version = forms.TypedChoiceField(
        label=gettext_lazy("Version"), required=False, coerce=int, empty_value=None,
        help_text=gettext_lazy("Those that there are here."),
    )  # fmt: skip
    at = forms.DateTimeField(
        label=gettext_lazy("Moment"), required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )  # fmt: skip
    text = _text(
        gettext_lazy("Changes"),
        gettext_lazy("YAML or JSON: set, append and remove by field; for an organisation also rules."), 9,
    )  # fmt: skip
    recent = forms.IntegerField(
        label=gettext_lazy("On how many of the last inputs"), required=False, min_value=1, max_value=MOST_INPUTS,
        initial=3,
    )  # fmt: skip
    inputs = _text(
        gettext_lazy("Or on inputs of your own"), gettext_lazy("One as JSON on each line; then these alone."), 3
    )
    message = forms.CharField(
        label=gettext_lazy("Why, if you save it"), required=False, max_length=500,
        help_text=gettext_lazy("Stands with the revision."),
    )  # fmt: skip

    def __init__(
        self, *arguments: Any, versions: Sequence[int] = (), titles: Mapping[str, Any] | None = None, **named: Any
    ) -> None:
        super().__init__(*arguments, **named)
        self.titles = titles or {}
        offered: Any = self.fields["version"]
        offered.choices = [("", _("Choose")), *((number, _("Version %(n)d") % {"n": number}) for number in versions)]
        self.fields["at"].help_text = _("Time zone: %(zone)s.") % {"zone": timezone.get_current_timezone_name()}

    def clean_text(self) -> Any:
        """Return the document. Raises ValidationError for what is none."""
        document = read_value(self.cleaned_data["text"]) or {}
        if not isinstance(document, dict):
            raise forms.ValidationError(_("Write it as parts of their own: set:, append:, remove:, rules:."))
        return document

    def clean_inputs(self) -> list[Json]:
        """Return the inputs. Raises ValidationError that names the line which is no JSON, and for too many."""
        found: list[Json] = []
        for number, line in enumerate(self.cleaned_data["inputs"].splitlines(), start=1):
            if not line.strip():
                continue
            try:
                found.append(json.loads(line))
            except (ValueError, RecursionError):
                raise forms.ValidationError(_("Line %(n)d is no JSON.") % {"n": number}) from None
        if len(found) > MOST_INPUTS:
            raise forms.ValidationError(_("Give at most %(n)d.") % {"n": MOST_INPUTS})
        return found

    def clean(self) -> dict[str, Any]:
        """Return the fields. Raises ValidationError where what was chosen needs one that is empty."""
        given = super().clean() or {}
        needed = {"version": _("Choose one."), "at": _("Say which.")}
        what = given.get("what", "")
        if what in needed and what not in self.errors and given.get(what) is None:
            self.add_error(what, needed[what])
        return given

    def wish(self) -> Wish:
        """Return what is to be tried. Raises Invalid."""
        given = self.given()
        match given["what"]:
            case "version":
                return Wish(version=given["version"])
            case "at":
                return Wish(restore={"at": given["at"]})
            case "follow":
                return Wish()
        return Wish(override=given["text"])

    def questions(self) -> dict[str, Any]:
        """Return on what: `start_preview`'s own names. Raises Invalid."""
        given = self.given()
        return {"inputs": given["inputs"]} if given["inputs"] else {"recent": given["recent"] or 3}

    def refuse(self, error: AppError) -> None:
        """Take over what is wrong: beside what the pointer names, of a document beside it with the field's title."""
        beside: dict[str, list[Problem]] = {}
        for problem in error.errors:
            first = problem.pointer.split("/")[1:2]
            beside.setdefault(PLACES.get("".join(first), "text"), []).append(problem)
        for name, problems in beside.items():
            for words in self._words(name, problems):
                self.add_error(name, words)
        if not error.errors or isinstance(error, Malformed):
            self.add_error(None, error.detail)

    def _words(self, name: str, problems: Sequence[Problem]) -> list[str]:
        if name == "text":
            return problem_words(problems, "", self.titles)
        told = [(problem.pointer.split("/")[2:3], problem.message) for problem in problems]
        return [
            f"{int(place[0]) + 1}: {words}" if place and place[0].isdecimal() else words[:1].upper() + words[1:]
            for place, words in told
        ]
