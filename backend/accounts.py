"""How people get a login: by being made a member, not by signing up."""

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest


class Adapter(DefaultAccountAdapter):  # type: ignore[misc]
    """allauth with the door for strangers closed."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Nobody signs up: an organisation's admin adds people."""
        return False
