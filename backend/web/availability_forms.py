"""The forms with which the vendor says who has a feature, how long its outputs are reused, and when it ends."""

import re
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from features.models import Feature

from .filled import Filled

MOST_NAMED = 1000  # organisations in one go
LONGEST_CACHING = 31_536_000  # seconds: a year
UNITS = (
    ("3600", gettext_lazy("hours")), ("60", gettext_lazy("minutes")), ("86400", gettext_lazy("days")),
    ("1", gettext_lazy("seconds")),
)  # fmt: skip


def slugs_in(text: str) -> list[str]:
    """`acme, globex` → the short names, each once."""
    return list(dict.fromkeys(re.split(r"[\s,;]+", text.strip()))) if text.strip() else []


class AvailabilityForm(Filled):
    """Whom a feature is served to, as a change of the list that there is: so two people's changes add up."""

    who = forms.ChoiceField(
        label=gettext_lazy("Who has it"), widget=forms.RadioSelect,
        choices=(
            ("everybody", gettext_lazy("Every organisation")), ("listed", gettext_lazy("Listed organisations alone")),
        ),
    )  # fmt: skip
    add = forms.CharField(
        label=gettext_lazy("Put on the list"), required=False, max_length=20_000,
        help_text=gettext_lazy("Short names of organisations, as in acme, globex."),
    )  # fmt: skip
    remove = forms.MultipleChoiceField(
        label=gettext_lazy("Take off the list"), required=False, widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, *arguments: Any, listed: Sequence[tuple[str, str]] = (), **named: Any) -> None:
        super().__init__(*arguments, **named)
        if not listed:
            del self.fields["remove"]
            return
        offered: Any = self.fields["remove"]
        offered.choices = listed

    def clean_add(self) -> list[str]:
        """Return the short names. Raises ValidationError for more than one request may name."""
        named = slugs_in(self.cleaned_data["add"])
        if len(named) > MOST_NAMED:
            raise forms.ValidationError(_("Name at most %(n)d at a time.") % {"n": MOST_NAMED})
        return named

    def change(self) -> dict[str, Any]:
        """Return what `set_available` takes."""
        given = self.given()
        remove: Iterable[str] = given.get("remove", ())
        return {"listed_only": given["who"] == "listed", "add": given["add"], "remove": list(remove)}


class CachingForm(Filled):
    """How long an output answers equal runs."""

    how = forms.ChoiceField(
        label=gettext_lazy("An answer is given again"), widget=forms.RadioSelect,
        choices=(
            ("usual", gettext_lazy("As long as is usual here")),
            ("never", gettext_lazy("Never: each run asks the model")),
            ("for", gettext_lazy("For a time of its own")),
        ),
    )  # fmt: skip
    number = forms.IntegerField(label=gettext_lazy("How long"), required=False, min_value=1)
    unit = forms.ChoiceField(label=gettext_lazy("In"), required=False, choices=UNITS)
    columns = True

    def clean(self) -> dict[str, Any]:
        """Return the fields. Raises ValidationError where a time was chosen and none said, or more than a year."""
        given = super().clean() or {}
        if given.get("how") == "for" and "number" not in self.errors:
            if not given.get("number"):
                self.add_error("number", _("Say for how long."))
            elif given["number"] * int(given.get("unit") or 3600) > LONGEST_CACHING:
                self.add_error("number", _("Say at most a year."))
        return given

    def change(self) -> dict[str, Any]:
        """Return what `set_caching` takes."""
        given = self.given()
        own = given["number"] * int(given["unit"] or 3600) if given["how"] == "for" else 0
        return {"seconds": None if given["how"] == "usual" else own}

    @staticmethod
    def of(feature: Feature) -> dict[str, Any]:
        """A feature's lifetime as the form says it, in the largest unit that it is whole in."""
        seconds = feature.cache_seconds
        if not seconds:
            return {"how": "usual" if seconds is None else "never", "unit": "3600"}
        unit = next(size for size in (86_400, 3600, 60, 1) if seconds % size == 0)
        return {"how": "for", "number": seconds // unit, "unit": str(unit)}


class RetireForm(Filled):
    """When a feature ends, and what people are told of it."""

    at = forms.DateTimeField(
        label=gettext_lazy("It ends at"),
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )
    message = forms.CharField(
        label=gettext_lazy("What people are told"), required=False, max_length=500,
        help_text=gettext_lazy("For example what takes its place."),
    )  # fmt: skip

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        zone = timezone.get_current_timezone_name()
        self.fields["at"].help_text = _("Time zone: %(zone)s.") % {"zone": zone}

    def change(self) -> dict[str, Any]:
        """Return what `retire` takes."""
        given = self.given()
        return {"at": given["at"], "message": given["message"].strip()}

    @staticmethod
    def of(feature: Feature) -> dict[str, Any]:
        """The end that a feature has, else one in a month."""
        at = feature.retires_at or (timezone.now() + timedelta(days=30)).replace(minute=0)
        return {"at": at, "message": feature.retiring}


class GoOnForm(Filled):
    """That a feature goes on after all: nothing is to be filled in."""

    def change(self) -> dict[str, Any]:
        """Return what `unretire` takes."""
        return {}
