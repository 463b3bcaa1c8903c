"""How a run is written: what binds it is looked up, and it is queued, or has an equal run's output, or waits for it.

At once: the usual run, of a subject that is known, which no budget binds and whose content is kept, is one statement
that sets the tenant, looks and writes. Where it writes nothing, `Taking.take` finds out why, in a transaction.
"""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

from django.conf import settings

from features.availability import earliest
from features.engine import Json, dumps
from features.reading import STAMPS_SQL, stamp_parameters
from features.served import Served
from tenants.actor import Actor
from tenants.errors import AppError, OverBudget
from tenants.isolation import alone, one_row, tenant_row
from tenants.models import Subject, Tenant
from tenants.provider_keys import has_own_key
from tenants.subjects import make_sure

from . import metrics, tracing
from .costs import MICRO, most_per_run, worst
from .models import Run, State
from .outputs import FIND, NONE_EQUAL, Equal, cache_key, equal_parameters, find_equal, remember, remembered, still_works
from .reservations import APPLIES, Hold, Payer, reserve, settle
from .telling import TOLD

_KNOWN = "EXISTS (SELECT FROM tenants_subject WHERE tenant_id = %(tenant)s AND id = %(subject)s)"
_BOUND = f"EXISTS (SELECT FROM runs_budget b WHERE {APPLIES})"
_KEPT = "coalesce((SELECT p.store FROM features_policy p WHERE p.tenant_id = %(tenant)s AND p.valid_to IS NULL), true)"

# What is looked up for a run in one statement: whether its subject has a row, whether budgets bind it, whether the
# organisation keeps what its runs are given and give, and a run that is equal. Where there is none, whoever looks for
# one by the same key waits from here on until COMMIT, so that of many at once one is the first; that is why the
# statement that writes the run looks once more.
_LOOK = f"""
WITH equal AS MATERIALIZED ({FIND})
SELECT {_KNOWN}, {_BOUND}, {_KEPT}, (SELECT id FROM equal), (SELECT ended FROM equal),
       CASE WHEN %(lock)s::bigint IS NOT NULL AND NOT EXISTS (SELECT FROM equal)
            THEN pg_advisory_xact_lock(%(lock)s::bigint) END"""

_STAND = f"{STAMPS_SQL} = %(stamps)s::bigint[]"
_COLUMNS = """id, tenant_id, feature_id, subject_id, state, input, output, receipt, now, author, attempts, usage, cost,
    cached, replay_of, cache_key, store, forget_at, input_digest, output_digest, created_at, started_at, finished_at"""


def _queue(ready: str, *, alone_with_it: str = "true") -> str:
    """Write a run that waits, at the moment `t` of `ready`, if that has a row."""
    return f"""
WITH m AS MATERIALIZED ({ready}), run AS (
    INSERT INTO runs_run ({_COLUMNS})
    SELECT %(id)s, %(tenant)s, %(feature)s, %(subject)s, 'queued', %(input)s, NULL, %(receipt)s::jsonb, m.t, %(author)s,
           0, NULL, 0, false, %(replay_of)s::uuid, %(kept_key)s::bytea, %(store)s, NULL, '', '', m.t, NULL, NULL
    FROM m WHERE (%(fresh_until)s::timestamptz IS NULL OR m.t < %(fresh_until)s) AND {alone_with_it}
    RETURNING tenant_id, id, feature_id, created_at)
INSERT INTO runs_queued (tenant_id, id, feature, batch, quarantined, not_before, follows, lost, alone, reserved,
    budgets, trace)
SELECT tenant_id, id, feature_id, false, false, created_at, %(follows)s::uuid, 0, 0, %(reserved)s::bigint,
       %(budgets)s::uuid[], %(trace)s::text FROM run
RETURNING id"""


def _copy(ready: str) -> str:
    """Write a run that ends as it begins, with the `output` of `ready`, at no cost, and its ledger row."""
    return f"""
WITH m AS MATERIALIZED ({ready}), run AS (
    INSERT INTO runs_run ({_COLUMNS})
    SELECT %(id)s, %(tenant)s, %(feature)s, %(subject)s, 'succeeded', %(input)s, m.output, %(receipt)s::jsonb, m.t,
           %(author)s, 0, %(usage)s::jsonb, 0, true, %(replay_of)s::uuid, NULL, %(store)s::boolean,
           CASE WHEN %(store)s::boolean THEN NULL ELSE m.t + %(kept)s::interval END, '', '', m.t, m.t, m.t
    FROM m WHERE %(fresh_until)s::timestamptz IS NULL OR m.t < %(fresh_until)s
    RETURNING tenant_id, id, feature_id, subject_id, receipt, state, preview, batch, output, created_at
), told AS ({TOLD}), entered AS (
    INSERT INTO runs_ledger (id, tenant_id, run, feature, subject, at, state, cached, model, version, error, repairs,
        malformed, preview, calls, input_tokens, cached_input_tokens, output_tokens, cost, base_tokens, tenant_tokens,
        user_tokens)
    SELECT gen_random_uuid(), tenant_id, id, feature_id, subject_id, clock_timestamp(), 'succeeded', true,
           coalesce(receipt->'model_target'->>'alias', ''), (receipt->>'base')::int, '', 0, false, false, 0, 0, 0, 0, 0,
           0, 0, 0
    FROM run)
SELECT output, created_at FROM run"""


_QUEUE = _queue(f"""SELECT clock_timestamp() AS t
    WHERE {_STAND} AND (%(follows)s::uuid IS NOT NULL OR NOT EXISTS ({FIND}))""")
_COPY = _copy(f"""SELECT clock_timestamp() AS t, source.output FROM runs_run source
    WHERE source.tenant_id = %(tenant)s AND source.id = %(source)s AND source.output IS NOT NULL AND {_STAND}""")
_QUEUE_AT_ONCE = _queue(
    alone(f"SELECT clock_timestamp() AS t WHERE {_STAND} AND {_KNOWN} AND NOT {_BOUND} AND {_KEPT}"),
    alone_with_it=NONE_EQUAL,
)
_COPY_AT_ONCE = _copy(
    alone(f"""SELECT clock_timestamp() AS t, source.output
    FROM ({FIND}) equal JOIN runs_run source ON source.tenant_id = %(tenant)s AND source.id = equal.id
    WHERE equal.ended AND {_STAND} AND {_KNOWN} AND {_KEPT}""")
)
_NOTHING_USED = {"input_tokens": 0, "cached_input_tokens": 0, "output_tokens": 0}


@dataclass(frozen=True, slots=True)
class Accepted:
    """A run that was taken in, or the one that an idempotency key has made before. `ended`: it has its output.

    `run` is the run as it then is, where that is known without reading it.
    """

    run_id: UUID
    replayed: bool
    ended: bool = False
    run: Run | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a caller asks for besides the input.

    `store`: False keeps neither input nor output (the organisation's policy may say so for all). `fresh`: the model
    is asked even if there is an output of an equal run. `replays`: the run that is asked again, and on what.
    """

    store: bool = True
    fresh: bool = False
    replays: tuple[UUID, str | int] | None = None


ORDINARY = Asked()


class Taking:
    """One run while it is written: answered from the cache, queued behind an equal one, or queued to be carried out."""

    def __init__(self, run_id: UUID, served: Served, question: Json, asked: Asked, by: Actor) -> None:
        self.run_id, self.served, self.question, self.asked, self.by = run_id, served, question, asked, by
        self.tenant, self.payer = by.in_tenant(), Payer(by.tenant_id, served.who.id, served.feature.id)
        key = cache_key(served, by.tenant_id, self.tenant.name, question)
        self.key = None if asked.fresh else key
        self.parameters: dict[str, Any] = {
            **stamp_parameters(by.tenant_id, served.feature.id, served.who.id),
            **equal_parameters(served, self.key),
            "lock": None if self.key is None else int.from_bytes(self.key[:8], "big", signed=True),
            "id": run_id,
            "input": dumps(question),
            "receipt": json.dumps(served.receipt.as_json()),
            "fresh_until": earliest(served.choice.fresh_until, served.feature.retires_at),
            "author": by.label,
            "replay_of": asked.replays[0] if asked.replays else None,
            "stamps": list(served.stamps),
            "kept_key": key,
            "trace": tracing.traceparent(),
            "store": asked.store,
            "follows": None,
            "reserved": 0,
            "budgets": [],
            "usage": json.dumps(_NOTHING_USED),
            "kept": timedelta(seconds=settings.UNSTORED_SECONDS),
        }

    @property
    def usual(self) -> bool:
        """Whether it can be written at once, as far as can be told without asking."""
        return self.asked.store and most_per_run(self.served.compiled) is None

    def copied_at_once(self) -> Accepted | None:
        """Take an equal run's output, if this process has taken an equal one in before."""
        if self.key is None or not remembered(self.key):
            return None
        return self._copied(tenant_row(self.tenant.id, _COPY_AT_ONCE, self.parameters))

    def queued_at_once(self) -> Accepted | None:
        """Queue it, if nothing binds it and no run is equal."""
        if tenant_row(self.tenant.id, _QUEUE_AT_ONCE, self.parameters) is None:
            return None
        return self._queued()

    def take(self) -> Accepted | None:
        """Write it, within the tenant's transaction; None says that its stamps have moved, and to resolve again.

        Raises OverBudget.
        """
        looked = one_row(_LOOK, self.parameters)
        assert looked is not None  # it has no condition
        known, budgets, stores, equal_id, equal_ended, _ = looked
        self.parameters["store"] = self.asked.store and stores
        if not self.parameters["store"]:  # what is not to be kept answers nobody else
            self.parameters["kept_key"] = None
        if not known:
            make_sure(self.by.tenant_id, self.served.who)
        equal = None if equal_id is None else Equal(equal_id, equal_ended)
        if equal is None:
            hold = self._hold(budgets)
            held, of = (hold.amount, list(hold.budgets)) if hold else (None, [])
            if self._write(_QUEUE, reserved=held, budgets=of):
                return self._queued()
            settle(self.payer, hold or Hold(0), cost=0)
            equal = self._equal()  # one that came first, or stamps have moved
        return None if equal is None else self._take_from(equal)

    def _take_from(self, equal: Equal) -> Accepted | None:
        """Take an equal run's output, or wait for it."""
        if not equal.ended and not still_works(self.tenant.id, equal.id):  # it has ended in the meantime
            found = self._equal()
            if found is None:
                return None
            equal = found
        if not equal.ended:
            queued = self._write(_QUEUE, follows=equal.id, reserved=None, kept_key=None)
            return self._queued() if queued else None
        return self._copied(self._write(_COPY, source=equal.id))

    def _equal(self) -> Equal | None:
        return None if self.key is None else find_equal(self.served, self.tenant.id, self.key)

    def _queued(self) -> Accepted:
        remember(self.key)
        metrics.ACCEPTED.inc()
        return Accepted(self.run_id, replayed=False)

    def _copied(self, row: tuple[Any, ...] | None) -> Accepted | None:
        if row is None:
            return None
        remember(self.key)
        metrics.ACCEPTED.inc()
        metrics.ended(State.SUCCEEDED, "", cached=True)
        output, moment = row
        subject = Subject(id=self.served.who.id, key=self.served.who.key)
        run = Run(
            id=self.run_id, tenant=self.tenant, feature=self.served.feature, subject=subject, state=State.SUCCEEDED,
            input=self.question, output=json.loads(output), receipt=self.served.receipt.as_json(), now=moment,
            author=self.by.label, usage=_NOTHING_USED, cached=True, replay_of=self.parameters["replay_of"],
            store=self.parameters["store"], created_at=moment, started_at=moment, finished_at=moment,
        )  # fmt: skip
        return Accepted(self.run_id, replayed=False, ended=True, run=run)

    def _hold(self, budgets: bool) -> Hold | None:
        """Hold the first call's worst cost. Raises OverBudget also for a behavior whose own bound is below it.

        None where no call can be made as things are: whoever makes one all the same must look for budgets then.
        """
        most = most_per_run(self.served.compiled)
        if not budgets and most is None:
            return Hold(0)
        amount = worst_first_call(self.served, self.tenant, self.question)
        if amount is None:  # which is found when it is made
            return None
        if most is not None and amount > most:
            told = f"may cost {amount / MICRO:g} {settings.CURRENCY}; {self.served.feature.key} lets a run cost"
            raise OverBudget(f"This run's first call {told} {most / MICRO:g}. Send a shorter input.")
        return reserve(self.payer, amount) if budgets else Hold(0)

    def _write(self, statement: str, **more: Any) -> tuple[Any, ...] | None:
        return one_row(statement, {**self.parameters, **more})


def worst_first_call(served: Served, tenant: Tenant, question: Json) -> int | None:
    """What the first call on an input that is accepted can cost at the worst, within the tenant's transaction.

    Micro-units; None where no call can be made as things are, and where it is made with a key of the tenant's own.
    """
    compiled = served.compiled
    target = served.targets.get(compiled.model)
    if target is None or has_own_key(tenant.id, target.provider):
        return None
    try:
        given = cast("dict[str, Json]", question)  # its schema has accepted it
        messages = compiled.messages(given, tenant_name=tenant.name, user_key=served.who.key, now=served.at)
    except AppError:
        return None
    return worst(target, messages, compiled)
