"""The members page: roles, removal after a confirmation, invitations; for admins."""

import re
from collections.abc import Callable

from django.core import mail

from tenants.actions import add_member, change_role, find_member, members_of
from tenants.actor import Actor
from tests.cast import Cast

from .conftest import Person, words

Sit = Callable[[Actor], Person]
PAGE = "/org/members"


def id_of(who: Actor) -> str:
    return str(who.acting_for().id)


def test_ada_sees_everybody_with_their_role(at_desk: Sit, cast: Cast) -> None:
    page = words(at_desk(cast.ada).see(PAGE))
    assert "Bob bob@acme.example" in page and "Ada (you) ada@acme.example Owner the only owner" in page
    assert "Mallory" not in page and "Nobody has been invited yet." in page


def test_the_page_is_for_admins(at_desk: Sit, cast: Cast) -> None:
    for who in (cast.alice, cast.vera):
        at_desk(who).see(PAGE, 403)
        assert at_desk(who).send(PAGE, act="remove", id=id_of(cast.bob)).status_code == 403


def test_an_invitation_is_sent_sent_again_and_revoked(at_desk: Sit, cast: Cast) -> None:
    ada = at_desk(cast.ada)
    sent = words(ada.send(PAGE, act="invite", email="carl@acme.example", role="viewer"))
    assert "carl@acme.example is invited." in sent and "Viewer open until" in sent and len(mail.outbox) == 1
    row = ada.see(PAGE).split('name="id" value="')[-1][:36]
    hasty = ada.send(PAGE, act="resend", id=row)
    assert hasty.status_code == 429 and "was mailed a moment ago" in words(hasty)
    assert "revoked" in words(ada.send(PAGE, act="revoke", id=row))


def test_what_is_refused_is_said_and_what_was_typed_is_kept(at_desk: Sit, cast: Cast) -> None:
    refused = at_desk(cast.ada).send(PAGE, act="invite", email="bob@acme.example", role="member")
    assert refused.status_code == 409 and "bob@acme.example is a member already." in words(refused)
    assert 'value="bob@acme.example"' in refused.content.decode()


def test_somebody_is_added_at_once_and_no_mail_goes_out(at_desk: Sit, cast: Cast) -> None:
    ada = at_desk(cast.ada)
    added = words(ada.send(PAGE, act="add", email="carl@acme.example", name="Carl", role="viewer"))
    assert "Carl is a member from now on." in added and "Carl carl@acme.example" in added and not mail.outbox
    again = ada.send(PAGE, act="add", email="carl@acme.example", role="viewer")
    assert again.status_code == 409 and '<details class="b-card" open>' in again.content.decode()
    nobody = ada.send(PAGE, act="add", email="carl", role="viewer")
    assert nobody.status_code == 422 and "Say their e-mail address" in words(nobody)
    assert at_desk(cast.alice).send(PAGE, act="add", email="eve@acme.example", role="viewer").status_code == 403


def test_a_role_is_given(at_desk: Sit, cast: Cast) -> None:
    ada = at_desk(cast.ada)
    assert "Bob is viewer now." in words(ada.send(PAGE, act="role", id=id_of(cast.bob), role="viewer"))
    assert at_desk(cast.bob).send("/f/greet/mine", act="save", field="vars.tone", value="warm").status_code == 403


def test_removing_asks_first_names_what_stops_and_then_does_it(at_desk: Sit, cast: Cast) -> None:
    ada, bob = at_desk(cast.ada), at_desk(cast.bob)
    asked = words(ada.part(f"{PAGE}?remove={id_of(cast.bob)}"))
    assert "Remove Bob from Acme?" in asked and "every key of theirs ends" in asked
    bob.see("/")
    assert "Bob is no longer a member" in words(ada.send(PAGE, act="remove", id=id_of(cast.bob)))
    bob.see("/", 403)


def test_an_admin_touches_no_owner(at_desk: Sit, cast: Cast) -> None:
    change_role(find_member(cast.bob.acting_for().id, cast.ada), "admin", by=cast.ada)
    change_role(find_member(cast.alice.acting_for().id, cast.ada), "owner", by=cast.ada)
    bob = at_desk(cast.bob)
    page = bob.see(PAGE)
    assert 'value="owner"' not in page and words(page).count("only an owner can change it") == 2
    assert bob.send(PAGE, act="role", id=id_of(cast.ada), role="viewer").status_code == 403
    assert bob.send(PAGE, act="remove", id=id_of(cast.ada)).status_code == 403


def test_another_organisations_people_and_invitations_are_not_there(at_desk: Sit, cast: Cast) -> None:
    ada, gus = at_desk(cast.ada), at_desk(cast.gus)
    ada.send(PAGE, act="invite", email="carl@acme.example", role="viewer")
    row = ada.see(PAGE).split('name="id" value="')[-1][:36]
    assert "carl@acme.example" not in gus.see(PAGE)
    for form in ({"act": "revoke", "id": row}, {"act": "resend", "id": row}, {"act": "remove", "id": id_of(cast.bob)}):
        assert gus.send(PAGE, **form).status_code == 404
    gus.see(f"{PAGE}?remove={id_of(cast.bob)}", 404)
    assert gus.send(PAGE, act="remove", id="nonsense").status_code == 404


def test_many_members_come_in_pages_and_are_found_by_a_part_of_their_name(at_desk: Sit, cast: Cast) -> None:
    for n in range(55):
        add_member(email=f"m{n}@acme.example", role="member", name=f"Member no. {n}", by=cast.ada)
    ada = at_desk(cast.ada)
    page = ada.see(PAGE)
    assert "Member no. 45" in page and "Member no. 46" not in page
    more = re.search(r'href="(\?after=[^"#]+)#who">Show more', page)
    assert more
    rest = ada.see(PAGE + more[1])
    assert "Member no. 46" in rest and "Member no. 54" in rest and "Bob" not in words(rest) and "Show more" not in rest
    # What is done there is shown there.
    last = members_of(cast.ada, search="m54@")[0]
    changed = ada.send(PAGE + more[1], act="role", id=str(last.id), role="viewer")
    assert "Member no. 54" in words(changed)
    found = words(ada.see(f"{PAGE}?q=NO.%2054"))
    assert "Member no. 54" in found and "Member no. 53" not in found
    assert "Nobody here is called “Zoe”." in words(ada.see(f"{PAGE}?q=Zoe"))
