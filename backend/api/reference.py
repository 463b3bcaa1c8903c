"""The pages of docs/reference that are made from the code, so that they cannot say anything else."""

from tenants.roles import SCOPES, VERBS, OperatorRole, Role

from .error_types import ADVICE
from .problems import KINDS

ROLES = (
    *(role.value for role in Role), "service", "service for a user",
    *(f"operator, {role}" for role in OperatorRole), "operator", "support",
)  # fmt: skip


def errors_page() -> str:
    """What every kind of error means, as Markdown."""
    rows = [f"| [`/errors/{name}`](#{name}) | {kind.status} | {kind.title} |" for name, kind in KINDS.items()]
    parts = [f"## {name}\n\n{KINDS[name].status}: {KINDS[name].title}.\n\n{ADVICE[name]}" for name in KINDS]
    return "\n".join(
        [
            "# Errors",
            "",
            "Every error of the API is `application/problem+json` (RFC 9457): `type`, `title`, `status`, `detail`,",
            "`request` (the id that is also in the header `Bespoke-Request` and in the logs) and, where something",
            "that you sent is at fault, `errors: [{pointer, rule, message}]`. The `type` is a path that leads to what",
            "stands here.",
            "",
            "| type | status | title |",
            "| --- | --- | --- |",
            *rows,
            "",
            "\n\n".join(parts),
            "",
            "*Made by `manage.py write_reference`.*",
            "",
        ]
    )


def roles_page() -> str:
    """Which role may do what, as Markdown."""
    verbs = sorted({verb for verbs in VERBS.values() for verb in verbs})
    rows = [
        f"| `{verb}` | {_scopes(verb)} | " + " | ".join(_has(role, verb) for role in ROLES) + " |" for verb in verbs
    ]
    return "\n".join(
        [
            "# Roles",
            "",
            "What members, keys and operators may do. A member's key has its member's role. A service key has the",
            "verbs of *service* by itself, and those of *service for a user* with the header `Bespoke-User`; it never",
            "reaches a member. Operators have one role or more; *operator* is all of them, as commands on the vendor's",
            "machines have it, and *support* is an operator in an organisation that lets support look",
            "([operators](../operators.md)). A key may what its role may and its scopes allow ([keys](../keys.md)).",
            "A missing verb is 403 and names itself; what belongs to another organisation or person is 404.",
            "",
            "| verb | scopes | " + " | ".join(ROLES) + " |",
            "| --- | --- |" + " --- |" * len(ROLES),
            *rows,
            "",
            "*Made by `manage.py write_reference`.*",
            "",
        ]
    )


def _has(role: str, verb: str) -> str:
    return "yes" if verb in VERBS[role] else ""


def _scopes(verb: str) -> str:
    return ", ".join(scope for scope, verbs in SCOPES.items() if verb in verbs)


PAGES = {"errors.md": errors_page, "roles.md": roles_page}
