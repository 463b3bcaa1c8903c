"""The part of somebody else's style sheet that our pages use."""

import pytest

from backend.local.stylesheet import SERVED, read, used_part

OURS = '<a class="btn is-{{ state }}">Go</a> <style>p { color: var(--x-ours) }</style>'


@pytest.mark.parametrize(
    ("css", "kept"),
    [
        ("a{color:red}", "a{color:red}"),
        (".btn{color:red}.badge{color:red}", ".btn{color:red}"),
        (".badge,.btn:hover{color:red}", ".btn:hover{color:red}"),
        (".btn.badge{color:red}.badge .btn{color:red}", ""),
        (".btn:not(.badge){color:red}", ".btn:not(.badge){color:red}"),
        (":is(.badge,a,p) a:not(.x:is(.y)){color:red}", ":is(.badge,a,p) a:not(.x:is(.y)){color:red}"),
        ('[data-x=".badge"] a{color:red}', '[data-x=".badge"] a{color:red}'),
        ("@media (width>1px){.badge{color:red}}", ""),
        ("@media (width>1px){.badge{color:red}.btn{top:0}}", "@media (width>1px){.btn{top:0}}"),
        (":root{--x-ours:1;--x-none:2}", ":root{--x-ours:1}"),
        (":root{--x-none:1}.badge{top:var(--x-none)}", ""),
        (":root{--x-a:1;--x-b:var(--x-a);--x-c:var(--x-b)}", ""),
        (":root{--x-a:1}.btn{top:var(--x-a)}", ":root{--x-a:1}.btn{top:var(--x-a)}"),
        ("@keyframes spin{0%{top:0}}.badge{animation:spin 1s}", ""),
        ("@keyframes spin{0%{top:0}}a{animation:1s spin}", "@keyframes spin{0%{top:0}}a{animation:1s spin}"),
        ('@charset "UTF-8";/*! } */a{content:"}{;\\""}', 'a{content:"}{;\\""}'),
        ('.btn{background:url("data:image/svg+xml;a{b}")}', '.btn{background:url("data:image/svg+xml;a{b}")}'),
    ],
)
def test_what_no_page_of_ours_can_use_is_left_out(css: str, kept: str) -> None:
    assert used_part(css, OURS) == kept


def test_rules_are_read_and_written_as_they_were() -> None:
    css = SERVED.read_text()
    text = css[css.index("*/") + 2 :].strip()
    assert "".join(map(str, read(css))) == text
