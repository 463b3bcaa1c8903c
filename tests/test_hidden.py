"""Hidden text of an earlier layer is in no answer to a later one: every address there is, asked in every way.

The vendor hides CANARY-BASE texts that were open in version 2, Acme hides CANARY-ACME texts that its first revision
left open. Then Alice, an end user of Acme's software and Ada look at all addresses of the URL configuration, and write
what could make the hidden speak. Addresses are taken from the configuration: an argument that nobody has given a value
here fails the test, so that a new one is looked at too.
"""

import asyncio
import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from itertools import product
from typing import Any
from urllib.parse import quote

import pytest
from django.core.cache import cache
from django.test import Client

from features.impact.work import work_through
from tenants.models import User
from tests.cast import GREET, GREET_RULES, Cast
from tests.conftest import Knock
from tests.fakes.model import FakeModel, greeting
from tests.test_isolation import routes
from tests.working import look

GREETING, FIRST = "/features/greet", {"If-None-Match": "*"}
MINE, OURS = f"{GREETING}/override/user", f"{GREETING}/override/tenant"
RANDOM = "01890a5d-ac96-774b-bcce-b302099a8057"
BASE, ACME = b"CANARY-BASE", b"CANARY-ACME"
HIDDEN = ("instructions.recipe", "examples.secret", "prompt")
OURS_HIDDEN = ("instructions.house", "examples.house")


def version(number: int) -> dict[str, Any]:
    """A behavior whose secrets change with the version, a line at each end the same."""
    behavior = deepcopy(GREET)
    recipe = f"Greet by the book.\nCANARY-BASE-RECIPE-{number} {{{{ vars.language }}}}\nThen stop."
    behavior["instructions"]["recipe"] = recipe
    behavior["prompt"] = f"CANARY-BASE-PROMPT-{number}\n{{{{ input.name | fence }}}}"
    behavior["examples"]["secret"] = example(f"CANARY-BASE-EXAMPLE-{number}")
    return behavior


def example(text: str) -> dict[str, Any]:
    return {"input": {"name": "Eve"}, "output": {"greeting": text}}


def house(number: int) -> dict[str, Any]:
    texts = {"instructions.house": f"CANARY-ACME-HOUSE-{number}", "examples.house": example(f"CANARY-ACME-EX-{number}")}
    return {"set": texts}


@dataclass
class Scene:
    """Everybody's doors, what addresses may be filled with, and moments at which more was open than today."""

    cast: Cast
    values: dict[str, list[str]]
    moments: list[str]

    def knock(self, who: str, **headers: str) -> Knock:
        return Knock(self.cast.key(getattr(self.cast, who)), headers)

    def addresses(self) -> Iterator[str]:
        """Every address with every value of each of its arguments."""
        for route in routes():
            if route.startswith(("accounts/", "readyz", "healthz")):  # which know nothing of behavior
                continue
            names = re.findall(r"<(?:\w+:)?(\w+)>", route)
            unknown = set(names) - self.values.keys()
            assert not unknown, f"{route}: give {unknown} a value, so that what it answers is looked at"
            for given in product(*(self.values[name] for name in names)):
                path = route
                for value in map(quote, given):
                    path = re.sub(r"<(?:\w+:)?\w+>", value.replace("\\", ""), path, count=1)
                yield f"/{path}"

    def queries(self, path: str) -> list[str]:
        """Whatever an address may be asked besides; what it does not know is refused, and that is looked at too."""
        if not re.search(r"/greet\b|/runs", path):
            return [""]
        moments = [f"?at={quote(moment)}&explain=true" for moment in self.moments]
        runs = [f"?run={run}" for run in self.values["run_id"]]
        steps = ["?to=1", "?to=2", "?to=3", "?from=2&to=3", "?version=3", "?revision=1"]
        fields = [f"?field={field}" for field in (*HIDDEN, *OURS_HIDDEN)]
        past = [f"?at={quote(moment)}" for moment in self.moments]
        said = {"behavior": ["?explain=true", *moments], "diff": steps, "timeline": [*past, *runs], "mine": fields}
        said["upgrade"] = said["versions"] = steps
        last = path.rstrip("/").rpartition("/")[2]
        return ["", *said.get(last, ["?explain=true", past[0], runs[0]])]


@pytest.fixture
def scene(cast: Cast, model: FakeModel) -> Scene:
    cache.clear()
    model.default = lambda body: greeting("Hello")
    made = Scene(cast, {}, [])
    operator, ada, alice = made.knock("operator"), made.knock("ada"), made.knock("alice")

    def published(number: int, rules: dict[str, Any], publish: str = "current") -> None:
        body = {"behavior": version(number), "rules": {**GREET_RULES, **rules}, "publish": publish}
        answer = operator.post(f"{GREETING}/versions", body)
        assert (answer.status_code, answer.json().get("version")) == (201, number), answer.content

    def a_run(knock: Knock) -> str:
        answer = knock.post(f"{GREETING}/runs", {"input": {"name": "Ann"}}, Prefer="respond-async")
        assert answer.status_code == 202, answer.content
        while look():
            pass
        run = knock.get(f"/runs/{answer.json()['id']}").json()
        assert run["state"] == "succeeded", run
        return str(run["id"])

    # All is open: Alice sees it, changes it, and takes what she saw along as what her changes are based on.
    published(2, {})
    assert ada.put(OURS, house(1), **FIRST).status_code == 200
    opened = alice.get(f"{GREETING}/behavior").content
    assert BASE in opened and ACME in opened
    hers = {
        "set": {"instructions.recipe": "Greet by MY book.\nAs I like.\nThen stop.", "examples.secret": example("Mine"),
                "checks.mine": {"kind": "max_words", "at": "/greeting", "max": 20}},
        "append": {"prompt": "Mine.", "instructions.house": "Mine as well."},
        "remove": ["examples.house"],
    }  # fmt: skip
    assert alice.put(MINE, hers, **FIRST).status_code == 200
    assert made.knock("bob").put(f"{GREETING}/pin/user", {"version": 2}).status_code == 200
    software = made.knock("acme_service", Bespoke_User="u1")
    runs = [a_run(alice), a_run(software)]
    made.moments.append(alice.get(f"{GREETING}/behavior").json()["at"])
    # It is hidden, and changed: first by Acme, then by the vendor, then in a rollout that includes Acme.
    hiding = {field: {"hidden": True} for field in OURS_HIDDEN}
    assert ada.put(OURS, {**house(2), "rules": hiding}, If_Match='"1"').status_code == 200
    made.moments.append(alice.get(f"{GREETING}/behavior").json()["at"])
    published(3, {field: {"hidden": True} for field in HIDDEN})
    runs += [a_run(alice), a_run(ada)]
    published(4, {field: {"hidden": True} for field in HIDDEN}, publish="none")
    tenant = str(cast.alice.tenant_id)
    steps = [{"tenants": [tenant], "hold": "1h"}, {"percent": 100}]
    rollout = operator.post(f"{GREETING}/rollouts", {"to": 4, "steps": steps})
    assert rollout.status_code == 201, rollout.content
    work_through()
    made.moments.append(alice.get(f"{GREETING}/behavior").json()["at"])
    trying = {"override": {"set": {"vars.tone": "warm"}}, "inputs": [{"name": "Ann"}]}
    preview = alice.post(f"{GREETING}/preview", trying, Prefer="respond-async")
    assert preview.status_code == 202, preview.content
    hook = ada.post("/webhooks", {"url": "https://hooks.acme.example/", "events": ["run.succeeded"]}).json()["id"]
    batch = alice.post(f"{GREETING}/batches", [{"input": {"name": "Ann"}}])
    assert batch.status_code == 202, batch.content
    while look():
        pass
    impacts = operator.get(f"{GREETING}/impacts").json()["items"]
    notices = [notice["id"] for knock in (alice, ada) for notice in knock.get("/notices").json()["items"]]
    member = str(cast.alice.subject.id)
    made.values = {
        "feature": ["greet"], "key": ["greet", f"member:{member}"], "number": ["1", "2", "3", "4"],
        "layer": ["user", "tenant"], "field": [*HIDDEN, *OURS_HIDDEN], "run_id": runs, "batch_id": [batch.json()["id"]], "webhook_id": [hook], "delivery_id": [RANDOM],
        "preview_id": [preview.json()["id"]], "impact_id": [impacts[0]["id"]] if impacts else [RANDOM],
        "rollout_id": [rollout.json()["id"]], "notice_id": notices or [RANDOM], "key_id": [RANDOM], "budget_id": [RANDOM], "slug": ["acme", "globex"],
        "member_id": [member], "subject": [f"member:{member}", "u1"], "alias": ["standard"], "revision": ["1"],
        "rest": ["nothing"], "name": ["invalid"], "suggestion_id": [*runs[:1], RANDOM],
        "approval_id": [RANDOM], "erasure_id": [RANDOM], "export_id": [RANDOM], "invitation_id": [RANDOM],
        "form": ["csv", "json"], "text": ["nothing"],
    }  # fmt: skip
    return made


def said(answer: Any) -> bytes:
    """All that an answer says, its headers and a stream to its end among it."""
    body = _streamed(answer) if answer.streaming else answer.content
    return body + repr(sorted(answer.headers.items())).encode()


def _streamed(answer: Any) -> bytes:
    async def whole() -> bytes:
        return b"".join([part async for part in answer.streaming_content])

    return asyncio.run(asyncio.wait_for(whole(), 20)) if answer.is_async else b"".join(answer.streaming_content)


def browser(email: str) -> Client:
    client = Client()
    client.force_login(User.objects.get(email=email), backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def leaks(scene: Scene, knock: Knock, desk: Client | None, secrets: tuple[bytes, ...]) -> Iterator[str]:
    """The addresses whose answer to GET says what is hidden from whoever asks."""
    for path in scene.addresses():
        api = path.startswith("/api/")
        client, headers = (knock.client, knock.headers) if api else (desk, {})
        if client is None:
            continue
        asked = [(path + query, headers) for query in scene.queries(path)]
        if not api:
            asked += [(path, {"HX-Request": "true"})]
        for address, sent in asked:
            answer = client.get(address, headers=sent)
            assert answer.status_code < 500, (address, answer.status_code)
            if any(secret in said(answer) for secret in secrets):
                yield f"{answer.status_code} {address}"


def test_alice_finds_nothing_hidden_at_any_address(scene: Scene) -> None:
    desk = browser("alice@acme.example")
    assert list(leaks(scene, scene.knock("alice"), desk, (BASE, ACME))) == []


def test_nor_does_bob_who_stays_on_the_version_where_it_was_open(scene: Scene) -> None:
    bob = scene.knock("bob")
    assert bob.get(f"{GREETING}/behavior").json()["receipt"]["base"] == 2
    assert list(leaks(scene, bob, browser("bob@acme.example"), (BASE, ACME))) == []


def test_nor_does_an_end_user_of_the_organisations_software(scene: Scene) -> None:
    assert list(leaks(scene, scene.knock("acme_service", Bespoke_User="u1"), None, (BASE, ACME))) == []


def test_an_admin_finds_the_organisations_own_and_nothing_of_the_vendors(scene: Scene) -> None:
    desk = browser("ada@acme.example")
    assert list(leaks(scene, scene.knock("ada"), desk, (BASE,))) == []
    assert ACME in scene.knock("ada").get(OURS).content  # so that it can be found by looking like this
    assert BASE in scene.knock("operator").get(f"{GREETING}/versions/3").content


QUOTED = {"kind": "quoted", "at": "/greeting"}
PATTERN = {"kind": "excludes", "at": "/greeting", "text": "nothing of it"}
WORDS = {"kind": "max_words", "at": "/greeting", "max": 0}
ONE: list[dict[str, Any]] = [{"set": "x"}, {"set": None}, {"append": "x"}, {"remove": True}, {"set": example("x")}]


def writes(scene: Scene) -> Iterator[tuple[str, str, Any]]:
    """What somebody may send who would like the hidden to speak."""
    runs, tenant = scene.values["run_id"], str(scene.cast.alice.tenant_id)
    for field in (*HIDDEN, *OURS_HIDDEN):
        for one in ONE:
            yield "put", f"{MINE}/fields/{field}", one
            yield "put", f"{OURS}/fields/{field}", one
        yield "delete", f"{MINE}/fields/{field}?dry_run=true", None
        for decision in ("keep", "take", "hold", {"append": "x"}, {"set": "x"}, {"remove": True}):
            yield "post", f"{MINE}/resolve?dry_run=true", {"fields": {field: decision}}
    for name, check in (("quoted", QUOTED), ("pattern", PATTERN), ("words", WORDS)):
        yield "put", f"{MINE}/fields/checks.{name}", {"set": check}
    for broken in ("vars.language", "examples.first"):
        yield "put", f"{MINE}/fields/{broken}", {"remove": True}
    yield "put", f"{MINE}/fields/instructions.new", {"set": "{{ instructions.recipe }} {{ vars.nothing }}"}
    yield "put", f"{MINE}/fields/vars.new", {"set": "{{ instructions.house }}"}
    yield "post", f"{MINE}/rollback", {"revision": 1}
    for number in (1, 2, 3, 4, 99):
        yield "put", f"{GREETING}/pin/user?dry_run=true", {"version": number}
        yield "post", f"{GREETING}/preview", {"version": number, "inputs": [{"name": "Ann"}]}
    yield "delete", f"{GREETING}/pin/user?dry_run=true", None
    for way in ({"run": runs[0]}, {"run": runs[2]}, *({"at": moment} for moment in scene.moments)):
        yield "post", f"{GREETING}/restore?dry_run=true", way
    yield "post", f"{GREETING}/preview", {"override": {"set": {"checks.q": QUOTED}}, "inputs": [{"name": "Ann"}]}
    yield "post", f"{GREETING}/runs", {"input": {"name": 7, "more": "x"}}
    yield "post", f"{MINE}/promote?dry_run=true", {}
    yield "post", f"{GREETING}/preview", {"override": {"remove": [*HIDDEN]}, "inputs": [{"name": "Ann"}]}
    yield "put", f"{GREETING}/current", {"version": 2}
    yield "post", f"{GREETING}/impact", {"to": 4}
    yield "post", f"{GREETING}/versions", {"behavior": {}, "tenant": tenant}


def forms(scene: Scene) -> Iterator[tuple[str, dict[str, Any]]]:
    """The same at the dashboard."""
    for field, act in product((*HIDDEN, *OURS_HIDDEN), ("save", "append", "inherit", "remove", "compare", "add")):
        yield "/f/greet/mine", {"act": act, "field": field, "value": "x", "etag": '"1"', "revision": "1"}
    for act in ("rollback", "undo", "review"):
        yield "/f/greet/mine", {"act": act, "revision": "1"}
    for run, act in product(scene.values["run_id"], ("restore", "rehearse", "look")):
        yield "/f/greet/timeline", {"act": act, "run": run}
    for moment, act in product(scene.moments, ("restore", "rehearse", "look")):
        yield "/f/greet/timeline", {"act": act, "at": moment}
    for act in ("keep", "take", "hold", "edit", "save", "rehearse", "try"):
        yield "/f/greet/upgrade", {"act": act, "field": "instructions.recipe", "instructions.recipe": act}
    yield "/f/greet", {"name": "Ann"}


def test_no_write_of_alices_makes_the_hidden_speak(scene: Scene) -> None:
    alice, desk = scene.knock("alice"), browser("alice@acme.example")
    found: list[str] = []
    statuses: set[int] = set()
    for method, path, body in writes(scene):
        seen = alice.get(MINE).headers["ETag"]
        answer = alice.request(method, path, body, Prefer="respond-async", If_Match=seen)
        statuses.add(answer.status_code)
        if any(secret in said(answer) for secret in (BASE, ACME)):
            found.append(f"{answer.status_code} {method} {path} {body}")
    for path, form in forms(scene):
        answer = desk.post(path, form, headers={"HX-Request": "true"}, follow=True)
        assert answer.status_code < 500, (path, form)
        if any(secret in said(answer) for secret in (BASE, ACME)):
            found.append(f"{answer.status_code} {path} {form}")
    assert found == []
    assert {200, 202, 422} <= statuses and not any(status >= 500 for status in statuses)
    assert list(leaks(scene, alice, None, (BASE, ACME))) == []  # what she wrote is now listed, explained and compared
