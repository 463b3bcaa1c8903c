"""What is looked for among one's runs: read from an address, and drawn as the controls above the list."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from features.models import Feature
from features.runs.models import State
from features.runs.seeking import LONGEST, LOOKED_THROUGH, RATINGS, Sought
from tenants.errors import Malformed

from .parts import Choice, RunSearch

STATES = {
    State.SUCCEEDED: gettext_lazy("Answered"),
    State.FAILED: gettext_lazy("Failed"),
    State.CANCELLED: gettext_lazy("Stopped"),
}
RATED = {
    "good": gettext_lazy("Good"),
    "bad": gettext_lazy("Not right"),
    "corrected": gettext_lazy("Corrected"),
    "none": gettext_lazy("Not rated"),
}


@dataclass(frozen=True, slots=True)
class Search:
    """A search as it was asked for. `days` are the first and the last day, as they were written."""

    sought: Sought
    days: tuple[str, str]

    def drawn(self, features: Sequence[Feature]) -> RunSearch:
        """The controls, each with what is chosen."""
        sought, chosen = self.sought, self.sought.feature.key if self.sought.feature else ""
        return RunSearch(
            words=sought.words,
            features=_choices(_("Every feature"), {one.key: one.title for one in features}, chosen),
            states=_choices(_("Any state"), {str(key): str(words) for key, words in STATES.items()}, sought.state),
            ratings=_choices(_("Any rating"), {key: str(words) for key, words in RATED.items()}, sought.rating),
            since=self.days[0],
            until=self.days[1],
            narrowed=any((sought.words, sought.state, sought.rating, sought.since, sought.until)),
            looked=LOOKED_THROUGH if sought.words else 0,
        )


def read_search(asked: Mapping[str, str], feature: Feature | None) -> Search:
    """Read an address. Raises Malformed for a day, a state or a rating that is none."""
    state, rating = asked.get("state", ""), asked.get("rating", "")
    if (state and state not in STATES) or (rating and rating not in RATINGS):
        raise Malformed("There is no such state or rating to look for.")
    days = asked.get("since", ""), asked.get("until", "")
    since, last = (_day(text) for text in days)
    until = last + timedelta(days=1) if last else None
    words = asked.get("q", "")[:LONGEST].replace("\0", "")
    return Search(Sought(feature, state, rating, words, since, until), days)


def _day(text: str) -> datetime | None:
    if not text:
        return None
    try:
        return timezone.make_aware(datetime.combine(date.fromisoformat(text), time()))
    except (ValueError, OverflowError):
        raise Malformed("A day is written like 2026-11-16.") from None


def _choices(every: str, words: Mapping[str, str], chosen: str) -> list[Choice]:
    return [Choice("", every, not chosen), *(Choice(key, told, key == chosen) for key, told in words.items())]
