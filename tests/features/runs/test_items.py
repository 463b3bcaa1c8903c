"""Bodies of batches: read piece by piece, whatever their length, and what is wrong with an item said of that item."""

import io
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.runs import items as module
from features.runs.items import LONGEST_ITEM, Body, Form, Item, read_items
from tenants.errors import Malformed, TooLarge


def read(text: bytes, form: Form = "list", most: int = 10**9) -> list[Item]:
    return list(read_items(Body(io.BytesIO(text), most), form))


def inputs(found: list[Item]) -> list[Any]:
    return [item.input if item.refusal is None else item.refusal.type for item in found]


KEYS = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=5)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(VALUES, max_size=6), st.sampled_from([None, 1]), st.integers(1, 9), st.booleans())
def test_whatever_the_inputs_and_wherever_a_piece_ends_both_forms_give_them_all(
    values: list[Any], indent: int | None, piece: int, ascii_only: bool
) -> None:
    whole = [{"input": value, "key": f"k{place}"} for place, value in enumerate(values)]
    listed = json.dumps(whole, indent=indent, ensure_ascii=ascii_only).encode()
    lines = "\r\n\n".join(json.dumps(one, ensure_ascii=ascii_only) for one in whole).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PIECE", piece)
        for form, text in (("list", listed), ("lines", lines)):
            found = read(text, form)  # type: ignore[arg-type]
            assert [(item.place, item.key, item.input, item.refusal) for item in found] == [
                (place, f"k{place}", value, None) for place, value in enumerate(values)
            ]


@pytest.mark.parametrize("item", [
    "", "1 2", "{", '{"input": 1, "input": 2}', '{"input": NaN}', '{"inputs": 1}', "[]", "7", '{"input": 1, "key": 3}',
    '{"input": 1, "key": "a\\u0000"}', '{"input": 1, "key": "' + "k" * 256 + '"}', '{"input": 1, "\\u0000": 2}', '{"input": "\\ud800"}', '"' + '\\"' * 9 + '"', "\\",
])  # fmt: skip
def test_what_is_wrong_with_an_item_is_said_of_it_and_the_others_stand(item: str) -> None:
    good = '{"input": 5}'
    if item not in ("{", "") and item != "\\":
        lines = read(f"{good}\n{item}\n{good}".encode(), "lines")
        assert [one.place for one in lines if one.refusal] == [1] and inputs(lines)[::2] == [5, 5]
    if item == "{":
        with pytest.raises(Malformed):
            read(f"[{good},{item},{good}]".encode())
        return
    listed = read(f"[{good},{item},{good}]".encode())
    assert [one.place for one in listed if one.refusal] == [1] and inputs(listed)[::2] == [5, 5]


@pytest.mark.parametrize(
    "text", [b"", b"  ", b"{}", b'{"input": 1}', b"[", b'[{"input": 1}', b'[{"input": "]', b"[] []", b"[1],"]
)
def test_what_is_no_list_is_refused(text: bytes) -> None:
    with pytest.raises(Malformed):
        read(text)


def test_nothing_in_a_list_is_no_item() -> None:
    assert read(b" [ ] \n") == [] == read(b"\n \n", "lines")


@pytest.mark.parametrize("form", ["list", "lines"])
def test_an_item_that_is_too_long_is_refused_alone_and_never_held_in_memory(form: Form) -> None:
    good, long = b'{"input": 5}', b'{"input": "' + b"x" * (12 * LONGEST_ITEM) + b'"}'
    text = b"[" + b",".join([good, long, good]) + b"]" if form == "list" else b"\n".join([good, long, good])
    stream = io.BytesIO(text)
    tracemalloc.start()
    found = inputs(list(read_items(Body(stream, 10**9), form)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == [5, "too-large", 5] and peak < 4 * LONGEST_ITEM


def test_a_body_over_its_bound_is_refused_however_it_comes() -> None:
    with pytest.raises(TooLarge):
        read(b"[" + b'{"input": 1},' * 1000, most=1000)
    with pytest.raises(TooLarge):
        read(b'{"input": 1}\n' * 1000, "lines", most=1000)
