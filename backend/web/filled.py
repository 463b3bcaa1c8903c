"""Forms of the organisation's pages: Django's, with the dashboard's look, and with what an action finds wrong."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any

from django import forms
from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from features.runs.models import Budget
from tenants.errors import AppError, Conflict, Invalid, Malformed, NotFound
from tenants.secrets import Secret
from tenants.webhooks import EVENTS, LONGEST_OVERLAP

from .drawing import MICRO

REFUSED = (Malformed, NotFound, Conflict, Invalid)  # what a form can say of what is in it
WHOSE = {"all": _("Everybody together"), "each": _("Each person by themselves"), "one": _("One person")}
CONTROLS: Mapping[type[forms.Widget], str] = {
    forms.CheckboxInput: "form-check-input", forms.CheckboxSelectMultiple: "form-check-input",
    forms.RadioSelect: "form-check-input", forms.Select: "form-select",
}  # fmt: skip


def _sentence(message: str) -> str:
    return message[:1].upper() + message[1:]


class Filled(forms.Form):
    """A form that looks like the dashboard. With `columns` its fields stand beside each other where there is room."""

    required_css_class = ""
    columns = False
    status = 200  # what a page that shows it answers with

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **{"label_suffix": "", **named})
        for field in self.fields.values():
            field.widget.attrs.setdefault("class", CONTROLS.get(type(field.widget), "form-control"))
            if isinstance(field.widget, forms.TextInput | forms.NumberInput):
                field.widget.attrs.setdefault("autocomplete", "off")

    def given(self) -> dict[str, Any]:
        """Return what was sent, read. Raises Invalid where the form itself says what is wrong with it."""
        if not self.is_valid():
            raise Invalid
        return self.cleaned_data

    def trying(self) -> "Trying":
        """Do what the form asks for and answer, within this; whoever comes to what stands after it was refused.

        Then the form says why, and has the `status` of the page that shows it again.
        """
        return Trying(self)

    def refuse(self, error: AppError) -> None:
        """Take over what an action found wrong: beside the field that a pointer names, else above the form."""
        for problem in error.errors:
            named = [part for part in problem.pointer.split("/") if part in self.fields]  # of a list's item its list
            self.add_error(named[-1] if named else None, _sentence(problem.message))
        if not error.errors:
            self.add_error(None, error.detail)


class Trying(AbstractContextManager[None, bool]):
    """Gives what is refused within it to a form."""

    def __init__(self, form: Filled) -> None:
        self.form = form

    def __exit__(self, kind: object, error: object, trace: object, /) -> bool:
        if not isinstance(error, REFUSED):
            return False
        if not self.form.errors:
            self.form.refuse(error)
        self.form.status = error.status
        return True


class MoneyField(forms.DecimalField):
    """An amount of the currency, given back in micro-units; nothing typed is None."""

    def __init__(self, **named: Any) -> None:
        bounds: dict[str, Any] = {"min_value": Decimal(0), "max_value": Decimal(10**6), "decimal_places": 6}
        super().__init__(**{**bounds, "required": False, **named})
        self.widget.attrs |= {"inputmode": "decimal", "step": "any"}

    def clean(self, value: Any) -> Any:
        """Return micro-units. Raises ValidationError for what is no amount."""
        amount = super().clean(value)
        return None if amount is None else int(amount * MICRO)


def _money(label: Any, help_text: Any) -> MoneyField:
    return MoneyField(label=label, help_text=help_text)


class AmountsForm(Filled):
    """From when on people are told, and what is never exceeded."""

    columns = True
    hard = _money(_("Stop at"), _("No call is made that could take it above this."))
    soft = _money(_("Warn at"), _("From here on admins are told."))

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        for name in ("hard", "soft"):
            self.fields[name].label = f"{self.fields[name].label}, {settings.CURRENCY}"


class BudgetForm(AmountsForm):
    """A budget: whose, on what, for how long, how much."""

    whose = forms.ChoiceField(label=_("For"), choices=list(WHOSE.items()))
    person = forms.CharField(
        label=_("Which one"), required=False, max_length=200, help_text=_("A member, or a user's key in your software.")
    )
    feature = forms.ChoiceField(label=_("On"), required=False)
    period = forms.ChoiceField(
        label=_("In"), choices=[(Budget.Period.MONTH, _("a month")), (Budget.Period.DAY, _("a day"))]
    )
    field_order = ("whose", "person", "feature", "period", "hard", "soft")

    def __init__(self, *arguments: Any, features: Any = (), **named: Any) -> None:
        super().__init__(*arguments, **named)
        choices: Any = self.fields["feature"]
        choices.choices = [("", _("All features")), *features]


class ProviderKeyForm(Filled):
    """A provider key to enter. What was typed as the key is never written back into the page."""

    columns = True
    provider = forms.ChoiceField(label=_("Provider"))
    name = forms.CharField(label=_("Name"), max_length=100, help_text=_("So that you know it again."))
    key = forms.CharField(
        label=_("Key"), min_length=16, max_length=500, help_text=_("It is sealed, and never shown again."),
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )  # fmt: skip
    base_url = forms.CharField(
        label=_("Endpoint of your own"), required=False, max_length=2000,
        help_text=_("Only if the provider gave you one: https, reachable from the internet."),
    )  # fmt: skip

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        choices: Any = self.fields["provider"]
        choices.choices = [(name, name) for name in settings.PROVIDERS]

    def clean_key(self) -> Secret:
        """Return the key sealed away from logs and error pages. Raises ValidationError for what no header takes."""
        text = self.cleaned_data["key"]
        if not (text.isascii() and text.isprintable() and " " not in text):
            raise forms.ValidationError(_("A key has no spaces and only plain characters."))
        return Secret(text)


class WebhookForm(Filled):
    """An address to tell, and of what."""

    url = forms.CharField(label=_("Address"), max_length=2000, help_text=_("https, reachable from the internet."))
    description = forms.CharField(label=_("What it is for"), required=False, max_length=200)
    events = forms.MultipleChoiceField(
        label=_("Told when"), widget=forms.CheckboxSelectMultiple,
        choices=[(name, f"{_sentence(told.split(': `')[0])} ({name})") for name, told in EVENTS.items()],
    )  # fmt: skip


class RenewForm(Filled):
    """For how long the old secret signs beside the new one."""

    hours = forms.IntegerField(
        label=_("Hours that both secrets sign"), min_value=0, max_value=int(LONGEST_OVERLAP.total_seconds()) // 3600,
        initial=24,
    )  # fmt: skip


class TargetForm(Filled):
    """What an alias is to mean from now on. Prices are amounts of the currency per million tokens."""

    columns = True
    alias = forms.CharField(label=_("Alias"), max_length=64, help_text=_("What behavior calls it by: model.name."))
    provider = forms.ChoiceField(label=_("Provider"))
    model = forms.CharField(label=_("Model"), max_length=200, help_text=_("As the provider calls it."))
    input_price = MoneyField(label=_("Input, per million tokens"))
    output_price = MoneyField(label=_("Output, per million tokens"))
    cached_input_price = MoneyField(label=_("Cached input"), help_text=_("Empty: costs as input does."))
    max_tokens_parameter = forms.ChoiceField(
        label=_("The output limit is called"), required=False,
        choices=[(name, name) for name in ("max_completion_tokens", "max_tokens")],
    )  # fmt: skip

    max_output_tokens = forms.IntegerField(
        label=_("Most output tokens"), required=False, min_value=1, max_value=10**9,
        help_text=_("What the model can do. Empty: what behavior asks for."),
    )  # fmt: skip

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        choices: Any = self.fields["provider"]
        choices.choices = [(name, name) for name in settings.PROVIDERS]
        self.fields["input_price"].required = self.fields["output_price"].required = True

    def target(self) -> dict[str, Any]:
        """Return what adding a target takes."""
        given = dict(self.given())
        parameter = given.pop("max_tokens_parameter") or "max_completion_tokens"
        most = given.pop("max_output_tokens")
        can = {"max_tokens_parameter": parameter, **({"max_output_tokens": most} if most else {})}
        return {**given, "capabilities": can}


class EndForm(Filled):
    """When a target ends, and what its alias means from then on where it means this one now."""

    columns = True
    ends = forms.DateTimeField(
        label=_("It ends at"), required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )  # fmt: skip
    replacement = forms.TypedChoiceField(
        label=_("The alias means from now on"), coerce=int, help_text=_("It means the one that ends.")
    )

    def __init__(self, *arguments: Any, others: Any = (), **named: Any) -> None:
        super().__init__(*arguments, **named)
        zone = timezone.get_current_timezone_name()
        self.fields["ends"].help_text = gettext("Empty: now. Time zone: %(zone)s.") % {"zone": zone}
        if not others:
            del self.fields["replacement"]
            return
        choices: Any = self.fields["replacement"]
        choices.choices = others


class EraseForm(Filled):
    """Whose data is to go, said and said again: it cannot be undone."""

    whose = forms.CharField(
        label=_("Whose"), max_length=200,
        help_text=_("A user's key in your software, or the address of a member who has left."),
    )  # fmt: skip
    sure = forms.BooleanField(label=_("Erase everything kept of them. I know that it cannot be undone."))
