"""What happened, in words: revisions by what they change, versions, stays, policies, and who it was."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from features.actions.overrides import Layer
from features.engine import Operation, changed, check_field, from_rows
from features.models import CurrentVersion, Override, Pin, Stage, Version, Withdrawal
from features.timeline import Happening
from tenants.actor import Actor

from .drawing import money
from .templatetags.b import clock
from .verb_words import WHAT
from .words import field_title, group_key, plain, sentence, short_digest

SHORT = 40  # characters; a value that long is told, a longer one only named
Titles = Mapping[str, Any]
AN_ID = re.compile(r"^([a-z]+:)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")  # a UUID, or a label or target with one
AMOUNTS: Mapping[str, Any] = {"soft": gettext_lazy("Warns at"), "hard": gettext_lazy("Stops at")}  # of a budget
ADDED: Mapping[str, Any] = {
    "": gettext_lazy("Added %(field)s"), "instructions": gettext_lazy("Added the section %(field)s"),
    "examples": gettext_lazy("Added the example %(field)s"), "checks": gettext_lazy("Added the check %(field)s"),
}  # fmt: skip
LEFT_OUT: Mapping[str, Any] = {
    "": gettext_lazy("Left out %(field)s"), "instructions": gettext_lazy("Left out the section %(field)s"),
    "examples": gettext_lazy("Left out the example %(field)s"), "checks": gettext_lazy("Left out the check %(field)s"),
}  # fmt: skip
"""What became of a part that one names, by its group."""
A_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d")


def revision_words(row: Override, previous: Override | None, titles: Titles) -> str:
    """A revision by its author's message, else by what it changed against the one before."""
    if row.message and check_field(row.message) is not None:
        return row.message
    before = from_rows(previous.operations) if previous else ()
    after = from_rows(row.operations)
    told = [_operation_words(operation, titles) for operation in changed(before, after)]
    kept = {operation.field for operation in after}
    gone = [operation.field for operation in before if operation.field not in kept]
    told += [_("%(field)s inherited again") % {"field": field_title(field, titles)} for field in gone]
    if not told:
        return _("Who may change what") if previous and row.rules != previous.rules else _("Saved without a change")
    more = len(told) - 1
    return told[0] if not more else ngettext("%(first)s and %(n)d more", "%(first)s and %(n)d more", more) % {
        "first": told[0], "n": more
    }  # fmt: skip


def author_words(label: str, names: Mapping[str, str], actor: Actor, *, inside: bool = False) -> str:
    """Who did something: you, a person or key by name, or the vendor; `inside` a sentence without a capital.

    Operators are told no customer's people by name.
    """
    if label == actor.label:
        return _("you") if inside else _("You")
    if label.startswith(("operator:", "system:")):
        return _("the vendor") if inside else _("The vendor")
    if actor.tenant is None:
        return names.get(label) or (_("somebody at the organisation") if inside else _("Somebody at the organisation"))
    return names.get(label) or (_("somebody who has left") if inside else _("Somebody who has left"))


def happening_words(
    event: Happening, versions: Mapping[int, Version], titles: Titles, tenant: str, layer: Layer = "user"
) -> str:
    """What happened, as the title of its line, to the person who looks or (`layer`) to their organisation."""
    whom = tenant if layer == "tenant" else _("you")
    match event.row, event.previous:
        case CurrentVersion() as row, CurrentVersion() as previous if row.version < previous.version:
            return _("The vendor went back to version %(n)d") % {"n": row.version}
        case CurrentVersion() as row, previous:
            reached = previous is not None and event.before != event.after
            told = _("Version %(n)d reached %(whom)s") if reached else _("Version %(n)d published")
            return told % {"n": row.version, "whom": whom}
        case Override() as row, previous:
            return revision_words(row, previous if isinstance(previous, Override) else None, titles)
        case Pin() as row, _previous:
            return _stay_words(row, event, tenant)
        case Stage() as row, _previous:
            reached = event.kind == "included"
            told = (
                _("A rollout of version %(n)d reached %(whom)s")
                if reached
                else _("The rollout of version %(n)d was rolled back")
            )
            return told % {"n": row.version, "whom": whom}
        case Withdrawal() as row, _previous:
            words = {"n": row.version, "m": row.replacement}
            if event.kind == "lifted":
                return _("Version %(n)d is no longer withdrawn") % words
            return _("Version %(n)d was withdrawn; version %(m)d stands in for it") % words
    return _("Changed what %(tenant)s lets its people do") % {"tenant": tenant}


def author_of(event: Happening, versions: Mapping[int, Version], names: Mapping[str, str], actor: Actor) -> str:
    """Who it was and what else is worth a few words: a revision's number, a version's message."""
    row: Any = event.row
    who = author_words(getattr(row, "author", "operator:"), names, actor)  # a rollout's steps are the vendor's
    if isinstance(row, Withdrawal):
        return f"{who}: {row.reason}"
    if isinstance(row, CurrentVersion):
        version = versions.get(row.version)
        return f"{who}: {version.message}" if version and version.message else who
    if isinstance(row, Override):
        return _("%(who)s, revision %(n)d") % {"who": who, "n": row.number}
    return who


def authors(events: Sequence[Happening]) -> set[str]:
    return {str(getattr(event.row, "author", "")) for event in events}


def target_words(target: str) -> str:
    """What an event was done to when it has no name: the kind of thing that it is."""
    words = {
        "run": _("A run"), "batch": _("A batch"), "budget": _("A budget"), "export": _("An export"),
        "apikey": _("A key"), "erasure": _("An erasure"), "delivery": _("A delivery"), "member": _("A member"),
        "feature": _("A feature"), "tenant": _("An organisation"), "webhook": _("A webhook"),
        "providerkey": _("A provider key"),
        "invitation": _("An invitation"), "operatorkey": _("An operator's key"), "rollout": _("A rollout"),
    }  # fmt: skip
    kind = target.partition(":")[0]
    return words.get(kind) or sentence(kind)


def detail_words(detail: Mapping[str, Any] | None, names: Mapping[str, str]) -> str:
    """An event's details in a line: what each is called, and its value; digests in short.

    `names` are those of ids and labels. What has only an id and no name that the reader may know is left out.
    """
    told = dict(detail or {})
    told.pop("layer", None)  # the verb says it
    what = str(told.pop("what", ""))
    parts = (_said(name, value, names) for name, value in told.items() if value not in ("", None))
    first = [sentence(str(WHAT.get(what, what)))] if what else []
    return " · ".join([*first, *(f"{name}: {words}" for name, words in parts if words)])


PARTS: Mapping[str, Any] = {
    "store": gettext_lazy("Runs are kept"),
    "retention_days": gettext_lazy("Runs are deleted after days"),
    "users_may_pin": gettext_lazy("People may stay on a version"),
    "users_may_override": gettext_lazy("People may change behavior"),
}
"""What parts of a detail are called, where their own names do not say it."""


def _said(name: str, value: Any, names: Mapping[str, str]) -> tuple[str, str]:
    """What a part of a detail is called, and its value."""
    if name in AMOUNTS and isinstance(value, int):
        return str(AMOUNTS[name]), money(value) or _("nothing")
    return str(PARTS.get(name) or sentence(name)), _short(value, names)


def _short(value: Any, names: Mapping[str, str]) -> str:
    match value:
        case bool():
            return _("yes") if value else _("no")
        case str() if value in names:
            return names[value]
        case str() if AN_ID.search(value):
            return ""
        case str() if value.startswith("1:"):
            return short_digest(value)
        case str() if A_TIME.match(value) and (at := parse_datetime(value)):
            return clock(at)
        case []:
            return _("none")
        case list():
            return ", ".join(filter(None, (_short(part, names) for part in value)))
        case Mapping():
            return ", ".join(f"{name} {_short(part, names)}" for name, part in value.items()) or _("none")
    return str(value)


def _operation_words(operation: Operation, titles: Titles) -> str:
    title, group = field_title(operation.field, titles), group_key(operation.field)
    match operation.kind:
        case "remove":
            return str(LEFT_OUT.get(group, LEFT_OUT[""])) % {"field": title}
        case "append":
            return _("Added to %(field)s") % {"field": title}
    new = operation.based_on is not None and operation.based_on.inherited == "absent"
    if new:
        return str(ADDED.get(group, ADDED[""])) % {"field": title}
    value = plain(operation.value)
    if len(value) > SHORT or "\n" in value:
        return _("Replaced %(field)s") % {"field": title}
    return _("%(field)s: %(value)s") % {"field": title, "value": value}


def _stay_words(pin: Pin, event: Happening, tenant: str) -> str:
    words = {"n": pin.base, "tenant": tenant}
    if event.kind == "follow":
        ended = _("%(tenant)s follows the vendor again") if event.layer == "tenant" else _("Follows the vendor again")
        return ended % words
    if event.layer == "tenant":
        return _("%(tenant)s stays on version %(n)d") % words
    return (_("Put back, with version %(n)d") if pin.kind == Pin.Kind.SNAPSHOT else _("Stays on version %(n)d")) % words
