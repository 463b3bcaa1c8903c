"""What is not kept: runs that are not to be stored, runs older than retention, idempotency keys after a day."""

import hashlib
import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from features.actions.policy import set_policy
from features.runs import forgetting
from features.runs.accept import accept, find_run
from features.runs.events import stream_key
from features.runs.forgetting import delete_old_keys, delete_old_runs, forget_unstored
from features.runs.models import Attempt, IdempotencyKey, Ledger, Run
from features.runs.replay import replay
from features.runs.taking import Asked
from tenants.errors import Conflict
from tenants.ids import floor_of
from tenants.valkey import client as broker
from tests.cast import Cast
from tests.fakes.model import FakeModel
from tests.working import look


def ended(cast: Cast, name: str = "Ann", **asked: Any) -> Run:
    run_id = accept(cast.greet, {"name": name}, asked=Asked(**asked), by=cast.alice).run_id
    look()
    run = find_run(run_id, cast.alice)
    assert run is not None and run.output == {"greeting": "Hello"}
    return run


def sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


@pytest.mark.parametrize("whose", ["the run's", "the organisation's"])
def test_what_is_not_to_be_stored_goes_and_its_digests_and_usage_stay(
    whose: str, cast: Cast, model: FakeModel, settings: Any
) -> None:
    settings.UNSTORED_SECONDS = 0
    if whose == "the organisation's":
        set_policy(store=False, by=cast.ada)
    run, kept = ended(cast, store=whose != "the run's"), None
    if whose == "the run's":
        kept = ended(cast, "Bea")
    stream = stream_key(cast.alice.tenant_id, run.id)
    assert broker.exists(stream)  # where its words went by
    assert forget_unstored() == 1 and not broker.exists(stream)
    gone = find_run(run.id, cast.alice)
    assert gone is not None and (gone.input, gone.output, gone.forget_at) == (None, None, None)
    assert (gone.input_digest, gone.output_digest) == (sha256({"name": "Ann"}), sha256({"greeting": "Hello"}))
    assert gone.usage == {"input_tokens": 100, "cached_input_tokens": 0, "output_tokens": 10} and gone.cost == 140
    if kept is not None:
        still = find_run(kept.id, cast.alice)
        assert still is not None and still.input == {"name": "Bea"}
    with pytest.raises(Conflict, match="not kept"):
        replay(gone, "same", by=cast.alice)


def test_what_is_not_stored_can_be_fetched_for_a_while(cast: Cast, model: FakeModel) -> None:
    run = ended(cast, store=False)
    assert forget_unstored() == 0
    again = find_run(run.id, cast.alice)
    assert again is not None and again.output == {"greeting": "Hello"}


def aged(cast: Cast, run: Run, days: int) -> UUID:
    """The run as if it had been made so many days ago; its id carries the time."""
    old = UUID(int=floor_of(timezone.now() - timedelta(days=days)).int + (run.id.int & (1 << 60) - 1))
    with cast.alice.present():
        Attempt.objects.filter(run=run.id).update(run=old)
        Ledger.objects.filter(run=run.id).update(run=old)
        Run.objects.filter(pk=run.id).update(id=old)
    return old


def test_runs_are_deleted_when_they_are_older_than_the_organisation_keeps_them(cast: Cast, model: FakeModel) -> None:
    old, young = aged(cast, ended(cast), 31), aged(cast, ended(cast, "Bea"), 29)
    assert delete_old_runs() == 0  # nobody said so
    set_policy(retention_days=30, by=cast.ada)
    assert delete_old_runs() == 1
    assert find_run(old, cast.alice) is None and find_run(young, cast.alice) is not None
    with cast.alice.present():
        assert {row.run for row in Attempt.objects.all()} == {young}
        assert {row.run for row in Ledger.objects.all()} == {old, young}  # what was spent was spent


def test_what_still_waits_is_not_deleted_however_old_it_is(cast: Cast, model: FakeModel) -> None:
    waits = accept(cast.greet, {"name": "Ann"}, by=cast.alice).run_id
    old = UUID(int=floor_of(timezone.now() - timedelta(days=400)).int + 1)
    with cast.alice.present():
        Run.objects.filter(pk=waits).update(id=old)
    set_policy(retention_days=1, by=cast.ada)
    assert delete_old_runs() == 0 and find_run(old, cast.alice) is not None


def test_one_organisations_retention_is_its_own(cast: Cast, model: FakeModel) -> None:
    old = aged(cast, ended(cast), 31)
    set_policy(retention_days=1, by=cast.gus)
    assert delete_old_runs() == 0 and find_run(old, cast.alice) is not None


def test_retention_deletes_in_pieces(cast: Cast, model: FakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "PIECE", 2)
    for number in range(5):
        aged(cast, ended(cast, f"Ann {number}"), 31)
    set_policy(retention_days=30, by=cast.ada)
    with CaptureQueriesContext(connections["default"]) as asked:
        assert delete_old_runs() == 5
    pieces = [query for query in asked if query["sql"].startswith("DELETE FROM runs_run")]
    commits = [query for query in asked if query["sql"] == "COMMIT"]
    assert len(pieces) == 4 and len(commits) >= 4  # 2, 2, 1 and none, each in a transaction of its own


def test_an_idempotency_key_is_good_for_a_day(cast: Cast, model: FakeModel) -> None:
    for key in ("old", "new"):
        accept(cast.greet, {"name": "Ann"}, idempotency_key=key, by=cast.alice)
    with cast.alice.present():
        IdempotencyKey.objects.filter(key="old").update(created_at=timezone.now() - timedelta(hours=25))
    assert delete_old_keys() == 1
    with cast.alice.present():
        assert [row.key for row in IdempotencyKey.objects.all()] == ["new"]
