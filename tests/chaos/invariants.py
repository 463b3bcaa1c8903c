"""What must hold after whatever happened (reliability.md, section 5), asked of the database past every policy."""

from collections.abc import Collection

from tests.outside import until
from tests.processes import Stack


def all_ended(stack: Stack, accepted: Collection[str], patience: float) -> None:
    """Wait until every run that a caller was promised has ended."""

    def ended() -> bool:
        asked = "SELECT count(*) FROM runs_run WHERE id = ANY(%s) AND state IN ('succeeded', 'failed', 'cancelled')"
        return stack.rows(asked, list(accepted)) == [(len(accepted),)]

    until(ended, f"{len(accepted)} runs end; {stack.waiting()} are in the queue", patience)
    until(lambda: stack.waiting() == 0, "the queue is empty", 10)


def check(stack: Stack, accepted: Collection[str]) -> None:
    """Each accepted run ended once, is billed once, and nothing is held, unaccounted for or another tenant's."""
    assert len(set(accepted)) == len(accepted)
    assert stack.rows("SELECT count(*) FROM runs_run WHERE preview IS NULL AND id <> ALL(%s)", list(accepted)) == [(0,)]
    entered = stack.rows("SELECT run::text, count(*) FROM runs_ledger WHERE NOT preview GROUP BY run")
    assert {run for run, _ in entered} == set(accepted)
    assert {rows for _, rows in entered} == {1}
    differ = """SELECT r.id, r.state, l.state, r.cost, l.cost FROM runs_run r JOIN runs_ledger l ON l.run = r.id
                WHERE l.state <> r.state OR l.cost <> r.cost OR l.tenant_id <> r.tenant_id"""
    assert stack.rows(differ) == []
    attempts = {name for (name,) in stack.rows("SELECT run || '-' || number FROM runs_attempt")}
    assert set(stack.model.names) <= attempts  # no call without a row written before
    assert len(stack.model.names) == len(set(stack.model.names))  # and none made twice for one
    assert stack.rows("SELECT count(*) FROM runs_attempt WHERE finished_at IS NULL OR outcome = ''") == [(0,)]
    assert stack.rows("SELECT coalesce(sum(reserved), 0)::int FROM runs_budgetuse") == [(0,)]
    spent = """SELECT u.spent::int, (SELECT sum(cost) FROM runs_ledger l WHERE l.tenant_id = u.tenant_id)::int,
                      (SELECT sum(cost) FROM runs_attempt a WHERE a.tenant_id = u.tenant_id)::int FROM runs_budgetuse u"""
    assert all(of_budget == of_ledger == of_calls for of_budget, of_ledger, of_calls in stack.rows(spent))
    crossed = """SELECT count(*) FROM runs_attempt a JOIN runs_run r ON r.id = a.run WHERE a.tenant_id <> r.tenant_id"""
    assert stack.rows(crossed) == [(0,)]
