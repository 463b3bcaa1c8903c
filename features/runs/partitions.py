"""The months of the big tables: partitions of runs, attempts and ledger, made before their month begins."""

import structlog
from django.db import connections

from tenants.isolation import OPERATOR, operator_tx

log = structlog.get_logger(__name__)

MONTHS_AHEAD = 3


def make_partitions() -> list[str]:
    """Make the partitions that are missing up to MONTHS_AHEAD, each in a transaction of its own. Returns their names.

    Rows that came before their month had one move into it (docs/decisions/0011). Raises OperationalError where a lock
    is not had within seconds: what was made stays, the rest is made the next time.
    """
    made: list[str] = []
    while True:
        with operator_tx(), connections[OPERATOR].cursor() as cursor:
            cursor.execute("SELECT make_partition(%s)", [MONTHS_AHEAD])
            (name,) = cursor.fetchone()
        if name is None:
            return made
        log.info("partition.made", partition=name)
        made.append(name)
