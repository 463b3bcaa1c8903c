"""The actor that commands act as: the vendor's own, on a machine that holds the operator's database credentials."""

from .actor import Actor
from .roles import VERBS


def system_actor(what: str) -> Actor:
    """Return the operator that a command is, named after it in the audit."""
    return Actor(kind="operator", label=f"system:{what}", role="operator", can=VERBS["operator"], name=what)
