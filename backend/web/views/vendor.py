"""What the vendor has published, for operators."""

from django.http import HttpResponseBase
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from backend.web.pages import PageRequest, answer, for_people
from backend.web.parts import VendorFeature, VendorVersion
from features.overview import Published, published
from tenants.people import names_of


@require_safe
@for_people
def features(request: PageRequest) -> HttpResponseBase:
    """Every feature with its versions. Publishing goes through the API and the catalog."""
    actor = request.actor
    found = published(actor)
    with actor.present():
        names = names_of({version.author for row in found for version in row.versions}, actor)
    context = {"here": "vendor", "features": [_drawn(row, names) for row in found]}
    return answer(request, "web/vendor_features.html", context)


def _drawn(row: Published, names: dict[str, str]) -> VendorFeature:
    versions = [
        VendorVersion(
            number=version.number,
            published=version.created_at,
            by=_("The catalog") if version.source == "catalog" else _author(version.author, names),
            message=version.message,
            digest=version.digest,
            current=version.number == row.current,
        )
        for version in row.versions
    ]
    return VendorFeature(row.feature.key, row.feature.title, row.feature.summary, row.current, versions)


def _author(label: str, names: dict[str, str]) -> str:
    """A colleague by name; a command by what it is called."""
    if label.startswith("system:"):
        return _("The command %(name)s") % {"name": label.removeprefix("system:")}
    return names.get(label, _("Somebody who has left"))
