"""How a process that has started treats its memory."""

import gc

YOUNG, OLD, OLDEST = 20_000, 20, 20  # collections of the young come after so many new objects, of the older less often


def settle_memory() -> None:
    """Leave what was loaded at the start out of every later collection, and collect less often.

    Pauses of the collector were most of the p99 when a process is busy, and a fifth of its processor time
    (docs/performance.md). https://docs.python.org/3/library/gc.html#gc.freeze
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, OLD, OLDEST)
