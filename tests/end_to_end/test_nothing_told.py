"""What people send and models answer is in their rows and nowhere else, above all when something breaks.

A database that refuses a row may repeat it in its error, so web and worker are made to fail that way on rows that hold
everything a caller can say. Then logs, Valkey, messages and metrics are looked through.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import httpx2
import psycopg
import pytest
import redis

from tests.fakes.model import Answer, greeting
from tests.outside import Knock, until
from tests.processes import Stack

SENT, ANSWERED, TOKEN = "Bartholomew-sent", "Philomena-answered", "a-token-for-metrics"
HEADERS = {
    "User-Agent": SENT, "Referer": f"https://x.example/{SENT}", "X-Forwarded-For": SENT, "Cookie": f"session={SENT}",
    "Accept-Language": SENT, "X-Anything": SENT,
}  # fmt: skip

# Tables whose rows take what somebody says.
REFUSING = ("runs_run", "features_override", "runs_batch", "tenants_webhook", "features_pin", "runs_idempotencykey")


@pytest.fixture
def watched(stack: Stack) -> Iterator[tuple[Stack, str]]:
    """The stack with metrics that can be asked for, and the address of the worker's; its logs begin here."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for program in (stack.web, stack.worker):
        program.stop()
    for log in stack.folder.glob("*.log"):
        log.write_text("")
    stack.web.start(BESPOKE_METRICS_TOKEN=TOKEN)
    stack.worker.start(BESPOKE_METRICS_PORT=str(port))
    stack.start()
    yield stack, f"http://127.0.0.1:{port}/metrics"
    for program in (stack.web, stack.worker):
        program.stop()


REFUSE = """
CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'refused: %', NEW USING ERRCODE = 'check_violation', DETAIL = NEW::text; END $$"""


@contextmanager
def refusing(stack: Stack, *tables: str, when: str = "true") -> Iterator[None]:
    """A database that refuses every new or changed row of some tables, and repeats it."""
    with psycopg.connect(stack.environment["TEST_SUPERUSER_URL"], autocommit=True) as database:
        database.execute(REFUSE)
        for table in tables:
            trigger = f"CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW WHEN ({when})"
            database.execute(f"{trigger} EXECUTE FUNCTION refuse()")  # type: ignore[arg-type]
        try:
            yield
        finally:
            database.execute("DROP FUNCTION refuse CASCADE")


def everything(broker: redis.Redis) -> Iterator[tuple[str, str]]:
    """Each key of the stack's number in Valkey with all that it holds, as text."""
    read: dict[bytes, Any] = {
        b"string": broker.get, b"hash": broker.hgetall, b"list": lambda key: broker.lrange(key, 0, -1),
        b"none": lambda key: "",  # it ended since its name was read
        b"set": broker.smembers, b"zset": lambda key: broker.zrange(key, 0, -1), b"stream": broker.xrange,
    }  # fmt: skip
    for key in broker.scan_iter(count=1000):
        yield key.decode(), str(read[broker.type(key)](key))


def say_everything(who: Knock) -> list[httpx2.Response]:
    """Put the canary wherever a caller can say something."""
    feature, run_id = "/features/greet", "01890a5d-ac96-774b-bcce-b302099a8057"
    named = {name.replace("-", "_"): value for name, value in HEADERS.items()}
    ndjson = {"content": f'{{"input": {{"name": "{SENT}"}}, "key": "{SENT}"}}\n'.encode()}
    batch = {**HEADERS, "Content-Type": "application/x-ndjson"}
    return [
        who.run(SENT, prefer=f"respond-async, {SENT}", Idempotency_Key=f"{SENT}-{uuid4()}", **named),
        who.put(f"{feature}/override/user", {"set": {"instructions.role": SENT}, "message": SENT}, If_Match="*"),
        who.put(f"{feature}/override/user/fields/vars.signature", {"set": SENT}),
        who.put(f"{feature}/pin/user", {"version": 1, "reason": SENT}),
        who.client.post(f"{feature}/batches", headers=batch, **ndjson),
        who.post("/webhooks", {"url": f"https://{SENT}.example/", "events": ["run.failed"], "description": SENT}),
        who.post(f"{feature}/suggest", {"wish": SENT}, prefer="respond-async"),
        who.post(f"{feature}/preview", {"inputs": [{"name": SENT}], "set": {"vars.tone": SENT}}),
        who.post("/keys", {"kind": "member", "name": SENT}),
        who.post("/members", {"email": f"{SENT}@acme.example", "role": "member", "name": SENT}),
        who.post("/budgets", {"period": "day", "hard": 1, "user": SENT}),
        who.post("/provider-keys", {"provider": "demo", "name": SENT, "key": SENT}),
        who.put(f"/runs/{run_id}/feedback", {"verdict": "bad", "note": SENT, "correction": {"greeting": SENT}}),
        who.post(f"{feature}/runs", {"input": {SENT: SENT}, SENT: SENT}),
        who.get(f"/runs/{run_id}/events", Last_Event_ID=SENT),
        who.get(f"/{SENT}/{SENT}?{SENT}={SENT}"),
        who.get(f"/features/{SENT}/behavior?at={SENT}", If_Match=SENT, Bespoke_User=SENT),
        who.client.post(f"{feature}/runs", content=f'{{"{SENT}": '.encode(), headers={"Content-Type": "application/json"}),
        who.client.request(SENT[:11].upper(), "/me"),
    ]  # fmt: skip


def test_what_is_sent_and_answered_is_in_no_log_key_message_or_metric(watched: tuple[Stack, str]) -> None:
    stack, worker_metrics = watched
    ada, broken = stack.knock("ada"), 0
    say_everything(ada)
    with refusing(stack, *REFUSING):
        for answer in say_everything(ada):
            broken += answer.status_code == 500
            assert answer.status_code < 500 or (SENT not in answer.text and "/errors/broken" in answer.text)
    assert broken >= 5  # a run, an override, a pin, a batch and a webhook

    stack.model.script(greeting(ANSWERED))
    with refusing(stack, "runs_run", when=f"NEW.output LIKE '%{ANSWERED}%'"):
        refused = ada.run(SENT, prefer="respond-async").json()["id"]
        until(lambda: "CheckViolation" in stack.worker.said(), "the worker has failed on the row")
    stack.model.default = lambda _: Answer(f'{{"{ANSWERED}": "{ANSWERED}"}}')
    stack.model.script(Answer(status=500, text=ANSWERED), Answer(raw=f"data: {ANSWERED}\n\n".encode()))
    failed = [ada.run(f"{SENT} {n}", prefer="respond-async").json()["id"] for n in range(3)]
    for run_id in (refused, *failed):
        ada.ended(run_id)
    stack.worker.kill()
    ada.run(f"{SENT} waits", prefer="respond-async")  # its bell lies in the queue
    stored = dict(everything(stack.broker()))
    assert "runs:bells" in stored and any(key.startswith("limit:") for key in stored)
    stack.worker.start(BESPOKE_METRICS_PORT=worker_metrics.rpartition(":")[2].partition("/")[0])
    until(lambda: stack.waiting() == 0, "all have ended")
    stored |= dict(everything(stack.broker()))

    said = stack.logs()
    assert "CheckViolation" in said and "23514" in said and said.count('"status": 500') == broken
    counted = httpx2.get(worker_metrics).text
    counted += httpx2.get(f"{stack.base_url}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).text
    assert "bespoke_attempts_total{" in counted and 'status="500"' in counted
    for what, text in (("logs", said), ("metrics", counted), ("keys", " ".join(stored))):
        assert SENT not in text and ANSWERED not in text, what
    told = {key for key, value in stored.items() if SENT in value or ANSWERED in value}
    assert {key.partition(":")[0] for key in told} <= {"run"}  # words on their way to who asked, for an hour
    assert not any(SENT in stored[key] for key in told)
