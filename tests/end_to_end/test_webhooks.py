"""Webhooks through the real web, worker and beat: what a run's end sends to a customer's server."""

import threading

import pytest
from standardwebhooks.webhooks import WebhookVerificationError

from tests.fakes.model import greeting
from tests.fakes.receiver import Receiver
from tests.outside import until
from tests.processes import Stack


def test_a_run_is_told_of_while_another_webhook_hangs(stack: Stack) -> None:
    stack.model.script(greeting("CANARY"))
    with Receiver() as receiver:
        ada = stack.knock("ada")
        receiver.places["/slow"].hold = threading.Event()
        for path in ("/slow", "/in"):
            hook = {"url": f"{receiver.base_url}{path}", "events": ["run.succeeded"]}
            made = ada.post("/webhooks", hook)
            assert made.status_code == 201, made.text
        secret, door = made.json()["secret"], f"/webhooks/{made.json()['id']}/deliveries"
        run = stack.knock("alice").run("Ann", prefer="wait=20").json()
        [message] = until(lambda: receiver.at("/in"), "the message comes")
        assert receiver.places["/slow"].begun.wait(30)
        assert message.verified(secret)["data"]["run"] == run["id"] and b"CANARY" not in message.body
        with pytest.raises(WebhookVerificationError):
            message.verified("whsec_" + "A" * 44)
        shown = until(lambda: ada.get(f"{door}?state=delivered").json()["items"], "it is written down")
        assert [(row["event"], row["status"], row["attempts"]) for row in shown] == [("run.succeeded", 204, 1)]
        receiver.places["/slow"].hold.set()
    logs = stack.logs()
    assert receiver.base_url not in logs and secret not in logs and "CANARY" not in logs
