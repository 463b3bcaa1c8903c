"""What must hold after whatever happened: the six of reliability.md, section 5, asked of the database itself."""

from collections.abc import Collection

from django.core.management import call_command
from django.db import connections

from features.runs.budgets import add_budget
from tenants.catalogue import tenant_tables
from tenants.isolation import APP, tenant_tx
from tests.outside import until
from tests.processes import Stack

PLENTY = 10**12
BOUND = ("ada", "gus")  # owners whose organisations have a budget, so that every call holds and settles


def bind(stack: Stack) -> None:
    """Give both organisations a budget that is never reached; before the first run."""
    for owner in BOUND:
        add_budget(period="month", soft=None, hard=PLENTY, by=getattr(stack.cast, owner))


def all_ended(stack: Stack, accepted: Collection[str], patience: float) -> None:
    """Wait until every run that a caller was promised has ended."""

    def ended() -> bool:
        asked = "SELECT count(*) FROM runs_run WHERE id = ANY(%s) AND state IN ('succeeded', 'failed', 'cancelled')"
        return stack.rows(asked, list(accepted)) == [(len(accepted),)]

    until(ended, f"{len(accepted)} runs end; {stack.waiting()} are in the queue", patience)
    until(lambda: stack.waiting() == 0, "the queue is empty", 10)


def check(stack: Stack, accepted: Collection[str]) -> None:
    """All six; `accepted` are the runs that callers were promised, all of them and no others."""
    connections.close_all()  # PostgreSQL may have been another process when they were opened
    each_has_one_end(stack, accepted)
    each_is_billed_once(stack, accepted)
    each_call_has_its_attempt(stack)
    nothing_is_held(stack)
    tenants_are_apart(stack)
    audit_chains_are_whole()


def each_has_one_end(stack: Stack, accepted: Collection[str]) -> None:
    """1: every accepted run is there, in exactly one final state, and there is no other."""
    assert len(set(accepted)) == len(accepted)
    there = stack.rows("SELECT id::text, state FROM runs_run WHERE preview IS NULL")
    assert sorted(run for run, _ in there) == sorted(accepted)
    assert {state for _, state in there} <= {"succeeded", "failed", "cancelled"}


def each_is_billed_once(stack: Stack, accepted: Collection[str]) -> None:
    """2: one ledger row for each run, which says of it what the run itself says."""
    entered = stack.rows("SELECT run::text, count(*) FROM runs_ledger WHERE NOT preview GROUP BY run")
    assert {run for run, _ in entered} == set(accepted)
    assert {rows for _, rows in entered} == {1}
    differ = """SELECT r.id, r.state, l.state, r.cost, l.cost FROM runs_run r JOIN runs_ledger l ON l.run = r.id
                WHERE l.state <> r.state OR l.cost <> r.cost OR l.tenant_id <> r.tenant_id"""
    assert stack.rows(differ) == []


def each_call_has_its_attempt(stack: Stack) -> None:
    """3: no call that the model saw is without a row written before, none was made twice for one, all are settled."""
    attempts = {name for (name,) in stack.rows("SELECT run || '-' || number FROM runs_attempt")}
    assert set(stack.model.names) <= attempts
    assert len(stack.model.names) == len(set(stack.model.names))
    assert stack.rows("SELECT count(*) FROM runs_attempt WHERE finished_at IS NULL OR outcome = ''") == [(0,)]


def nothing_is_held(stack: Stack) -> None:
    """4: of no budget is anything held, and what it has spent is the ledger's sum and the calls', to the unit."""
    uses = stack.rows("""
        SELECT u.reserved::bigint, u.spent::bigint,
               (SELECT sum(cost) FROM runs_ledger l WHERE l.tenant_id = u.tenant_id)::bigint,
               (SELECT sum(cost) FROM runs_attempt a WHERE a.tenant_id = u.tenant_id)::bigint FROM runs_budgetuse u""")
    assert uses and all(held == 0 and spent == ledger == calls for held, spent, ledger, calls in uses), uses


def tenants_are_apart(stack: Stack) -> None:
    """5: in its transaction the app's role sees all rows of a tenant and none of another's."""
    tables = sorted(tenant_tables() - {"tenants_tenant"})
    for owner in BOUND:
        tenant = getattr(stack.cast, owner).tenant_id
        for table in tables:
            with tenant_tx(tenant), connections[APP].cursor() as cursor:
                cursor.execute(f"SELECT count(*) FILTER (WHERE tenant_id = %s), count(*) FROM {table}", [tenant])
                own, seen = cursor.fetchone()
            there = stack.rows(f"SELECT count(*) FROM {table} WHERE tenant_id = %s", tenant)
            assert [(own,)] == [(seen,)] == there, table
    crossed = "SELECT count(*) FROM runs_attempt a JOIN runs_run r ON r.id = a.run WHERE a.tenant_id <> r.tenant_id"
    assert stack.rows(crossed) == [(0,)]


def audit_chains_are_whole() -> None:
    """6: every audit chain verifies; the command fails of one that does not."""
    call_command("audit_verify", verbosity=0)
