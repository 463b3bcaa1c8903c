"""Checks: what an output must satisfy besides its schema, as data.

`{"kind": "max_words", "at": "/summary", "max": 40, "message": "…"}`: `at` is a JSON pointer into the output; a check
looks at every text at that place and below it. `message`, when given, is what people (and the model, when it is asked
again) read instead of our own words.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from tenants.errors import Problem

from .declared import Declared
from .values import Json, pointer, strings

MAX_MESSAGE = 500  # characters
MAX_PHRASES = 100
MAX_PHRASE = 1_000  # characters
MAX_COUNT = 1_000_000

COMMON = ("kind", "at", "message")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of check: its argument, if it takes one, and what is wrong with the texts found, in words."""

    argument: str | None
    run: Callable[[list[str], Json, Json], str | None]


def _folded(text: str) -> str:
    """Fold white space and case, which models change without meaning anything by it."""
    return re.sub(r"\s+", " ", text).strip().casefold()


def _phrases(argument: Json) -> list[str]:
    return [_folded(str(phrase)) for phrase in (argument if isinstance(argument, list) else [argument])]


def _max_words(texts: list[str], most: Json, _input: Json) -> str | None:
    longest = max((len(text.split()) for text in texts), default=0)
    return f"has {longest} words; at most {most} are allowed" if longest > cast(int, most) else None


def _min_words(texts: list[str], least: Json, _input: Json) -> str | None:
    shortest = min((len(text.split()) for text in texts), default=0)
    return f"has {shortest} words; at least {least} are needed" if shortest < cast(int, least) else None


def _max_chars(texts: list[str], most: Json, _input: Json) -> str | None:
    longest = max(map(len, texts), default=0)
    return f"has {longest} characters; at most {most} are allowed" if longest > cast(int, most) else None


def _contains(texts: list[str], phrases: Json, _input: Json) -> str | None:
    folded = [_folded(text) for text in texts]
    missing = [phrase for phrase in _phrases(phrases) if not any(phrase in text for text in folded)]
    return f"must contain “{missing[0][:80]}”" if missing else None


def _excludes(texts: list[str], phrases: Json, _input: Json) -> str | None:
    folded = [_folded(text) for text in texts]
    found = [phrase for phrase in _phrases(phrases) if any(phrase in text for text in folded)]
    return f"must not contain “{found[0][:80]}”" if found else None


def _quoted(texts: list[str], _argument: Json, given: Json) -> str | None:
    source = _folded("\n".join(strings(given)))
    missing = [text for text in texts if _folded(text) not in source]
    return f"must be quoted from the input; “{missing[0][:80]}” does not occur there" if missing else None


def _shorter_than_input(texts: list[str], _argument: Json, given: Json) -> str | None:
    length, most = sum(map(len, texts)), sum(map(len, strings(given)))
    return f"has {length} characters and must be shorter than the input, which has {most}" if length >= most else None


KINDS: Mapping[str, Kind] = {
    "max_words": Kind("max", _max_words),
    "min_words": Kind("min", _min_words),
    "max_chars": Kind("max", _max_chars),
    "contains": Kind("text", _contains),
    "excludes": Kind("text", _excludes),
    "quoted": Kind(None, _quoted),
    "shorter_than_input": Kind(None, _shorter_than_input),
}


def check_check(check: Json, output: Declared, at: str) -> list[Problem]:
    """Name what is wrong with a check: kind, arguments, a place that the output schema does not declare.

    Pointers are `at` + the part at fault.
    """
    if not isinstance(check, dict) or check.get("kind") not in KINDS:
        return [Problem(at + "/kind", "check", f"must be one of: {', '.join(KINDS)}")]
    kind = KINDS[str(check["kind"])]
    known = (*COMMON, kind.argument)
    found = [Problem(at + pointer(key), "name", "is not known here") for key in check if key not in known]
    message = check.get("message", "")
    if not isinstance(message, str) or len(message) > MAX_MESSAGE:
        found.append(Problem(at + "/message", "type", f"must be text of at most {MAX_MESSAGE} characters"))
    if kind.argument and (wrong := _check_argument(kind.argument, check)):
        found.append(Problem(at + pointer(kind.argument), "check", wrong))
    if wrong := _check_place(check.get("at"), output):
        found.append(Problem(at + "/at", "check", wrong))
    return found


def _check_argument(name: str, check: dict[str, Json]) -> str | None:
    value = check.get(name)
    if name != "text":
        whole = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT
        return None if whole else f"must be a whole number from 0 to {MAX_COUNT}"
    phrases = value if isinstance(value, list) else [value]
    fits = all(isinstance(phrase, str) and phrase.strip() and len(phrase) <= MAX_PHRASE for phrase in phrases)
    return None if fits and 0 < len(phrases) <= MAX_PHRASES else "must be text, or a list of texts"


def _check_place(place: Json, output: Declared) -> str | None:
    if not isinstance(place, str) or (place and not place.startswith("/")):
        return "must be a JSON pointer into the output, such as /summary"
    current: Declared | None = output
    for segment in _segments(place):
        inner = current.at(segment) if current else None
        if current and inner is None and segment.isdecimal():
            inner = current.items()
        current = inner
    return None if current else f"{place} is not in the output schema"


def _segments(place: str) -> list[str]:
    return [segment.replace("~1", "/").replace("~0", "~") for segment in place.split("/")[1:]]


def run_check(name: str, check: Mapping[str, Json], output: Json, input: Json) -> Problem | None:
    """Return what is wrong with an output (its pointer is the check's place), or None.

    A place that this output does not have (an optional property) has nothing wrong with it.
    """
    kind, place = KINDS[str(check["kind"])], str(check["at"])
    there, value = _find(output, place)
    if not there:
        return None
    wrong = kind.run(list(strings(value)), check.get(kind.argument or "") if kind.argument else None, input)
    return Problem(place, f"checks.{name}", str(check.get("message") or wrong)) if wrong else None


def _find(value: Json, place: str) -> tuple[bool, Json]:
    for segment in _segments(place):
        if isinstance(value, dict) and segment in value:
            value = value[segment]
        elif isinstance(value, list) and segment.isdecimal() and len(segment) < 10 and int(segment) < len(value):
            value = value[int(segment)]
        else:
            return False, None
    return value is not None, value
