"""The form of a rollout: rows of steps and guards as they were typed, read as the document that starting one takes."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from features.engine import GUARDS, Json
from features.models import Rollout
from tenants.errors import Problem

from .drawing import MICRO
from .parts import Choice, GuardBox, RolloutForm, StepBox
from .rolling import GUARD_TITLES

Data = Mapping[str, str]
MOST_STEPS = 50
START: Data = {
    "steps": "0,1,2", "unit": "tenant",
    "step-0-kind": "percent", "step-0-who": "5", "step-0-hold": "1", "step-0-in": "h", "step-0-runs": "50",
    "step-1-kind": "percent", "step-1-who": "25", "step-1-hold": "6", "step-1-in": "h", "step-1-runs": "200",
    "step-2-kind": "percent", "step-2-who": "100",
    "guard-schema_failures-max": "2", "guard-schema_failures-runs": "30", "guard-schema_failures-do": "pause",
    "guard-failed_checks-max": "5", "guard-failed_checks-runs": "30", "guard-failed_checks-do": "pause",
    "guard-pins_away-max": "2", "guard-pins_away-runs": "30", "guard-pins_away-do": "pause",
    "guard-cost_per_run-runs": "30", "guard-cost_per_run-do": "pause",
}  # fmt: skip
ADDED: Data = {"kind": "percent", "who": "", "hold": "6", "in": "h", "runs": ""}
HELPS = {
    "pins_away": gettext_lazy("who took the version and chose to stay on another"),
    "schema_failures": gettext_lazy("runs in which an answer had not the form asked for"),
    "failed_checks": gettext_lazy("runs without an output because of checks"),
    "cost_per_run": gettext_lazy("on average"),
}


def changed(data: Data, change: str) -> dict[str, str]:
    """The form with a row more (`add`, before the last step) or less (`remove-1`); everything typed stays.

    A row keeps its number, so that what is typed into it while the answer is on its way has a place there too.
    """
    rows = _rows(data)
    kept = dict(data)
    if change == "add" and len(rows) < MOST_STEPS:
        new = next(number for number in range(MOST_STEPS) if number not in rows)
        rows.insert(max(0, len(rows) - 1), new)
        kept |= {f"step-{new}-{name}": value for name, value in ADDED.items()}
    elif change.startswith("remove-") and len(rows) > 1:
        rows = [number for number in rows if f"remove-{number}" != change]
    return {**kept, "steps": ",".join(map(str, rows))}


def read_rollout(data: Data) -> dict[str, Any]:
    """What starting a rollout takes. What is no number is handed on as it was typed, for the action to refuse."""
    return {
        "steps": [_step(_row(data, number)) for number in _rows(data)],
        "guards": {name: _guard(name, data) for name in GUARDS if data.get(f"guard-{name}-max", "").strip()},
        "unit": data.get("unit", ""),
        "message": data.get("message", "")[:500],
    }


def drawn(data: Data, problems: Iterable[Problem] = ()) -> RolloutForm:
    """The form as it was filled, with what is wrong beside each field."""
    wrong = list(problems)
    units = (
        (Rollout.Unit.TENANT, _("Organisation by organisation"), _("everybody of one has the same")),
        (Rollout.Unit.USER, _("Person by person"), _("an organisation itself moves at the end")),
    )
    known = ("/steps/", "/guards/")
    return RolloutForm(
        steps=[_step_box(number, at, _row(data, number), wrong) for at, number in enumerate(_rows(data))],
        guards=[_guard_box(name, data, wrong) for name in GUARD_TITLES],
        units=[Choice(value, f"{label}: {hint}", data.get("unit") == value) for value, label, hint in units],
        message=data.get("message", ""),
        problems=[_sentence(problem.message) for problem in wrong if not problem.pointer.startswith(known)],
    )


def _rows(data: Data) -> list[int]:
    """The numbers of the rows in their order; what is none is left out."""
    known = {str(number): number for number in range(MOST_STEPS)}
    return [known[text] for text in dict.fromkeys(data.get("steps", "").split(",")) if text in known]


def _row(data: Data, number: int) -> dict[str, str]:
    start = f"step-{number}-"
    return {name.removeprefix(start): value for name, value in data.items() if name.startswith(start)}


def _step(row: Data) -> dict[str, Json]:
    typed = row.get("who", "").strip()
    if row.get("kind") == "tenants":
        who: dict[str, Json] = {"tenants": [name for name in typed.replace(",", " ").split() if name]}
    else:
        who = {"percent": _number(typed.removesuffix("%").strip())}
    hold, runs = row.get("hold", "").strip(), row.get("runs", "").strip()
    if hold:
        who["hold"] = f"{hold}{row.get('in', 'h')}"
    if runs:
        who["min_runs"] = _number(runs)
    return who


def _guard(name: str, data: Data) -> dict[str, Json]:
    limit = _number(data.get(f"guard-{name}-max", "").strip().removesuffix("%").strip())
    if not isinstance(limit, str):
        limit = limit * MICRO if name == "cost_per_run" else limit / 100
    runs = data.get(f"guard-{name}-runs", "").strip()
    told: dict[str, Json] = {"max": limit, "do": data.get(f"guard-{name}-do", "pause")}
    return {**told, "min_runs": _number(runs)} if runs else told


def _number(text: str) -> float | str:
    """A number, with a decimal comma or point, or the text that is none."""
    plain = text.replace(",", ".")
    if not plain.isascii() or not plain.replace(".", "", 1).isdecimal() or len(plain) > 15:
        return text
    return float(plain) if "." in plain else int(plain)


def _step_box(number: int, place: int, row: Data, wrong: Iterable[Problem]) -> StepBox:
    at = f"/steps/{place}"
    return StepBox(
        number=number,
        kind="tenants" if row.get("kind") == "tenants" else "percent",
        who=row.get("who", ""),
        hold=row.get("hold", ""),
        hold_unit=row.get("in", "h"),
        min_runs=row.get("runs", ""),
        who_problem=_told(wrong, (at, f"{at}/percent", f"{at}/tenants")),
        hold_problem=_told(wrong, (f"{at}/hold",)) and _("Write a whole number; at most 90 days."),
        runs_problem=_told(wrong, (f"{at}/min_runs",)),
    )


def _guard_box(name: str, data: Data, wrong: Iterable[Problem]) -> GuardBox:
    at, start = f"/guards/{name}", f"guard-{name}-"
    cost = name == "cost_per_run"
    refused = _told(wrong, (f"{at}/max",))
    return GuardBox(
        name=name,
        title=str(GUARD_TITLES[name]),
        help=str(HELPS[name]),
        unit=settings.CURRENCY if cost else "%",
        sample=_("people") if name == "pins_away" else _("runs"),
        max=data.get(f"{start}max", ""),
        min_runs=data.get(f"{start}runs", ""),
        does="roll_back" if data.get(f"{start}do") == "roll_back" else "pause",
        max_problem=refused and (_("Write an amount.") if cost else _("Write a number from 0 to 100.")),
        runs_problem=_told(wrong, (f"{at}/min_runs",)),
    )


def _told(wrong: Iterable[Problem], places: tuple[str, ...]) -> str:
    """What is wrong at these places, or below a list among them, as sentences."""
    found = [p.message for p in wrong if p.pointer in places or p.pointer.rpartition("/")[0] in places[2:]]
    return " ".join(_sentence(message) for message in dict.fromkeys(found))


def _sentence(message: str) -> str:
    text = message[:1].upper() + message[1:]
    return text if text.endswith(".") else f"{text}."
