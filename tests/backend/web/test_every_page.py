"""Every page of the dashboard, lived in: three widths, light and dark, no overflow, nothing that axe or Chromium minds."""

import gzip
import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.db import connections
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, get_resolver
from playwright.sync_api import Browser, Page, sync_playwright

from features.actions.pins import pin
from features.resolve import forget
from tenants.actor import Actor
from tests.cast import Cast
from tests.fakes.model import Answer, FakeModel
from tests.outside import until
from tests.processes import Stack
from tests.working import look

from .conftest import Person, login, words
from .lived_in import NO_PAGES, LivedIn, live_in
from .test_browser import ARGUMENTS, CHROMIUM, PASSWORD, overhear, sign_in
from .test_upgrading import form_of

# axe-core 4.14.1 (npm axe-core, MPL-2.0: axe-LICENSE.txt), https://github.com/dequelabs/axe-core
AXE = Path(__file__).parents[2] / "vendor" / "axe.min.js"
WIDTHS = (1440, 768, 390)
HEAVIEST = 250_000  # bytes, compressed: what a page loads on a first visit
MOST_STATEMENTS = 15  # beside opening and closing transactions
EMAILS = {"alice": "alice@acme.example", "ada": "ada@acme.example", "operator": "operator@bespoke.example"}
Sit = Callable[[Actor], Person]


def answering(request: dict[str, Any]) -> Answer:
    """A model that greets everybody but Nobody."""
    text = json.dumps(request["messages"][-1])
    return Answer(status=400) if "Nobody" in text else Answer('{"greeting": "Hello, and welcome"}')


def test_every_page_is_looked_at_here() -> None:
    named = {
        pattern.name
        for pattern in get_resolver("backend.web.urls").url_patterns
        if isinstance(pattern, URLPattern) and pattern.name
    }
    named_ids = "run second failed subject budget webhook rollout impact batch waiting service"
    ids = dict.fromkeys(named_ids.split(), "x")
    looked = {name for pages in LivedIn(ids).pages().values() for name, _path in pages}
    assert named - NO_PAGES == looked


@pytest.mark.parametrize("who", ["alice", "ada", "operator"])
def test_no_page_asks_much_of_the_database_or_weighs_much(at_desk: Sit, cast: Cast, model: FakeModel, who: str) -> None:
    lived = lived_in_here(cast, model)
    person, told, heavy = at_desk(getattr(cast, who)), {}, {}
    for path in lived.paths()[who]:
        person.see(path)
        forget()  # so it is read as in a process that has served nobody yet
        with counted() as statements:
            html = person.see(path)
        if len(statements) > MOST_STATEMENTS:
            told[path] = statements
        if (weight := weight_of(html)) > HEAVIEST:
            heavy[path] = weight
    assert not told, shown(told)
    assert heavy == {}


def test_no_decision_asks_much_of_the_database_before_it_is_done(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    lived_in_here(cast, model)
    bob, told = at_desk(cast.bob), dict[str, list[str]]()  # on whose change version 2 waits
    decided = {**form_of(bob.see("/f/greet/upgrade")), "d:instructions.role": "keep", "act": "look"}
    with counted() as told["a decision"]:
        assert "You move to version 2" in words(bob.send("/f/greet/upgrade", **decided))
    pin(cast.greet, "user", kind="base", version=1, by=cast.bob)
    decided |= form_of(bob.see("/f/greet/upgrade")) | {"d:instructions.role": "keep"}
    with counted() as told["a decision that ends a stay"]:
        assert "You move to version 2" in words(bob.send("/f/greet/upgrade", **decided))
    with counted() as told["following again"]:
        assert "Follow the vendor again" in bob.see("/f/greet/timeline?confirm=unpin")
    assert {act: len(found) for act, found in told.items() if len(found) > MOST_STATEMENTS} == {}, shown(told)


def shown(told: dict[str, list[str]]) -> str:
    """The statements of pages that ask too much."""
    asked = {path: [" ".join(statement.split())[:200] for statement in found] for path, found in told.items()}
    return "\n".join(f"{path}: {len(found)}\n  " + "\n  ".join(found) for path, found in asked.items())


@contextmanager
def counted() -> Iterator[list[str]]:
    """The statements that are made meanwhile on every connection, beside opening and closing transactions."""
    found: list[str] = []
    beside = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "SELECT set_config")
    with CaptureQueriesContext(connections["default"]) as app, CaptureQueriesContext(connections["operator"]) as vendor:
        yield found
    found += [q["sql"] for q in (*app, *vendor) if not q["sql"].startswith(beside)]


def lived_in_here(cast: Cast, model: FakeModel) -> LivedIn:
    """With runs carried out in this process."""

    def work() -> None:
        while look():
            pass

    model.default = answering
    return live_in(cast, work=work)


@pytest.fixture
def lived(stack: Stack) -> LivedIn:
    """With runs carried out by the worker, and passwords to type."""
    stack.model.default = answering
    found = live_in(stack.cast, work=lambda: until(lambda: stack.waiting() == 0, "all runs have ended", 60))
    for email in EMAILS.values():
        person = login(email)
        person.set_password(PASSWORD)
        person.save(update_fields=["password"])
    return found


@pytest.fixture
def chromium(lived: LivedIn) -> Iterator[Browser]:
    with sync_playwright() as play:  # in whose thread no statement may be made from here on
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield browser
        browser.close()


def signed_in(browser: Browser, stack: Stack, email: str, scheme: Any) -> tuple[Page, list[str]]:
    """Somebody in front of a page, in a theme; and what the browser complains of from then on."""
    context = browser.new_context(base_url=stack.base_url, color_scheme=scheme, reduced_motion="reduce")
    page, said = context.new_page(), list[str]()
    page.set_default_timeout(20_000)
    overhear(page, said)
    sign_in(page, email)
    return page, said


def wrong_with(page: Page, path: str, scheme: str, said: list[str]) -> list[str]:
    """Everything that is not as it should be on a page: overflow, complaints, serious and critical violations."""
    said.clear()
    page.set_viewport_size({"width": WIDTHS[0], "height": 900})
    page.goto(path, wait_until="load")
    found = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > width:
            found.append(f"{path} {scheme} {width}: {wide} px wide")
        if width != 768:
            found += [f"{path} {scheme} {width}: {told}" for told in violations(page)]
    return found + [f"{path} {scheme}: {told}" for told in said]


def violations(page: Page) -> list[str]:
    if not page.evaluate("typeof window.axe === 'object'"):
        page.evaluate(AXE.read_text())
    result = page.evaluate(
        "axe.run(document, {resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']})"
    )
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:160]} {one['nodes'][0]['failureSummary'][:200]}"
        for one in result["violations"]
        if one["impact"] in ("serious", "critical") and not said_elsewhere(one)
    ]


def said_elsewhere(violation: dict[str, Any]) -> bool:
    """Segments of the picture may be narrow: the list below has a line for each (WCAG 2.2, 2.5.8, "equivalent")."""
    segments = all('class="b-segment-of' in node["html"] for node in violation["nodes"])
    return violation["id"] == "target-size" and segments


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's Chromium at /usr/bin/chromium")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_every_width_and_axe_finds_nothing_serious(
    stack: Stack, lived: LivedIn, chromium: Browser, scheme: str
) -> None:
    wrong = list[str]()
    for who, paths in lived.paths().items():
        page, said = signed_in(chromium, stack, EMAILS[who], scheme)
        for path in paths:
            wrong += wrong_with(page, path, scheme, said)
        page.context.close()
    assert wrong == [], "\n".join(wrong)


@pytest.mark.pages
def test_what_pages_weigh_and_take(at_desk: Sit, cast: Cast, model: FakeModel, capsys: Any) -> None:
    """`make pages`: a report. Times are not a test's matter; statements and weight are held to their bounds above."""
    lived, lines = lived_in_here(cast, model), [f"{'':54} kB  SQL: fresh, then  ms: median    p95    CPU"]
    for who, paths in lived.paths().items():
        person = at_desk(getattr(cast, who))
        for path in paths:
            html = person.see(path)
            forget()
            with counted() as fresh:
                person.see(path)
            began = time.process_time()
            with counted() as statements:
                took = sorted(timed(person, path) for _n in range(20))
            spent, asked = (time.process_time() - began) * 50, len(statements) // 20
            weight, called = weight_of(html) / 1000, re.sub(r"[0-9a-f-]{36}", "…", path)
            lines.append(
                f"{called:50} {weight:6.0f} {len(fresh):10} {asked:5} {took[9] * 1e3:11.0f} {took[18] * 1e3:6.0f} {spent:6.0f}"
            )
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(lines) + "\n")


def timed(person: Person, path: str) -> float:
    began = time.perf_counter()
    person.see(path)
    return time.perf_counter() - began


def weight_of(html: str) -> int:
    """A page's bytes on a first visit, with all that it loads, compressed as the server keeps it."""
    return len(gzip.compress(html.encode())) + sum(compressed(url) for url in loaded_by(html))


def loaded_by(html: str) -> set[str]:
    """The files that a page names, what its scripts then import (the editor's too), and no others of its styles'.

    The second font is for letters outside of Latin-1 alone.
    """
    named = set(re.findall(r'(?:src|href|data-b-code)="(/static/[^"#]+)["#]', html))
    return named | {url for name in named for url in imported_by(name)}


@cache
def imported_by(url: str) -> set[str]:
    """The modules that a script of ours imports."""
    if not url.startswith("/static/b/") or not url.endswith(".js"):
        return set()
    return {f"/static/b/{name}" for name in re.findall(r'\bfrom "\./([\w-]+\.js)"', static_file(url).decode())}


@cache
def compressed(url: str) -> int:
    """A static file's bytes as the server sends them; fonts are compressed already."""
    data = static_file(url)
    return len(data) if url.endswith(".woff2") else len(gzip.compress(data))


def static_file(url: str) -> bytes:
    path = finders.find(url.removeprefix("/static/"))
    assert path, url
    return Path(path).read_bytes()
