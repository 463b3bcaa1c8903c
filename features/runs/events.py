"""What happens in a run, told as it happens: a Redis stream per run, read by doors that wait or stream.

Nothing depends on it: with Redis away the run goes on, and doors look at the row instead.
"""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from tenants import valkey

TERMINAL = frozenset({"done", "failed", "cancelled"})
ENDED = "runs:ended"  # the channel that is told the id of each run that has ended
KEPT_SECONDS = 3600
LONGEST = 5000


def stream_key(tenant_id: UUID, run_id: UUID) -> str:
    """The key of a run's stream; the tenant is part of it."""
    return f"run:{tenant_id}:{run_id}"


def tell(tenant_id: UUID, run_id: UUID, event: str, **data: Any) -> None:
    """Add an event to a run's stream. Redis being away is no reason for a run to fail, so that is let go."""
    key = stream_key(tenant_id, run_id)

    def add() -> None:
        with valkey.client.pipeline(transaction=False) as pipe:
            pipe.xadd(key, {"event": event, "data": json.dumps(data, ensure_ascii=False)}, maxlen=LONGEST)
            pipe.expire(key, KEPT_SECONDS)
            if event in TERMINAL:
                pipe.publish(ENDED, str(run_id))
            pipe.execute()

    valkey.ask(add, None)


def drop_streams(tenant_id: UUID, run_ids: Sequence[UUID]) -> None:
    """Forget what was told of runs that are no more; with Redis away it ends by itself."""
    keys = [stream_key(tenant_id, run_id) for run_id in run_ids]
    if keys:
        valkey.ask(lambda: valkey.client.delete(*keys), None)
