"""The days whose usage is looked at: a month, or from one day to another, of UTC as budgets count."""

from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django import forms
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tenants.errors import Malformed

from .filled import Filled

MONTHS = 3  # that one can look back with a click; an address reaches any
LONGEST = 366  # days at once
FIRST = date(2000, 1, 1)  # nothing was used before


@dataclass(frozen=True, slots=True)
class Days:
    """From a first day to a last one, seen from today."""

    first: date
    last: date
    today: date

    @property
    def since(self) -> datetime:
        return datetime(self.first.year, self.first.month, self.first.day, tzinfo=UTC)

    @property
    def until(self) -> datetime:
        """The first instant after the last day."""
        return self.since + timedelta(days=self.length)

    @property
    def length(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def month(self) -> str:
        """`2026-11`, or nothing where they are not just a month."""
        whole = self.first.day == 1 and self.last == _end(self.first)
        return f"{self.first:%Y-%m}" if whole else ""

    @property
    def going(self) -> bool:
        """Whether it is the present month: what it comes to in the end is not known yet."""
        return bool(self.month) and self.first <= self.today <= self.last

    @property
    def over(self) -> bool:
        return self.last < self.today

    @property
    def begun(self) -> int:
        """How many of the days have begun."""
        return self.today.day if self.going else self.length

    @property
    def asked(self) -> str:
        """What an address says of them."""
        return f"month={self.month}" if self.month else f"since={self.first}&until={self.last}"

    @property
    def file(self) -> str:
        """How a file of them is called."""
        return self.month or f"{self.first}-to-{self.last}"

    @property
    def title(self) -> str:
        """ "November", or "the days from 3 November to 10 November"; with the year where it is another one."""
        if self.month:
            return date_format(self.first, "F" if self.first.year == self.today.year else "F Y")
        pattern = "j F" if self.first.year == self.last.year == self.today.year else "j F Y"
        words = {"first": date_format(self.first, pattern), "last": date_format(self.last, pattern)}
        return _("the days from %(first)s to %(last)s") % words


class DaysForm(Filled):
    """From which day to which."""

    since = forms.DateField(label=gettext_lazy("From"), widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(label=gettext_lazy("Up to and with"), widget=forms.DateInput(attrs={"type": "date"}))
    columns = True

    def __init__(self, *arguments: Any, today: date, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.today = today

    def clean(self) -> dict[str, Any]:
        """Return both, none after today. Raises ValidationError for days that are none, or too many."""
        given = super().clean() or {}
        first, last = given.get("since"), given.get("until")
        if first is None or last is None:
            return given
        last = min(last, self.today)
        if not FIRST <= first <= last:
            self.add_error("since", _("Say a day that has been, and is not after the last one."))
        elif (last - first).days >= LONGEST:
            self.add_error("since", _("Say at most a year: %(n)d days.") % {"n": LONGEST})
        return {"since": first, "until": last}


def days_asked(asked: Mapping[str, str], today: date) -> tuple[Days, DaysForm]:
    """Read `month=2026-11`, or `since=` and `until=`; nothing is the present month, as is what the form refuses.

    Raises Malformed for what is no month.
    """
    if not {"since", "until"} & asked.keys():
        found = month_asked(asked.get("month"), today)
        return found, DaysForm(today=today, initial={"since": found.first, "until": min(found.last, today)})
    form, found = DaysForm(asked, today=today), month_asked(None, today)
    with form.trying():
        given = form.given()
        found = Days(given["since"], given["until"], today)
    return found, form


def month_asked(text: str | None, today: date) -> Days:
    """Read `2026-11`; nothing is the present month. Raises Malformed."""
    try:
        first = date.fromisoformat(f"{text}-01") if text else today.replace(day=1)
    except ValueError:
        raise Malformed(_("A month is written like 2026-11.")) from None
    if not FIRST <= first <= today:
        raise Malformed(_("That month has not been."))
    return Days(first, _end(first), today)


def months_of(days: Days) -> list[tuple[str, str]]:
    """Keys and names of the months to choose from, the present one last; one from further back comes first."""
    firsts = [days.today.replace(day=1)]
    for _n in range(MONTHS - 1):
        firsts.insert(0, (firsts[0] - timedelta(days=1)).replace(day=1))
    if days.month and days.first not in firsts:
        firsts.insert(0, days.first)
    return [(f"{first:%Y-%m}", Days(first, _end(first), days.today).title) for first in firsts]


def _end(first: date) -> date:
    return first.replace(day=monthrange(first.year, first.month)[1])
