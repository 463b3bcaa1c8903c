"""Make the demo's organisations, people and keys, and write them down for whoever plays with them."""

import json
import os
import secrets
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from backend.actors import actor_of_key, actor_of_login, memberships
from tenants.actions import add_member, create_key, create_tenant, login_for
from tenants.errors import AppError
from tenants.isolation import OPERATOR, operator_tx
from tenants.models import Operator, Tenant, User
from tenants.operators import create_operator_key
from tenants.roles import Role
from tenants.system import system_actor

TENANTS = {
    "acme": (
        "Acme",
        {
            "ada": ("Ada Ruiz", Role.OWNER),
            "alice": ("Alice Marin", Role.MEMBER),
            "bob": ("Bob Okoro", Role.MEMBER),
        },
    ),
    "globex": ("Globex", {"gus": ("Gus Lindqvist", Role.OWNER), "mallory": ("Mallory Chen", Role.MEMBER)}),
}
OPERATOR_NAME = "Olga Petrov"


class Command(BaseCommand):
    """Idempotent: passwords and keys that are written down and still good are kept."""

    help = "Make the demo's organisations, people and keys, and write them to a file (mode 0600)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", type=Path, required=True, dest="path")
        parser.add_argument("--base-url", required=True)

    def handle(self, *args: Any, path: Path, base_url: str, **options: Any) -> None:
        known = _read(path)
        told: dict[str, Any] = {"base_url": base_url, "operator": _operator(known.get("operator", {}))}
        service_keys = {}
        for slug, (name, people) in TENANTS.items():
            _make_tenant(slug, name, people)
            for short in people:
                told[short] = _member(f"{short}@{slug}.example", known.get(short, {}))
            owner = told[next(iter(people))]
            kept = known.get("service_keys", {}).get(slug, "")
            service_keys[slug] = kept if _good(kept) else _service_key(owner["key"])
        told["service_keys"] = service_keys
        _write(path, told)
        self.stdout.write(f"demo accounts are in {path}")


def _operator(known: dict[str, str]) -> dict[str, str]:
    email = "operator@bespoke.example"
    user, password = _login(email, OPERATOR_NAME, known)
    with operator_tx():
        operator, _ = Operator.objects.using(OPERATOR).get_or_create(user_id=user.id)
    key = known.get("key", "")
    return {
        "email": email,
        "password": password,
        "key": key if _good(key) else create_operator_key(operator, name="demo", by=system_actor("seed_demo"))[1],
    }


def _make_tenant(slug: str, name: str, people: dict[str, tuple[str, Role]]) -> None:
    logins = {short: login_for(f"{short}@{slug}.example", name=full) for short, (full, _) in people.items()}
    owner = next(iter(people))
    if not Tenant.objects.using(OPERATOR).filter(slug=slug).exists():
        create_tenant(slug=slug, name=name, owner=logins[owner], by=system_actor("seed_demo"))
    by = actor_of_login(logins[owner], None)
    assert by is not None, "the owner was made a member above"
    for short, (_, role) in people.items():
        if not memberships(logins[short]):
            add_member(email=logins[short].email, role=role, by=by)


def _member(email: str, known: dict[str, str]) -> dict[str, str]:
    user, password = _login(email, "", known)
    key = known.get("key", "")
    if not _good(key):
        actor = actor_of_login(user, None)
        assert actor is not None, "everybody of the demo is a member"
        key = create_key(kind="member", name="demo", by=actor)[1]
    return {"email": email, "password": password, "key": key}


def _service_key(owner_key: str) -> str:
    return create_key(kind="service", name="demo", by=actor_of_key(owner_key))[1]


def _login(email: str, name: str, known: dict[str, str]) -> tuple[User, str]:
    password = known.get("password") or secrets.token_urlsafe(12)
    user = login_for(email, name=name)
    if not user.check_password(password):
        user.set_password(password)
        user.save(using="default", update_fields=["password"])
    return user, password


def _good(key: str) -> bool:
    try:
        return bool(key and actor_of_key(key))
    except AppError:
        return False


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: Path, told: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(told, file, indent=2)
    new.replace(path)
