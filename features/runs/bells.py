"""Ring without waiting for it: one thread of the process rings, at once for all who have asked meanwhile."""

import threading
from collections.abc import Callable

from .dispatch import ring


class Ringer:
    """Calls `rings` with how many bells were asked for since it was last called."""

    def __init__(self, rings: Callable[[int], None]) -> None:
        self._rings, self._asked, self._changed = rings, 0, threading.Condition()
        self._thread: threading.Thread | None = None

    def ask(self) -> None:
        """Have one bell rung soon. It is lost when the process ends before; the dispatcher rings too."""
        with self._changed:
            self._asked += 1
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="bells", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._asked:
                    self._changed.wait()
                bells, self._asked = self._asked, 0
            self._rings(bells)


ring_soon = Ringer(ring).ask
