"""The docs say what there is."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_every_setting_is_documented_and_every_documented_one_exists() -> None:
    source = (ROOT / "backend" / "settings.py").read_text()
    there = set(re.findall(r'env(?:_bool|_int|_list)?\("([A-Z_]+)"', source))
    rows = re.findall(r"^\| (`[^|]+) \|", (ROOT / "docs/reference/settings.md").read_text(), re.MULTILINE)
    told = {name for row in rows for name in re.findall(r"`([A-Z_]+)`", row)}
    assert told == there


def test_links_and_pictures_of_every_page_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    assert len(pages) > 30
    for page in pages:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            path, _, anchor = target.partition("#")
            if "://" in target:
                continue
            led = (page.parent / path).resolve() if path else page
            assert led.exists(), (page, target)
            if anchor:
                headings = re.findall(r"^#+ (.+)$", led.read_text(), re.MULTILINE)
                assert anchor in {re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in headings}, target


def test_the_docs_say_plainly_what_locking_and_hiding_do_not_do() -> None:
    page = (ROOT / "docs/layers.md").read_text()
    assert "Locked means unchangeable, hidden means not shown." in page
    assert "Neither means that a model cannot be talked into paraphrasing it." in page


def test_every_make_target_that_the_readme_names_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`(?:[A-Z_]+=\S+ )*make ([a-z]+)`", (ROOT / "README.md").read_text()))
    assert named and named <= targets


def test_the_version_is_the_newest_of_the_changelog() -> None:
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert version and newest and version[1] == newest[1]
