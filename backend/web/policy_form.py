"""The form of an organisation's policy, which several admins may have open at once."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from tenants.errors import Stale

from .filled import Filled

KEPT = ("users_may_override", "store", "retention_days")


class PolicyForm(Filled):
    """What an organisation lets its people do, and what it keeps of their runs."""

    PINS = (("yes", _("Yes, as long as they like")), ("days", _("Yes, for some days")), ("no", _("No")))
    pins = forms.ChoiceField(
        label=_("May people stay on a version, or put behavior back, for themselves?"), choices=PINS,
        widget=forms.RadioSelect, help_text=_("With No, what people stay on now rests, and comes back with a Yes."),
    )  # fmt: skip
    days = forms.IntegerField(label=_("For how many days"), required=False, min_value=1, max_value=3650)
    users_may_override = forms.BooleanField(
        label=_("People may change behavior for themselves"), required=False,
        help_text=_("Turned off, what they changed rests. Nothing is deleted."),
    )  # fmt: skip
    store = forms.BooleanField(
        label=_("Keep what runs are given and what they answer"), required=False,
        help_text=_("Turned off, only digests, usage and cost are kept: no history, no examples from runs."),
    )  # fmt: skip
    retention_days = forms.IntegerField(
        label=_("Delete runs after so many days"), required=False, min_value=1, max_value=3650,
        help_text=_("Empty: they are kept. What they cost stays in the ledger."),
    )  # fmt: skip

    seen = forms.CharField(required=False, max_length=500, widget=forms.HiddenInput)

    def clean(self) -> dict[str, Any]:
        """Return the fields. Raises ValidationError where days were chosen and none said."""
        given = super().clean() or {}
        if given.get("pins") == "days" and not given.get("days") and "days" not in self.errors:
            self.add_error("days", _("Say for how many days."))
        return given

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "PolicyForm":
        """The form as a policy fills it in, which it remembers: what others change meanwhile is not undone by it."""
        return cls(initial={**_filled(values), "seen": json.dumps(values)})

    def asked(self) -> dict[str, Any]:
        """Return what `set_policy` takes; once it is valid."""
        given = self.cleaned_data
        pins = str(given["days"]) if given["pins"] == "days" else given["pins"]
        return {
            "users_may_pin": pins,
            **{name: given[name] for name in KEPT},
        }

    def seen_values(self, now: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the policy that the person had before them; the present one where that is not said."""
        try:
            seen = json.loads(self.cleaned_data["seen"])
        except ValueError:
            return now
        return seen if isinstance(seen, dict) else now

    def saved_meanwhile(
        self, clashing: Iterable[str], changed: Mapping[str, Any], now: Mapping[str, Any], who: str
    ) -> None:
        """Lay what the person changed over what is there now, and say beside each clash what somebody saved there.

        Saved again, what is typed takes its place.
        """
        self.status = Stale.status
        self.data = {**_filled({**now, **changed}), "seen": json.dumps(now)}
        told = gettext("%(who)s saved “%(value)s” here while you were editing. Save again to put yours in its place.")
        for name in clashing:
            words = {"who": who, "value": self._said(now[name])}
            self.add_error("pins" if name == "users_may_pin" else name, told % words)

    @classmethod
    def _said(cls, value: Any) -> str:
        """A value as the form shows it."""
        if isinstance(value, bool):
            return gettext("On") if value else gettext("Off")
        if value is None:
            return gettext("Empty")
        return str(dict(cls.PINS).get(value, "")) or gettext("%(n)s days") % {"n": value}


def _filled(values: Mapping[str, Any]) -> dict[str, Any]:
    """A policy as the form's fields."""
    pins = values["users_may_pin"]
    days = pins if pins.isdecimal() else ""
    return {**values, "pins": "days" if days else pins, "days": days}
