"""Parts of addresses that the API and the dashboard have in common."""

from django.urls.converters import UUIDConverter


class Id(UUIDConverter):
    """A UUID in either case: they compare so (RFC 9562, section 4). Addresses of ours have it in lower case."""

    regex = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
