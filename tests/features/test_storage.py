"""What the database keeps of a behavior comes back the same, to the order of properties: digests outlive storage."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.engine import BasedOn, Operation, Revision, digest, dumps, from_rows, inherited_digest, resolve, to_rows
from features.models import Override, Version
from features.reading import as_revision
from tenants.isolation import OPERATOR, operator_tx
from tests.cast import Cast
from tests.features.engine.samples import base
from tests.features.engine.test_digest import json_values

ordinary = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
THEN = datetime(2026, 1, 1, tzinfo=UTC)
names = ["examples.a", "examples.b", "input", "output", "vars.x", "instructions.s", "instructions.a", "checks.c"]
numbers = iter(range(2, 1_000_000))


@ordinary
@given(st.dictionaries(st.sampled_from(names), json_values))
def test_a_version_comes_back_from_the_database_with_its_digest(cast: Cast, behavior: dict[str, Any]) -> None:
    with operator_tx():
        made = Version.objects.using(OPERATOR).create(
            feature=cast.greet, number=next(numbers), behavior=behavior, digest="", author="tests", source="api"
        )
        read = Version.objects.using(OPERATOR).get(pk=made.pk).behavior
    assert digest(read) == digest(behavior)
    assert list(read) == list(behavior)  # sections and examples are rendered in this order
    assert all(inherited_digest(read[name]) == inherited_digest(behavior[name]) for name in behavior)


based = st.none() | st.builds(
    BasedOn, st.integers(1, 99), st.none() | st.integers(1, 99), st.just("absent"), st.booleans()
)
operations = st.lists(
    st.builds(Operation, st.sampled_from(names), st.just("set"), json_values, based, st.booleans())
    | st.builds(Operation, st.sampled_from(names), st.just("append"), st.text("ab{}\n€"), based)
    | st.builds(Operation, st.sampled_from(names), st.just("remove"), st.none(), based),
    unique_by=lambda operation: operation.field,
).map(tuple)


@ordinary
@given(operations)
def test_an_override_comes_back_from_the_database_as_it_was_saved(cast: Cast, said: tuple[Operation, ...]) -> None:
    with cast.ada.present():
        number = next(numbers)
        Override.objects.create(
            tenant_id=cast.ada.tenant_id, feature=cast.greet, subject_id=cast.ada.tenant_id, number=number,
            operations=to_rows(said), author="tests", valid_from=THEN.replace(microsecond=number % 1_000_000),
            valid_to=THEN.replace(microsecond=number % 1_000_000 + 1))  # fmt: skip
        read = as_revision(Override.objects.get(subject_id=cast.ada.tenant_id, number=number))
    assert dumps(to_rows(read.operations)) == dumps(to_rows(said))
    assert from_rows(to_rows(said)) == said == read.operations
    one, other = (resolve(base(), None, Revision(1, ops)) for ops in (said, read.operations))
    assert one.digest == other.digest
