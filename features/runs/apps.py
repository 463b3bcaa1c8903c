"""The app of runs."""

from django.apps import AppConfig


class RunsConfig(AppConfig):
    name = "features.runs"
    label = "runs"

    def ready(self) -> None:
        """Have the inbox tell of budgets, which features itself knows nothing of."""
        from features.notices import SOURCES

        from .budget_notices import SOURCE

        if SOURCE not in SOURCES:
            SOURCES.append(SOURCE)
