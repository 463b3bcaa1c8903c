"""How many requests per minute a tenant and each of its credentials may make: counted in Valkey, in one round trip.

A sliding-window counter: of the fixed minute before, as much counts as the last sixty seconds still cover of it. It
keeps two numbers for each limit and takes requests that were spread unevenly over that minute for even ones
(Cloudflare, "How we built rate limiting capable of scaling to millions of domains", 2017). The time is the server's.

Headers are those of draft-ietf-httpapi-ratelimit-headers-11. With Valkey away nothing is limited and nothing is told:
money is held in PostgreSQL.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from . import valkey
from .actor import Actor
from .errors import TooMany
from .models import ApiKey, Tenant

WINDOW = 60  # seconds

# Looks at every limit, then takes from all or from none. Kept of each: "minute current previous".
# KEYS: one for each limit. ARGV: the window in seconds, then each limit.
# Returns 1 or 0 for admitted, microseconds of this minute gone, then current and previous of each limit.
_TAKE = valkey.client.register_script("""
local window = tonumber(ARGV[1])
local now = redis.call('TIME')
local minute = math.floor(now[1] / window)
local gone = (now[1] % window) * 1000000 + now[2]
local covered = 1 - gone / (window * 1000000)
local admitted, counts = 1, {}
for i, key in ipairs(KEYS) do
    local current, previous = 0, 0
    local at, c, p = string.match(redis.call('GET', key) or '', '^(%d+) (%d+) (%d+)$')
    if at and tonumber(at) == minute then
        current, previous = tonumber(c), tonumber(p)
    elseif at and tonumber(at) == minute - 1 then
        previous = tonumber(c)
    end
    if previous * covered + current + 1 > tonumber(ARGV[i + 1]) then admitted = 0 end
    counts[2 * i - 1], counts[2 * i] = current, previous
end
if admitted == 1 then
    for i, key in ipairs(KEYS) do
        counts[2 * i - 1] = counts[2 * i - 1] + 1
        local kept = string.format('%.0f %.0f %.0f', minute, counts[2 * i - 1], counts[2 * i])
        redis.call('SET', key, kept, 'EX', 2 * window)
    end
end
return {admitted, gone, unpack(counts)}
""")


@dataclass(frozen=True, slots=True)
class Policy:
    """One limit and what was found of it: requests of this minute and the one before, seconds of this minute gone."""

    name: str
    quota: int
    current: int
    previous: int
    gone: float

    @property
    def left(self) -> int:
        """How many more requests there may be now."""
        used = self.previous * (1 - self.gone / WINDOW) + self.current
        return max(0, math.floor(self.quota - used))

    @property
    def wait(self) -> float:
        """Seconds until there may be one more; 0 for now. Solves previous × (1 − t / WINDOW) + current + 1 ≤ quota."""
        room = self.quota - 1 - self.current
        if room >= 0:
            return max(0.0, _until_fits(self.previous, room) - self.gone)
        return WINDOW - self.gone + _until_fits(self.current, self.quota - 1)


def _until_fits(count: int, room: int) -> float:
    """At which second of a minute so little of the one before is covered that at most `room` of its count is left."""
    return WINDOW * (1 - room / count) if count > room else 0.0


def count_request(by: Actor) -> dict[str, str]:
    """Count a request of this actor's credential against its own limit and its tenant's. Returns headers to tell it.

    Raises TooMany, and takes from neither, when one of them is used up; it carries those headers and Retry-After.
    No headers while Valkey is away: then everybody is let in.
    """
    tenant = None if by.kind == "support" else by.tenant  # looking in is not the organisation's own use
    owner = tenant.id if tenant else "operators"
    quotas = {"key": requests_of_key(by.key, tenant)}
    if tenant is not None:
        quotas = {"tenant": requests_of_tenant(tenant), **quotas}
    places = {"tenant": f"limit:{{{owner}}}", "key": f"limit:{{{owner}}}:{by.credential}"}  # one slot of a cluster: {…}
    found = _take([places[name] for name in quotas], list(quotas.values()))
    if found is None:
        return {}
    admitted, gone, *counts = found
    counted = zip(quotas.items(), counts[::2], counts[1::2], strict=True)
    policies = [Policy(name, quota, now, before, gone / 1e6) for (name, quota), now, before in counted]
    if not admitted:
        raise _too_many(policies)
    return headers_of(policies, policies)


def headers_of(policies: Sequence[Policy], told: Sequence[Policy]) -> dict[str, str]:
    """The fields RateLimit-Policy and RateLimit; `told` are the limits of which the second tells what is left.

    `t` is how long no more than `r` may be used: the whole window, so that `r` through `t` is a rate that lasts, or for
    a limit used up the time until it gives one more.
    """
    return {
        "RateLimit-Policy": ", ".join(f'"{p.name}";q={p.quota};w={WINDOW}' for p in policies),
        "RateLimit": ", ".join(f'"{p.name}";r={p.left};t={_seconds(p.wait) if p.wait else WINDOW}' for p in told),
    }


def requests_of_tenant(tenant: Tenant) -> int:
    """How many requests per minute a tenant may make."""
    return tenant.requests_per_minute or settings.REQUESTS_PER_MINUTE


def requests_of_key(key: ApiKey | None, tenant: Tenant | None) -> int:
    """How many a credential may make: its own number or the default, and never more than its tenant."""
    own: int = (key and key.requests_per_minute) or settings.KEY_REQUESTS_PER_MINUTE
    return min(own, requests_of_tenant(tenant)) if tenant else own


def runs_of_tenant(tenant: Tenant) -> int:
    """How many interactive runs a tenant may have in flight."""
    return tenant.concurrent_runs or settings.CONCURRENT_RUNS


def runs_of_key(key: ApiKey | None, tenant: Tenant) -> int:
    """How many a credential may have in flight, and never more than its tenant."""
    return min((key and key.concurrent_runs) or settings.KEY_CONCURRENT_RUNS, runs_of_tenant(tenant))


def _take(places: list[str], quotas: list[int]) -> list[int] | None:
    def take() -> list[int] | None:
        found: list[int] = _TAKE(keys=places, args=[WINDOW, *quotas], client=valkey.client)
        return found

    return valkey.ask(take, None)


def _too_many(policies: Sequence[Policy]) -> TooMany:
    spent = [p for p in policies if p.wait]
    worst = max(spent, key=lambda p: p.wait)
    whose = "Your organisation" if worst.name == "tenant" else "This key or person"
    wait = _seconds(worst.wait)
    told = f"{whose} may make {worst.quota} requests per minute. Wait {wait} s; an admin or the vendor can raise it."
    headers = {**headers_of(policies, spent), "Retry-After": str(wait)}
    extra: dict[str, Any] = {"violated-policies": [p.name for p in spent]}
    return TooMany(told, headers=headers, **extra)


def _seconds(wait: float) -> int:
    return max(1, math.ceil(wait))
