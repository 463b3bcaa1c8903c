"""WHO: logins, tenants, their people and keys, the subjects behavior is resolved for, and what was done by whom."""

import json
from typing import Any, ClassVar
from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.hashers import make_password
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone

from .ids import uuid7
from .roles import OperatorRole, Role, Scope
from .secrets import SealedField


class UserManager(BaseUserManager["User"]):
    """Makes logins; allauth and the seeds are the only ones who do."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def of(self, email: str, *, name: str = "") -> "User":
        """The login with this address; one without a password is made if there is none. Of two at once one makes it."""
        address = email.lower()
        fields = {"name": name, "password": make_password(None)}
        return self.get_or_create(email=address, defaults=fields)[0]


class User(AbstractBaseUser):
    """A login. It says nothing about tenants: that is Member, of which a person may have several."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    email = models.EmailField(unique=True)
    name = models.CharField(max_length=200, blank=True)
    is_active = models.BooleanField(default=True)
    time_zone = models.CharField(max_length=64, blank=True, default="", db_default="")  # empty: the browser's
    date_joined = models.DateTimeField(db_default=Now())

    objects: ClassVar[UserManager] = UserManager()
    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    def __str__(self) -> str:
        return self.name or self.email


def limits_are_positive(name: str) -> list[models.BaseConstraint]:
    """What holds for the limits of a tenant and of a key."""
    columns = {"requests_per_minute": f"{name}_requests", "concurrent_runs": f"{name}_runs"}
    return [models.CheckConstraint(condition=models.Q(**{f"{c}__gte": 1}), name=n) for c, n in columns.items()]


class Tenant(models.Model):
    """A customer organisation. One that is not active runs nothing and changes nothing; nothing of it is deleted."""

    class State(models.TextChoices):
        ACTIVE = "active"
        SUSPENDED = "suspended"  # what waits goes on when it is active again
        CLOSED = "closed"  # what waits is cancelled

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=200)
    created_at = models.DateTimeField(db_default=Now())
    requests_per_minute = models.IntegerField(null=True)  # the vendor's to set; null: what the settings say
    concurrent_runs = models.IntegerField(null=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.ACTIVE, db_default=State.ACTIVE)
    state_reason = models.CharField(max_length=500, blank=True, default="", db_default="")  # shown to its people
    state_at = models.DateTimeField(null=True)
    require_mfa = models.BooleanField(default=False, db_default=False)  # people need a second factor, keys do not

    class Meta:
        constraints = limits_are_positive("tenant")

    def __str__(self) -> str:
        return self.name

    @property
    def tenant_id(self) -> UUID:
        """A tenant is its own: so it can be the target of an action like every row that belongs to one."""
        return self.id


class TenantForeignKey(models.ForeignKey[Any, Any]):
    """A reference between two tables of tenants; TenantTable makes its constraint, led by tenant_id."""

    def __init__(self, to: Any, on_delete: Any = models.DO_NOTHING, **options: Any) -> None:
        options.setdefault("db_constraint", False)
        options.setdefault("db_index", False)
        options.setdefault("related_name", "+")
        super().__init__(to, on_delete, **options)


class TenantModel(models.Model):
    """A row that belongs to a tenant. Django takes `id` for its key; the database's is (tenant_id, id)."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", db_index=False, db_constraint=False)

    class Meta:
        abstract = True


class Subject(TenantModel):
    """Whom behavior is resolved for: a member, an end user of the customer's own software, or the tenant itself."""

    class Kind(models.TextChoices):
        MEMBER = "member"
        EXTERNAL = "external"
        TENANT = "tenant"

    kind = models.CharField(max_length=10, choices=Kind.choices)
    key = models.CharField(max_length=200)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "key"], name="subject_key")]


class Member(TenantModel):
    """A person with a login in a tenant. Its id is also the id of its subject."""

    user = models.ForeignKey(User, models.PROTECT, related_name="+")
    role = models.CharField(max_length=10, choices=[(role.value, role.value) for role in Role])
    created_at = models.DateTimeField(db_default=Now())
    removed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "user"], name="member_once")]


def all_scopes() -> list[str]:
    """What a key may be used for that nobody has narrowed."""
    return [scope.value for scope in Scope]


class Invitation(TenantModel):
    """A person asked by mail to become a member. Only the SHA-256 of what the mail carries is kept."""

    email = models.EmailField()
    role = models.CharField(max_length=10, choices=[(role.value, role.value) for role in Role])
    secret_hash = models.BinaryField(max_length=32)
    invited_by = models.CharField(max_length=100)
    created_at = models.DateTimeField(db_default=Now())
    sent_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "email"],
                name="invitation_once",
                condition=models.Q(accepted_at__isnull=True, revoked_at__isnull=True),
            )
        ]

    @property
    def state(self) -> str:
        """open, accepted, revoked, or expired when nobody came in time."""
        if self.accepted_at or self.revoked_at:
            return "accepted" if self.accepted_at else "revoked"
        return "open" if self.expires_at > timezone.now() else "expired"


class ApiKey(TenantModel):
    """A key of a member, or a service key of the tenant. Only the SHA-256 of its secret is kept."""

    class Kind(models.TextChoices):
        MEMBER = "member"
        SERVICE = "service"

    kind = models.CharField(max_length=10, choices=Kind.choices)
    name = models.CharField(max_length=100)
    secret_hash = models.BinaryField(max_length=32)
    member = TenantForeignKey(Member, null=True)
    created_by = models.CharField(max_length=100)
    created_at = models.DateTimeField(db_default=Now())
    scopes = ArrayField(models.CharField(max_length=10), default=all_scopes)
    expires_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)
    replaced_by = models.UUIDField(null=True)  # the key that it was rotated to
    requests_per_minute = models.IntegerField(null=True)  # admins' to set; null: what the settings say
    concurrent_runs = models.IntegerField(null=True)

    class Meta:
        indexes = [models.Index(fields=["tenant", "member"], name="apikey_member")]
        constraints = limits_are_positive("apikey")


class Audited(models.Model):
    """Who did what to what: a link of a chain (chain.py). `detail` holds ids and digests, never what is personal."""

    at = models.DateTimeField()
    actor = models.CharField(max_length=100)
    verb = models.CharField(max_length=60)
    target = models.CharField(max_length=200)
    detail = models.JSONField(default=dict)
    sequence = models.PositiveBigIntegerField()  # from 1, without gaps
    digest = models.BinaryField(max_length=32)  # of this event and all before it

    class Meta:
        abstract = True


class AuditEvent(TenantModel, Audited):
    """What somebody did in a tenant. Rows are only ever added."""

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "sequence"], name="audit_in_order")]


class Head(models.Model):
    """Where a chain ends. Whoever adds to it holds this row's lock until COMMIT."""

    sequence = models.PositiveBigIntegerField()
    digest = models.BinaryField(max_length=32)
    told = models.PositiveBigIntegerField(default=0)  # the sequence that was last told outside (audit.py)

    class Meta:
        abstract = True


class AuditHead(TenantModel, Head):
    """Where a tenant's chain ends: its only row."""

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant"], name="audit_head_once")]


def all_operator_roles() -> list[str]:
    """The roles of an operator whom nobody has narrowed."""
    return [role.value for role in OperatorRole]


class Operator(models.Model):
    """Staff of the vendor, who are nobody's members. Only the operator role can read this table."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.OneToOneField(User, models.PROTECT, related_name="+")
    roles = ArrayField(models.CharField(max_length=10), default=all_operator_roles)
    created_at = models.DateTimeField(db_default=Now())


class OperatorKey(models.Model):
    """An API key of an operator. Only the operator role can read this table."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    operator = models.ForeignKey(Operator, models.PROTECT, related_name="+")
    name = models.CharField(max_length=100)
    secret_hash = models.BinaryField(max_length=32)
    created_at = models.DateTimeField(db_default=Now())
    scopes = ArrayField(models.CharField(max_length=10), default=all_scopes)
    expires_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)
    replaced_by = models.UUIDField(null=True)


class Approval(models.Model):
    """What one operator asks to be done and another decides. Only the operator role can read this table."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    action = models.CharField(max_length=20)
    feature = models.CharField(max_length=64)
    given = models.TextField()  # JSON, in the order in which it was written: that of a schema's fields is shown
    operator = models.ForeignKey(Operator, models.PROTECT, related_name="+")
    requested_by = models.CharField(max_length=100)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)
    decided_by = models.CharField(max_length=100, blank=True)
    approved = models.BooleanField(null=True)

    @property
    def parameters(self) -> dict[str, Any]:
        """What the action is to be done with."""
        told: dict[str, Any] = json.loads(self.given)
        return told

    @property
    def state(self) -> str:
        """open, approved, refused, or expired when nobody decided in time."""
        if self.decided_at is not None:
            return "approved" if self.approved else "refused"
        return "open" if self.expires_at > timezone.now() else "expired"


class SupportGrant(TenantModel):
    """An organisation's leave for the vendor's support to look at its runs and behavior, for a time."""

    reason = models.CharField(max_length=500)
    granted_by = models.CharField(max_length=100)
    created_at = models.DateTimeField(db_default=Now())
    until = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["tenant", "-until"], name="support_live")]


class VendorAuditEvent(Audited):
    """What an operator did. Rows are only ever added."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    sequence = models.PositiveBigIntegerField(unique=True)


class VendorAuditHead(Head):
    """Where the vendor's chain ends: one row, with the id 1."""

    id = models.PositiveSmallIntegerField(primary_key=True, editable=False)


class ProviderKey(TenantModel):
    """A tenant's own key for a model provider, and its own endpoint if it has one. The newest live one is used."""

    provider = models.CharField(max_length=40)
    name = models.CharField(max_length=100)
    base_url = models.CharField(max_length=2000, blank=True)  # empty: the provider's own, as the vendor has set it up
    sealed = SealedField()
    last_four = models.CharField(max_length=4)
    fingerprint = models.CharField(max_length=8)
    created_by = models.CharField(max_length=100)
    created_at = models.DateTimeField(db_default=Now())
    revoked_at = models.DateTimeField(null=True)
    refused_at = models.DateTimeField(null=True)  # when the provider last said that the key is not good

    class Meta:
        indexes = [
            models.Index(
                fields=["tenant", "provider", "-id"],
                name="providerkey_live",
                condition=models.Q(revoked_at__isnull=True),
            )
        ]


class Webhook(TenantModel):
    """An address of the customer's that is told what happens. Never deleted for real: deliveries refer to it."""

    url = models.CharField(max_length=2000)
    description = models.CharField(max_length=200, blank=True)
    events = ArrayField(models.CharField(max_length=40))
    secret = SealedField()  # what signs
    previous = SealedField(blank=True)  # what signed before, and does beside it until
    previous_until = models.DateTimeField(null=True)
    created_by = models.CharField(max_length=100)
    created_at = models.DateTimeField(db_default=Now())
    failing_since = models.DateTimeField(null=True)  # no delivery has succeeded since
    disabled_at = models.DateTimeField(null=True)
    disabled_why = models.CharField(max_length=10, blank=True)  # asked, gone or failing
    deleted_at = models.DateTimeField(null=True)


class Delivery(TenantModel):
    """One event for one webhook: the outbox, written in the transaction of what it tells of. Holds ids, never content.

    While it has a `due_at` it waits, or is on its way by the token's holder until then; at last that is null.
    """

    webhook = TenantForeignKey(Webhook)
    event = models.CharField(max_length=40)
    data = models.JSONField()
    at = models.DateTimeField()
    attempts = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(null=True)
    token = models.UUIDField(null=True)
    status = models.PositiveIntegerField(null=True)  # of the last answer
    problem = models.CharField(max_length=200, blank=True)  # why the last attempt came to nothing, in our words
    delivered_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["tenant", "webhook", "-id"], name="delivery_of_webhook"),
            models.Index(
                fields=["tenant", "webhook", "due_at"], name="delivery_due", condition=models.Q(due_at__isnull=False)
            ),
        ]


from . import privacy_models  # noqa: E402, F401  # its tables, which stand on TenantModel above
