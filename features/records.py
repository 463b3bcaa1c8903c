"""What the tables of behavior hold, for export and erasure (tenants/records.py)."""

from collections.abc import Iterator, Mapping
from uuid import UUID

from tenants.isolation import OPERATOR, operator_tx
from tenants.records import BESIDE, ELSEWHERE, Records, Row, Whose, listed

from .models import Availability, Feature, ImpactRow, NoticeMark, Override, Pin, Policy, Stamp

PIECE = 1_000
_OF_ALL = "is the organisation's, not one person's"
_VALID = ["valid_from", "valid_to"]

listed(
    Records(
        Override, "overrides",
        ["id", "tenant_id", *_VALID, "feature_id", "subject_id", "number", "operations", "rules", "message", "author"],
        {"aliases": "what the operations say of models, again"}, subject="subject_id",
    ),
    Records(
        Pin, "pins",
        ["id", "tenant_id", *_VALID, "feature_id", "subject_id", "kind", "base", "tenant_revision", "user_revision",
         "targets", "reason", "author", "created_at", "until", "as_of", "run"],
        subject="subject_id",
    ),
    Records(
        Policy, "policies",
        ["id", "tenant_id", *_VALID, "users_may_pin", "users_may_override", "retention_days", "store", "author"],
        kept=_OF_ALL,
    ),
    # A stamp that began at 1 again would make processes serve what they keep of before.
    Records(
        Stamp, "", [], {"*": "counts changes, for caches"}, subject="subject",
        kept="counts changes: an id and a number, which must never begin anew", instead={"value": "value + 1"},
    ),
    Records(Availability, "availability", ["id", "tenant_id", *_VALID, "feature_id", "author"], kept=_OF_ALL,
            role=OPERATOR),
    Records(
        NoticeMark, "notices", ["id", "tenant_id", "subject_id", "notice", "read_at", "mailed_at", "created_at"],
        subject="subject_id",
    ),
)  # fmt: skip


def _features(_: UUID) -> Iterator[Row]:
    """What the ids of features in the other files mean."""
    for feature in Feature.objects.order_by("key"):
        yield {"id": feature.id, "feature": feature.key, "title": feature.title}


def _forget_impacts(whose: Whose) -> Mapping[str, int]:
    """Delete what the vendor's impacts say of them by name."""
    rows = ImpactRow.objects.using(OPERATOR).filter(tenant=whose.tenant_id)
    if whose.subject is not None:
        rows = rows.filter(subject=whose.subject)
    deleted = 0
    while True:
        with operator_tx():
            piece = list(rows.values_list("pk", flat=True)[:PIECE])
            deleted += ImpactRow.objects.using(OPERATOR).filter(pk__in=piece).delete()[0]
        if len(piece) < PIECE:
            return {ImpactRow._meta.db_table: deleted}


BESIDE["features"] = _features
ELSEWHERE.append(_forget_impacts)
