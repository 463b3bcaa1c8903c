"""Secrets at rest open for their own row alone, under any key of the ring, and never show themselves."""

import copy
import json
import logging
import pickle
import traceback
from typing import Any
from uuid import uuid4

import pytest
from django.core.exceptions import ImproperlyConfigured

from backend.settings import secret_ring
from tenants.secrets import Secret, Unreadable, is_readable, seal, unseal

ACME, GLOBEX, ROW, OTHER = (uuid4() for _ in range(4))
CANARY = "sk-CANARY-of-acme-0123456789"


def test_what_was_sealed_for_a_row_opens_there(settings: Any) -> None:
    sealed = seal(CANARY, tenant_id=ACME, row_id=ROW)
    assert unseal(sealed, tenant_id=ACME, row_id=ROW).reveal() == CANARY
    assert sealed.startswith("v1.tests.") and "CANARY" not in sealed
    assert sealed != seal(CANARY, tenant_id=ACME, row_id=ROW)  # a nonce of its own each time


def test_copied_to_another_row_or_tenant_it_does_not_open() -> None:
    sealed = seal(CANARY, tenant_id=ACME, row_id=ROW)
    for tenant, row in ((GLOBEX, ROW), (ACME, OTHER), (ROW, ACME)):
        with pytest.raises(Unreadable):
            unseal(sealed, tenant_id=tenant, row_id=row)


def test_whoever_knows_the_row_of_another_tenant_still_has_another_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each tenant's data key is its own, whatever the associated data."""
    monkeypatch.setattr("tenants.secrets._bound", lambda *_: b"")
    sealed = seal(CANARY, tenant_id=ACME, row_id=ROW)
    assert not is_readable(sealed, tenant_id=GLOBEX, row_id=ROW)
    assert is_readable(sealed, tenant_id=ACME, row_id=OTHER)  # which is what the associated data is for


def test_one_changed_character_and_it_does_not_open() -> None:
    sealed = seal(CANARY, tenant_id=ACME, row_id=ROW)
    for place in range(len(sealed)):
        changed = sealed[:place] + ("B" if sealed[place] != "B" else "C") + sealed[place + 1 :]
        try:
            assert unseal(changed, tenant_id=ACME, row_id=ROW).reveal() == CANARY  # spare bits of base64's last digit
            assert place >= len(sealed) - 4
        except Unreadable:
            pass
    for broken in ("", "v1", "v1.tests", "v1.tests.", "v1.tests.AAAA", "v2" + sealed[2:], "v1.tests.é"):
        with pytest.raises(Unreadable):
            unseal(broken, tenant_id=ACME, row_id=ROW)


def test_the_first_key_seals_and_all_of_them_open(settings: Any) -> None:
    under_old = seal(CANARY, tenant_id=ACME, row_id=ROW)
    settings.SECRET_RING = {"new": b"n" * 32, **settings.SECRET_RING}
    assert unseal(under_old, tenant_id=ACME, row_id=ROW).reveal() == CANARY
    assert seal(CANARY, tenant_id=ACME, row_id=ROW).startswith("v1.new.")
    settings.SECRET_RING = {"new": b"n" * 32}
    with pytest.raises(Unreadable, match="not in the ring"):
        unseal(under_old, tenant_id=ACME, row_id=ROW)


def test_a_secret_does_not_show_itself(caplog: pytest.LogCaptureFixture) -> None:
    secret = Secret(CANARY)
    shown = [repr(secret), str(secret), f"{secret}", f"{secret:>40}", "%s %r" % (secret, secret), repr([secret])]  # noqa: UP031
    logging.getLogger("any").warning("a secret %s", secret)
    try:
        raise ValueError(secret)
    except ValueError:
        shown.append(traceback.format_exc())
    assert CANARY not in "".join([*shown, caplog.text])
    for write in (json.dumps, pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError):
            write(secret)  # type: ignore[operator]
    assert not hasattr(secret, "__dict__")


def test_a_ring_that_is_none_stops_the_boot_without_showing_it() -> None:
    good = "ab" * 32
    assert secret_ring([f"2026-11:{good}", f"old:{good}"]) == {"2026-11": b"\xab" * 32, "old": b"\xab" * 32}
    for wrong in ("", good, f":{good}", f"a:{good}zz", "a:abc", f"a.b:{good}", f"a: {good}"):
        with pytest.raises(ImproperlyConfigured) as refused:
            secret_ring([wrong])
        assert good[:20] not in str(refused.value) and refused.value.__context__ is None
    with pytest.raises(ImproperlyConfigured):
        secret_ring([f"a:{good}", f"a:{'cd' * 32}"])
