"""The real demo model: asked for a key, bound to a schema, streaming."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backend.local import model

pytestmark = pytest.mark.model

SCHEMA = {
    "type": "object",
    "properties": {"reason": {"type": "string", "maxLength": 60}, "topic": {"enum": ["money", "parcel", "other"]}},
    "required": ["reason", "topic"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[model.Model]:
    port_file = tmp_path_factory.mktemp("model") / "port.json"
    started = model.wait_ready(model.launch(port_file, "secret"), port_file)
    yield started
    started.stop()


def ask(served: model.Model, key: str = "secret", **more: Any) -> str:
    body = {
        "model": model.ALIAS,
        "messages": [{"role": "user", "content": "Sort this: where is my parcel?"}],
        "max_completion_tokens": 60,
        "temperature": 0,
        "response_format": {"type": "json_schema", "json_schema": {"name": "output", "strict": True, "schema": SCHEMA}},
        **more,
    }
    request = urllib.request.Request(f"{served.url}/chat/completions", json.dumps(body).encode())
    request.add_header("Authorization", f"Bearer {key}")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read().decode()


def test_it_answers_in_the_schema_s_shape_and_order(served: model.Model) -> None:
    answer = json.loads(ask(served))
    output = json.loads(answer["choices"][0]["message"]["content"])
    assert list(output) == ["reason", "topic"]
    assert output["topic"] in ("money", "parcel", "other")
    assert answer["model"] == model.ALIAS


def test_it_streams_pieces_and_says_the_usage_at_the_end(served: model.Model) -> None:
    lines = ask(served, stream=True, stream_options={"include_usage": True}).split("\n\n")
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]
    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"])
    assert set(json.loads(text)) == {"reason", "topic"}
    assert chunks[-1]["usage"]["completion_tokens"] > 5


def test_nobody_else_on_the_machine_may_use_it(served: model.Model) -> None:
    with pytest.raises(urllib.error.HTTPError, match="401"):
        ask(served, key="guessed")


def test_a_restart_keeps_its_address_and_yields_it_when_it_is_taken(served: model.Model, tmp_path: Path) -> None:
    port_file = tmp_path / "port.json"
    port_file.write_text(json.dumps({"port": served.port, "pid": 0}))
    other = model.wait_ready(model.launch(port_file, "secret"), port_file)
    try:
        assert other.port != served.port
    finally:
        other.stop()
    again = model.wait_ready(model.launch(port_file, "secret"), port_file)
    again.stop()
    assert again.port == other.port
