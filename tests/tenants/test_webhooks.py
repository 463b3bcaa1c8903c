"""Customers are told what happens: at least once, signed, each webhook by itself, and never of anybody else's."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core import mail
from django.db import connections
from django.utils import timezone
from standardwebhooks.webhooks import WebhookVerificationError

from features.actions.availability import set_available
from features.actions.overrides import ANY, save_operation
from features.actions.versions import publish
from features.actions.withdrawals import withdraw
from features.runs.accept import accept
from features.runs.finish import Ending, cancel, finish
from features.runs.models import Run, State
from tenants import deliveries
from tenants.actor import Actor
from tenants.deliveries import PAUSES, Claimed, claim, courier, delete_old, settle, write
from tenants.isolation import tenant_tx
from tenants.models import AuditEvent, Delivery, Webhook
from tenants.webhooks import EVENTS, add_webhook, change_webhook, remove_webhook, renew_secret, resend, send_test, tell
from tests.cast import GREET, GREET_RULES, Cast
from tests.fakes.model import Answer, FakeModel
from tests.fakes.receiver import Message, Receiver
from tests.outside import until
from tests.working import look


@pytest.fixture
def receiver(cast: Cast, settings: Any) -> Iterator[Receiver]:
    settings.OUTBOUND_NETWORKS = [IPv4Network("127.0.0.0/8")]
    with Receiver() as there:
        yield there
        for place in there.places.values():
            if place.hold:
                place.hold.set()
        asyncio.run_coroutine_threadsafe(_all_done(), deliveries._loop()).result(60)


async def _all_done() -> None:
    """Wait for all deliveries under way: each looks on at its end, and would claim what the next test waits for."""
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(others)


@pytest.fixture
def hook(cast: Cast, receiver: Receiver) -> Callable[..., tuple[Webhook, str]]:
    """Somebody's webhook to a path of the receiver, of all events."""
    return lambda path="/hook", by=None, events=tuple(EVENTS): add_webhook(
        url=f"{receiver.base_url}{path}", events=events, by=by or cast.ada
    )


def ring(by: Actor, number: int = 1) -> None:
    """Let something happen to tell of."""
    for _ in range(number):
        with tenant_tx(by.tenant_id):
            tell(by.tenant_id, "override.changed", {"feature": "greet", "revision": 1})


def rows(by: Actor) -> list[Delivery]:
    with by.present():
        return list(Delivery.objects.order_by("id"))


def looking(condition: Callable[[], Any], what: str) -> Any:
    """Look until something is true, as beat does: a look finds nothing while the one before still looks on."""
    return until(lambda: (courier.look(), condition())[1], what)


def settled(by: Actor, number: int = 1) -> list[Delivery]:
    """Send what is due, and wait until so many deliveries have been attempted and written down."""
    return looking(lambda: _settled(by, number), "the deliveries are settled")


def _settled(by: Actor, number: int) -> list[Delivery]:
    done = [row for row in rows(by) if row.token is None and row.attempts]
    return done if len(done) >= number else []


def due_now(by: Actor) -> None:
    with by.present():
        Delivery.objects.filter(due_at__isnull=False).update(due_at=timezone.now())


def fields(message: Message) -> dict[str, Any]:
    return dict(json.loads(message.body))


# What is told


def test_the_end_of_a_run_is_told_once_with_ids_alone(
    cast: Cast, model: FakeModel, receiver: Receiver, hook: Any
) -> None:
    _, secret = hook()
    run_id = accept(cast.greet, {"name": "CANARY-Ann"}, by=cast.alice).run_id
    look()
    [row] = settled(cast.ada)
    [message] = receiver.messages
    told = message.verified(secret)
    assert told["type"] == "run.succeeded"
    assert told["data"] == {"run": str(run_id), "feature": "greet", "state": "succeeded"}
    assert datetime.fromisoformat(told["timestamp"]) == row.at
    assert b"CANARY" not in message.body and b"greeting" not in message.body
    assert (row.status, row.due_at, row.attempts) == (204, None, 1) and row.delivered_at is not None


def test_a_failed_a_cancelled_and_an_equal_run_are_told_too(
    cast: Cast, model: FakeModel, hook: Any, settings: Any
) -> None:
    settings.CACHE_SECONDS = 3600
    hook()
    model.script(Answer(status=401))
    accept(cast.greet, {"name": "Ann"}, by=cast.alice)
    look()
    cancelled = accept(cast.greet, {"name": "Bea"}, by=cast.alice).run_id
    with cast.alice.present():
        run = Run.objects.get(pk=cancelled)
    cancel(run, by=cast.alice)
    accept(cast.greet, {"name": "Cid"}, by=cast.alice)
    look()
    assert accept(cast.greet, {"name": "Cid"}, by=cast.alice).ended
    told = [row.event for row in rows(cast.ada)]
    assert told == ["run.failed", "run.cancelled", "run.succeeded", "run.succeeded"]


def test_the_runs_of_a_preview_are_told_to_nobody(cast: Cast, model: FakeModel, hook: Any) -> None:
    hook()
    run_id = accept(cast.greet, {"name": "Ann"}, by=cast.alice).run_id
    with cast.alice.present():
        Run.objects.filter(pk=run_id).update(preview=uuid4())
    assert finish(cast.ada.tenant_id, run_id, Ending(State.CANCELLED), token=None) == "cancelled"
    assert rows(cast.ada) == []


def test_what_is_rolled_back_is_told_to_nobody(cast: Cast, hook: Any) -> None:
    hook()
    with pytest.raises(ZeroDivisionError), tenant_tx(cast.ada.tenant_id):
        tell(cast.ada.tenant_id, "override.changed", {})
        raise ZeroDivisionError
    assert rows(cast.ada) == []


def test_only_what_was_asked_for_is_told_and_to_ones_own_organisation(cast: Cast, model: FakeModel, hook: Any) -> None:
    hook(events=["run.failed"])
    hook("/globex", by=cast.gus)
    accept(cast.greet, {"name": "Ann"}, by=cast.alice)
    look()
    assert rows(cast.ada) == [] and rows(cast.gus) == []


def test_the_organisations_own_changes_are_told_and_a_persons_are_not(cast: Cast, hook: Any) -> None:
    hook()
    save_operation(cast.greet, "tenant", "vars.tone", {"set": "warm"}, expected=ANY, by=cast.ada)
    save_operation(cast.greet, "user", "vars.tone", {"set": "formal"}, expected=ANY, by=cast.alice)
    assert [(row.event, row.data) for row in rows(cast.ada)] == [
        ("override.changed", {"feature": "greet", "revision": 1})
    ]


def test_what_the_vendor_moves_and_stops_is_told_to_all_who_have_it(cast: Cast, hook: Any) -> None:
    hook(), hook("/globex", by=cast.gus)
    warm = {**GREET, "vars": {**GREET["vars"], "tone": "warm"}}
    publish(cast.greet, behavior=warm, rules=GREET_RULES, make_current=True, by=cast.operator)
    withdraw(cast.greet, 1, replacement=2, reason="it was wrong", by=cast.operator)
    told = [("version.current", {"feature": "greet", "version": 2}),
            ("version.withdrawn", {"feature": "greet", "version": 1, "replacement": 2})]  # fmt: skip
    assert [(row.event, row.data) for row in rows(cast.ada)] == told
    assert [(row.event, row.data) for row in rows(cast.gus)] == told


def test_a_feature_that_an_organisation_does_not_have_is_not_told_of(cast: Cast, hook: Any) -> None:
    hook(), hook("/globex", by=cast.gus)
    set_available(cast.greet, listed_only=True, tenants=["acme"], by=cast.operator)
    warm = {**GREET, "vars": {**GREET["vars"], "tone": "warm"}}
    publish(cast.greet, behavior=warm, rules=GREET_RULES, make_current=True, by=cast.operator)
    assert [row.event for row in rows(cast.ada)] == ["version.current"] and rows(cast.gus) == []


# How it is sent


def test_the_official_library_verifies_every_message(cast: Cast, receiver: Receiver, hook: Any) -> None:
    """Texts that other languages' JSON trips over; and nothing else than what was signed."""
    _, secret = hook()
    texts = [
        "",
        "ü",
        "日本",
        "\U0001f642",
        '"',
        "\\",
        "</script>",
        "\u2028",
        "\x7f",
        "a.b.c",
        " ",
        "\n",
        "0",
        "e\u0301",
    ]
    with cast.ada.present():
        for text in texts:
            tell(cast.ada.tenant_id, "override.changed", {"feature": text})
    settled(cast.ada, len(texts))
    assert {message.verified(secret)["data"]["feature"] for message in receiver.messages} == set(texts)
    message = receiver.messages[0]
    for change in (
        {"body": message.body + b" "},
        {"headers": {**message.headers, "webhook-id": "msg_other"}},
        {"headers": {**message.headers, "webhook-timestamp": str(int(message.headers["webhook-timestamp"]) + 1)}},
    ):
        with pytest.raises(WebhookVerificationError):
            Message(**{"path": "", "headers": message.headers, "body": message.body, **change}).verified(secret)
    with pytest.raises(WebhookVerificationError):
        message.verified("whsec_" + "A" * 44)


def test_a_renewed_secret_signs_beside_the_old_one_for_a_time(cast: Cast, receiver: Receiver, hook: Any) -> None:
    webhook, old = hook()
    webhook, new = renew_secret(webhook, overlap=timedelta(hours=1), by=cast.ada)
    ring(cast.ada)
    settled(cast.ada)
    assert receiver.messages[0].verified(old) == receiver.messages[0].verified(new)
    with cast.ada.present():
        Webhook.objects.update(previous_until=timezone.now() - timedelta(seconds=1))
    ring(cast.ada)
    settled(cast.ada, 2)
    receiver.messages[1].verified(new)
    with pytest.raises(WebhookVerificationError):
        receiver.messages[1].verified(old)


@pytest.mark.parametrize("status", [500, 400, 301, 307, 199 + 300, 404])
def test_whatever_is_no_2xx_is_sent_again_under_the_same_id_and_signed_anew(
    status: int, cast: Cast, receiver: Receiver, hook: Any
) -> None:
    _, secret = hook()
    receiver.places["/hook"].statuses = [status]
    receiver.places["/hook"].headers = {"Location": f"{receiver.base_url}/elsewhere"}
    ring(cast.ada)
    [row] = settled(cast.ada)
    assert (row.status, row.attempts, row.delivered_at) == (status, 1, None)
    due_now(cast.ada)
    [row] = looking(lambda: [row for row in _settled(cast.ada, 1) if row.delivered_at], "delivered")
    first, second = receiver.messages
    assert first.id == second.id == f"msg_{row.id}" and first.body == second.body
    assert second.verified(secret) and receiver.at("/elsewhere") == []
    with cast.ada.present():
        assert Webhook.objects.get().failing_since is None  # it works again


def test_pauses_grow_with_jitter_and_come_to_an_end(cast: Cast, hook: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hook()
    ring(cast.ada)
    draws = iter([0.9, 1.1, 1.0] * 4)
    monkeypatch.setattr("tenants.deliveries.random.uniform", lambda low, high: next(draws))
    [row] = rows(cast.ada)
    for number, pause in enumerate(PAUSES):
        before = timezone.now()
        settle(_claim_one(cast.ada), deliveries.Outcome(503))
        [row] = rows(cast.ada)
        waits = (row.due_at - before).total_seconds()
        assert abs(waits - pause * [0.9, 1.1, 1.0][number % 3]) < 2
        due_now(cast.ada)
    settle(_claim_one(cast.ada), deliveries.Outcome(503))
    [row] = rows(cast.ada)
    assert (row.due_at, row.delivered_at, row.attempts) == (None, None, len(PAUSES) + 1)


def _claim_one(by: Actor) -> Claimed:
    [claimed] = claim(10)
    return claimed


def test_one_webhook_that_hangs_delays_no_other(cast: Cast, receiver: Receiver, hook: Any) -> None:
    """Not the same organisation's, not another's, however much waits for the one that hangs."""
    slow = receiver.places["/slow"]
    slow.hold = threading.Event()
    hook("/slow"), hook("/quick"), hook("/globex", by=cast.gus)
    ring(cast.ada, 20)
    looking(slow.begun.is_set, "one is called that does not answer")
    ring(cast.gus)
    looking(lambda: len(receiver.at("/quick")) == 20 and receiver.at("/globex"), "the others have theirs")
    until(lambda: len(receiver.at("/slow")) >= deliveries.EACH, "as many hang as may")
    assert not slow.hold.is_set() and len(receiver.at("/slow")) == deliveries.EACH
    slow.hold.set()
    looking(lambda: len(receiver.at("/slow")) == 20, "and then it has its own")
    until(lambda: not [row for row in rows(cast.ada) if row.due_at], "all is written down")


def test_of_a_webhook_that_fails_one_delivery_at_a_time_is_tried(cast: Cast, hook: Any) -> None:
    hook()
    ring(cast.ada, 5)
    with cast.ada.present():
        Webhook.objects.update(failing_since=timezone.now())
    assert len(claim(10)) == 1 and claim(10) == []


def test_a_webhook_that_hangs_is_left_in_the_end(
    cast: Cast, receiver: Receiver, hook: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "SECONDS", 0.2)
    hook()
    receiver.places["/hook"].hold = threading.Event()
    ring(cast.ada)
    [row] = settled(cast.ada)
    assert (row.status, row.problem) == (None, "no answer within 0.2 seconds") and row.due_at is not None


def test_a_delivery_whose_worker_died_is_made_again_by_another(cast: Cast, hook: Any) -> None:
    hook()
    ring(cast.ada)
    dead = _claim_one(cast.ada)
    assert claim(10) == []
    due_now(cast.ada)  # its claim lapses
    again = _claim_one(cast.ada)
    assert again.id == dead.id and again.token != dead.token
    settle(dead, deliveries.Outcome(200))  # who comes late changes nothing
    assert rows(cast.ada)[0].delivered_at is None
    settle(again, deliveries.Outcome(200))
    assert rows(cast.ada)[0].delivered_at is not None


def test_two_workers_never_claim_the_same_delivery(cast: Cast, hook: Any) -> None:
    hook()
    ring(cast.ada, 40)
    barrier, claimed = threading.Barrier(8), list[UUID]()

    def work() -> None:
        try:
            barrier.wait()
            for _ in range(10):
                claimed.extend(one.id for one in claim(3))
        finally:
            connections["operator"].close()

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(claimed) == len(set(claimed)) == deliveries.EACH


def test_one_worker_claims_at_a_time_so_that_its_counts_are_true(cast: Cast, hook: Any) -> None:
    hook()
    ring(cast.ada)
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [deliveries.CLAIMING])
        try:
            assert claim(10) == []
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [deliveries.CLAIMING])
    assert len(claim(10)) == 1


def test_an_address_that_leads_inside_by_now_is_not_called(
    cast: Cast, receiver: Receiver, hook: Any, settings: Any
) -> None:
    hook()
    ring(cast.ada)
    settings.OUTBOUND_NETWORKS = []
    [row] = settled(cast.ada)
    assert row.status is None and row.problem and receiver.messages == []


def test_a_secret_that_cannot_be_read_signs_nothing(cast: Cast, receiver: Receiver, hook: Any, settings: Any) -> None:
    hook()
    ring(cast.ada)
    settings.SECRET_RING = {"another": b"x" * 32}
    [row] = settled(cast.ada)
    assert row.problem.startswith("The webhook's secret cannot be read") and receiver.messages == []


# When it ends


def test_410_disables_it_with_an_audit_row_and_a_mail_to_the_admins(cast: Cast, receiver: Receiver, hook: Any) -> None:
    webhook, _ = hook()
    receiver.places["/hook"].statuses = [410] * 4
    ring(cast.ada, 6)
    looking(lambda: _of(cast.ada, webhook).disabled_at, "it is disabled")
    assert _of(cast.ada, webhook).disabled_why == "gone"
    until(lambda: mail.outbox, "the mail is out")
    until(lambda: all(row.due_at is None for row in rows(cast.ada)), "what waits is stopped")
    [message] = mail.outbox
    assert message.to == ["ada@acme.example"] and "410 Gone" in message.body
    with cast.ada.present():
        [event] = AuditEvent.objects.filter(actor="system:webhooks")
    assert (event.verb, event.detail) == ("webhook.manage", {"disabled": "gone"})
    ring(cast.ada)
    assert len(rows(cast.ada)) == 6  # nothing is written for it any more


def test_after_days_without_a_success_it_is_disabled(cast: Cast, hook: Any) -> None:
    webhook, _ = hook()
    for age, disabled in ((timedelta(days=4), False), (timedelta(days=6), True)):
        with cast.ada.present():
            Webhook.objects.update(failing_since=timezone.now() - age)
        ring(cast.ada)
        settle(_claim_one(cast.ada), deliveries.Outcome(None, "no answer"))
        assert (_of(cast.ada, webhook).disabled_at is not None) is disabled
    assert _of(cast.ada, webhook).disabled_why == "failing" and len(mail.outbox) == 1


def test_disabled_by_hand_it_gets_nothing_until_it_is_enabled(cast: Cast, receiver: Receiver, hook: Any) -> None:
    webhook, _ = hook()
    ring(cast.ada)
    change_webhook(webhook, enabled=False, by=cast.ada)
    ring(cast.ada)
    assert courier.look() == 0 and [row.due_at for row in rows(cast.ada)] == [None]
    change_webhook(webhook, enabled=True, by=cast.ada)
    ring(cast.ada)
    settled(cast.ada)
    assert len(receiver.messages) == 1


def test_a_claim_of_what_was_stopped_meanwhile_sends_nothing(cast: Cast, hook: Any) -> None:
    webhook, _ = hook()
    ring(cast.ada)
    claimed = _claim_one(cast.ada)
    remove_webhook(webhook, by=cast.ada)
    assert write(claimed) is None
    with cast.ada.present():
        gone = Webhook.objects.get()
    assert (gone.secret, gone.previous) == ("", "")


def test_what_has_failed_is_sent_again_when_somebody_asks(cast: Cast, receiver: Receiver, hook: Any) -> None:
    hook()
    ring(cast.ada)
    [row] = settled(cast.ada)
    resend(row, by=cast.ada)
    looking(lambda: len(receiver.messages) == 2, "it came again")
    assert receiver.messages[0].id == receiver.messages[1].id


def test_a_test_goes_to_one_webhook_alone(cast: Cast, receiver: Receiver, hook: Any) -> None:
    webhook, secret = hook()
    hook("/other")
    send_test(webhook, by=cast.ada)
    settled(cast.ada)
    assert receiver.messages[0].verified(secret)["type"] == "webhook.test" and receiver.at("/other") == []


def test_deliveries_are_kept_for_a_month(cast: Cast, hook: Any) -> None:
    hook()
    ring(cast.ada, 3)
    with cast.ada.present():
        old = Delivery.objects.order_by("id").first()
        assert old is not None
        Delivery.objects.filter(pk=old.pk).update(at=timezone.now() - timedelta(days=31))
    assert delete_old() == 1 and len(rows(cast.ada)) == 2


def test_ids_made_by_the_database_are_uuid7_in_order(cast: Cast, hook: Any) -> None:
    hook()
    before = datetime.now(UTC)
    for _ in range(5):
        ring(cast.ada)
    found = rows(cast.ada)
    assert {row.id.version for row in found} == {7} and {row.id.variant for row in found} == {uuid4().variant}
    assert sorted(found, key=lambda row: row.at) == found or len({row.at for row in found}) == 5
    assert all(row.id.int >> 80 >= int(before.timestamp() * 1000) - 1 for row in found)


def test_the_operator_claims_and_reads_neither_address_nor_secret(committed: None) -> None:
    with connections["owner"].cursor() as cursor:
        for column in ("url", "secret", "previous", "description"):
            cursor.execute("SELECT has_column_privilege('bespoke_operator', 'tenants_webhook', %s, 'SELECT')", [column])
            assert cursor.fetchone() == (False,), column
        cursor.execute("SELECT has_column_privilege('bespoke_operator', 'tenants_delivery', 'data', 'SELECT')")
        assert cursor.fetchone() == (False,)


def _of(by: Actor, webhook: Webhook) -> Webhook:
    with by.present():
        return Webhook.objects.get(pk=webhook.pk)
