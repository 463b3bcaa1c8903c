"""The vendor's emergency stop: a version is withdrawn, and whoever is on it is served its replacement, pinned or not.

Nothing of the subjects' own is touched: pins and revisions stay as they are, and count again when it is lifted.
"""

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, F, Q
from django.db.models.functions import Now

from features.engine import replacement as followed
from features.impact import record_impact
from features.models import Feature, Pin, Rollout, Withdrawal
from features.published import published_to_move
from features.told import tell_of
from features.validity import supersede
from features.withdrawn import withdrawals_now
from tenants.actor import Actor
from tenants.approvals import ask_another
from tenants.errors import Conflict, Invalid, NotFound, Problem
from tenants.isolation import OPERATOR

from .rollouts import roll_back


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A withdrawal made or lifted, the version that is served in the end, and how many pins stay on the withdrawn one.

    impact: the id under which a worker lists whom it reaches; None for a rehearsal, and where it was lifted.
    rolled_back: the id of the rollout towards the version that was ended with it.
    """

    row: Withdrawal
    serves: int
    tenants_pinned: int
    users_pinned: int
    impact: str | None
    rolled_back: str | None
    lifted: bool = False

    def as_json(self, *, dry_run: bool) -> dict[str, Any]:
        """Return it as the API shows it."""
        return {
            "version": self.row.version,
            "replacement": self.row.replacement,
            "reason": self.row.reason,
            "author": self.row.author,
            "since": self.row.valid_from,
            "lifted": self.row.valid_to if self.lifted else None,
            "serves": self.serves,
            "pins": {"tenants": self.tenants_pinned, "users": self.users_pinned},
            "impact": self.impact,
            "rolled_back": self.rolled_back,
            "dry_run": dry_run,
        }


def withdraw(
    feature: Feature, number: int, *, replacement: int, reason: str, by: Actor, dry_run: bool = False
) -> Withdrawn:
    """Serve a replacement to everybody who is on a version, pins and queued runs included, until this is lifted.

    A rollout towards the version is rolled back with it: it could only go on serving something else. Raises NotFound
    for versions there are not, Invalid without a reason, Conflict for a version that is withdrawn already and for a
    replacement that is the version itself or leads back to it.
    """
    if not reason.strip():
        raise Invalid("Say why: people are told.", errors=[Problem("/reason", "required", "must say why")])
    if not dry_run:
        given = {"number": number, "replacement": replacement, "reason": reason}
        ask_another("withdraw", "version.withdraw", feature.key, given, by=by)
    with by.doing("version.withdraw", feature, dry_run=dry_run) as event:
        now = published_to_move(feature)
        now.must_have(number, replacement)
        if number in now.withdrawn:
            raise Conflict(f"Version {number} is withdrawn already, for version {now.withdrawn[number].replacement}.")
        serves = _check_circle(number, replacement, now.replacements)
        impact = None  # a rehearsal would take its row back: one asks for an impact by itself (impact.look)
        if not dry_run:
            impact = str(record_impact(feature, kind="withdraw", before=number, to=replacement, by=by).id)
        row = Withdrawal(feature=feature, version=number, replacement=replacement, reason=reason, author=by.label)
        supersede(Withdrawal.objects.using(OPERATOR).filter(feature=feature, version=number), row)
        tell_of(feature, "version.withdrawn", version=number, replacement=replacement)
        rolled_back = _roll_back(now.rollout, number, by)
        tenants, users = _pins_on(feature, number)
        event.detail = {"version": number, "replacement": replacement, "reason": reason, "pins": tenants + users}
    return Withdrawn(row, serves, tenants, users, impact, rolled_back)


def lift(feature: Feature, number: int, *, by: Actor, dry_run: bool = False) -> Withdrawn:
    """Serve a withdrawn version again to those who were on it. Raises NotFound where it is not withdrawn.

    A rollout that was rolled back stays so, and a run that was served the replacement keeps it.
    """
    with by.doing("version.withdraw", feature, dry_run=dry_run) as event:
        now = published_to_move(feature)
        row = now.withdrawn.get(number)
        if row is None:
            raise NotFound(f"Version {number} of {feature.key} is not withdrawn.")
        row.valid_to = supersede(Withdrawal.objects.using(OPERATOR).filter(feature=feature, version=number), None)
        rest = {version: other for version, other in now.replacements.items() if version != number}
        tenants, users = _pins_on(feature, number)
        event.detail = {"version": number, "lifted": True, "pins": tenants + users}
    return Withdrawn(row, followed(number, rest), tenants, users, None, None, lifted=True)


def withdrawal_of(feature: Feature, number: int, by: Actor) -> Withdrawn:
    """The withdrawal in force of a version, for operators. Raises Forbidden, and NotFound where there is none."""
    by.need("version.read")
    with by.present():
        stopped = withdrawals_now(feature, OPERATOR)
        if number not in stopped:
            raise NotFound(f"Version {number} of {feature.key} is not withdrawn.")
        serves = followed(number, {version: row.replacement for version, row in stopped.items()})
        tenants, users = _pins_on(feature, number)
    return Withdrawn(stopped[number], serves, tenants, users, None, None)


def _check_circle(number: int, replacement: int, stopped: dict[int, int]) -> int:
    """Return the version that is served in the end. Raises Conflict where that would be the withdrawn one."""
    if number == replacement:
        raise Conflict(f"Version {number} cannot stand in for itself: name another version.")
    try:
        return followed(number, {**stopped, number: replacement})
    except ValueError:
        told = f"Version {replacement} is withdrawn itself, and leads back to version {number}: name another version."
        raise Conflict(told) from None


def _roll_back(rollout: Rollout | None, number: int, by: Actor) -> str | None:
    """End a rollout towards a version: whoever it included is back on the version they had."""
    if rollout is None or rollout.to != number:
        return None
    return str(roll_back(rollout, why=f"Version {number} was withdrawn.", by=by, locked=True).id)


def _pins_on(feature: Feature, number: int) -> tuple[int, int]:
    """How many organisations and how many of their users have a pin on a version."""
    live = Q(valid_to=None) | Q(valid_to__gt=Now())
    rows = Pin.objects.using(OPERATOR).filter(live, feature=feature, base=number)
    counted = rows.aggregate(all=Count("id"), tenants=Count("id", filter=Q(subject_id=F("tenant_id"))))
    return counted["tenants"], counted["all"] - counted["tenants"]
