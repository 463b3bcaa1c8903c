"""Batches by clicking: a file looked over before it starts, followed as it goes, cancelled, and its answers taken away."""

import csv
import io
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.files.uploadedfile import SimpleUploadedFile

from features.runs import batches
from features.runs.batch_ends import end_batches
from features.runs.models import Batch, Queued, Run
from tenants.actor import Actor
from tests.cast import Cast
from tests.fakes.model import FakeModel, greeting
from tests.working import look

from .conftest import Person, words

Sit = Callable[[Actor], Person]
PAGE = "/f/greet/batches"
SHEET = "name,key\nAnn,t-1\nBea,t-2\n"


def upload(text: str | bytes, name: str = "inputs.csv") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, text if isinstance(text, bytes) else text.encode())


def looked(person: Person, text: str | bytes, **form: Any) -> Any:
    return person.send(PAGE, act="look", file=upload(text), **form)


def hidden(answer: Any) -> dict[str, str]:
    """What the answer to a look gives the start with."""
    return dict(re.findall(r'name="(seen|once)" value="([^"]*)"', answer.content.decode()))


def started(person: Person, text: str | bytes, **form: Any) -> str:
    """Look a file over and start it as a browser would; the batch's address."""
    answer = person.send(PAGE, act="start", file=upload(text), **hidden(looked(person, text)), **form)
    assert answer.status_code == 200 and answer["HX-Redirect"].startswith("/batches/"), words(answer)
    return str(answer["HX-Redirect"])


def work() -> None:
    while look():
        pass
    end_batches()


def nothing_kept(cast: Cast) -> bool:
    with cast.alice.present():
        return not (Batch.objects.exists() or Run.objects.exists() or Queued.objects.exists())


@pytest.mark.parametrize("text", [
    SHEET, "Name;key\r\nAnn;t-1\r\nBea;t-2\r\n", json.dumps([{"input": {"name": name}} for name in ("Ann", "Bea")]),
    '{"input": {"name": "Ann"}}\n\n{"input": {"name": "Bea"}, "key": "x"}\n',
], ids=["sheet", "semicolons", "list", "lines"])  # fmt: skip
def test_a_file_in_each_form_is_looked_over_and_nothing_starts(at_desk: Sit, cast: Cast, text: str) -> None:
    told = looked(at_desk(cast.alice), text)
    assert told.status_code == 200 and "2 items are ready" in words(told)
    assert "Run 2 items" in words(told) and nothing_kept(cast)


def test_what_it_may_cost_is_said_before_it_starts(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    alice = at_desk(cast.alice)
    first = words(looked(alice, SHEET))
    assert "as the latest runs here went" not in first
    longest = float(re.search(r"([\d.]+) EUR if every answer were as long", first)[1])  # type: ignore[index]
    started(alice, SHEET)
    work()
    with cast.alice.present():
        spent = sum(Run.objects.values_list("cost", flat=True)) / 1_000_000
    about = float(re.search(r"About ([\d.]+) EUR", words(looked(alice, SHEET)))[1])  # type: ignore[index]
    assert about == pytest.approx(spent, abs=1e-6) and 0 < about < longest


def test_what_cannot_be_taken_in_is_said_with_its_line_and_column_before_it_starts(at_desk: Sit, cast: Cast) -> None:
    told = words(looked(at_desk(cast.alice), f"name,key\nAnn,\n{'x' * 201},k\nBea,,more\n"))
    assert "1 item is ready" in told and "2 items cannot be taken in and are left out." in told
    assert "Line 3 k Name: " in told and "200" in told
    assert "Line 4 Line 4 has 3 cells where the first line has 2." in told


@pytest.mark.parametrize(("text", "status", "told"), [
    ("nom\nAnn\n", 422, "Begin with a line that names them. There are: name, key"), ("", 422, "Begin with a line"),
    (b"PK\x03\x04\0\0", 422, "save the sheet as CSV in UTF-8"), ('[{"input": 1}', 422, "does not end"),
    ('name\n"Ann\n', 422, "cannot be read as CSV"),
])  # fmt: skip
def test_a_file_that_is_no_batch_is_refused_with_what_to_do(
    at_desk: Sit, cast: Cast, text: Any, status: int, told: str
) -> None:
    answer = looked(at_desk(cast.alice), text)
    assert answer.status_code == status and told in words(answer) and "Nothing was started" in words(answer)
    assert "Run " not in words(answer) and nothing_kept(cast)


def test_nothing_in_it_can_be_run_and_so_nothing_can_be_started(at_desk: Sit, cast: Cast) -> None:
    told = looked(at_desk(cast.alice), '{"input": {}}\n{"input": 7}\n')
    assert (
        "Nothing in it can be run" in words(told)
        and "Line 2" in words(told)
        and 'value="start"' not in str(told.content)
    )


def test_no_file_and_too_many_items_are_said(at_desk: Sit, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = at_desk(cast.alice)
    assert "Choose a file first." in words(alice.send(PAGE, act="look"))
    monkeypatch.setattr(batches, "MOST_ITEMS", 1)
    answer = looked(alice, SHEET)
    assert answer.status_code == 413 and "at most 1 items" in words(answer)


def test_what_starts_is_what_was_looked_at_and_once(at_desk: Sit, cast: Cast) -> None:
    alice = at_desk(cast.alice)
    given = hidden(looked(alice, SHEET))
    other = alice.send(PAGE, act="start", file=upload(SHEET + "Cid,\n"), **given)
    assert other.status_code == 409 and "not the file that was looked at" in words(other) and nothing_kept(cast)
    unseen = alice.send(PAGE, act="start", file=upload(SHEET))
    assert unseen.status_code == 422 and nothing_kept(cast)
    first = alice.send(PAGE, act="start", file=upload(SHEET), **given)
    again = alice.send(PAGE, act="start", file=upload(SHEET), **given)
    assert first["HX-Redirect"] == again["HX-Redirect"]
    with cast.alice.present():
        assert Batch.objects.count() == 1 and Run.objects.count() == 2


def test_it_is_done_without_scripts_too(at_desk: Sit, cast: Cast) -> None:
    alice = at_desk(cast.alice)
    page = alice.send(PAGE, htmx=False, act="look", file=upload(SHEET), unstored="yes")
    assert "<main" in page.content.decode() and "Choose the same file once more" in words(page)
    answer = alice.send(PAGE, htmx=False, act="start", file=upload(SHEET), unstored="yes", **hidden(page))
    assert answer.status_code == 302
    with cast.alice.present():
        batch = Batch.objects.get()
        assert (batch.store, batch.fresh, answer["Location"]) == (False, False, f"/batches/{batch.id}")


def test_a_batch_is_followed_to_its_end(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    model.default = lambda asked: greeting("Hello " + asked["messages"][-1]["content"][-20:])
    alice = at_desk(cast.alice)
    here = started(alice, "name,key\nAnn,t-1\n,t-2\nBea,t-3\n", fresh="yes")
    page = alice.see(here)
    assert "1 of 3 have ended" in words(page) and "Running" in words(page) and 'hx-trigger="load delay' in page
    assert "Item 2 t-2 Not taken in Name: is missing" in words(page)
    work()
    page = alice.see(f"{here}?show=answered")
    assert "3 of 3 have ended" in words(page) and "The batch has ended." in words(page) and "load delay" not in page
    run = re.search(r'href="(/runs/[0-9a-f-]+)">Item 1<', page)
    assert run is not None and "Ann" in alice.see(run[1])
    assert "Greet, 3 items" in words(alice.see("/batches")) and "3 of 3 have ended, 1 without an answer" in words(
        alice.see("/batches")
    )
    assert "Greet, 3 items" in words(alice.see("/batches?feature=greet"))


def test_items_are_listed_by_what_came_of_them_page_by_page(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    alice = at_desk(cast.alice)
    here = started(alice, "name\n" + "".join(f"N{n}\n" for n in range(45)))
    work()
    page = alice.see(f"{here}?show=all")
    assert "Item 20 " in words(page) and "Item 21 " not in words(page)
    after = re.search(r'href="(\?show=all&amp;after=\d+)"', page)
    assert after is not None
    second = words(alice.see(here + after[1].replace("&amp;", "&")))
    assert "Item 21 " in second and "Item 40 " in second and "Item 41 " not in second
    assert "Every item that was run has an answer." in words(alice.see(f"{here}?show=wrong"))
    assert "Item 20 " in words(alice.see(here)), "where nothing is wrong, all are shown first"
    alice.see(f"{here}?show=others", 400)
    alice.see(f"{here}?after=x", 400)


def test_a_batch_is_cancelled_after_it_was_said_what_that_does(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    alice = at_desk(cast.alice)
    here = started(alice, SHEET)
    asked = words(alice.see(f"{here}?confirm=cancel"))
    assert "Cancel what has not ended?" in asked and "2 items that wait are never run, and cost nothing." in asked
    with cast.alice.present():
        assert Queued.objects.count() == 2
    assert alice.send(here, htmx=False, act="cancel").status_code == 302
    page = words(alice.see(f"{here}?show=all"))
    assert "Cancelled" in page and "2 of 2 have ended" in page
    again = alice.send(here, htmx=False, act="cancel")
    assert again.status_code == 409 and "nothing to cancel" in words(again)


def rows(answer: Any) -> list[dict[str, str]]:
    async def whole() -> bytes:
        return b"".join([part async for part in answer.streaming_content])

    return list(csv.DictReader(io.StringIO(async_to_sync(whole)().decode())))


def test_the_results_are_a_sheet_in_the_order_of_the_items_and_run_nothing(
    at_desk: Sit, cast: Cast, model: FakeModel
) -> None:
    model.default = lambda asked: greeting("=HYPERLINK(1)" if "Ann" in str(asked["messages"][-1]) else "Hello")
    alice = at_desk(cast.alice)
    here = started(alice, "name,key\nAnn,@sum\n,t-2\nBea,t-3\n")
    work()
    answer = alice.client.get(f"{here}/results.csv")
    assert answer["Content-Type"].startswith("text/csv") and re.search(
        r'"greet-.*\.csv"', answer["Content-Disposition"]
    )
    first, second, third = rows(answer)
    assert (first["item"], first["key"], first["state"], first["output.greeting"]) == (
        "1", "'@sum", "succeeded", "'=HYPERLINK(1)",
    )  # fmt: skip
    assert (second["state"], second["output.greeting"], second["run"]) == ("refused", "", "")
    assert "is missing" in second["problem"] and (third["item"], third["other"]) == ("3", "")


def test_a_sheet_to_fill_in_can_be_given_as_it_is(at_desk: Sit, cast: Cast) -> None:
    alice = at_desk(cast.alice)
    sheet = alice.see(f"{PAGE}?format=csv")
    assert sheet.splitlines() == ["name,key", "Eve,1"]
    assert "1 item is ready" in words(looked(alice, sheet))


# Who may do what: status of the page, of a look, of the list, of Alice's batch, of cancelling it, of its results.
MAY = {
    "alice": (200, 200, 200, 200, 302, 200), "ada": (200, 200, 200, 200, 302, 200), "bob": (200, 200, 200, 404, 404, 404),
    "vera": (200, 403, 200, 404, 404, 404), "mallory": (200, 200, 200, 404, 404, 404),
}  # fmt: skip


@pytest.mark.parametrize("who", MAY)
def test_who_may_do_what_with_batches(at_desk: Sit, cast: Cast, who: str) -> None:
    here, person = started(at_desk(cast.alice), SHEET), at_desk(getattr(cast, who))
    asked = [
        person.client.get(PAGE), looked(person, SHEET), person.client.get("/batches"), person.client.get(here),
        person.send(here, htmx=False, act="cancel"), person.client.get(f"{here}/results.csv"),
    ]  # fmt: skip
    assert tuple(answer.status_code for answer in asked) == MAY[who]
    assert person.send(PAGE, act="start", file=upload(SHEET), seen="x", once="0" * 32).status_code in (403, 409)
    assert (here in asked[2].content.decode()) == (who == "alice")


def test_a_viewer_is_told_who_can_and_gets_no_form(at_desk: Sit, cast: Cast) -> None:
    page = at_desk(cast.vera).see(PAGE)
    assert "A viewer can look but not run." in words(page) and 'type="file"' not in page
    assert "Many at once" not in words(at_desk(cast.vera).see("/f/greet"))


def test_admins_see_everybodys_batches_when_they_ask_and_whose_they_are(at_desk: Sit, cast: Cast) -> None:
    started(at_desk(cast.alice), SHEET)
    ada = at_desk(cast.ada)
    assert "No batch yet" in words(ada.see("/batches"))
    assert "Greet, 2 items Alice Running" in words(ada.see("/batches?whose=all"))
    hers, bobs = (f"/batches?user={who.acting_for().key}" for who in (cast.alice, cast.bob))
    assert "Batches of Alice" in words(ada.see(hers)) and "Greet, 2 items" in words(ada.see(hers))
    assert "No batch yet" in words(ada.see(bobs))
    at_desk(cast.bob).see(hers, 403)
    at_desk(cast.gus).see(hers, 404)
    assert "No batch yet" in words(at_desk(cast.bob).see("/batches?whose=all"))
    assert "No batch yet" in words(at_desk(cast.gus).see("/batches?whose=all"))
