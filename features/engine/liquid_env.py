"""The part of Liquid that templates are written in: few tags, few filters, and a meter on every step of rendering.

python-liquid's own limits do not count filters, comparisons or loops beside one another, so a template of a few
lines could run for minutes within them. Here all of these are paid for out of one budget.
"""

import re
from collections.abc import Callable, Mapping
from io import StringIO
from typing import Any, TextIO

from liquid import Environment, RenderContext
from liquid.ast import Node
from liquid.builtin import content, illegal
from liquid.builtin.output import Output, OutputNode
from liquid.builtin.tags import case_tag, comment_tag, for_tag, if_tag, unless_tag
from liquid.exceptions import LiquidTypeError, LoopIterationLimitError
from liquid.expression import Expression
from liquid.filter import with_context
from liquid.output import LimitedStringIO
from liquid.tag import Tag
from liquid.template import BoundTemplate
from liquid.token import Token
from liquid.undefined import UNDEFINED, is_undefined

from .values import Json, dumps

MAX_OUTPUT = 200_000  # bytes that one template may render to
MAX_BLOCKS = 10  # tags within tags
BUDGET = 200_000  # steps of roughly a microsecond each
TOGETHER = 3 * BUDGET  # for all templates of one behavior
TAGS = ("if", "elsif", "else", "endif", "unless", "endunless", "case", "when", "endcase", "for", "endfor")
COMMENTS = ("comment", "endcomment")


class Work:
    """What templates that are rendered for one another may do together, and the sizes of what they are given.

    Nothing that is given to them may change or go away as long as it is used: sizes are known by identity.
    """

    __slots__ = ("sizes", "spent")

    def __init__(self) -> None:
        self.spent = 0
        self.sizes: dict[int, int] = {}


class Meter(RenderContext):
    """A render context that counts what is done with it, for its template and for all that belong to the same work."""

    __slots__ = ("body", "spent", "work")

    def __init__(self, template: BoundTemplate, *, work: Work, **options: Any) -> None:
        super().__init__(template, **options)
        self.work = work
        self.spent = 0
        self.body = 1  # steps of one turn of the loop that is about to start

    def spend(self, steps: int) -> None:
        """Count steps. Raises LoopIterationLimitError when the template's budget, or that of all, is used up."""
        self.spent += steps
        self.work.spent += steps
        if self.spent > BUDGET:
            raise LoopIterationLimitError("this template does too much work", token=None)
        if self.work.spent > TOGETHER:
            raise LoopIterationLimitError("this behavior's templates do too much work together", token=None)

    def get(self, path: list[object], *, token: Token | None, default: object = UNDEFINED) -> object:
        """Look a value up, and pay for its size: whatever is done with it goes over all of it at most once."""
        value = super().get(path, token=token, default=default)
        self.spend(1 + self.size(value))
        return value

    def size(self, value: object) -> int:
        """Return the steps that going over a value takes: 256 characters, or 16 items, to a step."""
        if isinstance(value, str):
            return len(value) // 256
        return self._items(value) // 16 if isinstance(value, dict | list) else 0

    def _items(self, value: object) -> int:
        if not isinstance(value, dict | list):
            return 1 + (len(value) // 16 if isinstance(value, str) else 0)
        sizes = self.work.sizes
        if id(value) not in sizes:
            children = value.values() if isinstance(value, dict) else value
            sizes[id(value)] = 1 + sum(map(self._items, children))
        return sizes[id(value)]

    def raise_for_loop_limit(self, length: int = 1) -> None:
        """Pay for all turns of a loop as it starts."""
        self.spend(length * self.body)


class Template(BoundTemplate):
    """A parsed template that is rendered with a meter."""

    def text(self, values: Mapping[str, Json], work: Work) -> str:
        """Render with values as part of some work."""
        context, buffer = Meter(self, work=work, globals=self.make_globals(dict(values))), self._get_buffer()
        self.render_with_context(context, buffer)
        return buffer.getvalue()

    def _get_buffer(self) -> StringIO:
        # With its default, a StringIO turns \r\n into \n, and text that is locked must come out byte for byte.
        return LimitedStringIO(MAX_OUTPUT, newline="")


class ForNode(for_tag.ForNode):
    """A loop that knows how many nodes one of its turns renders."""

    __slots__ = ("steps",)

    def __init__(self, token: Token, expression: Any, block: Any, default: Any = None) -> None:
        super().__init__(token, expression, block, default)
        self.steps = _count(block)

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        """Render the loop, having told the meter what a turn costs."""
        if isinstance(context, Meter):
            context.body = self.steps
        return super().render_to_output(context, buffer)


def _count(node: Node) -> int:
    inner = node.children(None, include_partials=False)  # type: ignore[arg-type]  # only partials look at the context
    return 1 + sum(1 + _terms(expression) for expression in node.expressions()) + sum(map(_count, inner))


def _terms(expression: Expression) -> int:
    return 1 + sum(map(_terms, expression.children()))


class ForTag(for_tag.ForTag):
    """`for` over a list that is given; ranges are refused by templates.py."""

    node_class = ForNode


class TextNode(OutputNode):
    """`{{ … }}`: objects and lists are written as JSON, not as Python or run together."""

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        """Write the value as text."""
        return buffer.write(text_of(self.expression.evaluate(context)))


class OutputTag(Output):
    """The pseudo-tag behind `{{ … }}`."""

    node_class = TextNode


class Lenient(Expression):
    """A condition; comparing what cannot be compared (text with a number) is false, whatever the input held."""

    __slots__ = ("inner",)

    def __init__(self, inner: Expression) -> None:
        super().__init__(inner.token)
        self.inner = inner

    def evaluate(self, context: RenderContext) -> object:
        """Return whether the condition holds."""
        try:
            return self.inner.evaluate(context)
        except LiquidTypeError:
            return False

    def children(self) -> list[Expression]:
        """Return the condition itself, for whoever walks the tree."""
        return [self.inner]


def text_of(value: object) -> str:
    """Write a value as people read it: null and what is undefined as nothing, objects and lists as JSON."""
    if isinstance(value, str):
        return value
    if value is None or is_undefined(value):
        return ""
    if isinstance(value, bool | int | float | dict | list | tuple):
        return dumps(value)
    return ""  # `empty` and `blank` are for comparing with


def _default(value: object, fallback: object = "") -> object:
    return fallback if is_undefined(value) or value is None or value is False or value in ("", [], {}) else value


def _join(value: object, separator: object = " ") -> str:
    items, between = [text_of(item) for item in _items(value)], text_of(separator)
    if sum(map(len, items)) + len(between) * len(items) > MAX_OUTPUT:
        raise LoopIterationLimitError("“join” makes too long a text", token=None)
    return between.join(items)


def _items(value: object) -> list[Json]:
    return value if isinstance(value, list) else [] if value is None or is_undefined(value) else [text_of(value)]


def _size(value: object) -> int:
    return len(value) if isinstance(value, str | list | dict) else 0


def _length(value: object, otherwise: int) -> int:
    return max(value, 0) if isinstance(value, int) and not isinstance(value, bool) else otherwise


def _truncate(value: object, length: object = 50, end: object = "…") -> str:
    text, most, tail = text_of(value), _length(length, 50), text_of(end)
    return text if len(text) <= most else text[: max(most - len(tail), 0)] + tail[:most]


def _truncatewords(value: object, count: object = 15, end: object = "…") -> str:
    text, most = text_of(value), _length(count, 15)
    words = text.split(maxsplit=most)
    return text if len(words) <= most else " ".join(words[:most]) + text_of(end)


def fence(value: object) -> str:
    """Put untrusted text between lines of three quotation marks, and take such marks out of the text itself.

    Three marks or more in a row become as many apostrophes, so nothing inside can look like the closing line.
    """
    return '"""\n' + re.sub('"{3,}', lambda marks: "'" * len(marks.group()), text_of(value)) + '\n"""'


# name -> function, most arguments after the value
FILTERS: Mapping[str, tuple[Callable[..., object], int]] = {
    "upcase": (lambda value: text_of(value).upper(), 0),
    "downcase": (lambda value: text_of(value).lower(), 0),
    "capitalize": (lambda value: text_of(value).capitalize(), 0),
    "strip": (lambda value: text_of(value).strip(), 0),
    "default": (_default, 1),
    "join": (_join, 1),
    "size": (_size, 0),
    "first": (lambda value: next(iter(_items(value)), None), 0),
    "last": (lambda value: next(reversed(_items(value)), None), 0),
    "truncate": (_truncate, 2),
    "truncatewords": (_truncatewords, 2),
    "fence": (fence, 0),
}


_DEARER = {"truncatewords": 2}  # times what another filter spends on as much text: it makes an object of each word


def _metered(function: Callable[..., object], times: int) -> Callable[..., object]:
    @with_context
    def run(value: object, *arguments: object, context: Meter) -> object:
        context.spend(1 + times * (context.size(value) + sum(map(context.size, arguments))))
        return function(value, *arguments)

    return run


class Dialect(Environment):
    """Our Liquid: what is not registered here does not exist."""

    block_nesting_limit = MAX_BLOCKS
    output_stream_limit = MAX_OUTPUT
    template_class = Template

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        """Register the tags and filters of our dialect, none of python-liquid's others."""
        tags: tuple[type[Tag], ...] = (
            *(content.Literal, OutputTag, illegal.Illegal, comment_tag.CommentTag),
            *(if_tag.IfTag, unless_tag.UnlessTag, case_tag.CaseTag, ForTag),
        )
        for tag in tags:
            self.add_tag(tag)
        for name, (function, _) in FILTERS.items():
            self.add_filter(name, _metered(function, _DEARER.get(name, 1)))


DIALECT = Dialect()
