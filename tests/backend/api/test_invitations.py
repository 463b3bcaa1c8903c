"""Asking people by mail: a link that works once, for a week, for whom it was sent to; and leaving again."""

import re
from collections.abc import Callable
from datetime import timedelta
from smtplib import SMTPException, SMTPRecipientsRefused
from typing import Any

import pytest
import time_machine
from django.core import mail
from django.test import Client
from django.utils import timezone

from tenants.actions import add_member, change_role, find_member, login_for
from tenants.invitations import accept_as_new, find_invitation
from tenants.models import Invitation, User
from tests.backend.web.conftest import BACKEND, words
from tests.cast import Cast

from .acts import kind, problems
from .conftest import Caller

PASSWORD = "a horse in the library"
CARL = {"email": "carl@acme.example", "role": "member"}


def link() -> str:
    """The address that the newest mail leads to, without its host."""
    found = re.search(r"http://\S+(/join/\S+)", str(mail.outbox[-1].body))
    assert found
    return found[1]


def come(path: str, **form: str) -> tuple[Any, Client]:
    """Open a link in a new browser and choose a password."""
    client = Client()
    return client.post(path, {"name": "Carl", "password": PASSWORD, **form}), client


def signed_in(email: str) -> Client:
    client = Client()
    client.force_login(User.objects.get(email=email), backend=BACKEND)
    return client


def later(seconds: float, change: Callable[[], Any]) -> Any:
    with time_machine.travel(timezone.now() + timedelta(seconds=seconds), tick=False):
        return change()


def test_somebody_new_chooses_a_password_and_is_in(cast: Cast, api: Caller) -> None:
    made = api(cast.ada).post("/invitations", {"email": "Carl@acme.example", "role": "viewer"})
    assert (made.status_code, made.json()["email"], made.json()["state"]) == (201, "carl@acme.example", "open")
    message = mail.outbox[-1]
    assert (message.to, message.subject) == (["carl@acme.example"], "Ada invites you to Acme")
    shown = Client().get(link())
    assert "You are invited as carl@acme.example" in words(shown)
    assert (shown["Referrer-Policy"], shown["Cache-Control"]) == ("strict-origin", "no-store")
    answer, client = come(link())
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert "Viewer, Acme" in words(client.get("/"))
    assert api(cast.ada).get("/invitations").json()["items"][0]["state"] == "accepted"
    assert Client().post("/accounts/login/", {"login": CARL["email"], "password": PASSWORD}).status_code == 302


def test_somebody_known_signs_in_and_says_yes(cast: Cast, api: Caller) -> None:
    person = login_for("mallory@globex.example")
    person.set_password(PASSWORD)
    person.save(using="default")
    api(cast.ada).post("/invitations", {"email": "mallory@globex.example", "role": "member"})
    page = Client().get(link())
    assert (
        "There is a login for mallory@globex.example" in words(page) and 'name="password"' not in page.content.decode()
    )
    refused, _ = come(link())
    assert refused.status_code == 200 and User.objects.get(email=person.email).check_password(PASSWORD)
    mallory = signed_in("mallory@globex.example")
    assert "You come in as member" in words(mallory.get(link()))
    assert mallory.post(link())["Location"] == "/"
    assert "Member, Acme" in words(mallory.get("/"))


def test_another_persons_invitation_lets_nobody_in(cast: Cast, api: Caller) -> None:
    api(cast.ada).post("/invitations", CARL)
    mallory = signed_in("mallory@globex.example")
    for answer in (mallory.get(link()), mallory.post(link())):
        assert answer.status_code == 403
        assert "for carl@acme.example, and you are signed in as mallory@globex.example" in words(answer)
    assert len(api(cast.ada).get("/members").json()["items"]) == 4


def dead(path: str) -> bool:
    """Whether a link leads to the page that says the same of every link that does not work."""
    shown, posted = Client().get(path), come(path)[0]
    told = "This invitation is not known, has ended, or was used already."
    return shown.status_code == posted.status_code == 404 and told in words(shown) and told in words(posted)


def test_a_link_works_once(cast: Cast, api: Caller) -> None:
    api(cast.ada).post("/invitations", CARL)
    assert come(link())[0].status_code == 302
    assert dead(link())


def test_a_link_works_for_a_week(cast: Cast, api: Caller) -> None:
    ends = api(cast.ada).post("/invitations", CARL).json()["expires"]
    assert later(7 * 86400 - 60, lambda: Client().get(link())).status_code == 200
    assert later(7 * 86400 + 60, lambda: dead(link()))
    assert ends.startswith((timezone.now() + timedelta(days=7)).strftime("%Y-%m-%d"))
    assert later(7 * 86400 + 60, lambda: api(cast.ada).get("/invitations").json()["items"][0]["state"]) == "expired"


def test_a_revoked_link_is_dead(cast: Cast, api: Caller) -> None:
    made = api(cast.ada).post("/invitations", CARL).json()
    assert api(cast.ada).delete(f"/invitations/{made['id']}").status_code == 204
    assert dead(link())
    assert kind(api(cast.ada).post(f"/invitations/{made['id']}/resend")) == (409, "conflict")


def test_sent_again_only_the_new_link_works(cast: Cast, api: Caller) -> None:
    ada = api(cast.ada)
    made = ada.post("/invitations", CARL).json()
    old = link()
    refused = ada.post(f"/invitations/{made['id']}/resend")
    assert kind(refused) == (429, "too-many") and int(refused["Retry-After"]) <= 61
    assert later(61, lambda: ada.post(f"/invitations/{made['id']}/resend")).status_code == 200
    assert dead(old) and not dead(link())


def test_invited_again_the_earlier_link_is_dead_and_the_new_role_counts(cast: Cast, api: Caller) -> None:
    ada = api(cast.ada)
    ada.post("/invitations", CARL)
    old = link()
    assert kind(ada.post("/invitations", CARL)) == (429, "too-many")
    assert later(61, lambda: ada.post("/invitations", {**CARL, "role": "viewer"})).status_code == 201
    assert dead(old)
    assert come(link())[0].status_code == 302
    assert [row["role"] for row in ada.get("/members").json()["items"] if row["email"] == CARL["email"]] == ["viewer"]
    assert [row["state"] for row in ada.get("/invitations").json()["items"]] == ["accepted", "revoked"]


@pytest.mark.parametrize("change", ["character", "tenant", "prefix", "empty"])
def test_a_made_up_link_leads_nowhere(change: str, cast: Cast, api: Caller) -> None:
    api(cast.ada).post("/invitations", CARL)
    real = link()
    text = real.removeprefix("/join/")
    forged = {
        "character": text[:60] + ("A" if text[60] != "A" else "B") + text[61:], "prefix": text.replace("bsi_", "bsk_"),
        "tenant": cast.key(cast.mallory).replace("bsk_", "bsi_"), "empty": "bsi_",
    }  # fmt: skip
    assert dead(f"/join/{forged[change]}") and not dead(real)


def test_what_is_kept_opens_nothing(cast: Cast, api: Caller) -> None:
    api(cast.ada).post("/invitations", CARL)
    secret = link().rpartition("_")[2][:33]
    with cast.ada.present():
        row = Invitation.objects.get()
        kept = f"{vars(row)} {bytes(row.secret_hash).hex()}"
    assert secret not in kept and link() not in str(api(cast.ada).get("/invitations").json())
    assert "bsi_" not in str(api(cast.ada).get("/audit").json())


def test_nobody_gives_a_role_above_their_own(cast: Cast, api: Caller) -> None:
    change_role(find_member(cast.bob.acting_for().id, cast.ada), "admin", by=cast.ada)
    assert kind(api(cast.bob).post("/invitations", {**CARL, "role": "owner"})) == (403, "forbidden")
    assert api(cast.bob).post("/invitations", {**CARL, "role": "admin"}).status_code == 201
    assert api(cast.ada).post("/invitations", {"email": "dan@acme.example", "role": "owner"}).status_code == 201
    assert problems(api(cast.ada).post("/invitations", {**CARL, "role": "king"})) == {("/role", "invalid_choice")}


def test_a_member_is_not_invited(cast: Cast, api: Caller) -> None:
    told = api(cast.ada).post("/invitations", {"email": "BOB@acme.example", "role": "member"})
    assert kind(told) == (409, "conflict") and mail.outbox == []


@pytest.mark.parametrize("password", ["short", "password1234", "123456789012", "carl@acme.example"])
def test_the_rules_for_passwords_hold(password: str, cast: Cast, api: Caller) -> None:
    api(cast.ada).post("/invitations", CARL)
    answer, client = come(link(), password=password)
    assert answer.status_code == 422 and "b-problems" in answer.content.decode()
    assert client.get("/").status_code == 302 and not User.objects.filter(email=CARL["email"]).exists()


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (SMTPRecipientsRefused({}), (422, "invalid")),
        (SMTPException(), (503, "unavailable")),
        (TimeoutError(), (503, "unavailable")),
    ],
)
def test_a_mail_that_cannot_be_sent_leaves_no_invitation(
    raised: Exception, told: tuple[int, str], cast: Cast, api: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Any) -> None:
        raise raised

    ada = api(cast.ada)
    with monkeypatch.context() as patch:
        patch.setattr("django.core.mail.EmailMessage.send", refuse)
        assert kind(ada.post("/invitations", CARL)) == told
    assert ada.get("/invitations").json()["items"] == []
    assert ada.post("/invitations", CARL).status_code == 201


def test_who_is_removed_takes_the_links_they_sent_with_them(cast: Cast, api: Caller) -> None:
    change_role(find_member(cast.bob.acting_for().id, cast.ada), "admin", by=cast.ada)
    api(cast.bob).post("/invitations", {**CARL, "role": "admin"})
    api(cast.ada).delete(f"/members/{cast.bob.acting_for().id}")
    assert dead(link())


def test_while_the_organisation_is_suspended_nobody_comes_in(cast: Cast, api: Caller) -> None:
    api(cast.ada).post("/invitations", CARL)
    api(cast.operator).patch("/tenants/acme", {"state": "suspended", "reason": "Unpaid."})
    answer, _ = come(link())
    assert answer.status_code == 403 and "Acme is suspended" in words(answer)
    assert not User.objects.filter(email=CARL["email"]).exists()


def test_a_login_that_nobody_has_opened_is_opened_by_the_link(cast: Cast, api: Caller) -> None:
    add_member(email="carl@acme.example", role="member", by=cast.gus)
    api(cast.ada).post("/invitations", CARL)
    answer, client = come(link())
    assert answer.status_code == 302 and "Member, Acme" in words(client.get("/"))
    assert User.objects.get(email=CARL["email"]).check_password(PASSWORD)


def test_of_two_who_open_it_at_once_one_comes_in(cast: Cast, api: Caller) -> None:
    api(cast.ada).post("/invitations", CARL)
    text = link().removeprefix("/join/")
    assert find_invitation(text).login is None
    first = accept_as_new(text, name="Carl", password=PASSWORD)
    answer, _ = come(link(), password="another long enough one")
    assert answer.status_code == 404 and User.objects.get(pk=first.user_id).check_password(PASSWORD)


def test_the_audit_says_who_asked_and_who_came(cast: Cast, api: Caller) -> None:
    made = api(cast.ada).post("/invitations", CARL).json()
    come(link())
    came, asked = api(cast.ada).get("/audit").json()["items"][:2]
    assert (asked["verb"], asked["detail"]) == ("member.manage", {"invitation": made["id"], "role": "member"})
    assert (came["verb"], came["target"]) == ("invitation.accept", f"invitation:{made['id']}")
    assert came["actor"].startswith("member:") and came["detail"]["invited_by"] == cast.ada.label


def test_members_leave_and_the_last_owner_stays(cast: Cast, api: Caller) -> None:
    bob = api(cast.bob)
    assert bob.delete(f"/members/{cast.bob.acting_for().id}").status_code == 204
    assert kind(bob.get("/me")) == (401, "unauthenticated")
    assert kind(api(cast.alice).delete(f"/members/{cast.vera.acting_for().id}")) == (403, "forbidden")
    assert kind(api(cast.ada).delete(f"/members/{cast.ada.acting_for().id}")) == (409, "conflict")
    verbs = [row["verb"] for row in api(cast.ada).get("/audit").json()["items"]]
    assert "member.leave" in verbs
