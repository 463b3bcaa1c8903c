"""Operators write versions in the console: checked while they type, tried on samples, published or refused."""

from collections.abc import Callable
from html import unescape

import pytest

from features.actions.versions import highest_number
from features.actions.written import read_text, write_text
from features.find import current_number, find_feature
from features.runs.tasks import look
from tenants.actor import Actor
from tenants.isolation import OPERATOR
from tenants.models import VendorAuditEvent
from tests.cast import Cast
from tests.fakes.model import FakeModel, greeting

from .conftest import Person, words

Sit = Callable[[Actor], Person]
EDIT = "/vendor/f/greet/edit"


def text_of(page: str) -> str:
    """What stands in the editor."""
    return unescape(page.split('id="text"')[1].split(">\n", 1)[1].split("</textarea>")[0])


def warmer(page: str) -> str:
    """The text with another tone, as Olga types it."""
    return text_of(page).replace("tone: plain", "tone: warm")


def test_the_editor_opens_with_the_current_version_and_says_that_it_fits_together(at_desk: Sit, cast: Cast) -> None:
    page = at_desk(cast.operator).see(EDIT)
    assert read_text(text_of(page))["behavior"]["vars"] == {"tone": "plain", "language": "English"}
    assert "Fits together" in words(page) and "The same, byte for byte" in words(page)
    assert "Publish version 2" in words(page)


def test_typing_is_checked_and_nothing_is_kept_of_it(at_desk: Sit, cast: Cast) -> None:
    olga, rows = at_desk(cast.operator), VendorAuditEvent.objects.using(OPERATOR)
    before, page = rows.count(), olga.see(EDIT)
    changed = olga.send(EDIT, act="check", text=warmer(page), **{"from": "1"})
    assert "1 difference" in words(changed) and "plain" in words(changed) and "warm" in words(changed)
    wrong = olga.send(EDIT, act="check", text=text_of(page).replace("vars.tone", "vars.mood"), **{"from": "1"})
    told = words(wrong)
    assert "1 problem" in told and "vars.mood" in told and "Line" in told
    broken = olga.send(EDIT, act="check", text="behavior: [", **{"from": "1"})
    assert broken.status_code == 200 and "Line 1" in words(broken)
    assert highest_number(cast.greet) == 1 and rows.count() == before


@pytest.mark.parametrize(("act", "current"), [("publish", 1), ("move", 2)])
def test_olga_publishes_with_or_without_moving_anybody(at_desk: Sit, cast: Cast, act: str, current: int) -> None:
    olga = at_desk(cast.operator)
    answer = olga.send(EDIT, act=act, text=warmer(olga.see(EDIT)), message="Warmer", **{"from": "1"})
    assert answer["HX-Redirect"] == "/vendor/f/greet/versions"
    assert "Warmer" in words(olga.see("/vendor/f/greet/versions"))
    assert (highest_number(cast.greet), current_number(cast.greet, OPERATOR)) == (2, current)


def test_what_does_not_compile_is_not_published_and_stays_in_the_editor(at_desk: Sit, cast: Cast) -> None:
    olga = at_desk(cast.operator)
    text = text_of(olga.see(EDIT)).replace("vars.tone", "vars.mood")
    answer = olga.send(EDIT, act="publish", text=text, message="Moody", **{"from": "1"})
    assert answer.status_code == 422 and "It was not published" in words(answer)
    assert "vars.mood" in text_of(answer.content.decode()) and 'value="Moody"' in answer.content.decode()
    assert highest_number(cast.greet) == 1


def test_an_older_version_can_be_begun_with(at_desk: Sit, cast: Cast) -> None:
    olga = at_desk(cast.operator)
    olga.send(EDIT, act="move", text=warmer(olga.see(EDIT)), **{"from": "1"})
    assert "tone: warm" in text_of(olga.see(EDIT)) and "tone: plain" in text_of(olga.see(f"{EDIT}?from=1"))
    olga.see(f"{EDIT}?from=9", 404)


def test_what_is_written_is_tried_on_the_vendors_samples_beside_what_it_began_from(
    at_desk: Sit, cast: Cast, model: FakeModel
) -> None:
    model.script(greeting("Hello Eve"), greeting("Dearest Eve"))
    olga = at_desk(cast.operator)
    asked = olga.send(EDIT, act="try", text=warmer(olga.see(EDIT)), **{"from": "1"})
    assert "0 of 1 done" in words(asked)
    while look():
        pass
    address = asked.content.decode().split('hx-get="')[1].split('"')[0]
    told = words(olga.part(address))
    assert "1 reads differently" in told and "Dearest" in told and "As it is written here" in told
    assert highest_number(cast.greet) == 1


def test_a_feature_that_was_not_there_is_made_and_runs_at_once(at_desk: Sit, cast: Cast) -> None:
    olga = at_desk(cast.operator)
    text = text_of(olga.see("/vendor/features/new"))
    answer = olga.send("/vendor/features/new", act="publish", text=text)
    assert answer["HX-Redirect"] == "/vendor/f/shorten/versions"
    assert find_feature("shorten", cast.alice).title == "Shorten"
    assert "Says a text in one sentence." in words(at_desk(cast.alice).see("/"))
    again = olga.send("/vendor/features/new", act="publish", text=text)
    assert again.status_code == 409 and "There is a feature shorten already" in words(again)
    nameless = write_text({"behavior": read_text(text)["behavior"]})
    assert olga.send("/vendor/features/new", act="publish", text=nameless).status_code == 422
