from collections import Counter
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.engine import BUCKETS, StageRow, Unit, bucket, inside

ACME = "01890a5d-ac96-774b-bcce-b302099a8057"
EVERYBODY = st.builds(StageRow, st.just("r"), st.integers(1, 99), st.sampled_from(["tenant", "user"]), st.just(0))
KEYS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)


# By hand, from the definition alone: printf 'greet\0002\000<key>' | sha256sum, its first 16 digits mod 10,000. They
# never change: somebody who is in a rollout today must be in it tomorrow.
@pytest.mark.parametrize(
    ("feature", "version", "key", "expected"),
    [
        ("greet", 2, ACME, 1910),
        ("greet", 3, ACME, 6956),
        ("greet", 2, "Straße 7", 3224),
        ("summarize", 1, f"member:{ACME}", 9529),
        ("a", 1, "", 2347),
    ],
)
def test_golden_buckets(feature: str, version: int, key: str, expected: int) -> None:
    assert bucket(feature, version, key) == expected


def include(stage: StageRow, tenant: str, user: str | None) -> bool:
    return inside(stage, feature="greet", tenant=tenant, user=user)


@given(EVERYBODY, st.lists(st.integers(0, BUCKETS), min_size=2, max_size=5), st.uuids(), st.none() | KEYS)
def test_a_larger_share_only_ever_adds(stage: StageRow, shares: list[int], tenant: UUID, user: str | None) -> None:
    answers = [include(replace(stage, share=share), str(tenant), user) for share in sorted(shares)]
    assert answers == sorted(answers)


@given(EVERYBODY, st.integers(0, BUCKETS), st.uuids(), st.none() | KEYS, st.uuids())
def test_naming_tenants_takes_nobody_out(stage: StageRow, share: int, who: UUID, user: str | None, other: UUID) -> None:
    plain = replace(stage, share=share)
    assert include(replace(plain, tenants=[str(other)]), str(who), user) >= include(plain, str(who), user)
    assert include(replace(plain, tenants=[str(who)]), str(who), user)


@given(EVERYBODY, st.integers(0, BUCKETS), st.uuids(), st.none() | KEYS)
def test_another_rollout_to_the_same_version_reshuffles_nobody(
    stage: StageRow, share: int, tenant: UUID, user: str | None
) -> None:
    first, second = replace(stage, share=share), replace(stage, share=share, rollout="another")
    assert include(first, str(tenant), user) == include(second, str(tenant), user)


@given(EVERYBODY, st.uuids(), st.none() | KEYS)
def test_a_full_share_has_everybody_and_none_nobody(stage: StageRow, tenant: UUID, user: str | None) -> None:
    assert not include(stage, str(tenant), user)
    assert include(replace(stage, share=BUCKETS), str(tenant), user)


@pytest.mark.parametrize("share", [100, 1_000, 5_000])
@pytest.mark.parametrize("unit", ["tenant", "user"])
def test_a_share_of_the_buckets_is_that_share_of_the_people(unit: Unit, share: int) -> None:
    stage = StageRow("r", 7, unit, share)
    if unit == "tenant":
        included = sum(include(stage, str(UUID(int=number)), "ann") for number in range(20_000))
    else:
        included = sum(include(stage, ACME, f"person-{number}") for number in range(20_000))
    expected = 20_000 * share / BUCKETS
    assert abs(included - expected) < 5 * expected**0.5  # five standard deviations, and the draw never changes


def test_buckets_are_spread_evenly_and_differently_for_each_version_and_feature() -> None:
    keys = [f"person-{number}" for number in range(10_000)]
    tenths = Counter(bucket("greet", 1, key) // 1_000 for key in keys)
    assert all(850 < tenths[tenth] < 1_150 for tenth in range(10))
    for feature, version in (("greet", 2), ("summarize", 1)):  # those who are early once are not early always
        both = sum(bucket("greet", 1, key) < 1_000 and bucket(feature, version, key) < 1_000 for key in keys)
        assert 60 < both < 150


def test_with_unit_tenant_all_of_a_tenant_moves_together() -> None:
    stage = StageRow("r", 2, "tenant", 1_911)  # Acme's bucket is 1910
    assert [include(stage, ACME, user) for user in (None, "ann", "ben")] == [True, True, True]
    assert not any(include(replace(stage, share=1_910), ACME, user) for user in (None, "ann", "ben"))


def test_with_unit_user_the_tenant_itself_stays_until_everybody_has_moved() -> None:
    nearly = StageRow("r", 2, "user", BUCKETS - 1)
    assert include(nearly, ACME, "ann") and not include(nearly, ACME, None)
    assert include(replace(nearly, share=BUCKETS), ACME, None)


def test_with_unit_user_people_of_one_tenant_move_one_by_one() -> None:
    stage = StageRow("r", 2, "user", 3_225)
    assert include(stage, ACME, "Straße 7")  # whose bucket is 3224
    assert not include(replace(stage, share=3_224), ACME, "Straße 7")
