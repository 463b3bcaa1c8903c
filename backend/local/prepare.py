"""`python -m backend.local.prepare BASE_URL`: migrate, load the catalog, seed the demo accounts.

One process for all three: each start of Django costs a second, and a second `make demo` has ten.
"""

import os
import sys

import django
from django.core.management import call_command

from backend.local.paths import VAR


def main(base_url: str) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.settings")
    django.setup()
    call_command("migrate", database="owner", interactive=False, verbosity=1)
    call_command("load_catalog")
    call_command("seed_demo", "--json", str(VAR / "demo.json"), "--base-url", base_url)


if __name__ == "__main__":
    main(sys.argv[1])
