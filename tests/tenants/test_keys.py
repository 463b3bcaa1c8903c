"""The text of a key: it says whose it is, and nothing that was mistyped or made up passes for one."""

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.keys import hash_of, matches, mint, parse


def test_a_key_reads_back_as_who_it_is_for() -> None:
    tenant, key = uuid4(), uuid4()
    text, kept = mint(tenant, key)
    read = parse(text)
    assert read is not None
    assert (read.tenant_id, read.key_id) == (tenant, key)
    assert matches(read, kept)


def test_what_is_kept_of_a_key_does_not_make_one() -> None:
    text, kept = mint(uuid4(), uuid4())
    assert kept.hex() not in text
    assert len(kept) == 32


def test_another_keys_secret_does_not_match() -> None:
    text, _ = mint(uuid4(), uuid4())
    read = parse(text)
    assert read is not None
    assert not matches(read, hash_of("another"))


@given(st.integers(min_value=0, max_value=86), st.sampled_from("0Aaz_-é"))
def test_a_key_with_one_character_changed_is_no_key(place: int, character: str) -> None:
    text, _ = mint(uuid4(), uuid4())
    place %= len(text)
    if text[place] != character:
        assert parse(text[:place] + character + text[place + 1 :]) is None


@pytest.mark.parametrize("text", ["", "bsk_", "bsk_a_b", "sk-" + "x" * 80, "bsk_" + "z" * 43 + "_" + "0" * 39])
def test_what_is_no_key_is_told_without_asking_the_database(text: str) -> None:
    assert parse(text) is None
