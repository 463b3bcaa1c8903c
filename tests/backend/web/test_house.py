"""The vendor's house: models and what they cost, organisations and what they use, the machinery."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from features.actions.targets import meant_by
from features.models import ModelTarget
from features.runs.accept import accept
from features.runs.dispatch import say_gone, say_present
from tenants.actor import Actor
from tenants.isolation import OPERATOR
from tenants.models import Operator
from tests.cast import Cast
from tests.fakes.model import FakeModel, greeting
from tests.working import look

from .conftest import Person, words

Sit = Callable[[Actor], Person]
NEW = {"alias": "standard", "provider": "demo", "model": "larger", "input_price": "2.5", "output_price": "10"}


def test_olga_lets_an_alias_mean_another_model_after_seeing_whom_it_reaches(
    at_desk: Sit, cast: Cast, model: FakeModel
) -> None:
    olga = at_desk(cast.operator)
    looked = olga.send("/vendor/models", act="look", **NEW)
    assert "answered with now: greet" in words(looked) and meant_by("standard", cast.operator).before == 1
    olga.send("/vendor/models", act="add", **NEW, max_output_tokens="900")
    can = ModelTarget.objects.using(OPERATOR).get(alias="standard", revision=2).capabilities
    assert can == {"max_tokens_parameter": "max_completion_tokens", "max_output_tokens": 900}
    assert meant_by("standard", cast.operator).before == 2 and "larger" in words(olga.see("/vendor/models"))
    asked = words(olga.see("/vendor/models?confirm=point&alias=standard&revision=1"))
    assert "Let standard mean target 1?" in asked and meant_by("standard", cast.operator).before == 2
    olga.send("/vendor/models", act="point", alias="standard", revision="1")
    assert meant_by("standard", cast.operator).before == 1
    olga.send("/vendor/models", act="end", alias="standard", revision="2")
    assert "ends" in words(olga.see("/vendor/models"))
    olga.send("/vendor/models", act="keep", alias="standard", revision="2")
    assert "Serve it again" not in words(olga.see("/vendor/models"))


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({**NEW, "alias": "Not An Alias"}, "Use a-z, 0-9, - and _"),
        ({**NEW, "input_price": "cheap"}, "Enter a number"),
        ({**NEW, "provider": "nobody"}, "Select a valid choice"),
    ],
)
def test_what_is_no_target_is_refused_beside_its_cause(at_desk: Sit, cast: Cast, form: Any, told: str) -> None:
    answer = at_desk(cast.operator).send("/vendor/models", act="add", **form)
    assert answer.status_code == 422 and told in words(answer) and 'value="larger"' in answer.content.decode()


def test_the_target_that_an_alias_means_is_not_ended_under_it(at_desk: Sit, cast: Cast) -> None:
    answer = at_desk(cast.operator).send("/vendor/models", act="end", alias="standard", revision="1")
    assert answer.status_code == 409 and "name the replacement" in words(answer)


def test_olga_sees_who_uses_how_much_and_never_what(at_desk: Sit, cast: Cast, model: FakeModel, api: Any) -> None:
    model.script(greeting("CANARY-OUT"))
    accept(cast.greet, {"name": "CANARY-IN"}, by=cast.alice)
    look()
    page = at_desk(cast.operator).see("/vendor/tenants")
    assert "Acme acme 1 0.000140 EUR 100%" in words(page) and "Globex globex 0 –" in words(page)
    assert "CANARY" not in page and "Workshop" not in page
    told = api(cast.operator).get("/operator/usage?by=model").json()["items"]
    assert [(row["key"], row["runs"], row["cost"]["micro"]) for row in told] == [("standard", 1, 140)]
    assert api(cast.operator).get("/operator/usage?by=user").status_code == 400


def test_a_target_ends_at_a_moment_and_the_meant_one_with_what_takes_its_place(at_desk: Sit, cast: Cast) -> None:
    olga = at_desk(cast.operator)
    olga.send("/vendor/models", act="add", **NEW)
    asked = words(olga.see("/vendor/models?confirm=end&alias=standard&revision=2"))
    assert "End target 2 of standard?" in asked and "1: scripted" in asked and "Time zone: UTC" in asked
    late = olga.send(
        "/vendor/models", act="end", alias="standard", revision="2", ends="2020-01-01T00:00", replacement="1"
    )
    assert (
        late.status_code == 422
        and "Must be in the future" in words(late)
        and meant_by("standard", cast.operator).before == 2
    )
    assert 'value="2020-01-01T00:00"' in late.content.decode()
    olga.send("/vendor/models", act="end", alias="standard", revision="2", ends="2099-01-01T00:00", replacement="1")
    ended = ModelTarget.objects.using(OPERATOR).get(alias="standard", revision=2)
    assert meant_by("standard", cast.operator).before == 1 and ended.ends_at == datetime(2099, 1, 1, tzinfo=UTC)
    assert "ends 1 Jan 2099" in words(olga.see("/vendor/models"))


@pytest.mark.parametrize(
    ("by", "told", "leads"),
    [
        ("tenant", "Acme 1 0%", "/vendor/tenants/acme"), ("feature", "Greet 1 0%", "/vendor/f/greet/versions"),
        ("model", "standard 1 0%", ""), ("day", " 1 0%", ""),
    ],
)  # fmt: skip
def test_a_month_is_told_by_organisation_feature_model_and_day(
    by: str, told: str, leads: str, at_desk: Sit, cast: Cast, model: FakeModel
) -> None:
    model.script(greeting("CANARY-OUT"))
    accept(cast.greet, {"name": "CANARY-IN"}, by=cast.alice)
    look()
    olga = at_desk(cast.operator)
    page = olga.see(f"/vendor/usage?by={by}")
    assert told in words(page) and "0.000140 EUR 100.0%" in words(page) and "CANARY" not in page
    assert not leads or f'href="{leads}"' in page
    part = olga.part(f"/vendor/usage?by={by}")
    assert "<html" not in part.content.decode() and told in words(part)
    taken = olga.client.get(f"/vendor/usage?by={by}&format=csv")
    assert taken["Content-Type"].startswith("text/csv") and taken.content.decode().splitlines()[1].endswith(",140")


@pytest.mark.parametrize("role", ["read", "publish", "support"])
def test_every_operator_sees_the_usage(role: str, at_desk: Sit, cast: Cast) -> None:
    Operator.objects.using(OPERATOR).update(roles=[role])
    olga = at_desk(cast.operator)
    assert "No runs in" in words(olga.see("/vendor/usage")) and "By feature, model, day" in words(
        olga.see("/vendor/tenants")
    )
    olga.see("/vendor/usage?by=user", 400)
    at_desk(cast.ada).see("/vendor/usage", 403)


def test_olga_sees_what_waits_and_who_works(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    accept(cast.greet, {"name": "Ann"}, by=cast.alice)
    page = words(at_desk(cast.operator).see("/vendor/system"))
    assert "Interactive 1 0" in page and "No worker has said that it is there" in page
    say_present()
    look()
    page = words(at_desk(cast.operator).see("/vendor/system"))
    assert "Interactive 0 0" in page and "Runs ended in the last hour 1" in page and "/" in page
    say_gone()
