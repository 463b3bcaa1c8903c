"""How people get a login, by being invited and not by signing up; and what happens to those who guess at one."""

from types import SimpleNamespace
from typing import Any, ClassVar, NoReturn
from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from tenants.errors import TooMany

from .guesses import seconds_left

TOO_MANY = "too_many_login_attempts"  # allauth's word for it, of passwords and of second factors alike


class Adapter(DefaultAccountAdapter):  # type: ignore[misc]
    """allauth with the door for strangers closed, and a real answer to guessing."""

    error_messages: ClassVar[dict[str, Any]] = {
        **DefaultAccountAdapter.error_messages,
        "email_password_mismatch": _("The address or the password is not right."),
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Nobody signs up: an organisation's admin invites people."""
        return False

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        """Where one goes on from a new password."""
        return "/me"

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Mail somebody, with every link at our own address: the host that a request names is whoever's who sent it."""
        home = settings.BASE_URL
        here = urlsplit(home).netloc
        links = {name: _at_home(link) for name, link in context.items() if name.endswith("_url")}
        context = {
            **context,
            **links,
            "home": settings.BASE_URL,
            "current_site": SimpleNamespace(name=here, domain=here),
        }
        super().send_mail(template_prefix, email, context)

    def validation_error(self, code: str, *arguments: Any) -> ValidationError:
        """Return what a form says; too many guesses are no mistake in a form, but 429 for whoever counts answers."""
        if code == TOO_MANY:
            refuse()
        wrong: ValidationError = super().validation_error(code, *arguments)
        return wrong


def _at_home(link: str) -> str:
    """The same link at the address that people use, whatever host it was made for."""
    return f"{settings.BASE_URL}{urlsplit(link).path}"


def refuse() -> NoReturn:
    """Raise TooMany: what guesses at passwords, codes and resets come to."""
    wait = seconds_left()
    minutes = -(-wait // 60)
    told = ngettext(
        "Too many tries. Wait %(minutes)d minute, then try again; if you do not remember your password, reset it then. "
        "Nobody is locked out for longer, and nothing was changed.",
        "Too many tries. Wait %(minutes)d minutes, then try again; if you do not remember your password, reset it "
        "then. Nobody is locked out for longer, and nothing was changed.",
        minutes,
    )
    raise TooMany(told % {"minutes": minutes}, headers={"Retry-After": str(wait)})


def too_many(request: HttpRequest, exception: Exception | None = None) -> NoReturn:
    """What allauth shows for every other limit of its own: the same page."""
    refuse()
