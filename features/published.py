"""What the vendor has published of a feature: its versions, and where each of them stands."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connections

from tenants.actor import Actor
from tenants.errors import NotFound
from tenants.isolation import OPERATOR

from .find import no_feature
from .models import Feature, Rollout, Version, Withdrawal
from .reading import as_row
from .validity import bump_vendor

# Of a version all that is short: behavior, rules, titles and samples are read when they are asked for.
_READ = """
SELECT json_build_object(
    'feature', row_to_json(f),
    'versions', (SELECT json_agg(row_to_json(v) ORDER BY v.number DESC) FROM (
        SELECT id, feature_id, number, digest, message, author, source, source_digest, created_at
        FROM features_version WHERE feature_id = f.id) v),
    'current', (SELECT c.version FROM features_currentversion c WHERE c.feature_id = f.id AND c.valid_to IS NULL),
    'withdrawn', (SELECT json_agg(row_to_json(w)) FROM features_withdrawal w
        WHERE w.feature_id = f.id AND w.valid_to IS NULL),
    'rollout', (SELECT row_to_json(r) FROM features_rollout r
        WHERE r.feature_id = f.id AND r.state = ANY(%(open)s))
)::text FROM features_feature f
WHERE (%(feature)s::uuid IS NULL OR f.id = %(feature)s) AND (%(key)s::text IS NULL OR f.key = %(key)s)
ORDER BY f.title, f.key"""


@dataclass(frozen=True, slots=True)
class Published:
    """A feature with its versions, newest first and without their behavior, and the number of the current one.

    `current` is 0 before there is one. `withdrawn` are the withdrawals in force, by version; `rollout` is the one that
    has not ended.
    """

    feature: Feature
    versions: Sequence[Version]
    current: int
    withdrawn: Mapping[int, Withdrawal]
    rollout: Rollout | None

    @property
    def newest(self) -> int:
        """The highest number of a version, 0 before there is one."""
        return self.versions[0].number if self.versions else 0

    @property
    def replacements(self) -> dict[int, int]:
        """What stands in for each version that is withdrawn."""
        return {version: row.replacement for version, row in self.withdrawn.items()}

    def has(self, number: int) -> bool:
        """Whether there is such a version."""
        return any(version.number == number for version in self.versions)

    def must_have(self, *numbers: int) -> None:
        """Raise NotFound for the first of these versions that there is not."""
        for number in numbers:
            if not self.has(number):
                raise NotFound(f"{self.feature.key} has no version {number}.")


def published(actor: Actor) -> list[Published]:
    """All that the vendor has published, by title, for operators. Raises Forbidden for others."""
    actor.need("version.read")
    with actor.present():
        return _read()


def find_published(key: str, actor: Actor) -> Published:
    """One feature's by its key, for operators. Raises Forbidden for others, and NotFound."""
    actor.need("version.read")
    with actor.present():
        found = _read(key=key)
    if not found:
        raise no_feature(key)
    return found[0]


def read_published(feature: Feature) -> Published:
    """What is published of a feature, within the operator's transaction and in one statement."""
    return _read(feature=feature.id)[0]


def published_to_move(feature: Feature) -> Published:
    """Take the lock of a feature's stamp until COMMIT, and read what is published of it then."""
    bump_vendor(feature.id)
    return read_published(feature)


def _read(**only: Any) -> list[Published]:
    facts = {"feature": None, "key": None, "open": [str(state) for state in Rollout.OPEN], **only}
    with connections[OPERATOR].cursor() as cursor:
        cursor.execute(_READ, facts)
        return [_published(json.loads(text)) for (text,) in cursor.fetchall()]


def _published(found: Mapping[str, Any]) -> Published:
    feature = as_row(Feature, found["feature"], OPERATOR)
    rollout = as_row(Rollout, found["rollout"], OPERATOR) if found["rollout"] else None
    if rollout is not None:
        rollout.feature = feature
    return Published(
        feature=feature,
        versions=[as_row(Version, row, OPERATOR) for row in found["versions"] or ()],
        current=found["current"] or 0,
        withdrawn={row["version"]: as_row(Withdrawal, row, OPERATOR) for row in found["withdrawn"] or ()},
        rollout=rollout,
    )
