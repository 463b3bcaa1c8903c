"""The web process. It refuses to start on a database that would not keep tenants apart."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.settings")

application = get_asgi_application()

from tenants.catalogue import refuse_unsafe  # noqa: E402  (after the app registry is ready)

refuse_unsafe()
