"""`python -m benchmarks.runs.bare web FD` and `… worker URL`: a run's round trips, and nothing of Bespoke between them.

Two processes that ask PostgreSQL, Valkey and the upstream as often as web and worker do for a run that is not cached,
in the same order, by the same libraries, with threads where those have threads. Nobody is authenticated, nothing is
checked, rendered, counted or paid. What they cost is what no code of ours goes below without leaving the libraries.
"""

import asyncio
import json
import os
import queue
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import django
import httpx2
import openai
import psycopg
import redis
import redis.asyncio
import uvicorn

SLOTS, DOORS = 32, 4
TEXT = "x" * 200
BELLS, ENDED, COLUMNS = "bare:bells", "bare:ended", 20
_TABLES = f"""
CREATE TABLE run (id uuid PRIMARY KEY, {", ".join(f"c{n} text" for n in range(COLUMNS))});
CREATE TABLE queued (id uuid PRIMARY KEY, token uuid);
CREATE TABLE attempt (id uuid, {", ".join(f"c{n} text" for n in range(COLUMNS // 2))});
CREATE INDEX ON attempt (id)"""

Statement = tuple[str, list[Any]]
_TENANT: Statement = ("SELECT set_config('app.tenant', $1, true)", [str(UUID(int=0))])
_ASKS = "SELECT $1::text, $2::text, $3::text, now(), now(), 1, 2, 3"
_TAKEN = f"""
WITH taken AS (INSERT INTO run VALUES ($1, {", ".join(f"${n + 2}" for n in range(COLUMNS))}) RETURNING id)
INSERT INTO queued (id) SELECT id FROM taken RETURNING id"""
_SHOWN = "SELECT * FROM run WHERE id = $1"
_CLAIMED = "UPDATE queued SET token = gen_random_uuid() WHERE id = ANY($1::uuid[]) RETURNING id, token"
_BEGUN = f"INSERT INTO attempt SELECT $1::uuid, {', '.join(['$2::text'] * (COLUMNS // 2))}"
_FINISHED = f"""
WITH ended AS (UPDATE run SET c1 = $2, c2 = $2, c3 = $2 WHERE id = $1 RETURNING id),
     gone AS (DELETE FROM queued USING ended WHERE queued.id = ended.id)
{_BEGUN}"""


def prepare() -> None:
    """Make a database for it beside Bespoke's own, in which a table that is no tenant's would be refused."""
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True) as connection:
        connection.execute("CREATE DATABASE bare")
    with psycopg.connect(_url()) as connection:
        connection.execute(_TABLES)


def _url() -> str:
    return urlsplit(os.environ["DATABASE_OWNER_URL"])._replace(path="/bare").geturl()


class Database:
    """A few connections, each used by one thread at a time."""

    def __init__(self, number: int) -> None:
        self._free: queue.SimpleQueue[psycopg.Connection[Any]] = queue.SimpleQueue()
        for _ in range(number):
            connection = psycopg.connect(_url(), autocommit=True)
            connection.prepare_threshold = 1
            self._free.put(connection)

    def send(self, *statements: Statement) -> list[Any]:
        """Carry statements out in one round trip. Returns the rows of the last."""
        connection = self._free.get()
        try:
            with connection.pipeline():
                sent = [psycopg.RawCursor(connection).execute(text, given) for text, given in statements]
            last = sent[-1]
            return last.fetchall() if last.description else []
        finally:
            self._free.put(connection)


class Web:
    """The door's share: who asks, what they may, the run written, its bell, its end, and the run shown."""

    def __init__(self) -> None:
        self._database, self._threads = Database(DOORS), ThreadPoolExecutor(DOORS)
        self._valkey = redis.Redis.from_url(os.environ["REDIS_URL"])
        self._counted = self._valkey.register_script("return {0, 0}")
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._hearing: asyncio.Task[None] | None = None
        self._listens = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        self._hearing = self._hearing or asyncio.create_task(self._hear())
        await self._listens.wait()
        given, run_id, loop = (await receive()).get("body"), uuid4(), asyncio.get_running_loop()
        ended = self._waiting[str(run_id)] = loop.create_future()
        await loop.run_in_executor(self._threads, self._take_in, run_id, given)
        await asyncio.wait([ended], timeout=20)
        shown = await loop.run_in_executor(self._threads, self._database.send, _TENANT, (_SHOWN, [run_id]))
        body = json.dumps([str(value) for value in shown[0]]).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _take_in(self, run_id: UUID, given: bytes) -> None:
        self._database.send((_ASKS, [TEXT, TEXT, "key"]))
        for _ in ("the request", "the run in flight"):
            self._counted(keys=["bare:1", "bare:2"], args=["1", "2", "3"])
        json.loads(given)
        self._database.send(_TENANT, (_TAKEN, [run_id, *[TEXT] * COLUMNS]))
        with self._valkey.pipeline(transaction=False) as pipe:
            pipe.rpush(BELLS, str(run_id))
            pipe.ltrim(BELLS, -1000, -1)
            pipe.execute()

    async def _hear(self) -> None:
        async with redis.asyncio.Redis.from_url(os.environ["REDIS_URL"]) as client, client.pubsub() as heard:
            await heard.subscribe(ENDED)
            while True:
                message = await heard.get_message(timeout=15)
                if message is not None and message["type"] == "subscribe":
                    self._listens.set()
                elif message is not None and (waits := self._waiting.pop(message["data"].decode(), None)):
                    waits.set_result(None)


class Worker:
    """The worker's share: bells, one claim for several, the run read, its call, its events and its end."""

    def __init__(self, upstream: str) -> None:
        self._database, self._threads = Database(3), ThreadPoolExecutor(SLOTS)
        self._valkey = redis.Redis.from_url(os.environ["REDIS_URL"])
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._model = asyncio.run_coroutine_threadsafe(_client(f"{upstream}/v1"), self._loop).result()
        self._free = threading.Semaphore(SLOTS)

    def serve(self) -> None:
        """Answer bells for ever."""
        while True:
            heard: Any = self._valkey.blmpop(2, 1, BELLS, direction="LEFT", count=SLOTS)
            if heard is None:
                continue
            found = [UUID(bell.decode()) for bell in heard[1]]
            self._database.send((_CLAIMED, [found]))
            for run_id in found:
                self._free.acquire()
                self._threads.submit(self._carry_out, run_id)

    def _carry_out(self, run_id: UUID) -> None:
        try:
            self._database.send(_TENANT, (_SHOWN, [run_id]))
            self._database.send(_TENANT, (_BEGUN, [run_id, TEXT]))
            self._tell(run_id, "started")
            asyncio.run_coroutine_threadsafe(self._call(), self._loop).result()
            self._tell(run_id, "delta")
            self._database.send(_TENANT, (_FINISHED, [run_id, TEXT]))
            self._tell(run_id, "done", ended=True)
        finally:
            self._free.release()

    def _tell(self, run_id: UUID, event: str, *, ended: bool = False) -> None:
        with self._valkey.pipeline(transaction=False) as pipe:
            pipe.xadd(f"bare:{run_id}", {"event": event, "data": TEXT})
            pipe.expire(f"bare:{run_id}", 60)
            if ended:
                pipe.publish(ENDED, str(run_id))
                pipe.zrem("bare:1", str(run_id))
                pipe.zrem("bare:2", str(run_id))
            pipe.execute()

    async def _call(self) -> None:
        from features.runs.streaming import Gathered  # Django is not set up when this module is read

        gathered, asked = Gathered(), [{"role": role, "content": TEXT} for role in ("system", "user")]
        body = {"model": "bench", "messages": asked, "stream": True}
        async with asyncio.timeout(30):
            answer: Any = await self._model.post(
                "/chat/completions", cast_to=httpx2.Response, body=body, stream=True,
                stream_cls=openai.AsyncStream[Any], options={"headers": {"X-Client-Request-Id": "bare"}},
            )  # fmt: skip
            async for part in answer.aiter_bytes():
                gathered.feed(part)
            await answer.aclose()


async def _client(base_url: str) -> openai.AsyncOpenAI:
    connections = openai.DefaultAioHttpClient()
    return openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0, http_client=connections)


def main() -> None:
    share, where = sys.argv[1:]
    django.setup()
    if share == "worker":
        Worker(where).serve()
    config = uvicorn.Config(Web(), lifespan="off", log_config=None, access_log=False, proxy_headers=False)
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(where))])


if __name__ == "__main__":
    main()
