"""The web process. It refuses to start on a database that would not keep tenants apart."""

import os
from concurrent.futures import ThreadPoolExecutor

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.settings")
django.setup(set_prefix=False)

from backend.api.openapi import document  # noqa: E402  (after the app registry is ready)
from backend.gate import Gate  # noqa: E402
from backend.handler import Application  # noqa: E402
from backend.memory import settle_memory  # noqa: E402
from tenants.faults import refuse_unsafe  # noqa: E402

application = Gate(Application())

with ThreadPoolExecutor(1) as _thread:  # servers import this inside their event loop, where Django refuses to query
    _thread.submit(refuse_unsafe).result()
document()  # it says which query parameters there are: the first who sends one shall not wait for it
settle_memory()
