"""What the pictures of the documentation show: a month at Acme, told in minutes and then spread over the month.

Everything is made through the actions that people have; only the clock of what was made is moved afterwards, by the
superuser of the throwaway database.
"""

import json
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql

from backend.actors import actor_of_login
from features.actions.catalog import FOLDER, load_file, read_file
from features.actions.overrides import ANY, save_override
from features.actions.pins import pin
from features.actions.rollouts import start_rollout
from features.actions.targets import add_target
from features.actions.versions import publish
from features.find import find_feature
from features.models import Feature, Rollout
from features.runs.accept import accept, find_run
from features.runs.budgets import add_budget
from features.runs.finish import rate
from features.runs.taking import Asked
from tenants.actions import create_tenant, login_for
from tenants.actor import Actor
from tenants.system import system_actor
from tests.emptying import KEPT
from tests.fakes.model import Answer
from tests.outside import until
from tests.processes import Stack

from .vendor_story import CUSTOMERS, measure

OVERLAPS = "SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE contype = 'x' AND conparentid = 0"
MOMENTS = (
    "SELECT c.relname, array_agg(a.attname) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
    " WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped"
    " AND a.attgenerated = '' AND c.relnamespace = 'public'::regnamespace AND a.atttypid = 'timestamptz'::regtype"
    " AND c.relname <> ALL (%s) GROUP BY 1"
)
CATALOG = ("triage", "summarize", "reply", "extract", "customize")
MESSAGES: list[dict[str, Any]] = [
    {"message": "I was charged twice for March: 29 EUR on the 3rd and again on the 4th. Please refund one of them.", "customer_name": "Jana Novak", "facts": ["The second charge was refunded today.", "Refunds take five working days."]},
    {"message": "My card has not arrived and I leave on Friday.", "customer_name": "Tom Reyes", "facts": ["The card was sent on Monday."]},
    {"message": "Can I change the delivery address of my order? I am moving next week.", "customer_name": "Ines Moreau", "facts": ["Addresses can be changed until an order is packed."]},
    {"message": "The app closes itself as soon as I scan my card.", "customer_name": "Lea Brandt", "facts": ["Version 4.2 of the app mends this."]},
]  # fmt: skip
ANSWERS = {
    "charged twice": "thank you for telling us. You were charged twice for March, and the second 29 EUR were refunded today. It takes five working days until you see them in your account.",
    "card has not": "thank you for your message. Your card was sent on Monday and should reach you before Friday. If it does not, write to us on Thursday and we will find another way.",
    "delivery address": "thank you for asking early. We can change the address as long as your order is not packed. Tell us the new one, and we will put it in today.",
    "closes itself": "thank you for the report, and I am sorry for the trouble. Version 4.2 of the app mends exactly this: install it, and scanning works again.",
}
STEPS: list[dict[str, Any]] = [
    {"tenants": ["acme", "initech", "umbrella-bank", "hooli-credit"], "hold": "7d"}, {"percent": 40, "hold": "6h", "min_runs": 500}, {"percent": 100},
]  # fmt: skip
OTHERS: list[dict[str, Any]] = [  # what other customers have changed
    {"set": {"vars.tone": "friendly", "vars.language": "German"}},
    {"set": {"instructions.closing": "End with: Your bank"}},
    {"set": {"vars.max_sentences": 3}},
]
GUARDS = {
    "pins_away": {"max": 0.02, "min_runs": 2}, "schema_failures": {"max": 0.01, "min_runs": 2},
    "failed_checks": {"max": 0.02, "min_runs": 2}, "cost_per_run": {"max": 8000, "min_runs": 2, "do": "roll_back"},
}  # fmt: skip


def answering(request: dict[str, Any]) -> Answer:
    """What a good model would write."""
    asked = json.dumps(request["messages"], ensure_ascii=False)
    names = request["response_format"]["json_schema"]["schema"]["properties"]
    last = json.dumps(request["messages"][-1], ensure_ascii=False)
    text = next((words for key, words in ANSWERS.items() if key in last), ANSWERS["card has not"])
    who = next((one["customer_name"] for one in MESSAGES if one["customer_name"] in last), "there")
    body = f"Hello {who.partition(' ')[0]}, {text}" if "warm" in asked else f"Dear {who}, {text}"
    if "category" in names:
        said: dict[str, Any] = {"reason": "a charge was made twice", "category": "payment", "urgency": "normal", "sentiment": "negative"}  # fmt: skip
    elif "subject" in names:
        said = {"body": body + "\n\nKind regards", "subject": "Your message to us"}
    elif "operations" in names:
        said = {"reason": "The signature is a field of its own.", "operations": [{"field": "vars.signature", "kind": "set", "value": "Warmly, Alice from Acme"}]}  # fmt: skip
    else:
        said = {"body": body}
    text = json.dumps({name: said[name] for name in names if name in said})
    return Answer(text, prompt=300 + len(asked) // 4, completion=40 + len(text) // 4)


class Month:
    """The month as it is told: each chapter is so many days ago."""

    def __init__(self, stack: Stack) -> None:
        self.stack, self.cast = stack, stack.cast
        self.chapters: list[tuple[datetime, float]] = []
        self.owners = list[Actor]()
        self.reply: Feature
        self.triage: Feature
        self.rollout: Rollout

    def tell(self) -> None:
        """Tell all of it. Afterwards Alice is held back by a conflict, and the rollout is in its first step."""
        cast, ago = self.cast, self._ago
        self.chapters.append((datetime.now(UTC) - timedelta(hours=1), 27))  # the cast is older than the story
        ago(26, self._published)
        ago(24, lambda: self._change("tenant", cast.ada, {"set": {"vars.tone": "formal", "vars.signature": "Your Acme service team"}}))  # fmt: skip
        for days, count in ((22, 3), (20, 2), (19, 4)):
            ago(days, lambda count=count: self._runs(count))  # type: ignore[misc]
        ago(17, lambda: self._change("user", cast.alice, {"set": {"vars.tone": "warm", "instructions.closing": "End with: Warmly, Alice from Acme"}}))  # fmt: skip
        for who, document in zip(self.owners, OTHERS, strict=False):
            self._change("tenant", who, document)
        pin(self.reply, "tenant", kind="base", version=1, reason="Until the audit is over", by=self.owners[2])
        for days, count in ((15, 4), (13, 5), (12, 3), (9, 6), (8, 5), (6, 7), (5, 4)):
            ago(days, lambda count=count: self._runs(count))  # type: ignore[misc]
        ago(3, self._second)
        ago(2, lambda: self._runs(6))
        ago(0.08, lambda: self._runs(3, rated=False))
        ago(0.002, self._budgets)
        spread(self.stack, self.chapters)
        for guard, top in (
            ("pins_away", 0.0002),
            ("schema_failures", 0.00008),
            ("failed_checks", 0.0003),
            ("cost_per_run", 200),
        ):
            measure(self.rollout, guard, [top * (n % 7 + n / 4) for n in range(1, 40)], sample=531, minutes=110)

    def _ago(self, days: float, act: Callable[[], Any]) -> None:
        self.chapters.append((datetime.now(UTC), days))
        act()

    def _published(self) -> None:
        system = system_actor("the catalog")
        add_target(alias="standard", provider="demo", model="gpt-5-mini", input_price=3_000_000, output_price=15_000_000, by=system)  # fmt: skip
        for name in CATALOG:
            load_file(read_file(FOLDER / f"{name}.yaml"), force=False, by=system)
        self.reply, self.triage = (find_feature(key, self.cast.ada) for key in ("reply", "triage"))
        for name in CUSTOMERS[:6]:
            slug = name.lower().replace(" ", "-")
            owner = login_for(f"owner@{slug}.example", name="Owner")
            create_tenant(slug=slug, name=name, owner=owner, by=system)
            actor = actor_of_login(owner, None)
            assert actor is not None
            self.owners.append(actor)
        add_budget(period="month", soft=400_000, hard=500_000, by=self.cast.ada)

    def _change(self, layer: Any, who: Actor, document: dict[str, Any]) -> None:
        save_override(self.reply, layer, document, expected=ANY, by=who)

    def _runs(self, count: int, *, rated: bool = True) -> None:
        people = (self.cast.alice, self.cast.bob, self.cast.alice, self.cast.ada)
        asked = [(people[n % 4], MESSAGES[n % 4]) for n in range(count)]
        made = [(who, accept(self.reply, given, asked=Asked(fresh=True), by=who).run_id) for who, given in asked]
        for who, given in asked[: count - count // 3]:
            accept(self.triage, {"message": given["message"]}, asked=Asked(fresh=True), by=who)
        until(lambda: self.stack.waiting() == 0, "all runs have ended", 120)
        for number, (who, run_id) in enumerate(made[:-1] if rated else []):
            run = find_run(run_id, who)
            assert run is not None
            rate(run, {"verdict": "bad" if number % 5 == 2 else "good"}, by=who)

    def _budgets(self) -> None:
        """What would have stopped the telling, which takes a minute of one day."""
        add_budget(period="month", soft=None, hard=450_000, feature=self.reply, by=self.cast.ada)
        add_budget(period="day", soft=None, hard=1_000_000, each_user=True, by=self.cast.ada)

    def _second(self) -> None:
        theirs = find_feature("reply", self.cast.operator)
        behavior = deepcopy(read_file(FOLDER / "reply.yaml")["behavior"])
        behavior["instructions"]["closing"] = (
            "{% if vars.signature %}Below the answer, put: {{ vars.signature }}{% endif %}"
        )
        behavior["instructions"]["facts"] += " Name dates and amounts exactly as they are given."
        publish(theirs, behavior=behavior, message="Exact dates and amounts", make_current=False, by=self.cast.operator)
        self.rollout = start_rollout(
            theirs, to=2, steps=STEPS, guards=GUARDS, message="Exact dates and amounts", by=self.cast.operator
        )
        worked_out = "SELECT count(*) = 0 FROM features_impact WHERE state IN ('queued', 'running')"
        until(lambda: bool(self.stack.rows(worked_out)[0][0]), "the impact is worked out", 60)


def _by_day(at: datetime, days: float) -> datetime:
    """A moment of a day at which people work."""
    return at if days < 1 else at.replace(hour=8 + round(days) % 9, minute=round(days * 17) % 60)


def spread(stack: Stack, chapters: list[tuple[datetime, float]]) -> None:
    """Move what each chapter made to its day, in every column that holds a moment, keeping their order.

    All days lie in the month that ends now: rows stay in its partitions, and what it cost is seen in one chart.
    """
    now = datetime.now(UTC)
    marks = [(began, _by_day(now - timedelta(days=days), days)) for began, days in chapters]
    cases = sql.SQL(" ").join(
        sql.SQL("WHEN at >= {} AND at < {} THEN {}::timestamptz + (at - {}) * {}::float8").format(
            began, ended, to, began, min(1.0, (after - to) / (ended - began))
        )
        for (began, to), (ended, after) in zip(marks, marks[1:], strict=False)
    )
    with psycopg.connect(stack.environment["TEST_SUPERUSER_URL"], autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # no trigger asks who that is
        connection.execute(
            sql.SQL(
                "CREATE FUNCTION pg_temp.moved(at timestamptz) RETURNS timestamptz LANGUAGE sql IMMUTABLE"
                " RETURN CASE {} ELSE at END"
            ).format(cases)
        )
        for table, constraint in connection.execute(OVERLAPS).fetchall():  # which look at one row after the other
            connection.execute(
                sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(sql.Identifier(table), sql.Identifier(constraint))
            )
        for table, columns in connection.execute(MOMENTS, [[*KEPT, "django_session"]]).fetchall():
            moved = [sql.SQL("{0} = pg_temp.moved({0})").format(sql.Identifier(column)) for column in columns]
            connection.execute(sql.SQL("UPDATE {} SET {}").format(sql.Identifier(table), sql.SQL(", ").join(moved)))
        connection.execute("DELETE FROM features_feature WHERE key = 'greet'")  # the tests' own feature
