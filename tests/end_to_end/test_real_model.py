"""The whole of it with the real 135M demo model: its answers are unpredictable, their shape is not."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import call_command

from backend.local import model
from features.actions.targets import add_target
from features.engine import Validator
from tenants.system import system_actor
from tests.processes import Stack

KEY = "the-models-key"


@pytest.fixture
def with_model(stack: Stack, tmp_path: Path) -> Iterator[Stack]:
    """The stack, its worker asking the demo model, and the catalog published."""
    launched = model.launch(tmp_path / "model.json", KEY)
    stack.register.add("model", launched.pid)
    serving = model.wait_ready(launched, tmp_path / "model.json")
    stack.worker.kill()
    try:
        stack.worker.start(OPENAI_BASE_URL=serving.url, OPENAI_API_KEY=KEY)
        call_command("load_catalog", verbosity=0)
        add_target(
            alias="standard", provider="demo", model=model.ALIAS, input_price=0, output_price=0,
            by=system_actor("tests"),
        )  # fmt: skip
        yield stack
    finally:
        stack.worker.kill()
        serving.stop()


@pytest.mark.model
def test_a_sentence_is_sorted_by_the_real_model_into_what_the_schema_allows(with_model: Stack) -> None:
    alice = with_model.knock("alice")
    feature = alice.get("/features/triage").json()
    body = {"input": {"message": "My card was charged twice for one coffee, please give me my money back."}}
    with alice.events("/features/triage/runs", body) as events:
        seen = list(events)
    run = seen[-1].data
    assert (seen[-1].name, run["state"]) == ("done", "succeeded"), run["error"]
    assert Validator(feature["output"]).problems(run["output"]) == []
    assert len([event for event in seen if event.name == "delta"]) > 5
    assert run["receipt"]["model_target"]["model"] == model.ALIAS and run["receipt"]["digest"].startswith("1:")
    assert run["usage"]["input_tokens"] > 100 and run["usage"]["output_tokens"] > 5
