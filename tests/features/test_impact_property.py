"""What impact says before a move is what happens: over random small histories, for everybody, to the version."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.actions.overrides import ANY, save_operation
from features.actions.pins import pin
from features.actions.policy import set_policy
from features.actions.versions import publish, set_current
from features.actions.withdrawals import withdraw
from features.impact import look
from features.impact.work import work_through
from features.models import Impact, ImpactRow
from features.resolve import serve
from tenants.actor import Actor
from tenants.errors import AppError
from tenants.isolation import OPERATOR
from tests.cast import GREET, Cast, make_cast

PEOPLE = ("ada", "alice", "bob", "gus", "mallory")
WRITES = {
    "instructions.role": ["Mine.", "Politely 2."], "instructions.house": ["Ours."], "vars.tone": ["warm", "formal"],
    "instructions.own": ["In {{ vars.language }}."],
}  # fmt: skip
saves = st.tuples(
    st.just("save"), st.sampled_from(PEOPLE), st.sampled_from(sorted(WRITES)), st.integers(0, 2), st.booleans()
)
pins = st.tuples(st.just("pin"), st.sampled_from(PEOPLE), st.integers(1, 3), st.booleans())
policies = st.tuples(st.just("policy"), st.sampled_from(["ada", "gus"]), st.booleans(), st.booleans())
versions = st.tuples(st.just("publish"), st.booleans(), st.booleans(), st.booleans())
moves = st.tuples(st.sampled_from(["current", "withdraw"]), st.integers(1, 4), st.integers(1, 4))


def acted(cast: Cast, step: tuple[Any, ...]) -> None:
    """Do one thing; what is refused has not happened."""
    match step:
        case ("save", who, field, which, ours):
            actor: Actor = getattr(cast, who)
            texts = WRITES[field]
            operation = {"set": texts[which]} if which < len(texts) else None
            layer: Any = "tenant" if ours and who in ("ada", "gus") else "user"
            save_operation(cast.greet, layer, field, operation, expected=ANY, by=actor)
        case ("pin", who, number, snapshot):
            actor = getattr(cast, who)
            pin(
                cast.greet,
                "user",
                **({"kind": "snapshot"} if snapshot else {"kind": "base", "version": number}),
                by=actor,
            )
        case ("policy", who, may_pin, may_override):
            set_policy(users_may_pin="yes" if may_pin else "no", users_may_override=may_override, by=getattr(cast, who))
        case ("publish", role, variables, current):
            number = 1 + Impact.objects.using(OPERATOR).count()
            behavior = {**GREET}
            if role:
                behavior["instructions"] = {**GREET["instructions"], "role": f"Politely {number}."}
            if variables:
                behavior["vars"] = {"tone": "plain", "speech": "English"}
            publish(cast.greet, behavior=behavior, make_current=current, by=cast.operator)


def everybody(cast: Cast) -> dict[Any, tuple[int, str]]:
    found = {}
    for name in (*PEOPLE, "vera", "acme_service", "globex_service"):  # the last two are the organisations themselves
        actor: Actor = getattr(cast, name)
        with actor.present():
            served = serve(cast.greet, actor.tenant_id, actor.acting_for())
        found[served.who.id] = (served.choice.base, served.digest)
    return found


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
@given(steps=st.lists(saves | saves | pins | policies | versions, max_size=9), move=moves)
def the_impact_is_what_happens(empty: Any, steps: list[tuple[Any, ...]], move: tuple[str, int, int]) -> None:
    empty()
    cast = make_cast()
    for step in [*steps[:5], ("publish", True, False, False), *steps[5:]]:
        try:
            acted(cast, step)
        except AppError:
            continue
    what, number, other = move
    work_through()
    try:
        asked = look(cast.greet, to=number, withdraw=other if what == "withdraw" else None, by=cast.operator)
        before = everybody(cast)
        if what == "withdraw":
            withdraw(cast.greet, other, replacement=number, reason="So.", by=cast.operator)
        else:
            set_current(cast.greet, number, by=cast.operator)
    except AppError:
        return
    after = everybody(cast)
    work_through()
    asked.refresh_from_db(using=OPERATOR)
    rows = {row.subject: row for row in ImpactRow.objects.using(OPERATOR).filter(impact=asked)}
    for subject, row in rows.items():
        assert (row.before, row.after) == (before[subject][0], after[subject][0]), row.name
        assert row.outcome != "unaffected" or before[subject] == after[subject], row.name
    plain = [subject for subject in before if subject not in rows and before[subject][0] != after[subject][0]]
    assert sum(asked.counts["moving"].values()) == len(plain)
    changed = {subject for subject in before if before[subject] != after[subject]}
    assert changed <= {row.subject for row in rows.values() if row.before != row.after} | set(plain)
    recorded = Impact.objects.using(OPERATOR).filter(kind=what).last()
    if recorded is not None:  # a move to where it is already records none
        assert recorded.counts == asked.counts


def test_what_impact_says_is_what_happens_to_everybody(committed: None, empty_database: Any) -> None:
    the_impact_is_what_happens(empty_database)
