"""Features written as files: publish what changed in the catalog folder, and nothing else."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from features.engine import dumps
from features.models import Feature, ModelAlias, Version
from features.rollouts import open_rollout
from tenants.actor import Actor
from tenants.errors import AppError, Invalid, Problem
from tenants.isolation import OPERATOR

from .targets import add_target
from .versions import create_feature, publish
from .written import read_text

FOLDER = Path(__file__).resolve().parent.parent / "catalog"


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of one file. `kept`: a newer version was made through the API, and stands.

    `added`: published but not made current, because a rollout of the feature is under way.
    """

    feature: str
    what: Literal["created", "published", "added", "unchanged", "kept"]
    version: int


def load_folder(folder: Path, *, force: bool, by: Actor) -> Iterator[Loaded]:
    """Publish each file that differs from the last version from the catalog. Raises Invalid naming the file."""
    for path in sorted(folder.glob("*.yaml")):
        try:
            yield load_file(read_file(path), force=force, by=by)
        except AppError as wrong:
            wrong.detail = f"{path.name}: {wrong.detail}"
            raise


def read_file(path: Path) -> dict[str, Any]:
    """Read one feature from a YAML file. Raises Invalid for what is no feature."""
    try:
        document = read_text(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as wrong:
        raise Invalid(f"This is not UTF-8: {wrong}") from wrong
    missing = [Problem(f"/{name}", "required", "is missing") for name in ("feature", "title") if name not in document]
    if missing:
        raise Invalid("This file is no feature.", errors=missing)
    return document


def load_file(document: Mapping[str, Any], *, force: bool, by: Actor) -> Loaded:
    """Publish one feature as its file has it, unless it is as it was or the API has moved on (see `Loaded`)."""
    key, fingerprint = document["feature"], hashlib.sha256(dumps(dict(document)).encode()).hexdigest()
    words: dict[str, Any] = {name: document.get(name, "") for name in ("title", "summary", "verb", "icon")}
    parts: dict[str, Any] = {name: document.get(name) or {} for name in ("behavior", "rules", "titles")}
    parts["samples"] = document.get("samples") or []
    source: dict[str, Any] = {"source": "catalog", "source_digest": fingerprint, "message": "From the catalog"}
    feature = Feature.objects.using(OPERATOR).filter(key=key).first()
    if feature is None:
        _, version = create_feature(key=key, **words, **parts, **source, by=by)
        return Loaded(key, "created", version.number)
    versions = Version.objects.using(OPERATOR).filter(feature=feature).order_by("-number")
    newest, ours = versions.first(), versions.filter(source="catalog").first()
    number = newest.number if newest else 0
    if ours is not None and ours.source_digest == fingerprint and not (force and ours != newest):
        return Loaded(key, "unchanged", number)
    if newest is not None and newest.source != "catalog" and not force:
        return Loaded(key, "kept", number)
    Feature.objects.using(OPERATOR).filter(pk=feature.pk).update(**words)
    moves = open_rollout(feature) is None
    version = publish(feature, **parts, **source, make_current=moves, by=by)
    return Loaded(key, "published" if moves else "added", version.number)


def ensure_model(wanted: Mapping[str, Any], *, by: Actor) -> bool:
    """Let the default alias mean the configured model. Returns whether that was a change."""
    alias = wanted["alias"]
    now = ModelAlias.objects.using(OPERATOR).select_related("target").filter(alias=alias, valid_to=None).first()
    capabilities = {"max_tokens_parameter": wanted["max_tokens_parameter"]}
    facts = ("provider", "model", "input_price", "output_price")
    if now is not None and all(getattr(now.target, name) == wanted[name] for name in facts):
        return False
    add_target(alias=alias, **{name: wanted[name] for name in facts}, capabilities=capabilities, by=by)
    return True
