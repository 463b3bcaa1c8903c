"""Publish what changed in the catalog folder as new versions."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from features.actions.catalog import FOLDER, ensure_model, load_folder
from tenants.errors import AppError
from tenants.system import system_actor

WORDS = {"added": "published but not current, because a rollout is under way"}


class Command(BaseCommand):
    """Idempotent: a second call publishes nothing."""

    help = "Publish what changed in features/catalog as new versions, and point the default alias to the default model."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--folder", type=Path, default=FOLDER)
        parser.add_argument("--force", action="store_true", help="also over a newer version made through the API")

    def handle(self, *args: Any, folder: Path, force: bool, **options: Any) -> None:
        by = system_actor("load_catalog")
        try:
            if ensure_model(settings.DEFAULT_MODEL, by=by):
                self.stdout.write(f"{settings.DEFAULT_MODEL['alias']} means {settings.DEFAULT_MODEL['model']} now")
            for loaded in load_folder(folder, force=force, by=by):
                self.stdout.write(f"{loaded.feature}: {WORDS.get(loaded.what, loaded.what)}, version {loaded.version}")
        except AppError as wrong:
            lines = [wrong.detail, *(f"  {p.pointer or '/'}: {p.message}" for p in wrong.errors)]
            raise CommandError("\n".join(lines)) from wrong
