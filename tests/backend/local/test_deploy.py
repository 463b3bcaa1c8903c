"""What is shipped for real servers: the compose file by the real compose, the init script by psql, the locks."""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from backend.local import postgres
from backend.local.paths import ROOT
from backend.local.programs import Account, postgres_programs
from backend.local.roles import make_roles, with_login

COMPOSE = Path(sys.executable).with_name("docker-compose")
SECRETS = {
    "POSTGRES_PASSWORD": "p1",
    "OWNER_PASSWORD": "p2",
    "APP_PASSWORD": "p3",
    "OPERATOR_PASSWORD": "p4",
    "VALKEY_PASSWORD": "p5",
    "SECRET_KEY": "p6",
    "BESPOKE_SECRET_KEYS": "p8",
    "BESPOKE_BASE_URL": "https://bespoke.example",
    "OPENAI_API_KEY": "p7",
    "BESPOKE_MODEL": "a-model",
}
PRODUCT = ("migrate", "web", "worker", "beat")


def compose(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(COMPOSE), "--env-file", os.devnull, *arguments]
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def services() -> Any:
    shown = compose("--profile", "model", "config", "--format", "json", **SECRETS)
    assert shown.returncode == 0, shown.stderr
    return json.loads(shown.stdout)["services"]


def test_compose_accepts_the_file() -> None:
    assert compose("config", "-q", **SECRETS).stderr == ""


@pytest.mark.parametrize("name", SECRETS)
def test_nothing_starts_with_a_default_secret(name: str) -> None:
    refused = compose("config", "-q", **{other: value for other, value in SECRETS.items() if other != name})
    assert refused.returncode != 0
    assert f"set {name} in .env" in refused.stderr


def test_the_product_is_in_production_unless_told_otherwise(services: Any) -> None:
    assert {services[name]["environment"]["BESPOKE_ENVIRONMENT"] for name in PRODUCT} == {"production"}


def test_every_service_is_checked_and_comes_back(services: Any) -> None:
    for name, service in services.items():
        if name != "migrate":
            assert service["restart"] == "unless-stopped", name
            assert service["healthcheck"]["test"], name


def test_the_product_s_variables_are_ones_that_it_reads(services: Any) -> None:
    given = set().union(*(services[name]["environment"] for name in PRODUCT))
    of_libraries = {name for name in given if name.startswith(("OTEL_", "PROMETHEUS_"))}
    assert given - of_libraries <= names_read(), given - names_read()


def test_every_setting_in_the_env_file_reaches_the_product(services: Any) -> None:
    """One that is left out would be off without a word: the second operator, a limit, the pool's size."""
    apart = {"DATABASE_OWNER_URL"}  # the migrate job's alone
    for name in PRODUCT:
        assert names_read() - apart <= services[name]["environment"].keys(), name
    shown = compose("config", "--format", "json", **SECRETS, BESPOKE_SECOND_APPROVAL="1")
    assert json.loads(shown.stdout)["services"]["web"]["environment"]["BESPOKE_SECOND_APPROVAL"] == "1"
    assert services["web"]["environment"]["BESPOKE_SECOND_APPROVAL"] is None  # not set at all, so the default counts


def test_logs_do_not_fill_the_disk_and_whoever_is_served_may_finish(services: Any) -> None:
    for name, service in services.items():
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}, name
    patience = re.search(r'"--graceful-timeout", "(\d+)"', (ROOT / "deploy/Dockerfile").read_text())
    assert patience and seconds(services["web"]["stop_grace_period"]) > int(patience[1])


def seconds(duration: str) -> int:
    """A duration as Compose writes it, such as 1m0s."""
    found = re.fullmatch(r"(?:(\d+)m)?(\d+)s", duration)
    assert found
    return 60 * int(found[1] or 0) + int(found[2])


def test_only_the_migrate_job_may_act_as_the_owner(services: Any) -> None:
    assert [name for name in PRODUCT if "DATABASE_OWNER_URL" in services[name]["environment"]] == ["migrate"]


def test_databases_are_out_of_reach_from_outside(services: Any) -> None:
    for name in ("postgres", "valkey"):
        assert list(services[name]["networks"]) == ["inside"]
        assert "ports" not in services[name]


def names_read() -> set[str]:
    """The variables that the product asks its environment for: the first arguments of env("NAME") and its kin."""
    calls = (
        node for node in ast.walk(ast.parse((ROOT / "backend/settings.py").read_text())) if isinstance(node, ast.Call)
    )
    readers = ("env", "env_bool", "env_int", "env_list")
    return {
        ast.literal_eval(call.args[0]) for call in calls if ast.unparse(call.func) in readers and is_text(call.args[0])
    }


def is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


@pytest.fixture
def server(place: Path) -> Iterator[postgres.Postgres]:
    started = postgres.start(place / "pg", settings=postgres.THROWAWAY)
    yield started
    started.stop("immediate")


def initdb(server: postgres.Postgres, place: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    programs = postgres_programs(Account.fit(), place / "pg")
    return subprocess.run(
        [str(ROOT / "deploy/initdb.sh")],
        env={
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PGHOST": str(server.sockets),
            "POSTGRES_USER": "postgres",
            "POSTGRES_DB": "bespoke",
            "ROLES_SQL": str(ROOT / "deploy/roles.sql"),
            **environment,
        },
        capture_output=True,
        text=True,
    )


def test_the_init_script_makes_the_roles_that_the_embedded_server_has(server: postgres.Postgres, place: Path) -> None:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE bespoke")
    (place / "owner").write_text("ow'ner\n")
    others = {"APP_PASSWORD": "app", "OPERATOR_PASSWORD": "op", "BACKUP_PASSWORD": "ba'ck"}
    done = initdb(server, place, OWNER_PASSWORD_FILE=str(place / "owner"), **others)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    with psycopg.connect(with_login(server.url(), "bespoke_owner", database="bespoke")) as connection:
        connection.execute("CREATE TABLE mine (a int)")
    asked = "SELECT rolname, rolsuper, rolbypassrls, rolcreatedb FROM pg_roles WHERE rolname LIKE 'bespoke%' ORDER BY 1"
    with psycopg.connect(server.url()) as connection:
        made = connection.execute(asked).fetchall()
        secret = "SELECT rolpassword IS NOT NULL FROM pg_authid WHERE rolname LIKE 'bespoke%'"
        assert connection.execute(secret).fetchall() == [(True,)] * 4
    parts = ("app", "backup", "operator", "owner")  # of which that of backups alone reads past policies
    assert made == [(f"bespoke_{part}", False, part == "backup", False) for part in parts]
    make_roles(server.url())  # and the other way of running the same file finds nothing to complain about


def test_the_init_script_makes_nothing_without_passwords(server: postgres.Postgres, place: Path) -> None:
    done = initdb(server, place, APP_PASSWORD="app", OPERATOR_PASSWORD="op")
    assert done.returncode != 0
    assert "set OWNER_PASSWORD or OWNER_PASSWORD_FILE" in done.stderr


@pytest.mark.parametrize("lock", ["base", "embedded", "model", "dev"])
def test_locks_pin_every_package_by_hash_and_name_no_host(lock: str) -> None:
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    entries = re.split(r"\n(?=\S)", "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#")))
    assert all("==" in entry and "--hash=sha256:" in entry for entry in entries if entry.strip())
    assert not re.search(r"https?:|file:|/opt|--index|--find-links|\s/", text)


def test_the_image_installs_the_locked_packages_and_is_not_root() -> None:
    steps = (ROOT / "deploy/Dockerfile").read_text()
    assert "--require-hashes -r requirements/base.txt" in steps
    assert steps.index("\nUSER bespoke") > steps.rindex("\nFROM")
