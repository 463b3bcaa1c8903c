"""Past impacts of a feature at the vendor's desk: listed, each with an address, as a picture, a table and CSV; asked."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from features.actions.withdrawals import withdraw
from features.impact import look
from features.impact.work import work_through
from features.models import Impact
from tenants.actor import Actor
from tenants.isolation import OPERATOR
from tenants.models import Operator
from tests.cast import Cast

from .conftest import Person, words
from .vendor_story import begin, tell

Sit = Callable[[Actor], Person]
LIST = "/vendor/f/greet/impacts"
ALL = {"reach": "everybody", "to": "2"}


@pytest.fixture
def olga(at_desk: Sit, cast: Cast) -> Person:
    """The operator, with a second version under people who have changed and pinned things."""
    tell(cast)
    return at_desk(cast.operator)


def newest() -> Impact:
    return Impact.objects.using(OPERATOR).select_related("feature").order_by("-id")[0]


def test_each_move_is_listed_with_whom_it_was_about_and_leads_to_its_picture(olga: Person, cast: Cast) -> None:
    look(cast.greet, to=2, percent=40, by=cast.operator)
    begin(cast)
    withdraw(cast.greet, 2, replacement=1, reason="It was rude", by=cast.operator)
    assert work_through()
    drawn = olga.see(LIST).split("<tr>")[2:]
    rows = [words(row) for row in drawn]
    assert "Version 2 withdrawn for 1 Withdrawn Everybody on version 2" in rows[0]
    assert "Version 1 to 2 Asked before anything was moved 40% of organisations" in rows[-1]
    step = next(number for number, row in enumerate(rows) if "Version 1 to 2 A step of a rollout Acme" in row)
    assert "Carried: 2" in rows[step] and "just now Olga" in rows[step]
    key = words(olga.see(LIST).split('aria-label="What the bars show"')[1].split("</ul>")[0])
    assert "Carried : their change stays, the rest is new" in key and "Suspended" not in key  # what no bar has
    link = re.search(r'href="(/vendor/impacts/[^"]+)"', drawn[step])
    assert link
    one = olga.see(link[1])
    assert "Greet: Version 1 to 2" in words(one) and "Who was to move: Acme." in words(one)
    assert "By organisation" in words(one) and 'class="b-parts"' in one and "hx-trigger" not in one


def test_an_impact_is_narrowed_opened_and_taken_away_at_its_own_address(olga: Person, cast: Cast) -> None:
    path = f"/vendor/impacts/{look(cast.greet, to=2, by=cast.operator).id}"
    assert work_through() == 1
    table = olga.see(f"{path}?class=orphaned").split('id="by-title"')[1]
    assert "Globex" in words(table) and "Acme" not in words(table)
    acme = re.search(r'href="(\?org=[^"#]+)', olga.see(path))
    assert acme and "Bob Conflict Role" in words(olga.see(path + acme[1]))
    taken = olga.client.get(f"{path}?format=csv")
    assert taken["Content-Type"].startswith("text/csv") and b"Acme" in taken.content
    olga.see(f"{path}?class=worst", 400)
    olga.see("/vendor/impacts/01890a5d-ac96-774b-bcce-b302099a8057", 404)


def test_a_question_is_asked_shown_while_it_is_worked_out_and_moves_nothing(olga: Person, cast: Cast) -> None:
    asked = olga.client.post(LIST, ALL)
    path = asked["Location"]
    assert path == f"/vendor/impacts/{newest().id}"
    going = olga.part(path).content.decode()
    assert "every 1500ms" in going and "<html" not in going and "being worked out" in words(olga.see(LIST))
    assert work_through() == 1
    assert "hx-trigger" not in olga.part(path).content.decode()
    assert "Start a rollout" in words(olga.see(path))


@pytest.mark.parametrize(
    ("form", "kind", "stage"),
    [
        (ALL, "look", None),
        ({"reach": "percent", "to": "2", "percent": "12.5", "unit": "user"}, "look", (1250, 0, "user")),
        ({"reach": "tenants", "to": "2", "tenants": "acme, globex"}, "look", (0, 2, "tenant")),
        ({"reach": "withdraw", "to": "2", "withdraw": "1"}, "look_withdraw", None),
    ],
)
def test_all_that_the_api_can_be_asked_can_be_asked_here(
    form: dict[str, str], kind: str, stage: Any, olga: Person
) -> None:
    assert olga.client.post(LIST, form).status_code == 302
    row, told = newest(), newest().stage
    assert (row.kind, row.to, told and (told["share"], len(told["tenants"]), told["unit"])) == (kind, 2, stage)


@pytest.mark.parametrize(
    ("form", "field", "told"),
    [
        ({"reach": "percent", "to": "2"}, "percent", "Say how many per cent."),
        ({"reach": "percent", "to": "2", "percent": "101"}, "percent", "less than or equal to 100"),
        ({"reach": "tenants", "to": "2", "tenants": "acme, nobody"}, "tenants", "There is no organisation called so"),
        ({"reach": "everybody", "to": "9"}, "to", "Select a valid choice"),
        ({"reach": "withdraw", "to": "2", "withdraw": "2"}, "to", "Is the version itself"),
    ],
)
def test_what_cannot_be_meant_is_said_beside_its_field(
    form: dict[str, str], field: str, told: str, olga: Person
) -> None:
    answer = olga.client.post(LIST, form)
    beside = next(part for part in answer.content.decode().split('<div class="b-control') if f'name="{field}"' in part)
    assert answer.status_code == 422 and told in words(beside)
    assert not Impact.objects.using(OPERATOR).exists()


def test_older_ones_are_on_the_next_page(olga: Person, cast: Cast) -> None:
    first = look(cast.greet, to=2, by=cast.operator)
    for _n in range(30):
        look(cast.greet, to=2, by=cast.operator)
    page = olga.see(LIST)
    assert str(first.id) not in page
    older = re.search(r'href="(\?before=[^"]+)"', page)
    assert older and str(first.id) in olga.see(LIST + older[1])
    olga.see(f"{LIST}?before=x", 400)


@pytest.mark.parametrize("role", ["read", "publish", "support"])
def test_every_operator_looks_and_asks_and_who_publishes_is_led_on(role: str, olga: Person, cast: Cast) -> None:
    Operator.objects.using(OPERATOR).update(roles=[role])
    path = olga.client.post(LIST, ALL)["Location"]
    assert "None yet" not in words(olga.see(LIST))
    assert ("Start a rollout" in words(olga.see(path))) == (role == "publish")
