"""The environment is made anew exactly when a lock has changed, and what it does is shown in few lines."""

from pathlib import Path

import pytest

from backend.local import install

PIP = [
    "Collecting django==5.2 (from -r base.txt)\n",
    "  Downloading django\n",
    "Installing collected packages: django\n",
]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(install, "ROOT", tmp_path)
    monkeypatch.setattr(install, "VENV", tmp_path / ".venv")
    (tmp_path / "requirements").mkdir()
    (tmp_path / ".venv/installed").mkdir(parents=True)
    (tmp_path / "requirements/base.txt").write_text("django==5.2 \\\n    --hash=sha256:0\nrich==15.0 ; x\n")
    return tmp_path


def test_a_lock_that_is_installed_is_left_alone_until_it_changes(checkout: Path) -> None:
    assert install.outdated(["base"]) == ["base"]
    (checkout / ".venv/installed/base.txt").write_bytes((checkout / "requirements/base.txt").read_bytes())
    assert install.outdated(["base"]) == []
    (checkout / "requirements/base.txt").write_text("django==5.3\n")
    assert install.outdated(["base"]) == ["base"]


def test_it_counts_what_the_lock_names(checkout: Path) -> None:
    assert install.packages("base") == 2


def test_it_shows_packages_and_not_every_download(capsys: pytest.CaptureFixture[str]) -> None:
    install.show(iter(PIP), total=1)
    shown = capsys.readouterr().out
    assert "1/1 django" in shown
    assert "Downloading" not in shown
