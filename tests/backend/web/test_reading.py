"""Where lists go on, and which row is meant: read in one way and refused in one way."""

from uuid import uuid4

import pytest

from backend.web.reading import id_in, number_in, place_in
from tenants.errors import Malformed, NotFound
from tests.cast import Cast

from .test_keys_page import MAKE, MINE, Sit, words


@pytest.mark.parametrize("text", ["nowhere", "-1", "1.5", "1" * 16, "٣", " "])
def test_what_is_no_place_is_refused_with_what_to_do(text: str) -> None:
    for read in (place_in, number_in):
        with pytest.raises(Malformed, match="Go to its first page"):
            read(text)


def test_no_place_is_the_beginning() -> None:
    assert (place_in(None), place_in(""), number_in(None), number_in("")) == (None,) * 4
    one = uuid4()
    assert (place_in(str(one)), number_in("20"), number_in("0")) == (one, 20, 0)


@pytest.mark.parametrize("text", [None, "", "no id"])
def test_what_is_no_id_is_not_there(text: str | None) -> None:
    with pytest.raises(NotFound):
        id_in(text)


def test_keys_from_long_ago_are_a_page_away(at_desk: Sit, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.web.key_lines.MOST", 2)
    alice = at_desk(cast.alice)
    for name in ("first", "second", "third"):
        alice.send(MINE, **{**MAKE, "name": name})
    newest = alice.see(MINE)
    older = newest.partition('href="?before=')[2][:36]
    assert ">third<" in newest and ">second<" in newest and ">first<" not in newest
    page = alice.see(f"{MINE}?before={older}")
    assert ">first<" in page and ">second<" not in page and "Newest" in words(page)
