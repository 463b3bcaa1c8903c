"""The pages of docs/reference that are made from the code, so that they cannot say anything else."""

from features.engine.patterns import MAX_MATCHED
from features.engine.refs import MAX_OVERLAP, WEIGHTS
from features.engine.schemas import (
    DRAFT,
    FORMATS,
    MAX_BYTES,
    MAX_DEPTH,
    MAX_NODES,
    MAX_PATTERN,
    MAX_PATTERNS,
    SUPPORTED,
)
from features.engine.validating import MAX_CHECKS, MAX_COPIED, MAX_WEIGHED
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
            "A missing verb is 403 and named by `verb`; what belongs to another organisation or person is 404.",
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


def schemas_page() -> str:
    """Which JSON Schemas are accepted as `input` and `output`, as Markdown."""
    kinds = {"schema": "a schema", "list": "a list of schemas", "map": "schemas by name", "value": "a value"}
    rows = [f"| `{keyword}` | {kinds[kind]} |" for keyword, kind in sorted(SUPPORTED.items())]
    patterns = f"{MAX_PATTERNS} patterns of {MAX_PATTERN:,} characters"
    return "\n".join(
        [
            "# Schemas",
            "",
            f"`input` and `output` of a behavior are JSON Schemas ([draft 2020-12]({DRAFT})) of type `object`, of",
            "these keywords and no others; an unknown one is refused, because it would check nothing.",
            "",
            "| keyword | its value |",
            "| --- | --- |",
            *rows,
            "",
            f"`format` is asserted, and is one of {', '.join(f'`{name}`' for name in FORMATS)}.",
            "",
            "## Refused",
            "",
            "- References other than `#` and `#/$defs/…`: nothing is ever fetched. `$id`, anchors and dynamic",
            "  references are not known. One that leads back to itself without going into the value is refused.",
            "- Patterns other than those of Rust's [regex](https://docs.rs/regex): no look-around, no back references.",
            "  They are matched in time that grows with the text and no faster. `\\d`, `\\w` and `\\s` are of ASCII.",
            "",
            "## Limits",
            "",
            "| of a schema | at most |",
            "| --- | --- |",
            f"| size, as JSON | {MAX_BYTES:,} bytes |",
            f"| objects and lists within one another | {MAX_DEPTH} |",
            f"| objects and lists | {MAX_NODES:,} |",
            f"| patterns | {patterns} |",
            f"| schemas applied to the same part of a value | {MAX_OVERLAP}"
            + "".join(f"; `{keyword}` counts as {weight} more" for keyword, weight in WEIGHTS.items())
            + " |",
            "",
            "| of a value | what is said beyond that |",
            "| --- | --- |",
            f"| parts × schemas applied to one part: {MAX_CHECKS:,} | it has too many parts for the schema |",
            f"| characters × bytes of the pattern that they are matched with, together: {MAX_MATCHED:,} | the text is"
            " too long to be matched with the pattern |",
            f"| parts × schemas: {MAX_WEIGHED:,}; characters in all violations together: {MAX_COPIED:,} | the first"
            " violation alone, and of a very large value only that it does not fit |",
            "",
            "An ordinary pattern compiles to 1,000 to 8,000 bytes; counted repetitions and `\\p{…}` to many more.",
            "",
            "*Made by `manage.py write_reference`.*",
            "",
        ]
    )


PAGES = {"errors.md": errors_page, "roles.md": roles_page, "schemas.md": schemas_page}
