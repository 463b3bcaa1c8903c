"""Try a change before it is made: both behaviors, the one served and the one wished for, on some inputs, in workers.

What would be served is found by doing it (the very action, in a transaction that is rolled back), so a preview resolves
exactly as the change would once it is made, and is refused for the same reasons. Its runs are ordinary runs of the
queue, each bound to its side of the preview (sides.py); they are in no list and go away with it (previewed.py).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from features.actions.conflicts import resolve
from features.actions.judging import Layer
from features.actions.overrides import ANY, save_override, whose
from features.actions.pins import pin, pin_now, restore, unpin
from features.engine import Json, dumps, pointer
from features.models import Feature, ModelTarget
from features.released import released
from features.resolve import clock, serve
from features.served import Served
from tenants.actor import Actor
from tenants.errors import AppError, Invalid, NotFound, Problem, TooMany
from tenants.ids import floor_of, uuid7
from tenants.isolation import APP, tenant_tx
from tenants.models import Subject
from tenants.subjects import Who, make_sure

from .accept import find_run
from .bells import ring
from .costs import MICRO, most_input, most_output
from .models import FINAL, Preview, Queued, Run, State
from .replay import on_version
from .reservations import in_currency
from .sides import newest_saved, side_of

MOST_INPUTS = 10
MOST_AT_ONCE = 2  # previews of one subject that have not ended
KEPT = timedelta(hours=1)
LOOKED_THROUGH = 200  # of one's newest runs, for inputs that differ


@dataclass(frozen=True, slots=True)
class Wish:
    """What to try: at most one of these. With none of them: the end of one's pin, or without a pin the newest version.

    override: {"set", "append", "remove", "rules"}. pin: {"kind", "version", "until"}. restore: {"at": time} or
    {"run": id}. resolve: {field: "keep" | "take" | "hold" | operation}.
    """

    override: Mapping[str, Any] | None = None
    version: int | None = None
    pin: Mapping[str, Any] | None = None
    restore: Mapping[str, Any] | None = None
    resolve: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """One input, and what of it each side does not take."""

    input: Json
    before: tuple[Problem, ...]
    after: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """A preview before it is written: both sides, the questions, whose, where, and what it may cost at the worst."""

    feature: Feature
    layer: str
    who: Who
    tenant_id: UUID
    before: Served
    after: Served
    newest: Mapping[str, int]
    questions: Sequence[Question]
    most: int

    @property
    def one(self) -> bool:
        """Whether both sides are the same behavior on the same models, so that one run serves both."""
        return _identity(self.before) == _identity(self.after)


def start_preview(
    feature: Feature,
    layer: Layer,
    wish: Wish,
    *,
    inputs: Sequence[Json] | None = None,
    recent: int | None = None,
    by: Actor,
) -> Preview:
    """Run the behavior served now and the one wished for on inputs, or on as many of one's own recent ones.

    Nothing of the wish is kept but with the preview, for an hour. Raises whatever making the change would raise;
    Invalid for inputs that neither side takes and where the worst cost is over the cap; TooMany.
    """
    by.need("run.create")
    if layer == "tenant":
        by.need("override.tenant")
    who = whose(layer, by)
    newest, before, after = _rehearse(feature, layer, wish, who, by)
    given = _recent(feature, recent or 0, by) if inputs is None else _checked_count(inputs)
    questions = _questions(before, after, given, refuse=inputs is not None)
    name, tenant_id = by.in_tenant().name, by.tenant_id
    preview = begin(feature, layer, who, tenant_id, before, after, newest, questions, tenant_name=name, by=by)
    transaction.on_commit(lambda: ring(len(preview.runs)), using=APP)
    return preview


def begin(
    feature: Feature, layer: str, who: Who, tenant_id: UUID, before: Served, after: Served, newest: Mapping[str, int],
    questions: Sequence[Question], *, tenant_name: str, by: Actor,
) -> Preview:  # fmt: skip
    """Write a preview and its runs. Raises Invalid over the cost cap, and TooMany."""
    plan = Plan(feature, layer, who, tenant_id, before, after, newest, questions, most=0)
    plan = replace(plan, most=_worst_cost(plan, tenant_name))
    if plan.most > settings.PREVIEW_COST:
        told = f"could cost {in_currency(plan.most)}; a preview may cost {in_currency(settings.PREVIEW_COST)}"
        wrong = [Problem("/inputs", "cost", told)]
        raise Invalid(f"This preview {told}. Try fewer or shorter inputs.", errors=wrong)
    with tenant_tx(tenant_id):
        _take_turn(plan)
        return _write(plan, by)


def question_of(before: Served, after: Served, value: Json) -> Question:
    """An input, with what each side does not take of it."""
    return Question(value, tuple(before.compiled.input_problems(value)), tuple(after.compiled.input_problems(value)))


def _rehearse(feature: Feature, layer: Layer, wish: Wish, who: Who, by: Actor) -> tuple[dict[str, int], Served, Served]:
    """What is served now and what would be, and the revisions there are. All that was done for it is rolled back."""
    with by.rehearsing():
        newest = newest_saved(feature, by.tenant_id, who)
        before = serve(feature, by.tenant_id, who)
        after = _granted(feature, layer, wish, who, before, by)
    return newest, before, after


def _granted(feature: Feature, layer: Layer, wish: Wish, who: Who, before: Served, by: Actor) -> Served:
    """Grant a wish within the transaction, and return what is served then."""
    if wish.version is not None:
        if wish.version not in released(feature, by.tenant_id, who):
            raise NotFound(f"{feature.key} has no version {wish.version}.")
        return on_version(feature, wish.version, who, before, by)
    if wish.override is not None:
        with _pointing_into("override"):
            save_override(feature, layer, wish.override, expected=ANY, by=by)
    elif wish.pin is not None:
        with _pointing_into("pin"):
            pin(feature, layer, **wish.pin, by=by)
    elif wish.restore is not None:
        at, run = wish.restore.get("at"), wish.restore.get("run")
        receipt = None if run is None else _receipt_of(feature, run, who, by)
        restore(feature, layer, at=at, receipt=receipt, by=by)
    elif wish.resolve is not None:
        with _pointing_into("resolve", instead_of="/fields"):
            resolve(feature, layer, wish.resolve, expected=ANY, by=by)
    elif pin_now(feature, who) is not None:
        unpin(feature, layer, by=by)
    else:
        return on_version(feature, before.choice.wanted, who, before, by)
    return serve(feature, by.tenant_id, who)


def _receipt_of(feature: Feature, run_id: UUID, who: Who, by: Actor) -> Mapping[str, Any]:
    run = find_run(run_id, by)
    if run is None or run.feature_id != feature.id:
        raise NotFound("There is no such run.")
    if run.subject_id != who.id and not who.is_tenant:  # its receipt counts somebody else's revisions
        told = Problem("/restore/run", "subject", "must be a run of one's own")
        raise Invalid("That run was made for somebody else: it says nothing of your own changes.", errors=[told])
    receipt: Mapping[str, Any] = run.receipt
    return receipt


def _recent(feature: Feature, count: int, by: Actor) -> list[Json]:
    """The newest distinct inputs that the caller's own runs had: never other people's, whoever asks."""
    with by.present():
        rows = Run.objects.filter(
            tenant_id=by.tenant_id, subject_id=by.acting_for().id, feature=feature, preview=None,
            state__in=(State.SUCCEEDED, State.FAILED),
        )  # fmt: skip
        inputs = list(rows.order_by("-id").values_list("input", flat=True)[:LOOKED_THROUGH])
    found = list({dumps(value): value for value in inputs if value is not None}.values())[: min(count, MOST_INPUTS)]
    if not found:
        told = Problem("/recent", "none", "there is no run of yours that has ended")
        raise Invalid(f"You have no runs of {feature.key} yet: say on which inputs to try it.", errors=[told])
    return found


def _checked_count(inputs: Sequence[Json]) -> Sequence[Json]:
    if not 1 <= len(inputs) <= MOST_INPUTS:
        told = Problem("/inputs", "size", f"must be 1 to {MOST_INPUTS}")
        raise Invalid(f"A preview takes 1 to {MOST_INPUTS} inputs.", errors=[told])
    return inputs


def _questions(before: Served, after: Served, inputs: Sequence[Json], *, refuse: bool) -> list[Question]:
    """Each distinct input once. Raises Invalid for one that neither side takes, where such are refused."""
    asked = [question_of(before, after, value) for value in inputs]
    wrong = [
        Problem(pointer("inputs", place) + problem.pointer, problem.rule, problem.message)
        for place, question in enumerate(asked)
        for problem in question.after
        if question.before and refuse
    ]
    if wrong:
        raise Invalid(f"An input is not what {before.feature.key} takes.", errors=wrong)
    return list({dumps(question.input): question for question in asked}.values())


def _worst_cost(plan: Plan, tenant_name: str) -> int:
    """Micro-units if every answer were as long as it may be, and repaired as often as it may be."""
    total = 0
    for question in plan.questions:
        sides = [(plan.before, question.before), *([] if plan.one else [(plan.after, question.after)])]
        total += sum(_worst_of_run(side, question.input, plan, tenant_name) for side, wrong in sides if not wrong)
    return total


def _worst_of_run(served: Served, question: Any, plan: Plan, tenant_name: str) -> int:
    compiled = served.compiled
    try:
        messages = compiled.messages(question, tenant_name=tenant_name, user_key=plan.who.key, now=plan.before.at)
    except AppError:  # the run will say so, before it asks a model
        return 0
    calls, repairs, asked = 1 + compiled.limits.repairs, compiled.limits.repairs, most_input(messages, compiled)

    def most(target: ModelTarget) -> int:
        answered = most_output(compiled, target)
        into = calls * asked + repairs * 2 * answered  # a repair brings the answer back, and what is wrong with it
        return into * target.input_price + calls * answered * target.output_price

    return -(-max(map(most, served.targets.values()), default=0) // MICRO)


def _take_turn(plan: Plan) -> None:
    """One at a time for each subject from here to COMMIT. Raises TooMany while its others have not ended."""
    make_sure(plan.tenant_id, plan.who)
    Subject.objects.select_for_update(no_key=True).get(pk=plan.who.id)
    rows = Run.objects.filter(subject_id=plan.who.id, id__gte=floor_of(plan.before.at - 2 * KEPT))
    working = rows.exclude(preview=None).exclude(state__in=FINAL).values("preview").distinct().count()
    if working >= MOST_AT_ONCE:
        raise TooMany(f"{MOST_AT_ONCE} previews are still at work: wait for one to end.", headers={"Retry-After": "5"})


def _write(plan: Plan, by: Actor) -> Preview:
    preview_id, runs, now = uuid7(), list[Run](), clock()

    def side(name: str, question: Question) -> dict[str, Any]:
        served, wrong = (plan.before, question.before) if name == "before" else (plan.after, question.after)
        if wrong:
            return {"problems": [{"pointer": p.pointer, "rule": p.rule, "message": p.message} for p in wrong]}
        runs.append(_run(plan, served, question, preview_id, now, by))
        return {"run": str(runs[-1].id)}

    pairs = []
    for question in plan.questions:
        before = side("before", question)
        after = before if plan.one else side("after", question)
        pairs.append({"input": question.input, "before": before, "after": after})
    sides = {
        "layer": plan.layer, "most": plan.most, "at": plan.before.at.isoformat(), "pairs": pairs,
        "before": side_of(plan.before, plan.newest), "after": side_of(plan.after, plan.newest),
    }  # fmt: skip
    preview = Preview(
        id=preview_id, tenant_id=plan.tenant_id, feature_id=plan.feature.id, subject_id=plan.who.id, author=by.label,
        sides=sides, runs=[str(run.id) for run in runs], created_at=now, expires_at=now + KEPT,
    )  # fmt: skip
    preview.save(force_insert=True)
    Run.objects.bulk_create(runs)
    Queued.objects.bulk_create(
        Queued(id=run.id, tenant_id=plan.tenant_id, feature=plan.feature.id, not_before=Now()) for run in runs
    )
    return preview


def _run(plan: Plan, served: Served, question: Question, preview_id: UUID, now: datetime, by: Actor) -> Run:
    return Run(
        tenant_id=plan.tenant_id, feature_id=plan.feature.id, subject_id=plan.who.id, input=question.input,
        receipt=served.receipt.as_json(), now=plan.before.at, author=by.label, preview=preview_id, created_at=now,
    )  # fmt: skip


def _identity(served: Served) -> tuple[str, dict[str, UUID]]:
    return served.digest, {alias: target.id for alias, target in served.targets.items()}


@contextmanager
def _pointing_into(part: str, instead_of: str = "") -> Iterator[None]:
    """Let problems point into what was sent, of which this is a part."""
    try:
        yield
    except AppError as wrong:
        wrong.errors = tuple(
            replace(problem, pointer=pointer(part) + problem.pointer.removeprefix(instead_of))
            for problem in wrong.errors
        )
        raise
