"""What people do by the way: without it some pages of the dashboard would have nothing to show after the story.

By the public API alone, each thing where it is not there already. Nothing of it is part of what the story promises.
"""

import time
from typing import Final

from backend.local.client import Caller
from backend.local.demo import Stage

QUESTIONS: Final = (
    "Where is my parcel? It was to arrive on Monday.",
    "I cannot sign in since this morning, the code never comes.",
    "Please cancel my subscription at the end of the month.",
    "The invoice has the wrong address on it.",
    "Do you ship to Norway?",
    "Thank you, the new lamp is lovely.",
)
MILLION: Final = 1_000_000  # micro-units
COLLEAGUE: Final = "grace@acme.example"
PATIENCE: Final = 120  # seconds for a batch


def furnish(stage: Stage) -> None:
    """A batch, a budget, an invitation and a word on an answer. Raises Refused and TimeoutError."""
    if not stage.alice.get("/batches")["items"]:
        _batch(stage.alice)
    if not stage.ada.get("/budgets")["items"]:
        bounds = {"period": "month", "soft": 40 * MILLION, "hard": 50 * MILLION}
        stage.ada.call("POST", "/budgets", bounds)
        stage.ada.call("POST", "/budgets", {**bounds, "soft": None, "hard": 5 * MILLION, "feature": "reply"})
    known = [*stage.ada.get("/members")["items"], *stage.ada.get("/invitations")["items"]]
    if COLLEAGUE not in {somebody["email"] for somebody in known}:
        stage.ada.call("POST", "/invitations", {"email": COLLEAGUE, "role": "member"})
    for run in stage.bob.get("/runs?limit=1")["items"]:
        if run["feedback"] is None:
            word = {"verdict": "bad", "note": "It missed what was asked."}
            stage.bob.call("PUT", f"/runs/{run['id']}/feedback", word)
    stage.say("Besides, for the dashboard: a batch, budgets, an invitation, a word on an answer.")


def _batch(who: Caller) -> None:
    """Six messages of one feature at once, waited for to their end."""
    items = [{"input": {"message": text}, "key": f"mail-{place}"} for place, text in enumerate(QUESTIONS, 1)]
    batch = who.call("POST", "/features/triage/batches", items).body
    deadline = time.monotonic() + PATIENCE
    while batch["state"] == "running":
        if time.monotonic() > deadline:
            raise TimeoutError(f"{who.name}'s batch is not done after {PATIENCE} s.")
        time.sleep(0.5)
        batch = who.get(f"/batches/{batch['id']}")
