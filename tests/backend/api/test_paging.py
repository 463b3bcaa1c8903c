"""Lists: newest first, a page at a time, each row once, whatever is added in between."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.cast import Cast

from .acts import FIRST, GREETING, MINE, publish
from .conftest import Caller


def _runs(api: Caller, cast: Cast, number: int) -> None:
    api(cast.alice).post(f"{GREETING}/runs", {"input": {"name": str(number)}}, Prefer="respond-async")


def _revisions(api: Caller, cast: Cast, number: int) -> None:
    api(cast.alice).put(f"{MINE}/fields/vars.language", {"set": str(number)})


def _versions(api: Caller, cast: Cast, number: int) -> None:
    publish(api, cast, vars__language=str(number))


def _keys(api: Caller, cast: Cast, number: int) -> None:
    api(cast.alice).post("/keys", {"kind": "member", "name": str(number)})


LISTS: dict[str, tuple[Callable[[Caller, Cast, int], None], Callable[[Any], Any]]] = {
    "/runs": (_runs, lambda row: row["input"]["name"]),
    f"{MINE}/revisions": (_revisions, lambda row: row["set"]["vars.language"]),
    f"{GREETING}/versions": (_versions, lambda row: row["version"]),
    "/keys": (_keys, lambda row: row["name"]),
}


@pytest.mark.parametrize("path", LISTS)
def test_page_after_page_gives_every_row_once_newest_first(path: str, cast: Cast, api: Caller) -> None:
    add, name = LISTS[path]
    alice = api(cast.alice)
    for number in range(1, 6):
        add(api, cast, number)
    whole = [name(row) for row in alice.get(path).json()["items"]]
    seen, cursor = [], ""
    while True:
        page = alice.get(f"{path}?limit=2{cursor}").json()
        assert len(page["items"]) <= 2
        seen += [name(row) for row in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
        add(api, cast, 9)  # what comes new does not shift what is older
    assert seen == whole
    assert len(whole) >= 5


def test_an_empty_list_is_a_list(cast: Cast, api: Caller) -> None:
    assert api(cast.alice).get(f"{MINE}/revisions").json() == {"items": [], "next": None}
    api(cast.alice).put(MINE, {}, **FIRST)


def test_a_cursor_of_one_list_gives_nothing_of_anothers(cast: Cast, api: Caller) -> None:
    """A cursor is an id: Mallory, who takes Alice's, still sees her own rows only."""
    for number in range(3):
        _runs(api, cast, number)
    cursor = api(cast.alice).get("/runs?limit=1").json()["next"]
    assert api(cast.mallory).get(f"/runs?cursor={cursor}").json()["items"] == []
