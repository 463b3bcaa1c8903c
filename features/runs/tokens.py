"""Which layer's text makes how many of a prompt's tokens: counted once for each behavior served, and an estimate.

Texts are counted as they are written, before input and variables are put in, by OpenAI's o200k_base encoding whatever
the model: it says what a layer's words come to compared with another's, not what a provider will bill.
"""

from dataclasses import dataclass
from functools import lru_cache

import bpe_openai

from features.engine import dumps, is_text
from features.served import Served


@dataclass(frozen=True, slots=True)
class LayerTokens:
    """Prompt tokens by the layer whose text they are."""

    base: int = 0
    tenant: int = 0
    user: int = 0


NO_TOKENS = LayerTokens()
_kept: dict[tuple[object, ...], LayerTokens] = {}
MOST_KEPT = 20_000


def layer_tokens(served: Served) -> LayerTokens:
    """Count a behavior's sections, prompt and examples by the layer that each comes from."""
    key = (served.digest, *sorted((name, o.layer, o.appended) for name, o in served.effective.origins.items()))
    found = _kept.get(key)
    if found is None:
        if len(_kept) >= MOST_KEPT:
            _kept.clear()
        found = _kept[key] = _count(served)
    return found


def _count(served: Served) -> LayerTokens:
    totals = {"base": 0, "tenant": 0, "user": 0}
    for field, value in served.effective.fields.items():
        if not (is_text(field) or field.startswith("examples.")):
            continue
        origin, whole = served.effective.origins[field], _tokens(str(value) if is_text(field) else dumps(value))
        for layer in origin.appended:
            added = min(whole, _tokens(_appended(served, layer, field)))
            totals[layer], whole = totals[layer] + added, whole - added
        totals[origin.layer] += whole
    return LayerTokens(**totals)


def _appended(served: Served, layer: str, field: str) -> str:
    revision = served.tenant if layer == "tenant" else served.user
    operations = revision.operations if revision else ()
    return next((str(operation.value) for operation in operations if operation.field == field), "")


def estimated(text: str) -> int:
    """About how many tokens a text has, where a provider does not say."""
    return len(_encoding().encode_ordinary(text))


@lru_cache(maxsize=4096)
def _tokens(text: str) -> int:
    return estimated(text)


@lru_cache(maxsize=1)
def _encoding() -> bpe_openai.Encoding:
    return bpe_openai.get_encoding("o200k_base")
