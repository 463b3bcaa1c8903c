"""Features and versions as the vendor's pages show them: drawn, compared, and what an act on one would do."""

from collections.abc import Mapping
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from features.actions.versions import set_current
from features.actions.withdrawals import lift, withdraw
from features.engine import diff
from features.find import find_version
from features.models import Feature, Rollout, Version
from features.published import Published
from tenants.actor import Actor
from tenants.errors import AppError, Conflict, Invalid, NotFound

from .comparing import pieces
from .parts import (
    Comparison,
    Difference,
    OpenRollout,
    Stopped,
    VendorFeature,
    VendorVersion,
    VersionAct,
    VersionInFull,
)
from .version_schema import rule_words
from .words import field_title, joined, plain, readable

Names = Mapping[str, str]
REHEARSED = "…"  # a reason, for asking what a withdrawal would do before one was typed


def feature_line(row: Published) -> VendorFeature:
    """A feature in the list."""
    newest = row.versions[0] if row.versions else None
    return VendorFeature(
        key=row.feature.key,
        title=row.feature.title,
        summary=row.feature.summary,
        icon=row.feature.icon,
        current=row.current,
        versions=len(row.versions),
        newest=newest.number if newest else 0,
        published=newest.created_at if newest else None,
        withdrawn=sorted(row.withdrawn),
        rollout=open_line(row.rollout),
        listed_only=row.feature.listed_only,
        ends=row.feature.retires_at,
    )


def open_line(rollout: Rollout | None) -> OpenRollout | None:
    """A rollout as a badge."""
    if rollout is None:
        return None
    return OpenRollout(str(rollout.id), rollout.to, rollout.state, rollout.step + 1, len(rollout.steps))


def version_line(version: Version, row: Published, names: Names, actor: Actor) -> VendorVersion:
    """A version in its feature's list, with what may be done to it."""
    stopped, current = row.withdrawn.get(version.number), version.number == row.current
    free = not current and stopped is None and row.rollout is None
    return VendorVersion(
        number=version.number,
        published=version.created_at,
        by=_("The catalog") if version.source == "catalog" else by_name(version.author, names),
        message=version.message,
        digest=version.digest,
        current=current,
        rolling=row.rollout is not None and row.rollout.to == version.number,
        stopped=Stopped(stopped.replacement, stopped.reason, stopped.valid_from, by_name(stopped.author, names))
        if stopped
        else None,
        may_move=free and "current.move" in actor.can,
        may_roll_out=free and "rollout.manage" in actor.can,
        may_withdraw="version.withdraw" in actor.can and len(row.versions) > 1,
    )


def by_name(label: str, names: Names) -> str:
    """Who did something, to an operator: a colleague by name, the system by what it is called."""
    if label == "system:guards":
        return _("A guard")
    if label.startswith("system:"):
        return _("The system")
    return names.get(label) or label


def compare(feature: Feature, a: int, b: int, actor: Actor) -> Comparison:
    """What changed from one version to another, its rules too. Raises NotFound for a version that there is not."""
    return compared(find_version(feature, a, actor), find_version(feature, b, actor))


def compared(before: Version, after: Version) -> Comparison:
    """What differs between two versions, published or not: fields, and rules."""
    titles = after.titles
    changes = diff(before.behavior, after.behavior)
    told = [Difference(field_title(one.field, titles), pieces(one.before, one.after)) for one in changes]
    for field in dict.fromkeys([*after.rules, *before.rules]):
        old, new = before.rules.get(field), after.rules.get(field)
        if old != new:
            title = _("Rule for %(field)s") % {"field": field_title(field, titles)}
            told.append(Difference(title, pieces(*(rule_words(rule) if rule else None for rule in (old, new)))))
    return Comparison(before.number, after.number, told)


def version_in_full(version: Version) -> VersionInFull:
    """Everything that a version says, for operators: nothing is hidden from them."""
    rules = {field: rule_words(rule) for field, rule in version.rules.items()}
    told = [
        (field_title(field, version.titles), plain(readable(field, value)) or _("Nothing"), rules.pop(field, ""))
        for field, value in version.behavior.items()
    ]
    for group, rule in rules.items():
        told.append((_("Fields %(name)s") % {"name": group}, _("A rule for all of them"), rule))
    return VersionInFull(version.number, version.digest, told, len(version.samples))


def rehearse(
    row: Published, act: str, number: int, actor: Actor, *, replacement: int | None = None, reason: str = "",
    refused: AppError | None = None,
) -> VersionAct | None:  # fmt: skip
    """Say what an act on a version would do: it is carried out and rolled back. Raises NotFound."""
    feature = row.feature
    if number not in {version.number for version in row.versions}:
        raise NotFound(_("%(feature)s has no version %(n)d.") % {"feature": feature.key, "n": number})
    match act:
        case "current":
            return _moving(row, number, actor)
        case "withdraw":
            return _withdrawing(row, number, actor, replacement, reason, refused)
        case "lift":
            lifted = lift(feature, number, by=actor, dry_run=True)
            effects = [
                _("Whoever was on version %(n)d is served it again from their next request on.") % {"n": number},
                _staying(number, lifted.tenants_pinned, lifted.users_pinned, waits=False),
            ]
            title = _("Serve version %(n)d again?") % {"n": number}
            return VersionAct("lift", number, title, _("Lift the withdrawal of version %(n)d") % {"n": number}, effects)
    return None


def _moving(row: Published, number: int, actor: Actor) -> VersionAct:
    words = {"n": number, "now": row.current}
    title, verb = _("Make version %(n)d current?") % words, _("Make version %(n)d current") % words
    try:
        set_current(row.feature, number, by=actor, dry_run=True)
    except Conflict as refused:
        return VersionAct("current", number, title, verb, (), problems=[refused.detail], may=False)
    effects = [
        _("Everyone who follows the vendor moves from version %(now)d to version %(n)d at once, in one step.") % words,
        _("Whoever chose to stay on a version is not moved."),
        _("Whose change no longer fits stays behind until they decide."),
        _("Version %(now)d stays: you can make it current again.") % words,
    ]
    url = f"{reverse('web:rollout_new')}?feature={row.feature.key}&to={number}&tab=impact"
    return VersionAct("current", number, title, verb, effects, impact_url=url)


def _withdrawing(
    row: Published, number: int, actor: Actor, replacement: int | None, reason: str, refused: AppError | None
) -> VersionAct:
    offered = [v.number for v in row.versions if v.number != number and v.number not in row.withdrawn]
    chosen = replacement or _fallback(row, number, offered)
    problems = [problem.message for problem in refused.errors] or [refused.detail] if refused else []
    effects: list[str] = []
    may = bool(offered)
    if not may:
        problems = [_("There is no other version that could stand in for it.")]
    elif chosen is not None:
        try:
            why = reason.strip() or REHEARSED
            what = withdraw(row.feature, number, replacement=chosen, reason=why, by=actor, dry_run=True)
        except (Conflict, Invalid) as wrong:
            problems = problems or [wrong.detail]
        else:
            words = {"n": number, "other": what.serves}
            effects = [
                _("Everyone on version %(n)d is served version %(other)d from their next request on, queued runs too.")
                % words,
                _staying(number, what.tenants_pinned, what.users_pinned, waits=True),
                _("Changes are kept. Where one does not fit the replacement it waits, and its owner is told."),
            ]
            if what.rolled_back:
                effects.append(_("The rollout to version %(n)d is rolled back with it.") % words)
            effects.append(_("You can lift it at any time."))
    words = {"n": number}
    return VersionAct(
        "withdraw", number, _("Withdraw version %(n)d?") % words, _("Withdraw version %(n)d") % words, effects,
        replacements=offered, replacement=chosen, reason=reason, problems=problems, may=may,
    )  # fmt: skip


def _fallback(row: Published, number: int, offered: list[int]) -> int | None:
    """What a withdrawal offers first: the current version, else the newest before it, else whatever there is."""
    before = [other for other in offered if other < number]
    return row.current if row.current in offered else max(before, default=max(offered, default=None))


def _staying(number: int, tenants: int, users: int, *, waits: bool) -> str:
    """What becomes of those who chose to stay on a version that is withdrawn, or served again."""
    if not tenants + users:
        return _("Nobody has chosen to stay on version %(n)d.") % {"n": number}
    people = ngettext("%(n)d person", "%(n)d people", users) % {"n": users}
    organisations = ngettext("%(n)d organisation", "%(n)d organisations", tenants) % {"n": tenants}
    who = joined([words for words, there in ((organisations, tenants), (people, users)) if there])
    told = _("Who chose to stay on it moves too (%(who)s); nothing else moves them. Their choice is kept and marked.")
    back = _("Who chose to stay on it is back on it: %(who)s.")
    return (told if waits else back) % {"who": who}


def titles_for(feature: Feature, number: int, actor: Actor) -> Mapping[str, Any]:
    """What people read for fields, as a version says."""
    return find_version(feature, number, actor).titles or {}
