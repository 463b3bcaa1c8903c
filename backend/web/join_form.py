"""The form of somebody who comes in by an invitation and has no password yet."""

from typing import Any

from django import forms
from django.contrib.auth.password_validation import validate_password
from django.utils.translation import gettext_lazy as _

from tenants.models import User


class JoinForm(forms.Form):
    """A name, and a password that the rules for all passwords allow."""

    name = forms.CharField(label=_("Your name"), max_length=200)
    password = forms.CharField(label=_("Password"), widget=forms.PasswordInput, strip=False, max_length=1000)

    def __init__(self, *arguments: Any, email: str, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._email = email

    def clean(self) -> dict[str, Any]:
        """Hold the password against the rules, which know the person's name and address."""
        given: dict[str, Any] = super().clean() or {}
        if "password" in given:
            person = User(email=self._email, name=given.get("name", ""))
            try:
                validate_password(given["password"], person)
            except forms.ValidationError as wrong:
                self.add_error("password", wrong)
        return given
