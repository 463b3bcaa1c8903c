"""Domain objects → what templates are given: features as heads, runs as lines and in full, receipts, money."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from features.contents import titles_of
from features.explain import hidden_fields
from features.models import Feature
from features.runs.listing import attempts_of, repairs_of
from features.runs.models import FINAL, Attempt, Run, State
from features.runs.receipts import served_by
from features.served import Served
from tenants.actor import Actor

from .comparing import pieces
from .parts import CallLine, Difference, Failure, Head, OriginRow, ReceiptLine, RunLine, RunView
from .rendering import coming_output, copy_text, field_summary, flat, render_output, summary_line
from .slots import as_field, shortened
from .words import field_title, joined, layer_of, plain, sentence

DEMO_PROVIDER = "demo"  # the small model that `make demo` starts, which pages always call by what it is
MICRO = 1_000_000
SHOWN = 120  # characters of a field under "Why this answer?"
ADVICE = {
    "timeout": gettext_lazy("Try again in a moment, or shorten what you send."),
    "unavailable": gettext_lazy("Nothing is lost: try again in a moment."),
    "truncated": gettext_lazy("Ask for less at once, or shorten what you send."),
    "refused": gettext_lazy("Say it differently, or leave out what the model will not speak of."),
    "filtered": gettext_lazy("Leave out what the provider's filter may have taken offence at."),
    "invalid": gettext_lazy("Try again. If it keeps failing, your own changes may ask for what the contract forbids."),
    "empty": gettext_lazy("Try again, or say more."),
    "rejected": gettext_lazy("The provider runs the model. Try again; if it goes on, tell your administrator."),
    "unrenderable": gettext_lazy("One of your own changes may name what this input has not: look under Make it mine."),
    "unreproducible": gettext_lazy("Run it again as it is today, and tell your administrator."),
    "over_budget": gettext_lazy("Wait until it begins anew, or ask your administrator to raise it."),
    "over_cost": gettext_lazy("Shorten what you send, or ask for less at once."),
    **dict.fromkeys(
        ("key_refused", "key_unreadable", "address_refused"),
        gettext_lazy("Your administrator can enter another one under Keys and webhooks."),
    ),
    "worker_lost": gettext_lazy("Try again. If it happens again, tell your administrator."),
}


def head_of(feature: Feature, served: Served, titles: Mapping[str, Any] | None = None) -> Head:
    """A feature as its pages are headed, with how many fields the person and their organisation have changed."""
    mine, shared = ({op.field for op in one.operations} if one else set() for one in (served.user, served.tenant))
    choice = served.choice
    held = choice.held
    return Head(
        key=feature.key,
        title=feature.title,
        summary=feature.summary,
        verb=feature.verb,
        icon=feature.icon,
        mine=len(mine),
        ours=len(shared - mine),
        shared=len(shared),
        staying=choice.pin is not None and choice.pin.layer == "user",
        waiting=choice.wanted if (held or choice.pin) and choice.wanted > choice.base else 0,
        held=held is not None,
        held_by=held.by if held else "",
        held_fields=joined([field_title(field, titles) for field in held.fields]) if held else "",
        version=choice.base,
        ends=feature.retires_at,
        ended=feature.retires_at is not None and feature.retires_at <= timezone.now(),
        retiring=feature.retiring,
    )


def feature_page(feature: Feature, served: Served, actor: Actor) -> dict[str, Any]:
    """What every page of a feature is given."""
    titles = titles_of(feature, served.choice.base) if served.choice.held else None
    return {
        "here": "feature",
        "feature": head_of(feature, served, titles),
        "may_edit_org": "override.tenant" in actor.can,
    }


def line_of(run: Run) -> RunLine:
    """A run in a list, called by the first text of its input."""
    return RunLine(
        id=str(run.id),
        feature=run.feature.key,
        feature_title=run.feature.title,
        title=summary_line(run.input),
        state=run.state,
        created=run.created_at,
        verdict=verdict_of(run),
    )


def verdict_of(run: Run) -> str:
    """What was said of an output: good, bad, corrected, or nothing yet."""
    feedback = run.feedback or {}
    return "corrected" if feedback.get("correction") is not None else str(feedback.get("verdict", ""))


def view_of(run: Run, actor: Actor, served: Served | None = None) -> RunView:
    """A run in full; within the actor's transaction. `served` is what it was served with, when that is known."""
    served = served or served_by(run)
    fields, going = served.effective.fields, run.state not in FINAL
    done = run.state == State.SUCCEEDED
    nodes = coming_output(fields["output"]) if going else render_output(run.output, fields["output"]) if done else ()
    return RunView(
        id=str(run.id),
        feature=run.feature.key,
        feature_title=run.feature.title,
        title=summary_line(run.input),
        state=run.state,
        created=run.created_at,
        finished=run.finished_at,
        nodes=nodes,
        input_nodes=render_output(run.input, fields["input"]),
        receipt=None if going else receipt_of(run),
        failure=failure_of(run),
        verdict=verdict_of(run),
        note=str((run.feedback or {}).get("note", "")),
        correction=correction_of(run, fields["output"]) if done else (),
        checks=sum(name.startswith("checks.") for name in fields),
        copy=copy_text(nodes) if done else "",
        events_url=reverse("api:run-events", args=[run.id]) if going else "",
        may_rate="run.rate" in actor.can,
        may_cancel="run.cancel" in actor.can,
        may_run_again="run.create" in actor.can,
    )


def correction_of(run: Run, contract: Any) -> list[Difference]:
    """What a person's correction changes about an output; nothing where there is none."""
    corrected = (run.feedback or {}).get("correction")
    return [] if corrected is None else changed_parts(run.output, corrected, contract)


def changed_parts(before: Any, after: Any, contract: Any) -> list[Difference]:
    """The parts of an output that differ from another one's, in the order of the later one."""
    old, new = ({node.pointer: node for node in render_output(value, contract)} for value in (before, after))
    texts = {
        pointer: [flat(side[pointer]) if pointer in side else "" for side in (old, new)]
        for pointer in dict.fromkeys([*new, *old])
    }
    return [
        Difference((new.get(pointer) or old[pointer]).label, pieces(*both))
        for pointer, both in texts.items()
        if both[0] != both[1]
    ]


def receipt_of(run: Run) -> ReceiptLine:
    """The receipt as a line. Repairs are looked up only where there was more than one call."""
    receipt = run.receipt
    target = receipt["model_target"] or {}
    repairs = repairs_of(run.id) if run.attempts > 1 else 0
    notes = {
        _("pinned"): receipt["pin"] is not None,
        _("held"): bool(receipt.get("held")),
        _withdrawn_words(receipt): bool(receipt.get("withdrawn")),
        _("another model stood in"): bool(receipt.get("substituted")),
        _("cached"): run.cached,
        _("repaired once"): repairs == 1,
        _("repaired %(n)d times") % {"n": repairs}: repairs > 1,
    }
    return ReceiptLine(
        base=receipt["base"],
        tenant=receipt["tenant"],
        user=receipt["user"],
        digest=receipt["digest"],
        model=_("135M demo model") if target.get("provider") == DEMO_PROVIDER else str(target.get("model", "")),
        seconds=(run.finished_at - run.created_at).total_seconds() if run.finished_at else None,
        cost=money(run.cost),
        notes=[note for note, so in notes.items() if so],
    )


OUTCOMES = {
    "answered": gettext_lazy("Answered"),
    "stopped": gettext_lazy("Stopped"),
    "lost": gettext_lazy("Its worker died"),
    "timeout": gettext_lazy("Took too long"),
    "unavailable": gettext_lazy("Not available"),
    "rejected": gettext_lazy("Refused by the provider"),
    "key_refused": gettext_lazy("Key refused"),
}


def calls_of(run: Run) -> list[CallLine]:
    """A run's calls to models, in order; within the actor's transaction."""
    return [_call(row) for row in attempts_of(run.pk)]


def _call(row: Attempt) -> CallLine:
    ended = row.finished_at
    return CallLine(
        number=row.number,
        kind=sentence(row.kind),
        model=_("135M demo model") if row.target.provider == DEMO_PROVIDER else row.target.model,
        outcome=str(OUTCOMES.get(row.outcome, sentence(row.outcome))) if ended else _("Running"),
        failed=ended is not None and row.outcome != "answered",
        seconds=(ended - row.started_at).total_seconds() if ended else None,
        tokens=_("%(a)s in, %(b)s out") % {"a": row.input_tokens, "b": row.output_tokens} if ended else "",
        cost=money(row.cost),
    )


def origins_of(run: Run, then: Served, now: Served) -> list[OriginRow]:
    """Field by field, which layer decided what a run was served, one's own first; hidden then or now is left out."""
    hidden = hidden_fields(then, "user", today=now)
    titles = titles_of(run.feature, then.choice.base)
    rows = []
    for field, value in then.effective.fields.items():
        if field in hidden or field in ("input", "output"):
            continue
        origin = then.effective.origins[field]
        text = field_summary(field, value) if isinstance(value, dict | list) else plain(value)
        read = shortened(as_field(field, text or _("Nothing"), titles, then.effective.fields["input"]), SHOWN)
        rows.append(OriginRow(field_title(field, titles), layer_of(origin), origin.number, read))
    return sorted(rows, key=lambda row: ("user", "tenant", "base").index(row.layer))


def _withdrawn_words(receipt: Mapping[str, Any]) -> str:
    told = receipt.get("withdrawn") or {}
    return _("withdrawn %(n)s → %(m)s") % {"n": told.get("version", ""), "m": told.get("replacement", "")}


def size_words(count: int) -> str:
    """Bytes as people read them: "1.2 MB"."""
    return f"{count / 1_000_000:.1f} MB" if count >= 100_000 else f"{count / 1000:.1f} kB"


def money(micro: int) -> str:
    """Millionths of the currency as people read them: the smaller the amount, the more places; nothing for nothing."""
    if micro <= 0:
        return ""
    amount = micro / MICRO
    places = 2 if amount >= 0.1 else 4 if amount >= 0.001 else 6
    return f"{amount:.{places}f} {settings.CURRENCY}"


def failure_of(run: Run) -> Failure | None:
    """Why a run failed, and what to do about it; None for one that did not."""
    if run.state != State.FAILED:
        return None
    error = run.error or {}
    reason = str(error.get("title", "")) or _("The run failed.")
    return Failure(reason, str(ADVICE.get(error.get("type", ""), _("Try again."))), run.attempts)
