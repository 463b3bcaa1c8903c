"""The behavior that the engine's tests are about: a reply to a customer, small but with a field of every kind."""

from copy import deepcopy
from typing import Any

from features.engine import Base, Operation, Revision, Rule, flatten

REPLY: dict[str, Any] = {
    "instructions": {"role": "You answer customers of {{ tenant.name }}.", "tone": "Be {{ vars.tone }}."},
    "prompt": "Answer:\n{{ input.message | fence }}",
    "input": {
        "type": "object",
        "properties": {
            "message": {"type": "string", "maxLength": 2000},
            "customer": {"type": "object", "properties": {"name": {"type": "string"}}},
        },
        "required": ["message"],
        "additionalProperties": False,
    },
    "output": {
        "type": "object",
        "properties": {"reason": {"type": "string"}, "answer": {"type": "string"}},
        "required": ["reason", "answer"],
        "additionalProperties": False,
    },
    "examples": {
        "late": {
            "input": {"message": "Where is my parcel?"},
            "output": {"reason": "asks for an order", "answer": "It is on its way."},
        }
    },
    "vars": {"tone": "warm", "language": "en"},
    "model": {"name": "standard", "temperature": 0.2, "max_output_tokens": 400},
    "checks": {"short": {"kind": "max_words", "at": "/answer", "max": 80}},
    "limits": {"timeout_seconds": 30},
}


def fields(**changes: Any) -> dict[str, Any]:
    """The behavior as fields; `changes` replace groups or plain fields of it."""
    return flatten(deepcopy(REPLY) | changes)


def base(number: int = 1, rules: dict[str, Rule] | None = None, **changes: Any) -> Base:
    return Base(number, fields(**changes), rules or {})


def put(field: str, value: Any) -> Operation:
    return Operation(field, "set", value)


def append(field: str, text: str) -> Operation:
    return Operation(field, "append", text)


def remove(field: str) -> Operation:
    return Operation(field, "remove", None)


def saved(*operations: Operation, number: int = 1, rules: dict[str, Rule] | None = None) -> Revision:
    return Revision(number, operations, rules or {})
