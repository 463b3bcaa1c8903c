"""Secrets of customers at rest: AES-256-GCM under a ring of named keys, each bound to its tenant and its own row.

A sealed text is `v1.<name of the key>.<base64url of nonce ‖ ciphertext ‖ tag>`. Each tenant has a data key of its own,
derived from the ring's by HKDF-SHA256 (RFC 5869); the tenant's and the row's id are associated data (NIST SP 800-38D),
so that a text copied into another row or another tenant does not open. Nonces are 96 random bits.

The ring is `BESPOKE_SECRET_KEYS`: the first key seals, all of them open. `rotate` seals anew what is under another.
"""

import base64
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.apps import apps
from django.conf import settings
from django.db import models

from .isolation import APP, NOBODY, OPERATOR, operator_tx, tenant_tx

NONCE, KEY = 12, 32  # bytes
PIECE = 100  # rows that one transaction of a rotation looks at
_FORM = "v1"


if TYPE_CHECKING:
    _TextField = models.TextField[str, str]
else:
    _TextField = models.TextField


class Unreadable(Exception):
    """A sealed text that no key of the ring opens here. Says nothing of what is in it."""


class Secret:
    """A text that does not show itself: not in a traceback, a log line, a message or a pickle."""

    __slots__ = ("_text",)
    _shown: ClassVar[str] = "Secret(…)"

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for the one place that needs it."""
        return self._text

    def __repr__(self) -> str:
        return self._shown

    __str__ = __repr__

    def __format__(self, _: str) -> str:
        return self._shown

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> Any:
        raise TypeError("A secret is not written down.")


class SealedField(_TextField):
    """A column of sealed texts, bound to the tenant and id of its row. Rotation finds every column of this kind."""


def seal(text: str, *, tenant_id: UUID, row_id: UUID) -> str:
    """Seal a text for one row of one tenant, under the ring's first key."""
    name, key = next(iter(_ring().items()))
    nonce = os.urandom(NONCE)
    sealed = AESGCM(_data_key(key, tenant_id)).encrypt(nonce, text.encode(), _bound(tenant_id, row_id))
    return f"{_FORM}.{name}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"


def unseal(sealed: str, *, tenant_id: UUID, row_id: UUID) -> Secret:
    """Open what was sealed for this row. Raises Unreadable: its key is gone, or it is not this row's."""
    form, _, rest = sealed.partition(".")
    name, _, body = rest.partition(".")
    key = _ring().get(name)
    if form != _FORM or key is None:
        raise Unreadable("Its key is not in the ring.")
    try:
        data = base64.urlsafe_b64decode(body)
        text = AESGCM(_data_key(key, tenant_id)).decrypt(data[:NONCE], data[NONCE:], _bound(tenant_id, row_id))
        return Secret(text.decode())
    except (InvalidTag, ValueError):
        raise Unreadable("It is not what was sealed for this row.") from None


def is_readable(sealed: str, *, tenant_id: UUID, row_id: UUID) -> bool:
    """Whether a sealed text opens."""
    try:
        unseal(sealed, tenant_id=tenant_id, row_id=row_id)
    except Unreadable:
        return False
    return True


@dataclass(slots=True)
class Rotated:
    """How many texts were sealed anew, and how many no key of the ring opens."""

    sealed: int = 0
    unreadable: int = 0


def rotate() -> Rotated:
    """Seal anew, under the ring's first key, every text in every tenant's and the vendor's tables under another.

    Safe while others read and write: a row is replaced only while it holds what was read, and both texts open.
    """
    done = Rotated()
    columns = list(sealed_columns())
    for tenant_id in [*_tenants(), NOBODY]:
        for model, field in columns:
            if is_vendors(model) == (tenant_id == NOBODY):
                _rotate(tenant_id, model, field, done)
    return done


def is_vendors(model: type[models.Model]) -> bool:
    """Whether what is sealed in a table is the vendor's own, bound to no tenant."""
    return all(field.column != "tenant_id" for field in model._meta.local_fields)


def sealed_columns() -> Iterator[tuple[type[models.Model], str]]:
    """Every column of sealed texts that there is."""
    for model in apps.get_models():
        for field in model._meta.local_fields:
            if isinstance(field, SealedField):
                yield model, field.name


def _rotate(tenant_id: UUID, model: type[models.Model], field: str, done: Rotated) -> None:
    current, last = f"{_FORM}.{next(iter(_ring()))}.", None
    while True:
        with operator_tx() if tenant_id == NOBODY else tenant_tx(tenant_id):
            table = model._default_manager.using(OPERATOR if tenant_id == NOBODY else APP)
            rows = table.exclude(**{field: ""}).exclude(**{f"{field}__startswith": current})
            after = rows if last is None else rows.filter(pk__gt=last)
            piece = list(after.order_by("pk").values_list("pk", field)[:PIECE])
            for pk, sealed in piece:
                last = pk
                try:
                    text = unseal(sealed, tenant_id=tenant_id, row_id=pk).reveal()
                except Unreadable:
                    done.unreadable += 1
                    continue
                fresh = seal(text, tenant_id=tenant_id, row_id=pk)
                done.sealed += table.filter(pk=pk, **{field: sealed}).update(**{field: fresh})
        if len(piece) < PIECE:
            return


def _tenants() -> list[UUID]:
    tenants = apps.get_model("tenants", "Tenant")._default_manager.using(OPERATOR)
    with operator_tx():
        return list(tenants.order_by("id").values_list("id", flat=True))


def _ring() -> Mapping[str, bytes]:
    ring: Mapping[str, bytes] = settings.SECRET_RING
    return ring


def _data_key(key: bytes, tenant_id: UUID) -> bytes:
    return HKDF(SHA256(), KEY, salt=None, info=b"bespoke secrets v1" + tenant_id.bytes).derive(key)


def _bound(tenant_id: UUID, row_id: UUID) -> bytes:
    return tenant_id.bytes + row_id.bytes
