"""The registry has every table of a tenant, and every column has been decided on."""

import pytest
from django.db import models

from features.models import Pin
from features.runs.models import Run
from tenants import records
from tenants.models import AuditEvent, AuditHead, Tenant
from tenants.privacy_models import Erasure
from tenants.records import registry, unlisted


def test_every_table_and_every_column_is_decided_on() -> None:
    assert unlisted() == []


def test_a_table_or_a_column_that_nobody_decided_on_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    known = dict(records._listed)
    del known[Pin]
    run = known[Run]
    known[Run] = records.Records(
        Run, "runs", [c for c in run.shown if c != "input"], run.left_out, subject="subject_id"
    )
    monkeypatch.setattr(records, "_listed", known)
    assert unlisted() == ["Pin", "Run.input"]


def test_rows_are_deleted_before_those_that_they_refer_to() -> None:
    order = [one.model for one in registry()]
    for one in registry():
        for column in one.model._meta.local_fields:
            there = column.remote_field.model if isinstance(column, models.ForeignKey) else None
            if there in order and there is not one.model:
                assert order.index(one.model) < order.index(there), (one.model, there)


def test_what_stays_of_an_erased_organisation_is_a_short_list_with_reasons() -> None:
    assert {one.model.__name__ for one in registry() if one.stays} == {
        Tenant.__name__, AuditEvent.__name__, AuditHead.__name__, Erasure.__name__, "Ledger",
    }  # fmt: skip
