"""What people and models write is text on every page that shows it: nothing of it runs, loads, submits or leads away.

Real Chromium, real processes. Hostile texts stand wherever somebody can write; every page of the dashboard is opened by
those who may see it; then it is told that each text was seen, and that nothing came of it.
"""

import json
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from django.urls import get_resolver
from playwright.sync_api import Browser, Page, expect, sync_playwright

from backend.web.urls import urlpatterns
from features.actions.overrides import Expected, save_override
from features.actions.pins import pin
from features.actions.rollouts import pause, start_rollout
from features.actions.versions import create_feature, publish
from features.actions.withdrawals import withdraw
from features.impact import look
from tenants.actions import create_key
from tenants.support import grant_support
from tenants.webhooks import add_webhook
from tests.fakes.model import Answer
from tests.outside import until
from tests.processes import Stack

from .conftest import login
from .payloads import ALL, PAYLOADS, Hostile
from .test_browser import ARGUMENTS, CHROMIUM, PASSWORD

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's Chromium at /usr/bin/chromium"),
]

# Forms are sent there; one is a number, some are files, and one is for who holds a link.
NO_PAGES = {
    "switch",
    "notice_read",
    "stop",
    "again",
    "rate",
    "notices_count",
    "org_usage_csv",
    "run_file",
    "join",
    "batch_csv",
}
EMAILS = {"alice": "alice@acme.example", "ada": "ada@acme.example", "operator": "operator@bespoke.example"}
TRAP = "window.pwned = []; window.pwn = (what) => window.pwned.push(what); window.alert = window.pwn;"
# What only an element can have that one of the texts has become.
FOUND = """() => [...document.querySelectorAll(
  "[data-foe], [hx-get='/pwned'], [hx-post='/pwned'], [data-b-events='/pwned'], [src*=evil], [href^='javascript:' i]")]
  .map((one) => one.outerHTML).concat(window.pwned)"""
# All that can be read on a page, and in its controls.
READ = """() => document.documentElement.textContent + [...document.querySelectorAll("*")].flatMap((one) =>
  [...one.attributes].map((a) => a.value).concat(one.value ?? "")).join(" ")"""


class Watched:
    """A page of somebody's browser, and what happened to it that should not have."""

    def __init__(self, browser: Browser, stack: Stack, who: str) -> None:
        self.happened: list[str] = []
        self.read = ""
        self.page: Page = browser.new_page(base_url=stack.base_url)
        self.page.add_init_script(TRAP)
        self.page.on("dialog", lambda dialog: self._note(f"dialog {dialog.message}") or dialog.dismiss())
        self.page.on("pageerror", lambda error: self._note(f"error {error}"))
        self.page.on(
            "console", lambda said: self._note(f"console {said.text} {said.location}") if said.type == "error" else None
        )
        self.page.on("popup", lambda other: self._note(f"popup {other.url}"))
        self.page.on("request", lambda asked: self._judge(asked.url, stack.base_url))
        self.page.set_default_timeout(20_000)
        self._sign_in(who)

    def _note(self, what: str) -> None:
        self.happened.append(what)

    def _judge(self, url: str, ours: str) -> None:
        parts = urlsplit(url)
        if not url.startswith((f"{ours}/", "data:image/")) or "pwned" in parts.path:
            self._note(f"request {url}")

    def _sign_in(self, who: str) -> None:
        self.page.goto("/accounts/login/")
        self.page.get_by_label("Email").fill(EMAILS[who])
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.locator("#main")).to_be_visible()

    def look(self, path: str) -> None:
        """Open a page, wait until its scripts have settled it, and read it."""
        answer = self.page.goto(path, wait_until="load")
        assert answer is not None
        assert answer.status == 200, (path, answer.status)
        self.judge(path)

    def judge(self, place: str) -> None:
        """Nothing that was written became more than text, so far."""
        found = self.page.evaluate(FOUND)
        assert (place, found, self.happened) == (place, [], [])
        self.read += self.page.evaluate(READ)


@pytest.fixture
def browser(foe: "Foe") -> Iterator[Browser]:
    """Chromium, started when everything is written down: no query of ours runs inside its loop."""
    for email in EMAILS.values():
        person = login(email)
        person.set_password(PASSWORD)
        person.save(update_fields=["password"])
    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield started
        started.close()


class Foe:
    """Acme and its vendor with hostile texts wherever somebody can write, and the addresses of what was made."""

    def __init__(self, stack: Stack) -> None:
        self.stack, self.text = stack, Hostile()
        self.cast = stack.cast
        self.places: dict[str, str] = {"user": self.text("subject", 200).replace("\x1b", "")}
        self._name()
        self._publish()
        self._change()
        self._run()
        self._move()

    def _name(self) -> None:
        """Who is called what: by those who may name people, organisations and keys."""
        named = (("tenants_tenant", "name", "slug", "acme"), ("tenants_user", "name", "email", EMAILS["alice"]))
        for table, column, by, value in named:
            self.stack.rows(f"UPDATE {table} SET {column} = %s WHERE {by} = %s RETURNING 1",
                            self.text(table.removeprefix("tenants_"), 200), value)  # fmt: skip
        hook, _ = add_webhook(url="https://hooks.example/in", events=["run.failed"], description=self.text("hook", 200),
                              by=self.cast.ada)  # fmt: skip
        self.places["webhook"] = str(hook.id)
        self.key = create_key(kind="service", name=self.text("key", 100), by=self.cast.ada)[1]

    def _publish(self) -> None:
        text = self.text
        self.behavior: dict[str, Any] = {
            "instructions": {"role": text("role", liquid=False), "tone": "Be kind."},
            "prompt": "{{ input.message | fence }}",
            "input": {
                "type": "object",
                "properties": {
                    "message": {"type": "string", "title": text("label"), "description": text("help")},
                    "kind": {"enum": [text("choice"), "other"]},
                },
            },
            "output": {
                "type": "object",
                "properties": {"answer": {"type": "string", "title": text("output-label")}, "list": {"type": "array"}},
                "required": ["answer"],
            },
            "examples": {"one": {"input": {"message": text("example")}, "output": {"answer": text("example-out")}}},
            "vars": {"sign": text("variable")},
            "model": {"name": "standard", "max_output_tokens": 1000},
        }  # fmt: skip
        titles = {"instructions.role": {"label": text("field-label", 100), "help": text("field-help", 400)}}
        self.feature, _ = create_feature(
            key="foe", title=text("title", 100), summary=text("summary", 300), verb=text("verb", 40),
            icon=text("icon", 40), titles=titles, behavior=self.behavior, message=text("version-message", 500),
            by=self.cast.operator,
        )  # fmt: skip

    def _change(self) -> None:
        """What people make of it: their fields, their messages, their reasons."""
        own = {"set": {"instructions.role": self.text("mine", liquid=False), "vars.sign": self.text("mine-variable")}}
        for who, layer in ((self.cast.alice, "user"), (self.cast.ada, "tenant")):
            told = self.text(f"message-{layer}", 500)
            ours = {"set": {"instructions.house": self.text("ours", liquid=False)}} if layer == "tenant" else own
            save_override(self.feature, layer, ours, message=told, expected=Expected(nothing=True), by=who)
        knock = self.stack.knock("acme_service", bespoke_user=self.places["user"])
        told = knock.put("/features/foe/override/user", {"set": {"vars.sign": "x"}}, if_none_match="*")
        assert told.status_code == 200, told.text
        pin(self.feature, "user", kind="base", version=1, reason=self.text("pin-reason", 500), by=self.cast.ada)

    def _run(self) -> None:
        """What models answer: outputs, names of what is in them, refusals, and errors of the provider."""
        model, alice = self.stack.model, self.stack.knock("alice")
        output = {
            "answer": self.text("output"), "list": [self.text("item"), {self.text("column"): self.text("cell")}],
            "rows": [{self.text("tablecolumn"): self.text("table-cell")}], self.text("name"): self.text("named"),
            "deep": {self.text("innername"): {"x": self.text("deepest")}},
        }  # fmt: skip
        given = {"input": {"message": self.text("input"), "kind": "other"}}
        model.script(Answer(json.dumps(output)))
        run = alice.post("/features/foe/runs", given).json()
        assert run["state"] == "succeeded", run
        corrected = {"verdict": "bad", "note": self.text("note", 2000), "correction": {"answer": self.text("fix")}}
        told = alice.put(f"/runs/{run['id']}/feedback", corrected)
        assert told.is_success, told.text
        model.script(Answer(refusal=ALL))
        refused = alice.post("/features/foe/runs", given).json()
        assert refused["state"] == "failed", refused
        self.places |= {"run": run["id"], "refused": refused["id"], "batch": self._batch()}

    def _batch(self) -> str:
        """What a batch's items are called, and what they come to."""
        alice = self.stack.knock("alice")
        refused, key = ("".join(filter(str.isprintable, self.text(name, 255))) for name in ("refusedkey", "itemkey"))
        good = {"message": "y", "kind": "other"}
        items = [{"input": {}, "key": refused}, {"input": good, "key": key}]
        self.stack.model.script(Answer(json.dumps({"answer": self.text("batchoutput")})))
        batch = alice.post("/features/foe/batches", items).json()
        until(
            lambda: alice.get(f"/batches/{batch['id']}").json()["counts"]["succeeded"] == 1, "the item is answered", 60
        )
        return str(batch["id"])

    def _move(self) -> None:
        """What the vendor does: a version that conflicts, one that is withdrawn, a rollout that is paused."""
        operator = self.cast.operator
        self.behavior["instructions"]["role"] = self.text("role-next", liquid=False)
        publish(self.feature, behavior=self.behavior, make_current=True, message=self.text("next-message", 500),
                by=operator)  # fmt: skip
        self.behavior["vars"]["sign"] = self.text("variable-last")
        publish(self.feature, behavior=self.behavior, make_current=False, message="Third", by=operator)
        rollout = start_rollout(self.feature, to=3, steps=[{"percent": 1, "hold": "2h"}],
                                message=self.text("rollout", 500), by=operator)  # fmt: skip
        pause(rollout, why=self.text("pause", 500), by=operator)
        publish(self.feature, behavior=self.behavior | {"vars": {}}, make_current=False, message="Fourth", by=operator)
        withdraw(self.feature, 4, replacement=2, reason=self.text("reason", 500), by=operator)
        self.places["rollout"] = str(rollout.id)
        self.places["impact"] = str(look(self.feature, to=3, by=operator).id)
        grant_support(hours=4, reason="Odd answers", by=self.cast.ada)
        self.places["member"] = f"member:{self.cast.alice.subject.id}"  # type: ignore[union-attr]


@pytest.fixture
def foe(stack: Stack) -> Foe:
    return Foe(stack)


def pages(places: dict[str, str]) -> list[tuple[str, str]]:
    """Who opens which page: every route of the dashboard at least once, and each state of it that shows more."""
    typed, user, member = quote(ALL[:3000]), quote(places["user"], safe=""), quote(places["member"])
    run, refused, rollout = places["run"], places["refused"], places["rollout"]
    fields = [f"?edit={quote(field)}" for field in ("instructions.role", "vars.sign", "output")]
    return [
        ("alice", "/"), ("alice", "/f/foe"), ("alice", f"/f/foe?run={run}"), ("alice", f"/f/foe?run={refused}"),
        ("alice", "/f/foe/mine"), *(("alice", f"/f/foe/mine{field}") for field in fields),
        ("alice", "/f/foe/mine?revisions=1"), ("alice", "/f/foe/try"), ("alice", "/f/foe/timeline"), ("alice", f"/f/foe/timeline?run={run}"),
        ("alice", "/f/foe/timeline?confirm=pin&version=1"), ("alice", "/f/foe/upgrade"), ("alice", "/notices"),
        ("alice", "/runs"), ("alice", "/runs?feature=foe"), ("alice", f"/runs/{run}"),
        ("alice", f"/runs/{refused}"), ("alice", f"/f/greet?{typed}"),
        ("ada", "/"), ("ada", "/f/foe"), ("ada", "/f/foe/timeline"), ("ada", "/org/f/foe"), ("ada", "/org/f/foe?edit=instructions.role"),
        ("ada", "/f/foe/mine?promote=1"), ("ada", "/org/f/foe?revisions=1"), ("ada", "/org/f/foe/try"), ("ada", "/org/f/foe/timeline"),
        ("ada", "/org/f/foe/upgrade"), ("ada", "/org/conflicts"), ("ada", "/org/people"), ("ada", "/notices"),
        ("ada", "/org/people?kind=users"), ("ada", f"/org/people?q={typed}"), ("ada", f"/org/people/{member}"),
        ("ada", f"/org/people/{member}?feature=foe"), ("ada", f"/org/people/{member}?feature=foe&confirm=inherit"),
        ("ada", f"/org/people/{user}"), ("ada", f"/org/people/{user}?feature=foe"),
        ("alice", f"/runs/compare?a={run}&b={refused}"), ("alice", f"/runs/{run}/correct"), ("alice", "/me"),
        ("alice", "/f/foe/batches"), ("alice", "/batches"), ("alice", f"/batches/{places['batch']}?show=all"),
        ("ada", "/batches?whose=all"),
        ("alice", "/me/keys"), ("ada", "/org/keys"), ("ada", "/org/members"), ("ada", "/org/access"),
        *(("ada", f"/org/usage?by={by}") for by in ("feature", "user", "model", "layer", "day")),
        ("ada", "/org/budgets"), ("ada", "/org/provider-keys"), ("ada", "/org/webhooks"),
        ("ada", f"/org/webhooks/{places['webhook']}"), ("ada", "/org/audit"), ("ada", "/org/data"),
        ("ada", "/org/settings"), ("operator", "/vendor/features/new"), ("operator", "/vendor/f/foe/edit?from=3"),
        ("operator", "/vendor/tenants"), ("operator", "/vendor/models"), ("operator", "/vendor/system"),
        ("operator", "/vendor/f/foe/edit?from=3&as=form"), ("operator", "/vendor/tenants/acme"),
        ("operator", "/vendor/approvals"), ("operator", "/vendor/audit"),
        ("operator", "/vendor/features"), ("operator", "/vendor/f/foe/versions"), ("operator", "/vendor/rollouts"),
        ("operator", "/vendor/f/foe/versions?a=1&b=3"), ("operator", "/vendor/f/foe/versions?confirm=lift&version=4"),
        ("operator", "/vendor/f/foe/versions?confirm=withdraw&version=1"),
        ("operator", "/vendor/rollouts/new?feature=foe&to=3"), ("operator", f"/vendor/rollouts/{rollout}"),
        ("operator", f"/vendor/rollouts/{rollout}?tab=impact&find={typed}"), ("operator", "/vendor/usage"),
        ("operator", "/vendor/f/foe/availability"), ("operator", "/vendor/f/foe/impacts"),
        ("operator", f"/vendor/impacts/{places['impact']}"), ("operator", "/vendor/tenants/acme/look"),
        ("operator", f"/vendor/tenants/acme/look/runs/{run}"), ("operator", "/vendor/tenants/acme/look/f/foe"),
        ("operator", f"/vendor/tenants/acme/look/f/foe?user={member}"),
    ]  # fmt: skip


def test_what_is_written_is_text_wherever_it_is_shown(stack: Stack, foe: Foe, browser: Browser) -> None:
    opened = pages(foe.places)
    resolver = get_resolver()
    names = {resolver.resolve(urlsplit(path).path).url_name for _, path in opened}
    assert names | NO_PAGES == {pattern.name for pattern in urlpatterns}, "every page is opened"
    watched = {who: Watched(browser, stack, who) for who in EMAILS}
    for who, path in opened:
        watched[who].look(path)
    read = "".join(one.read for one in watched.values())
    assert {word for word in foe.text.given if word not in read.lower()} == set()  # labels begin with a capital


def test_what_a_model_writes_is_text_while_it_is_written(stack: Stack, foe: Foe, browser: Browser) -> None:
    """The stream is drawn by our own script, piece by piece, names of parts included."""
    on = threading.Event()
    output = {"answer": ALL, "list": list(PAYLOADS), **{one: {one: one} for one in PAYLOADS}, "last": "zqlastzq"}
    stack.model.script(Answer(json.dumps(output), hold=on, pause=0.02))
    watched = Watched(browser, stack, "alice")
    page = watched.page
    page.goto("/f/foe")
    page.locator("textarea").first.fill(ALL)
    page.keyboard.press("Control+Enter")
    shown = page.locator("#output")
    expect(shown.locator("[data-b-pointer='/answer'] .b-node-value")).to_contain_text("pwn('out of a script')")
    watched.judge("half of it")
    on.set()
    expect(shown).to_contain_text("zqlastzq")
    watched.judge("all of it")
    assert all(one in watched.read for one in PAYLOADS if one.isprintable())


def test_the_traps_catch_what_becomes_more_than_text_and_the_policy_stops_it(
    stack: Stack, foe: Foe, browser: Browser
) -> None:
    """That the tests above can fail: put on a page as markup, the texts are found; and even then no script runs."""
    watched = Watched(browser, stack, "alice")
    watched.look("/")
    markup = "\n".join(one for one in PAYLOADS if "<meta" not in one)  # which would lead away from what is looked at
    watched.page.evaluate("(markup) => (document.querySelector('main').innerHTML = markup)", markup)
    with pytest.raises(AssertionError):
        watched.judge("as markup")
    assert len(watched.page.evaluate(FOUND)) > 20
    assert watched.page.evaluate("window.pwned") == []
    assert any("Content Security Policy" in what for what in watched.happened)
