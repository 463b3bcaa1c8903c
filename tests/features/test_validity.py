"""Rows valid from one instant to another are written one after the other, whoever else writes and whatever clocks do."""

import threading
from datetime import timedelta
from functools import partial
from typing import Any

from django.db import connections
from django.db.models import F

from features.actions.overrides import ANY, save_operation
from features.actions.pins import pin, unpin
from features.models import Pin
from features.reading import read
from features.resolve import serve, serve_as_read
from features.validity import bump, bump_each
from tenants.isolation import APP, tenant_tx
from tenants.subjects import tenant_itself
from tests.cast import Cast
from tests.outside import until
from tests.tenants.test_membership import at_once, errors

WAITS = """SELECT count(*) FROM pg_locks w JOIN pg_locks here ON here.pid = w.pid
JOIN pg_database d ON d.oid = here.database WHERE NOT w.granted AND d.datname = current_database()"""
TAKE = "SELECT value FROM features_stamp WHERE subject = %s FOR UPDATE NOWAIT"


def test_many_who_pin_at_once_do_so_one_after_the_other(cast: Cast) -> None:
    came = at_once(*[partial(pin, cast.greet, "user", kind="base", version=1, by=cast.alice)] * 6)
    assert errors(came) == []
    with cast.alice.present():
        rows = list(Pin.objects.order_by("valid_from"))
    assert [row.valid_to for row in rows] == [*(row.valid_from for row in rows[1:]), None]
    took_its_place = {moved.pin.id: moved.previous and moved.previous.id for moved in came if moved.pin}
    assert [took_its_place[row.id] for row in rows] == [None, *(row.id for row in rows[:-1])]


def test_a_clock_that_stepped_back_keeps_nobody_from_staying_or_following(cast: Cast) -> None:
    pin(cast.greet, "user", kind="base", version=1, by=cast.alice)
    with cast.alice.present():  # as if it had been made before the clock was set back by a minute
        Pin.objects.update(valid_from=F("valid_from") + timedelta(minutes=1))
    pin(cast.greet, "user", kind="snapshot", by=cast.alice)
    pin(cast.greet, "user", kind="base", version=1, by=cast.alice)
    with cast.alice.present():
        first, second, third = Pin.objects.order_by("valid_from")
    assert first.valid_from < first.valid_to == second.valid_from < second.valid_to == third.valid_from
    assert third.valid_to is None


def test_following_ends_the_row_and_opens_none(cast: Cast) -> None:
    pin(cast.greet, "user", kind="base", version=1, by=cast.alice)
    unpin(cast.greet, "user", by=cast.alice)
    with cast.alice.present():
        row = Pin.objects.get()
        assert (
            row.valid_from < row.valid_to
            and serve(cast.greet, row.tenant_id, cast.alice.acting_for()).receipt.pin is None
        )


def test_locks_are_taken_in_one_order_users_before_their_organisation(cast: Cast) -> None:
    tenant_id, feature = cast.alice.tenant_id, cast.greet.id
    first, second = sorted((cast.alice.acting_for(), cast.bob.acting_for()), key=lambda who: who.id)
    backwards = [(feature, tenant_itself(tenant_id)), (feature, second), (feature, first)]
    with tenant_tx(tenant_id):
        bump_each(tenant_id, backwards)

    def go() -> None:
        with tenant_tx(tenant_id):
            bump_each(tenant_id, backwards)
        connections.close_all()

    waiting = threading.Thread(target=go)
    with tenant_tx(tenant_id), connections[APP].cursor() as cursor:
        bump(tenant_id, feature, first.id)
        waiting.start()
        until(lambda: _asked(cursor, WAITS), "the other waits for the first of them")
        assert [_asked(cursor, TAKE, who) for who in (second.id, tenant_id)] == [1, 1]  # which it has not taken yet
    waiting.join()
    with tenant_tx(tenant_id), connections[APP].cursor() as cursor:
        assert [_asked(cursor, TAKE, who) for who in (first.id, second.id, tenant_id)] == [3, 2, 2]


def test_what_was_read_of_a_user_says_the_same_of_their_organisation(cast: Cast) -> None:
    tenant_id, who, itself = cast.alice.tenant_id, cast.alice.acting_for(), tenant_itself(cast.alice.tenant_id)
    for layer, by, tone in (("tenant", cast.ada, "formal"), ("user", cast.alice, "warm")):
        save_operation(cast.greet, layer, "vars.tone", {"set": tone}, expected=ANY, by=by)
        pin(cast.greet, layer, kind="snapshot", by=by)
        save_operation(cast.greet, layer, "vars.language", {"set": "French"}, expected=ANY, by=by)
    with cast.alice.present():
        theirs, ours = read(cast.greet, tenant_id, who).of_tenant(), read(cast.greet, tenant_id, itself)
        assert (theirs.pin, theirs.newest, theirs.stamps) == (ours.pin, ours.newest, ours.stamps)
        assert serve_as_read(theirs).receipt == serve_as_read(ours).receipt
        assert serve_as_read(ours).receipt.pin and serve_as_read(ours).receipt.tenant == 2


def _asked(cursor: Any, statement: str, *values: Any) -> Any:
    cursor.execute(statement, values)
    return cursor.fetchone()[0]
