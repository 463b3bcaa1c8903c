"""Hostile templates (L2, M15): whatever a customer writes is refused or harmless, within a second and 64 MB."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.engine import Declared, Names, compile_behavior, compile_template
from tenants.errors import Invalid

from .confined import SECONDS, confined
from .samples import fields
from .test_templates import BOMBS, CONTEXT, HOSTILE

LIST = {"type": "array"}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        **{"text": {"type": "string"}, "ns": LIST, "ms": LIST, "texts": LIST, "o": {"type": "object"}, "deep": {}},
        "rows": {"type": "array", "items": {"type": "object", "properties": {"a": {}, "b": {"type": "string"}}}},
        "tags": {"type": "array", "items": {"type": "string"}},
        "count": {"type": "integer"},
        "orders": {"type": "array", "items": {"type": "object"}},
    },
}


def deep(levels: int) -> Any:
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


# As large as an input may ever be (1,000,000 bytes), in each of its kinds of value.
LARGE: dict[str, Any] = {
    "text": "ß a" * 100_000, "ns": list(range(60_000)), "ms": [int(str(n)) for n in range(60_000)],
    "texts": ["ß" * 1_000] * 200, "o": {f"k{n}": n for n in range(30_000)}, "deep": deep(60),
    "rows": [{"a": 1, "b": "x"}] * 20_000, "tags": ["{{ x }}"] * 20_000, "count": 2**53, "orders": [{}] * 30_000,
}  # fmt: skip

FOR = "{% for a in input.ns %}"
MORE = {
    # made of what Liquid has elsewhere
    "replace bomb": "{{ input.text | replace: 'a', 'aaaaaaaaaa' | replace: 'a', 'aaaaaaaaaa' | replace: 'a', 'aaaa' }}",
    "split and join": "{{ input.text | split: '' | join: input.text }}",
    "reverse and uniq": "{{ input.ns | reverse | uniq | sort | join }}",
    "sort": "{{ input.rows | sort: 'a' | map: 'b' | compact | concat: input.rows }}",
    "append chain": "{{ input.text" + " | append: input.text" * 20 + " }}",
    "prepend chain": "{{ input.text" + " | prepend: input.text" * 20 + " }}",
    "capture loop": FOR + "{% capture x %}{{ x }}{{ x }}{% endcapture %}{% endfor %}",
    "assign loop": "{% assign x = 'x' %}" + "{% assign x = x | append: x %}" * 60 + "{{ x }}",
    "range of ranges": "{% for i in (1..99999999) %}{% for j in (1..99999999) %}x{% endfor %}{% endfor %}",
    "range from input": "{% for i in (1..input.count) %}x{% endfor %}",
    "include itself": "{% include 'self' %}",
    "render in a loop": FOR + "{% render 'self', a: a %}{% endfor %}",
    "import": "{% import 'os' %}",
    "layout": "{% extends 'x' %}{% block a %}{% endblock %}",
    "pad": "{{ 'x' | ljust: 999999999 }}",
    "times text": "{{ 'x' | times: 999999999 }}",
    "slice": "{{ input.text | slice: 0, 999999999 }}",
    "base64": "{{ input.text | base64_encode | base64_encode | url_encode | escape }}",
    "strftime": "{{ now | date: '%9999999d' }}",
    "format": "{{ '%999999999d' | format: 1 }}",
    # our own tags and filters, much of each
    "all of the input": "{{ input.o }}{{ input.ns }}{{ input.rows }}" * 500,
    "the same list": "{{ input.ns }}" * 2_000,
    "the whole input": "{{ input }}" * 2_000,
    "deep value": "{{ input.deep }}" * 1_900,
    "upper case grows": "{{ input.texts | join | upcase | upcase | upcase }}",
    "join by the text": "{{ input.ns | join: input.text }}",
    "join of joins": "{{ input.texts | join: '' | join: '' | join: '' | size }}" * 900,
    "truncate to nothing": "{{ input.text | truncate: 0 }}" * 1_900,
    "truncate far": "{{ input.text | truncate: 99999999999999999999 }}",
    "many words": "{{ input.text | truncatewords: 999999999 | size }}" * 1_100,
    "end of words": "{{ 'a b' | truncatewords: 1, input.text }}" * 1_300,
    "defaults": "{{ input.none | default: input.text | default: input.ns | default: input.o }}",
    "fences in fences": "{{ input.text" + " | fence" * 45 + " }}",
    "first of all": "{{ input.o | first }}" * 1_900,
    "last of all": "{{ input.o | last }}" * 1_900,
    "sizes": "{{ input.o | size }}" * 1_900,
    "strips": "{{ input.text | strip | strip | strip | strip | size }}" * 900,
    # loops and conditions
    "loops side by side": (FOR + "{% endfor %}") * 1_500,
    "ten loops deep": "".join(f"{{% for v{n} in input.ns %}}" for n in range(10)) + "x" + "{% endfor %}" * 10,
    "eleven loops deep": "".join(f"{{% for v{n} in input.ns %}}" for n in range(11)) + "x" + "{% endfor %}" * 11,
    "reversed": "{% for a in input.ns reversed limit: 1 %}{% endfor %}" * 1_200,
    "far offset": "{% for a in input.ns offset: 10000 limit: 1 %}{{ a }}{% endfor %}" * 900,
    "huge offset": "{% for a in input.ns offset: 99999999999999999999 %}{% endfor %}",
    "pairs of an object": "{% for p in input.o %}{{ p }}{% endfor %}" * 50,
    "rows": "{% for r in input.rows %}{{ r.a }}{{ r.b | upcase }}{% endfor %}",
    "compare all": FOR + "{% if input.o == input.o %}{% endif %}{% endfor %}",
    "compare in a row": "{% if input.ns == input.ms %}{% endif %}" * 1_600,
    "contains in a row": "{% if input.text contains 'aaaaaaaaaaab' %}{% endif %}" * 1_300,
    "ands": "{% if " + " and ".join(["input.ns"] * 35) + " %}x{% endif %}",
    "ors": "{% if " + " or ".join(["input.text contains 'z'"] * 15) + " %}{% endif %}" + "" * 100,
    "elsifs": "{% if false %}" + "{% elsif input.text == input.ns %}" * 1_700 + "{% endif %}",
    "cases": "{% case input.text %}" + "{% when input.text, input.ns, 'x' %}" * 1_500 + "{% endcase %}",
    "cases in a loop": FOR + "{% case a %}" + "{% when 1, 2, 3, 4, 5, 6 %}" * 1_000 + "{% endcase %}{% endfor %}",
    "comments": "{% comment %}" + "{{ " * 1_000 + "{% endcomment %}",
    # the lexer and the parser
    "long token": "{{ " + "a" * 490 + " }}",
    "many long tokens": ("{{ input." + "a" * 480 + " }}") * 125,
    "dots": ("{{ input" + ".o" * 240 + " }}") * 120,
    "indexes": ("{{ input.deep" + "[0]" * 150 + " }}") * 120,
    "huge index": "{{ input.ns[99999999999999999999999999] }}{{ input.ns[-99999999999999999999999999] }}",
    "huge number": ("{{ " + "9" * 490 + " }}") * 125,
    "huge exponent": "{{ 1e999999999 }}{{ 1.5e308 }}",
    "many pipes": "{{ 'a' " + "| upcase " * 53 + "}}",
    "commas": ("{{ 'a' | truncate: " + "1," * 200 + " }}") * 120,
    "minus signs": ("{{" + "-" * 400 + "}}") * 120,
    "escapes": ("{{ '" + "\\'" * 240 + "' }}") * 120,
    "zero width": "{{ in\u200bput.text }}{{ \u202einput.text }}",
    "wide letters": "{{ ｉｎｐｕｔ.text }}{% ｉｆ true %}{% endif %}",
    "null": "{{ input.te\x00xt }}",
    "brace soup": "{{{%" * 16_000,
    "closing soup": "}}%}" * 16_000,
    "only places": "{{''}}" * 2_000,
}  # fmt: skip
ALL = {**HOSTILE, **BOMBS, **MORE}


@pytest.mark.parametrize("name", ALL)
def test_a_hostile_template_is_refused_or_harmless(name: str) -> None:
    took = confined(lambda: compile_template(ALL[name], names=Names(Declared(SCHEMA), ["tone", "my-label"])).render(
        CONTEXT | {"input": LARGE}))  # fmt: skip
    assert took.harmless, took


def test_there_are_many_and_most_of_them_are_refused() -> None:
    assert len(MORE) >= 40 and len(ALL) > 100


def test_what_takes_too_much_is_seen() -> None:
    """The measuring itself: memory, time, and what never ends."""
    assert confined(lambda: "x" * 80_000_000).megabytes > 64
    assert (
        confined(lambda: sum(range(10**8))).seconds > SECONDS or confined(lambda: sum(range(10**9))).seconds > SECONDS
    )
    assert not confined(lambda: [0] * 20_000_000).harmless
    assert confined(lambda: 1 / 0).outcome.startswith("ZeroDivisionError")


# Each of these is allowed by itself; a customer may write some hundred of them.
JUST_ALLOWED = {
    "loops": "{% for a in input.ns %}{% endfor %}" * 2,
    "texts": "{{ input.text }}" * 20,
    "sizes": "{{ input.rows | size }}",
    "cases": "{% for a in input.ms %}{% case a %}{% when 1, 2 %}x{% endcase %}{% endfor %}",
}


@pytest.mark.parametrize("name", JUST_ALLOWED)
@pytest.mark.parametrize("where", ["sections", "examples"])
def test_many_templates_together_are_held_to_one_budget(name: str, where: str) -> None:
    text, properties = JUST_ALLOWED[name], {key: SCHEMA["properties"][key] for key in ("text", "ns", "ms", "rows")}
    asked = {"text": "ß" * 3_000, "ns": list(range(9_000)), "ms": list(range(4_000)), "rows": [{}] * 20_000}
    changes: dict[str, Any] = {"input": {"type": "object", "properties": properties}, "examples": {}, "checks": {}}
    if where == "sections":
        changes |= {"instructions": {f"s{n}": text for n in range(380)}, "prompt": "x"}
    else:
        small = {"text": "ß" * 300, "ns": list(range(900)), "ms": list(range(900)), "rows": []}
        example = {"input": small, "output": {"reason": "r", "answer": "a"}}
        changes |= {"instructions": {}, "prompt": text, "examples": {f"e{n}": example for n in range(380)}}
    behavior = compile_behavior(fields(**changes, limits={"input_bytes": 1_000_000}))
    now = datetime(2026, 3, 3, tzinfo=UTC)
    took = confined(lambda: behavior.messages(asked, tenant_name="Acme", user_key="alice", now=now))
    assert took.harmless, took
    if where == "sections" and name != "sizes":
        assert took.outcome == "refused"


PIECES = st.sampled_from(
    [
        *("{{ ", " }}", "{% ", " %}", "{%- ", " -%}", "if ", "endif", "else", "unless ", "endunless", "for a in ", "endfor"),
        *("input.ns", "input.text", "input.o", "input.rows", "a", "a[0]", "vars.tone", "forloop.index", " | ", "join", "join: "),
        *("truncate: ", "truncatewords: ", "default: ", "fence", "upcase", "size", "first", "==", " contains ", " and ", "'x'"),
        *("99999999999", "0", "..", "(", ")", "[", "]", ".", ",", ":", "case ", "when ", "endcase", "reversed", "limit: "),
        *("comment", "endcomment", "\n", "\x00", "é", '"'),
    ]
)  # fmt: skip


@given(st.lists(PIECES, max_size=30).map(lambda pieces: "".join(pieces) * 20))
def test_any_mixture_is_refused_or_comes_to_an_end_within_the_budget(text: str) -> None:
    """No step of rendering is free: what is not refused has spent its budget before it takes long."""
    try:
        ready = compile_template(text, names=Names(Declared(SCHEMA), ["tone"]))
        assert isinstance(ready.render(CONTEXT | {"input": LARGE}), str)
    except Invalid as refused:
        assert refused.errors


@pytest.mark.parametrize("value", ["{{ vars.tone }}", "{% for a in input.ns %}{% endfor %}", "{{", "{% raw %}", "}}"])
def test_a_value_is_text_wherever_it_comes_from(value: str) -> None:
    """One pass: variables, the organisation's name, the user's key and the input are never read as templates."""
    text = "{{ input.text }}|{{ vars.tone }}|{{ tenant.name }}|{{ user.key }}|{{ now }}|{{ input.tags | join }}"
    given = {"input": {"text": value, "tags": [value]}, "vars": {"tone": value}, "tenant": {"name": value}}
    ready = compile_template(text, names=Names(Declared(SCHEMA), ["tone"]))
    assert ready.render({**given, "user": {"key": value}, "now": value}) == "|".join([value] * 6)
