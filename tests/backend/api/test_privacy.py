"""Export, erasure and the audit's chain through the API: what each is answered with."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from backend.api import privacy
from features.runs import taking
from tenants import erasure, export, jobs
from tenants.actions import set_tenant_state
from tenants.privacy_models import Erasure, Export
from tests.canaries import superuser
from tests.cast import Cast
from tests.conftest import Knock

RANDOM = "01890a5d-ac96-774b-bcce-b302099a8057"
Api = Callable[..., Knock]
FIRST = {"If_None_Match": "*"}


def test_an_export_is_asked_for_waited_for_and_taken(cast: Cast, api: Api) -> None:
    ada = api(cast.ada)
    asked = ada.post("/export")
    assert (asked.status_code, asked.json()["state"]) == (202, "queued")
    place = asked.headers["Location"].removeprefix("/api/v1")
    early = ada.get(f"{place}/download")
    assert (early.status_code, early.json()["type"]) == (409, "/errors/conflict")
    jobs.each(Export, export.carry_out)
    told = ada.get(place).json()
    assert told["state"] == "done" and told["manifest"]["files"]["members.ndjson"]["rows"] == 4
    taken = ada.get(f"{place}/download")
    assert taken.status_code == 200 and taken.headers["Content-Disposition"].startswith('attachment; filename="acme-')
    assert ada.get("/export").json()["items"][0]["id"] == told["id"]
    events = [(event["verb"], event["detail"].get("what")) for event in ada.get("/audit").json()["items"]]
    assert [event for event in events if event[0] == "data.export"] == [
        ("data.export", "taken"), ("data.export", "made"), ("data.export", "asked"),
    ]  # fmt: skip


@pytest.mark.parametrize("state", ["suspended", "closed"])
def test_an_organisation_that_is_not_active_still_has_its_data_and_erases(state: str, cast: Cast, api: Api) -> None:
    ada, of_alice = api(cast.ada), f"member:{cast.alice.acting_for().id}"
    ada.delete(f"/members/{cast.alice.acting_for().id}")
    set_tenant_state(cast.ada.in_tenant(), state, reason="Unpaid.", by=cast.operator)
    asked, gone = ada.post("/export"), ada.post(f"/subjects/{of_alice}/erase")
    assert (asked.status_code, gone.status_code) == (202, 202)
    jobs.each(Erasure, erasure.carry_out)
    jobs.each(Export, export.carry_out)
    place = asked.headers["Location"].removeprefix("/api/v1")
    assert ada.get(f"{place}/download").status_code == 200
    assert ada.get(f"/erasures/{gone.json()['id']}").json()["state"] == "done"
    refused = ada.post("/keys", {"kind": "service", "name": "x"})
    assert (refused.status_code, refused.json()["type"]) == (403, "/errors/suspended")
    assert api(cast.bob).post("/export").json()["type"] == "/errors/suspended"


def test_somebody_is_erased_with_a_report_whose_digest_the_audit_has(cast: Cast, api: Api) -> None:
    ada, user = api(cast.ada), Knock(cast.keys[cast.acme_service.label], {"Bespoke-User": "zoe"})
    assert user.put("/features/greet/override/user", {"set": {"vars.tone": "warm"}}, **FIRST).status_code == 200
    assert ada.post("/subjects/nobody/erase").status_code == 404
    asked = ada.post("/subjects/zoe/erase")
    assert asked.status_code == 202 and asked.json()["of"] == "external"
    jobs.each(Erasure, erasure.carry_out)
    told = ada.get(asked.headers["Location"].removeprefix("/api/v1")).json()
    assert told["state"] == "done" and told["report"]["counts"]["features_override"] == 1
    done = next(event for event in ada.get("/audit").json()["items"] if event["detail"].get("what") == "done")
    assert done["detail"]["report"] == told["digest"]
    assert ada.get("/erasures").json()["items"] == [told]
    assert ada.post("/subjects/zoe/erase").json()["id"] == told["id"]
    assert "zoe" not in [row["key"] for row in ada.get("/subjects").json()["items"]]


def test_a_member_has_to_leave_first(cast: Cast, api: Api) -> None:
    assert cast.bob.subject is not None
    refused = api(cast.ada).post(f"/subjects/{cast.bob.subject.key}/erase")
    assert refused.status_code == 409 and "membership" in refused.json()["detail"]


def test_an_organisation_is_erased_by_the_vendor_after_it_was_closed(cast: Cast, api: Api) -> None:
    vendor = Knock(cast.keys[cast.operator.label], {})
    assert vendor.post("/tenants/globex/erase", {"confirm": "erase globex"}).status_code == 409
    with superuser() as db:
        db.execute("UPDATE tenants_tenant SET state = 'closed' WHERE slug = 'globex'")
    wrong = vendor.post("/tenants/globex/erase", {"confirm": "globex"})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/confirm")
    asked = vendor.post("/tenants/globex/erase", {"confirm": "erase globex"})
    assert asked.status_code == 202 and asked.json()["subject"] is None
    jobs.each(Erasure, erasure.carry_out)
    told = vendor.get(f"/erasures/{asked.json()['id']}").json()
    assert told["state"] == "done" and told["report"]["counts"]["tenants_member"] == 2
    assert vendor.post("/tenants/globex/erase", {"confirm": "erase globex"}).status_code == 404
    assert api(cast.ada).get(f"/erasures/{told['id']}").status_code == 404


def test_a_chain_can_be_checked_by_whoever_may_read_it(cast: Cast, api: Api) -> None:
    told = api(cast.ada).get("/audit/verify").json()
    newest = api(cast.ada).get("/audit").json()["items"][0]
    assert told["whole"] and told["faults"] == [] and told["events"] == told["sequence"]
    assert newest["digest"] == told["digest"] and newest["sequence"] == told["sequence"]
    vendor = Knock(cast.keys[cast.operator.label], {})
    assert vendor.get("/operator/audit/verify").json()["whole"]
    with superuser() as db:
        db.execute(
            "UPDATE tenants_auditevent SET verb = 'x' WHERE sequence = 1 AND tenant_id = %s", [cast.ada.tenant_id]
        )
    told = api(cast.ada).get("/audit/verify").json()
    assert (told["whole"], told["faults"]) == (False, [{"sequence": 1, "kind": "changed"}])


def test_a_long_chain_is_checked_a_stretch_at_a_time(cast: Cast, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privacy, "STRETCH", 4)
    ada = api(cast.ada)
    for number in range(9):
        ada.post("/keys", {"kind": "service", "name": f"key {number}"})
    told = ada.get("/audit/verify").json()
    assert (told["whole"], told["events"], told["sequence"]) == (None, 4, 4)
    while told["whole"] is None:
        told = ada.get(f"/audit/verify?after={told['sequence']}&digest={told['digest']}").json()
    assert told["whole"] and told["sequence"] == told["end"] == ada.get("/audit").json()["items"][0]["sequence"]
    kept = f"/audit/verify?after={told['sequence']}&digest={told['digest']}"
    assert ada.get(kept).json() == {**told, "events": 0}
    assert ada.get(kept.replace(told["digest"], "0" * 64)).json()["faults"] == [
        {"sequence": told["end"], "kind": "replaced"}
    ]
    for wrong in ("after=4", "digest=ab", "after=0&digest=" + "0" * 64, "after=4&digest=xyz", "after=x&digest=y"):
        refused = ada.get(f"/audit/verify?{wrong}")
        assert refused.status_code == 400 and "after and digest" in refused.json()["detail"], wrong


def test_a_run_that_comes_while_its_user_is_erased_is_taken_in(
    cast: Cast, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look whether the subject has a row and the run that names it, the row may go."""
    row, looks = taking.one_row, []

    def looked(statement: str, parameters: dict[str, Any]) -> Any:
        found = row(statement, parameters)
        if statement != taking._LOOK:
            return found
        looks.append(found)
        return (True, *found[1:]) if len(looks) == 1 else found

    monkeypatch.setattr(taking, "one_row", looked)
    user = Knock(cast.keys[cast.acme_service.label], {"Bespoke-User": "zoe"})
    taken = user.post("/features/greet/runs", {"input": {"name": "Zoe"}}, Prefer="respond-async")
    assert (taken.status_code, len(looks)) == (202, 2)


def test_nobody_but_the_role_of_backups_reads_past_policies(cast: Cast) -> None:
    with superuser() as db:
        rows = db.execute("SELECT rolname FROM pg_roles WHERE rolbypassrls AND NOT rolsuper").fetchall()
        assert rows == [("bespoke_backup",)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege), db.transaction():
            db.execute("SET LOCAL ROLE bespoke_backup")
            db.execute("UPDATE tenants_subject SET key = 'x'")
