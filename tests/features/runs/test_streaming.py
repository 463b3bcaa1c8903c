"""What a streamed answer comes to, however its bytes are cut."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.runs.streaming import LONGEST_LINE, Broken, Events, Gathered

TEXTS = st.lists(st.text(max_size=12), min_size=1, max_size=8)
ENDS = st.sampled_from([b"\n", b"\r\n"])


def chunk(text: str, **more: object) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}], **more}


def stream(texts: list[str], end: bytes) -> bytes:
    chunks = [*map(chunk, texts), {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]
    lines = [b"data: " + json.dumps(one, ensure_ascii=False).encode() + 2 * end for one in chunks]
    return b": keep-alive" + 2 * end + b"".join(lines) + b"data: [DONE]" + 2 * end


@given(TEXTS, ENDS, st.lists(st.integers(0, 600), max_size=12))
def test_it_is_the_same_however_its_bytes_are_cut(texts: list[str], end: bytes, cuts: list[int]) -> None:
    whole = stream(texts, end)
    places = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    gathered = Gathered()
    told = [gathered.feed(whole[a:b]) for a, b in zip(places, places[1:], strict=False)]
    reply = gathered.reply([])
    assert "".join(told) == (reply.text or "") == "".join(texts)
    assert (reply.finish, reply.choices, gathered.ended) == ("stop", 1, True)


@given(st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])), min_size=1, max_size=5))
def test_an_event_of_many_lines_is_one(lines: list[str]) -> None:
    whole = "".join(f"data: {line}\n" for line in lines) + "event: message\nid: 7\n\n"
    assert list(Events().feed(whole.encode())) == ["\n".join(lines).encode()]


def test_nothing_after_the_end_counts() -> None:
    gathered = Gathered()
    gathered.feed(stream(["Hi"], b"\n") + b"data: {oops\n\n")
    assert gathered.reply([]).text == "Hi"


def test_what_breaks_off_in_a_line_is_no_event() -> None:
    gathered = Gathered()
    assert gathered.feed(b'data: {"choices": [{"index": 0, "delta": {"content": "Hi') == ""
    assert gathered.reply([]).choices == 0


def test_a_server_that_says_that_it_failed_is_believed() -> None:
    with pytest.raises(Broken):
        Gathered().feed(b'data: {"error": {"message": "no"}}\n\n')


def test_a_line_without_end_is_not_waited_for() -> None:
    events = Events()
    with pytest.raises(ValueError, match="too long"):
        for _ in range(3):
            list(events.feed(b"x" * (LONGEST_LINE // 2)))


@pytest.mark.parametrize("told", [-1, 0, "many", None, 1.5, [3]])
def test_counts_that_are_none_are_not_taken_for_counts(told: object) -> None:
    gathered = Gathered()
    gathered.feed(b"data: " + json.dumps({"choices": [], "usage": {"prompt_tokens": told}}).encode() + b"\n\n")
    assert gathered.reply([{"content": "Hello"}]).input_tokens == 1
