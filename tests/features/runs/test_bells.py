"""Bells: one for each run that waits, of which whoever has free slots takes one for each of them."""

import threading

import pytest

from features.runs import bells
from features.runs.bells import BELLS, Ear, ring
from tenants import valkey


def test_a_bell_is_heard_by_one_and_by_whoever_waits(committed: None) -> None:
    heard: list[bool] = []
    ears = [threading.Thread(target=lambda: heard.append(Ear().hear(4))) for _ in range(2)]
    for ear in ears:
        ear.start()
    ring()
    for ear in ears:
        ear.join(30)
    assert sorted(heard) == [False, True]


def test_who_has_three_free_slots_takes_three_bells_and_leaves_the_others(committed: None) -> None:
    ring(5)
    assert Ear().hear(3)
    assert valkey.client.llen(BELLS) == 2


def test_a_night_without_a_worker_leaves_no_more_bells_than_workers_could_answer(
    committed: None, settings: object
) -> None:
    settings.WORKER_SLOTS = 2  # type: ignore[attr-defined]
    for _ in range(10):
        ring()
    ring(1000)
    assert valkey.client.llen(BELLS) == 4


def test_who_waits_for_nothing_rings_not(committed: None) -> None:
    ring(0)
    assert valkey.client.llen(BELLS) == 0


def test_an_ear_hears_again_once_valkey_is_back(committed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bells, "HEAR_SECONDS", 0.05)
    ear, there = Ear(), valkey.client
    monkeypatch.setattr(ear, "_client", valkey.connect("redis://127.0.0.1:1/0"))
    assert ear.hear(1)  # look by the clock
    monkeypatch.setattr(ear, "_client", there)
    assert not ear.hear(1)
    ring()
    assert ear.hear(1)
