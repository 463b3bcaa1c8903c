from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.engine import Held, Holds, PinRow, Policy, Situation, StageRow, choose, replacement

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


def staying_off(*versions: int, saved_on: int = 1) -> Holds:
    """Overrides whose owner must decide before they can move to any of these versions."""
    held = Held("user", ("prompt",), saved_on)
    return lambda base, tenant, user: held if base in versions else None


LONG = replace(FREE, current=5, earlier=(4, 6, 5, 3, 2))  # 6 was current once and the vendor went back from it


@pytest.mark.parametrize(
    ("off", "withdrawn", "base", "held"),
    [
        ((), {}, 5, False),
        ((4, 6, 3), {}, 5, False),
        ((5,), {}, 4, True),
        ((5, 4), {}, 6, True),
        ((5, 4, 6), {}, 3, True),
        ((5,), {4: 3}, 6, True),
        ((5, 6), {4: 3}, 3, True),
        ((5, 4, 6, 3, 2), {}, 1, True),
        ((5, 4, 6, 3, 2), {1: 3}, 3, True),
        ((5, 4, 6, 3, 2, 1), {}, 1, True),
        ((5,), {5: 2}, 4, True),
        ((), {5: 2}, 2, False),
        ((2,), {5: 2}, 2, False),
    ],
)
def test_whoever_must_decide_first_stays_on_the_newest_version_that_suits_them(
    off: tuple[int, ...], withdrawn: dict[int, int], base: int, held: bool
) -> None:
    chosen = choose(replace(LONG, withdrawn=withdrawn), NOW, staying_off(*off))
    assert (chosen.base, chosen.wanted) == (base, 5)
    assert chosen.held == (Held("user", ("prompt",), 1) if held else None)


def test_holds_are_asked_with_the_revisions_that_would_be_served() -> None:
    asked: list[tuple[int | None, ...]] = []

    def ask(base: int, tenant: int | None, user: int | None) -> None:
        asked.append((base, tenant, user))

    choose(FREE, NOW, ask)
    choose(replace(FREE, policy=Policy(True, users_may_override=False)), NOW, ask)
    assert asked == [(5, 20, 30), (5, 20, None)]  # what policy suspends holds nobody


def test_pins_are_never_held() -> None:
    for pinned in (replace(LONG, tenant_pin=T_BASE), replace(LONG, user_pin=U_SNAP)):
        chosen = choose(pinned, NOW, staying_off(2, 3, 5))
        assert chosen == choose(pinned, NOW)
        assert chosen.held is None


STAGE = StageRow("r", 8, "tenant", 5_000, ())
NAMED = replace(FREE, stage=replace(STAGE, share=0, tenants=("acme",)), feature="greet", tenant="acme", user="ann")


def test_a_rollout_moves_those_inside_and_nobody_else() -> None:
    inside, outside = choose(NAMED, NOW), choose(replace(NAMED, tenant="globex"), NOW)
    assert (inside.base, inside.wanted, inside.rollout) == (8, 8, NAMED.stage)
    assert (outside.base, outside.wanted, outside.rollout) == (5, 5, None)
    assert (inside.current, outside.current) == (5, 5)  # whose rules are today's for both


def test_a_pin_beats_a_rollout() -> None:
    chosen = choose(replace(NAMED, tenant_pin=T_BASE), NOW)
    assert (chosen.base, chosen.wanted, chosen.rollout) == (2, 8, None)
    chosen = choose(replace(NAMED, user_pin=replace(U_BASE, base=8)), NOW)
    assert (chosen.base, chosen.rollout) == (8, None)  # there by their own choice


def test_whom_the_rollouts_version_does_not_suit_stays_in_the_features_history() -> None:
    chosen = choose(replace(NAMED, earlier=(4,)), NOW, staying_off(8))
    assert (chosen.base, chosen.wanted, chosen.rollout) == (5, 8, None)
    assert chosen.held == Held("user", ("prompt",), 1)
    assert choose(replace(NAMED, earlier=(4,)), NOW, staying_off(8, 5)).base == 4


def test_withdrawing_a_rollouts_version_moves_those_inside_to_its_replacement() -> None:
    chosen = choose(replace(NAMED, withdrawn={8: 4}), NOW)
    assert (chosen.base, chosen.withdrawn, chosen.rollout) == (4, 8, NAMED.stage)


@pytest.mark.parametrize(
    ("pins", "base", "instead_of"),
    [
        ({}, 5, None),
        ({"user_pin": U_BASE}, 7, 3),
        ({"user_pin": U_SNAP}, 7, 3),
        ({"tenant_pin": T_BASE}, 2, None),
        ({"tenant_pin": replace(T_SNAP, base=3)}, 7, 3),
    ],
)
def test_a_withdrawal_overrides_pins_and_moves_only_those_on_the_version(
    pins: dict[str, Any], base: int, instead_of: int | None
) -> None:
    chosen = choose(replace(LONG, withdrawn={3: 4, 4: 7}, **pins), NOW)
    assert (chosen.base, chosen.withdrawn) == (base, instead_of)
    lifted = choose(replace(LONG, **pins), NOW)
    assert (chosen.tenant, chosen.user, chosen.pin) == (lifted.tenant, lifted.user, lifted.pin)


def test_replacements_are_followed_and_a_circle_is_refused() -> None:
    assert [replacement(version, {1: 2, 2: 3}) for version in (1, 2, 3, 4)] == [3, 3, 3, 4]
    for circle in ({1: 1}, {1: 2, 2: 1}, {1: 2, 2: 3, 3: 2}):
        with pytest.raises(ValueError, match="circle"):
            replacement(1, circle)


versions = st.integers(1, 9)
pins = st.builds(
    pin,
    st.just("user"),
    st.sampled_from(["base", "snapshot"]),
    versions,
    st.none() | versions,
    st.none() | versions,
    until=st.none() | st.integers(-3, 3).map(lambda days: NOW + days * DAY),
)
situations = st.builds(
    Situation,
    current=versions,
    tenant_pin=st.none() | pins.map(lambda row: replace(row, layer="tenant")),
    user_pin=st.none() | pins,
    tenant_newest=st.none() | versions,
    user_newest=st.none() | versions,
    policy=st.builds(Policy, st.sampled_from([True, False, 1, 7]), st.booleans()),
    changes_at=st.none(),
    earlier=st.lists(versions, max_size=6).map(tuple),
    stage=st.none()
    | st.builds(StageRow, st.just("r"), versions, st.sampled_from(["tenant", "user"]), st.integers(0, 10_000)),
    withdrawn=st.dictionaries(versions, st.integers(1, 12), max_size=6).map(
        lambda found: {version: instead for version, instead in found.items() if instead > version}
    ),
    feature=st.just("greet"),
    tenant=st.sampled_from(["acme", "globex", "initech"]),
    user=st.none() | st.sampled_from(["ann", "ben"]),
)


@given(situations, st.sets(versions), versions)
def test_whatever_the_rows_say_the_choice_is_one_and_never_a_withdrawn_version(
    situation: Situation, off: set[int], saved_on: int
) -> None:
    holds = staying_off(*off, saved_on=saved_on)
    chosen = choose(situation, NOW, holds)
    assert chosen == choose(replace(situation, withdrawn=dict(situation.withdrawn)), NOW, holds)
    assert chosen.base not in situation.withdrawn
    assert (chosen.withdrawn is None) or replacement(chosen.withdrawn, situation.withdrawn) == chosen.base
    assert chosen.withdrawn is None or chosen.withdrawn in situation.withdrawn
    if chosen.pin:
        assert (chosen.held, chosen.rollout) == (None, None)
        assert chosen.base == replacement(chosen.pin.base, situation.withdrawn)
    if chosen.held is None and not chosen.pin:
        assert chosen.base == replacement(chosen.wanted, situation.withdrawn)


@given(situations, versions)
def test_withdrawing_a_version_moves_exactly_those_on_it(situation: Situation, stopped: int) -> None:
    before = choose(replace(situation, withdrawn={}), NOW)
    after = choose(replace(situation, withdrawn={stopped: 20}), NOW)
    assert after.base == (20 if before.base == stopped else before.base)
    assert (after.tenant, after.user, after.pin) == (before.tenant, before.user, before.pin)
