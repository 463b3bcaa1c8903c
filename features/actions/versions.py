"""The vendor's part: features, their versions, and which version is current."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from django.db import IntegrityError, transaction

from features.engine import check_field, compile_behavior, digest, flatten, parse_rules
from features.impact import record_impact
from features.models import CurrentVersion, Feature, ModelAlias, Version
from features.published import published_to_move, read_published
from features.samples import checked_samples, samples_that_fit
from features.told import tell_of
from features.validity import bump_vendor, supersede
from tenants.actor import Actor
from tenants.approvals import ask_another
from tenants.errors import Conflict, Invalid, NotFound, Problem
from tenants.isolation import OPERATOR, operator_tx

from .rollouts import refuse_meanwhile

Document = Mapping[str, Any]


def create_feature(
    *,
    key: str,
    title: str,
    behavior: Document,
    rules: Document | None = None,
    titles: Document | None = None,
    samples: list[Any] | None = None,
    summary: str = "",
    verb: str = "",
    icon: str = "",
    message: str = "",
    source: str = "api",
    source_digest: str = "",
    by: Actor,
) -> tuple[Feature, Version]:
    """Make a feature whose version 1 is current at once. Raises Conflict for a key in use, Invalid as `publish`."""
    wrong = check_field(f"vars.{key}")
    if wrong is not None:
        rule = "lowercase letters, digits, - and _, beginning with a letter, at most 64 characters"
        raise Invalid(f"{key[:80]!r} cannot be a feature's key.", errors=[Problem("/feature", "name", rule)])
    feature = Feature(key=key, title=title, summary=summary, verb=verb, icon=icon)
    with by.doing("feature.create", feature) as event:
        try:
            with transaction.atomic(using=OPERATOR):
                feature.save(using=OPERATOR, force_insert=True)
        except IntegrityError:
            raise Conflict(f"There is a feature {key} already: publish a version of it instead.") from None
        version = _new_version(feature, 1, behavior, rules, titles, samples, message, source, source_digest, by)
        bump_vendor(feature.id)
        _move(feature, 1, by)
        event.detail = {"feature": key, "digest": version.digest}
    return feature, version


def publish(
    feature: Feature,
    *,
    behavior: Document,
    rules: Document | None = None,
    titles: Document | None = None,
    samples: list[Any] | None = None,
    message: str = "",
    make_current: bool,
    source: str = "api",
    source_digest: str = "",
    by: Actor,
) -> Version:
    """Add an immutable version, and with `make_current` move everyone to it who stays on none of their own.

    Rules and titles that are not given are those of the version before, and samples those of them that it takes.
    Raises Invalid naming everything that does not compile, and Conflict for moving while a rollout is under way;
    nothing is kept then.
    """
    if make_current:
        given = {"behavior": behavior, "rules": rules, "titles": titles, "samples": samples, "message": message}
        ask_another("publish", "version.publish", feature.key, given, by=by)
    with by.doing("version.publish", feature) as event:
        bump_vendor(feature.id)
        last = Version.objects.using(OPERATOR).filter(feature=feature).order_by("-number").first()
        if last is None:
            raise NotFound(f"{feature.key} has no version to follow.")
        rules = last.rules if rules is None else rules
        titles = last.titles if titles is None else titles
        version = _new_version(
            feature, last.number + 1, behavior, rules, titles, samples, message, source, source_digest, by, last
        )
        if make_current:
            now = read_published(feature)
            refuse_meanwhile(now)
            record_impact(feature, kind="publish", before=now.current or version.number, to=version.number, by=by)
            _move(feature, version.number, by)
        event.detail = {"version": version.number, "digest": version.digest, "current": make_current}
    return version


def rehearse_version(
    feature: Feature, *, behavior: Document, rules: Document | None = None, titles: Document | None = None,
    samples: list[Any] | None = None, by: Actor,
) -> Version:  # fmt: skip
    """The version that publishing this would make; nothing of it is kept. Raises what `publish` raises."""
    with operator_tx():
        version = publish(
            feature, behavior=behavior, rules=rules, titles=titles, samples=samples, make_current=False, by=by
        )
        transaction.set_rollback(True, using=OPERATOR)
    return version


def set_current(feature: Feature, number: int, *, by: Actor, dry_run: bool = False) -> dict[str, Any]:
    """Move the feature's current version, either way. Whoever pinned a version is not moved.

    Raises NotFound, and Conflict while a rollout of the feature is under way or for a version that is withdrawn.

    Returns what was moved, and the id of the impact that a worker makes up; a rehearsal has none (impact.look has).
    """
    if not dry_run:
        ask_another("current", "current.move", feature.key, {"number": number}, by=by)
    with by.doing("current.move", feature, dry_run=dry_run) as event:
        now = published_to_move(feature)
        now.must_have(number)
        refuse_meanwhile(now)
        before, stopped = now.current or None, now.withdrawn.get(number)
        if stopped and before != number:
            told = f"Version {number} is withdrawn, and version {stopped.replacement} stands in for it"
            raise Conflict(f"{told}: move to another version, or lift the withdrawal first.")
        impact = None
        if before != number:
            if before is not None and not dry_run:  # a rehearsal leaves nothing: ask for an impact by itself
                impact = str(record_impact(feature, kind="current", before=before, to=number, by=by).id)
            _move(feature, number, by)
        event.detail = {"from": before, "to": number}
    return {"feature": feature.key, "before": before, "version": number, "dry_run": dry_run, "impact": impact}


def models_known(using: str) -> list[str]:
    """The aliases that mean a model now, by name."""
    return sorted(ModelAlias.objects.using(using).filter(valid_to=None).values_list("alias", flat=True))


def check_models(names: list[str], using: str, at: str = "/model.name") -> None:
    """Raise Invalid, pointing `at` its place, when a behavior names a model that no alias means."""
    known = models_known(using)
    unknown = [name for name in names if name not in known]
    if unknown:
        message = f"no model is called so; there are: {', '.join(known) or 'none yet'}"
        raise Invalid(
            f"The behavior names a model that is not known: {', '.join(unknown)}.",
            errors=[Problem(at, "model", message)],
        )


def _new_version(
    feature: Feature, number: int, behavior: Document, rules: Document | None, titles: Document | None,
    samples: list[Any] | None, message: str, source: str, source_digest: str, by: Actor, last: Version | None = None,
) -> Version:  # fmt: skip
    with _pointing(lambda place: f"/behavior{place}"):
        fields = flatten(behavior)
    with _pointing(lambda place: f"/rules{place}"):
        parse_rules(rules or {}, layer="base")
    with _pointing(lambda place: f"/behavior{_as_written(place, behavior)}"):
        compiled = compile_behavior(fields)
        check_models([compiled.model, *compiled.fallbacks], OPERATOR)
    kept = samples_that_fit(last.samples if last else [], compiled)
    version = Version(
        feature=feature, number=number, behavior=fields, rules=rules or {}, titles=_checked_titles(titles or {}),
        digest=digest(fields), message=message, author=by.label, source=source, source_digest=source_digest,
        samples=kept if samples is None else checked_samples(samples, compiled),
    )  # fmt: skip
    version.save(using=OPERATOR)
    return version


@contextmanager
def _pointing(where: Callable[[str], str]) -> Iterator[None]:
    """Let problems point into what was sent, of which this is a part."""
    try:
        yield
    except Invalid as wrong:
        told = [replace(problem, pointer=where(problem.pointer)) for problem in wrong.errors]
        raise Invalid(wrong.detail, errors=told) from wrong


def _as_written(place: str, behavior: Document) -> str:
    """From `/vars.tone` to `/vars/tone` where the author has nested it by its group."""
    field, slash, rest = place.removeprefix("/").partition("/")
    group, dot, name = field.partition(".")
    nested = dot and field not in behavior and isinstance(behavior.get(group), Mapping)
    return f"/{group}/{name}{slash}{rest}" if nested else place


def _checked_titles(titles: Document) -> Document:
    wrong = [
        Problem(f"/titles/{field}", "title", 'must be {"label": text, "help": text}')
        for field, title in titles.items()
        if not isinstance(title, Mapping)
        or not set(title) <= {"label", "help"}
        or not all(isinstance(text, str) for text in title.values())
    ]
    if wrong:
        raise Invalid("The titles are not what people could read.", errors=wrong)
    return titles


def _move(feature: Feature, number: int, by: Actor) -> None:
    """Point to another version; the caller has bumped the feature's stamp."""
    rows = CurrentVersion.objects.using(OPERATOR).filter(feature=feature)
    supersede(rows, CurrentVersion(feature=feature, version=number, author=by.label))
    tell_of(feature, "version.current", version=number)
