"""Templates of sections and prompts: Liquid, checked when saved so that rendering cannot meet an unknown name.

A template sees `input`, `vars.<name>`, `tenant.name`, `user.key` and `now`, nothing else, and is gone over once:
what a value holds is text, whatever it looks like. Text goes in as it is: no HTML escaping.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from liquid.ast import BlockNode, ConditionalBlockNode, Node
from liquid.builtin.expressions import FilteredExpression, LoopExpression, Path
from liquid.builtin.expressions.primitive import IntegerLiteral, RangeLiteral
from liquid.builtin.tags.case_tag import CaseNode, MultiExpressionBlockNode
from liquid.builtin.tags.comment_tag import CommentNode
from liquid.builtin.tags.if_tag import IfNode
from liquid.builtin.tags.unless_tag import UnlessNode
from liquid.exceptions import LiquidError
from liquid.expression import Expression

from tenants.errors import Invalid, Problem

from .declared import Declared
from .fields import MAX_TEXT
from .liquid_env import COMMENTS, DIALECT, FILTERS, TAGS, ForNode, Lenient, TextNode, Work
from .liquid_env import Template as Parsed
from .values import Json

MAX_MARKUP = 500  # characters between braces: python-liquid's lexer takes time with the square of it
MAX_MARKUPS = 2_000
MAX_TURNS = 10_000  # the largest limit or offset of a loop

_SCALAR: dict[str, Json] = {"type": ["string", "number", "boolean", "null"]}
_LOOP_NAMES = ("name", "length", "index", "index0", "rindex", "rindex0", "first", "last")


def _object(names: Collection[str], **more: Json) -> Declared:
    return Declared({"properties": {**dict.fromkeys(names, _SCALAR), **more}, "additionalProperties": False})


_ANYTHING = Declared({}, {})
_TENANT, _USER, _NOW = _object(["name"]), _object(["key"]), Declared(_SCALAR)
_LOOP = _object(_LOOP_NAMES, parentloop={"type": "object"})
_PARTS_ONLY = ("vars", "tenant", "user", "forloop")  # printed whole they mean nothing


@dataclass(frozen=True, slots=True)
class Names:
    """What a template may name: what the input schema declares, and the variables there are."""

    input: Declared
    vars: Collection[str]


Scope = Mapping[str, Declared]


class Template:
    """A template that passed every check. `uses` tells which of input, vars, tenant, user and now it names."""

    def __init__(self, parsed: Parsed, uses: frozenset[str]) -> None:
        self._parsed = parsed
        self.uses = uses

    def render(self, context: Mapping[str, Json], work: Work | None = None) -> str:
        """Render with {"input", "vars", "tenant": {"name"}, "user": {"key"}, "now"}, as part of some work or alone.

        Raises Invalid when the text grows beyond MAX_OUTPUT bytes or takes more steps than the budget.
        """
        try:
            return self._parsed.text(context, work or Work())
        except (LiquidError, RecursionError) as error:
            raise Invalid("A template cannot be rendered.", errors=[Problem("", "template", _said(error))]) from error


def compile_template(text: str, *, names: Names) -> Template:
    """Parse and check a template. Raises Invalid naming what is not allowed or not declared, and what is."""
    problems = list(_check_markup(text))
    if problems:
        raise Invalid("The template is not allowed.", errors=problems[:20])
    try:
        parsed = cast(Parsed, DIALECT.from_string(text))
        check = _Check()
        scope = {"input": names.input, "vars": _object(names.vars), "tenant": _TENANT, "user": _USER, "now": _NOW}
        check.nodes(parsed.nodes, scope)
    except (LiquidError, RecursionError) as error:
        raise Invalid("The template cannot be read.", errors=[Problem("", "template", _said(error))]) from error
    if check.problems:
        raise Invalid("The template is not allowed.", errors=check.problems[:20])
    return Template(parsed, frozenset(check.uses))


def _said(error: Exception) -> str:
    if not isinstance(error, LiquidError) or not error.token or error.token.start_index < 0:
        return str(error.args[0]) if error.args else "is nested too deeply"
    line = error.token.source.count("\n", 0, error.token.start_index) + 1
    return f"line {line}: {error.args[0]}"


def _check_markup(text: str) -> Iterator[Problem]:
    """Look at the braces alone, in linear time, before python-liquid's lexer may."""
    if len(text) > MAX_TEXT:
        yield Problem("", "size", f"is longer than {MAX_TEXT} characters")
        return
    place, count = 0, 0
    while opening := _OPENING.search(text, place):
        line = text.count("\n", 0, opening.start()) + 1 if count < 20 else 0
        count += 1
        closing = "}}" if opening.group() == "{{" else "%}"
        end = text.find(closing, opening.end())
        if end < 0:
            yield Problem("", "template", f"line {line}: “{opening.group()}” is never closed with “{closing}”")
            return
        inside = text[opening.end() : end]
        if count > MAX_MARKUPS:
            yield Problem("", "size", f"has more than {MAX_MARKUPS} places between braces")
            return
        if len(inside) > MAX_MARKUP:
            yield Problem("", "size", f"line {line}: has more than {MAX_MARKUP} characters between braces")
            return
        if _BLANKS.search(inside):
            yield Problem("", "size", f"line {line}: has a long stretch of blanks between braces")
            return
        if closing == "%}" and (wrong := _check_tag(inside)):
            yield Problem("", "template", f"line {line}: {wrong}")
        place = end + 2


_BLANKS = re.compile(r"\s{80}")  # the lexer takes time with the square of these as well
_OPENING = re.compile(r"\{\{|\{%")
_TAG = re.compile(r"-?\s*(\w+)", re.ASCII)


def _check_tag(inside: str) -> str | None:
    name = found.group(1) if (found := _TAG.match(inside)) else inside.strip()[:20]
    if name in TAGS or name in COMMENTS:
        return None
    return f"“{name}” is not a tag here; there are if, unless, case, for and comment"


class _Check:
    """One walk over a parsed template: collects problems and the roots that are named."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.uses: set[str] = set()

    def nodes(self, nodes: Collection[Node], scope: Scope) -> None:
        for node in nodes:
            self.node(node, scope)

    def node(self, node: Node, scope: Scope) -> None:
        if isinstance(node, ForNode):
            return self.loop(node, scope)
        if isinstance(node, IfNode | UnlessNode):
            node.condition = Lenient(node.condition)
        elif isinstance(node, ConditionalBlockNode):
            node.expression = Lenient(node.expression)
        elif isinstance(node, CommentNode):
            return None
        elif not isinstance(node, TextNode | CaseNode | BlockNode | MultiExpressionBlockNode) and node.expressions():
            self.complain(f"{type(node).__name__} is not allowed")
        for expression in node.expressions():
            self.expression(expression, scope)
        children = node.children(None, include_partials=False)  # type: ignore[arg-type]  # partials alone look at it
        return self.nodes(list(children), scope)

    def loop(self, node: ForNode, scope: Scope) -> None:
        loop: LoopExpression = node.expression
        self.expression(loop.iterable, scope)
        for part in (loop.limit, loop.offset):
            if part and not (isinstance(part, IntegerLiteral) and 0 <= part.value <= MAX_TURNS):
                self.complain(f"limit and offset of a loop are whole numbers from 0 to {MAX_TURNS}")
        if loop.identifier in scope or loop.identifier == "forloop":
            self.complain(f"“{loop.identifier}” already has a meaning; name the loop’s variable differently")
        if not isinstance(loop.iterable, Path):
            self.complain("a loop goes over a list of the input")
            return
        item = self.item(loop.iterable, scope)
        self.node(node.block, {**scope, str(loop.identifier): item, "forloop": _LOOP})
        if node.default:
            self.node(node.default, scope)

    def item(self, path: Path, scope: Scope) -> Declared:
        """What a loop over this path gives: items of a list, or the [name, value] pairs of an object."""
        found = _follow(path, scope)
        if not isinstance(found, Declared):
            return _ANYTHING  # the path itself is complained of already
        if items := found.items():
            return items
        if found.is_object:
            return _ANYTHING
        self.complain(f"“{path}” is neither a list nor an object")
        return _ANYTHING

    def expression(self, expression: Expression, scope: Scope) -> None:
        if isinstance(expression, RangeLiteral):
            self.complain("ranges such as (1..5) are not allowed")
        elif isinstance(expression, Path):
            self.path(expression, scope)
        elif isinstance(expression, FilteredExpression):
            self.filters(expression)
        for inner in () if isinstance(expression, Path) else expression.children():
            self.expression(inner, scope)

    def filters(self, expression: FilteredExpression) -> None:
        for used in expression.filters or ():
            if used.name not in FILTERS:
                self.complain(f"“{used.name}” is not a filter here; there are {', '.join(FILTERS)}")
            elif len(used.args) > FILTERS[used.name][1] or any(hasattr(argument, "name") for argument in used.args):
                self.complain(f"“{used.name}” takes {FILTERS[used.name][1] or 'no'} arguments at most, without names")

    def path(self, path: Path, scope: Scope) -> None:
        found = _follow(path, scope)
        if isinstance(found, str):
            self.complain(found)
        elif path.path[0] in ("input", "vars", "tenant", "user", "now"):
            self.uses.add(str(path.path[0]))

    def complain(self, message: str) -> None:
        self.problems.append(Problem("", "template", message))


def _follow(path: Path, scope: Scope) -> Declared | str:
    """Return what is declared at a path, or in words what is wrong with it."""
    root, *rest = path.path
    if not all(isinstance(segment, str | int) for segment in path.path):
        return f"“{path}” is not a fixed name: write a.b or a[0]"
    if root not in scope:
        return f"“{path}” is not declared; there are {', '.join(scope)}"
    place, walked = scope[str(root)], str(root)
    if root in _PARTS_ONLY and not rest:
        return f"“{walked}” has parts, name one: {_listed(place)}"
    for segment in rest:
        inner = _step(place, cast("str | int", segment))
        if inner is None:
            return f"“{walked}.{segment}” is not declared; {_listed(place)}"
        place, walked = inner, f"{walked}.{segment}"
    return place


def _step(place: Declared, segment: str | int) -> Declared | None:
    if isinstance(segment, int):
        return place.items()
    if inner := place.at(segment):
        return inner
    if segment in ("first", "last"):
        return place.items()
    return _NOW if segment == "size" else None


def _listed(place: Declared) -> str:
    names = place.names
    if not names:
        return "nothing is declared there"
    return f"there are {', '.join(names[:20])}" + (" …" if len(names) > 20 else "")
