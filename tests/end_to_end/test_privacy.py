"""A person who came, used the product and is erased: through the real web, worker and beat."""

import io
import json
import zipfile
from typing import Any

import httpx2

from tests.end_to_end.test_lost_workers import held
from tests.fakes.model import greeting
from tests.outside import Knock, until
from tests.processes import Stack

WORD = "CANARYZOE"


def anywhere(stack: Stack, text: str) -> list[str]:
    """The tables, and the keys of Valkey, in which a text is anywhere."""
    tables = stack.rows(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition"
        " AND relnamespace = 'public'::regnamespace"
    )
    found = [table for (table,) in tables if stack.rows(f"SELECT 1 FROM {table} t WHERE t::text LIKE %s", f"%{text}%")]
    broker = stack.broker()
    for key in broker.scan_iter():
        kind = broker.type(key)
        read = {b"string": broker.get, b"stream": broker.xrange, b"hash": broker.hgetall, b"set": broker.smembers,
                b"zset": lambda k: broker.zrange(k, 0, -1), b"list": lambda k: broker.lrange(k, 0, -1)}[kind]  # fmt: skip
        if text in f"{key!r} {read(key)!r}":
            found.append(f"valkey: {key!r}")
    return found


def zoe(stack: Stack) -> Knock:
    return Knock(stack.base_url, stack.cast.key(stack.cast.acme_service), bespoke_user=WORD)


def done(ada: Knock, place: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        shown: dict[str, Any] = ada.get(place).json()
        return shown if shown["state"] in ("done", "failed") else None

    found: dict[str, Any] = until(look, f"{place} is done", 60)
    return found


def test_of_somebody_who_was_there_nothing_is_left(stack: Stack) -> None:
    ada, user = stack.knock("ada"), zoe(stack)
    stack.model.script(greeting(f"Hello {WORD}"))
    run = user.run(WORD).json()
    assert run["output"] == {"greeting": f"Hello {WORD}"}
    mine = {"set": {"instructions.mine": f"Call me {WORD}."}}
    assert user.put("/features/greet/override/user", mine, if_none_match="*").status_code == 200
    other = stack.knock("alice").run("Ann").json()

    asked = ada.post("/export")
    assert asked.status_code == 202
    place = asked.headers["Location"].removeprefix("/api/v1")
    told = done(ada, place)
    file: httpx2.Response = ada.get(f"{place}/download")
    archive = zipfile.ZipFile(io.BytesIO(file.content))
    assert (len(file.content), file.headers["content-type"]) == (told["bytes"], "application/zip")
    rows = [json.loads(line) for line in archive.read("runs.ndjson").splitlines()]
    assert {row["id"] for row in rows} >= {run["id"], other["id"]}
    assert any(row["output"] == {"greeting": f"Hello {WORD}"} for row in rows)

    stuck = held()
    stack.model.script(stuck)
    running = user.run(f"{WORD} again", prefer="respond-async").json()["id"]
    assert stuck.begun.wait(30)
    asked = ada.post(f"/subjects/{WORD}/erase")
    assert asked.status_code == 202
    erased = done(ada, asked.headers["Location"].removeprefix("/api/v1"))
    assert erased["state"] == "done" and stuck.closed.wait(30), "what ran was stopped"
    assert anywhere(stack, WORD) == []
    assert WORD not in stack.logs()
    assert {user.get(f"/runs/{gone}").status_code for gone in (run["id"], running)} == {404}
    assert stack.ledger(run["id"], running) == [("cancelled", 1), ("succeeded", 1)]
    assert ada.get(f"{place}/download").status_code == 409
    assert ada.get("/audit/verify").json()["whole"] is True
    assert stack.knock("alice").get(f"/runs/{other['id']}").json()["output"] == other["output"]
    assert user.run("Zoe").json()["state"] == "succeeded", "they may come back, and begin anew"


def test_an_erasure_goes_on_when_its_worker_is_killed(stack: Stack) -> None:
    ada, user = stack.knock("ada"), zoe(stack)
    runs = [user.run(f"{WORD} {number}", prefer="respond-async").json()["id"] for number in range(3)]
    for run_id in runs:
        user.ended(run_id)
    stuck = held()
    stack.model.script(stuck)
    user.run(WORD, prefer="respond-async")
    assert stuck.begun.wait(30)
    place = ada.post(f"/subjects/{WORD}/erase").headers["Location"].removeprefix("/api/v1")
    until(lambda: ada.get(place).json()["state"] != "queued" or stuck.closed.is_set(), "it has begun")
    stack.worker.kill()
    stack.worker.start()
    assert done(ada, place)["state"] == "done"
    assert anywhere(stack, WORD) == []
