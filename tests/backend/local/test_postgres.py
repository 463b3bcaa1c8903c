"""The embedded PostgreSQL: who can reach it, what the three roles may do, what outlives a stop."""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from backend.local import postgres
from backend.local.programs import Account, home_of
from backend.local.roles import DatabaseUrls, make_roles, may_make_roles, with_login


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[postgres.Postgres]:
    home = tmp_path_factory.mktemp("pg")
    started = postgres.start(home, settings=postgres.THROWAWAY)
    yield started
    started.stop("immediate")
    if (home / "elsewhere").exists():
        shutil.rmtree((home / "elsewhere").read_text())


@pytest.fixture(scope="module")
def urls(server: postgres.Postgres) -> DatabaseUrls:
    return make_roles(server.url(), owner_may_create_databases=True)


def ask(url: str, question: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        answer = connection.execute(question)
        found = answer.fetchone() if answer.description else None
    return found[0] if found else None


def test_nobody_reaches_it_over_the_network_and_others_not_through_the_socket(server: postgres.Postgres) -> None:
    assert ask(server.url(), "SHOW listen_addresses") == ""
    assert stat.S_IMODE(server.sockets.stat().st_mode) == 0o700
    assert stat.S_IMODE(server.data.stat().st_mode) == 0o700


def test_it_never_runs_as_root(server: postgres.Postgres) -> None:
    assert server.data.stat().st_uid == Account.fit().uid != 0


def test_it_speaks_utf8_with_the_same_order_everywhere(server: postgres.Postgres) -> None:
    assert ask(server.url(), "SHOW server_encoding") == "UTF8"
    assert ask(server.url(), "SELECT concat(datlocprovider, ' ', datlocale) FROM pg_database LIMIT 1") == "b C.UTF-8"


@pytest.mark.parametrize("part", ["app", "operator", "owner"])
def test_no_role_is_above_row_security(urls: DatabaseUrls, part: str) -> None:
    powers = "SELECT rolsuper OR rolbypassrls OR rolcreaterole FROM pg_roles WHERE rolname = current_user"
    assert ask(getattr(urls, part), powers) is False


@pytest.mark.parametrize("part", ["app", "operator"])
def test_those_who_serve_cannot_make_tables(urls: DatabaseUrls, part: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ask(getattr(urls, part), f"CREATE TABLE made_by_{part} (a int)")


def test_the_owner_makes_tables_and_exclusion_constraints(urls: DatabaseUrls) -> None:
    ask(urls.owner, "CREATE TABLE spans (who int, at tstzrange, EXCLUDE USING gist (who WITH =, at WITH &&))")
    assert ask(urls.owner, "SELECT tableowner FROM pg_tables WHERE tablename = 'spans'") == "bespoke_owner"


def test_making_the_roles_again_changes_nothing(server: postgres.Postgres, urls: DatabaseUrls) -> None:
    assert make_roles(server.url()) == urls


def test_a_superuser_under_our_role_s_name_is_refused(server: postgres.Postgres, urls: DatabaseUrls) -> None:
    ask(server.url(), "ALTER ROLE bespoke_app SUPERUSER")
    try:
        with pytest.raises(psycopg.errors.RaiseException, match="bespoke_app is a superuser"):
            make_roles(server.url())
    finally:
        ask(server.url(), "ALTER ROLE bespoke_app NOSUPERUSER")


def test_passwords_are_set_when_given_and_survive_any_characters(server: postgres.Postgres) -> None:
    ask(server.url(), "DROP DATABASE IF EXISTS guarded")
    guarded = make_roles(server.url(), "guarded", passwords={"app": "it's 100% /@:#?"})
    assert "it%27s%20100%25%20%2F%40%3A%23%3F@" in guarded.app
    assert ask(guarded.app, "SELECT current_user") == "bespoke_app"
    assert ask(server.url(), "SELECT rolpassword LIKE 'SCRAM%' FROM pg_authid WHERE rolname = 'bespoke_app'") is True


def test_a_login_that_may_only_create_roles_is_enough(server: postgres.Postgres, urls: DatabaseUrls) -> None:
    ask(server.url(), "CREATE ROLE manager LOGIN CREATEROLE CREATEDB")
    for part in ("app", "operator", "owner"):
        ask(server.url(), f"GRANT bespoke_{part} TO manager WITH ADMIN OPTION")
    manager = with_login(server.url(), "manager", database="postgres")
    assert may_make_roles(manager)
    assert not may_make_roles(urls.app)
    managed = make_roles(manager, "managed")
    whose = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'managed'"
    assert ask(managed.owner, whose) == "bespoke_owner"


def test_data_outlives_a_stop_and_a_crash_with_a_stale_lock_file(place: Path) -> None:
    first = postgres.start(place / "pg")
    try:
        ask(first.url(), "CREATE TABLE kept AS SELECT 7 AS a")
    finally:
        first.stop()
    # What a power cut leaves: a lock file with the id of a process that is somebody else's by now.
    lock = first.data / "postmaster.pid"
    lock.write_text(f"{os.getpid()}\n{first.data}\n")
    second = postgres.start(place / "pg")
    try:
        assert ask(second.url(), "SELECT a FROM kept") == 7
    finally:
        second.stop()


def test_a_server_that_runs_on_the_folder_is_left_alone(place: Path) -> None:
    first = postgres.start(place / "pg")
    try:
        with pytest.raises(postgres.PostgresFailed, match=f"process {first.process.pid}"):
            postgres.start(place / "pg")
        assert ask(first.url(), "SELECT 1") == 1
    finally:
        first.stop()


def test_when_it_cannot_start_it_says_why(place: Path) -> None:
    with pytest.raises(postgres.PostgresFailed, match="no_such_setting"):
        postgres.start(place / "pg", settings={"no_such_setting": "1"})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to hand the server over to another account")
def test_root_s_closed_folder_gets_a_substitute_that_is_found_again(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    substitute = home_of(Account.fit(), closed / "pg")
    try:
        assert Account.fit().can_enter(substitute)
        assert home_of(Account.fit(), closed / "pg") == substitute
    finally:
        shutil.rmtree(substitute)


def test_stop_waits_for_no_client(place: Path) -> None:
    server = postgres.start(place / "pg")
    with psycopg.connect(server.url()):
        server.stop(patience=10)
    assert server.process.returncode == 0
