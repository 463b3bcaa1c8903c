#!/usr/bin/env python
"""Django's command line. Where nothing says which servers to use, those that run in this checkout are meant."""

import os
import sys

from backend.local.environment import running_settings

if __name__ == "__main__":
    if not os.environ.keys() & {"DATABASE_URL", "DATABASE_URL_FILE"}:
        os.environ.update(running_settings())
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
