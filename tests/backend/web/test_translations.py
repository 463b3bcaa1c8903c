"""Whatever the dashboard says can be translated: templates, views and scripts say nothing outside gettext."""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

WEB = Path(__file__).parents[3] / "backend" / "web"
TEMPLATES = sorted((WEB / "templates").rglob("*.html"))
SCRIPTS = sorted((WEB / "static" / "b").glob("*.js"))
VIEWS = sorted(path for path in WEB.rglob("*.py") if path.name != "__init__.py")
NAMES = {"Bespoke", "JSON", "YAML", "CSV", "Ctrl ↵", "msg_", "acme, globex", "nbsp"}  # the same in every language
READ = ("aria-label", "title", "placeholder", "alt")  # attributes that people get to read or hear
GETTEXT = {"_", "gettext", "ngettext", "gettext_lazy", "ngettext_lazy", "pgettext"}
PROTOCOL = {"Malformed", "TypeError", "ValueError", "compile", "sub", "fullmatch", "match", "findall", "format_html"}
# The example that a new feature begins with, and what is said of a text that is no document of a feature.
WRITING = {"writing.py"}
STORED = {"As it was ", "As in a run"}  # how the database's own reasons begin, which are compared and not shown


def said_by(template: str) -> Iterator[str]:
    """What a template says by itself: its text and the attributes that people read, without tags of either language."""
    template = re.sub(r"{% comment %}.*?{% endcomment %}|{% blocktranslate\b.*?{% endblocktranslate %}", "\0", template, flags=re.DOTALL)  # fmt: skip
    template = re.sub(r"{#.*?#}|{%.*?%}|{{.*?}}", "\0", template, flags=re.DOTALL)
    for attribute in READ:
        yield from re.findall(rf'\s{attribute}="([^"]*)"', template)
    yield from re.split(r"<(?:[^>\"]|\"[^\"]*\")*>", template)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(WEB / "templates")))
def test_a_template_says_nothing_outside_gettext(path: Path) -> None:
    texts = (part for text in said_by(path.read_text()) for part in re.split(r"[\0\n·/&;]", text))
    bare = {text.strip() for text in texts if re.search(r"[^\W\d_]{2,}", text)}
    assert bare - NAMES == set()


@pytest.mark.parametrize("path", [path for path in VIEWS if path.name not in WRITING], ids=lambda path: path.stem)
def test_a_view_says_nothing_outside_gettext(path: Path) -> None:
    """Texts of several words that are no argument of gettext, no docstring and no error of a protocol."""
    tree, passed = ast.parse(path.read_text()), set[int]()
    for node in ast.walk(tree):
        called = getattr(node.func, "id", getattr(node.func, "attr", "")) if isinstance(node, ast.Call) else ""
        if called in GETTEXT | PROTOCOL or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            passed |= {id(part) for part in ast.walk(node)}
    texts = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in passed)
    bare = [text for text in texts if isinstance(text, str) and re.search(r"[A-Za-z]{2,} [a-z]{2,} [a-z]+", text)]
    assert [text for text in bare if text not in STORED and not text.startswith(("<", "innerHTML"))] == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_says_only_what_the_page_gave_it(path: Path) -> None:
    """What a script puts on the page as text holds no words of its own: they come from data attributes."""
    shows = re.compile(r"(?:textContent|innerText|ariaLabel|placeholder|\.title)\s*=(?!=)([^;]*);|\bsay\(([^;{]*)\);")
    for shown in (first or second for first, second in shows.findall(path.read_text())):
        selectors = re.sub(r"(?:querySelector(?:All)?|getElementById|closest|getResponseHeader|replace|getAttribute)\([^)]*\)", "", shown)  # fmt: skip
        literals = re.findall(r"\"([^\"]*)\"|`([^`]*)`", selectors)
        bare = [re.sub(r"\$\{[^}]*\}", "", "".join(literal)) for literal in literals]
        assert [text for text in bare if re.search(r"[A-Za-z]{3,}", text.replace("\\u00a0", ""))] == [], shown


@pytest.mark.skipif(shutil.which("xgettext") is None, reason="needs GNU gettext")
def test_a_translator_gets_every_text_in_a_file(tmp_path: Path) -> None:
    copy = tmp_path / "web"
    shutil.copytree(WEB, copy, ignore=shutil.ignore_patterns("static", "__pycache__"))
    (copy / "locale").mkdir()
    command = [sys.executable, "-m", "django", "makemessages", "--locale", "de", "--verbosity", "0"]
    settings = {**os.environ, "DJANGO_SETTINGS_MODULE": "django.conf.global_settings"}
    done = subprocess.run(command, cwd=copy, env=settings, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    texts = (copy / "locale" / "de" / "LC_MESSAGES" / "django.po").read_text()
    for text in ("Make it mine", "Owner", "%(n)s field yours", "Still working on it."):
        assert f'msgid "{text}"' in texts
