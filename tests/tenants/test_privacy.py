"""All of one's data and only one's own; and after an erasure nothing of it, anywhere, and nobody else's touched."""

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
import rfc8785
from django.contrib.sessions.backends.db import SessionStore

from backend.actors import actor_of_key
from features.actions.overrides import ANY, Expected, save_override
from features.actions.pins import restore
from features.models import Impact, ImpactRow, ModelTarget
from features.runs.models import IdempotencyKey, Ledger
from tenants import erasure, export, jobs
from tenants.actions import remove_member
from tenants.errors import Conflict, Forbidden, Invalid, NotFound
from tenants.isolation import OPERATOR, operator_tx, tenant_tx
from tenants.models import Member, Subject, Tenant, User
from tenants.privacy import (
    ask_for_export,
    erase_subject,
    erase_tenant,
    open_export,
    pieces_of,
)
from tenants.privacy_models import Erasure, Export, ExportPiece
from tenants.records import Whose, registry
from tenants.subjects import Who, external_subject, member_subject
from tenants.valkey import client as valkey
from tenants.walking import verified
from tests.canaries import Seeder, digest_of, everything, found, superuser, word
from tests.cast import Cast

GONE, STAYS, OTHER = "CANARYGONE", "CANARYSTAYS", "CANARYOTHER"


@pytest.fixture
def db(committed: None) -> Iterator[psycopg.Connection[Any]]:
    with superuser() as connection:
        yield connection


@pytest.fixture
def seeded(cast: Cast, db: psycopg.Connection[Any]) -> Cast:
    """Rows of two of Acme's end users and one of Globex's, a canary in every column."""
    with operator_tx():
        target = ModelTarget.objects.using(OPERATOR).get()
    seeder = Seeder(db, cast.greet, target)
    for actor, name in ((cast.ada, GONE), (cast.ada, STAYS), (cast.gus, OTHER)):
        who = external_subject(actor.tenant_id, name)
        with actor.present():
            Subject(id=who.id, tenant_id=actor.tenant_id, kind="external", key=who.key).save(force_insert=True)
        seeder.seed(name, actor.tenant_id, who.id, shared=name != GONE)
    with operator_tx():
        impact = Impact(feature=cast.greet, kind="look", before=1, to=1, state="done", author="x")
        impact.save(using=OPERATOR)
        for actor, name in ((cast.ada, GONE), (cast.ada, STAYS), (cast.gus, OTHER)):
            who = external_subject(actor.tenant_id, name)
            ImpactRow(impact=impact, tenant=actor.tenant_id, tenant_name="x", subject=who.id, layer="user", name=name,
                      outcome="follows", before=1, after=1).save(using=OPERATOR)  # fmt: skip
    return cast


def worked() -> None:
    """What a worker does, here and now, until nothing is left that can be done at once."""
    while jobs.each(Erasure, erasure.carry_out) + jobs.each(Export, export.carry_out):
        pass


def exported(cast: Cast) -> zipfile.ZipFile:
    ask_for_export(by=cast.ada)
    worked()
    with cast.ada.present():
        [row] = Export.objects.filter(state="done", bytes__gt=1)
    file = b"".join(pieces_of(open_export(row.id, by=cast.ada)))
    assert (len(file), hashlib.sha256(file).hexdigest()) == (row.bytes, row.digest)
    return zipfile.ZipFile(io.BytesIO(file))


def erased(who: Who, cast: Cast) -> Erasure:
    asked = erase_subject(who, by=cast.ada)
    for _ in range(10):
        worked()
        with cast.ada.present():
            row = Erasure.objects.get(pk=asked.pk)
            if row.state == "done":
                return row
            Erasure.objects.filter(pk=asked.pk).update(claimed_until=None)  # do not wait for it to be looked at again
    raise AssertionError(f"it is {row.state}: {row.report}")


def test_an_export_has_every_column_of_every_row_and_only_ones_own(seeded: Cast) -> None:
    archive = exported(seeded)
    texts = {name: archive.read(name).decode() for name in archive.namelist()}
    missing, leaked = [], []
    for one in registry():
        if not one.name:
            continue
        rows = [json.loads(line) for line in texts[f"{one.name}.ndjson"].splitlines()]
        assert all(set(row) == set(one.shown) for row in rows)
        for column in one.model._meta.local_fields:
            kind = column.get_internal_type()
            ids = column.choices or column.default is list
            if ids or kind not in ("CharField", "TextField", "JSONField", "BinaryField", "OrderedJSONField"):
                continue
            for name in (GONE, STAYS):
                canary = word(name, one.model, column.column)[: getattr(column, "max_length", None) or 200]
                seen = canary in texts[f"{one.name}.ndjson"]
                seeded_here = (one.subject or one.follows or name == STAYS) and one.model.__name__ not in (
                    "Tenant", "Subject", "AuditEvent", "AuditHead", "Erasure", "Member", "ApiKey",
                )  # fmt: skip
                if column.attname in one.left_out and seen and len(canary) > 12:
                    leaked.append(canary)
                if column.attname in one.shown and seeded_here and not seen and kind != "BinaryField":
                    missing.append(canary)
    assert (missing, leaked) == ([], [])
    assert not any(OTHER in text for text in texts.values()), "another organisation's"
    assert not any("Never promise anything" in text for text in texts.values()), "the vendor's"
    emails = {json.loads(line)["email"] for line in texts["logins.ndjson"].splitlines()}
    assert emails == {f"{name}@acme.example" for name in ("ada", "alice", "bob", "vera")}


def test_an_exports_manifest_says_what_is_in_it_and_what_is_not(seeded: Cast) -> None:
    archive = exported(seeded)
    manifest = json.loads(archive.read("manifest.json"))
    assert manifest["organisation"]["slug"] == "acme" and manifest["schema"]["tenants"] >= "0011"
    assert set(manifest["files"]) == set(archive.namelist()) - {"manifest.json"}
    for name, told in manifest["files"].items():
        text = archive.read(name)
        assert told["rows"] == len(text.splitlines())
        assert told["sha256"] == hashlib.sha256(text).hexdigest()
    assert manifest["files"]["keys.ndjson"]["left_out"] == {"secret_hash": "a secret"}


def test_a_large_export_comes_in_pieces_and_every_row_once(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "PIECE", 1_000)
    monkeypatch.setattr(export, "MOST_ROWS", 7)
    with cast.ada.present():
        rows = [Subject(tenant_id=cast.ada.tenant_id, kind="external", key=f"user {n:04}") for n in range(500)]
        Subject.objects.bulk_create(rows)
    archive = exported(cast)
    keys = [json.loads(line)["key"] for line in archive.read("subjects.ndjson").splitlines()]
    assert sorted(key for key in keys if key.startswith("user ")) == [f"user {n:04}" for n in range(500)]
    with cast.ada.present():
        assert ExportPiece.objects.count() > 10


def test_an_export_that_broke_off_is_begun_anew_by_another(seeded: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    ask_for_export(by=seeded.ada)
    hold, left = jobs.Claim.hold, [2]

    def dies(self: jobs.Claim) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        hold(self)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(jobs.Claim, "hold", dies)
        worked()
    with seeded.ada.present():
        Export.objects.filter(state="running").update(claimed_until=None)  # its lease has run out
    assert "manifest.json" in exported(seeded).namelist()


def test_whoever_lost_the_lease_writes_nothing_more(cast: Cast) -> None:
    ask_for_export(by=cast.ada)
    slow = jobs.claim(Export)
    assert slow is not None
    with cast.ada.present():
        Export.objects.update(claimed_until=None)
    quick = jobs.claim(Export)
    assert quick is not None and jobs.claim(Export) is None
    with pytest.raises(jobs.Lost), tenant_tx(slow.tenant_id):
        slow.hold()


def test_an_export_expires_and_its_file_with_it(cast: Cast, db: psycopg.Connection[Any]) -> None:
    exported(cast)
    db.execute("UPDATE tenants_export SET expires_at = now() - interval '1 second'")
    with cast.ada.present():
        row = Export.objects.get()
    with pytest.raises(Conflict, match="expired"):
        open_export(row.id, by=cast.ada)
    assert export.delete_expired() == 1
    assert db.execute("SELECT count(*) FROM tenants_exportpiece").fetchone() == (0,)
    assert export.delete_expired() == 0


def test_asking_twice_makes_one_export_and_only_admins_ask(cast: Cast) -> None:
    assert ask_for_export(by=cast.ada).id == ask_for_export(by=cast.ada).id
    for actor in (cast.alice, cast.vera, cast.acme_service, cast.operator):
        with pytest.raises(Forbidden):
            ask_for_export(by=actor)
    with cast.ada.present():
        row = Export.objects.get()
    with pytest.raises(NotFound):
        open_export(row.id, by=cast.gus)
    with pytest.raises(Conflict, match="being made"):
        open_export(row.id, by=cast.ada)


def test_of_an_erased_user_nothing_is_left_anywhere_and_nobody_else_is_touched(
    seeded: Cast, db: psycopg.Connection[Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    who = external_subject(seeded.ada.tenant_id, GONE)
    run = db.execute("SELECT id FROM runs_run WHERE subject_id = %s", [who.id]).fetchone()[0]  # type: ignore[index]
    valkey.xadd(f"run:{seeded.ada.tenant_id}:{run}", {"event": "delta", "data": GONE})
    exported(seeded)
    assert len(found(db, GONE)) > 12
    assert found(db, GONE) >= {"runs_run", "features_override", "features_impactrow", "tenants_subject"}
    others, stays = digest_of(db, seeded.gus.tenant_id), rows_with(db, STAYS)
    row = erased(who, seeded)
    acme = [seeded.ada.tenant_id]
    pieces = db.execute("SELECT count(*) FROM tenants_exportpiece WHERE tenant_id = %s", acme).fetchone()
    assert pieces == (0,), "packed, so no canary shows"
    assert remains(db, GONE) == set()
    assert found(db, str(who.id)) <= {"tenants_erasure", "tenants_auditevent", "features_stamp"}, "an id, as proof"
    assert digest_of(db, seeded.gus.tenant_id) == others
    assert rows_with(db, STAYS) == stays
    assert not [key for key in valkey.scan_iter() if str(run).encode() in key or GONE.encode() in key]
    assert GONE not in caplog.text
    assert row.digest == hashlib.sha256(rfc8785.dumps(row.report)).hexdigest()
    assert row.report["counts"]["runs_run"] == 1 and row.report["counts"]["runs_ledger kept"] == 2
    assert row.report["kept"]["runs_ledger"] and row.report["backups"]
    assert GONE not in json.dumps(row.report)
    assert verified(seeded.ada.tenant_id).whole


def test_a_process_that_erases_for_the_first_time_stops_what_is_under_way(seeded: Cast, monkeypatch: Any) -> None:
    """What stops it is listed beside the tables, which nobody may have looked at before."""
    stops: list[Any] = []
    asked: list[Whose] = []

    def listing() -> Any:
        if not stops:
            stops.append(lambda whose: not asked.append(whose))
        return registry()

    monkeypatch.setattr("tenants.erasure.LETTING_GO", stops)
    monkeypatch.setattr("tenants.erasure.registry", listing)
    who = external_subject(seeded.ada.tenant_id, GONE)
    assert erased(who, seeded).state == Erasure.State.DONE
    assert [whose.subject for whose in asked] == [who.id]


def remains(db: psycopg.Connection[Any], name: str) -> set[tuple[str, str]]:
    """Where canaries are still, but for the ledger's words: a state, a model's alias and a type of error."""
    words = {word(name, Ledger, column)[:length] for column, length in (("state", 10), ("model", 64), ("error", 40))}
    hits = {(table, hit) for table, row in everything(db) for hit in re.findall(rf"{name}[.\w]*", row)}
    coded = {(table, name) for table in found(db, name.encode().hex()) | found(db, name)} - {("runs_ledger", name)}
    return {(table, hit) for table, hit in hits | coded if (table, hit) not in {("runs_ledger", w) for w in words}}


def rows_with(db: psycopg.Connection[Any], text: str) -> list[tuple[str, str]]:
    kept = ("tenants_exportpiece", "tenants_export")  # which an erasure takes all of
    answer = word(text, IdempotencyKey, "answer")  # and of these, which stay: any may name who is erased
    rows = ((table, row.replace(answer, '""')) for table, row in everything(db))
    return sorted(pair for pair in rows if text in pair[1] and pair[0] not in kept)


def test_the_ledger_stays_and_leads_to_nobody(seeded: Cast, db: psycopg.Connection[Any]) -> None:
    who = external_subject(seeded.ada.tenant_id, GONE)
    spent = db.execute("SELECT sum(cost), count(*) FROM runs_ledger").fetchone()
    erased(who, seeded)
    after = db.execute("SELECT sum(cost), count(*) FROM runs_ledger").fetchone()
    assert after is not None and spent is not None
    assert after[0] >= spent[0] and after[1] == spent[1] + 1  # the run that waited was cancelled, at no cost
    assert db.execute("SELECT count(*) FROM runs_ledger WHERE subject = %s", [who.id]).fetchone() == (0,)


def test_an_erasure_may_break_off_anywhere(
    seeded: Cast, db: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker dies again and again, further on each time, and another goes on."""
    who = external_subject(seeded.ada.tenant_id, GONE)
    asked = erase_subject(who, by=seeded.ada)
    hold = jobs.Claim.hold
    state, deaths = "queued", 0
    while state != "done":
        left = [2 * deaths + 1]

        def dies(self: jobs.Claim, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            hold(self)

        with monkeypatch.context() as patched:
            patched.setattr(jobs.Claim, "hold", dies)
            try:
                worked()
            except KeyboardInterrupt:
                deaths += 1
        with seeded.ada.present():
            Erasure.objects.filter(pk=asked.pk, state__in=Erasure.OPEN).update(claimed_until=None)
            state = Erasure.objects.get(pk=asked.pk).state
        assert deaths < 200
    assert deaths >= 8
    assert remains(db, GONE) == set()
    with seeded.ada.present():
        counts = Erasure.objects.get(pk=asked.pk).report["counts"]
    assert (counts["runs_run"], counts["features_override"], counts["tenants_subject"]) == (1, 1, 1)


def test_asking_again_gives_the_erasure_that_there_is(seeded: Cast) -> None:
    who = external_subject(seeded.ada.tenant_id, GONE)
    first = erase_subject(who, by=seeded.ada)
    assert erase_subject(who, by=seeded.ada).id == first.id
    done = erased(who, seeded)
    assert erase_subject(who, by=seeded.ada).id == done.id
    with pytest.raises(NotFound):
        erase_subject(external_subject(seeded.ada.tenant_id, "never seen"), by=seeded.ada)
    with pytest.raises(NotFound):
        erase_subject(external_subject(seeded.ada.tenant_id, OTHER), by=seeded.ada)
    with pytest.raises(Forbidden):
        erase_subject(who, by=seeded.alice)


def test_a_member_is_erased_after_they_left_and_their_login_with_them(cast: Cast, db: psycopg.Connection[Any]) -> None:
    with operator_tx():
        target = ModelTarget.objects.using(OPERATOR).get()
    member_id = cast.bob.subject.id if cast.bob.subject else UUID(int=0)
    with cast.ada.present():
        bob = Member.objects.select_related("user").get(pk=member_id)
    User.objects.filter(pk=bob.user_id).update(name=GONE, email=f"{GONE}@acme.example".lower())
    db.execute("INSERT INTO account_emailaddress (email, verified, \"primary\", user_id) VALUES (%s, true, true, %s)",
               [f"{GONE}@acme.example", bob.user_id])  # fmt: skip
    session = SessionStore()
    session["_auth_user_id"] = str(bob.user_id)
    session.create()
    seeder = Seeder(db, cast.greet, target)
    seeder.seed(GONE, cast.ada.tenant_id, member_id, shared=False)
    who = member_subject(member_id)
    with pytest.raises(Conflict, match="end the membership first"):
        erase_subject(who, by=cast.ada)
    remove_member(bob, by=cast.ada)
    row = erased(who, cast)
    assert remains(db, GONE) | found(db, GONE.lower()) == set()
    login = User.objects.get(pk=bob.user_id)
    assert (login.email, login.name, login.is_active) == (f"{bob.user_id}@erased.invalid", "", False)
    assert not SessionStore(session.session_key).exists(session.session_key)
    assert row.report["counts"]["logins anonymised"] == 1
    assert row.report["counts"]["tenants_member"] == 1
    assert verified(cast.ada.tenant_id).whole


def test_a_login_that_another_organisation_has_stays_as_it_is(cast: Cast) -> None:
    from tenants.actions import add_member

    add_member(email="bob@acme.example", role="member", by=cast.gus)
    assert cast.bob.subject is not None
    with cast.ada.present():
        bob = Member.objects.get(pk=cast.bob.subject.id)
    remove_member(bob, by=cast.ada)
    row = erased(member_subject(bob.id), cast)
    login = User.objects.get(pk=bob.user_id)
    assert (login.email, login.name, login.is_active) == ("bob@acme.example", "Bob", True)
    assert row.report["counts"]["logins anonymised"] == 0


def test_what_comes_while_somebody_is_erased_is_erased_too(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    zoe = actor_of_key(cast.keys[cast.acme_service.label], GONE)
    assert zoe.subject is not None
    save_override(cast.greet, "user", {"set": {"vars.tone": "warm"}}, expected=ANY, by=zoe)
    came: list[int] = []

    def comes(whose: Whose) -> dict[str, int]:
        """After their overrides were deleted, and before they are themselves."""
        if not came:
            saved = save_override(cast.greet, "user", {"set": {"vars.tone": "formal"}}, expected=ANY, by=zoe)
            came.append(saved.row.number)
        return {}

    monkeypatch.setattr(erasure, "ELSEWHERE", [comes])
    row = erased(zoe.subject, cast)
    assert came and row.report["counts"]["features_override"] == 2
    with cast.ada.present():
        assert not Subject.objects.filter(pk=zoe.subject.id).exists()


def test_what_was_before_an_erasure_cannot_be_restored(cast: Cast) -> None:
    """And the numbers of revisions that were erased are never used again: processes keep revisions by their number."""
    key = cast.keys[cast.acme_service.label]
    actor = actor_of_key(key, GONE)
    saved = save_override(cast.greet, "user", {"set": {"vars.tone": "warm"}}, expected=ANY, by=actor)
    moment = saved.row.valid_from
    assert saved.row.number == 1
    assert actor.subject is not None
    erased(actor.subject, cast)
    with pytest.raises(Invalid) as refused:
        restore(cast.greet, "user", at=moment, by=actor)
    assert refused.value.extra["result"] == "cannot" and "erased" in refused.value.detail
    again = save_override(
        cast.greet, "user", {"set": {"vars.tone": "formal"}}, expected=Expected(nothing=True), by=actor
    )
    assert again.row.number > 1


def test_a_whole_organisation_is_erased_when_it_was_closed_and_named(seeded: Cast, db: psycopg.Connection[Any]) -> None:
    acme = seeded.ada.in_tenant()
    db.execute("UPDATE tenants_tenant SET name = 'CANARYACME' WHERE id = %s", [acme.id])
    with pytest.raises(Conflict, match="closed"):
        erase_tenant(acme, confirm="erase acme", by=seeded.operator)
    db.execute("UPDATE tenants_tenant SET state = 'closed' WHERE id = %s", [acme.id])
    with pytest.raises(Invalid):
        erase_tenant(acme, confirm="erase globex", by=seeded.operator)
    with pytest.raises(Forbidden):
        erase_tenant(acme, confirm="erase acme", by=seeded.ada)
    others = digest_of(db, seeded.gus.tenant_id)
    asked = erase_tenant(acme, confirm="erase acme", by=seeded.operator)
    for _ in range(20):
        worked()
        db.execute("UPDATE tenants_erasure SET claimed_until = NULL")
    with operator_tx():
        row = Erasure.objects.using(OPERATOR).get(pk=asked.pk)
    assert row.state == "done"
    assert remains(db, GONE) | remains(db, STAYS) == set()
    assert found(db, "CANARYACME") | found(db, "@acme.example") == set()
    kept = {one.table for one in registry() if one.stays}
    with_rows = {
        one.table for one in registry()
        if db.execute(f"SELECT EXISTS (SELECT FROM {one.table} WHERE {one.tenant} = %s)", [acme.id]).fetchone() == (True,)
    }  # fmt: skip
    assert with_rows == kept
    with operator_tx():
        assert Tenant.objects.using(OPERATOR).get(pk=acme.id).slug == f"erased-{acme.id}"
    assert digest_of(db, seeded.gus.tenant_id) == others
    assert verified(acme.id).whole
