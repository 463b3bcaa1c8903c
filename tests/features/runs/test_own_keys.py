"""Runs on an organisation's own provider key: at its own provider, at no cost, and at an end when it is revoked."""

import threading
from ipaddress import IPv4Network
from typing import Any
from uuid import UUID

import pytest
from django.db import connections

from features.runs.accept import accept, find_run
from features.runs.breakers import FAILURES
from features.runs.budgets import add_budget
from features.runs.models import FINAL, Attempt, BudgetUse, Run
from tenants import provider_keys
from tenants.errors import OverBudget
from tenants.models import ProviderKey
from tenants.provider_keys import add_provider_key, revoke_provider_key
from tenants.secrets import Secret, is_readable, rotate, seal, sealed_columns
from tests.cast import Cast
from tests.fakes.model import Answer, FakeModel
from tests.outside import until
from tests.working import look

LOOPBACK = IPv4Network("127.0.0.0/8")
OWN = "sk-CANARY-own-key-of-acme"


def enter(cast: Cast, key: str = OWN, **options: Any) -> ProviderKey:
    return add_provider_key(provider="demo", name="ours", key=Secret(key), by=options.pop("by", cast.ada), **options)


def run(cast: Cast, who: Any = None, name: str = "Ann") -> Run:
    """Take a run in, carry it out, and return it."""
    run_id = accept(cast.greet, {"name": name}, by=who or cast.alice).run_id
    look()
    found = find_run(run_id, who or cast.alice)
    assert found is not None
    return found


def attempts(cast: Cast, run_id: UUID) -> list[Attempt]:
    with cast.alice.present():
        return list(Attempt.objects.filter(run=run_id).order_by("number"))


def test_acmes_runs_are_asked_with_acmes_key_and_nobody_elses_are(cast: Cast, model: FakeModel) -> None:
    enter(cast)
    run(cast), run(cast, cast.mallory), run(cast, cast.bob)
    assert model.keys == [OWN, "a-key", OWN]


def test_a_run_on_ones_own_key_costs_nothing(cast: Cast, model: FakeModel) -> None:
    own = enter(cast)
    done = run(cast)
    assert (done.state, done.cost) == ("succeeded", 0) and done.usage["input_tokens"] == 100
    [attempt] = attempts(cast, done.pk)
    assert (attempt.cost, attempt.reserved, attempt.own_key) == (0, 0, own.id)


def test_budgets_bound_what_the_vendor_is_paid_for_and_nothing_else(cast: Cast, model: FakeModel) -> None:
    add_budget(period="month", soft=None, hard=1, by=cast.ada)
    with pytest.raises(OverBudget):
        run(cast)
    own = enter(cast)
    assert run(cast).state == "succeeded"
    with cast.ada.present():
        assert not BudgetUse.objects.filter(reserved__gt=0).exists()
    # and a run that was taken in while there was a key is held to the budget when there is none any more
    run_id = accept(cast.greet, {"name": "Bea"}, by=cast.alice).run_id
    revoke_provider_key(own, by=cast.ada)
    look()
    found = find_run(run_id, cast.alice)
    assert found is not None and found.error["type"] == "over_budget"
    assert model.keys == [OWN]


def test_what_was_held_before_there_was_a_key_is_given_back(cast: Cast, model: FakeModel) -> None:
    add_budget(period="month", soft=None, hard=10_000_000, by=cast.ada)
    run_id = accept(cast.greet, {"name": "Ann"}, by=cast.alice).run_id
    with cast.ada.present():
        assert BudgetUse.objects.get().reserved > 0
    enter(cast)
    look()
    with cast.ada.present():
        use = BudgetUse.objects.get()
        assert Run.objects.get(pk=run_id).state == "succeeded" and (use.reserved, use.spent) == (0, 0)


def test_a_revoked_key_is_not_used_for_the_next_call(cast: Cast, model: FakeModel) -> None:
    """Not even for the next call of a run that has begun."""
    own, bad = enter(cast), Answer("no JSON", hold=threading.Event())
    model.script(bad)
    accept(cast.greet, {"name": "Ann"}, by=cast.alice)
    working = threading.Thread(target=_look_apart)
    working.start()
    assert bad.begun.wait(30)
    revoke_provider_key(own, by=cast.ada)
    bad.hold.set()
    working.join(30)
    assert model.keys == [OWN, "a-key"]


def test_of_two_live_keys_the_newer_one_is_used(cast: Cast, model: FakeModel) -> None:
    enter(cast)
    newer = enter(cast, "sk-the-newer-key-of-acme")
    run(cast)
    revoke_provider_key(newer, by=cast.ada)
    run(cast, name="Bea")
    assert model.keys == ["sk-the-newer-key-of-acme", OWN]


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_key_fails_the_run_in_words_and_no_other_is_tried(status: int, cast: Cast, model: FakeModel) -> None:
    own = enter(cast)
    model.script(Answer(status=status))
    failed = run(cast)
    assert failed.error["type"] == "key_refused"
    assert failed.error["detail"] == f"demo answered {status} to your key ours (…acme): enter one that is good."
    assert model.keys == [OWN]
    with cast.ada.present():
        assert ProviderKey.objects.get(pk=own.pk).refused_at is not None


def test_the_vendors_own_wrong_key_is_no_customers_matter(cast: Cast, model: FakeModel) -> None:
    model.script(Answer(status=401))
    assert run(cast).error["type"] == "rejected"


def test_a_key_that_cannot_be_read_fails_the_run_and_the_vendors_does_not_stand_in(
    cast: Cast, model: FakeModel, settings: Any
) -> None:
    enter(cast)
    settings.SECRET_RING = {"another": b"x" * 32}
    failed = run(cast)
    assert failed.error["type"] == "key_unreadable" and "anew" in failed.error["detail"]
    assert model.keys == []


def swap(one: ProviderKey, other: ProviderKey) -> None:
    """Put each one's ciphertext into the other's row, as somebody could who owns the database."""
    with connections["owner"].cursor() as cursor:
        cursor.execute("ALTER TABLE tenants_providerkey NO FORCE ROW LEVEL SECURITY")
        for given, taker in ((one, other), (other, one)):
            cursor.execute("UPDATE tenants_providerkey SET sealed = %s WHERE id = %s", [given.sealed, taker.id])
        cursor.execute("ALTER TABLE tenants_providerkey FORCE ROW LEVEL SECURITY")


def test_ciphertexts_swapped_between_two_tenants_open_for_neither(
    cast: Cast, model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the associated data alone: here both tenants' data keys are made the same."""
    monkeypatch.setattr("tenants.secrets._data_key", lambda *_: b"k" * 32)
    swap(enter(cast), enter(cast, "sk-the-key-of-globex-0000", by=cast.gus))
    assert [run(cast, who).error["type"] for who in (cast.alice, cast.mallory)] == ["key_unreadable"] * 2
    assert model.keys == []


def test_moved_to_another_tenant_with_its_row_a_ciphertext_does_not_open_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The tenant is in the associated data, whatever id the row has; and so is the row, whatever its tenant."""
    monkeypatch.setattr("tenants.secrets._data_key", lambda *_: b"k" * 32)
    acme, globex, row, other = (UUID(int=n) for n in range(1, 5))
    sealed = seal(OWN, tenant_id=acme, row_id=row)
    assert is_readable(sealed, tenant_id=acme, row_id=row)
    assert not is_readable(sealed, tenant_id=globex, row_id=row)
    assert not is_readable(sealed, tenant_id=acme, row_id=other)


def test_ciphertexts_swapped_between_two_keys_of_a_tenant_open_for_neither(cast: Cast, model: FakeModel) -> None:
    """A key that was retired, or is for another endpoint, does not come back in another's place."""
    swap(enter(cast), enter(cast, "sk-the-newer-key-of-acme"))
    assert run(cast).error["type"] == "key_unreadable" and model.keys == []
    with cast.ada.present():
        assert {provider_keys.state_of(key) for key in ProviderKey.objects.all()} == {"unreadable"}


def test_an_own_endpoint_is_called_with_the_own_key_where_it_may_be(
    cast: Cast, model: FakeModel, settings: Any
) -> None:
    vendor = settings.PROVIDERS
    settings.PROVIDERS = {"demo": {"base_url": "http://127.0.0.1:1/v1", "api_key": "a-key"}}
    settings.OUTBOUND_NETWORKS = [LOOPBACK]
    enter(cast, base_url=vendor["demo"]["base_url"])
    assert run(cast).state == "succeeded" and model.keys == [OWN]
    settings.OUTBOUND_NETWORKS = []  # it is judged at every call, whatever was saved
    refused = run(cast, name="Bea")
    assert refused.error["type"] == "address_refused" and model.keys == [OWN]


def test_an_own_endpoint_that_leads_inside_is_never_connected_to(
    cast: Cast, model: FakeModel, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the real client of the SDK: the guard is in its path."""
    settings.OUTBOUND_PORTS = [443, int(model.base_url.split(":")[2].split("/")[0])]
    enter(cast, base_url=f"https://localhost:{settings.OUTBOUND_PORTS[1]}/v1")
    failed = run(cast)
    assert failed.error["type"] == "address_refused" and "127." not in str(failed.error)
    assert model.requests == []


def test_a_redirect_of_an_own_endpoint_is_not_followed(cast: Cast, model: FakeModel, settings: Any) -> None:
    settings.OUTBOUND_NETWORKS = [LOOPBACK]
    enter(cast, base_url=model.base_url)
    model.script(Answer(status=307, headers={"Location": f"{model.base_url}/elsewhere"}))
    assert run(cast).error["type"] == "rejected"
    assert len(model.requests) == 1


def test_the_vendors_environment_says_nothing_to_a_customers_account(
    cast: Cast, model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    from features.runs.provider import _own_client

    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-the-vendor")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-of-the-vendor")
    own = provider_keys.Credential(UUID(int=7), "demo", "ours", "", "acme", Secret(OWN))
    told = _own_client(own).default_headers
    assert "vendor" not in str(dict(told))


def test_one_bad_key_among_tenants_stops_nobody_else(cast: Cast, model: FakeModel) -> None:
    """The breaker is the credential's: acme's endpoint that is away leaves globex's calls alone."""
    enter(cast)
    model.default = lambda _: Answer(status=503) if model.keys[-1] == OWN else Answer('{"greeting": "Hi"}')
    for number in range(FAILURES + 1):
        run(cast, name=f"Ann {number}")
    assert model.keys == [OWN] * FAILURES  # left alone after that
    assert run(cast, cast.mallory).state == "succeeded"


def test_keys_are_rotated_under_runs_that_use_them(cast: Cast, model: FakeModel, settings: Any) -> None:
    """While runs go on and keys are entered, every text is sealed anew; no call fails, and the old key can go."""
    enter(cast), enter(cast, by=cast.gus)
    settings.SECRET_RING = {**settings.SECRET_RING, "new": b"n" * 32}
    stop, states = threading.Event(), list[str]()

    def ended(run_id: UUID, who: Any) -> bool:
        found = find_run(run_id, who)
        if found is not None and found.state in FINAL:
            states.append(str(found.state))
            return True
        return False

    def work(who: Any, name: str) -> None:
        try:
            number = 0
            while not stop.is_set():
                number += 1
                run_id = run(cast, who, f"{name} {number}").pk  # which the other thread may be carrying out
                until(lambda: ended(run_id, who), "the run ends")  # noqa: B023
        finally:
            for connection in connections.all():
                connection.close()

    workers = [threading.Thread(target=work, args=w) for w in ((cast.alice, "Ann"), (cast.mallory, "Max"))]
    for worker in workers:
        worker.start()
    try:
        for number, first in enumerate(("new", "tests", "new", "tests", "new"), start=1):
            until(lambda: len(states) > 4 * number or not all(w.is_alive() for w in workers), "runs go on")  # noqa: B023
            rest = {name: key for name, key in settings.SECRET_RING.items() if name != first}
            settings.SECRET_RING = {first: settings.SECRET_RING[first], **rest}
            enter(cast, f"sk-CANARY-of-{first}-000000")
            assert rotate().unreadable == 0
    finally:
        stop.set()
        for worker in workers:
            worker.join(30)
    assert len(states) > 20 and set(states) == {"succeeded"}
    assert "a-key" not in model.keys
    settings.SECRET_RING = {"new": b"n" * 32}
    assert run(cast, name="at last").state == "succeeded"
    assert rotate().sealed == 0


def test_a_rotation_leaves_what_somebody_has_written_meanwhile(cast: Cast, settings: Any, monkeypatch: Any) -> None:
    own = enter(cast)
    settings.SECRET_RING = {"new": b"n" * 32, **settings.SECRET_RING}
    newer = seal("sk-entered-meanwhile-000", tenant_id=own.tenant_id, row_id=own.id)

    def while_somebody_writes(*arguments: Any, **named: Any) -> str:
        ProviderKey.objects.filter(pk=own.pk).update(sealed=newer)
        return seal(*arguments, **named)

    monkeypatch.setattr("tenants.secrets.seal", while_somebody_writes)
    rotate()
    with cast.ada.present():
        assert ProviderKey.objects.get(pk=own.pk).sealed == newer


def test_every_column_of_secrets_is_rotated() -> None:
    """By its kind, so that none can be missed (BerriAI/litellm#17951)."""
    assert ("ProviderKey", "sealed") in {(model.__name__, field) for model, field in sealed_columns()}


def _look_apart() -> None:
    try:
        look()
    finally:
        for connection in connections.all():
            connection.close()
