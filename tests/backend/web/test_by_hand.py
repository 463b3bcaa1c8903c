"""Anything the API can do, a person can do here: each operation of its document has a page, each field a control.

A new operation, field or parameter is red here until by_hand.py says where a person does it, or in words why nowhere.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import pytest
from django.urls import Resolver404, resolve
from django.utils import timezone

from backend.api.openapi import METHODS, document
from features.actions.overrides import ANY, save_operation
from features.actions.rollouts import resume
from features.actions.targets import add_target, point_alias
from features.models import Rollout
from tenants.actions import set_tenant_state
from tenants.actor import Actor
from tenants.isolation import OPERATOR
from tenants.models import OperatorKey, Tenant
from tenants.support import end_support
from tests.cast import Cast
from tests.fakes.model import FakeModel

from .by_hand import BY_HAND, EVERYWHERE, At, Older, On, Why
from .conftest import Person, words
from .test_every_page import lived_in_here

Sit = Callable[[Actor], Person]
ANY_ID = "01890a5d-ac96-774b-bcce-b302099a8057"
Schema = Mapping[str, Any]


@cache
def operations() -> Mapping[str, Schema]:
    """Every operation of the document, by its id."""
    paths = document()["paths"].values()
    return {path[method]["operationId"]: path[method] for path in paths for method in METHODS if method in path}


def followed(schema: Schema) -> Schema:
    while "$ref" in schema:
        schema = document()["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def leaves(schema: Schema, at: str = "") -> Iterator[str]:
    """The fields of a body by their paths: `steps.percent`; of a list those of its items, of choices those of each."""
    schema = followed(schema)
    for choice in (choice for word in ("allOf", "oneOf", "anyOf") for choice in schema.get(word, ())):
        yield from leaves(choice, at)
    if "items" in schema:
        yield from leaves(schema["items"], at)
    for name, part in schema.get("properties", {}).items():
        yield from list(leaves(part, f"{at}{name}.")) or [f"{at}{name}"]


def asked_by(operation: Schema) -> set[str]:
    """The names of all that an operation can be given, but for headers and what its address names."""
    asked = {one["name"] for one in operation["parameters"] if one["in"] == "query"}
    bodies = operation.get("requestBody", {}).get("content", {}).values()
    return asked.union(*(leaves(body["schema"]) for body in bodies))


def pages() -> Iterator[tuple[str, On]]:
    yield from ((name, row) for name, row in BY_HAND.items() if isinstance(row, On))


def test_every_operation_has_its_page_or_says_why_it_has_none() -> None:
    assert set(BY_HAND) == set(operations())
    assert not [name for name, row in BY_HAND.items() if isinstance(row, Why) and len(row) < 20]


def test_the_pages_are_there() -> None:
    wrong = {}
    for name, row in pages():
        address = re.sub(r"\{\w+\}", ANY_ID, row.path.partition("?")[0])
        try:
            match = resolve(address)
        except Resolver404:
            wrong[name] = address
        else:
            if match.namespace != "web":
                wrong[name] = address
    assert wrong == {}


@pytest.mark.parametrize(("name", "row"), list(pages()), ids=lambda one: one if isinstance(one, str) else "")
def test_every_field_and_parameter_has_its_control_or_says_why_it_has_none(name: str, row: On) -> None:
    assert asked_by(operations()[name]) - EVERYWHERE.keys() == set(row.controls)


def test_the_controls_are_on_their_pages(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    ids = {**lived_in_here(cast, model).ids, **more_has_happened(cast)}
    people, seen = {who: at_desk(getattr(cast, who)) for who in ("alice", "ada", "operator")}, dict[str, str]()
    missing = []
    for name, row in pages():
        for api, control in {"": "", **row.controls}.items():
            at = control if isinstance(control, At) else At(row.who, row.path, control if type(control) is str else "")
            path = at.path.format(**ids)
            page = seen.setdefault(f"{at.who} {path}", people[at.who].see(path))
            if at.name and not sends(page, at.name):
                missing.append(f"{name}: {api} as {at.name} on {path}")
            if isinstance(control, Older) and not goes_on(people[at.who], path, control):
                missing.append(f"{name}: {path} goes on nowhere")
    assert "\n".join(missing) == ""


def sends(page: str, name: str) -> bool:
    """Whether a form or a link of a page sends something of this name."""
    return re.search(rf'name="{re.escape(name)}"|href="[^"]*[?;]{re.escape(name)}=', page) is not None


def goes_on(person: Person, path: str, older: Older) -> bool:
    """Whether an address reads where its list goes on: what is no place is refused."""
    answer = person.client.get(f"{path}{'&' if '?' in path else '?'}{older.name}=nowhere")
    return answer.status_code == 400 and "no place in this list" in words(answer)


def more_has_happened(cast: Cast) -> dict[str, str]:
    """What opens forms that stand closed in a product at rest, and the ids of it."""
    for value in ("warm", "formal"):
        save_operation(cast.greet, "user", "vars.tone", {"set": value}, expected=ANY, by=cast.alice)
    for layer in ("tenant", "user"):
        save_operation(cast.greet, layer, "vars.language", {"set": "German"}, expected=ANY, by=cast.ada)
    end_support(by=cast.ada)
    resume(Rollout.objects.using(OPERATOR).get(), by=cast.operator)
    globex = Tenant.objects.using(OPERATOR).get(slug="globex")
    set_tenant_state(globex, "closed", reason="They left", by=cast.operator)
    add_target(alias="standard", provider="demo", model="other", input_price=0, output_price=0, by=cast.operator)
    point_alias("standard", 1, by=cast.operator)
    key = OperatorKey.objects.using(OPERATOR).filter(operator__user__email="operator@bespoke.example").first()
    assert key is not None
    now = timezone.now().isoformat().replace("+00:00", "Z")
    return {"colleague": cast.bob.acting_for().key, "moment": now, "operator_key": str(key.pk)}
