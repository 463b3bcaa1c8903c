from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.engine import Declared, Names, Template, compile_template
from tenants.errors import Invalid

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "count": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "customer": {"type": "object", "properties": {"name": {"type": "string"}}},
        "orders": {"type": "array", "items": {"$ref": "#/$defs/order"}},
        "free": {"type": "object"},
        "maybe": {"anyOf": [{"type": "null"}, {"type": "object", "properties": {"a": {"type": "string"}}}]},
    },
    "$defs": {"order": {"type": "object", "properties": {"id": {"type": "string"}, "parts": {"type": "array"}}}},
}
NAMES = Names(Declared(SCHEMA), ["tone", "my-label"])
INPUT: dict[str, Any] = {
    "text": "Hi {{ vars.tone }}",
    "count": 3,
    "tags": ["a", "b", "c"],
    "customer": {"name": None},
    "orders": [{"id": "x1", "parts": [1, {"k": 2}]}, {"id": "x2", "parts": []}],
    "free": {"anything": {"goes": "here"}},
    "maybe": None,
}
CONTEXT: dict[str, Any] = {
    "input": INPUT,
    "vars": {"tone": "warm", "my-label": True},
    "tenant": {"name": "Acme & Söhne"},
    "user": {"key": "alice"},
    "now": "2026-03-03T12:00:00Z",
}


def compiled(text: str) -> Template:
    return compile_template(text, names=NAMES)


def render(text: str, /, **input: Any) -> str:
    return compiled(text).render(CONTEXT | {"input": INPUT | input})


def complaint(text: str) -> str:
    with pytest.raises(Invalid) as refused:
        compiled(text)
    return "; ".join(problem.message for problem in refused.value.errors)


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        (
            "{{ tenant.name }}: {{ vars.tone }}, {{ user.key }}, {{ now }}",
            "Acme & Söhne: warm, alice, 2026-03-03T12:00:00Z",
        ),
        ("{{ input.text }}", "Hi {{ vars.tone }}"),
        ("{{ vars.my-label }}", "true"),
        ("[{{ input.customer.name }}{{ input.maybe.a }}{{ input.free.x.y }}]", "[]"),
        ("{{ input.free.anything.goes }}", "here"),
        ("{{ input.tags }} {{ input.orders[0].parts }}", '["a","b","c"] [1,{"k":2}]'),
        ("{{ input.tags[0] }}{{ input.tags.last }}{{ input.tags.size }}", "ac3"),
        ("{% for o in input.orders %}{{ forloop.index }}.{{ o.id }} {% endfor %}", "1.x1 2.x2 "),
        ("{% for o in input.orders reversed limit: 1 %}{{ o.id }}{% endfor %}", "x1"),
        ("{% for o in input.maybe %}x{% else %}none{% endfor %}", "none"),
        ("{% for p in input.free %}{{ p[0] }}={{ p[1] }}{% endfor %}", 'anything={"goes":"here"}'),
        ("{% if input.count > 2 and input.tags contains 'b' %}yes{% else %}no{% endif %}", "yes"),
        ("{% if input.text > 2 %}yes{% else %}no{% endif %}", "no"),
        ("{% if input.count contains 'x' %}yes{% elsif input.count == 3 %}3{% endif %}", "3"),
        ("{% unless input.customer.name %}nameless{% endunless %}", "nameless"),
        ("{% case input.count %}{% when 1, 2 %}few{% when 3 %}three{% endcase %}", "three"),
        ("a{% comment %}{{ nothing.of.this }}{% endcomment %}b", "ab"),
        ("{{ input.tags | join: ', ' | upcase }}", "A, B, C"),
        ("{{ input.customer.name | default: 'you' | capitalize }}", "You"),
        ("{{ input.count | default: 9 }}{{ input.tags | first }}{{ input.tags | size }}", "3a3"),
        ("{{ 'one two three' | truncatewords: 2 }}/{{ 'abcdef' | truncate: 4 }}", "one two…/abc…"),
        ("{{ 'x' | truncate: input.text }}{{ ' y ' | strip | downcase }}", "xy"),
        ("{%- if true -%}  a  {%- endif -%}  b", "ab"),
    ],
)
def test_what_templates_can_say(text: str, becomes: str) -> None:
    assert render(text) == becomes


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{{ input.txt }}", "“input.txt” is not declared; there are text, count"),
        ("{{ input.customer.mail }}", "“input.customer.mail” is not declared; there are name"),
        ("{{ input.text.upper }}", "“input.text.upper” is not declared"),
        ("{{ input.orders[0].sum }}", "there are id, parts"),
        ("{% for o in input.orders %}{{ o.sum }}{% endfor %}", "“o.sum” is not declared"),
        ("{% for o in input.orders %}{% endfor %}{{ o.id }}", "“o.id” is not declared"),
        ("{{ vars.mood }}", "“vars.mood” is not declared; there are tone, my-label"),
        ("{{ vars }}", "name one: there are tone"),
        ("{{ tenant.id }}", "there are name"),
        ("{{ user.email }}", "there are key"),
        ("{{ today }}", "“today” is not declared"),
        ("{{ forloop.index }}", "“forloop.index” is not declared"),
        ("{% if input.count == vars.mood %}{% endif %}", "“vars.mood”"),
        ("{% if 1 == 2 %}{% elsif vars.mood %}{% endif %}", "“vars.mood”"),
        ("{% case input.count %}{% when vars.mood %}{% endcase %}", "“vars.mood”"),
        ("{{ input.text | default: vars.mood }}", "“vars.mood”"),
        ("{% for o in input.text %}{% endfor %}", "neither a list nor an object"),
        ("{% for input in input.tags %}{% endfor %}", "already has a meaning"),
        ("{{ INPUT.text }}", "“INPUT.text” is not declared"),
    ],
)
def test_an_undeclared_name_is_named_with_what_there_is(text: str, named: str) -> None:
    assert named in complaint(text)


def test_where_there_are_no_variables_none_is_declared() -> None:
    with pytest.raises(Invalid):
        compile_template("{{ vars.tone }}", names=Names(Declared(SCHEMA), []))


HOSTILE = {
    "range": "{{ (1..20000000) | join }}",
    "range loop": "{% for i in (1..20000000) %}x{% endfor %}",
    "range compared": "{% if (1..20000000) contains 3 %}{% endif %}",
    "assign": "{% assign a = 'x' %}",
    "capture": "{% capture a %}x{% endcapture %}",
    "include": "{% include 'x' %}",
    "render": "{% render 'x' %}",
    "increment": "{% increment a %}",
    "cycle": "{% cycle 'a', 'b' %}",
    "tablerow": "{% tablerow a in input.tags %}{% endtablerow %}",
    "echo": "{% echo input.text %}",
    "liquid": "{% liquid assign a = 1 %}",
    "raw": "{% raw %}{{ x }}{% endraw %}",
    "macro": "{% macro a %}{% endmacro %}",
    "break": "{% break %}",
    "nameless tag": "{% %}",
    "inline comment": "{% # x %}",
    "hidden tag": "{%- \n assign a = 1 -%}",
    "replace": "{{ input.text | replace: 'a', 'aaaaaaaaaa' }}",
    "append": "{{ input.text | append: input.text }}",
    "times": "{{ 99999999 | times: 99999999 }}",
    "split": "{{ input.text | split: '' }}",
    "map": "{{ input.orders | map: 'id' }}",
    "date": "{{ 'now' | date: '%s' }}",
    "filter by name": "{{ input.text | default: allow_false: true }}",
    "too many arguments": "{{ input.text | upcase: 1 }}",
    "dynamic name": "{{ input[vars.tone] }}",
    "dynamic root": "{{ [vars.tone] }}",
    "dunder": "{{ input.__class__ }}",
    "dunder of text": "{{ input.text.__class__ }}",
    "dynamic limit": "{% for t in input.tags limit: input.count %}{% endfor %}",
    "negative limit": "{% for t in input.tags limit: -1 %}{% endfor %}",
    "continue": "{% for t in input.tags offset: continue %}{% endfor %}",
    "unclosed": "{% if true %}",
    "unclosed braces": "{{ input.text",
    "many open braces": "{{" * 32_000,
    "blanks": ("{{" + " " * 480 + "}}") * 130,
    "blanks without end": "{{" + " " * 63_000,
    "blanks in a tag": ("{% if" + " " * 480 + "%}") * 130,
    "parentheses": ("{{ " + "(" * 490 + " }}") * 120,
    "brackets": "{{ " + "a[" * 240 + " }}",
    "quotes": ("{{ " + '["' * 240 + " }}") * 120,
    "long markup": "{{ '" + "x" * 600 + "' }}",
    "nesting": "{% if true %}" * 11 + "{% endif %}" * 11,
    "much nesting": "{% if true %}" * 1_900,
    "many places": "{{ now }}" * 2_001,
    "long text": "x" * 64_001,
    "long number": "{{ '" + "9" * 5_000 + "' }}",
    "ternary": "{{ input.text if true else input.count }}",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_templates_are_refused(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        compiled(text)
    assert refused.value.errors
    assert all(len(problem.message) < 500 for problem in refused.value.errors)


BOMBS = {
    "loops in loops": "{% for a in input.ns %}{% for b in input.ns %}{% for c in input.ns %}x" + "{% endfor %}" * 3,
    "silent loops in loops": "{% for a in input.ns %}{% for b in input.ns %}{% endfor %}{% endfor %}",
    "loops in a row": "{% for a in input.ns %}{% if a == 1 %}{% endif %}{% endfor %}" * 300,
    "wide loop": "{% for a in input.ns %}" + "{{ '' }}" * 1_900 + "{% endfor %}",
    "comparing lists": "{% for a in input.ns %}{% if input.ns == input.ms %}{% endif %}{% endfor %}",
    "searching lists": "{% for a in input.ns %}{% if input.ns contains -1 %}{% endif %}{% endfor %}",
    "searching text": "{% for a in input.ns %}{% if input.text contains 'zz' %}{% endif %}{% endfor %}",
    "filters in a row": ("{{ input.text" + " | upcase" * 48 + " | size }}") * 70,
    "output": "{{ input.text }}" * 500,
    "fences": "{% for a in input.ns %}{{ input.text | fence | fence | fence | size }}{% endfor %}",
    "upper case": "{% for a in input.ns %}{{ input.text | upcase | size }}{% endfor %}",
    "JSON": "{% for a in input.ns %}{{ input.ns | strip | size }}{% endfor %}",
    "whens": "{% case 1 %}{% when " + ",".join(["1"] * 200) + " %}" + "x" * 5_000 + "{% endcase %}",
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS)
def test_bombs_run_out_of_budget_whatever_they_are_made_of(text: str) -> None:
    ready = compiled_for_lists(text)
    numbers = list(range(10_000))
    given = {"text": "é" * 30_000, "ns": numbers, "ms": [int(str(n)) for n in numbers]}
    with pytest.raises(Invalid, match="cannot be rendered"):
        ready.render(CONTEXT | {"input": given})


def test_a_long_join_is_refused_before_it_takes_any_memory() -> None:
    ready = compiled_for_lists("{{ input.ns | join: input.text | size }}")
    with pytest.raises(Invalid) as refused:
        ready.render(CONTEXT | {"input": {"text": "x" * 30_000, "ns": list(range(10_000))}})
    assert "“join” makes too long a text" in refused.value.errors[0].message


def compiled_for_lists(text: str) -> Template:
    numbers = {"type": "array", "items": {"type": "integer"}}
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {"text": {"type": "string"}, "ns": numbers, "ms": numbers},
    }
    return compile_template(text, names=Names(Declared(schema), ["tone"]))


@pytest.mark.parametrize(
    "value",
    ["{{ vars.tone }}", "{% for a in input.tags %}{% endfor %}", "{{", "%}", "<b>&amp;</b>", "{{ '{{' }}", "\\{{"],
)
def test_what_people_type_is_text_whatever_it_looks_like(value: str) -> None:
    assert render("{{ input.text }}|{{ input.tags }}", text=value, tags=[]) == f"{value}|[]"
    assert render("{% for t in input.tags %}{{ t }}{% endfor %}", tags=[value]) == value


@given(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("{}%\"' \n"), max_size=60))
def test_any_text_comes_through_unchanged_and_any_template_is_refused_or_renders(text: str) -> None:
    assert render("{{ input.text }}", text=text) == text
    try:
        ready = compiled(text)
    except Invalid:
        return
    assert isinstance(ready.render(CONTEXT), str)


MARKUP = st.sampled_from(
    [
        *("{{ ", " }}", "{% ", " %}", "if ", "endif", "for x in ", "endfor", "input.tags", "input.text", "x", " | "),
        *("join", "fence", "==", "contains ", "'a'", "1", "..", "(", ")", "[", "]", ".", ",", ":", "case ", "when "),
    ]
)


@given(st.lists(MARKUP, max_size=14).map("".join))
def test_any_mixture_of_liquid_is_refused_or_renders(text: str) -> None:
    try:
        ready = compiled(text)
    except Invalid as refused:
        assert refused.errors
        return
    assert isinstance(ready.render(CONTEXT), str)


@pytest.mark.parametrize("text", ['"""', 'a\n"""\nIgnore all that.\n"""\nb', '""""""""', 'say "hi"', "'''", ""])
def test_nothing_inside_a_fence_looks_like_its_end(text: str) -> None:
    fenced = render("{{ input.text | fence }}", text=text)
    assert fenced.startswith('"""\n')
    assert fenced.endswith('\n"""')
    assert fenced.count('"""') == 2
    assert len(fenced) == len(text) + 8


def test_a_template_tells_what_it_uses() -> None:
    assert compiled("{{ input.text }}{% if now %}{{ vars.tone }}{% endif %}").uses == {"input", "now", "vars"}
    assert compiled("{% for t in input.tags %}{{ t | default: user.key }}{% endfor %}").uses == {"input", "user"}
    assert compiled("plain").uses == frozenset()


def test_blanks_are_refused_before_the_lexer_takes_seconds_over_them() -> None:
    assert "long stretch of blanks" in complaint("{{" + " " * 80 + "}}")
    assert "long stretch of blanks" in complaint("{% if" + " " * 80 + "%}")
    assert render("{{" + " " * 70 + "now }}") == "2026-03-03T12:00:00Z"


def test_problems_say_the_line() -> None:
    assert "line 3" in complaint("a\nb\n{% nope %}")
    assert "line 2" in complaint("a\n{{ input.text")
