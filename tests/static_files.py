"""Static files are looked for once in a process of tests.

Each test client makes the middleware anew, and ServeStatic's finds, stats and describes every file: 0.1 s of processor
time, for thousands of clients.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from servestatic.middleware import ServeStaticMiddleware


@pytest.fixture(scope="session", autouse=True)
def _found_once() -> Iterator[None]:
    find, found = ServeStaticMiddleware.add_files_from_finders, dict[str, Any]()

    def remember(middleware: ServeStaticMiddleware) -> None:
        if not found:
            find(middleware)
            found.update(files=middleware.files, directories=middleware.directories)
        vars(middleware).update(found)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ServeStaticMiddleware, "add_files_from_finders", remember)
        yield
