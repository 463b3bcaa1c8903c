"""PURE: one run as a conversation without I/O. The same flow serves workers, previews, evaluations and replay."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from features.engine import Compiled, Json
from tenants.errors import Problem

from .output import Reply, Verdict, judge, wording

Message = dict[str, Any]

TITLES = {
    "refused": "The model refused to answer.",
    "filtered": "The provider's content filter withheld the answer.",
    "truncated": "The answer was cut off at the limit of output tokens.",
    "invalid": "The model's answers did not satisfy the output schema and checks.",
    "empty": "The model answered with nothing.",
    "timeout": "The model did not answer in time.",
    "unavailable": "The model could not be reached.",
    "rejected": "The provider rejected the request.",
    "unrenderable": "The behavior's texts cannot be made with this input.",
    "unreproducible": "The behavior that the run was accepted with is not what it was.",
    "over_budget": "A budget is spent.",
    "over_cost": "The run came to more than the behavior lets it cost.",
    "key_refused": "The provider refused your organisation's own key.",
    "key_unreadable": "Your organisation's own key for the provider cannot be read.",
    "address_refused": "Your organisation's own endpoint may not be called.",
    "worker_lost": "The worker died again and again while it worked on this run.",
}

# What was wrong with the answer that a repair asks again about; kept as the detail of its attempt.
MALFORMED = "the answer had not the form of the output"
CHECKS_FAILED = "the answer failed checks"


@dataclass(frozen=True, slots=True)
class Call:
    """One question to a model: which alias, why this call is made, and the messages. A repair says what was wrong."""

    model: str
    kind: Literal["first", "repair", "fallback"]
    messages: list[Message]
    wrong: str = ""


class ProviderFailed(Exception):
    """A call that brought no answer. `outcome` is timeout, unavailable or rejected; with a tenant's own key also
    key_refused, key_unreadable or address_refused.

    `retry_after`: in how many seconds to come back. `called` is False where nobody was asked at all; `reply` is what
    came until it failed, and was used.
    """

    def __init__(
        self, outcome: str, detail: str, retry_after: float | None = None, *, called: bool = True,
        reply: Reply | None = None,
    ) -> None:  # fmt: skip
        super().__init__(detail)
        self.outcome, self.detail, self.retry_after, self.called = outcome, detail, retry_after, called
        self.reply = reply


class RunFailed(Exception):
    """A run that ends without an output: its type, and the violations where there are any."""

    def __init__(self, outcome: str, problems: tuple[Problem, ...] = (), detail: str = "") -> None:
        super().__init__(outcome)
        self.outcome, self.problems, self.detail = outcome, problems, detail


def converse(compiled: Compiled, messages: list[Message], question: Json) -> Generator[Call, Reply, Json]:
    """Ask; if the answer breaks the contract say why and ask again; hand back the output that satisfies it.

    Yields a Call and is sent its Reply; a call that failed is thrown in as ProviderFailed, upon which the next fallback
    model is asked. At most `limits.repairs` repairs in all, each from the opening and the last answer only, so that a
    prompt never grows. Raises RunFailed, or ProviderFailed when no model is left to ask.
    """
    models = [compiled.model, *compiled.fallbacks]
    repairs = compiled.limits.repairs
    call = Call(models.pop(0), "first", messages)
    while True:
        try:
            reply = yield call
        except ProviderFailed:
            if not models:
                raise
            call = Call(models.pop(0), "fallback", messages)
            continue
        verdict = judge(reply, compiled, question)
        if verdict.good:
            return verdict.output
        if not verdict.repairable or repairs == 0:
            raise RunFailed(verdict.outcome, verdict.problems)
        repairs -= 1
        wrong = CHECKS_FAILED if only_checks(verdict.problems) else MALFORMED
        call = Call(call.model, "repair", [*messages, *_asked_again(reply, verdict)], wrong)


def only_checks(problems: Sequence[Problem]) -> bool:
    """Whether an answer had the right form and failed the behavior's checks alone: these are judged last."""
    return bool(problems) and all(problem.rule.startswith("checks.") for problem in problems)


def _asked_again(reply: Reply, verdict: Verdict) -> list[Message]:
    return [
        {"role": "assistant", "content": reply.text or ""},
        {"role": "user", "content": wording(verdict)},
    ]
