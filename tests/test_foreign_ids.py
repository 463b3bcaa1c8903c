"""Ids of others beside the path: in bodies, queries, cursors, ETags, idempotency keys. Whoever sends them learns nothing.

`tests/test_isolation.py` does the same for addresses. What the OpenAPI document says names somebody, or a row, is to be
in NAMING, so that a new field is tried too.
"""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from backend.api.openapi import METHODS, document
from tests.conftest import Knock
from tests.test_isolation import ASYNC, RANDOM, Alice, _filled, alice  # noqa: F401  # a fixture

NAMES = {"user", "subject", "subjects", "run", "batch"}
Field = tuple[str, str, str]  # method, path of the document, place
GREET = "/features/greet"

# Every field of a request that names a row or somebody, and how it is sent.
NAMING: dict[Field, tuple[str, Any]] = {
    ("get", "/batches", "?user"): ("/batches?user={subject}", None),
    ("get", "/features/{feature}/behavior", "?user"): (f"{GREET}/behavior?user={{subject}}&explain=true", None),
    ("get", "/runs", "?batch"): ("/runs?batch={batch}", None),
    ("get", "/runs", "?user"): ("/runs?user={subject}", None),
    ("post", "/budgets", "/user"): ("/budgets", {"period": "day", "hard": 5, "user": "{subject}"}),
    ("post", "/features/{feature}/override/tenant/hand-out", "/subjects"): (
        f"{GREET}/override/tenant/hand-out", {"subjects": ["{subject}"]}
    ),
    ("post", "/features/{feature}/restore", "/pin"): (f"{GREET}/restore", {"pin": "{notice}"}),
    ("post", "/features/{feature}/restore", "/run"): (f"{GREET}/restore", {"run": "{run}"}),
    ("post", "/features/{feature}/preview", "/restore/run"): (
        f"{GREET}/preview", {"restore": {"run": "{run}"}, "recent": 1}
    ),
}  # fmt: skip


def fields(schema: dict[str, Any], parts: dict[str, Any], at: str = "") -> Iterator[tuple[str, Any]]:
    """Every property of a schema with its place, those of what it refers to as well."""
    if "$ref" in schema:
        schema = parts[schema["$ref"].rpartition("/")[2]]
    for name, inner in schema.get("properties", {}).items():
        yield f"{at}/{name}", inner
        yield from fields(inner, parts, f"{at}/{name}")
    for inner in schema.get("anyOf", []) + schema.get("oneOf", []) + schema.get("allOf", []):
        yield from fields(inner, parts, at)
    if isinstance(schema.get("items"), dict):
        yield from fields(schema["items"], parts, f"{at}/*")


def naming() -> set[Field]:
    """What the document says of a request that is an id, or is called as what names somebody."""
    made, found = document(), set[Field]()
    for path, item in made["paths"].items():
        for method in [method for method in METHODS if method in item]:
            operation, short = item[method], path.removeprefix("/api/v1")
            given = [(f"?{p['name']}", p["schema"]) for p in operation.get("parameters", []) if p["in"] == "query"]
            for content in operation.get("requestBody", {}).get("content", {}).values():
                given += fields(content.get("schema", {}), made["components"]["schemas"])
            for place, schema in given:
                if schema.get("format") == "uuid" or re.split(r"[/?]", place)[-1] in NAMES:
                    found.add((method, short, place))
    return found


def test_every_field_that_names_somebody_or_a_row_is_tried() -> None:
    assert naming() <= NAMING.keys()
    assert len(naming()) > 5


def sent(body: Any, ids: dict[str, str]) -> Any:
    """A body with ids in it, in lists too."""
    if isinstance(body, list):
        return [sent(inner, ids) for inner in body]
    if isinstance(body, dict):
        return {name: sent(inner, ids) for name, inner in body.items()}
    return _filled(body, ids)


def told(answer: Any, ids: dict[str, str]) -> tuple[int, str]:
    """An answer without what is new each time, and with every id made the same."""
    text = re.sub(r'"request": ?"[0-9a-f]{32}"', "", answer.content.decode())
    for given in sorted(ids.values(), key=len, reverse=True):
        text = text.replace(given, "")
    return answer.status_code, text


@pytest.mark.parametrize("who", ["owner", "colleague"])
def test_what_is_alices_is_answered_like_what_is_not_there(who: str, alice: Alice) -> None:  # noqa: F811
    knock, differ = Knock(alice.keys[who], {}), []
    nowhere = {**dict.fromkeys(alice.ids, RANDOM), "subject": f"member:{RANDOM}"}
    for named, (path, body) in NAMING.items():
        answers = []
        for ids in (alice.ids, nowhere):
            answer = knock.request(named[0], _filled(path, ids), sent(body, ids), **ASYNC)
            assert "CANARY-ALICE" not in answer.content.decode(), named
            answers.append(told(answer, ids))
        differ += [(named, answers)] if answers[0] != answers[1] else []
    assert differ == []
    assert alice.state() == alice.before


@pytest.mark.parametrize("who", ["owner", "colleague"])
def test_cursors_idempotency_keys_and_etags_of_others_are_worth_nothing(who: str, alice: Alice) -> None:  # noqa: F811
    hers, knock = Knock(alice.key, {}), Knock(alice.keys[who], {})
    for path in (
        f"/runs?cursor={alice.ids['run']}",
        f"/batches?cursor={alice.ids['batch']}",
        f"/keys?cursor={alice.ids['key']}",
    ):
        assert "CANARY-ALICE" not in knock.get(path).content.decode()
    same = {"Idempotency_Key": "the-same", **ASYNC}
    mine = hers.post(f"{GREET}/runs", {"input": {"name": "Ann"}}, **same).json()["id"]
    answer = knock.post(f"{GREET}/runs", {"input": {"name": "Ann"}}, **same)
    assert (answer.status_code, answer.headers.get("Idempotency-Replayed")) == (202, None)
    assert answer.json()["id"] != mine
    assert hers.post(f"{GREET}/runs", {"input": {"name": "Ann"}}, **same).json()["id"] == mine
    etag = hers.get(f"{GREET}/override/user").headers["ETag"]
    assert knock.put(f"{GREET}/override/user", {"set": {"vars.tone": "warm"}}, If_Match=etag).status_code == 412
