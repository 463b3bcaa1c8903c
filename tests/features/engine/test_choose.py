from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from features.engine import PinRow, Policy, Situation, choose

NOW = datetime(2026, 3, 3, 12, tzinfo=UTC)
DAY = timedelta(days=1)
YES = Policy(users_may_pin=True, users_may_override=True)
FREE = Situation(
    current=5, tenant_pin=None, user_pin=None, tenant_newest=20, user_newest=30, policy=YES, changes_at=None
)


def pin(layer: Any, kind: Any, base: int, tenant: int | None = None, user: int | None = None, **more: Any) -> PinRow:
    row = PinRow(layer, kind, base, tenant, user, {}, created=NOW - DAY, until=None, id=f"{layer}-{kind}")
    return replace(row, **more)


T_BASE, T_SNAP = pin("tenant", "base", 2), pin("tenant", "snapshot", 2, 12)
U_BASE, U_SNAP = pin("user", "base", 3), pin("user", "snapshot", 3, 13, 23)


@pytest.mark.parametrize(
    ("tenant_pin", "user_pin", "versions", "by"),
    [
        (None, None, (5, 20, 30), None),
        (T_BASE, None, (2, 20, 30), "tenant-base"),
        (T_SNAP, None, (2, 12, 30), "tenant-snapshot"),
        (None, U_BASE, (3, 20, 30), "user-base"),
        (None, U_SNAP, (3, 13, 23), "user-snapshot"),
        (T_BASE, U_BASE, (3, 20, 30), "user-base"),
        (T_SNAP, U_BASE, (3, 12, 30), "user-base"),
        (T_SNAP, U_SNAP, (3, 13, 23), "user-snapshot"),
        (T_SNAP, pin("user", "snapshot", 3), (3, None, None), "user-snapshot"),
    ],
)
def test_the_users_pin_wins_then_the_tenants_then_the_current_version(
    tenant_pin: PinRow | None, user_pin: PinRow | None, versions: tuple[int, ...], by: str | None
) -> None:
    chosen = choose(replace(FREE, tenant_pin=tenant_pin, user_pin=user_pin), NOW)
    assert (chosen.base, chosen.tenant, chosen.user) == versions
    assert (chosen.pin and chosen.pin.id) == by


@pytest.mark.parametrize(
    ("may_pin", "created", "until", "counts"),
    [
        (True, NOW - 900 * DAY, None, True),
        (True, NOW - DAY, NOW, False),
        (True, NOW - DAY, NOW + DAY, True),
        (False, NOW - DAY, None, False),
        (7, NOW - 6 * DAY, None, True),
        (7, NOW - 7 * DAY, None, False),
        (7, NOW - 6 * DAY, NOW - DAY, False),
        (1, NOW - timedelta(hours=23), None, True),
        (0, NOW, None, False),
    ],
)
def test_a_users_pin_counts_while_the_tenants_policy_allows_it(
    may_pin: bool | int, created: datetime, until: datetime | None, counts: bool
) -> None:
    row = replace(U_SNAP, created=created, until=until)
    chosen = choose(replace(FREE, user_pin=row, policy=Policy(may_pin, True)), NOW)
    assert chosen.base == (3 if counts else 5)
    assert chosen.user == (23 if counts else 30)


def test_a_pin_that_policy_suspends_leaves_the_tenants_pin_in_force() -> None:
    chosen = choose(replace(FREE, tenant_pin=T_SNAP, user_pin=U_SNAP, policy=Policy(False, False)), NOW)
    assert (chosen.base, chosen.tenant, chosen.user) == (2, 12, 30)
    assert chosen.users_may_override is False


@pytest.mark.parametrize(
    ("situation", "until"),
    [
        (FREE, None),
        (replace(FREE, changes_at=NOW + 9 * DAY), NOW + 9 * DAY),
        (replace(FREE, changes_at=NOW - DAY), None),
        (replace(FREE, user_pin=replace(U_BASE, until=NOW + 2 * DAY), changes_at=NOW + 9 * DAY), NOW + 2 * DAY),
        (replace(FREE, user_pin=U_BASE, policy=Policy(7, True)), NOW + 6 * DAY),
        (replace(FREE, tenant_pin=replace(T_BASE, until=NOW + DAY), user_pin=U_BASE), NOW + DAY),
    ],
)
def test_a_choice_is_fresh_until_the_soonest_end(situation: Situation, until: datetime | None) -> None:
    chosen = choose(situation, NOW)
    assert chosen.fresh_until == until
    if until:  # and at that instant, not an instant later, it may be another
        assert choose(situation, until - timedelta(microseconds=1)).base == chosen.base


def test_an_ended_pin_leaves_no_trace() -> None:
    ended = replace(FREE, tenant_pin=replace(T_SNAP, until=NOW))
    assert choose(ended, NOW) == choose(FREE, NOW)
