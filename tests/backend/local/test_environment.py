"""What was given wins over what would be started; everything else is settled here."""

from pathlib import Path

import pytest

from backend.local import environment
from backend.local.environment import Unfit, database_urls, given, settings_for, with_settled
from backend.local.roles import DatabaseUrls, with_login
from backend.settings import secret_ring

URLS = DatabaseUrls(app="postgresql://a@/b", operator="postgresql://o@/b", owner="postgresql://w@/b")


@pytest.fixture(autouse=True)
def own_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.local.paths.VAR", tmp_path)
    settled = ("SECRET_KEY", "BESPOKE_SECRET_KEYS", "BESPOKE_BASE_URL", "BESPOKE_OUTBOUND_NETWORKS")
    for name in (*settled, "DATABASE_OPERATOR_URL", "DATABASE_OWNER_URL", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def test_a_value_may_come_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text("from a file\n")
    monkeypatch.setenv("SECRET_KEY_FILE", str(tmp_path / "key"))
    assert given("SECRET_KEY") == "from a file"


def test_the_secret_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    first, second = (settings_for(URLS, redis_url="r", base_url="b", demo_model=None)["SECRET_KEY"] for _ in range(2))
    assert first == second
    assert len(first) >= 50
    assert (tmp_path / "secrets/secret-key").stat().st_mode & 0o077 == 0


def test_customers_secrets_get_a_key_of_their_own_that_settings_take() -> None:
    first, second = (settings_for(URLS, redis_url="r", base_url="b", demo_model=None) for _ in range(2))
    assert first["BESPOKE_SECRET_KEYS"] == second["BESPOKE_SECRET_KEYS"]
    [(name, key)] = secret_ring([first["BESPOKE_SECRET_KEYS"]]).items()
    assert (name, len(key)) == ("here", 32)


def test_only_the_demo_lets_customers_addresses_lead_to_this_machine() -> None:
    serving = settings_for(URLS, redis_url="r", base_url="b", demo_model=None)
    assert "BESPOKE_OUTBOUND_NETWORKS" not in serving
    demo = settings_for(URLS, redis_url="r", base_url="b", demo_model=("http://127.0.0.1:1/v1", "k"))
    assert demo["BESPOKE_OUTBOUND_NETWORKS"] == "127.0.0.0/8"


def test_without_a_given_endpoint_the_demo_model_is_the_provider() -> None:
    settled = settings_for(URLS, redis_url="r", base_url="b", demo_model=("http://127.0.0.1:1/v1", "k"))
    assert settled["BESPOKE_PROVIDER"] == "demo"
    assert settled["BESPOKE_MODEL"] == "smollm2-135m"


def test_a_given_endpoint_is_passed_on_untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://10.0.0.5/v1")
    settled = settings_for(URLS, redis_url="r", base_url="b", demo_model=None)
    assert with_settled(settled)["OPENAI_BASE_URL"] == "http://10.0.0.5/v1"
    assert "BESPOKE_PROVIDER" not in settled


def test_a_file_that_was_given_for_a_settled_value_does_not_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL_FILE", "/run/secrets/superuser")
    settled = settings_for(URLS, redis_url="r", base_url="b", demo_model=None)
    assert "DATABASE_URL_FILE" not in with_settled(settled)


def test_three_given_logins_are_used_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_OPERATOR_URL", URLS.operator)
    monkeypatch.setenv("DATABASE_OWNER_URL", URLS.owner)
    assert database_urls(URLS.app) == URLS


def test_a_server_that_does_not_answer_is_named() -> None:
    with pytest.raises(Unfit, match="DATABASE_URL does not work"):
        database_urls("postgresql://nobody@127.0.0.1:9/none")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://root:pw@db.example:6432/postgres?sslmode=require", "postgresql://me:p%2Fw@db.example:6432/b?sslmode=require"),
        ("postgresql://postgres@/postgres?host=%2Ftmp%2Fx", "postgresql://me:p%2Fw@/b?host=%2Ftmp%2Fx"),
        ("postgresql://db.example", "postgresql://me:p%2Fw@db.example/b"),
    ],
)  # fmt: skip
def test_another_login_on_the_same_server(url: str, expected: str) -> None:
    assert with_login(url, "me", "p/w", database="b") == expected


def test_nothing_is_said_to_run_when_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "RUNNING", tmp_path / "environment.json")
    assert environment.running_settings() == {}
