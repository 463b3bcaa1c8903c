"""Template tags of the dashboard: icons from the sprite, times that people read, the words and colours of origins."""

import re
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from django import template
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _

from backend.web.words import short_digest

register = template.Library()

SPRITE = "vendor/icons.svg"
UNKNOWN_ICON = "sparkles"
ORIGIN_ICONS = {"base": "package", "tenant": "building", "user": "user"}
DAY = 24 * 60 * 60


@lru_cache(maxsize=1)
def icon_names() -> frozenset[str]:
    """The names in the sprite; a feature may ask for any name, and gets a plain icon for one that is not there."""
    sprite = Path(__file__).parent.parent / "static" / SPRITE
    return frozenset(re.findall(r'symbol id="([^"]+)"', sprite.read_text()))


@register.simple_tag
@lru_cache(maxsize=1024)  # pages draw some fifty each
def icon(name: str, extra: str = "") -> SafeString:
    """Draw an icon; it is decoration, so screen readers do not hear it: put a word or an aria-label beside it."""
    known = name if name in icon_names() else UNKNOWN_ICON
    return format_html(
        '<svg class="b-icon {}" aria-hidden="true"><use href="{}#{}"></use></svg>', extra, static(SPRITE), known
    )


@register.simple_tag
def row_tools() -> SafeString:
    """The buttons beside a row of a list in a form: up, down, away."""
    return _row_tools(get_language())


@lru_cache(maxsize=64)  # a form draws a hundred of them
def _row_tools(_language: str | None) -> SafeString:
    return render_to_string("web/parts/row_tools.html")


@register.simple_tag
def origin_icon(layer: str) -> SafeString:
    return icon(ORIGIN_ICONS.get(layer, UNKNOWN_ICON))


@register.filter
def when(moment: datetime | None) -> SafeString | str:
    """A time as people read it: relative under a day, else "16 Nov, 09:30"; exact on hover."""
    if moment is None:
        return ""
    ago = (timezone.now() - moment).total_seconds()
    recent = 0 <= ago < DAY
    return _time(moment, _relative(ago) if recent else clock(moment), "recent" if recent else "short")


@register.filter
def on_day(moment: datetime | None) -> SafeString | str:
    """A moment in full: "Monday 16 November, 09:30"."""
    if moment is None:
        return ""
    return _time(moment, date_format(timezone.localtime(moment), "l j F, H:i"), "long")


@register.filter
def day(moment: datetime | None) -> str:
    """ "25 Nov": a day that is only about right."""
    return "" if moment is None else date_format(timezone.localtime(moment), "j M")


@register.filter
def clock(moment: datetime) -> str:
    """ "16 Nov, 09:30", with the year when it is another one."""
    local = timezone.localtime(moment)
    pattern = "j M, H:i" if local.year == timezone.localtime().year else "j M Y, H:i"
    return date_format(local, pattern)


@register.filter
def exactly(moment: datetime) -> str:
    """A moment for an address: RFC 3339 in UTC, to the microsecond."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


@register.filter
def seconds(duration: float | None) -> str:
    return "" if duration is None else _("%(number)s s") % {"number": f"{duration:.1f}"}


@register.filter
def short(digest: str) -> str:
    return short_digest(digest)


@register.filter
def plain_number(value: float) -> str:
    """A number for an attribute of a drawing: with a point, whatever people write where one is."""
    return f"{value:.2f}"


@register.filter
def from_thirty(height: float) -> str:
    """Where a bar of this height begins in a drawing 30 high, whose y grows downwards."""
    return f"{30 - height:.2f}"


@register.filter
def grouped(number: int | None) -> str:
    """ "1,493": a count as people read it."""
    return "" if number is None else f"{number:,}"


@register.filter
def stopped(words: str) -> str:
    """ "A budget is spent" → "A budget is spent.": titles of errors have no full stop, and more follows them."""
    text = str(words)
    return text if not text or text.endswith((".", "?", ":", "…")) else f"{text}."


@register.filter
def in_sentence(words: str) -> str:
    """ "New Password (again)" → "New password (again)": a library's label as ours are written; in English alone."""
    english = (get_language() or "en").startswith("en")
    return re.sub(r"(?<=[ -])[A-Z](?=[a-z])", lambda letter: letter[0].lower(), str(words)) if english else str(words)


@register.filter
def layer_word(layer: str, perspective: str = "user") -> str:
    """The word on an origin badge; in the organisation's own editor its layer is called plainly Organisation."""
    if layer == "tenant" and perspective == "tenant":
        return _("Organisation")
    return {"base": _("Vendor"), "tenant": _("Your organisation"), "user": _("Yours")}[layer]


@register.filter
def who(layer: str, tenant: str) -> str:
    """Who a layer is in a sentence: the vendor, the organisation by its name, or you."""
    return {"base": _("the vendor"), "tenant": tenant, "user": _("you")}[layer]


def _relative(ago: float) -> str:
    minutes, hours = int(ago // 60), int(ago // 3600)
    if minutes < 1:
        return _("just now")
    if hours < 1:
        return ngettext("%(n)d min ago", "%(n)d min ago", minutes) % {"n": minutes}
    return ngettext("%(n)d h ago", "%(n)d h ago", hours) % {"n": hours}


def _time(moment: datetime, words: str, form: str) -> SafeString:
    exact = date_format(timezone.localtime(moment), "j F Y, H:i:s e")
    return format_html(
        '<time datetime="{}" title="{}" data-b-time="{}">{}</time>', moment.isoformat(), exact, form, words
    )
