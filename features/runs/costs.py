"""PURE: what a call to a model costs, and what it may cost at the worst. Money is whole micro-units, rounded up.

Prices are a target's: micro-units per million tokens. A target never changes (a new price is a new target of the
alias), so the target that an attempt names is the price list that it was reckoned by.
"""

from collections.abc import Mapping, Sequence

from features.engine import Compiled, dumps
from features.models import ModelTarget

from .output import Reply

MICRO = 1_000_000
MOST_OUTPUT = 16_384  # tokens, where neither the behavior nor the target sets a bound
OVERHEAD = 16  # tokens that a chat template may put around one message


def price(target: ModelTarget, reply: Reply) -> int:
    """What a reply cost."""
    fresh = max(0, reply.input_tokens - reply.cached_input_tokens)
    cached = min(reply.cached_input_tokens, reply.input_tokens)
    return _rounded(
        fresh * target.input_price + cached * target.cached_input_price + reply.output_tokens * target.output_price
    )


def most_output(compiled: Compiled, target: ModelTarget) -> int:
    """How many tokens an answer may have: the least of what behavior and target allow. It is sent with each call."""
    bounds = [compiled.settings.get("max_output_tokens"), target.capabilities.get("max_output_tokens")]
    known = [int(bound) for bound in bounds if isinstance(bound, int | float) and not isinstance(bound, bool)]
    return min(known, default=MOST_OUTPUT)


def most_input(messages: Sequence[Mapping[str, object]], compiled: Compiled) -> int:
    """How many tokens a request can come to: no tokenizer makes more of a text than it has bytes."""
    text = sum(len(str(message["content"]).encode()) + OVERHEAD for message in messages)
    return text + len(dumps(compiled.response_format).encode())


def worst(target: ModelTarget, messages: Sequence[Mapping[str, object]], compiled: Compiled) -> int:
    """What one call can cost at the worst."""
    dearest = max(target.input_price, target.cached_input_price)
    return _rounded(most_input(messages, compiled) * dearest + most_output(compiled, target) * target.output_price)


def most_per_run(compiled: Compiled) -> int | None:
    """What the behavior lets one run cost, None without a bound."""
    bound = compiled.limits.cost_per_run
    return None if bound is None else int(bound * MICRO)


def _rounded(millionths: int) -> int:
    return -(-millionths // MICRO)
