"""What the security pages say is so: the tests that they name exist, nothing asked for is left out, licences are there."""

import re
from hashlib import sha256
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ITEMS = re.findall(
    r"\S+",
    "V1.3.7 V1.3.12 V1.5.3 V2.3.3 V2.3.4 V2.4.1 V3.4.3 V3.4.6 V3.5.1 V3.5.3 V4.1.3 V7.2.4 V7.4.1 V7.4.2 V8.2.1 V8.2.2"
    " V8.2.3 V8.3.1 V8.4.1 V11.5.1 V13.2.4 V14.2.1 V15.3.1 V15.3.3 V15.3.4 V15.4.2 V16.2.5 V16.3.2 V16.4.1 V16.4.2"
    " V16.4.3 V16.5.3",
)
PAGES = ("docs/security/asvs.md", "docs/security/threat-model.md", "docs/security/defences.md")
VENDORED = ROOT / "backend/web/static/vendor"


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_a_page_names_exists(page: str) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", (ROOT / page).read_text())
    assert len(named) > 20
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not (ROOT / path).exists() or not re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(), re.M)
    ]
    assert missing == []


def test_every_item_has_a_test_or_a_reason() -> None:
    rows = re.findall(r"^\| (V[\d.]+) \| .+? \| (.+?) \| (.*) \|$", (ROOT / PAGES[0]).read_text(), re.MULTILINE)
    assert [item for item, _, _ in rows] == ITEMS
    assert [item for item, told, tests in rows if "::" not in tests and not told.startswith("no test: ")] == []


@pytest.mark.parametrize("page", ["SECURITY.md", "docs/deploy.md", *PAGES])
def test_links_lead_somewhere(page: str) -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / page).read_text())
    missing = [target for target in targets if "://" not in target and not ((ROOT / page).parent / target).exists()]
    assert missing == []


def test_every_vendored_file_is_listed_with_its_licence() -> None:
    listed = (VENDORED / "VERSIONS.md").read_text()
    rows = [row for row in listed.splitlines() if row.startswith("| `")]
    told = {name for row in rows for name in re.findall(r"`([\w.-]+\.(?:css|js|svg|woff2))`", row.split(" | ")[0])}
    there = {path.name for path in VENDORED.iterdir() if path.is_file()} - {"VERSIONS.md"}
    assert told == there
    licences = {name for row in rows for name in re.findall(r"`licenses/([\w.-]+)`", row.split(" | ")[-1])}
    assert licences == {path.name for path in (VENDORED / "licenses").iterdir()} and len(licences) >= 4


def test_every_vendored_file_is_the_one_that_is_listed() -> None:
    listed = re.findall(r"^\| `([\w.-]+)` \|.*\| ([0-9a-f]{64}) \|", (VENDORED / "VERSIONS.md").read_text(), re.M)
    assert {name for name, _ in listed} == {p.name for p in VENDORED.iterdir() if p.is_file()} - {"VERSIONS.md"}
    wrong = [name for name, digest in listed if sha256((VENDORED / name).read_bytes()).hexdigest() != digest]
    assert wrong == []


def test_every_setting_that_deploying_names_exists() -> None:
    settings = (ROOT / "docs/reference/settings.md").read_text()
    compose = (ROOT / "docker-compose.yml").read_text()
    named = set(re.findall(r"`([A-Z][A-Z_]{4,})(?:=[^`]*)?`", (ROOT / "docs/deploy.md").read_text()))
    missing = [name for name in sorted(named) if name.removesuffix("_FILE") not in settings + compose]
    assert missing == []
