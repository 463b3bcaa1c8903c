from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.engine import (
    ABSENT,
    Base,
    BasedOn,
    Operation,
    Origin,
    Revision,
    Rule,
    digest,
    inherited,
    inherited_digest,
    resolve,
)

from .samples import append, base, put, remove, saved

E = {"input": {"message": "e"}, "output": {"reason": "r", "answer": "a"}}
F = {"input": {"message": "f"}, "output": {"reason": "r", "answer": "a"}}
TONE = "instructions.tone"


@pytest.mark.parametrize(
    ("field", "value", "tenant", "user", "effective"),
    [
        (TONE, "A", append(TONE, "B"), append(TONE, "C"), "A\n\nB\n\nC"),
        (TONE, "A", append(TONE, "B"), put(TONE, "C"), "C"),
        (TONE, "A", put(TONE, "B"), append(TONE, "C"), "B\n\nC"),
        (TONE, "A", remove(TONE), None, ABSENT),
        (TONE, "A", remove(TONE), append(TONE, "C"), ABSENT),
        ("examples.x", E, remove("examples.x"), None, ABSENT),
        ("examples.x", E, remove("examples.x"), put("examples.x", F), F),
        ("vars.language", "en", put("vars.language", "fr"), None, "fr"),
        ("vars.language", "en", None, put("vars.language", None), None),
        ("vars.language", "en", put("vars.language", "fr"), remove("vars.language"), ABSENT),
        ("vars.language", "en", None, None, "en"),
    ],
)
def test_layers_come_to_what_the_table_says(
    field: str, value: Any, tenant: Operation | None, user: Operation | None, effective: Any
) -> None:
    layers = [saved(operation) if operation else None for operation in (tenant, user)]
    found = resolve(Base(1, {field: value}, {}), *layers)
    assert found.fields.get(field, ABSENT) == effective
    assert found.digest == digest(found.fields)


def test_a_replaced_section_keeps_its_place_and_added_ones_follow_by_layer() -> None:
    tenant = saved(put("instructions.acme", "T"), put("instructions.role", "R"))
    user = saved(put("instructions.mine", "U"), put("instructions.acme", "T2"))
    found = resolve(base(), tenant, user)
    assert list(found.fields)[:4] == ["instructions.role", TONE, "instructions.acme", "instructions.mine"]
    assert found.fields["instructions.acme"] == "T2"


def test_what_was_removed_and_is_set_again_counts_as_added_by_who_set_it() -> None:
    found = resolve(base(), saved(remove("instructions.role")), saved(put("instructions.role", "mine"), number=4))
    assert [name for name in found.fields if name.startswith("instructions.")] == [TONE, "instructions.role"]
    assert found.origins["instructions.role"] == Origin("user", 4)


def test_sections_come_first_then_examples_then_the_rest_by_name() -> None:
    found = resolve(base(), saved(put("examples.a", F)), None)
    assert list(found.fields) == [
        *("instructions.role", TONE, "examples.late", "examples.a", "checks.short", "input", "limits.timeout_seconds"),
        *("model.max_output_tokens", "model.name", "model.temperature", "output", "prompt", "vars.language"),
        "vars.tone",
    ]
    assert list(found.origins) == list(found.rules) == list(found.fields)


def test_every_field_says_which_layer_it_comes_from_and_who_appended() -> None:
    tenant = saved(append(TONE, "B"), put("vars.tone", "formal"), number=3)
    user = saved(append(TONE, "C"), append("instructions.role", "D"), number=7)
    origins = resolve(base(number=2), tenant, user).origins
    assert origins[TONE] == Origin("base", 2, ("tenant", "user"))
    assert origins["instructions.role"] == Origin("base", 2, ("user",))
    assert origins["vars.tone"] == Origin("tenant", 3)


def test_an_override_equal_to_the_base_is_still_an_override() -> None:
    plain, equal = resolve(base(), None, None), resolve(base(), None, saved(put("vars.tone", "warm"), number=5))
    assert equal.digest == plain.digest
    assert equal.origins["vars.tone"] == Origin("user", 5)


def test_a_lock_that_comes_later_suspends_and_its_going_restores() -> None:
    mine = saved(put("vars.tone", "rude"), number=2)
    free = resolve(base(), None, mine)
    locked = resolve(base(rules={"vars.tone": Rule(edit="locked")}), None, mine)
    assert free.fields["vars.tone"] == "rude"
    assert locked.fields["vars.tone"] == "warm"
    [suspended] = locked.suspended
    assert (suspended.layer, suspended.number, suspended.reason) == ("user", 2, "rule")
    assert suspended.problems[0].rule == "edit"
    assert resolve(base(), None, mine) == free


def test_the_tenants_rules_bind_its_users_and_not_itself() -> None:
    tenant = saved(put("vars.tone", "formal"), rules={"vars.*": Rule(edit="tenant")})
    found = resolve(base(), tenant, saved(put("vars.tone", "rude"), put("vars.mine", 1)))
    assert found.fields["vars.tone"] == "formal"
    assert [suspended.operation.field for suspended in found.suspended] == ["vars.tone", "vars.mine"]
    assert found.rules["vars.tone"].edit == "tenant"
    strict = {"vars.tone": Rule(edit="locked", choices=("plain",), max_chars=1)}
    assert resolve(base(), saved(put("vars.tone", "formal"), rules=strict), None).fields["vars.tone"] == "formal"


def test_where_users_may_not_override_their_layer_is_suspended_whole() -> None:
    mine = saved(put("vars.tone", "rude"), remove("checks.short"), number=9)
    found = resolve(base(), None, mine, users_may_override=False)
    assert found.digest == resolve(base(), None, None).digest
    assert [(s.reason, s.operation.field) for s in found.suspended] == [
        ("policy", "vars.tone"),
        ("policy", "checks.short"),
    ]


def test_an_append_or_removal_without_its_field_is_orphaned_and_hurts_nobody() -> None:
    gone = base(checks={}, instructions={"role": "R"})
    found = resolve(gone, saved(append(TONE, "B")), saved(remove("checks.short"), put("vars.tone", "x")))
    assert [(s.layer, s.reason) for s in found.suspended] == [("tenant", "orphaned"), ("user", "orphaned")]
    assert found.fields["vars.tone"] == "x"


def test_what_is_orphaned_is_not_called_broken_too() -> None:
    gone = base(instructions={"role": "R"})
    seen = BasedOn(1, None, inherited_digest("Be {{ vars.tone }}."), in_base=True)
    for operation in (append(TONE, "B"), remove(TONE), replace(put(TONE, "B"), based_on=seen)):
        found = resolve(gone, saved(operation), None, broken={("tenant", TONE)})
        assert [s.reason for s in found.suspended] == ["orphaned"]


def test_a_value_that_only_the_organisation_had_stays_its_users_own_when_it_goes() -> None:
    """The vendor never had it, so nothing that the user replaced was dropped by the vendor."""
    seen = BasedOn(1, 1, inherited_digest("ACME"), in_base=False)
    mine = saved(replace(put("vars.label", "mine"), based_on=seen))
    assert resolve(base(), saved(put("vars.label", "ACME")), mine).fields["vars.label"] == "mine"
    assert resolve(base(), saved(number=2), mine).fields["vars.label"] == "mine"


def test_what_the_organisation_had_removed_and_a_user_made_anew_outlives_the_vendors() -> None:
    seen = BasedOn(1, 1, "absent", in_base=True)
    mine = saved(replace(put("vars.language", "fr"), based_on=seen))
    found = resolve(base(vars={"tone": "warm"}), saved(remove("vars.language")), mine)
    assert (found.fields["vars.language"], found.origins["vars.language"].layer) == ("fr", "user")


def test_two_removals_and_an_addition_in_one_revision() -> None:
    found = resolve(base(), None, saved(remove(TONE), remove("checks.short"), put("instructions.new", "N")))
    assert [name for name in found.fields if name.startswith(("instructions", "checks"))] == [
        "instructions.role",
        "instructions.new",
    ]
    assert not found.suspended


def test_a_removal_of_what_every_behavior_needs_stays_inactive() -> None:
    found = resolve(base(), saved(remove("prompt"), remove("model.name")), None)
    assert {"prompt", "model.name"} <= found.fields.keys()
    assert [s.problems[0].rule for s in found.suspended] == ["required", "required"]


def test_a_layer_inherits_from_those_before_it_without_what_is_suspended() -> None:
    version = base(rules={"vars.language": Rule(edit="locked")})
    tenant = saved(put("vars.tone", "formal"), put("vars.language", "fr"))
    assert inherited("vars.tone", version, tenant, "tenant") == "warm"
    assert inherited("vars.tone", version, tenant, "user") == "formal"
    assert inherited("vars.language", version, tenant, "user") == "en"
    assert inherited("vars.nothing", version, None, "user") is ABSENT


def test_naming_an_operation_as_broken_suspends_that_one() -> None:
    both = saved(put("vars.tone", "a"), put("vars.language", "b"))
    found = resolve(base(), both, both, broken={("user", "vars.tone")})
    assert (found.fields["vars.tone"], found.origins["vars.tone"].layer) == ("a", "tenant")
    assert [(s.layer, s.reason) for s in found.suspended] == [("user", "broken")]


LOCKED = "Never promise a refund.\n{{ tenant.name }}"
FREE = ["instructions.a", "instructions.b", "vars.tone", "examples.late", "checks.short", "prompt"]


def an_operation(field: str) -> st.SearchStrategy[Operation]:
    value = st.just(F) if field.startswith("examples") else st.text("ab{}%\n ", max_size=12)
    kinds = [st.builds(put, st.just(field), value), st.just(remove(field))]
    if field.startswith(("instructions", "prompt")):
        kinds.append(st.builds(append, st.just(field), st.text("ab", min_size=1)))
    return st.one_of(kinds)


def a_layer(names: list[str]) -> st.SearchStrategy[Revision | None]:
    several = st.lists(st.sampled_from(names), unique=True).flatmap(
        lambda fields: st.tuples(*(an_operation(field) for field in fields))
    )
    return st.none() | st.builds(Revision, st.integers(1, 9), several)


def a_base() -> Base:
    sections = {"law": LOCKED, "a": "A", "b": "B"}
    return base(rules={"instructions.law": Rule(edit="locked")}, instructions=sections)


ATTACKED = ["instructions.law", *FREE]


@given(a_layer(ATTACKED), a_layer(ATTACKED))
def test_locked_text_stays_byte_for_byte_and_in_its_place(tenant: Revision | None, user: Revision | None) -> None:
    found = resolve(a_base(), tenant, user)
    assert next(iter(found.fields.items())) == ("instructions.law", LOCKED)
    assert found.origins["instructions.law"] == Origin("base", 1)


@given(a_layer(FREE), a_layer(FREE), st.randoms(use_true_random=False))
def test_the_order_of_operations_on_existing_fields_does_not_matter(
    tenant: Revision | None, user: Revision | None, random: Any
) -> None:
    present = resolve(a_base(), tenant, None).fields
    if user:
        user = Revision(user.number, tuple(op for op in user.operations if op.field in present))
        shuffled = list(user.operations)
        random.shuffle(shuffled)
        other = resolve(a_base(), tenant, Revision(user.number, tuple(shuffled)))
        assert other.digest == resolve(a_base(), tenant, user).digest


NEW = ["instructions.new", "examples.new", "vars.new", "checks.new"]


@given(a_layer([*ATTACKED, *NEW]), a_layer([*ATTACKED, *NEW]), st.randoms(use_true_random=False))
def test_nor_does_it_for_new_ones_but_for_where_sections_and_examples_stand(
    tenant: Revision | None, user: Revision | None, random: Any
) -> None:
    def shuffled(revision: Revision | None) -> Revision | None:
        return revision and Revision(
            revision.number, tuple(random.sample(revision.operations, len(revision.operations)))
        )

    one, other = resolve(a_base(), tenant, user), resolve(a_base(), shuffled(tenant), shuffled(user))
    assert (one.fields, one.origins) == (other.fields, other.origins)  # as mappings, which have no order
    assert sorted(map(repr, one.suspended)) == sorted(map(repr, other.suspended))


texts = st.text("AB\n", max_size=5)
said = st.none() | st.builds(put, st.just(TONE), texts) | st.builds(append, st.just(TONE), texts)


@given(texts, said | st.just(remove(TONE)), said | st.just(remove(TONE)))
def test_the_table_holds_whatever_the_texts_are(text: str, tenant: Operation | None, user: Operation | None) -> None:
    expected: str | None = text
    for operation in (tenant, user):
        if operation and operation.kind == "set":
            expected = str(operation.value)
        elif operation and operation.kind == "append" and expected is not None:
            expected = f"{expected}\n\n{operation.value}"
        elif operation and operation.kind == "remove":
            expected = None
    layers = [saved(operation) if operation else None for operation in (tenant, user)]
    assert resolve(Base(1, {TONE: text}, {}), *layers).fields.get(TONE) == expected


@given(a_layer(FREE), a_layer(FREE), st.sampled_from(FREE))
def test_what_is_taken_out_follows_the_earlier_layer_again(
    tenant: Revision | None, user: Revision | None, field: str
) -> None:
    left = Revision(2, tuple(op for op in user.operations if op.field != field)) if user else None
    found = resolve(a_base(), tenant, left)
    assert found.fields.get(field, ABSENT) == inherited(field, a_base(), tenant, "user")
    without = resolve(a_base(), tenant, Revision(3, ()))
    assert without.digest == resolve(a_base(), tenant, None).digest


@given(a_layer(FREE), a_layer(FREE))
def test_every_operation_is_either_in_effect_or_listed_as_suspended(
    tenant: Revision | None, user: Revision | None
) -> None:
    found = resolve(a_base(), tenant, user)
    listed = {(s.layer, s.operation.field) for s in found.suspended}
    for op in user.operations if user else ():
        origin = found.origins.get(op.field)
        active = {
            "set": origin is not None and origin.layer == "user",
            "append": origin is not None and "user" in origin.appended,
            "remove": origin is None,
        }[op.kind]
        assert active is not (("user", op.field) in listed) or (op.kind == "remove" and origin is None)
