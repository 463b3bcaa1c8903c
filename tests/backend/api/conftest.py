"""Doors of the API: every answer that a test gets is held against the OpenAPI document, undocumented properties too."""

import copy
import json
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jsonschema_rs
import pytest

from backend.api.openapi import document
from tests.cast import Cast
from tests.conftest import Knock

Caller = Callable[..., Knock]


class Checked(Knock):
    """A caller who believes only what is documented."""

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        answer = super().request(method, path, body, **headers)
        if method in ("get", "post", "put", "patch", "delete"):
            check(method, path.partition("?")[0], answer)
        return answer


@pytest.fixture
def api(cast: Cast) -> Caller:
    """Knock at the API as somebody: `api(cast.alice).get("/features")`; what they get must be what is documented."""
    return lambda who, **headers: Checked(cast.key(who), headers)


def check(method: str, path: str, answer: Any) -> None:
    """Fail for an answer whose status, content type or body the document does not know."""
    operation = _operation(method, f"/api/v1{path}")
    if operation is None:
        assert answer.status_code in (404, 405), (method, path, answer.status_code)
        return
    assert "Bespoke-Request" in answer.headers
    documented = operation["responses"].get(str(answer.status_code))
    assert documented is not None, f"{method} {path}: {answer.status_code} is not documented: {answer.content[:300]!r}"
    documented = _resolved(documented)
    if answer.status_code == 204:
        return
    kind = answer.headers["Content-Type"].partition(";")[0]
    assert kind in documented["content"], (kind, path)
    if not answer.streaming:
        validator(json.dumps(documented["content"][kind]["schema"])).validate(json.loads(answer.content))


@lru_cache(maxsize=500)
def validator(schema: str) -> Any:
    """A validator that also refuses properties which the schema does not name (problems may have more)."""
    whole = {**json.loads(schema), "components": document()["components"]}
    return jsonschema_rs.Draft202012Validator(_closed(copy.deepcopy(whole)))


def _closed(schema: Any, name: str = "") -> Any:
    if isinstance(schema, dict):
        if "properties" in schema and isinstance(schema["properties"], dict) and name != "Problem":
            schema.setdefault("additionalProperties", False)
        return {key: _closed(value, key) for key, value in schema.items()}
    return [_closed(item) for item in schema] if isinstance(schema, list) else schema


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        found: Any = document()
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return dict(found)
    return schema


def _operation(method: str, path: str) -> dict[str, Any] | None:
    for pattern, item in _patterns():
        if method in item and pattern.fullmatch(path):
            return dict(item[method])
    return None


@lru_cache(maxsize=1)
def _patterns() -> list[tuple[re.Pattern[str], dict[str, Any]]]:
    def as_regex(path: str) -> re.Pattern[str]:
        return re.compile(re.sub(r"\\{[a-z_]+\\}", "[^/]+", re.escape(path)))

    paths = document()["paths"].items()
    return [(as_regex(path), item) for path, item in sorted(paths, key=lambda pair: pair[0].count("{"))]
