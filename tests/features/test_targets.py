"""What aliases mean: whom a change reaches, and targets that end."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connections

from features.actions.overrides import ANY, delete_override, save_operation
from features.actions.pins import pin, restore
from features.actions.targets import add_target, end_target, keep_target, point_alias, rehearse_target, target_of
from features.actions.versions import publish
from features.models import ModelTarget
from features.resolve import clock, forget, serve, serve_warm
from tenants.actor import Actor
from tenants.errors import Conflict, Forbidden, Invalid, NotFound
from tenants.isolation import OPERATOR
from tests.cast import GREET, Cast

NEW: dict[str, Any] = {"provider": "demo", "model": "newer", "input_price": 1, "output_price": 2}
LATER = datetime(2099, 1, 1, tzinfo=UTC)


def served(cast: Cast, who: Actor, at: Any = None) -> Any:
    with who.present():
        if at is not None:
            return serve(cast.greet, who.tenant_id, who.acting_for(), at)
        return serve_warm(cast.greet, who.tenant_id, who.acting_for())


def stays_on_the_first_target(cast: Cast, *people: Actor) -> None:
    """Each of them pins what they are served, and then the alias means another."""
    for who in people:
        pin(cast.greet, "user", kind="snapshot", by=who)
    add_target(alias="standard", **NEW, by=cast.operator)


def revision(cast: Cast, who: Actor) -> int:
    return int(served(cast, who).receipt.model_target["revision"])


def test_a_rehearsal_tells_whom_a_new_target_reaches_and_adds_none(cast: Cast) -> None:
    pin(cast.greet, "user", kind="snapshot", by=cast.alice)
    pin(cast.greet, "user", kind="snapshot", by=cast.mallory)
    save_operation(cast.greet, "tenant", "model.name", {"set": "standard"}, expected=ANY, by=cast.ada)
    save_operation(cast.greet, "tenant", "model.temperature", {"set": 1}, expected=ANY, by=cast.gus)
    told = rehearse_target(alias="standard", **NEW, by=cast.operator)
    named = told.named.as_json()
    assert (told.before, told.target.revision) == (1, 2)
    assert named["versions"] == [{"feature": "greet", "versions": [1], "current": True}]
    assert named["overrides"] == {"by_tenants": 1, "by_users": 0, "tenants": 1}
    assert named["pins"] == [{"revision": 1, "pins": 2, "tenants": 2}]
    assert sorted(row["tenant"] for row in named["pinned_tenants"]) == ["acme", "globex"]
    assert [row.revision for row in ModelTarget.objects.using(OPERATOR).all()] == [1]
    assert revision(cast, cast.bob) == 1


def test_an_alias_is_told_how_many_changes_name_it_as_they_are_now(cast: Cast) -> None:
    def told(alias: str) -> Any:
        return target_of(alias, 1, cast.operator).named.as_json()["overrides"]

    add_target(alias="larger", **NEW, by=cast.operator)
    publish(cast.greet, behavior=GREET, rules={"model.*": {"edit": "user"}}, make_current=True, by=cast.operator)
    nobody = {"by_tenants": 0, "by_users": 0, "tenants": 0}
    assert told("standard") == told("larger") == nobody
    save_operation(cast.greet, "tenant", "model.fallbacks", {"set": ["larger"]}, expected=ANY, by=cast.ada)
    save_operation(cast.greet, "user", "model.name", {"set": "larger"}, expected=ANY, by=cast.alice)
    save_operation(cast.greet, "user", "model.name", {"set": "larger"}, expected=ANY, by=cast.mallory)
    save_operation(cast.greet, "user", "vars.tone", {"set": "larger"}, expected=ANY, by=cast.bob)
    assert told("larger") == {"by_tenants": 1, "by_users": 2, "tenants": 2}
    save_operation(cast.greet, "user", "model.name", {"set": "standard"}, expected=ANY, by=cast.mallory)
    delete_override(cast.greet, "tenant", expected=ANY, by=cast.ada)
    assert told("larger") == {"by_tenants": 0, "by_users": 1, "tenants": 1}
    assert told("standard") == {"by_tenants": 0, "by_users": 1, "tenants": 1}


def test_pointing_an_alias_reaches_everybody_but_snapshots(cast: Cast) -> None:
    stays_on_the_first_target(cast, cast.alice)
    assert (revision(cast, cast.alice), revision(cast, cast.bob)) == (1, 2)
    assert point_alias("standard", 1, by=cast.operator, dry_run=True).before == 2
    assert revision(cast, cast.bob) == 2
    point_alias("standard", 1, by=cast.operator)
    assert revision(cast, cast.bob) == 1


def test_a_target_ended_is_substituted_for_whoever_had_pinned_it_and_as_of_before_it_was_not(cast: Cast) -> None:
    stays_on_the_first_target(cast, cast.alice)
    before = served(cast, cast.alice)
    assert end_target("standard", 1, at=None, by=cast.operator).named.as_json()["pins"] == [
        {"revision": 1, "pins": 1, "tenants": 1},
    ]  # fmt: skip
    now = served(cast, cast.alice)
    assert (now.receipt.model_target["revision"], now.receipt.substituted, now.digest) == (2, True, before.digest)
    then = served(cast, cast.alice, before.at)
    assert (then.receipt.model_target["revision"], then.receipt.substituted) == (1, False)
    keep_target("standard", 1, by=cast.operator)
    assert (revision(cast, cast.alice), served(cast, cast.alice).receipt.substituted) == (1, False)


def test_a_restore_to_a_target_that_ended_says_that_another_stands_in(cast: Cast) -> None:
    with cast.alice.present():
        then = clock()
    add_target(alias="standard", **NEW, by=cast.operator)
    end_target("standard", 1, at=None, by=cast.operator)
    restored = restore(cast.greet, "user", at=then, by=cast.alice)
    assert (restored.result, restored.reasons) == (
        "substituted",
        ("A model of then is gone, and another stands in for it.",),
    )


def test_nobodys_cache_serves_a_target_beyond_its_end(cast: Cast) -> None:
    stays_on_the_first_target(cast, cast.alice)
    with cast.alice.present():
        soon = clock() + timedelta(milliseconds=400)
    end_target("standard", 1, at=soon, by=cast.operator)
    assert revision(cast, cast.alice) == 1
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT pg_sleep(greatest(0, extract(epoch FROM %s - clock_timestamp()))), 1", [soon])
    assert revision(cast, cast.alice) == 2
    forget()
    assert revision(cast, cast.alice) == 2


def test_the_target_that_an_alias_means_ends_only_with_another_named(cast: Cast) -> None:
    with pytest.raises(Conflict, match="name the replacement"):
        end_target("standard", 1, at=LATER, by=cast.operator)
    stays_on_the_first_target(cast, cast.alice)
    point_alias("standard", 1, by=cast.operator)
    ended = end_target("standard", 1, at=LATER, replacement=2, by=cast.operator)
    assert (ended.target.ends_at, ended.current, ended.before) == (LATER, False, 1)
    assert (revision(cast, cast.alice), revision(cast, cast.bob)) == (1, 2)
    with pytest.raises(Conflict, match="ends on 2099-01-01"):
        point_alias("standard", 1, by=cast.operator)
    with pytest.raises(Conflict, match="means target 2 already"):
        end_target("standard", 1, at=LATER, replacement=2, by=cast.operator)


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"revision": 9}, NotFound),
        ({"at": datetime(2020, 1, 1, tzinfo=UTC)}, Invalid),
        ({"revision": 2, "replacement": 2}, Conflict),
        ({"revision": 2, "replacement": 9}, NotFound),
    ],
)
def test_what_makes_no_sense_is_refused(cast: Cast, change: dict[str, Any], wrong: Any) -> None:
    add_target(alias="standard", **NEW, by=cast.operator)
    with pytest.raises(wrong):
        end_target("standard", **{"revision": 1, "at": None, **change}, by=cast.operator)
    assert target_of("standard", 1, cast.operator).target.ends_at is None


def test_a_target_with_no_end_cannot_be_kept_and_customers_end_nothing(cast: Cast) -> None:
    with pytest.raises(Conflict):
        keep_target("standard", 1, by=cast.operator)
    with pytest.raises(Forbidden):
        end_target("standard", 1, at=LATER, by=cast.ada)
    with pytest.raises(Forbidden):
        target_of("standard", 1, cast.ada)
