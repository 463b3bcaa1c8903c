"""Operators write versions in the console: checked while they type, tried on samples, published or refused."""

from collections.abc import Callable
from html import unescape
from html.parser import HTMLParser
from typing import Any

import pytest

from features.actions.written import document_of, read_text, write_text
from features.find import current_number, find_feature, find_version
from features.published import read_published
from tenants.actor import Actor
from tenants.isolation import OPERATOR
from tenants.models import VendorAuditEvent
from tests.cast import Cast
from tests.fakes.model import FakeModel, greeting
from tests.working import look

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
    assert read_published(cast.greet).newest == 1 and rows.count() == before


@pytest.mark.parametrize(("act", "current"), [("publish", 1), ("move", 2)])
def test_olga_publishes_with_or_without_moving_anybody(at_desk: Sit, cast: Cast, act: str, current: int) -> None:
    olga = at_desk(cast.operator)
    answer = olga.send(EDIT, act=act, text=warmer(olga.see(EDIT)), message="Warmer", **{"from": "1"})
    assert answer["HX-Redirect"] == "/vendor/f/greet/versions"
    assert "Warmer" in words(olga.see("/vendor/f/greet/versions"))
    assert (read_published(cast.greet).newest, current_number(cast.greet, OPERATOR)) == (2, current)


def test_what_does_not_compile_is_not_published_and_stays_in_the_editor(at_desk: Sit, cast: Cast) -> None:
    olga = at_desk(cast.operator)
    text = text_of(olga.see(EDIT)).replace("vars.tone", "vars.mood")
    answer = olga.send(EDIT, act="publish", text=text, message="Moody", **{"from": "1"})
    assert answer.status_code == 422 and "It was not published" in words(answer)
    assert "vars.mood" in text_of(answer.content.decode()) and 'value="Moody"' in answer.content.decode()
    assert read_published(cast.greet).newest == 1


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
    assert read_published(cast.greet).newest == 1


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


FORM = f"{EDIT}?as=form"


def typed(page: str, **changed: str) -> dict[str, Any]:
    """What a browser sends of a form that is shown, with what Olga changes in it: `in__vars__0__value="warm"`."""
    form = page.split('id="write"')[1].split("</form>")[0]
    return {**_sent(form), **{name.replace("__", "/"): value for name, value in changed.items()}}


def _sent(form: str) -> dict[str, Any]:
    reader = _Sent()
    reader.feed(form)
    return reader.found


class _Sent(HTMLParser):
    """The names and values that a form sends, as HTML 4.10.21.4 has it; templates are not part of it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, list[str]] = {}
        self.name = self.select = ""
        self.inert = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        self.inert += tag == "template"
        self.select = said.get("name") or "" if tag == "select" else self.select
        if self.inert or "disabled" in said:
            return
        if tag == "input" and said.get("name") and (said.get("type") not in ("radio", "checkbox") or "checked" in said):
            self.found.setdefault(said["name"] or "", []).append(said.get("value") or "")
        elif tag == "option" and "selected" in said:
            self.found[self.select] = [said.get("value") or ""]
        elif tag == "textarea" and said.get("name"):
            self.name = said["name"] or ""
            self.found[self.name] = [""]

    def handle_data(self, data: str) -> None:
        if self.name:
            self.found[self.name][0] += data.removeprefix("\n")

    def handle_endtag(self, tag: str) -> None:
        self.name = "" if tag == "textarea" else self.name
        self.inert -= tag == "template"


def test_the_form_and_the_text_are_one_document(at_desk: Sit, cast: Cast) -> None:
    olga = at_desk(cast.operator)
    page = olga.see(FORM)
    text = olga.send(EDIT, act="yaml", **typed(page))
    assert text_of(text.content.decode()) == text_of(olga.see(EDIT)) and text["HX-Replace-Url"] == f"{EDIT}?from=1"
    warm = olga.send(EDIT, act="yaml", **typed(page, in__vars__0__value="warm"))
    assert read_text(text_of(warm.content.decode()))["behavior"]["vars"] == {"tone": "warm", "language": "English"}
    again = olga.send(EDIT, act="form", **{"from": "1", "text": text_of(warm.content.decode())})
    assert again["HX-Replace-Url"] == f"{EDIT}?from=1&as=form"
    assert typed(again.content.decode())["in/vars/0/value"] == ["warm"]


def test_the_form_is_checked_in_the_same_words_beside_the_field(at_desk: Sit, cast: Cast) -> None:
    olga = at_desk(cast.operator)
    page, said = olga.see(FORM), "vars.mood"
    checked = olga.send(EDIT, act="check", **typed(page, in__instructions__1__text="In a {{ vars.mood }} tone."))
    assert '"at": "in/instructions/1/text"' in unescape(checked.content.decode())
    told = words(checked).split("behavior.instructions.tone ")[-1]
    text = text_of(olga.see(EDIT)).replace("Write in a {{ vars.tone }} tone.", "In a {{ vars.mood }} tone.")
    assert said in told and told in words(olga.send(EDIT, act="check", text=text, **{"from": "1"}))
    refused = olga.send(EDIT, act="publish", **typed(page, in__instructions__1__text="In a {{ vars.mood }} tone."))
    assert refused.status_code == 422 and "It was not published" in words(refused)
    box = refused.content.decode().split('name="in/instructions/1/text"')[1].split("<details")[0]
    assert 'aria-invalid="true"' in box and said in box.split("b-problems")[1]
    assert read_published(cast.greet).newest == 1


def test_olga_publishes_what_she_wrote_in_the_form(at_desk: Sit, cast: Cast) -> None:
    olga = at_desk(cast.operator)
    sent = typed(olga.see(FORM), in__vars__0__value="warm", message="Warmer")
    assert olga.send(EDIT, act="move", **sent)["HX-Redirect"] == "/vendor/f/greet/versions"
    assert (read_published(cast.greet).newest, current_number(cast.greet, OPERATOR)) == (2, 2)
    assert document_of(cast.greet, find_version(cast.greet, 2, cast.operator))["behavior"]["vars"]["tone"] == "warm"


def test_comments_are_asked_after_and_stay_while_nothing_is_changed(at_desk: Sit, cast: Cast) -> None:
    olga = at_desk(cast.operator)
    text = "# Ask legal first\n" + text_of(olga.see(EDIT))
    asked = olga.send(EDIT, act="form", text=text, **{"from": "1"})
    assert "1 line has a comment." in words(asked) and text_of(asked.content.decode()) == text
    form = olga.send(EDIT, act="form", sure="yes", text=text, **{"from": "1"}).content.decode()
    assert text_of(olga.send(EDIT, act="yaml", **typed(form)).content.decode()) == text
    changed = olga.send(EDIT, act="yaml", **typed(form, in__vars__0__value="warm")).content.decode()
    assert "Ask legal" not in text_of(changed)


def test_what_cannot_be_the_other_stays_as_it_is_typed(at_desk: Sit, cast: Cast) -> None:
    olga = at_desk(cast.operator)
    broken = olga.send(EDIT, act="form", text="behavior: [", **{"from": "1"})
    assert broken.status_code == 422 and "It cannot be a form yet." in words(broken)
    assert text_of(broken.content.decode()) == "behavior: ["
    twice = olga.send(EDIT, act="yaml", **typed(olga.see(FORM), in__vars__1__name="tone", in__vars__1__value="English"))
    assert twice.status_code == 422 and "It cannot be YAML yet." in words(twice)
    assert "vars.tone is given twice" in words(twice) and typed(twice.content.decode())["in/vars/1/value"] == [
        "English"
    ]
    publishing = olga.send(EDIT, act="publish", **typed(olga.see(FORM), in__vars__1__name="tone"))
    assert publishing.status_code == 422 and read_published(cast.greet).newest == 1


def test_a_schema_that_is_no_yaml_goes_along_as_it_is_typed(at_desk: Sit, cast: Cast) -> None:
    olga = at_desk(cast.operator)
    half = "type: object\nproperties: [\n"
    text = olga.send(EDIT, act="yaml", **typed(olga.see(FORM), in__input=half)).content.decode()
    assert read_text(text_of(text))["behavior"]["input"] == half
    form = olga.send(EDIT, act="form", text=text_of(text), **{"from": "1"}).content.decode()
    assert typed(form)["in/input"] == [half] and "1 problem" in words(form)


def test_examples_follow_a_schema_that_was_changed_in_the_form(at_desk: Sit, cast: Cast) -> None:
    olga = at_desk(cast.operator)
    page = olga.see(FORM)
    wider = typed(page)["in/input"][0].replace("properties:\n", "properties:\n  mood: {type: string, maxLength: 20}\n")
    drawn = typed(olga.send(EDIT, act="draw", **typed(page, in__input=wider)).content.decode())
    assert drawn["in/examples/0/input/mood"] == [""] and drawn["in/examples/0/input/name"] == ["Eve"]


def test_a_new_feature_is_made_in_the_form(at_desk: Sit, cast: Cast) -> None:
    olga = at_desk(cast.operator)
    sent = typed(
        olga.see("/vendor/features/new?as=form"), in__feature__feature="condense", in__feature__title="Condense"
    )
    assert olga.send("/vendor/features/new", act="publish", **sent)["HX-Redirect"] == "/vendor/f/condense/versions"
    assert find_feature("condense", cast.alice).title == "Condense"


def test_where_two_operators_are_needed_the_editor_asks_the_other(at_desk: Sit, cast: Cast, settings: Any) -> None:
    settings.SECOND_APPROVAL = True
    olga = at_desk(cast.operator)
    answer = olga.send(EDIT, act="move", **typed(olga.see(FORM), in__vars__0__value="warm", message="Warmer"))
    assert answer["HX-Redirect"] == "/vendor/approvals" and read_published(cast.greet).newest == 1
    page = words(olga.see("/vendor/approvals"))
    assert "This takes two operators." in page and "Publish a version to everybody greet · Warmer" in page
