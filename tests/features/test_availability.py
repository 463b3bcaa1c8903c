"""Which organisations have a feature, and when it ends: to who has it not it does not exist."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connections

from features.actions.availability import availability_of, retire, set_available, unretire
from features.actions.overrides import ANY, save_operation
from features.actions.pins import pin, pin_now, restore, unpin
from features.find import find_feature
from features.models import Feature
from features.overview import Overview
from features.published import published
from features.resolve import clock, serve, serve_warm
from features.runs.accept import accept
from tenants.actor import Actor
from tenants.errors import Conflict, Forbidden, Invalid, NotFound
from tenants.isolation import OPERATOR
from tests.cast import Cast


def served(cast: Cast, who: Actor, at: Any = None) -> Any:
    with who.present():
        if at is not None:
            return serve(cast.greet, who.tenant_id, who.acting_for(), at)
        return serve_warm(cast.greet, who.tenant_id, who.acting_for())


def only(cast: Cast, *slugs: str, **options: Any) -> Any:
    return set_available(cast.greet, listed_only=True, tenants=slugs, by=cast.operator, **options)


def seen(who: Actor) -> list[str]:
    found = [row.feature for row in published(who)] if who.tenant is None else Overview(who).features
    return [feature.key for feature in found]


def refused(of: Any, *arguments: Any) -> str:
    with pytest.raises(NotFound) as told:
        of(*arguments)
    return str(told.value.detail)


def test_a_feature_for_acme_alone_is_to_globex_like_one_that_there_is_not(cast: Cast) -> None:
    served(cast, cast.mallory)  # this process has served her before
    told = only(cast, "acme")
    assert (told["tenants"], told["served_before"], told["served"]) == (["acme"], 2, 1)
    missing = refused(find_feature, "nothing", cast.mallory)
    assert refused(find_feature, "greet", cast.mallory) == missing.replace("nothing", "greet")
    assert refused(served, cast, cast.mallory) == missing.replace("nothing", "greet")
    with pytest.raises(NotFound):
        accept(cast.greet, {"name": "Ann"}, by=cast.mallory)
    assert (seen(cast.mallory), seen(cast.alice), seen(cast.operator)) == ([], ["greet"], ["greet"])
    assert find_feature("greet", cast.alice) == cast.greet
    assert served(cast, cast.alice).receipt.base == 1


def test_what_a_tenant_had_of_it_comes_back_with_it(cast: Cast) -> None:
    save_operation(cast.greet, "user", "vars.tone", {"set": "warm"}, expected=ANY, by=cast.mallory)
    before = served(cast, cast.mallory)
    only(cast, "acme")
    set_available(cast.greet, add=["globex"], by=cast.operator)
    assert served(cast, cast.mallory).digest == before.digest
    set_available(cast.greet, remove=["globex"], by=cast.operator)
    assert seen(cast.mallory) == []
    set_available(cast.greet, listed_only=False, by=cast.operator)
    assert served(cast, cast.mallory).digest == before.digest


def test_the_list_waits_while_the_feature_is_served_to_everybody(cast: Cast) -> None:
    told = set_available(cast.greet, tenants=["globex"], by=cast.operator)
    assert (told["listed_only"], told["served"]) == (False, 2)
    assert seen(cast.alice) == ["greet"]
    assert set_available(cast.greet, listed_only=True, by=cast.operator)["served"] == 1
    assert (seen(cast.alice), seen(cast.mallory)) == ([], ["greet"])


def test_as_of_a_moment_when_it_was_available_it_is_told_once_it_is_again(cast: Cast) -> None:
    then = served(cast, cast.mallory)
    only(cast, "globex")
    with cast.ada.present():
        between = clock()
    set_available(cast.greet, remove=["globex"], add=["acme"], by=cast.operator)
    assert refused(served, cast, cast.mallory)
    set_available(cast.greet, add=["globex"], by=cast.operator)
    assert served(cast, cast.mallory, between).digest == then.digest


def test_slugs_that_nobody_has_and_customers_are_refused_and_nothing_is_changed(cast: Cast) -> None:
    with pytest.raises(Invalid) as wrong:
        set_available(cast.greet, listed_only=True, add=["acme", "initech"], by=cast.operator)
    assert [problem.pointer for problem in wrong.value.errors] == ["/add/1"]
    with pytest.raises(Forbidden):
        set_available(cast.greet, listed_only=True, by=cast.ada)
    with pytest.raises(Forbidden):
        availability_of(cast.greet, cast.ada)
    assert availability_of(cast.greet, cast.operator) == {
        "feature": "greet", "listed_only": False, "tenants": [], "retires": None,
    }  # fmt: skip
    assert only(cast, "acme", dry_run=True)["served"] == 1
    assert seen(cast.mallory) == ["greet"]


def ended(cast: Cast) -> None:
    """Make the announced end a moment ago, as time does."""
    with connections["owner"].cursor() as cursor:
        cursor.execute("UPDATE features_feature SET retires_at = clock_timestamp() - interval '1 second'")
        cursor.execute("UPDATE features_vendorstamp SET value = value + 1")


def test_until_it_is_retired_everything_goes_on_and_people_are_told(cast: Cast) -> None:
    at = datetime(2099, 1, 1, tzinfo=UTC)
    told = retire(cast.greet, at=at, message="Use greet-2.", by=cast.operator)
    assert told["retires"] == {"at": at, "message": "Use greet-2."}
    assert find_feature("greet", cast.alice).retires_at == at
    assert accept(cast.greet, {"name": "Ann"}, by=cast.alice).replayed is False
    save_operation(cast.greet, "user", "vars.tone", {"set": "warm"}, expected=ANY, by=cast.alice)


def test_once_retired_nothing_runs_or_is_saved_and_everything_can_be_read(cast: Cast) -> None:
    save_operation(cast.greet, "user", "vars.tone", {"set": "warm"}, expected=ANY, by=cast.alice)
    pin(cast.greet, "user", kind="base", version=1, by=cast.alice)
    then = served(cast, cast.alice)
    retire(cast.greet, at=datetime(2099, 1, 1, tzinfo=UTC), message="Use greet-2.", by=cast.operator)
    ended(cast)
    for refused_now in (
        lambda: accept(cast.greet, {"name": "Ann"}, by=cast.alice),
        lambda: save_operation(cast.greet, "user", "vars.tone", None, expected=ANY, by=cast.alice),
        lambda: save_operation(cast.greet, "tenant", "vars.tone", {"set": "warm"}, expected=ANY, by=cast.ada),
        lambda: pin(cast.greet, "user", kind="snapshot", by=cast.alice),
        lambda: restore(cast.greet, "user", at=then.at, by=cast.alice),
    ):
        with pytest.raises(Conflict, match=r"Greet was retired on \d{4}-\d\d-\d\d at \d\d:\d\d UTC. Use greet-2."):
            refused_now()
    assert served(cast, cast.alice).digest == then.digest
    unpin(cast.greet, "user", by=cast.alice)
    with cast.alice.present():
        assert pin_now(cast.greet, cast.alice.acting_for()) is None


def test_a_run_is_not_taken_in_by_a_process_that_served_it_a_moment_before_the_end(cast: Cast) -> None:
    """The cached answer knows the end and the INSERT the clock: nobody's cache runs a feature beyond it."""
    with cast.ada.present():
        soon = clock() + timedelta(milliseconds=400)
    retire(cast.greet, at=soon, by=cast.operator)
    accept(cast.greet, {"name": "Ann"}, by=cast.alice)
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT pg_sleep(greatest(0, extract(epoch FROM %s - clock_timestamp()))), 1", [soon])
    with pytest.raises(Conflict, match="was retired"):
        accept(cast.greet, {"name": "Ann"}, by=cast.alice)


def test_a_retirement_is_taken_back_and_never_in_the_past(cast: Cast) -> None:
    with pytest.raises(Invalid):
        retire(cast.greet, at=datetime(2020, 1, 1, tzinfo=UTC), by=cast.operator)
    with pytest.raises(Forbidden):
        retire(cast.greet, at=datetime(2099, 1, 1, tzinfo=UTC), by=cast.ada)
    with pytest.raises(NotFound):
        unretire(cast.greet, by=cast.operator)
    retire(cast.greet, at=datetime(2099, 1, 1, tzinfo=UTC), by=cast.operator)
    ended(cast)
    assert unretire(cast.greet, by=cast.operator)["retires"] is None
    assert accept(cast.greet, {"name": "Ann"}, by=cast.alice)
    assert Feature.objects.using(OPERATOR).get().retiring == ""
