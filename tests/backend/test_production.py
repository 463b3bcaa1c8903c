"""Production does not start with settings that are good enough for one's own machine alone, and says what to set."""

import os
import re
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from backend.local.environment import settings_for
from backend.local.roles import DatabaseUrls
from tenants.models import User
from tests.cast import Cast
from tests.processes import Stack

ROOT = Path(__file__).resolve().parents[2]
GOOD = {
    "SECRET_KEY": secrets.token_hex(32),
    "BESPOKE_SECRET_KEYS": f"first:{secrets.token_hex(32)}",
    "BESPOKE_BASE_URL": "https://bespoke.example",
    "DATABASE_URL": "postgresql://bespoke_app:a@postgres/bespoke",
    "DATABASE_OPERATOR_URL": "postgresql://bespoke_operator:b@postgres/bespoke",
    "REDIS_URL": "redis://:c@valkey:6379/0",
}
GUESSED = "openssl rand -hex 32"
# What is set otherwise than well, and what the refusal says to do.
BAD: dict[str, tuple[dict[str, str], str]] = {
    "debug pages": ({"BESPOKE_DEBUG": "1"}, "BESPOKE_DEBUG shows code and settings to everybody: unset it."),
    "a short secret": ({"SECRET_KEY": "only-for-tests"}, f"SECRET_KEY can be guessed: set it to what `{GUESSED}`"),
    "a long secret without chance": ({"SECRET_KEY": "change-me-" * 20}, "SECRET_KEY can be guessed"),
    "Django's own example": ({"SECRET_KEY": "django-insecure-" + "x" * 50}, "SECRET_KEY can be guessed"),
    "a key of zeros": ({"BESPOKE_SECRET_KEYS": f"first:{'0' * 64}"}, "The key first in BESPOKE_SECRET_KEYS can be"),
    "a bad key among good ones": (
        {"BESPOKE_SECRET_KEYS": f"{GOOD['BESPOKE_SECRET_KEYS']},old:{'5e' * 32}"}, "The key old in BESPOKE_SECRET_KEYS",
    ),
    "no address": ({"BESPOKE_BASE_URL": "http://localhost:8000"}, "BESPOKE_BASE_URL is not https"),
    "an address without TLS": ({"BESPOKE_BASE_URL": "http://bespoke.example"}, "such as https://bespoke.example"),
    "any host": ({"ALLOWED_HOSTS": "bespoke.example,*"}, "ALLOWED_HOSTS lets any host name in"),
    "an open database": ({"DATABASE_URL": "postgresql://bespoke_app@127.0.0.1/b"}, "DATABASE_URL names a host and no"),
    "an open door for operators": (
        {"DATABASE_OPERATOR_URL": "postgresql:///b?host=db.example&user=bespoke_operator"},
        "DATABASE_OPERATOR_URL names a host and no password",
    ),
    "an open door for the owner": ({"DATABASE_OWNER_URL": "postgresql://o@db/b"}, "DATABASE_OWNER_URL names a host"),
    "webhooks into this machine": ({"BESPOKE_OUTBOUND_NETWORKS": "10.0.0.0/8,127.0.0.0/8"}, "take 127.0.0.0/8 out"),
    "webhooks into the cloud's metadata": ({"BESPOKE_OUTBOUND_NETWORKS": "169.254.169.254/32"}, "169.254.169.254/32"),
    "webhooks everywhere": ({"BESPOKE_OUTBOUND_NETWORKS": "::/0"}, "take ::/0 out"),
    "no key for customers' secrets": ({"BESPOKE_SECRET_KEYS": ""}, "Set BESPOKE_SECRET_KEYS"),
    "no secret": ({"SECRET_KEY": ""}, "Set SECRET_KEY"),
    "a misspelt environment": ({"BESPOKE_ENVIRONMENT": "Production"}, "BESPOKE_ENVIRONMENT is production or local"),
}  # fmt: skip
FINE: dict[str, dict[str, str]] = {
    "as it should be": {},
    "said aloud": {"BESPOKE_ENVIRONMENT": "production"},
    "a database by a socket": {"DATABASE_URL": "postgresql://bespoke_app@/bespoke?host=/run/postgresql"},
    "a database by a certificate": {"DATABASE_URL": "postgresql://bespoke_app@db/bespoke?sslcert=/c"},
    "webhooks within one's own network": {"BESPOKE_OUTBOUND_NETWORKS": "10.1.0.0/16"},
    "anything on one's own machine": {
        "BESPOKE_ENVIRONMENT": "local", "SECRET_KEY": "x", "BESPOKE_BASE_URL": "http://localhost", "BESPOKE_DEBUG": "1",
    },
}  # fmt: skip


def settings_read(given: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Read the settings in a process of its own, as every process of ours does; an empty value is none at all."""
    environment = {name: value for name, value in {**GOOD, **given}.items() if value}
    command = [
        sys.executable,
        "-c",
        "import backend.settings as s; print(s.SESSION_COOKIE_NAME, s.CSRF_COOKIE_NAME, s.SECURE_HSTS_SECONDS)",
    ]
    return subprocess.run(
        command, cwd=ROOT, env={"PATH": os.environ["PATH"], **environment}, capture_output=True, text=True
    )


@pytest.mark.parametrize("case", BAD)
def test_nothing_starts_that_is_not_fit_for_production(case: str) -> None:
    given, told = BAD[case]
    done = settings_read(given)
    assert done.returncode != 0
    assert told in done.stderr
    shown = {value for name, value in given.items() if "SECRET" in name and len(value) > 20}
    assert not [value for value in shown if value.rpartition(":")[2] in done.stderr]


@pytest.mark.parametrize("case", FINE)
def test_what_is_fit_starts(case: str) -> None:
    done = settings_read(FINE[case])
    assert (done.returncode, done.stderr) == (0, "")


def test_all_faults_are_told_at_once() -> None:
    done = settings_read(
        {"BESPOKE_DEBUG": "1", "SECRET_KEY": "x", "BESPOKE_BASE_URL": "http://x", "ALLOWED_HOSTS": "*"}
    )
    assert re.findall(r"^- (\w+)", done.stderr, re.MULTILINE) == [
        "BESPOKE_DEBUG", "SECRET_KEY", "BESPOKE_BASE_URL", "ALLOWED_HOSTS",
    ]  # fmt: skip


def test_a_worker_refuses_in_production_what_it_does_here(stack: Stack) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(stack.environment, "BESPOKE_ENVIRONMENT", "production")
        program = stack.celery("unfit", "worker")
        assert program.start().ended(60) != 0
    assert "Not fit for production" in program.said()


def test_the_local_launcher_says_that_it_is_local(monkeypatch: pytest.MonkeyPatch) -> None:
    urls = DatabaseUrls(app="a", operator="b", owner="c")
    monkeypatch.delenv("BESPOKE_ENVIRONMENT")
    assert settings_for(urls, redis_url="r", base_url="b", demo_model=None)["BESPOKE_ENVIRONMENT"] == "local"


def test_with_tls_cookies_are_bound_to_the_host_and_browsers_come_by_tls_for_a_year() -> None:
    assert settings_read({}).stdout.split() == ["__Host-session", "__Host-csrf", "31536000"]
    here = {"BESPOKE_ENVIRONMENT": "local", "BESPOKE_BASE_URL": "http://localhost:8000"}
    assert settings_read(here).stdout.split() == ["session8000", "csrf8000", "0"]


def test_every_cookie_is_for_this_host_alone_by_tls_alone_and_not_for_scripts(cast: Cast, settings: Any) -> None:
    settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME = settings_read({}).stdout.split()[:2]
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True  # as for an https address
    login = User.objects.get(email="alice@acme.example")
    login.set_password("a long enough secret")
    login.save(update_fields=["password"])
    client = Client()
    client.get("/accounts/login/", secure=True)
    answer = client.post("/accounts/login/", {"login": login.email, "password": "a long enough secret"}, secure=True)
    assert answer.status_code == 302
    client.post("/me", {"act": "profile", "name": "Alice", "zone": ""}, secure=True)  # which says that it is saved
    assert sorted(client.cookies) == ["__Host-csrf", "__Host-messages", "__Host-session"]
    for cookie in client.cookies.values():
        held = (cookie["secure"], cookie["httponly"], cookie["samesite"], cookie["path"], cookie["domain"])
        assert held == (True, True, "Lax", "/", "")
