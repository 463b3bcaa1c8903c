"""A version's samples: inputs of the vendor's own on which its versions are tried, never a customer's."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import cast
from uuid import UUID

from features.engine import Compiled, Json, dumps, pointer
from tenants.errors import Invalid, Problem

from .explain import hidden_among
from .models import Version
from .served import Served

MOST = 50


def checked_samples(given: object, compiled: Compiled) -> list[Json]:
    """Read a version's samples. Raises Invalid for what is no list, and naming each that the version does not take."""
    if not isinstance(given, list | tuple) or len(given) > MOST:
        told = Problem("/samples", "type", f"must be a list of at most {MOST} inputs")
        raise Invalid("The samples are not a list of inputs.", errors=[told])
    wrong = [
        Problem(pointer("samples", place) + problem.pointer, problem.rule, problem.message)
        for place, sample in enumerate(given)
        for problem in compiled.input_problems(sample)
    ]
    if wrong:
        raise Invalid("A sample is not what this version takes.", errors=wrong)
    return list(given)


def samples_that_fit(samples: Iterable[Json], compiled: Compiled) -> list[Json]:
    """Those of an earlier version's samples that this one takes."""
    return [sample for sample in samples if not compiled.input_problems(sample)]


def samples_of(version: Version) -> list[Json]:
    """A version's samples; where it says none, the distinct inputs of its examples."""
    found: list[Json] = list(version.samples)
    if not found:
        found = [value["input"] for name, value in version.behavior.items() if name.startswith("examples.")]
    return list({dumps(sample): sample for sample in found}.values())


def samples_for(served: Served, most: int) -> list[Json]:
    """A few inputs for somebody who has none at hand: the version's samples, then those of the examples they may see.

    Only what the contract takes that they are served with. Within the tenant's transaction.
    """
    fields = served.effective.fields
    examples = [name for name in fields if name.startswith("examples.")]
    hidden = hidden_among(examples, served, "user", today=served)
    shown = [cast(dict[str, Json], fields[name])["input"] for name in examples if name not in hidden]
    given = [*_samples(served.feature.id, served.choice.base), *shown]
    distinct = list({dumps(sample): sample for sample in given}.values())
    return samples_that_fit(distinct, served.compiled)[:most]


@lru_cache(maxsize=1024)
def _samples(feature_id: UUID, number: int) -> Sequence[Json]:
    """A version's own samples, kept since it never changes."""
    rows = Version.objects.filter(feature_id=feature_id, number=number).values_list("samples", flat=True)
    return tuple(rows.first() or ())
