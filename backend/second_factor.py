"""Second factors: codes from an authenticator app, and recovery codes. What makes them is sealed at rest."""

from uuid import UUID

from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.utils import is_mfa_enabled

from tenants.actor import Actor
from tenants.isolation import NOBODY
from tenants.models import User
from tenants.secrets import Rotated, Unreadable, seal, unseal

LOGINS = UUID(int=2)  # what they are bound to in place of a row: a login is no tenant's
SEALED = ("secret", "seed")  # where allauth keeps them


class Adapter(DefaultMFAAdapter):  # type: ignore[misc]
    """allauth's second factors, under the keys of BESPOKE_SECRET_KEYS (tenants/secrets.py)."""

    def encrypt(self, text: str) -> str:
        """Seal what codes are made from."""
        return seal(text, tenant_id=NOBODY, row_id=LOGINS)

    def decrypt(self, encrypted_text: str) -> str:
        """Open it. Raises Unreadable when its key is no longer in the ring."""
        return unseal(encrypted_text, tenant_id=NOBODY, row_id=LOGINS).reveal()


def lacks_second_factor(actor: Actor, user: User) -> bool:
    """Whether the actor's organisation asks for a second factor that this person has not set up."""
    return bool(actor.tenant and actor.tenant.require_mfa and not is_mfa_enabled(user))


def rotate_second_factors() -> Rotated:
    """Seal anew, under the ring's first key, what is under another; a code that is used meanwhile goes on working."""
    done, adapter = Rotated(), Adapter()
    for row in Authenticator.objects.order_by("pk").iterator():
        fresh = dict(row.data)
        try:
            for name in SEALED:
                if name in fresh:
                    fresh[name] = adapter.encrypt(adapter.decrypt(fresh[name]))
        except Unreadable:
            done.unreadable += 1
            continue
        done.sealed += Authenticator.objects.filter(pk=row.pk, data=row.data).update(data=fresh)
    return done
