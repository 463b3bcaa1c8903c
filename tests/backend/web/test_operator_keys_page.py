"""The keys of the vendor's staff in the dashboard: everybody's own, shown once, rotated, revoked after a question."""

from collections.abc import Callable
from typing import Any

import pytest

from tenants.actor import Actor
from tenants.isolation import OPERATOR
from tenants.models import Operator, OperatorKey
from tests.backend.api.test_operators import hire
from tests.cast import Cast
from tests.conftest import Knock

from .conftest import Person, words
from .test_keys_page import id_of, text_of

Sit = Callable[[Actor], Person]
KEYS = "/me/keys"
MAKE = {"act": "make", "name": "release job", "lasts": "90", "scope": ["read"]}


def test_olga_makes_a_key_that_is_shown_once_and_may_what_was_ticked(at_desk: Sit, cast: Cast) -> None:
    olga = at_desk(cast.operator)
    made = olga.send(KEYS, **MAKE)
    assert made.status_code == 200 and "no-store" in made["Cache-Control"]
    key = Knock(text_of(made), {})
    assert key.get("/tenants").status_code == 200
    assert key.put("/features/greet/current", {"version": 1}).status_code == 403
    page = olga.see(KEYS)
    assert text_of(made) not in page and "release job" in page
    assert "Your keys" in words(olga.see("/me")) and "try versions on the vendor's own samples" in words(page)


def test_she_rotates_it_without_a_break_and_revokes_it_after_a_question(at_desk: Sit, cast: Cast) -> None:
    olga = at_desk(cast.operator)
    old = Knock(text_of(olga.send(KEYS, **MAKE)), {})
    rotated = olga.send(KEYS, act="rotate", id=id_of(olga, KEYS, "release job"))
    assert "The old one works too, and ends" in words(rotated)
    new = Knock(text_of(rotated), {})
    assert [key.get("/me").status_code for key in (old, new)] == [200, 200]
    row = OperatorKey.objects.using(OPERATOR).get(name="release job", replaced_by=None)
    asked = words(olga.part(f"{KEYS}?revoke={row.id}"))
    assert "Revoke “release job”?" in asked and "in the name of Olga" in asked and new.get("/me").status_code == 200
    assert "“release job” is revoked." in words(olga.send(KEYS, act="revoke", id=str(row.id)))
    assert new.get("/me").status_code == 401 and "1 key that has ended" in words(olga.see(KEYS))


def test_nobody_sees_or_ends_a_colleague_s(at_desk: Sit, cast: Cast) -> None:
    hire("pat", "publish")
    pats = OperatorKey.objects.using(OPERATOR).get(operator__user__email="pat@bespoke.example")
    olga = at_desk(cast.operator)
    assert str(pats.id) not in olga.see(KEYS)
    for act in ("rotate", "revoke"):
        assert olga.send(KEYS, act=act, id=str(pats.id)).status_code == 404
    olga.see(f"{KEYS}?revoke={pats.id}", 404)
    pats.refresh_from_db(using=OPERATOR)
    assert pats.revoked_at is None and pats.replaced_by is None


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": " "}, "Say what the key is for"),
        ({"scope": []}, "A key is for something."),
        ({"scope": ["customise"]}, "A key is for something."),
        ({"lasts": "forever"}, "Choose how long the key lasts."),
    ],
)
def test_what_is_missing_is_said_and_nothing_is_made(
    change: dict[str, Any], told: str, at_desk: Sit, cast: Cast
) -> None:
    before = OperatorKey.objects.using(OPERATOR).count()
    refused = at_desk(cast.operator).send(KEYS, **{**MAKE, **change})
    assert refused.status_code == 422 and told in words(refused)
    assert OperatorKey.objects.using(OPERATOR).count() == before


@pytest.mark.parametrize(
    ("role", "expected"), [("read", "200 403 403"), ("publish", "200 200 403"), ("support", "200 403 200")]
)
def test_each_role_has_keys_of_its_own_and_they_may_no_more_than_it(
    role: str, expected: str, at_desk: Sit, cast: Cast
) -> None:
    Operator.objects.using(OPERATOR).update(roles=[role])
    key = Knock(text_of(at_desk(cast.operator).send(KEYS, **{**MAKE, "scope": ["read", "run", "admin"]})), {})
    found = (
        key.get("/tenants"), key.put("/features/greet/current", {"version": 1}),
        key.request("patch", "/tenants/globex", {"requests_per_minute": 50}),
    )  # fmt: skip
    assert " ".join(str(answer.status_code) for answer in found) == expected
