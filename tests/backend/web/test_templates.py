"""Rules that every page keeps: nothing inline, nothing from elsewhere, only icons of the sprite, exact times."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from backend.web.templatetags.b import clock, exactly, icon, icon_names, when
from backend.web.words import field_title, group_key, initials, short_digest

WEB = Path(__file__).parents[3] / "backend" / "web"
CATALOG = Path(__file__).parents[3] / "features" / "catalog"
TEMPLATES = sorted((WEB / "templates").rglob("*.html"))
STYLES = sorted((WEB / "static" / "b").glob("*.css"))
STYLED = sorted((WEB / "static").rglob("*.css"))


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(WEB / "templates")))
def test_no_page_needs_an_unsafe_content_security_policy(path):
    text = path.read_text()
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|hx-on|\|safe\b|autoescape off", text)
    assert not re.search(r"<script(?![^>]*\ssrc=)", text)
    assert not re.search(r'(?:src|href)="(?:https?:)?//', text)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(WEB / "templates")))
def test_every_icon_that_a_page_names_is_in_the_sprite(path):
    assert set(re.findall(r'{% icon "([^"]+)"', path.read_text())) <= icon_names()


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(WEB / "templates")))
def test_every_button_that_sends_something_has_its_verb_in_progress(path):
    for form in re.findall(r'<form\b[^>]*method="post".*?</form>', path.read_text(), re.DOTALL):
        for button in re.findall(r'<button\b(?![^>]*(?:type="button"|\sdisabled\b)).*?</button>', form, re.DOTALL):
            assert "b-verb-rest" in button and "b-verb-busy" in button


@pytest.mark.parametrize("path", sorted(CATALOG.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_feature_of_the_catalog_has_its_own_icon(path):
    assert set(re.findall(r"^icon: (\S+)$", path.read_text(), re.MULTILINE)) <= icon_names()


def classes_in(text: str) -> set[str]:
    """The classes that a template names whole, beside our own; of what its tags put together nothing is known."""
    named = re.findall(r'\bclass="((?:{%.*?%}|{{.*?}}|[^"])*)"', text)
    whole = {word for value in named for word in re.sub(r"{%.*?%}|{{.*?}}", "\0", value).split()}
    return {word for word in whole if "\0" not in word and not word.startswith("b-")}


def test_every_class_of_tablers_that_a_page_names_is_in_the_part_of_it_that_is_served():
    styled = {name for path in STYLED for name in re.findall(r"\.([A-Za-z][\w-]*)", path.read_text())}
    used = {name for path in TEMPLATES for name in classes_in(path.read_text())}
    assert used - styled == set(), "make the part anew: backend/web/static/vendor/VERSIONS.md"


def test_colours_are_named_in_the_roles_and_nowhere_else():
    for path in STYLES:
        if path.name != "roles.css":
            assert set(re.findall(r"#[0-9a-fA-F]{3,8}\b", path.read_text())) <= {"#231600"}, path


def test_a_feature_with_an_icon_of_its_own_making_gets_a_plain_one():
    assert "#route" in icon("route")
    assert "#sparkles" in icon('"><script>')


def test_a_time_is_relative_under_a_day_and_exact_on_hover():
    moment = timezone.now() - timedelta(minutes=4, seconds=5)
    assert ">4 min ago</time>" in when(moment)
    assert f'datetime="{moment.isoformat()}"' in when(moment)


def test_an_older_time_is_a_date_with_its_year_when_that_is_another():
    assert clock(datetime(2001, 11, 16, 9, 30, tzinfo=UTC)) == "16 Nov 2001, 09:30"


def test_a_moment_in_an_address_keeps_its_microseconds():
    moment = datetime(2026, 11, 16, 9, 30, 0, 123456, tzinfo=UTC)
    assert exactly(moment) == "2026-11-16T09:30:00.123456Z"


def test_fields_are_called_by_the_vendors_title_or_by_the_last_part_of_their_name():
    assert field_title("vars.follow-up") == "Follow up"
    assert field_title("vars.tone", {"vars.tone": {"label": "How it sounds"}}) == "How it sounds"
    assert (group_key("input"), group_key("vars.tone")) == ("contract", "vars")


def test_digests_and_people_have_short_forms():
    assert short_digest("1:c41e9b07aa") == "c41e 9b07"
    assert (initials("Alice Marin"), initials("ada@acme.example")) == ("AM", "A")
