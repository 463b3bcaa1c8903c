"""What people read for the names that the engine uses: fields, groups, layers, versions, digests, initials."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from features.engine import Origin

GROUP_TITLES = {
    "vars": gettext_lazy("Wording"),
    "instructions": gettext_lazy("Instructions"),
    "prompt": gettext_lazy("Question"),
    "examples": gettext_lazy("Examples"),
    "model": gettext_lazy("Model"),
    "checks": gettext_lazy("Checks"),
    "limits": gettext_lazy("Limits"),
    "contract": gettext_lazy("Input and Output"),
}
"""The groups of the editor, in the order that people meet them."""
GROUP_HINTS = {
    "vars": gettext_lazy("what the texts below fill in"),
    "instructions": gettext_lazy("what the model is told, in this order"),
    "prompt": gettext_lazy("what it is asked each time"),
    "examples": gettext_lazy("what it is shown of good answers"),
    "checks": gettext_lazy("what an answer must keep to"),
    "contract": gettext_lazy("what goes in, and what comes out"),
}
FIELDS = {
    "prompt": gettext_lazy("Question"),
    "model.name": gettext_lazy("Model"),
    "model.fallbacks": gettext_lazy("If it fails, ask"),
    "model.temperature": gettext_lazy("Temperature"),
    "model.max_output_tokens": gettext_lazy("Longest answer, in tokens"),
    "model.top_p": gettext_lazy("Top p"),
    "model.seed": gettext_lazy("Seed"),
    "model.presence_penalty": gettext_lazy("Presence penalty"),
    "model.frequency_penalty": gettext_lazy("Frequency penalty"),
    "limits.timeout_seconds": gettext_lazy("Seconds that a run may take"),
    "limits.repairs": gettext_lazy("Times that a wrong answer is asked again"),
    "limits.input_bytes": gettext_lazy("Bytes that an input may have"),
    "limits.cost_per_run": gettext_lazy("Most that a run may cost"),
}
"""What the fields are called that every behavior has, where the vendor gives them no title."""
ROLES = {
    "owner": gettext_lazy("Owner"),
    "admin": gettext_lazy("Admin"),
    "member": gettext_lazy("Member"),
    "viewer": gettext_lazy("Viewer"),
    "operator": gettext_lazy("Operator"),
}


def role_word(role: str) -> str:
    """What a role is called; one of another's making by its own name."""
    return str(ROLES.get(role, role))


def group_key(field: str) -> str:
    """The editor's group that a field stands in: `input` and `output` share one."""
    group = field.split(".", 1)[0]
    return "contract" if group in ("input", "output") else group


def sentence(name: str) -> str:
    """`follow_up` and `follow-up` → `Follow up`."""
    words = name.replace("-", " ").replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def field_title(field: str, titles: Mapping[str, Any] | None = None) -> str:
    """The vendor's own title for a field if there is one, else the last part of its name as a sentence."""
    given = (titles or {}).get(field)
    if isinstance(given, Mapping):
        given = given.get("label")
    if isinstance(given, str) and given:
        return given
    return str(FIELDS.get(field, "")) or sentence(field.split(".", 1)[-1])


def field_help(field: str, titles: Mapping[str, Any] | None = None) -> str:
    """The vendor's help for a field, or nothing."""
    given = (titles or {}).get(field)
    return str(given.get("help", "")) if isinstance(given, Mapping) else ""


def short_digest(digest: str) -> str:
    """`1:c41e9b07…` → `c41e 9b07`: enough to compare by eye."""
    hexadecimal = digest.split(":", 1)[-1]
    return f"{hexadecimal[:4]} {hexadecimal[4:8]}".strip()


def initials(name: str) -> str:
    """`Alice Marin` → `AM`, `alice@acme.example` → `A`."""
    words = name.split("@", 1)[0].split()
    return "".join(word[0] for word in (words[:1] + words[-1:] if len(words) > 1 else words)).upper()


def plain(value: Any) -> str:
    """A value as people write it: text as it is, yes and no in words, anything nested as indented JSON."""
    match value:
        case str():
            return value
        case None:
            return _("empty")
        case bool():
            return _("Yes") if value else _("No")
        case int() | float():
            return str(value)
        case _:
            return json.dumps(value, ensure_ascii=False, indent=2)


def readable(field: str, value: Any) -> Any:
    """A field's value to be read and compared: examples and checks as lines of what they say, all else as it is."""
    return _lines(value) if field.startswith(("examples.", "checks.")) and isinstance(value, Mapping) else value


def _lines(value: Any) -> str:
    if isinstance(value, Mapping):
        told = ((sentence(str(name)), part, _lines(part)) for name, part in value.items())
        return "\n".join(
            f"{name}{':' + chr(10) if isinstance(part, Mapping) else ': '}{text}" for name, part, text in told
        )
    if isinstance(value, list):
        return "".join(f"\n- {_lines(item)}" for item in value)
    return plain(value)


def layer_of(origin: Origin) -> Literal["base", "tenant", "user"]:
    """Whose a field is to a reader: the last layer that set it or added to it."""
    layers = (origin.layer, *origin.appended)
    return "user" if "user" in layers else "tenant" if "tenant" in layers else "base"


def joined(names: Sequence[str]) -> str:
    """`Ada`, `Ada and Gus`, `Ada, Bob and Gus`."""
    if len(names) < 2:
        return "".join(names)
    return _("%(first)s and %(last)s") % {"first": ", ".join(names[:-1]), "last": names[-1]}


def few(names: Sequence[str], most: int = 5) -> str:
    """The first few of many names, and how many more there are."""
    rest = len(names) - most
    return (
        joined(names)
        if rest <= 0
        else _("%(names)s and %(n)s more") % {"names": ", ".join(names[:most]), "n": f"{rest:,}"}
    )


def layer_of_key(key: str, tenant: str) -> str:
    """The latest layer that took part in a run, as a row of usage is called."""
    words = {
        "base": _("The vendor's behavior alone"), "tenant": _("With changes of %(tenant)s") % {"tenant": tenant},
        "user": _("With people's own changes"), "preview": _("Previews"),
    }  # fmt: skip
    return words.get(key, _("Runs that were put away"))
