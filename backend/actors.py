"""From a session or a key to an Actor: the only place that authenticates."""

import re
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote
from uuid import UUID

from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils import timezone

from backend.second_factor import lacks_second_factor
from features.reading import Known, known_columns, known_from
from tenants.actor import Actor, note_for, note_for_vendor
from tenants.errors import Forbidden, Malformed, NotFound, Unauthenticated
from tenants.isolation import APP, NOBODY, OPERATOR, alone, operator_tx, tenant_row, tenant_tx, user_tx
from tenants.keys import PREFIX, SCANNED, KeyText, matches, parse
from tenants.models import ApiKey, Member, Operator, OperatorKey, Subject, Tenant, User
from tenants.operators import actor_of_operator
from tenants.people import names_of_those_who
from tenants.roles import ALL_SCOPES, VERBS, Scope, verbs_of
from tenants.subjects import MEMBER_PREFIX, Who, external_subject, member_subject, tenant_itself
from tenants.support import open_to_support

TENANT_OF_SESSION = "tenant"
MEMBERSHIPS = "_memberships"
READS = ("GET", "HEAD", "OPTIONS")
_TOLD = ("feature", "layer", "slug")  # what an address names that is no person's
USED_EVERY = timedelta(minutes=1)  # how exactly `last used` is kept: not one write per request


def actor_of(request: HttpRequest) -> Actor | None:
    """Return who asks, by the Authorization header or else the session; None for nobody.

    Raises Unauthenticated for a key that does not count, Malformed for a header that cannot be read, and Suspended as
    `admit` does.
    """
    _refuse_key_in_address(request)
    actor = _who_asks(request)
    slug = request.headers.get("Bespoke-Tenant")
    if slug is not None and (actor is None or actor.kind != "operator"):
        raise Malformed("Bespoke-Tenant goes with an operator's key, where an organisation grants support access.")
    if slug is not None and actor is not None:
        actor = _supporting(actor, slug, request)
    if actor is not None:
        request.asker = actor  # type: ignore[attr-defined]  # for the line that is logged of the request
        admit(actor, request)
    return actor


def admit(actor: Actor, request: HttpRequest) -> None:
    """Refuse what no verb is needed for: Forbidden for a write with a key that only reads.

    Raises Suspended while the actor's organisation is not active, but for its owners and admins, who may read, and
    do what a view says that goes on (`while_suspended`).
    """
    if request.method not in READS and actor.scopes == {Scope.READ}:
        raise Forbidden("This key only reads: its scope is read. Use one that has more.")
    if actor.active or (reads_while_suspended(actor) and (request.method in READS or _goes_on(request))):
        return
    with actor.present():
        owners = names_of_those_who("owner.manage")
    actor.must_be_active(", ".join(owners))


def _goes_on(request: HttpRequest) -> bool:
    view = request.resolver_match.func if request.resolver_match else None
    return bool(getattr(getattr(view, "cls", view), "while_suspended", False))


def reads_while_suspended(actor: Actor) -> bool:
    """Whether the actor may read where nothing may run or change: owners and admins, and who supports them."""
    return actor.kind == "support" or "override.tenant" in VERBS[actor.role]


def _who_asks(request: HttpRequest) -> Actor | None:
    header = request.headers.get("Authorization")
    if header is not None:
        scheme, _, text = header.partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthenticated("Send `Authorization: Bearer bsk_…`.", headers={"WWW-Authenticate": "Bearer"})
        match = request.resolver_match
        feature = match.kwargs.get("feature") if match else None
        actor, known = _arrive(text.strip(), _acts_for(request), feature)
        request.known = known  # type: ignore[attr-defined]  # what resolving then needs no statement for
        return actor
    if request.user.is_authenticated and isinstance(request.user, User):
        person = actor_of_login(request.user, request.session.get(TENANT_OF_SESSION))
        if person is not None and lacks_second_factor(person, request.user):
            raise Forbidden("Your organisation asks for a second factor. Set one up in the dashboard, under your name.")
        return person
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


def _refuse_key_in_address(request: HttpRequest) -> None:
    address = f"{request.path}?{unquote(request.META['QUERY_STRING'])}"
    if PREFIX in address and SCANNED.search(address):
        raise Malformed(
            "A key never goes into an address, where logs and histories keep it. Send it as `Authorization: Bearer "
            "bsk_…`, and revoke this one: whoever reads those can use it."
        )


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
        operator = Operator.objects.using(OPERATOR).select_related("user").filter(user_id=user.id).first()
    return actor_of_operator(operator) if operator else None


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
        can=VERBS[member.role] if key is None else verbs_of(member.role, key.scopes),
        tenant=tenant,
        subject=member_subject(member.id),
        name=str(member.user),
        scopes=ALL_SCOPES if key is None else frozenset(key.scopes),
        key=key,
    )


def _service(row: ApiKey, subject: Who, *, named: bool) -> Actor:
    role = "service for a user" if named else "service"
    return Actor(
        kind="service",
        label=f"key:{row.id}",
        role=role,
        can=verbs_of(role, row.scopes),
        tenant=row.tenant,
        subject=subject,
        name=row.name,
        scopes=frozenset(row.scopes),
        key=row,
    )


def _operator_of_key(key: KeyText) -> Actor:
    with operator_tx():
        row = OperatorKey.objects.using(OPERATOR).select_related("operator__user").filter(pk=key.key_id).first()
        if row is None or not matches(key, row.secret_hash) or _ended(row):
            raise _no_good()
        _note_use(row)
        return actor_of_operator(row.operator, row.scopes)


def _supporting(operator: Actor, slug: str, request: HttpRequest) -> Actor:
    """An operator within an organisation that lets the vendor's support look, for this request."""
    operator.need("support.enter")
    found = open_to_support(slug)
    if found is None:
        told = "grants no support access now: one of its owners or admins can, for a time. See docs/operators.md."
        raise Forbidden(f"No organisation called {slug} {told}")
    if request.method not in READS:
        raise Forbidden("Support access is for looking: it changes nothing.")
    return looking_in(operator, *found, request)


def looking_in(operator: Actor, tenant: Tenant, until: datetime, request: HttpRequest) -> Actor:
    """The operator as who looks into an organisation that is open to support (`open_to_support`); both audits tell.

    Whoever calls has asked for the verb support.enter first, before saying whether it is open.
    """
    detail = {"path": _looked_at(request), "until": until.isoformat()}
    note_for(tenant, "support.read", detail, by=operator)
    note_for_vendor(tenant, "support.read", detail, by=operator)
    verbs = verbs_of("support", operator.scopes)
    return Actor(
        "support", operator.label, "support", verbs, tenant, tenant_itself(tenant.id), operator.name,
        scopes=operator.scopes,
    )  # fmt: skip


def _looked_at(request: HttpRequest) -> str:
    """The address with its ids and feature, for audits, which outlive people: whom else it names is left out."""
    match = request.resolver_match
    if match is None:
        return ""
    told = {name: str(value) for name, value in match.kwargs.items() if name in _TOLD or isinstance(value, int | UUID)}
    return "/" + re.sub(r"<\w+:(\w+)>", lambda part: told.get(part[1], part[1])[:100], match.route)


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
