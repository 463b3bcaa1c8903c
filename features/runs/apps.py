"""The app of runs."""

from django.apps import AppConfig


class RunsConfig(AppConfig):
    name = "features.runs"
    label = "runs"
