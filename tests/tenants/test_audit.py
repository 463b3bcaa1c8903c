"""The audit's chains: whatever is done to one behind its back shows, and people who write at once leave no gap."""

import json
import random
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from io import StringIO
from ipaddress import IPv4Network
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import ProgrammingError, connection, connections
from django.utils import timezone

from tenants.actions import add_member, change_role, create_key
from tenants.audit import heads, read_heads, record, tell_heads
from tenants.chain import content, genesis, link, plain
from tenants.errors import Conflict
from tenants.isolation import OPERATOR, operator_tx, tenant_tx
from tenants.models import AuditEvent, Member, VendorAuditEvent
from tenants.walking import STRETCH, Fault, Place, Verified, verified
from tests.canaries import superuser
from tests.cast import Cast
from tests.fakes.receiver import Receiver
from tests.processes import as_superuser

EVENTS = 40


class Intruder:
    """Somebody who owns the database, and puts everything back afterwards."""

    def __init__(self, url: str, tenant: UUID) -> None:
        self.db, self.tenant = psycopg.connect(url, autocommit=True), tenant
        for table in ("auditevent", "audithead"):
            self.db.execute(f"CREATE TEMP TABLE {table}_before AS SELECT * FROM tenants_{table}")
        self.db.execute("ALTER TABLE tenants_auditevent DROP CONSTRAINT audit_in_order")

    def put_back(self) -> None:
        for table in ("auditevent", "audithead"):
            self.db.execute(f"DELETE FROM tenants_{table}")
            self.db.execute(f"INSERT INTO tenants_{table} SELECT * FROM {table}_before")

    def leave(self) -> None:
        self.put_back()
        self.db.execute("ALTER TABLE tenants_auditevent ADD CONSTRAINT audit_in_order UNIQUE (tenant_id, sequence)")
        self.db.close()

    def sql(self, statement: str, *parameters: Any) -> list[Any]:
        cursor = self.db.execute(statement.replace("WHERE", f"WHERE tenant_id = '{self.tenant}' AND", 1), parameters)
        return cursor.fetchall() if cursor.description else []

    def flip(self, at: int, dice: random.Random) -> None:
        column = dice.choice(["actor", "verb", "target", "at", "detail", "digest", "id"])
        other = {
            "at": "at + interval '1 microsecond'", "detail": """detail || '{"more": 1}'""",
            "digest": "set_byte(digest, 5, 255 - get_byte(digest, 5))", "id": "gen_random_uuid()",
        }.get(column, f"overlay({column} placing '~' from 2 for 1)")  # fmt: skip
        self.sql(f"UPDATE tenants_auditevent SET {column} = {other} WHERE sequence = %s", at)

    def delete(self, at: int, dice: random.Random) -> None:
        self.sql("DELETE FROM tenants_auditevent WHERE sequence = %s", at)

    def reorder(self, at: int, dice: random.Random) -> None:
        other = dice.choice([n for n in range(1, EVENTS + 1) if n != at])
        self.sql("UPDATE tenants_auditevent SET sequence = CASE WHEN sequence = %s THEN %s ELSE %s END"
                 " WHERE sequence IN (%s, %s)", at, other, at, at, other)  # fmt: skip

    def insert(self, at: int, dice: random.Random) -> None:
        self.sql("INSERT INTO tenants_auditevent (id, tenant_id, at, actor, verb, target, detail, sequence, digest)"
                 " SELECT gen_random_uuid(), tenant_id, at, actor, 'forged', target, detail, sequence, digest"
                 " FROM tenants_auditevent WHERE sequence = %s", at)  # fmt: skip

    def cut(self, at: int, dice: random.Random) -> None:
        """Take the tail away and set the head to match: nothing in the database is out of order then."""
        self.sql("DELETE FROM tenants_auditevent WHERE sequence >= %s", at)
        rows = self.sql("SELECT digest FROM tenants_auditevent WHERE sequence = %s", at - 1)
        digest = rows[0][0] if rows else genesis(str(self.tenant))
        self.sql("UPDATE tenants_audithead SET sequence = %s, digest = %s WHERE true", at - 1, digest)

    def fork(self, at: int, dice: random.Random) -> None:
        """Change one event and make everything after it anew, and the head too."""
        before = self.sql("SELECT digest FROM tenants_auditevent WHERE sequence = %s", at - 1)
        digest = before[0][0] if before else genesis(str(self.tenant))
        self.sql("UPDATE tenants_auditevent SET verb = 'forged' WHERE sequence = %s", at)
        rows = self.sql("SELECT sequence, id, at, actor, verb, target, detail FROM tenants_auditevent"
                        " WHERE sequence >= %s ORDER BY sequence", at)  # fmt: skip
        for sequence, id_, moment, actor, verb, target, detail in rows:
            new = content(id=str(id_), at=moment, actor=actor, verb=verb, target=target, detail=detail)
            digest = link(digest, sequence, new)
            self.sql("UPDATE tenants_auditevent SET digest = %s WHERE sequence = %s", digest, sequence)
        self.sql("UPDATE tenants_audithead SET digest = %s WHERE true", digest)


@pytest.fixture
def busy(cast: Cast) -> Cast:
    """Acme, with EVENTS events."""
    with cast.ada.present():
        there = AuditEvent.objects.count()
    for number in range(EVENTS - there):
        create_key(kind="service", name=f"key {number}", by=cast.ada)
    return cast


@pytest.fixture
def intruder(busy: Cast) -> Iterator[Intruder]:
    settings = connections["owner"].settings_dict
    url = f"postgresql://bespoke_owner@/{settings['NAME']}?host={settings['HOST']}"
    somebody = Intruder(as_superuser(url), busy.ada.tenant_id)
    yield somebody
    somebody.leave()


def told_outside(tenant: UUID) -> dict[int, bytes]:
    """The heads of a chain as they were told while it grew: here, each tenth."""
    with tenant_tx(tenant):
        rows = AuditEvent.objects.filter(sequence__in=range(10, EVENTS + 1, 10)).values_list("sequence", "digest")
        return {sequence: bytes(digest) for sequence, digest in rows}


def test_everything_done_is_one_whole_chain(busy: Cast) -> None:
    found = verified(busy.ada.tenant_id)
    assert (found.faults, found.events, found.sequence) == ((), EVENTS, EVENTS)
    assert verified(busy.gus.tenant_id).whole and verified(None).whole
    assert verified(None).events > 0


def test_every_meddling_at_a_hundred_random_places_is_found(busy: Cast, intruder: Intruder) -> None:
    dice, tenant, missed = random.Random(5), busy.ada.tenant_id, []
    anchors = told_outside(tenant)
    doings: list[Callable[[int, random.Random], None]] = [
        intruder.flip, intruder.delete, intruder.reorder, intruder.insert, intruder.cut, intruder.fork
    ]  # fmt: skip
    for trial in range(100):
        do, at = doings[trial % len(doings)], dice.randint(1, EVENTS)
        do(at, dice)
        if verified(tenant, anchors).whole:
            missed.append((do.__name__, at))
        intruder.put_back()
    assert missed == []
    assert verified(tenant, anchors).whole


def test_a_cut_tail_and_a_fork_are_found_by_what_was_told_outside_alone(busy: Cast, intruder: Intruder) -> None:
    tenant, dice = busy.ada.tenant_id, random.Random(1)
    anchors = told_outside(tenant)
    intruder.cut(25, dice)
    assert verified(tenant).whole, "nothing in the database says so"
    assert {fault.kind for fault in verified(tenant, anchors).faults} == {"cut"}
    intruder.put_back()
    intruder.fork(25, dice)
    assert verified(tenant).whole
    assert verified(tenant, anchors).faults == (Fault(30, "replaced"), Fault(40, "replaced"))


def test_what_is_wrong_is_said_with_its_place(busy: Cast, intruder: Intruder) -> None:
    intruder.delete(7, random.Random(1))
    assert Fault(7, "missing") in verified(busy.ada.tenant_id).faults
    intruder.put_back()
    intruder.sql("UPDATE tenants_auditevent SET actor = 'somebody' WHERE sequence = %s", 9)
    assert verified(busy.ada.tenant_id).faults == (Fault(9, "changed"),)
    assert verified(busy.gus.tenant_id).whole


def walked(tenant: UUID, most: int) -> Iterator[Verified]:
    """A chain a stretch at a time, as somebody walks it through the web."""
    after = None
    while True:
        found = verified(tenant, after=after, most=most)
        yield found
        if found.complete:
            return
        after = Place(found.sequence, bytes.fromhex(found.digest))


@pytest.mark.parametrize("most", [1, 3, EVENTS - 1, EVENTS, EVENTS + 1])
def test_a_chain_walked_in_stretches_is_the_same_chain(busy: Cast, most: int) -> None:
    *before, last = walked(busy.ada.tenant_id, most)
    whole = verified(busy.ada.tenant_id)
    assert [found.whole for found in before] == [None] * len(before) and last.whole
    assert sum(found.events for found in [*before, last]) == EVENTS
    assert (last.sequence, last.digest) == (whole.sequence, whole.digest)


def test_meddling_is_found_in_one_of_the_stretches_wherever_they_end(busy: Cast, intruder: Intruder) -> None:
    dice, tenant, missed = random.Random(7), busy.ada.tenant_id, []
    for trial in range(40):
        do, at = [intruder.flip, intruder.delete, intruder.reorder, intruder.insert][trial % 4], dice.randint(1, EVENTS)
        do(at, dice)
        most = dice.randint(1, EVENTS)
        if not any(found.faults for found in islice(walked(tenant, most), EVENTS)):
            missed.append((do.__name__, at, most))
        intruder.put_back()
    assert missed == []


def test_what_somebody_kept_of_a_chain_finds_what_was_cut_and_made_anew(busy: Cast, intruder: Intruder) -> None:
    tenant, dice = busy.ada.tenant_id, random.Random(1)
    kept = Place(30, told_outside(tenant)[30])
    found = verified(tenant, after=kept)
    assert found.whole and found.events == EVENTS - 30
    for do, at, kind in ((intruder.cut, 25, "cut"), (intruder.fork, 25, "replaced"), (intruder.delete, 30, "missing")):
        do(at, dice)
        assert Fault(30, kind) in verified(tenant, after=kept).faults
        assert Fault(30, kind) in verified(tenant, after=kept, most=1).faults
        intruder.put_back()


@pytest.mark.slow
def test_a_hundred_thousand_events_hold_neither_a_request_nor_memory(cast: Cast) -> None:
    tenant, before = cast.gus.tenant_id, verified(cast.gus.tenant_id)
    digest, at = bytes.fromhex(before.digest), timezone.now()
    with superuser() as db:
        with db.cursor().copy(
            "COPY tenants_auditevent (id, tenant_id, at, actor, verb, target, detail, sequence, digest) FROM STDIN"
        ) as copy:
            for sequence in range(before.sequence + 1, 100_001):
                id_ = uuid4()
                new = content(id=str(id_), at=at, actor="system:test", verb="x", target="x", detail={"n": sequence})
                digest = link(digest, sequence, new)
                copy.write_row((id_, tenant, at, "system:test", "x", "x", f'{{"n": {sequence}}}', sequence, digest))
        db.execute("UPDATE tenants_audithead SET sequence = 100000, digest = %s WHERE tenant_id = %s", [digest, tenant])
    tracemalloc.start()
    stretches, took, begun = 0, 0.0, time.process_time()
    for found in walked(tenant, STRETCH):  # noqa: B007
        stretches, took, begun = stretches + 1, max(took, time.process_time() - begun), time.process_time()
    assert found.whole and found.sequence == 100_000 and stretches == 20
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 16 * 1024 * 1024, most
    assert took < 3, took


def test_the_roles_of_the_product_cannot_change_what_was_written(cast: Cast) -> None:
    """By grant: whatever code is tricked into."""
    for statement in (
        "UPDATE tenants_auditevent SET actor = 'x'", "DELETE FROM tenants_auditevent", "TRUNCATE tenants_auditevent",
        "DELETE FROM tenants_audithead", "UPDATE tenants_audithead SET told = 0",
    ):  # fmt: skip
        with pytest.raises(ProgrammingError, match="permission denied"), cast.ada.present():
            connection.cursor().execute(statement)
        with pytest.raises(ProgrammingError, match="permission denied"), operator_tx():
            connections[OPERATOR].cursor().execute(statement.replace("told = 0", "sequence = 0"))
    for statement in ("UPDATE tenants_vendorauditevent SET actor = 'x'", "DELETE FROM tenants_vendorauditevent"):
        with pytest.raises(ProgrammingError, match="permission denied"), operator_tx():
            connections[OPERATOR].cursor().execute(statement)


def test_fifty_at_once_leave_no_gap(cast: Cast) -> None:
    begin = threading.Barrier(50)

    def act() -> None:
        try:
            begin.wait()
            create_key(kind="service", name="at once", by=cast.ada)
        finally:
            for alias in connections:
                connections[alias].close()

    before = verified(cast.ada.tenant_id).events
    threads = [threading.Thread(target=act) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = verified(cast.ada.tenant_id)
    assert (found.faults, found.events, found.sequence) == ((), before + 50, before + 50)


def test_what_was_not_done_leaves_neither_an_event_nor_a_gap(cast: Cast) -> None:
    before = verified(cast.ada.tenant_id).sequence
    with pytest.raises(Conflict):
        add_member(email="alice@acme.example", role="member", by=cast.ada)
    with cast.ada.doing("key.manage", cast.ada.in_tenant(), dry_run=True):
        create_key(kind="service", name="rehearsed", by=cast.ada)
    with cast.ada.present():
        with pytest.raises(ZeroDivisionError), cast.ada.present():
            create_key(kind="service", name="rolled back", by=cast.ada)
            raise ZeroDivisionError
        create_key(kind="service", name="kept", by=cast.ada)
    found = verified(cast.ada.tenant_id)
    assert (found.faults, found.sequence) == ((), before + 1)


def test_an_event_outside_any_transaction_is_a_bug_and_said_to_be_one(cast: Cast) -> None:
    with pytest.raises(RuntimeError, match="tenant_tx"):
        record(AuditEvent(tenant_id=cast.ada.tenant_id, actor="x", verb="x", target="x"))


def test_nobody_waits_for_an_event_of_a_transaction_that_goes_on(cast: Cast) -> None:
    """The head is locked last: two who then want the same row can never each hold what the other waits for."""
    done = threading.Event()

    def act() -> None:
        try:
            create_key(kind="service", name="meanwhile", by=cast.ada)
            done.set()
        finally:
            for alias in connections:
                connections[alias].close()

    with cast.ada.present():
        create_key(kind="service", name="in a long transaction", by=cast.ada)
        other = threading.Thread(target=act)
        other.start()
        assert done.wait(30)
    other.join()
    assert verified(cast.ada.tenant_id).whole


def test_an_events_numbers_and_times_are_digested_as_they_are_read_back(cast: Cast) -> None:
    with cast.ada.doing("key.manage", cast.ada.in_tenant()) as event:
        event.detail = {"big": 2**60, "small": 2**53 - 1, "float": 0.1, "id": cast.ada.tenant_id, "text": "ü\u2028"}
    assert verified(cast.ada.tenant_id).whole
    assert plain({"big": 2**60, "small": 5}) == {"big": str(2**60), "small": 5}
    with cast.ada.present():
        assert AuditEvent.objects.order_by("-sequence")[0].detail["id"] == str(cast.ada.tenant_id)


def test_heads_are_told_to_a_file_once_each_time_that_they_moved(busy: Cast, tmp_path: Path, settings: Any) -> None:
    file = tmp_path / "heads.jsonl"
    settings.AUDIT_HEADS = str(file)
    assert tell_heads() == 3  # Acme's, Globex's, the vendor's
    assert tell_heads() == 0
    create_key(kind="service", name="one more", by=busy.ada)
    assert tell_heads() == 1
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    acme = str(busy.ada.tenant_id)
    assert [line["sequence"] for line in lines if line["owner"] == acme] == [EVENTS, EVENTS + 1]
    assert read_heads(file)[acme].keys() == {EVENTS, EVENTS + 1}
    assert {head.owner for head in heads()} == {"vendor", acme, str(busy.gus.tenant_id)}


def test_heads_that_were_not_taken_are_told_again(cast: Cast, tmp_path: Path, settings: Any) -> None:
    settings.AUDIT_HEADS = str(tmp_path / "nowhere" / "heads.jsonl")
    assert tell_heads() == 0
    settings.AUDIT_HEADS = str(tmp_path / "heads.jsonl")
    assert tell_heads() == 3


def test_heads_are_posted_to_an_address_and_again_if_it_refuses_them(cast: Cast, settings: Any) -> None:
    settings.OUTBOUND_NETWORKS = [IPv4Network("127.0.0.0/8")]
    with Receiver() as receiver:
        settings.AUDIT_HEADS = f"{receiver.base_url}/heads"
        receiver.places["/heads"].statuses = [503]
        assert tell_heads() == 0
        assert tell_heads() == 3
        refused, taken = (message.body.decode().splitlines() for message in receiver.at("/heads"))
    assert len(taken) == len(refused) == 3
    assert {json.loads(line)["owner"] for line in taken} == {head.owner for head in heads()}


def test_the_command_finds_what_was_cut_by_the_heads_of_before(busy: Cast, intruder: Intruder, tmp_path: Path) -> None:
    out, file = StringIO(), tmp_path / "heads.jsonl"
    call_command("audit_heads", stdout=out)
    file.write_text(out.getvalue())
    call_command("audit_verify", "--heads", str(file), stdout=out)
    intruder.cut(EVENTS, random.Random(1))
    call_command("audit_verify", stdout=out)
    with pytest.raises(CommandError, match="not whole"):
        call_command("audit_verify", "--heads", str(file), stdout=out)
    assert f"cut at {EVENTS}" in out.getvalue()
    file.write_text("no head\n")
    with pytest.raises(CommandError, match="Line 1"):
        call_command("audit_verify", "--heads", str(file), stdout=out)


def test_the_vendors_chain_holds_too(cast: Cast) -> None:
    with operator_tx():
        sequences = list(
            VendorAuditEvent.objects.using(OPERATOR).order_by("sequence").values_list("sequence", flat=True)
        )
    assert sequences == list(range(1, len(sequences) + 1))


def test_no_event_names_a_person(cast: Cast) -> None:
    """Whoever erases somebody cannot change the chain: so it holds ids, and no address or name."""
    member = add_member(email="zoe.canary@acme.example", role="member", name="Zoe Canary", by=cast.ada)
    with cast.ada.present():
        member = Member.objects.get(pk=member.pk)
    change_role(member, "viewer", by=cast.ada)
    with cast.ada.present():
        told = [str((e.actor, e.target, e.detail)) for e in AuditEvent.objects.all()]
    assert told and not any("anary" in text or "@" in text for text in told)
