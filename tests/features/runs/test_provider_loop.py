"""The one event loop that speaks to providers."""

import threading

from features.runs import provider


def test_threads_that_come_first_at_once_share_one_loop() -> None:
    for kept in (provider._only_loop, provider._client, provider._connections):  # connections serve one loop only
        kept.cache_clear()
    gate, found = threading.Barrier(16), []

    def first() -> None:
        gate.wait()
        found.append(provider._loop())

    threads = [threading.Thread(target=first) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1
