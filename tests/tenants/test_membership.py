"""Who may what is read at the moment of the deed: no role that was just taken away counts, whoever races whom."""

import re
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.core import mail
from django.db import connections

from backend.actors import actor_of_login
from tenants.actions import add_member, change_role, create_tenant, find_member, leave, login_for, remove_member
from tenants.actor import Actor
from tenants.errors import Conflict, Forbidden, NotFound
from tenants.invitations import accept_as_new, find_invitation, invite, revoke_invitation, send_again
from tenants.models import Invitation, Member, User
from tests.cast import Cast

PASSWORD = "a horse in the library"


def member(who: Actor, by: Actor) -> Member:
    return find_member(who.acting_for().id, by)


def now(who: Actor) -> Actor:
    """Somebody as their next request finds them."""
    with who.present():
        user = Member.objects.select_related("user").get(pk=who.acting_for().id).user
    found = actor_of_login(user, str(who.tenant_id))
    assert found is not None
    return found


def made(who: Actor, role: str, cast: Cast) -> Actor:
    change_role(member(who, cast.ada), role, by=cast.ada)
    return now(who)


def link() -> str:
    found = re.search(r"/join/(\S+)", str(mail.outbox[-1].body))
    assert found
    return found[1]


def roles(cast: Cast) -> dict[str, str]:
    with cast.ada.present():
        rows = Member.objects.select_related("user").filter(removed_at=None)
        return {row.user.name: row.role for row in rows}


def at_once(*deeds: Callable[[], Any]) -> list[Any]:
    """Do them in threads that begin together; what each returned, or the error that it was answered."""
    barrier, told = threading.Barrier(len(deeds)), list[Any]([None] * len(deeds))

    def act(place: int, deed: Callable[[], Any]) -> None:
        try:
            barrier.wait(30)
            told[place] = deed()
        except Exception as error:  # noqa: BLE001 (a bug's too: it is what the test then shows)
            told[place] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=act, args=pair) for pair in enumerate(deeds)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return told


def errors(told: list[Any]) -> list[type]:
    return [type(one) for one in told if isinstance(one, Exception)]


@pytest.mark.parametrize(
    "deed", [lambda who, by: change_role(who, "viewer", by=by), lambda who, by: remove_member(who, by=by)]
)
def test_an_admin_does_nothing_to_somebody_who_was_made_an_owner_meanwhile(
    deed: Callable[[Member, Actor], Any], cast: Cast
) -> None:
    alice = made(cast.alice, "admin", cast)
    bob = member(cast.bob, alice)  # read while he is a member
    made(cast.bob, "owner", cast)
    with pytest.raises(Forbidden, match="Only an owner"):
        deed(bob, alice)
    assert roles(cast)["Bob"] == "owner"


def test_nobody_acts_in_a_role_that_was_taken_from_them_meanwhile(cast: Cast) -> None:
    alice = made(cast.alice, "admin", cast)
    bob, asked = member(cast.bob, alice), invite(email="eve@evil.example", role="member", by=cast.ada)
    made(cast.alice, "viewer", cast)
    for deed in (
        lambda: change_role(bob, "viewer", by=alice), lambda: remove_member(bob, by=alice),
        lambda: add_member(email="eve@acme.example", role="admin", by=alice),
        lambda: invite(email="eve@acme.example", role="admin", by=alice), lambda: send_again(asked, by=alice),
    ):  # fmt: skip
        with pytest.raises(Forbidden, match="changed a moment ago"):
            deed()
    assert roles(cast)["Bob"] == "member" and len(mail.outbox) == 1


def test_who_is_gone_is_not_changed(cast: Cast) -> None:
    bob = member(cast.bob, cast.ada)
    remove_member(bob, by=cast.ada)
    with pytest.raises(NotFound):
        change_role(bob, "owner", by=cast.ada)
    assert "Bob" not in roles(cast)


def test_of_two_owners_who_demote_each_other_at_once_one_stays_one(cast: Cast) -> None:
    bob = made(cast.bob, "owner", cast)
    his, hers = member(bob, cast.ada), member(cast.ada, bob)
    told = at_once(lambda: change_role(his, "member", by=cast.ada), lambda: change_role(hers, "member", by=bob))
    assert errors(told) == [Forbidden]
    assert sorted(role for name, role in roles(cast).items() if name in ("Ada", "Bob")) == ["member", "owner"]


def test_of_two_owners_who_leave_at_once_the_last_stays(cast: Cast) -> None:
    bob = made(cast.bob, "owner", cast)
    assert errors(at_once(lambda: leave(by=cast.ada), lambda: leave(by=bob))) == [Conflict]
    assert list(roles(cast).values()).count("owner") == 1


def test_who_may_ask_nobody_any_more_takes_the_links_they_sent_with_them(cast: Cast) -> None:
    bob = made(cast.bob, "owner", cast)
    invite(email="eve@evil.example", role="owner", by=bob)
    as_owner = link()
    invite(email="dan@acme.example", role="admin", by=bob)
    as_admin = link()
    made(cast.bob, "admin", cast)
    with pytest.raises(NotFound):  # an admin makes no owner
        find_invitation(as_owner)
    assert find_invitation(as_admin).invitation.role == "admin"
    made(cast.bob, "member", cast)
    with pytest.raises(NotFound):
        accept_as_new(as_admin, name="Dan", password=PASSWORD)
    assert not User.objects.filter(email="dan@acme.example").exists()


def test_of_two_who_come_by_one_link_at_once_one_comes_in(cast: Cast) -> None:
    invite(email="carl@acme.example", role="member", by=cast.ada)
    text = link()
    told = at_once(*(partial(accept_as_new, text, name=n, password=f"{PASSWORD} of {n}") for n in ("one", "two")))
    [came] = [one for one in told if isinstance(one, Member)]
    assert errors(told) == [NotFound]
    user = User.objects.get(email="carl@acme.example")
    assert (user.pk, user.check_password(f"{PASSWORD} of {user.name}")) == (came.user_id, True)


def test_of_one_who_comes_by_two_links_at_once_there_is_one_login(cast: Cast) -> None:
    """Two organisations ask the same new person: neither finds the login that the other has not committed yet."""
    invite(email="carl@acme.example", role="member", by=cast.ada)
    first = link()
    invite(email="carl@acme.example", role="member", by=cast.gus)
    second = link()
    told = at_once(*(partial(accept_as_new, text, name="Carl", password=PASSWORD) for text in (first, second)))
    assert errors(told) == [Conflict]  # who is told to sign in
    assert User.objects.filter(email="carl@acme.example").count() == 1


def test_somebody_who_is_added_and_comes_by_a_link_at_once_is_a_member_once(cast: Cast) -> None:
    invite(email="carl@acme.example", role="viewer", by=cast.ada)
    come = partial(accept_as_new, link(), name="Carl", password=PASSWORD)
    told = at_once(come, partial(add_member, email="carl@acme.example", role="member", by=cast.ada))
    assert errors(told) == [Conflict]


def test_a_link_that_is_used_and_revoked_at_once_was_one_or_the_other(cast: Cast) -> None:
    made_now = invite(email="carl@acme.example", role="member", by=cast.ada)
    text = link()
    come = partial(accept_as_new, text, name="Carl", password=PASSWORD)
    told = at_once(come, partial(revoke_invitation, made_now, by=cast.ada))
    with cast.ada.present():
        row = Invitation.objects.get(pk=made_now.pk)
    assert (row.accepted_at is None) != (row.revoked_at is None)
    assert isinstance(told[0], Member) == (row.accepted_at is not None) == ("Carl" in roles(cast))


def test_who_has_a_login_elsewhere_is_asked_and_their_name_is_not_told(cast: Cast) -> None:
    """Else any organisation could read who an address belongs to, and pull people in who never said yes."""
    mallory = login_for("mallory@globex.example")
    mallory.set_password(PASSWORD)
    mallory.save(using="default")
    with pytest.raises(Conflict, match="Invite them") as refused:
        add_member(email="Mallory@globex.example", role="member", by=cast.ada)
    assert "Mallory" not in str(refused.value) and "Mallory" not in roles(cast)
    invite(email="mallory@globex.example", role="member", by=cast.ada)
    assert len(mail.outbox) == 1


def test_who_was_a_member_before_is_added_again(cast: Cast) -> None:
    bob = member(cast.bob, cast.ada)
    bob.user.set_password(PASSWORD)
    bob.user.save()
    remove_member(bob, by=cast.ada)
    assert add_member(email="bob@acme.example", role="viewer", by=cast.ada).pk == bob.pk


def test_of_two_organisations_of_one_name_made_at_once_there_is_one(cast: Cast) -> None:
    """And one login of the owner of both, whom neither found."""

    def make() -> None:
        create_tenant(slug="initech", name="Initech", owner=login_for("bill@initech.example"), by=cast.operator)

    assert errors(at_once(make, make)) == [Conflict]
    assert User.objects.filter(email="bill@initech.example").count() == 1
