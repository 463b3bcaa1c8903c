"""The forms with which the vendor makes an organisation, and says what it may."""

from typing import Any

from django import forms
from django.core.validators import validate_slug
from django.utils.translation import gettext_lazy as _

from backend.api.tenant import HIGHEST_LIMIT

from .filled import Filled

STATES = (
    ("active", _("Active")), ("suspended", _("Suspended: what waits goes on when it is active again")),
    ("closed", _("Closed: what waits is cancelled")),
)  # fmt: skip


class NewTenantForm(Filled):
    """A new organisation and its first owner."""

    columns = True
    name = forms.CharField(label=_("Name"), max_length=200)
    slug = forms.CharField(
        label=_("Short name"),
        max_length=50,
        validators=[validate_slug],
        help_text=_("In addresses. It stays for good."),
    )
    owner = forms.EmailField(
        label=_("Its owner's e-mail address"),
        help_text=_("Signs in with it, once a password is chosen, and invites the others."),
    )


class StateForm(Filled):
    """Whether an organisation may do anything."""

    state = forms.ChoiceField(label=_("It is"), choices=STATES, widget=forms.RadioSelect)
    reason = forms.CharField(
        label=_("Why"), required=False, max_length=500, help_text=_("Its people are shown it. Nothing is deleted.")
    )


def _limit(label: Any) -> forms.IntegerField:
    told = _("Empty: the default.")
    return forms.IntegerField(label=label, required=False, min_value=1, max_value=HIGHEST_LIMIT, help_text=told)


class LimitsForm(Filled):
    """Limits of an organisation's own."""

    columns = True
    requests_per_minute = _limit(_("Requests a minute"))
    concurrent_runs = _limit(_("Runs in flight"))


class EraseTenantForm(Filled):
    """Which organisation is meant, said in words."""

    confirm = forms.CharField(label=_("Type it to be sure"), max_length=100)
