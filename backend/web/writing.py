"""A version while it is written: read, rehearsed, compared with the one it began from, published."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from features.actions.versions import create_feature, models_known, publish, rehearse_version
from features.actions.written import WORDS, document_of, line_of, read_text, write_text
from features.find import find_version
from features.models import Feature, Version
from features.published import read_published
from features.samples import samples_of
from tenants.actor import Actor
from tenants.errors import AppError, Invalid, Problem
from tenants.isolation import OPERATOR, operator_tx

from .controls import Data
from .parts import Written, Wrong
from .publishing import compared
from .version_form import by_group, draw_version, read_version, same_version

NEW: Mapping[str, Any] = {
    "feature": "shorten",
    "title": "Shorten",
    "summary": "Says a text in one sentence.",
    "behavior": {
        "instructions": {"task": "You say a text in one short sentence."},
        "prompt": "{{ input.text | fence }}",
        "input": {
            "type": "object",
            "additionalProperties": False,
            "required": ["text"],
            "properties": {"text": {"type": "string", "title": "Text", "maxLength": 4000}},
        },
        "output": {
            "type": "object",
            "additionalProperties": False,
            "required": ["sentence"],
            "properties": {"sentence": {"type": "string", "title": "Sentence", "maxLength": 300}},
        },
        "model": {"name": "standard", "max_output_tokens": 120},
    },
    "samples": [{"text": "The meeting was moved from Monday to Thursday because half of the team is ill."}],
}
"""What the editor of a new feature begins with: small, and it runs as it stands."""


def begun(feature: Feature | None, start: int | None, actor: Actor) -> Written:
    """What the editor opens with: a version's own text (None: the current one's), or a small new feature."""
    if feature is None:
        text = write_text(NEW)
        return Written(key="", title=_("A new feature"), start=0, number=1, text=text, began=text)
    with actor.present():
        now = read_published(feature)
    number = start or now.current or 1
    version = find_version(feature, number, actor)
    text = write_text(document_of(feature, version))
    return Written(
        key=feature.key, title=feature.title, start=number, number=now.newest + 1,
        text=text, rolling=now.rollout is not None, before=version, began=text,
    )  # fmt: skip


def as_form(written: Written, actor: Actor) -> Written:
    """Draw a text as a form. Raises Invalid for what is no document, and where a form of it would be too large."""
    form = draw_version(read_text(written.text), _models(actor), new=not written.key)
    if form is None:
        raise Invalid(_("It has more parts than a form can send. Go on writing it as YAML."))
    return replace(written, form=form, drawn=written.text)


def filled(written: Written, data: Data, actor: Actor) -> Written:
    """Read what was typed into a form that was drawn from a text: the form, and as text what it comes to.

    A text that says the same stays as it was written, comments included. Raises Invalid as `as_form`.
    """
    drawn = read_text(written.text)
    form = read_version(drawn, data, _models(actor), new=not written.key)
    for text, document in ((written.text, drawn), (written.began, read_text(written.began))):
        if same_version(form.document, by_group(document)):
            return replace(written, form=form, drawn=written.text, text=text)
    return replace(written, form=form, drawn=written.text, text=write_text(form.document))


def as_typed(written: Written, actor: Actor) -> Written:
    """The form drawn anew from what it comes to, so that examples follow the schemas, if nothing is lost."""
    if written.form is None or not written.whole:
        return written
    try:
        return as_form(written, actor)
    except Invalid:  # it has grown too large to be drawn again; what stands there can still be sent
        return written


def checked(written: Written, feature: Feature | None, actor: Actor) -> Written:
    """Say what is wrong with a text, line by line, or what it would change; in a form beside what caused it."""
    own = list(written.form.own) if written.form else []
    try:
        version = _rehearsed(read_text(written.text), feature, actor)
        if own:
            raise Invalid(errors=own)
    except AppError as wrong:
        return _refused(written, wrong, own)
    found = replace(written, checked=True, digest=version.digest, samples=len(samples_of(version)))
    return replace(found, comparison=compared(written.before, version)) if written.before else found


def published(written: Written, feature: Feature | None, *, move: bool, by: Actor) -> tuple[Feature, Version]:
    """Publish what is written. Raises Invalid and Conflict as publishing does; nothing is kept then."""
    if written.form and written.form.own:
        raise Invalid(_("Some of it cannot be read."), errors=list(written.form.own))
    document = read_text(written.text)
    if feature is None:
        return create_feature(**_whole(document), message=written.message, by=by)
    return feature, publish(feature, message=written.message, make_current=move, **_parts(document), by=by)


def trial_parts(written: Written) -> dict[str, Any]:
    """What trying an unpublished text takes. Raises Invalid."""
    parts = _parts(read_text(written.text))
    return {"behavior": parts["behavior"], "rules": parts["rules"], "own_samples": parts["samples"]}


def _rehearsed(document: Mapping[str, Any], feature: Feature | None, actor: Actor) -> Version:
    if feature is not None:
        return rehearse_version(feature, **_parts(document), by=actor)
    with operator_tx():
        _feature, version = create_feature(**_whole(document), by=actor)
        transaction.set_rollback(True, using=OPERATOR)
    return version


def _key(document: Mapping[str, Any]) -> str:
    key, title = document.get("feature"), document.get("title")
    missing = [
        Problem(f"/{name}", "required", "must be a text")
        for name, value in (("feature", key), ("title", title))
        if not isinstance(value, str) or not value.strip()
    ]
    if missing:
        raise Invalid("A feature has a key and a title.", errors=missing)
    return str(key)


def _whole(document: Mapping[str, Any]) -> dict[str, Any]:
    """What making a feature takes."""
    words = {name: str(document.get(name) or "")[:500] for name in WORDS}
    return {"key": _key(document), **words, **_parts(document)}


def _parts(document: Mapping[str, Any]) -> dict[str, Any]:
    """What a version is made of; what is left out of the text is nothing, and not what the version before had."""
    parts: dict[str, Any] = {name: document.get(name) or {} for name in ("behavior", "rules", "titles")}
    return {**parts, "samples": document.get("samples") or []}


def _models(actor: Actor) -> list[str]:
    with actor.present():
        return models_known(actor.db)


def _refused(written: Written, error: AppError, own: Sequence[Problem]) -> Written:
    problems = error.errors or [Problem("", "", error.detail)]
    if written.form is None:
        lines = [Wrong(_line(one, written.text), _where(one), one.message) for one in problems]
        return replace(written, checked=True, wrong=lines)
    found = [one for one in problems if one not in own]
    names = [*map(written.form.name_of, own), *map(written.form.name_at, found)]
    told = [Wrong(0, _where(one), one.message, at) for one, at in zip([*own, *found], names, strict=True)]
    return replace(written, checked=True, wrong=told, form=written.form.with_problems(found))


def _where(problem: Problem) -> str:
    return problem.pointer.strip("/").replace("/", ".")


def _line(problem: Problem, text: str) -> int:
    if problem.rule == "yaml":
        told = problem.message.removeprefix("line ").partition(":")[0]
        return int(told) if told.isdecimal() else 0
    return line_of(text, problem.pointer) if problem.pointer else 0
