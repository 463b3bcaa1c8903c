"""The variables that web, workers and manage.py run with, from what was given and what was started here."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import psycopg

from backend.local.model import ALIAS
from backend.local.paths import VAR, kept_secret
from backend.local.roles import PARTS, DatabaseUrls, database_of, make_roles, may_make_roles

RUNNING: Final[Path] = VAR / "environment.json"


class Unfit(Exception):
    """What was given in the environment cannot work; the message says what to give instead."""


def given(name: str) -> str | None:
    """A variable's value, from NAME or from the file that NAME_FILE names; None when neither is set."""
    if path := os.environ.get(f"{name}_FILE"):
        return Path(path).read_text(encoding="utf-8").strip()
    return os.environ.get(name) or None


def database_urls(url: str) -> DatabaseUrls:
    """The three roles' URLs on a real server. Raises Unfit.

    All three given: they are used as they are. Only DATABASE_URL: its login makes the roles, their passwords are kept
    in var/.
    """
    operator, owner = given("DATABASE_OPERATOR_URL"), given("DATABASE_OWNER_URL")
    if operator and owner:
        return DatabaseUrls(app=url, operator=operator, owner=owner)
    try:
        if not may_make_roles(url):
            raise Unfit(
                "The login in DATABASE_URL cannot create roles. Give one that can, or run deploy/roles.sql yourself "
                "and set DATABASE_URL, DATABASE_OPERATOR_URL and DATABASE_OWNER_URL to the three roles' logins."
            )
        database = database_of(url)
        passwords = {part: kept_secret(f"{part}-password") for part in PARTS}
        return make_roles(url, "bespoke" if database in ("", "postgres") else database, passwords=passwords)
    except psycopg.Error as error:
        raise Unfit(f"DATABASE_URL does not work: {error}") from error


def settings_for(
    urls: DatabaseUrls, *, redis_url: str, base_url: str, demo_model: tuple[str, str] | None
) -> dict[str, str]:
    """What backend.settings reads of what was started here. demo_model: its URL and key, if it was started."""
    settled = {
        **urls.environ(),
        "REDIS_URL": redis_url,
        "BESPOKE_ENVIRONMENT": given("BESPOKE_ENVIRONMENT") or "local",
        "SECRET_KEY": given("SECRET_KEY") or kept_secret("secret-key"),
        "BESPOKE_SECRET_KEYS": given("BESPOKE_SECRET_KEYS") or f"here:{_digits(kept_secret('customers-secrets'))}",
        "BESPOKE_LOG_FORMAT": given("BESPOKE_LOG_FORMAT") or "console",
        "BESPOKE_BASE_URL": given("BESPOKE_BASE_URL") or base_url,
    }
    if demo_model:
        settled |= {"BESPOKE_PROVIDER": "demo", "BESPOKE_MODEL": ALIAS}
        settled["OPENAI_BASE_URL"], settled["OPENAI_API_KEY"] = demo_model
        settled["BESPOKE_OUTBOUND_NETWORKS"] = given("BESPOKE_OUTBOUND_NETWORKS") or "127.0.0.0/8"
    return settled


def _digits(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def with_settled(settled: Mapping[str, str]) -> dict[str, str]:
    """Our own environment with what was settled, which must win over a NAME_FILE that was given for it."""
    kept = {name: value for name, value in os.environ.items() if name.removesuffix("_FILE") not in settled}
    return {**kept, "PYTHONUNBUFFERED": "1", **settled}


def running_settings() -> Mapping[str, str]:
    """What the supervisor of this checkout settled, while it runs; empty when none does."""
    found: dict[str, str] = json.loads(RUNNING.read_text(encoding="utf-8")) if RUNNING.exists() else {}
    return found
