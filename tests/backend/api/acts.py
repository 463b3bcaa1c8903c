"""What the people of these tests do again and again, and what they look at."""

from copy import deepcopy
from typing import Any

from features.engine import flatten
from tenants.actor import Actor
from tests.cast import GREET, GREET_RULES, Cast

from .conftest import Caller

GREETING = "/features/greet"
MINE = f"{GREETING}/override/user"
OURS = f"{GREETING}/override/tenant"
FIRST = {"If_None_Match": "*"}


def behavior(**changes: Any) -> dict[str, Any]:
    """The cast's behavior with other values; `vars__tone="warm"` is the field vars.tone, None takes a field out."""
    fields = deepcopy(flatten(GREET))
    for name, value in changes.items():
        fields[name.replace("__", ".")] = value
    return {name: value for name, value in fields.items() if value is not None}


def publish(api: Caller, cast: Cast, *, move: bool = True, rules: Any = None, **changes: Any) -> int:
    """Publish a version of `greet` and return its number."""
    body = {"behavior": behavior(**changes), "publish": "current" if move else "none"}
    answer = api(cast.operator).post(f"{GREETING}/versions", {**body, "rules": GREET_RULES if rules is None else rules})
    assert answer.status_code == 201, answer.content
    return int(answer.json()["version"])


def hidden(field: str = "instructions.safety") -> dict[str, Any]:
    """Rules that hide a field."""
    return {**GREET_RULES, field: {"edit": "locked", "hidden": True}}


def served(api: Caller, who: Actor, query: str = "", **headers: str) -> dict[str, Any]:
    """What somebody is served of `greet`."""
    answer = api(who, **headers).get(f"{GREETING}/behavior{query}")
    assert answer.status_code == 200, answer.content
    return dict(answer.json())


def digest(api: Caller, who: Actor, query: str = "", **headers: str) -> str:
    return str(served(api, who, query, **headers)["receipt"]["digest"])


def everybody(api: Caller, cast: Cast, feature: str = "greet") -> dict[str, str]:
    """The digest of every subject there is: members, both organisations, an end user of each one's software."""
    path = f"/features/{feature}/behavior"
    knocks = {
        **{name: api(getattr(cast, name)).get(path) for name in ("ada", "alice", "bob", "vera", "gus", "mallory")},
        "acme": api(cast.acme_service).get(path),
        "globex": api(cast.globex_service).get(path),
        "acme's u1": api(cast.acme_service, Bespoke_User="u1").get(path),
        "acme's u2": api(cast.acme_service, Bespoke_User="u2").get(path),
        "globex's u1": api(cast.globex_service, Bespoke_User="u1").get(path),
    }
    return {name: answer.json()["receipt"]["digest"] for name, answer in knocks.items()}


def moved(before: dict[str, str], after: dict[str, str]) -> set[str]:
    """Whose behavior is another now."""
    return {name for name in before if before[name] != after[name]}


def problems(answer: Any) -> set[tuple[str, str]]:
    """(pointer, rule) of everything that an answer finds wrong."""
    return {(error["pointer"], error["rule"]) for error in answer.json()["errors"]}


def kind(answer: Any) -> tuple[int, str]:
    """(status, type) of an error."""
    assert answer.headers["Content-Type"] == "application/problem+json"
    return answer.status_code, answer.json()["type"].removeprefix("/errors/")
