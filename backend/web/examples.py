"""An example as a form: the input and the output that it shows, each made from its contract."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from features.engine import same
from tenants.errors import Problem

from .controls import Data
from .forms import blank_form, read_form
from .parts import ExampleForms
from .schema_words import with_flags_left_out

GIVEN, WANTED = "in", "out"  # what the names of the controls begin with


def blank_example(contracts: Mapping[str, Any], value: Any = None) -> ExampleForms:
    """The forms with an example in them, or empty. `contracts` has `input` and `output`."""
    shown = value if isinstance(value, Mapping) else {}
    asked, answered = _drawn(contracts)
    given = blank_form(asked, shown.get("input"), GIVEN)
    return ExampleForms(given, blank_form(answered, shown.get("output"), WANTED))


def _drawn(contracts: Mapping[str, Any]) -> tuple[Any, Any]:
    return with_flags_left_out(contracts["input"]), with_flags_left_out(contracts["output"])


def read_example(contracts: Mapping[str, Any], data: Data) -> ExampleForms:
    """Read what was sent, with what is wrong beside its control."""
    asked, answered = _drawn(contracts)
    return ExampleForms(read_form(asked, data, GIVEN), read_form(answered, data, WANTED))


def fits_forms(contracts: Mapping[str, Any], value: Any) -> bool:
    """Whether the forms can hold an example without losing anything of it; one that they cannot is written as JSON."""
    if not isinstance(value, Mapping):
        return False
    drawn = blank_example(contracts, value)
    back = read_example(contracts, {**drawn.given.data, **drawn.wanted.data})
    return same(back.value, dict(value))


def example_with(forms: ExampleForms, problems: Iterable[Problem]) -> ExampleForms:
    """Put a save's problems beside their controls, wherever in the request the example stood."""
    given, wanted = list[Problem](), list[Problem]()
    for problem in problems:
        for part, kept in (("/input", given), ("/output", wanted)):
            if part in problem.pointer:
                kept.append(replace(problem, pointer=problem.pointer[problem.pointer.index(part) + len(part) :]))
    return ExampleForms(forms.given.with_problems(given, ""), forms.wanted.with_problems(wanted, ""))


def as_draft(forms: ExampleForms) -> ExampleForms:
    """The forms before they are sent: nothing is complained of."""
    return ExampleForms(forms.given.without_problems(), forms.wanted.without_problems())
