"""The people of every test, and the one small feature that they use."""

from dataclasses import dataclass, field
from typing import Any

from backend.actors import actor_of_key, actor_of_login
from features.actions.targets import add_target
from features.actions.versions import create_feature
from features.models import Feature
from tenants.actions import add_member, create_key, create_tenant, login_for
from tenants.actor import Actor
from tenants.isolation import OPERATOR, operator_tx
from tenants.models import Operator
from tenants.operators import create_operator_key
from tenants.system import system_actor

GREET: dict[str, Any] = {
    "instructions": {
        "role": "You greet people.",
        "tone": "Write in a {{ vars.tone }} tone.",
        "safety": "Never promise anything.",
    },
    "prompt": "{{ input.name | fence }}",
    "input": {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 200}},
        "required": ["name"],
        "additionalProperties": False,
    },
    "output": {
        "type": "object",
        "properties": {"greeting": {"type": "string", "maxLength": 400}},
        "required": ["greeting"],
        "additionalProperties": False,
    },
    "examples": {"first": {"input": {"name": "Eve"}, "output": {"greeting": "Hello Eve"}}},
    "vars": {"tone": "plain", "language": "English"},
    "model": {"name": "standard", "temperature": 0, "max_output_tokens": 100},
    "checks": {"short": {"kind": "max_words", "at": "/greeting", "max": 30}},
    "limits": {"repairs": 1, "timeout_seconds": 10, "input_bytes": 2000},
}
GREET_RULES: dict[str, Any] = {
    "instructions.safety": {"edit": "locked"},
    "vars.tone": {"choices": ["plain", "warm", "formal"]},
}


@dataclass
class Cast:
    """Actors by name, the keys that they knock with, and the feature `greet`."""

    operator: Actor
    ada: Actor
    alice: Actor
    bob: Actor
    vera: Actor
    gus: Actor
    mallory: Actor
    acme_service: Actor
    globex_service: Actor
    greet: Feature
    keys: dict[str, str] = field(default_factory=dict)

    def key(self, who: Actor) -> str:
        """The text of somebody's key, made when it is first asked for."""
        if who.label not in self.keys:
            self.keys[who.label] = create_key(kind="member", name="test", by=who)[1]
        return self.keys[who.label]

    def everybody(self) -> list[Actor]:
        """All who have behavior of their own."""
        return [self.ada, self.alice, self.bob, self.gus, self.mallory]


def make_cast() -> Cast:
    """Make them all, committed."""
    system = system_actor("tests")
    people: dict[str, Actor] = {}
    for slug, owner, others in (
        ("acme", "ada", {"alice": "member", "bob": "member", "vera": "viewer"}),
        ("globex", "gus", {"mallory": "member"}),
    ):
        login = login_for(f"{owner}@{slug}.example", name=owner.capitalize())
        create_tenant(slug=slug, name=slug.capitalize(), owner=login, by=system)
        people[owner] = _actor(login)
        for name, role in others.items():
            add_member(email=f"{name}@{slug}.example", role=role, name=name.capitalize(), by=people[owner])
            people[name] = _actor(login_for(f"{name}@{slug}.example"))
    keys: dict[str, str] = {}
    for slug, owner in (("acme", "ada"), ("globex", "gus")):
        text = create_key(kind="service", name=f"{slug}'s software", by=people[owner])[1]
        people[f"{slug}_service"] = actor_of_key(text)
        keys[people[f"{slug}_service"].label] = text
    operator, text = an_operator()
    keys[operator.label] = text
    add_target(
        alias="standard", provider="demo", model="scripted", input_price=1_000_000, output_price=4_000_000, by=system
    )
    greet, _ = create_feature(
        key="greet", title="Greet", summary="Greets somebody.", behavior=GREET, rules=GREET_RULES, by=operator
    )
    return Cast(operator=operator, greet=greet, keys=keys, **people)


def _actor(login: Any) -> Actor:
    actor = actor_of_login(login, None)
    assert actor is not None
    return actor


def an_operator() -> tuple[Actor, str]:
    """Olga of the vendor, and the text of her key."""
    login = login_for("operator@bespoke.example", name="Olga")
    with operator_tx():
        row = Operator.objects.using(OPERATOR).create(user_id=login.id)
    text = create_operator_key(row, name="test", by=system_actor("tests"))[1]
    return actor_of_key(text), text
