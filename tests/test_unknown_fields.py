"""No write takes a field that it does not name: every column of every table is sent to every address that writes.

Unknown fields are refused with 400, each by name, and nothing is changed. (OWASP: mass assignment; ASVS 5.0, 15.3.3.)
"""

import ast
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps

from backend.api.openapi import document
from tests.conftest import Knock
from tests.test_isolation import TABLE, Alice, Row, _filled
from tests.test_isolation import alice as alice  # noqa: PLC0414 (a fixture)

ROOT = Path(__file__).resolve().parent.parent
OURS = ("tenants", "features", "runs", "backend")
COLUMNS = {
    name
    for model in apps.get_models()
    if model._meta.app_label in OURS
    for column in model._meta.concrete_fields
    for name in (column.name, column.attname)
} | {"tenant_id", "id", "__proto__", "constructor", "is_superuser", "price", "role", "state"}
WRITES = [
    (route, row)
    for route, rows in TABLE.items()
    for row in rows
    if route.startswith("api/") and row.method in ("post", "put", "patch")
]
# Addresses that take a text or a list, whose items are read apart (tests/features/runs/test_items.py).
NO_OBJECT = {"api/v1/features/<str:feature>/batches"}


def known(route: str, method: str) -> set[str]:
    """The names that the document has for the body of an operation."""
    path = "/" + "".join(f"{{{part.partition(':')[2].removesuffix('>')}}}" if part.startswith("<") else part
                         for part in _parts(route))  # fmt: skip
    body = document()["paths"][path][method].get("requestBody", {}).get("content", {}).get("application/json", {})
    return _names(body.get("schema", {}))


def _parts(route: str) -> list[str]:
    return [piece for part in route.split("<") for piece in _cut(part)]


def _cut(part: str) -> list[str]:
    return [f"<{part[: part.index('>') + 1]}", part[part.index(">") + 1 :]] if ">" in part else [part]


def _names(schema: dict[str, Any]) -> set[str]:
    if "$ref" in schema:
        return _names(document()["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    within = [*schema.get("oneOf", ()), *schema.get("anyOf", ()), *schema.get("allOf", ())]
    return set(schema.get("properties", {})).union(*map(_names, within))


def test_every_column_of_every_table_is_refused_by_every_write(alice: Alice) -> None:  # noqa: F811
    assert len(COLUMNS) > 100
    knocks = [Knock(alice.cast.key(who), {}) for who in (alice.cast.ada, alice.cast.operator, alice.cast.alice)]
    answers: dict[tuple[str, str, str], list[int]] = {}
    for route, row in WRITES:
        if route in NO_OBJECT:
            continue
        foreign = dict.fromkeys(sorted(COLUMNS - known(route, row.method)), "taken")
        body = {**_filled(row.body or {}, alice.ids), **foreign}
        given = [_send(knock, row, alice, body) for knock in knocks]
        answers[row.method, route, row.path] = [a.status_code for a in given]
        for answer in given:
            if answer.status_code == 400 and "errors" in answer.json():
                told = {error["pointer"].rpartition("/")[2] for error in answer.json()["errors"]}
                assert foreign.keys() - told == set(), (row.method, route)
    assert {key: found for key, found in answers.items() if 400 not in found} == {}
    assert alice.state() == alice.before


def _send(knock: Knock, row: Row, alice: Alice, body: dict[str, Any]) -> Any:
    path = _filled(row.path, alice.ids).removeprefix("/api/v1")
    return knock.request(row.method, path, body, **{n.replace("-", "_"): v for n, v in row.headers.items()})


@pytest.mark.parametrize("folder", ["tenants", "features", "backend"])
def test_no_serializer_or_form_takes_all_columns_there_are(folder: str) -> None:
    """`fields = "__all__"` and `exclude` grow with their table; ours name what they take."""
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            bases = [ast.unparse(base) for base in node.bases] if isinstance(node, ast.ClassDef) else []
            assert not [base for base in bases if base.endswith(("ModelSerializer", "ModelForm"))], path
            assert not (isinstance(node, ast.Constant) and node.value == "__all__"), path
