"""The pages of docs/reference that are made from the code say what the code says."""

import pytest
from django.conf import settings
from django.test import Client

import tenants.errors
from backend.api.error_types import ADVICE
from backend.api.problems import KINDS
from backend.api.reference import PAGES, ROLES
from tenants.errors import AppError
from tenants.roles import TO, VERBS, WHO


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_as_the_code_has_it(name: str) -> None:
    page = settings.ROOT / "docs" / "reference" / name
    assert page.read_text(encoding="utf-8") == PAGES[name](), f"{name} is out of date: manage.py write_reference"


def test_every_error_that_can_be_raised_is_told_of() -> None:
    ours = {kind for kind in vars(tenants.errors).values() if isinstance(kind, type) and issubclass(kind, AppError)} - {
        AppError
    }
    assert ours <= set(KINDS.values())
    assert ADVICE.keys() == KINDS.keys()


def test_every_role_has_its_column() -> None:
    assert set(ROLES) == set(VERBS)


def test_every_verb_and_everybody_who_lacks_one_has_words() -> None:
    assert set(TO) == set().union(*VERBS.values())
    assert set(WHO) == {role for role in VERBS if not role.startswith("operator")}


@pytest.mark.parametrize("name", KINDS)
def test_every_type_of_problem_resolves(name: str) -> None:
    told = Client().get(f"/errors/{name}").json()
    assert (told["status"], told["title"]) == (KINDS[name].status, KINDS[name].title)
