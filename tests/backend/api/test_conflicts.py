"""What a moved base does to an override, and deciding it, at the API."""

from tests.cast import GREET_RULES, Cast

from .acts import FIRST, MINE, OURS, kind, problems, publish, served
from .conftest import Caller

ROLE, TONE, LANGUAGE = "instructions.role", "vars.tone", "vars.language"


def conflict(api: Caller, cast: Cast) -> None:
    """Alice changed the role, line by line text, and the vendor has done so too."""
    publish(api, cast, instructions__role="One.\nTwo.\nThree.")
    mine = {"set": {ROLE: "One.\nTwo.\nMine.", LANGUAGE: "Greek"}}
    assert api(cast.alice).put(MINE, mine, **FIRST).status_code == 200
    publish(api, cast, instructions__role="Theirs.\nTwo.\nThree.", vars__language="German", vars__new=1)


def test_conflicts_show_all_three_sides_and_what_is_new(api: Caller, cast: Cast) -> None:
    conflict(api, cast)
    answer = api(cast.alice).get(f"{MINE}/conflicts")
    told = answer.json()
    assert (answer.headers["ETag"], told["revision"], told["version"], told["newest"]) == ('"1"', 1, 2, 3)
    assert told["held"] == {"by": "user", "fields": [ROLE], "wanted": 3}
    role, language = told["operations"]
    assert role == {
        "field": ROLE, "operation": "set", "outcome": "conflict", "changed": "vendor", "open": True, "holds": True,
        "hidden": False, "then": "One.\nTwo.\nThree.", "now": "Theirs.\nTwo.\nThree.", "mine": "One.\nTwo.\nMine.",
        "merged": "Theirs.\nTwo.\nMine.", "problems": [],
    }  # fmt: skip
    assert (language["open"], language["holds"], language["merged"]) == (True, False, None)
    assert [change["field"] for change in told["changes"]] == [ROLE, LANGUAGE, "vars.new"]
    assert told["digest"] == served(api, cast.alice)["receipt"]["digest"] != told["digest_if_kept"]


def test_deciding_moves_the_base_and_answers_what_moved(api: Caller, cast: Cast) -> None:
    conflict(api, cast)
    told = api(cast.alice).get(f"{MINE}/conflicts").json()
    body = {"fields": {ROLE: {"set": told["operations"][0]["merged"]}, LANGUAGE: "keep"}, "version": 3}
    rehearsed = api(cast.alice).post(f"{MINE}/resolve?dry_run=true", body, If_Match='"1"')
    assert (rehearsed.status_code, rehearsed.json()["dry_run"], "ETag" in rehearsed.headers) == (200, True, False)
    assert served(api, cast.alice)["receipt"]["base"] == 2
    answer = api(cast.alice).post(f"{MINE}/resolve", body, If_Match='"1"')
    done = answer.json()
    assert (answer.headers["ETag"], done["override"]["revision"]) == ('"2"', 2)
    assert (done["before"]["base"], done["after"]["base"], done["held"], done["open"]) == (2, 3, None, [])
    assert done["after"] == rehearsed.json()["after"] == served(api, cast.alice)["receipt"]
    assert [change["field"] for change in done["changes"]] == [ROLE, "vars.new"]
    after = api(cast.alice).get(f"{MINE}/conflicts").json()
    assert [item["open"] for item in after["operations"]] == [False, False]
    assert after["digest"] == after["digest_if_kept"]


def test_a_hold_is_shown_on_the_override(api: Caller, cast: Cast) -> None:
    conflict(api, cast)
    done = api(cast.alice).post(f"{MINE}/resolve", {"fields": {LANGUAGE: "hold"}}).json()
    assert done["override"]["hold"] == [LANGUAGE]
    assert done["held"] == {"by": "user", "fields": [ROLE, LANGUAGE]}
    assert api(cast.alice).get(MINE).json()["hold"] == [LANGUAGE]


def test_a_stale_decision_is_412_and_changes_nothing(api: Caller, cast: Cast) -> None:
    conflict(api, cast)
    before = api(cast.alice).get(MINE).json()
    keep = {"fields": {ROLE: "keep"}}
    assert kind(api(cast.alice).post(f"{MINE}/resolve", keep, If_Match='"7"')) == (412, "stale")
    assert kind(api(cast.alice).post(f"{MINE}/resolve", {**keep, "version": 2})) == (412, "stale")
    assert api(cast.alice).get(MINE).json() == before


def test_what_cannot_be_decided_so_is_refused_with_every_pointer(api: Caller, cast: Cast) -> None:
    conflict(api, cast)
    rules = {**GREET_RULES, ROLE: {"max_chars": 15}, LANGUAGE: {"choices": ["German", "Greek"]}}
    publish(api, cast, instructions__role="Theirs.", vars__language="German", rules=rules)
    post = api(cast.alice).post
    edits = {ROLE: {"set": "Much longer than it may be"}, LANGUAGE: {"set": "Latin"}}
    answer = post(f"{MINE}/resolve", {"fields": edits})
    assert kind(answer) == (422, "invalid")
    assert problems(answer) == {(f"/fields/{ROLE}/set", "max_chars"), (f"/fields/{LANGUAGE}/set", "choices")}
    answer = post(f"{MINE}/resolve", {"fields": {"vars.none": "keep", TONE: "take"}})
    assert problems(answer) == {("/fields/vars.none", "conflict"), (f"/fields/{TONE}", "conflict")}
    wrong = post(f"{MINE}/resolve", {"fields": {ROLE: {"append": ""}}})
    assert problems(wrong) == {(f"/fields/{ROLE}/append", "type")}
    for body in ({"fields": {}}, {"fields": {ROLE: "mine"}}, {"fields": {ROLE: "keep"}, "more": 1}):
        assert kind(post(f"{MINE}/resolve", body))[0] == 400
    assert kind(post(f"{MINE}/resolve", {"fields": "keep"}))[0] == 422


def test_an_organisations_conflicts_are_its_admins_to_see_and_to_decide(api: Caller, cast: Cast) -> None:
    assert api(cast.ada).put(OURS, {"set": {ROLE: "Acme's."}}, **FIRST).status_code == 200
    publish(api, cast, instructions__role="Theirs.")
    assert kind(api(cast.alice).get(f"{OURS}/conflicts")) == (403, "forbidden")
    assert api(cast.ada).get(f"{OURS}/conflicts").json()["operations"][0]["open"] is True
    assert api(cast.alice).get(f"{MINE}/conflicts").json()["held"]["by"] == "tenant"
    assert api(cast.ada).post(f"{OURS}/resolve", {"fields": {ROLE: "take"}}).status_code == 200
    assert served(api, cast.alice)["receipt"]["base"] == 2


def test_a_customers_software_sees_and_decides_for_its_user(api: Caller, cast: Cast) -> None:
    software = api(cast.acme_service, Bespoke_User="u1")
    assert software.put(MINE, {"set": {ROLE: "u1's."}}, **FIRST).status_code == 200
    publish(api, cast, instructions__role="Theirs.")
    assert software.get(f"{MINE}/conflicts").json()["operations"][0]["outcome"] == "conflict"
    assert software.post(f"{MINE}/resolve", {"fields": {ROLE: "keep"}}).json()["after"]["base"] == 2
    assert kind(api(cast.acme_service).get(f"{MINE}/conflicts")) == (404, "not-found")
