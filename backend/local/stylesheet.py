"""Take of Tabler's style sheet what our pages use, a tenth of it: `python -m backend.local.stylesheet tabler.min.css`.

It reads minified CSS (CSS Syntax Level 3, without comments inside rules) and writes what is served in its place.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

WEB = Path(__file__).parent.parent / "web"
SERVED = WEB / "static" / "vendor" / "tabler.min.css"
OURS = ("templates/**/*.html", "static/b/*.js", "static/b/*.css", "**/*.py")
NAME = r"-?[A-Za-z_][\w-]*"
_STOPS = re.compile(r"""["'{};]""")
_VARIABLE = re.compile(r"(--[\w-]+)\s*:")


@dataclass(frozen=True, slots=True)
class Rule:
    """What stands before the braces, and either declarations or, in a rule that holds rules, those."""

    head: str
    declarations: tuple[str, ...] = ()
    rules: tuple["Rule", ...] = ()

    def __str__(self) -> str:
        return f"{self.head}{{{';'.join(self.declarations)}{''.join(map(str, self.rules))}}}"


def used_part(css: str, ours: str) -> str:
    """Return the rules of a style sheet that can touch a page whose templates, scripts and styles are `ours`.

    A selector goes when it asks for a class that is no word of ours, a variable when nothing kept and nothing of ours
    names it, and so do animations. What is inside `:not()`, `:is()` and the like never makes a selector go.
    """
    words = frozenset(re.findall(NAME, ours))
    kept = [rule for rule in (_with_classes(rule, words) for rule in read(css)) if rule]
    while True:  # a variable can be named by another that then goes
        text = "".join(map(str, kept))
        names = frozenset(re.findall(r"var\(\s*(--[\w-]+)", text + ours)) | frozenset(re.findall(r"--[\w-]+", ours))
        fewer = [rule for rule in (_with_names(rule, names, text + ours) for rule in kept) if rule]
        if fewer == kept:
            return text
        kept = fewer


def read(css: str) -> Iterator[Rule]:
    """The rules of a style sheet, in their order; statements without braces (@charset) are left out."""
    css = re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)
    at = 0
    while at < len(css):
        head, stop, at = _until(css, at)
        if stop == "{":
            inner, at = _block(css, at)
            if _holds_rules(head):
                yield Rule(head.strip(), rules=tuple(read(inner)))
            else:
                yield Rule(head.strip(), tuple(_declarations(inner)))


def _until(css: str, at: int) -> tuple[str, str, int]:
    """The text up to the next brace or semicolon outside of a string, which of them it is, and where it goes on."""
    begin = at
    while found := _STOPS.search(css, at):
        at = found.end()
        if found.group() not in "\"'":
            return css[begin : found.start()], found.group(), at
        while css[at] != found.group():
            at += 2 if css[at] == "\\" else 1
        at += 1
    return css[begin:], "", len(css)


def _block(css: str, at: int) -> tuple[str, int]:
    """What stands between an opening brace and its closing one, and where it goes on."""
    begin, depth = at, 1
    while depth:
        _text, stop, at = _until(css, at)
        depth += {"{": 1, "}": -1, ";": 0}[stop]
    return css[begin : at - 1], at


def _holds_rules(head: str) -> bool:
    return head.lstrip().startswith(("@media", "@supports", "@layer", "@container", "@keyframes"))


def _declarations(inner: str) -> Iterator[str]:
    at = 0
    while at < len(inner):
        text, _stop, at = _until(inner, at)
        if text.strip():
            yield text.strip()


def _with_classes(rule: Rule, words: frozenset[str]) -> Rule | None:
    """The rule without the selectors that ask for a class which is never there; None when none are left."""
    if rule.head.startswith("@keyframes") or (rule.head.startswith("@") and not rule.rules):
        return rule
    if rule.rules:
        inner = tuple(one for one in (_with_classes(part, words) for part in rule.rules) if one)
        return Rule(rule.head, rules=inner) if inner else None
    kept = [one for one in _selectors(rule.head) if _classes(one) <= words]
    return Rule(",".join(kept), rule.declarations) if kept else None


def _selectors(head: str) -> list[str]:
    """The selectors of a list, cut at the commas outside of brackets."""
    depth, parts = 0, [""]
    for character in head:
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(character, 0)
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _classes(selector: str) -> set[str]:
    while selector != (outer := re.sub(r"\([^()]*\)", "", selector)):
        selector = outer
    return set(re.findall(rf"\.({NAME})", re.sub(r"\[[^\]]*\]", "", selector)))


def _with_names(rule: Rule, names: frozenset[str], text: str) -> Rule | None:
    """The rule without variables that nothing names; None for one that is then empty, or is itself never named."""
    if rule.head.startswith("@property"):
        return rule if rule.head.split()[1] in names else None
    if rule.head.startswith("@keyframes"):
        called = rule.head.split()[1]
        return rule if re.search(rf"animation[^;{{}}]*[:\s,]{re.escape(called)}\b", text) else None
    if rule.rules:
        inner = tuple(one for one in (_with_names(part, names, text) for part in rule.rules) if one)
        return Rule(rule.head, rules=inner) if inner else None
    kept = tuple(one for one in rule.declarations if not (own := _VARIABLE.match(one)) or own.group(1) in names)
    return Rule(rule.head, kept) if kept else None


def ours() -> str:
    """Everything of ours that can name a class or a variable."""
    return "\n".join(path.read_text() for pattern in OURS for path in sorted(WEB.glob(pattern)))


def main(path: str) -> None:
    """Write the part of a Tabler style sheet that is served, under its own notice."""
    css = Path(path).read_text()
    notice = re.search(r"/\*!.*?\*/", css, flags=re.DOTALL)
    SERVED.write_text(f"{notice.group() if notice else ''}\n{used_part(css, ours())}\n")
    sys.stdout.write(f"{SERVED.stat().st_size:,} of {len(css.encode()):,} bytes\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
