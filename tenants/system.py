"""The actor that commands act as: the vendor's own, on a machine that holds the operator's database credentials."""

from .actor import Actor
from .roles import VERBS, OperatorRole


def system_actor(what: str) -> Actor:
    """Return the operator that a command is, named after it in the audit."""
    roles = frozenset(OperatorRole)
    return Actor("operator", f"system:{what}", "operator", VERBS["operator"], name=what, roles=roles)
