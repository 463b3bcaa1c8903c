"""How many interactive runs a tenant and each of its callers have in flight: accepted, and not ended.

A sorted set of run ids for each of the two in Valkey, with a score at which a run is forgotten: so what a crashed
process or a wiped server left counted heals by itself. Batch items and previews are not counted. With Valkey away
nothing is limited.
"""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from features.engine.fields import LIMITS
from tenants import valkey
from tenants.actor import Actor
from tenants.errors import TooMany
from tenants.limits import runs_of_key, runs_of_tenant

MARGIN_SECONDS = 300  # in the queue, and for what a worker does besides calling a model
KEPT_SECONDS = int(LIMITS["timeout_seconds"][1]) + MARGIN_SECONDS

# KEYS: the sets. ARGV: the run, for how many seconds it is kept, then how many each set may hold.
# Returns which set is full (0: none, and the run is in all) and how many it holds.
_ENTER = valkey.client.register_script("""
local now = tonumber(redis.call('TIME')[1])
for i, key in ipairs(KEYS) do
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
    local held = redis.call('ZCARD', key)
    if held >= tonumber(ARGV[i + 2]) then return {i, held} end
end
for i, key in ipairs(KEYS) do
    redis.call('ZADD', key, now + ARGV[2], ARGV[1])
    redis.call('EXPIRE', key, ARGV[2])
end
return {0, 0}
""")


def enter(run_id: UUID, by: Actor) -> None:
    """Count a run in flight for the actor and its tenant. Raises TooMany, and counts it for neither, if one is full."""
    tenant = by.in_tenant()
    most = [runs_of_tenant(tenant), runs_of_key(by.key, tenant)]
    keys = _sets(tenant.id, by.label)
    args: list[str | int] = [str(run_id), KEPT_SECONDS, *most]
    full, held = valkey.ask(lambda: _ENTER(keys=keys, args=args, client=valkey.client), (0, 0))
    if full:
        whose = "Your organisation has" if full == 1 else "You have"
        told = f"{whose} {held} runs in flight, of {most[full - 1]} at most. Wait until one ends, or cancel one."
        raise TooMany(told, headers={"Retry-After": "1"}, in_flight=held)


def leave(tenant_id: UUID, author: str, run_id: UUID) -> None:
    """Count a run no more; `author` is Run.author. One that was not counted changes nothing."""

    def remove() -> None:
        with valkey.client.pipeline(transaction=False) as pipe:
            leaving(tenant_id, author, run_id)(pipe)
            pipe.execute()

    valkey.ask(remove, None)


def leaving(tenant_id: UUID, author: str, run_id: UUID) -> Callable[[Any], None]:
    """As `leave`, as a command on somebody's pipeline."""

    def remove(pipe: Any) -> None:
        for key in _sets(tenant_id, author):
            pipe.zrem(key, str(run_id))

    return remove


def _sets(tenant_id: UUID, author: str) -> list[str]:
    place = f"flight:{{{tenant_id}}}"  # one slot of a cluster: {…}
    return [place, f"{place}:{author}"]
