"""What there is for somebody, read once for a page: the same as what is served, and never older than one's own writing."""

from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from features.actions.availability import set_available
from features.actions.overrides import ANY, save_operation, whose
from features.actions.pins import pin
from features.actions.versions import create_feature, publish
from features.find import find_feature
from features.models import Feature
from features.overview import Layer, Overview
from features.resolve import forget, serve
from features.served import Served
from tenants.actor import Actor
from tenants.errors import NotFound
from tests.cast import GREET, Cast

NEW_ROLE: dict[str, Any] = {**GREET, "instructions": {**GREET["instructions"], "role": "You greet people tersely."}}
LAYERS: tuple[Layer, ...] = ("user", "tenant")


def warm(who: Actor, feature: Feature, layer: Layer = "user") -> None:
    save_operation(feature, layer, "vars.tone", {"set": "warm"}, expected=ANY, by=who)


def digests(overview: Overview, feature: Feature) -> list[str]:
    return [overview.served(feature, layer).digest for layer in LAYERS]


def digests_by_rows(who: Actor, feature: Feature) -> list[str]:
    with who.present():
        return [serve(feature, who.tenant_id, whose(layer, who)).digest for layer in LAYERS]


def statements(of: Any) -> int:
    """How many statements it makes, beside opening and closing transactions."""
    with CaptureQueriesContext(connections["default"]) as made:
        of()
    beside = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "SELECT set_config")
    return sum(not query["sql"].startswith(beside) for query in made)


def test_it_says_what_everybody_and_their_organisation_is_served(cast: Cast) -> None:
    warm(cast.alice, cast.greet)
    save_operation(cast.greet, "tenant", "vars.tone", {"set": "formal"}, expected=ANY, by=cast.ada)
    pin(cast.greet, "user", kind="base", version=1, by=cast.bob)
    for who in cast.everybody():
        for _warmed in range(2):
            assert digests(Overview(who), cast.greet) == digests_by_rows(who, cast.greet), who.name
    assert len({tuple(digests(Overview(who), cast.greet)) for who in cast.everybody()}) == 3


def test_all_of_it_is_one_statement_where_this_process_has_served_them_before(cast: Cast) -> None:
    create_feature(key="other", title="Other", behavior=GREET, by=cast.operator)
    warm(cast.alice, cast.greet)
    save_operation(cast.greet, "tenant", "vars.language", {"set": "French"}, expected=ANY, by=cast.ada)
    save_operation(cast.greet, "tenant", "vars.tone", {"set": "formal"}, expected=ANY, by=cast.ada)

    def look() -> None:
        overview = Overview(cast.alice)
        overview.behind()
        for feature in overview.features:
            digests(overview, feature)

    look()
    assert statements(look) == 1


def test_all_of_it_is_three_statements_where_this_process_has_served_nobody_yet(cast: Cast) -> None:
    everything = [create_feature(key=key, title=key, behavior=GREET, by=cast.operator)[0] for key in "abcdef"]
    retired, held = everything[0], everything[1]
    set_available(retired, listed_only=True, tenants=["globex"], by=cast.operator)
    save_operation(held, "user", "instructions.role", {"set": "Mine"}, expected=ANY, by=cast.alice)
    publish(held, behavior=NEW_ROLE, make_current=True, by=cast.operator)
    pin(everything[2], "user", kind="base", version=1, by=cast.alice)
    for feature in everything[3:]:
        warm(cast.ada, feature, "tenant")
    forget()
    found: dict[Any, Served] = {}

    def look() -> None:
        overview = Overview(cast.alice)
        found.update(overview.served_each())
        for feature in overview.features:
            digests(overview, feature)

    assert statements(look) == 3 + len(everything[1:])  # and what Acme is served of each but the first that is asked
    assert found.keys() == {cast.greet.id, *(feature.id for feature in everything[1:])}
    forget()
    with cast.alice.present():
        for feature_id, served in found.items():
            alone = serve(served.feature, cast.alice.tenant_id, cast.alice.acting_for())
            assert (alone.receipt, alone.choice) == (served.receipt, served.choice), feature_id
    assert Overview(cast.alice).behind() == {held.id: "held", everything[2].id: "pin"}


def test_the_next_one_sees_what_somebody_has_done_meanwhile(cast: Cast) -> None:
    before = Overview(cast.alice)
    old = digests(before, cast.greet)
    save_operation(cast.greet, "tenant", "vars.tone", {"set": "formal"}, expected=ANY, by=cast.ada)
    assert digests(Overview(cast.alice), cast.greet) == digests_by_rows(cast.alice, cast.greet) != old
    assert digests(before, cast.greet) == old  # as of one moment


def test_within_a_transaction_that_writes_it_says_what_was_written(cast: Cast) -> None:
    overview = Overview(cast.alice)
    old = overview.served(cast.greet).digest
    with pytest.raises(KeyError), cast.alice.present():
        warm(cast.alice, cast.greet)
        assert overview.served(cast.greet).effective.fields["vars.tone"] == "warm"
        raise KeyError  # and so it was never written
    assert [one.served(cast.greet).digest for one in (overview, Overview(cast.alice))] == [old, old]


def test_what_an_organisation_does_not_have_is_not_there(cast: Cast) -> None:
    set_available(cast.greet, listed_only=True, tenants=["acme"], by=cast.operator)
    assert [Overview(who).features for who in (cast.alice, cast.mallory)] == [[cast.greet], []]
    refused = []
    for find in (Overview(cast.mallory).feature, lambda key: find_feature(key, cast.mallory)):
        with pytest.raises(NotFound) as told:
            find("greet")
        refused.append(told.value.detail)
    assert refused[0] == refused[1]
    with pytest.raises(NotFound):
        Overview(cast.mallory).served(cast.greet)
