"""PURE: judge what a model answered and word the repair. A truncated or doubtful answer is never patched up."""

from dataclasses import dataclass

from features.engine import Compiled, Json, check_json, loads
from tenants.errors import AppError, Problem

SHOWN = 8  # violations named to the model in one repair: more would only crowd a small context


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer of a model: its text and why it ended, and what it used."""

    text: str | None
    finish: str | None
    refusal: str | None = None
    choices: int = 1
    tool_call: bool = False
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Either an output that satisfies the contract, or why there is none: a type, and the violations if any."""

    outcome: str
    output: Json = None
    problems: tuple[Problem, ...] = ()

    @property
    def good(self) -> bool:
        return self.outcome == "succeeded"

    @property
    def repairable(self) -> bool:
        return self.outcome in ("invalid", "empty")


def judge(reply: Reply, compiled: Compiled, question: Json) -> Verdict:
    """Type an answer: succeeded, refused, filtered, truncated, empty or invalid. Reads why it ended before the text."""
    if reply.choices == 0:
        return Verdict("empty")
    if reply.refusal:
        return Verdict("refused")
    if reply.finish == "content_filter":
        return Verdict("filtered")
    if reply.finish == "length":
        return Verdict("truncated")
    if reply.choices > 1 or reply.tool_call or reply.finish != "stop":
        return Verdict(
            "invalid", problems=(Problem("", "answer", "must be one plain answer, not a choice or a tool call"),)
        )
    if not reply.text or not reply.text.strip():
        return Verdict("empty")
    return _read(reply.text, compiled, question)


def _read(text: str, compiled: Compiled, question: Json) -> Verdict:
    try:
        output = loads(text)
    except AppError as wrong:
        return Verdict(
            "invalid", problems=(Problem("", "json", f"must be one JSON object and nothing else: {wrong.detail}"),)
        )
    problems = check_json(output) or compiled.output_problems(output, question)
    return Verdict("invalid", problems=tuple(problems)) if problems else Verdict("succeeded", output)


def wording(verdict: Verdict) -> str:
    """The message that asks again, in the validator's words."""
    if verdict.outcome == "empty":
        return "Your answer was empty. Answer again, in JSON only."
    lines = [f"- {problem.pointer or 'the answer'}: {problem.message}" for problem in verdict.problems[:SHOWN]]
    return "Your answer was not accepted:\n" + "\n".join(lines) + "\nAnswer again, in JSON only."
