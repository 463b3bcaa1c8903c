"""Previews through the real web process and worker, from outside."""

import threading
from typing import Any

from tests.fakes.model import Answer, greeting
from tests.outside import until
from tests.processes import REAL, REAL_RUN, Stack

PREVIEW = "/features/greet/preview"
WARM = {"override": {"set": {"vars.tone": "warm"}}, "inputs": [{"name": "Ann"}, {"name": "Ben"}]}


def by_tone(stack: Stack) -> None:
    def said(body: dict[str, Any]) -> Answer:
        return greeting("warm" if "a warm tone" in body["messages"][0]["content"] else "plain")

    stack.model.default = said


def test_a_change_is_tried_in_workers_and_answered_side_by_side(stack: Stack) -> None:
    by_tone(stack)
    alice = stack.knock("alice")
    answer = alice.post(PREVIEW, WARM, prefer="wait=30")
    shown = answer.json()
    assert (answer.status_code, shown["state"], shown["done"]) == (200, "done", 2)
    said = [(r["before"]["output"]["greeting"], r["after"]["output"]["greeting"]) for r in shown["results"]]
    assert said == [("plain", "warm")] * 2
    assert alice.get("/runs").json()["items"] == []
    assert stack.rows("SELECT count(*) FROM features_override") == [(0,)]
    assert stack.rows("SELECT preview, count(*) FROM runs_ledger WHERE " + REAL + " GROUP BY 1") == [(True, 4)]
    assert stack.knock("mallory").get(f"/previews/{shown['id']}").status_code == 404


def test_a_preview_outlives_the_worker_that_worked_on_it(stack: Stack) -> None:
    by_tone(stack)
    held = Answer('{"greeting": "never heard"}', hold=threading.Event())
    stack.model.script(held)
    alice = stack.knock("alice")
    taken = alice.post(PREVIEW, {**WARM, "inputs": [{"name": "Ann"}]}, prefer="respond-async")
    assert (taken.status_code, taken.json()["state"]) == (202, "running")
    assert held.begun.wait(30)
    stack.worker.kill()
    stack.worker.start()
    path = f"/previews/{taken.json()['id']}"
    until(lambda: alice.get(path).json()["state"] == "done", "the preview is done")
    [result] = alice.get(path).json()["results"]
    assert (result["before"]["output"], result["after"]["output"]) == ({"greeting": "plain"}, {"greeting": "warm"})
    assert stack.rows("SELECT count(*) FROM runs_ledger WHERE " + REAL) == [(2,)]
    assert stack.waiting() == 0


def test_the_reaper_puts_an_old_preview_away(stack: Stack) -> None:
    by_tone(stack)
    alice = stack.knock("alice")
    made = alice.post(PREVIEW, WARM, prefer="wait=30").json()
    stack.rows("UPDATE runs_preview SET expires_at = now() - interval '1 second' RETURNING id")
    assert alice.get(f"/previews/{made['id']}").status_code == 404
    until(lambda: stack.rows("SELECT count(*) FROM runs_run WHERE " + REAL_RUN) == [(0,)], "its runs are gone", 90)
    assert stack.rows("SELECT count(*) FROM runs_preview") == stack.rows("SELECT count(*) FROM runs_attempt") == [(0,)]
    assert stack.rows("SELECT count(*) FROM runs_ledger WHERE " + REAL) == [(4,)]
