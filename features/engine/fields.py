"""The flat fields that make up a behavior: their names, and what shape a value of each may have."""

import re
from collections.abc import Callable, Mapping

from tenants.errors import Invalid, Problem

from .values import Json, check_json, pointer

GROUPS = ("instructions", "examples", "vars", "model", "checks", "limits")
PLAIN = ("prompt", "input", "output")
REQUIRED = ("prompt", "input", "output", "model.name")

MAX_FIELDS = 400
MAX_TEXT = 64_000  # characters of one section or prompt
MAX_VAR = 8_000  # characters of one variable
MAX_FALLBACKS = 4

# Compared as plain ASCII and nothing else: no case folding, no Unicode forms, so that no look-alike of a
# locked field gets past its rule.
NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
ALIAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")

# name -> smallest, largest, whole numbers only
MODEL_NUMBERS: Mapping[str, tuple[float, float, bool]] = {
    "temperature": (0, 2, False),
    "max_output_tokens": (1, 32_768, True),
    "top_p": (0, 1, False),
    "seed": (0, 2**53 - 1, True),
    "presence_penalty": (-2, 2, False),
    "frequency_penalty": (-2, 2, False),
}
MODEL_NAMES = ("name", "fallbacks", *MODEL_NUMBERS)
LIMITS: Mapping[str, tuple[float, float, bool]] = {
    "timeout_seconds": (1, 600, False),
    "repairs": (0, 3, True),
    "input_bytes": (1, 1_000_000, True),
    "cost_per_run": (0, 1_000_000, False),  # in the currency of the price list; zero itself is refused
}
# What holds where a behavior says nothing. cost_per_run has none: without it only budgets bind.
LIMIT_DEFAULTS: Mapping[str, float] = {"timeout_seconds": 60, "repairs": 1, "input_bytes": 65_536}


def split(field: str) -> tuple[str, str]:
    """Return (group, name); a plain field is its own group and has no name."""
    group, _, name = field.partition(".")
    return group, name


def group_of(field: str) -> str:
    """Return the group that a field belongs to; a plain field is its own."""
    return field.partition(".")[0]


def is_text(field: str) -> bool:
    """Tell whether a field holds a template, which is what can be appended to."""
    return field == "prompt" or group_of(field) == "instructions"


def check_field(name: object) -> Problem | None:
    """Return what is wrong with a field's name, or nothing. The pointer is the caller's to fill in."""
    if not isinstance(name, str):
        return Problem("", "name", f"is not the name of a field ({type(name).__name__})")
    group, inner = split(name)
    if name in PLAIN or (group in GROUPS and NAME.fullmatch(inner)):
        return None
    shown = name[:80]
    if group in GROUPS:
        return Problem("", "name", f"“{shown}” is not a field: after “{group}.” comes a name like [a-z][a-z0-9_-]*")
    return Problem("", "name", f"“{shown}” is not a field: fields are {', '.join(PLAIN)} and {'.…, '.join(GROUPS)}.…")


def flatten(document: Mapping[str, Json]) -> dict[str, Json]:
    """Turn a behavior written by group ({"vars": {"tone": …}}), flat ({"vars.tone": …}) or mixed into fields.

    Order is kept. Raises Invalid with every problem of name and value; pointers lead into the document.
    """
    flat: dict[str, Json] = {}
    problems: list[Problem] = []
    for key, value in document.items():
        if key not in GROUPS:
            problems += _place(flat, key, value, pointer(key))
        elif isinstance(value, dict):
            for name, inner in value.items():
                problems += _place(flat, f"{key}.{name}", inner, pointer(key, name))
        else:
            problems.append(Problem(pointer(key), "type", f"must be an object of named {key}"))
    if len(flat) > MAX_FIELDS:
        problems.append(Problem("", "size", f"has more than {MAX_FIELDS} fields"))
    if problems:
        raise Invalid("The behavior is not well formed.", errors=problems)
    return flat


def _place(flat: dict[str, Json], field: str, value: Json, at: str) -> list[Problem]:
    if wrong := check_field(field):
        return [Problem(at, wrong.rule, wrong.message)]
    if field in flat:
        return [Problem(at, "duplicate", f"{field} is given twice")]
    flat[field] = value
    return check_value(field, value, at)


def check_value(field: str, value: Json, at: str) -> list[Problem]:
    """Name what is wrong with a value's shape for this field. Schemas, templates and checks are read by compile."""
    if problems := check_json(value, at):
        return problems
    group, name = split(field)
    return _SHAPES[group](name, value, at)


def _text(_name: str, value: Json, at: str) -> list[Problem]:
    if not isinstance(value, str):
        return [Problem(at, "type", "must be text")]
    if len(value) > MAX_TEXT:
        return [Problem(at, "size", f"is longer than {MAX_TEXT} characters")]
    return []


def _prompt(name: str, value: Json, at: str) -> list[Problem]:
    if isinstance(value, str) and not value.strip():
        return [Problem(at, "required", "must not be empty")]
    return _text(name, value, at)


def _object(_name: str, value: Json, at: str) -> list[Problem]:
    return [] if isinstance(value, dict) else [Problem(at, "type", "must be a JSON Schema object")]


def _example(_name: str, value: Json, at: str) -> list[Problem]:
    if not isinstance(value, dict):
        return [Problem(at, "type", "must be an object with input and output")]
    found = [Problem(at + pointer(key), "name", "is not known here") for key in value if key not in ("input", "output")]
    for key in ("input", "output"):
        if key not in value:
            found.append(Problem(at + pointer(key), "required", "is missing"))
        elif not isinstance(value[key], dict):
            found.append(Problem(at + pointer(key), "type", "must be an object"))
    return found


def _variable(_name: str, value: Json, at: str) -> list[Problem]:
    if isinstance(value, dict | list):
        return [Problem(at, "type", "must be text, a number, true, false or null")]
    if isinstance(value, str) and len(value) > MAX_VAR:
        return [Problem(at, "size", f"is longer than {MAX_VAR} characters")]
    return []


def _model(name: str, value: Json, at: str) -> list[Problem]:
    if name == "name":
        return _alias(value, at)
    if name == "fallbacks":
        return _fallbacks(value, at)
    if name not in MODEL_NUMBERS:
        return [Problem(at, "name", f"model.{name} is not known; there are {', '.join(MODEL_NAMES)}")]
    return _number(value, MODEL_NUMBERS[name], at)


def _alias(value: Json, at: str) -> list[Problem]:
    if isinstance(value, str) and ALIAS.fullmatch(value):
        return []
    return [Problem(at, "type", "must be the alias of a model")]


def _fallbacks(value: Json, at: str) -> list[Problem]:
    if not isinstance(value, list) or len(value) > MAX_FALLBACKS:
        return [Problem(at, "type", f"must be a list of at most {MAX_FALLBACKS} model aliases")]
    found = [problem for index, alias in enumerate(value) for problem in _alias(alias, at + pointer(index))]
    if not found and len(set(map(str, value))) < len(value):
        found.append(Problem(at, "duplicate", "names a model twice"))
    return found


def _check(_name: str, value: Json, at: str) -> list[Problem]:
    if isinstance(value, dict) and isinstance(value.get("kind"), str):
        return []
    return [Problem(at, "type", "must be an object with a kind")]


def _limit(name: str, value: Json, at: str) -> list[Problem]:
    if name not in LIMITS:
        return [Problem(at, "name", f"limits.{name} is not known; there are {', '.join(LIMITS)}")]
    if name == "cost_per_run" and value == 0 and not isinstance(value, bool):
        return [Problem(at, "min", "must be more than 0")]
    return _number(value, LIMITS[name], at)


def _number(value: Json, bounds: tuple[float, float, bool], at: str) -> list[Problem]:
    low, high, whole = bounds
    if isinstance(value, bool) or not isinstance(value, int | float) or (whole and not isinstance(value, int)):
        return [Problem(at, "type", "must be a whole number" if whole else "must be a number")]
    if not low <= value <= high:
        return [Problem(at, "range", f"must be from {low:g} to {high:.16g}")]
    return []


_SHAPES: Mapping[str, Callable[[str, Json, str], list[Problem]]] = {
    "instructions": _text,
    "prompt": _prompt,
    "input": _object,
    "output": _object,
    "examples": _example,
    "vars": _variable,
    "model": _model,
    "checks": _check,
    "limits": _limit,
}
