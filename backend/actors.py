"""From a session or a key to an Actor: the only place that authenticates."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils import timezone

from features.reading import Known, known_columns, known_from
from tenants.actor import Actor
from tenants.errors import Malformed, NotFound, Unauthenticated
from tenants.isolation import APP, NOBODY, OPERATOR, alone, operator_tx, tenant_row, tenant_tx, user_tx
from tenants.keys import KeyText, matches, parse
from tenants.models import ApiKey, Member, Operator, OperatorKey, Subject, Tenant, User
from tenants.roles import VERBS
from tenants.subjects import MEMBER_PREFIX, Who, external_subject, member_subject, tenant_itself

TENANT_OF_SESSION = "tenant"
MEMBERSHIPS = "_memberships"
USED_EVERY = timedelta(minutes=1)  # how exactly `last used` is kept: not one write per request


def actor_of(request: HttpRequest) -> Actor | None:
    """Return who asks, by the Authorization header or else the session; None for nobody.

    Raises Unauthenticated for a key that does not count, and Malformed for a header that cannot be read.
    """
    header = request.headers.get("Authorization")
    if header is not None:
        scheme, _, text = header.partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthenticated("Send `Authorization: Bearer bsk_…`.", headers={"WWW-Authenticate": "Bearer"})
        match = request.resolver_match
        feature = match.kwargs.get("feature") if match else None
        actor, known = _arrive(text.strip(), _acts_for(request), feature)
        request.asker = actor  # type: ignore[attr-defined]  # for the line that is logged of the request
        request.known = known  # type: ignore[attr-defined]  # what resolving then needs no statement for
        return actor
    if request.user.is_authenticated and isinstance(request.user, User):
        request.asker = actor_of_login(request.user, request.session.get(TENANT_OF_SESSION))  # type: ignore[attr-defined]
        return request.asker  # type: ignore[attr-defined,no-any-return]
    return None


def known_of(request: HttpRequest) -> Known | None:
    """What authenticating has read of the feature in the address and the caller's stamps, where a key was sent."""
    return getattr(request, "known", None)


def actor_of_key(text: str, acts_for: str | None = None) -> Actor:
    """Return the actor that a key makes; `acts_for` is the header Bespoke-User, which service keys alone may send."""
    return _arrive(text, acts_for, None)[0]


_KEY, _TENANT, _MEMBER = (tuple(f.attname for f in model._meta.concrete_fields) for model in (ApiKey, Tenant, Member))
_USER = ("id", "email", "name", "is_active")
_ROWS = {"k": (ApiKey, _KEY), "t": (Tenant, _TENANT), "m": (Member, _MEMBER), "u": (User, _USER)}
_ARRIVE = alone(
    f"""SELECT {", ".join(f"{table}.{name}" for table, (_, names) in _ROWS.items() for name in names)},
        {known_columns("k.tenant_id", "coalesce(k.member_id, %(subject)s)")}
    FROM tenants_apikey k JOIN tenants_tenant t ON t.id = k.tenant_id
    LEFT JOIN tenants_member m ON m.tenant_id = k.tenant_id AND m.id = k.member_id
    LEFT JOIN tenants_user u ON u.id = m.user_id
    LEFT JOIN features_feature f ON f.key = %(feature)s::text
    WHERE k.tenant_id = %(tenant)s AND k.id = %(key)s"""
)  # a member's key acts as that member


def _arrive(text: str, acts_for: str | None, feature: str | None) -> tuple[Actor, Known | None]:
    """One statement tells whose key it is and reads the feature asked for with the caller's stamps (architecture 5)."""
    key = parse(text)
    if key is None:
        raise _no_good()
    if key.tenant_id == NOBODY:
        return _operator_of_key(key), None
    subject = tenant_itself(key.tenant_id) if acts_for is None else external_subject(key.tenant_id, acts_for)
    found = tenant_row(key.tenant_id, _ARRIVE, {"key": key.key_id, "subject": subject.id, "feature": feature})
    if found is None:
        raise _no_good()
    row, member, known = _read(found)
    if not matches(key, row.secret_hash) or _ended(row):
        raise _no_good()
    _note_use(row)
    if row.kind == ApiKey.Kind.SERVICE:
        return _service(row, subject, named=acts_for is not None), known
    if acts_for is not None:
        raise Malformed("Bespoke-User goes with a service key; a member's key acts as that member.")
    if member is None or member.removed_at is not None or not member.user.is_active:
        raise _no_good()
    return _member(member, row.tenant, row), known


def _read(found: tuple[Any, ...]) -> tuple[ApiKey, Member | None, Known | None]:
    """The key with its tenant, the member with the login, and what is known of the feature."""
    parts: list[Any] = []
    at = 0
    for model, names in _ROWS.values():
        values = found[at : (at := at + len(names))]
        parts.append(None if values[0] is None else model.from_db(APP, names, values))
    key, key.tenant, member, user = parts
    if member is not None:
        member.user = user
    return key, member, known_from(*found[at:])


def memberships(user: User) -> list[Member]:
    """The organisations that a login is a member of, the oldest first; read once for each request's own user."""
    if MEMBERSHIPS not in user.__dict__:
        with user_tx(user.id):
            found = Member.objects.select_related("tenant", "user").filter(user=user, removed_at=None)
            user.__dict__[MEMBERSHIPS] = sorted(found, key=lambda member: member.created_at)
    mine: list[Member] = user.__dict__[MEMBERSHIPS]
    return mine


def actor_of_login(user: User, chosen: str | None) -> Actor | None:
    """Return the actor for a signed-in person: in the organisation chosen, else their first, else as an operator."""
    mine = memberships(user)
    if mine:
        member = next((m for m in mine if str(m.tenant_id) == chosen), mine[0])
        return _member(member, member.tenant)
    with operator_tx():
        operator = Operator.objects.using(OPERATOR).filter(user_id=user.id).first()
    return _operator(operator, str(user)) if operator else None


def subject_named(actor: Actor, key: str) -> Who:
    """The subject that an admin names: `member:<id>` of their people, else an end user's key. Raises NotFound."""
    tenant_id = actor.tenant_id
    if not key.startswith(MEMBER_PREFIX):
        return external_subject(tenant_id, key)
    with actor.present():
        row = Subject.objects.filter(key=key, kind=Subject.Kind.MEMBER).first()
    if row is None:
        raise NotFound("There is no such subject.")
    return member_subject(row.id)


def _acts_for(request: HttpRequest) -> str | None:
    """The header Bespoke-User, as UTF-8: servers hand headers over as ISO 8859-1 (RFC 3875 and ASGI alike)."""
    given = request.headers.get("Bespoke-User")
    if given is None:
        return None
    try:
        return given.encode("latin-1").decode("utf-8")
    except UnicodeError:
        raise Malformed("Bespoke-User is the user's key in UTF-8.") from None


def _member(member: Member, tenant: Tenant, key: ApiKey | None = None) -> Actor:
    return Actor(
        kind="member",
        label=f"member:{member.id}",
        role=member.role,
        can=VERBS[member.role],
        tenant=tenant,
        subject=member_subject(member.id),
        name=str(member.user),
        key=key,
    )


def _service(row: ApiKey, subject: Who, *, named: bool) -> Actor:
    role = "service for a user" if named else "service"
    return Actor(
        kind="service",
        label=f"key:{row.id}",
        role=role,
        can=VERBS[role],
        tenant=row.tenant,
        subject=subject,
        name=row.name,
        key=row,
    )


def _operator_of_key(key: KeyText) -> Actor:
    with operator_tx():
        row = OperatorKey.objects.using(OPERATOR).select_related("operator__user").filter(pk=key.key_id).first()
        if row is None or not matches(key, row.secret_hash) or _ended(row):
            raise _no_good()
        _note_use(row)
        return _operator(row.operator, str(row.operator.user))


def _operator(operator: Operator, name: str) -> Actor:
    return Actor(kind="operator", label=f"operator:{operator.id}", role="operator", can=VERBS["operator"], name=name)


def _ended(row: ApiKey | OperatorKey) -> bool:
    return row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= timezone.now())


def _note_use(row: ApiKey | OperatorKey) -> None:
    if row.last_used_at is None or row.last_used_at < timezone.now() - USED_EVERY:
        with tenant_tx(row.tenant_id) if isinstance(row, ApiKey) else operator_tx():
            type(row)._base_manager.using(row._state.db).filter(pk=row.pk).update(last_used_at=Now())


def _no_good() -> Unauthenticated:
    return Unauthenticated(
        "This key is not known, has ended or was revoked.", headers={"WWW-Authenticate": 'Bearer error="invalid_token"'}
    )


def session_uuid(value: object) -> UUID | None:
    """Read an id that came from a form; None when it is none."""
    try:
        return UUID(str(value))
    except ValueError:
        return None
