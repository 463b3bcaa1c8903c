"""What becomes of an override when the base moves under it: behavior.md 6, row by row and for both layers."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.engine import (
    ABSENT,
    Base,
    BasedOn,
    Held,
    Operation,
    Rebased,
    Revision,
    Rule,
    held_by,
    inherited,
    inherited_digest,
    rebase,
)

from .samples import REPLY, append, base, put, remove, saved
from .test_merge import a_base, a_layer

TONE, ROLE = "instructions.tone", "instructions.role"
LAYERS = ["tenant", "user"]


class Vendor:
    """Versions by number, and overrides saved on them as the product saves them: each operation with what was seen."""

    def __init__(self, *versions: Base) -> None:
        self.versions = {version.number: version for version in versions}

    def __call__(self, number: int) -> Base:
        return self.versions[number]

    def saved(
        self, layer: Any, *operations: Operation, on: int = 1, under: Revision | None = None, number: int = 1
    ) -> Revision:
        return saved(*(self._seen(layer, op, on, under) for op in operations), number=number)

    def _seen(self, layer: Any, operation: Operation, on: int, under: Revision | None) -> Operation:
        below = under if layer == "user" else None
        value = inherited(operation.field, self(on), below, layer)
        in_base = operation.field in self(on).fields
        seen = BasedOn(on, below.number if below else None, inherited_digest(value), in_base)
        return replace(operation, based_on=seen)

    def look(self, layer: Any, revision: Revision, on: int, under: Revision | None = None) -> tuple[Rebased, ...]:
        tenant, user = (revision, None) if layer == "tenant" else (under, revision)
        return rebase(self(on), tenant, user, layer=layer, bases=self)

    def held(self, on: int, tenant: Revision | None, user: Revision | None) -> Held | None:
        return held_by(self(on), tenant, user, bases=self)


OTHER_OUTPUT = REPLY["output"] | {
    "properties": {"reason": {"type": "string"}, "reply": {"type": "string"}},
    "required": ["reply"],
}
FITS = {"input": {"message": "?"}, "output": {"reason": "r", "answer": "a"}}
MOVED = {"instructions": {"role": "You help.", "tone": "Be brief."}}
NEW = {"vars": {**REPLY["vars"], "label": "vendor’s"}}
NO_LANGUAGE = {"vars": {"tone": "warm"}}
NO_CHECKS: dict[str, Any] = {"checks": {}}


# operation, what the next version changes, its rules, what becomes of it, who changed what it stands on, held?
@pytest.mark.parametrize(
    ("operation", "changes", "rules", "outcome", "by", "holds"),
    [
        pytest.param(put(TONE, "Shout."), {}, {}, "carried", None, False, id="the same beneath"),
        pytest.param(
            put(TONE, "Shout."), {"prompt": "{{ input.message }}"}, {}, "carried", None, False, id="elsewhere"
        ),
        pytest.param(put(TONE, "Be brief."), MOVED, {}, "redundant", "vendor", False, id="now what I had"),
        pytest.param(put(TONE, "Shout."), {"instructions": {"role": "R"}}, {}, "orphaned", "vendor", False, id="gone"),
        pytest.param(append(TONE, "x"), {"instructions": {"role": "R"}}, {}, "orphaned", "vendor", False, id="gone+"),
        pytest.param(remove("checks.short"), NO_CHECKS, {}, "orphaned", "vendor", False, id="gone-"),
        pytest.param(put("vars.language", "fr"), NO_LANGUAGE, {}, "orphaned", "vendor", False, id="var gone"),
        pytest.param(put(TONE, "x"), {}, {TONE: Rule(edit="locked")}, "suspended", None, False, id="locked"),
        pytest.param(put(TONE, "x"), MOVED, {TONE: Rule(edit="locked")}, "suspended", "vendor", False, id="and moved"),
        pytest.param(put(TONE, "long"), {}, {TONE: Rule(max_chars=3)}, "suspended", None, False, id="too long"),
        pytest.param(append(TONE, "x"), MOVED, {TONE: Rule(max_chars=9)}, "suspended", "vendor", False, id="together"),
        pytest.param(put(TONE, "Shout."), MOVED, {}, "conflict", "vendor", True, id="changed under a set"),
        pytest.param(
            put("prompt", "!{{ input.message }}"), {"prompt": "?"}, {}, "conflict", "vendor", True, id="prompt"
        ),
        pytest.param(
            put("vars.tone", "rude"), {"vars": {"tone": "dry"}}, {}, "conflict", "vendor", False, id="var kept"
        ),
        pytest.param(
            replace(put("vars.tone", "rude"), hold=True),
            {"vars": {"tone": "dry"}},
            {},
            "conflict",
            "vendor",
            True,
            id="var held by wish",
        ),
        pytest.param(
            replace(put("vars.tone", "rude"), hold=True),
            {"vars": {"tone": "warm"}},
            {},
            "carried",
            None,
            False,
            id="calm",
        ),
        pytest.param(
            put("model.temperature", 1),
            {"model": {"name": "standard"}},
            {},
            "orphaned",
            "vendor",
            False,
            id="model gone",
        ),
        pytest.param(
            put("model.temperature", 1),
            {"model": {"name": "standard", "temperature": 0.5}},
            {"model.*": Rule(edit="user")},
            "conflict",
            "vendor",
            False,
            id="model kept",
        ),
        pytest.param(append(TONE, "x"), MOVED, {}, "carried", "vendor", False, id="changed under an append"),
        pytest.param(remove(TONE), MOVED, {}, "carried", "vendor", False, id="changed under a removal"),
        pytest.param(put("vars.label", "mine"), NEW, {}, "conflict", "vendor", False, id="new in base, a variable"),
        pytest.param(put("vars.label", "vendor’s"), NEW, {}, "redundant", "vendor", False, id="new in base, the same"),
        pytest.param(
            put("instructions.mine", "M"),
            {"instructions": {**REPLY["instructions"], "mine": "V"}},
            {},
            "conflict",
            "vendor",
            True,
            id="new in base, a section",
        ),
        pytest.param(
            put("examples.mine", FITS),
            {"output": OTHER_OUTPUT, "examples": {}, "checks": {}},
            {},
            "broken",
            None,
            True,
            id="breaks",
        ),
        pytest.param(
            put("instructions.mine", "{{ vars.language }}"),
            NO_LANGUAGE,
            {},
            "broken",
            None,
            True,
            id="breaks a template",
        ),
        pytest.param(
            put("checks.mine", {"kind": "max_words", "at": "/reason", "max": 50}),
            {
                "output": REPLY["output"] | {"properties": {"answer": {"type": "string"}}, "required": ["answer"]},
                "examples": {},
                "checks": {},
            },
            {},
            "broken",
            None,
            True,
            id="breaks what would only be kept",
        ),
        pytest.param(
            put("output", REPLY["output"] | {"title": "mine"}),
            {"output": REPLY["output"] | {"title": "vendor’s"}},
            {"output": Rule(edit="user")},
            "conflict",
            "vendor",
            True,
            id="the contract",
        ),
    ],
)
@pytest.mark.parametrize("layer", LAYERS)
def test_what_becomes_of_an_operation(
    layer: Any,
    operation: Operation,
    changes: dict[str, Any],
    rules: dict[str, Rule],
    outcome: str,
    by: str | None,
    holds: bool,
) -> None:
    vendor = Vendor(base(1), base(2, rules, **changes))
    revision = vendor.saved(layer, operation)
    [found] = vendor.look(layer, revision, 2)
    assert (found.outcome, found.changed, found.holds) == (outcome, by, holds)
    assert (found.layer, found.operation) == (layer, revision.operations[0])
    tenant, user = (revision, None) if layer == "tenant" else (None, revision)
    held = vendor.held(2, tenant, user)
    assert held == (Held(layer, (operation.field,), 1) if holds else None)


def test_both_ends_of_what_is_inherited_are_given() -> None:
    vendor = Vendor(base(1), base(2, **MOVED))
    [moved, gone, new] = vendor.look(
        "user", vendor.saved("user", put(TONE, "x"), put("instructions.mine", "M"), remove("checks.short")), 2
    )
    assert (moved.then, moved.now) == ("Be {{ vars.tone }}.", "Be brief.")
    assert (gone.then, gone.now) == (ABSENT, ABSENT)
    assert new.then == new.now == REPLY["checks"]["short"]


def test_the_order_of_properties_tells_an_example_from_another() -> None:
    turned = {"input": FITS["input"], "output": {"answer": "a", "reason": "r"}}
    vendor = Vendor(base(1), base(2, examples={"late": turned}))
    assert [r.outcome for r in vendor.look("user", vendor.saved("user", put("examples.late", FITS)), 2)] == ["conflict"]
    assert [r.outcome for r in vendor.look("user", vendor.saved("user", put("examples.late", turned)), 2)] == [
        "redundant"
    ]


@pytest.mark.parametrize(
    ("before", "after", "vendor_moves", "outcome", "by"),
    [
        (None, put(TONE, "Acme’s"), False, "carried", "tenant"),
        (put(TONE, "Acme’s"), put(TONE, "Acme’s other"), False, "carried", "tenant"),
        (put(TONE, "Acme’s"), None, False, "carried", "tenant"),
        (None, remove(TONE), False, "carried", "tenant"),
        (None, put(TONE, "mine"), False, "redundant", "tenant"),
        (put(TONE, "Acme’s"), put(TONE, "Acme’s"), True, "carried", None),
        (append(TONE, "Acme’s"), append(TONE, "Acme’s"), True, "conflict", "vendor"),
        (None, put(TONE, "Acme’s"), True, "carried", "tenant"),
        (put(TONE, "Acme’s"), None, True, "conflict", "vendor"),
        (append(TONE, "old"), append(TONE, "new"), True, "conflict", "vendor"),
    ],
)
def test_what_the_organisation_alone_changed_is_listed_to_the_user_and_always_kept(
    before: Operation | None, after: Operation | None, vendor_moves: bool, outcome: str, by: str | None
) -> None:
    vendor = Vendor(base(1), base(2, **MOVED))
    then = saved(before, number=1) if before else None
    now = saved(after, number=2) if after else None
    mine = vendor.saved("user", put(TONE, "mine"), under=then)
    [found] = vendor.look("user", mine, 2 if vendor_moves else 1, under=now)
    assert (found.outcome, found.changed) == (outcome, by)
    assert found.holds is (outcome == "conflict")


def test_going_back_to_an_older_version_is_a_move_like_any_other() -> None:
    vendor = Vendor(base(1), base(2, **MOVED))
    mine = vendor.saved("user", put(TONE, "mine"), on=2)
    assert vendor.look("user", mine, 1)[0].outcome == "conflict"
    assert vendor.held(1, None, mine) == Held("user", (TONE,), 2)


def test_what_the_vendor_changes_and_takes_back_is_no_conflict() -> None:
    vendor = Vendor(base(1), base(2, **MOVED), base(3))
    mine = vendor.saved("user", put(TONE, "mine"))
    assert [vendor.look("user", mine, number)[0].outcome for number in (1, 2, 3)] == ["carried", "conflict", "carried"]


def test_saving_a_resolution_on_the_new_base_ends_the_conflict() -> None:
    vendor = Vendor(base(1), base(2, **MOVED))
    assert vendor.held(2, None, vendor.saved("user", put(TONE, "mine"))) is not None
    kept = vendor.saved("user", put(TONE, "mine"), on=2)
    assert vendor.look("user", kept, 2)[0].outcome == "carried"
    assert vendor.held(2, None, kept) is None


def test_what_the_organisations_own_save_breaks_is_suspended_and_holds_nobody() -> None:
    vendor = Vendor(base(1), base(2, prompt="{{ input.message }}"))
    with_label = saved(put("vars.label", "ACME"), number=1)
    mine = vendor.saved("user", put("instructions.mine", "Use {{ vars.label }}."), under=with_label)
    for number in (1, 2):
        [found] = vendor.look("user", mine, number, under=saved(number=2))
        assert (found.outcome, found.holds) == ("suspended", False)
        assert vendor.held(number, saved(number=2), mine) is None


@pytest.mark.parametrize("layer", LAYERS)
def test_what_the_base_breaks_is_broken_though_it_leans_on_the_owners_other_changes(layer: Any) -> None:
    vendor = Vendor(base(1), base(2, **NO_LANGUAGE, instructions={"role": "R"}))
    mine = vendor.saved(
        layer, put("vars.label", "mine"), put("instructions.mine", "{{ vars.label }}, in {{ vars.language }}")
    )
    label, section = vendor.look(layer, mine, 2)
    assert (label.outcome, label.holds) == ("carried", False)
    assert (section.outcome, section.holds) == ("broken", True)


def test_broken_by_both_is_put_down_to_the_organisation() -> None:
    vendor = Vendor(base(1), base(2, **NO_LANGUAGE))
    with_label = saved(put("vars.label", "ACME"), number=1)
    mine = vendor.saved("user", put("instructions.mine", "{{ vars.label }} {{ vars.language }}"), under=with_label)
    assert vendor.look("user", mine, 2, under=with_label)[0].outcome == "broken"
    assert vendor.look("user", mine, 2, under=None)[0].outcome == "suspended"


def test_of_two_operations_each_has_an_outcome_of_its_own_in_the_order_written() -> None:
    vendor = Vendor(base(1), base(2, {"vars.tone": Rule(edit="locked")}, **MOVED, vars={"tone": "warm"}))
    mine = vendor.saved("user", put("vars.tone", "rude"), put("vars.language", "fr"), put(ROLE, "x"), append(TONE, "y"))
    assert [(r.operation.field, r.outcome) for r in vendor.look("user", mine, 2)] == [
        ("vars.tone", "suspended"),
        ("vars.language", "orphaned"),
        (ROLE, "conflict"),
        (TONE, "carried"),
    ]


def test_the_organisations_override_decides_first_and_for_everyone() -> None:
    vendor = Vendor(base(1), base(2, **MOVED))
    ours, mine = vendor.saved("tenant", put(ROLE, "Acme’s")), vendor.saved("user", put(TONE, "mine"))
    assert vendor.held(2, ours, mine) == Held("tenant", (ROLE,), 1)
    assert vendor.held(2, ours, None) == Held("tenant", (ROLE,), 1)
    assert vendor.held(2, None, mine) == Held("user", (TONE,), 1)
    assert vendor.held(1, ours, mine) is None
    assert vendor.held(2, None, None) is None


def test_a_subject_is_held_on_the_newest_version_that_a_holding_operation_was_saved_on() -> None:
    vendor = Vendor(base(1), base(2), base(3, **MOVED), base(4, instructions={"role": "R4", "tone": "T4"}))
    on_one = vendor.saved("user", put(ROLE, "r"), put("vars.tone", "x"))
    on_two = vendor.saved("user", put(TONE, "t"), on=2)
    both = saved(*on_one.operations, *on_two.operations)
    assert vendor.held(4, None, both) == Held("user", (ROLE, TONE), 2)
    on_three = vendor.saved("user", put("vars.language", "fr"), on=3)  # which holds nobody
    assert vendor.held(4, None, saved(*both.operations, *on_three.operations)) == Held("user", (ROLE, TONE), 2)


def test_an_operation_that_says_not_what_it_was_based_on_is_carried() -> None:
    vendor = Vendor(base(1), base(2, **MOVED))
    old = saved(put(TONE, "x"))
    assert [(r.outcome, r.changed) for r in vendor.look("user", old, 2)] == [("carried", None)]
    assert vendor.held(2, None, old) is None


def test_an_empty_override_has_nothing_to_carry() -> None:
    vendor = Vendor(base(1), base(2, **MOVED))
    assert rebase(vendor(2), saved(), None, layer="tenant", bases=vendor) == ()
    assert rebase(vendor(2), None, None, layer="user", bases=vendor) == ()


ANY = ["instructions.a", "instructions.b", "instructions.new", "vars.tone", "vars.new", "examples.late", "prompt"]


@given(a_layer(ANY), a_layer(ANY), st.sampled_from(LAYERS))
def test_on_the_version_it_was_saved_on_nothing_has_changed(
    tenant: Revision | None, user: Revision | None, layer: Any
) -> None:
    """Unless it never was in effect there: then it is listed as suspended or orphaned, and still holds nobody."""
    vendor = Vendor(a_base())
    ours = vendor.saved("tenant", *tenant.operations) if tenant else None
    mine = vendor.saved("user", *user.operations, under=ours) if user else None
    for found in rebase(vendor(1), ours, mine, layer=layer, bases=vendor):
        assert (found.changed, found.holds) == (None, False)
        assert found.outcome in ("carried", "suspended", "orphaned")
    assert vendor.held(1, ours, mine) is None


SAFE = ["instructions.a", "instructions.b", "vars.tone", "vars.new", "instructions.new"]


@given(
    st.lists(st.tuples(st.sampled_from(SAFE), st.sampled_from(["x", "y", "z"])), unique_by=lambda pair: pair[0]),
    st.sampled_from(LAYERS),
)
def test_what_could_be_saved_is_carried_on_a_version_that_changes_nothing(
    pairs: list[tuple[str, str]], layer: Any
) -> None:
    vendor = Vendor(a_base(), replace(a_base(), number=2))
    revision = vendor.saved(layer, *(put(field, value) for field, value in pairs))
    for number in (1, 2):
        assert all(found.outcome == "carried" for found in vendor.look(layer, revision, number))
