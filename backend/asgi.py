"""The web process. It refuses to start on a database that would not keep tenants apart."""

import os
from concurrent.futures import ThreadPoolExecutor

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.settings")

application = get_asgi_application()

from tenants.catalogue import refuse_unsafe  # noqa: E402  (after the app registry is ready)

with ThreadPoolExecutor(1) as _thread:  # servers import this inside their event loop, where Django refuses to query
    _thread.submit(refuse_unsafe).result()
