"""Who has a feature, how long its answers are given again, and when it ends: said before it is done, by operators."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
import time_machine

from features.actions.availability import retire, set_available, set_caching
from features.models import Feature
from features.runs.accept import accept
from tenants.actor import Actor
from tenants.isolation import OPERATOR
from tenants.models import Operator
from tests.cast import Cast
from tests.fakes.model import FakeModel, greeting
from tests.working import look

from .conftest import Person, words

Sit = Callable[[Actor], Person]
PAGE = "/vendor/f/greet/availability"
LISTED = {"act": "availability", "who": "listed", "add": "acme"}
FOR_AN_HOUR = {"act": "caching", "how": "for", "number": "1", "unit": "3600"}
AT_NEW_YEAR = {"act": "retire", "at": "2099-01-01T00:00", "message": "Use greet-2."}
GO_ON = {"act": "go-on"}


def greet() -> Feature:
    return Feature.objects.using(OPERATOR).get(key="greet")


def confirmed(person: Person, answer: Any) -> Any:
    """Say yes to what a form was answered with: everything that is hidden in it, sent back."""
    html = answer.content.decode()
    asked = html.split('id="confirm"')[1].split("</form>")[0]
    typed: dict[str, list[str]] = {}
    for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', asked):
        typed.setdefault(name, []).append(unescape(value))
    typed.pop("csrfmiddlewaretoken", None)
    return person.client.post(PAGE, typed)


def test_olga_serves_it_to_acme_alone_after_reading_who_loses_it(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    model.script(greeting("Hello"))
    accept(cast.greet, {"name": "Ann"}, by=cast.mallory)
    look()
    olga = at_desk(cast.operator)
    assert "Every organisation has it: 2 of them." in words(olga.see(PAGE))
    asked = olga.client.post(PAGE, LISTED)
    told = words(asked)
    assert "served to 2 organisations now, and to 1 organisation then" in told
    assert "Who loses it and uses it: Globex (1 run in 30 days)." in told and not greet().listed_only
    assert confirmed(olga, asked)["Location"] == PAGE and greet().listed_only
    assert "1 of 2 organisations have it: Acme." in words(olga.see(PAGE))
    assert "Listed ones" in words(olga.see("/vendor/features"))
    at_desk(cast.mallory).see("/f/greet", 404)
    at_desk(cast.alice).see("/f/greet")


def test_an_organisation_is_put_on_the_list_and_another_taken_off(at_desk: Sit, cast: Cast) -> None:
    set_available(cast.greet, listed_only=True, tenants=["acme"], by=cast.operator)
    olga = at_desk(cast.operator)
    asked = olga.client.post(PAGE, {"act": "availability", "who": "listed", "add": "globex", "remove": ["acme"]})
    assert "None of those who lose it uses it" in words(asked)
    confirmed(olga, asked)
    assert "1 of 2 organisations have it: Globex." in words(olga.see(PAGE))


def test_how_long_answers_are_given_again_is_said_in_people_s_units(at_desk: Sit, cast: Cast, settings: Any) -> None:
    settings.CACHE_SECONDS = 86_400
    olga = at_desk(cast.operator)
    assert "given again for 1 day, as is usual here" in words(olga.see(PAGE))
    asked = olga.client.post(PAGE, FOR_AN_HOUR)
    assert "An answer to the same input is given again for 1 h." in words(asked) and greet().cache_seconds is None
    confirmed(olga, asked)
    assert greet().cache_seconds == 3600 and 'name="number" value="1"' in olga.see(PAGE)
    confirmed(olga, olga.client.post(PAGE, {"act": "caching", "how": "never"}))
    assert greet().cache_seconds == 0 and "Each run asks the model" in words(olga.see(PAGE))


def test_retiring_names_who_uses_it_and_it_can_go_on_after_all(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    model.script(greeting("Hello"), greeting("Hello"))
    for who in (cast.alice, cast.bob):
        accept(cast.greet, {"name": who.name}, by=who)
    while look():
        pass
    olga = at_desk(cast.operator)
    asked = olga.client.post(PAGE, AT_NEW_YEAR)
    told = words(asked)
    assert "Who uses it: Acme (2 runs in 30 days)." in told and "“Use greet-2.”" in told
    assert greet().retires_at is None
    confirmed(olga, asked)
    assert greet().retires_at == datetime(2099, 1, 1, tzinfo=UTC) and greet().retiring == "Use greet-2."
    assert "It ends on" in words(olga.see(PAGE)) and "ends 1 Jan 2099" in words(olga.see("/vendor/features"))
    confirmed(olga, olga.client.post(PAGE, GO_ON))
    assert greet().retires_at is None and "It has no end." in words(olga.see(PAGE))


def test_people_are_told_of_the_end_with_the_feature(at_desk: Sit, cast: Cast) -> None:
    alice = at_desk(cast.alice)
    assert "ends on" not in words(alice.see("/f/greet"))
    retire(cast.greet, at=datetime(2099, 1, 1, tzinfo=UTC), message="Use greet-2.", by=cast.operator)
    for path in ("/f/greet", "/f/greet/mine", "/f/greet/timeline"):
        assert "Greet ends on 1 Jan 2099, 00:00. Use greet-2." in words(alice.see(path))
    assert "Ends 1 Jan" in words(alice.see("/"))
    with time_machine.travel(datetime(2099, 1, 2, tzinfo=UTC), tick=False):
        assert "Greet was retired on" in words(at_desk(cast.bob).see("/f/greet"))


def test_times_are_those_of_ones_own_zone(at_desk: Sit, cast: Cast) -> None:
    olga = at_desk(cast.operator)
    olga.send("/me", act="profile", name="Olga", zone="Asia/Tokyo")
    asked = olga.client.post(PAGE, AT_NEW_YEAR)
    assert "Time zone: Asia/Tokyo." in words(asked)
    confirmed(olga, asked)
    assert greet().retires_at == datetime(2098, 12, 31, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("form", "field", "told"),
    [
        ({**LISTED, "add": "acme, nobody"}, "add", "There is no organisation nobody"),
        ({**LISTED, "who": "some"}, "who", "Select a valid choice"),
        ({**FOR_AN_HOUR, "number": ""}, "number", "Say for how long."),
        ({**FOR_AN_HOUR, "number": "8761"}, "number", "Say at most a year."),
        ({**AT_NEW_YEAR, "at": "2020-01-01T00:00"}, "at", "Must be in the future"),
        ({**AT_NEW_YEAR, "at": "soon"}, "at", "Enter a valid date"),
        ({**AT_NEW_YEAR, "message": "x" * 501}, "message", "at most 500 characters"),
    ],
)  # fmt: skip
def test_what_is_wrong_stands_beside_its_field_and_what_was_typed_stays(
    form: dict[str, str], field: str, told: str, at_desk: Sit, cast: Cast
) -> None:
    answer = at_desk(cast.operator).client.post(PAGE, form)
    html = answer.content.decode()
    assert answer.status_code == 422 and 'id="confirm"' not in html
    control = "<fieldset" if field == "who" else '<div class="b-control'
    beside = next(part for part in html.split(control) if f'name="{field}"' in part)
    assert told in words(beside)
    assert all(value in unescape(html) for name, value in form.items() if name in ("add", "number", "message"))


@pytest.mark.parametrize("form", [LISTED, FOR_AN_HOUR, AT_NEW_YEAR])
def test_what_was_read_is_what_is_done_or_it_is_read_again(form: dict[str, str], at_desk: Sit, cast: Cast) -> None:
    """Meanwhile a colleague has changed the feature: nothing of the yes is done, and what it would do now is shown."""
    olga = at_desk(cast.operator)
    asked = olga.client.post(PAGE, form)
    set_available(cast.greet, listed_only=True, tenants=["globex"], by=cast.operator)
    set_caching(cast.greet, 0, by=cast.operator)
    again = confirmed(olga, asked)
    if form is FOR_AN_HOUR:  # which comes to the same whatever was before
        assert again.status_code == 302 and greet().cache_seconds == 3600
        return
    assert again.status_code == 409 and "Somebody has changed this feature meanwhile." in words(again)
    assert greet().retires_at is None and "1 of 2 organisations have it: Globex." in words(olga.see(PAGE))
    assert confirmed(olga, again).status_code == 302


def test_what_goes_on_already_is_said(at_desk: Sit, cast: Cast) -> None:
    retire(cast.greet, at=datetime.now(UTC) + timedelta(days=3), by=cast.operator)
    olga = at_desk(cast.operator)
    asked = olga.client.post(PAGE, GO_ON)
    confirmed(olga, asked)
    again = confirmed(olga, asked)
    assert again.status_code == 404 and "greet is not to be retired." in words(again)


@pytest.mark.parametrize(("role", "may"), [("read", False), ("publish", True), ("support", False)])
def test_each_operator_role_looks_and_publish_alone_changes(role: str, may: bool, at_desk: Sit, cast: Cast) -> None:
    Operator.objects.using(OPERATOR).update(roles=[role])
    olga = at_desk(cast.operator)
    page = words(olga.see(PAGE))
    assert ("See what it would do" in page) == may and ("The role publish can change it." in page) != may
    for form in (LISTED, FOR_AN_HOUR, AT_NEW_YEAR):
        assert olga.client.post(PAGE, form).status_code == (200 if may else 403)
        assert olga.client.post(PAGE, {**form, "seen": "x"}).status_code == (409 if may else 403)
    assert not greet().listed_only and greet().retires_at is None and greet().cache_seconds is None
