"""Whatever is sent to the API: never a 5xx, and every answer is one that the OpenAPI document knows.

Schemathesis makes the requests from the document (the boundaries of every schema, wrong types, missing and unknown
fields, wrong methods; then random ones; then chains of operations, also on what was deleted) and knocks at the real
web process. It is told to be deterministic: the same requests each time.
"""

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from backend.api.openapi import METHODS, document
from features.actions.catalog import FOLDER, load_file, read_file
from tenants.system import system_actor
from tests.processes import Stack

ST = Path(sys.executable).with_name("st")
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "unsupported_method", "allow_header_conformance", "ignored_auth", "use_after_free",
)  # fmt: skip
# Boundaries of everything are asked as those whom they are open to; the others get random requests only.
ASKERS = {"ada": "coverage,fuzzing", "operator": "coverage,fuzzing", "alice": "fuzzing", "acme_service": "fuzzing"}
VENDORS = ("--include-tag", "The vendor", "--include-tag", "Rollouts", "--include-tag", "Features and behavior")
NOT_VENDORS = ("--exclude-tag", "The vendor", "--exclude-tag", "Rollouts")
ALL_FOUR = pytest.mark.parametrize("who", ASKERS)
GREET = "/features/greet"
NAMED = {
    "feature": "greet", "number": 1, "alias": "standard", "revision": 1, "slug": "acme", "field": "vars.tone",
    "subject": "u1",
}  # fmt: skip


@pytest.fixture
def asked(stack: Stack) -> Stack:
    """The processes, with something of everything."""
    load_file(read_file(FOLDER / "customize.yaml"), force=False, by=system_actor("tests"))
    return stack


def ids(stack: Stack) -> dict[str, Any]:
    """What an address names, unless it is found in answers: nothing that must stay while we ask."""
    alice, ada = stack.knock("alice"), stack.knock("ada")
    alice.put(f"{GREET}/override/user", {"set": {"vars.tone": "warm"}}, if_none_match="*")
    spare = ada.post("/keys", {"kind": "service", "name": "spare"}).json()
    hook = ada.post("/webhooks", {"url": "https://hooks.example/in", "events": ["run.succeeded"]}).json()
    [bob] = [member for member in ada.get("/members").json()["items"] if member["name"] == "Bob"]
    run = alice.run().json()
    return {"run_id": run["id"], "webhook_id": hook["id"], "key_id": spare["id"], "member_id": bob["id"]}


def document_for(who: str) -> dict[str, Any]:
    """The document without the header that this caller may not send, and without streams: texts of many events."""
    made = copy.deepcopy(document())
    operations = [item[method] for item in made["paths"].values() for method in METHODS if method in item]
    for operation in operations:
        given = operation["parameters"]
        operation["parameters"] = [p for p in given if who == "acme_service" or p["name"] != "Bespoke-User"]
        for answer in operation["responses"].values():
            answer.get("content", {}).get("text/event-stream", {}).pop("schema", None)
    return made


def ask(stack: Stack, who: str, place: Path, *options: str) -> str:
    """Let Schemathesis ask as one of the cast; what it found, or nothing."""
    headers = {"Authorization": f"Bearer {stack.cast.key(getattr(stack.cast, who))}"}
    named = {f"path.{name}": value for name, value in {**NAMED, **ids(stack)}.items()}
    tables = {"headers": headers, "parameters": {**named, "header.Prefer": "respond-async"}}
    lines = [line for name, table in tables.items() for line in (f"[{name}]", *_toml(table))]
    (place / "schemathesis.toml").write_text("\n".join(lines))
    (place / "openapi.json").write_text(json.dumps(document_for(who)))
    command = [
        str(ST), "--config-file", "schemathesis.toml", "run", "openapi.json", "--url", stack.base_url, "--checks",
        ",".join(CHECKS), "--generation-deterministic", "--continue-on-failure", "--no-shrink", "--no-color",
        "--request-timeout", "30", *options,
    ]  # fmt: skip
    done = subprocess.run(command, cwd=place, capture_output=True, text=True)
    return "" if done.returncode == 0 else f"{done.stdout}\n{done.stderr}"


def _toml(table: dict[str, Any]) -> list[str]:
    return [f"{json.dumps(name)} = {json.dumps(value)}" for name, value in table.items()]


@ALL_FOUR
def test_whatever_is_sent_gets_an_answer_that_is_documented(who: str, asked: Stack, tmp_path: Path) -> None:
    only = VENDORS if who == "operator" else NOT_VENDORS
    assert ask(asked, who, tmp_path, "--phases", ASKERS[who], "-n", "2", *only) == ""


@pytest.mark.slow
@ALL_FOUR
def test_much_more_of_it_and_chains_of_requests(who: str, asked: Stack, tmp_path: Path) -> None:
    assert ask(asked, who, tmp_path, "--phases", "coverage,fuzzing,stateful", "-n", "25") == ""
