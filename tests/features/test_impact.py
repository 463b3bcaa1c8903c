"""Impact as operators meet it: who would be moved, who stays and why, said before it happens by what serves."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.db import ProgrammingError, connections
from django.test.utils import CaptureQueriesContext

from backend.actors import actor_of_key
from features.actions.overrides import ANY, save_operation
from features.actions.pins import pin
from features.actions.policy import set_policy
from features.actions.versions import publish, set_current
from features.actions.withdrawals import withdraw
from features.engine import bucket
from features.impact import find_impact, look, work
from features.impact.walk import Walk
from features.impact.work import work_through
from features.models import Impact, ImpactRow
from features.resolve import serve
from tenants.actions import find_member, remove_member
from tenants.actor import Actor
from tenants.errors import Forbidden, Invalid, NotFound
from tenants.isolation import OPERATOR
from tests.cast import GREET, GREET_RULES, Cast

ROOT = Path(__file__).resolve().parents[2]
ROLE, TONE, HOUSE = "instructions.role", "vars.tone", "instructions.house"


def version(cast: Cast, *, current: bool = False, rules: Any = None, without: str = "", **changes: Any) -> int:
    """Publish a version that says something else in these fields (`role="…"` is a section)."""
    sections = {name: text for name, text in {**GREET["instructions"], **changes}.items() if name in SECTIONS}
    others = {name: value for name, value in changes.items() if name not in SECTIONS}
    sections.pop(without, None)
    behavior = {**GREET, "instructions": sections, **others}
    return publish(cast.greet, behavior=behavior, rules=rules, make_current=current, by=cast.operator).number


SECTIONS = ("role", "tone", "safety", "house")


def save(cast: Cast, who: Actor, layer: Any, field: str, operation: Any) -> None:
    save_operation(cast.greet, layer, field, operation, expected=ANY, by=who)


def done(impact: Impact) -> dict[tuple[str, str], ImpactRow]:
    """Carry it out, and return its rows by organisation and name (empty: the organisation itself)."""
    work_through()
    impact.refresh_from_db(using=OPERATOR)
    assert (impact.state, impact.tenants_done) == ("done", impact.tenants_all), impact.why
    rows = ImpactRow.objects.using(OPERATOR).filter(impact=impact)
    assert sum(impact.counts["outcomes"].values()) == len(rows)
    return {(row.tenant_name, row.name if row.layer == "user" else ""): row for row in rows}


def outcomes(impact: Impact) -> dict[tuple[str, str], tuple[str, list[str]]]:
    return {name: (row.outcome, row.fields) for name, row in done(impact).items()}


def asked(cast: Cast, to: int, **more: Any) -> Impact:
    return look(cast.greet, to=to, by=cast.operator, **more)


def served(cast: Cast, who: Actor) -> tuple[int, str]:
    with who.present():
        found = serve(cast.greet, who.tenant_id, who.acting_for())
    return found.choice.base, found.digest


def test_nobody_has_anything_and_everybody_simply_moves(cast: Cast) -> None:
    impact = asked(cast, version(cast, role="Politely."))
    assert outcomes(impact) == {}
    assert impact.counts["moving"] == {"tenants": 2, "members": 6, "users": 0}


def test_each_override_has_its_outcome(cast: Cast) -> None:
    save(cast, cast.ada, "tenant", HOUSE, {"set": "Ours."})
    save(cast, cast.alice, "user", ROLE, {"set": "Mine."})
    save(cast, cast.bob, "user", TONE, {"set": "warm"})
    save(cast, cast.mallory, "user", "instructions.tone", {"append": "Really."})
    impact = asked(cast, version(cast, role="Politely.", vars={**GREET["vars"], "tone": "formal"}))
    assert outcomes(impact) == {
        ("Acme", ""): ("carried", [HOUSE]),
        ("Acme", "Alice"): ("conflict", [ROLE]),
        ("Acme", "Bob"): ("conflict", [TONE]),
        ("Globex", "Mallory"): ("carried", ["instructions.tone"]),
    }


def test_each_operation_may_come_to_less_or_nothing(cast: Cast) -> None:
    save(cast, cast.alice, "user", ROLE, {"set": "Politely."})
    save(cast, cast.bob, "user", "instructions.tone", {"append": "Really."})
    save(cast, cast.gus, "user", TONE, {"set": "warm"})
    save(cast, cast.mallory, "user", "instructions.own", {"set": "In {{ vars.language }}."})
    rules = {**GREET_RULES, TONE: {"edit": "locked"}}
    variables = {"tone": "plain", "speech": "English"}
    impact = asked(cast, version(cast, rules=rules, without="tone", role="Politely.", vars=variables))
    assert outcomes(impact) == {
        ("Acme", "Alice"): ("redundant", [ROLE]),
        ("Acme", "Bob"): ("orphaned", ["instructions.tone"]),
        ("Globex", "Gus"): ("suspended", [TONE]),
        ("Globex", "Mallory"): ("broken", ["instructions.own"]),
    }


def test_the_worst_of_a_subjects_operations_counts(cast: Cast) -> None:
    save(cast, cast.alice, "user", HOUSE, {"set": "Mine."})
    save(cast, cast.alice, "user", TONE, {"set": "warm"})
    save(cast, cast.alice, "user", ROLE, {"set": "Mine, too."})
    impact = asked(cast, version(cast, role="Politely.", vars={**GREET["vars"], "tone": "formal"}))
    assert outcomes(impact) == {("Acme", "Alice"): ("conflict", [ROLE])}  # who is held; the tone alone would move


def test_who_was_held_before_stays_held_and_says_by_what(cast: Cast) -> None:
    save(cast, cast.alice, "user", ROLE, {"set": "Mine."})
    version(cast, current=True, role="Politely.")
    impact = asked(cast, version(cast, role="Briefly."))
    row = done(impact)["Acme", "Alice"]
    assert (row.outcome, row.fields, row.before, row.after) == ("held", [ROLE], 1, 1)


def test_an_organisation_that_holds_keeps_its_users_where_they_are(cast: Cast) -> None:
    save(cast, cast.ada, "tenant", ROLE, {"set": "Ours."})
    save(cast, cast.alice, "user", TONE, {"set": "warm"})
    impact = asked(cast, version(cast, role="Politely."))
    assert outcomes(impact) == {("Acme", ""): ("conflict", [ROLE]), ("Acme", "Alice"): ("unaffected", [])}
    assert impact.counts["moving"] == {"tenants": 1, "members": 2, "users": 0}  # Globex, Gus, Mallory


def test_whose_organisation_was_held_before_is_held_with_it(cast: Cast) -> None:
    save(cast, cast.ada, "tenant", ROLE, {"set": "Ours."})
    save(cast, cast.alice, "user", TONE, {"set": "warm"})
    version(cast, current=True, role="Politely.")
    impact = asked(cast, version(cast, role="Briefly."))
    assert outcomes(impact) == {("Acme", ""): ("held", [ROLE]), ("Acme", "Alice"): ("held", [ROLE])}


def test_pins_keep_their_people_and_those_beneath_them(cast: Cast) -> None:
    pin(cast.greet, "tenant", kind="base", version=1, by=cast.ada)
    pin(cast.greet, "user", kind="snapshot", by=cast.mallory)
    save(cast, cast.alice, "user", ROLE, {"set": "Mine."})
    impact = asked(cast, version(cast, role="Politely."))
    assert outcomes(impact) == {
        ("Acme", ""): ("pinned", []), ("Acme", "Alice"): ("pinned", []), ("Globex", "Mallory"): ("pinned", []),
    }  # fmt: skip
    assert impact.counts["moving"] == {"tenants": 1, "members": 1, "users": 0}
    assert impact.counts["overruled"] == 0


def test_a_withdrawal_overrules_pins_and_says_so(cast: Cast) -> None:
    save(cast, cast.mallory, "user", ROLE, {"set": "Mine."})
    pin(cast.greet, "user", kind="snapshot", by=cast.mallory)
    pin(cast.greet, "tenant", kind="base", version=1, by=cast.ada)
    number = version(cast, current=True, role="Politely.")
    for impact in (asked(cast, number, withdraw=1), None):
        if impact is None:
            withdraw(cast.greet, 1, replacement=number, reason="It promised things.", by=cast.operator)
            impact = Impact.objects.using(OPERATOR).latest("id")
        rows = done(impact)
        assert {name: (row.outcome, row.fields, row.before, row.after) for name, row in rows.items()} == {
            ("Acme", ""): ("pinned", [], 1, 2), ("Globex", "Mallory"): ("pinned", [ROLE], 1, 2),
        }  # fmt: skip
        assert impact.counts["overruled"] == 2
        assert impact.counts["moving"] == {"tenants": 0, "members": 4, "users": 0}


def test_a_policy_that_suspends_overrides_suspends_them_here_too(cast: Cast) -> None:
    save(cast, cast.alice, "user", ROLE, {"set": "Mine."})
    set_policy(users_may_override=False, by=cast.ada)
    impact = asked(cast, version(cast, role="Politely."))
    row = done(impact)["Acme", "Alice"]
    assert (row.outcome, row.fields, row.after) == ("suspended", [ROLE], 2)


def test_a_share_reaches_those_whose_bucket_is_inside(cast: Cast) -> None:
    save(cast, cast.alice, "user", TONE, {"set": "warm"})
    save(cast, cast.mallory, "user", TONE, {"set": "warm"})
    number = version(cast, role="Politely.")
    impact = asked(cast, number, tenants=["acme"])
    assert outcomes(impact) == {
        ("Acme", "Alice"): ("carried", [TONE]), ("Globex", "Mallory"): ("unaffected", []),
    }  # fmt: skip
    assert impact.counts["moving"] == {"tenants": 1, "members": 3, "users": 0}


@pytest.mark.parametrize("percent", [0, 30, 60, 100])
def test_by_users_everyones_own_bucket_decides(cast: Cast, percent: float) -> None:
    save(cast, cast.alice, "user", TONE, {"set": "warm"})
    number = version(cast, role="Politely.")
    impact = asked(cast, number, percent=percent, unit="user")
    row = done(impact)["Acme", "Alice"]

    def inside(who: Actor) -> bool:
        return bucket("greet", number, who.acting_for().key) < percent * 100

    others = [who for who in (*cast.everybody(), cast.vera) if who is not cast.alice]
    assert row.after == (number if inside(cast.alice) else 1)
    assert impact.counts["moving"] == {"tenants": 2 * (percent == 100), "members": sum(map(inside, others)), "users": 0}


def test_somebody_who_took_everything_back_has_nothing_of_their_own(cast: Cast) -> None:
    save(cast, cast.alice, "user", TONE, {"set": "warm"})
    save(cast, cast.alice, "user", TONE, None)
    impact = asked(cast, version(cast, role="Politely."))
    assert outcomes(impact) == {}
    assert impact.counts["moving"] == {"tenants": 2, "members": 6, "users": 0}


def test_who_left_is_not_counted_among_those_who_move(cast: Cast) -> None:
    member = find_member(cast.bob.acting_for().id, cast.ada)
    remove_member(member, by=cast.ada)
    impact = asked(cast, version(cast, role="Politely."))
    assert outcomes(impact) == {}
    assert impact.counts["moving"] == {"tenants": 2, "members": 5, "users": 0}


def test_end_users_of_a_customers_software_are_subjects_too(cast: Cast) -> None:
    software = actor_of_key(cast.keys[cast.acme_service.label], "end user 7")
    quiet = actor_of_key(cast.keys[cast.acme_service.label], "end user 8")
    save(cast, software, "user", TONE, {"set": "warm"})
    save(cast, quiet, "user", TONE, {"set": "warm"})
    save(cast, quiet, "user", TONE, None)
    impact = asked(cast, version(cast, role="Politely."))
    assert outcomes(impact) == {("Acme", "end user 7"): ("carried", [TONE])}
    assert impact.counts["moving"] == {"tenants": 2, "members": 6, "users": 1}


def test_publishing_records_whom_it_moved_as_of_that_moment(cast: Cast) -> None:
    save(cast, cast.alice, "user", ROLE, {"set": "Mine."})
    version(cast, current=True, role="Politely.")
    save(cast, cast.bob, "user", ROLE, {"set": "His."})  # before a worker has come to it
    save(cast, cast.alice, "user", ROLE, None)
    impact = Impact.objects.using(OPERATOR).get()
    assert outcomes(impact) == {("Acme", "Alice"): ("conflict", [ROLE])}
    assert (impact.kind, impact.before, impact.to) == ("publish", 1, 2)


def test_a_save_between_impact_and_publish_is_still_held_if_it_conflicts(cast: Cast) -> None:
    behavior = {**GREET, "instructions": {**GREET["instructions"], "role": "Politely."}}
    number = publish(cast.greet, behavior=behavior, make_current=False, by=cast.operator).number
    assert outcomes(asked(cast, number)) == {}
    save(cast, cast.alice, "user", ROLE, {"set": "Mine."})
    set_current(cast.greet, number, by=cast.operator)
    assert served(cast, cast.alice)[0] == 1
    impact = Impact.objects.using(OPERATOR).latest("id")
    assert outcomes(impact) == {("Acme", "Alice"): ("conflict", [ROLE])}


def test_rows_never_hold_what_people_wrote(cast: Cast) -> None:
    save(cast, cast.ada, "tenant", HOUSE, {"set": "CANARY of the house."})
    save(cast, cast.alice, "user", ROLE, {"set": "CANARY of Alice."})
    impact = asked(cast, version(cast, role="Politely."))
    done(impact)
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT string_agg(r::text, ' ') || (SELECT string_agg(i::text, ' ') FROM features_impact i)"
                       " FROM features_impactrow r")  # fmt: skip
        text = cursor.fetchone()[0]
    assert "Alice" in text and "CANARY" not in text


def test_the_operator_cannot_read_overrides_and_the_app_cannot_read_impacts(cast: Cast) -> None:
    save(cast, cast.alice, "user", ROLE, {"set": "Mine."})
    with pytest.raises(ProgrammingError), connections[OPERATOR].cursor() as cursor:
        cursor.execute("SELECT operations FROM features_override")
    for table in ("features_impact", "features_impactrow"):
        with cast.ada.present(), pytest.raises(ProgrammingError), connections["default"].cursor() as cursor:
            cursor.execute(f"SELECT * FROM {table}")


def test_members_and_their_software_may_not_ask(cast: Cast) -> None:
    impact = asked(cast, 1)
    for who in (cast.ada, cast.mallory, cast.acme_service):
        with pytest.raises(Forbidden):
            look(cast.greet, to=1, by=who)
        with pytest.raises(Forbidden):
            find_impact(impact.id, who)


def test_what_cannot_be_meant_is_refused(cast: Cast) -> None:
    for wrong in ({"to": 1, "withdraw": 1}, {"to": 1, "tenants": ["nobody"]}, {"to": 1, "withdraw": 2, "percent": 5}):
        with pytest.raises(Invalid):
            look(cast.greet, by=cast.operator, **wrong)
    with pytest.raises(NotFound):
        look(cast.greet, to=7, by=cast.operator)
    assert not Impact.objects.using(OPERATOR).exists()


KILLED = """
import os, signal, django
django.setup()
from features.impact import work
from features.impact.walk import Walk

tenant, seen = Walk.tenant, []
def dies(walk, tenant_id):
    seen.append(tenant_id)
    if len(seen) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return tenant(walk, tenant_id)

Walk.tenant, work.BATCH_SECONDS = dies, 0
work.work_through()
"""


def test_an_impact_goes_on_where_a_dead_worker_left_it(cast: Cast) -> None:
    for who in (cast.ada, cast.alice, cast.gus, cast.mallory):
        save(cast, who, "user", TONE, {"set": "warm"})
    impact = asked(cast, version(cast, role="Politely."))
    settings_module = {"DJANGO_SETTINGS_MODULE": "backend.settings"}
    killed = subprocess.run([sys.executable, "-c", KILLED], env={**os.environ, **settings_module}, cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL
    impact.refresh_from_db(using=OPERATOR)
    assert (impact.state, impact.tenants_done, impact.tenants_all) == ("running", 1, 2)
    assert impact.counts["outcomes"]["carried"] == ImpactRow.objects.using(OPERATOR).count() == 2
    Impact.objects.using(OPERATOR).update(claimed_until=impact.at)  # its lease has run out
    assert set(outcomes(impact)) == {("Acme", "Ada"), ("Acme", "Alice"), ("Globex", "Gus"), ("Globex", "Mallory")}
    assert (impact.counts["outcomes"]["carried"], impact.tenants_all) == (4, 2)
    assert impact.counts["moving"] == {"tenants": 2, "members": 2, "users": 0}


def test_two_workers_never_share_an_impact(cast: Cast) -> None:
    asked(cast, 1)
    first = work.claim()
    assert first is not None and work.claim() is None
    Impact.objects.using(OPERATOR).update(claimed_until=first.at)  # it was too slow
    second = work.claim()
    assert second is not None
    work.carry_out(first)
    first.refresh_from_db(using=OPERATOR)
    assert (first.state, first.tenants_all) == ("running", 0)  # it has left it alone
    work.carry_out(second)
    second.refresh_from_db(using=OPERATOR)
    assert second.state == "done"


def test_an_impact_that_cannot_be_worked_out_says_so(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    save(cast, cast.alice, "user", ROLE, {"set": "CANARY"})
    impact = asked(cast, version(cast, role="Politely."))

    def fails(*_: Any) -> Any:
        raise ValueError("CANARY")

    monkeypatch.setattr(Walk, "tenant", fails)
    work_through()
    impact.refresh_from_db(using=OPERATOR)
    assert (impact.state, impact.why) == ("failed", "ValueError")


def test_only_the_latest_are_kept(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "KEPT", 2)
    save(cast, cast.alice, "user", TONE, {"set": "warm"})
    impacts = [asked(cast, 1) for _ in range(3)]
    work_through()
    kept = Impact.objects.using(OPERATOR).order_by("id").values_list("id", flat=True)
    assert list(kept) == [impact.id for impact in impacts[1:]]
    assert ImpactRow.objects.using(OPERATOR).count() == 2


def test_publishing_over_a_thousand_overrides_costs_no_more_statements(cast: Cast) -> None:
    software = [actor_of_key(cast.keys[cast.acme_service.label], f"u{number}") for number in range(3)]
    for who in software:
        save(cast, who, "user", TONE, {"set": "warm"})
    with connections["owner"].cursor() as cursor:  # the others by hand: a thousand saves are a minute
        for table in ("tenants_subject", "features_override"):
            cursor.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
        cursor.execute("INSERT INTO tenants_subject (tenant_id, id, kind, key) SELECT %s, gen_random_uuid(),"
                       " 'external', 'n' || n FROM generate_series(1, 1000) n", [cast.ada.tenant_id])  # fmt: skip
        cursor.execute(
            "INSERT INTO features_override (tenant_id, id, feature_id, subject_id, number, operations, rules, message,"
            " author, valid_from) SELECT s.tenant_id, gen_random_uuid(), o.feature_id, s.id, 1, o.operations, o.rules,"
            " '', '', o.valid_from FROM tenants_subject s, features_override o"
            " WHERE s.key LIKE 'n%%' AND o.subject_id = %s",
            [software[0].acting_for().id],
        )
        for table in ("tenants_subject", "features_override"):
            cursor.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    with CaptureQueriesContext(connections[OPERATOR]) as said, CaptureQueriesContext(connections["default"]) as theirs:
        version(cast, current=True, role="Politely.")
    statements = [query["sql"][:80] for query in (*said, *theirs) if query["sql"] not in ("BEGIN", "COMMIT")]
    assert len(statements) <= 13, statements
    with CaptureQueriesContext(connections["default"]) as theirs:
        impact = Impact.objects.using(OPERATOR).get()
        assert len(done(impact)) == 1003
    wanted = 8  # the version once; BEGIN, the tenant set, the tenant read, three pages of 500 users, COMMIT
    assert len(theirs) <= wanted, [query["sql"][:80] for query in theirs]


def test_a_users_changes_are_looked_at_under_those_of_their_organisation(cast: Cast) -> None:
    save(cast, cast.ada, "tenant", TONE, {"set": "formal"})
    save(cast, cast.alice, "user", TONE, {"set": "warm"})  # over “formal”, which stays
    impact = asked(cast, version(cast, vars={**GREET["vars"], "tone": "warm"}))
    assert outcomes(impact) == {("Acme", ""): ("conflict", [TONE]), ("Acme", "Alice"): ("carried", [TONE])}
