"""The frame of the house's pages: plain HTML with one style, no script, nothing from elsewhere."""

import unicodedata
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from html import escape

_STYLE = (
    "body{font:17px/1.5 system-ui,sans-serif;margin:0;color:#1b1f24;background:#f4f5f7}"
    "main{max-width:32rem;margin:0 auto;padding:1.5rem 1rem}"
    "h1{font-size:1.3rem}dt{color:#57606a;font-size:.85rem}"
    "dd{margin:0 0 .8rem;overflow-wrap:anywhere}"
    ".what{background:#fff;border:1px solid #d0d7de;border-radius:.5rem;padding:1rem;"
    "white-space:pre-wrap;overflow-wrap:anywhere;font-weight:600}"
    "input,button,select,.go{font:inherit;width:100%;box-sizing:border-box;padding:.8rem;"
    "margin:.4rem 0;border-radius:.5rem;border:1px solid #8c959f;background:#fff;color:inherit}"
    "button,.go{border:0;color:#fff;background:#24292f}button.yes,.go{background:#1a7f37}"
    "button.no{background:#cf222e}.note{border-left:.3rem solid #bf8700;padding-left:.7rem}"
    ".go{display:block;text-align:center;text-decoration:none;font-weight:600}"
    "button.yes{font-weight:600}"
    ":focus-visible{outline:.2rem solid #0969da;outline-offset:.1rem}"
    ".bill{background:#fff;border:1px solid #d0d7de;border-radius:.5rem;padding:1rem;"
    "margin:0 0 1rem}.bill dl{margin:.8rem 0 0}.bill dd:last-child{margin:0}"
    ".who{margin:0;color:#57606a;overflow-wrap:anywhere}"
    ".sum{margin:.1rem 0 0;font-size:2rem;font-weight:700;line-height:1.2;overflow-wrap:anywhere}"
    "label{display:block;margin:.8rem 0 0;font-weight:600}"
    "label.tick{display:flex;gap:.7rem;align-items:flex-start;font-weight:400}"
    "label.tick input{width:1.4rem;height:1.4rem;flex:none;margin:.1rem 0 0}"
    "form button{margin-top:1.2rem}.wrong{color:#a40e26;margin:.2rem 0 0;font-weight:400}"
    "[aria-invalid=true]{border:.15rem solid #cf222e}"
    ".state{font-size:1.2rem;font-weight:600}.good{color:#1a7f37}.bad{color:#a40e26}"
    ".qr{display:block;width:min(100%,18rem);margin:1rem auto;background:#fff;padding:.5rem;"
    "box-sizing:border-box}.small{color:#57606a;font-size:.85rem}"
)
_POLICY = (
    "default-src 'none'; style-src 'sha256-"
    + b64encode(sha256(_STYLE.encode()).digest()).decode()
    + "'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)

HEADERS: Mapping[str, str] = {
    "content-security-policy": _POLICY,
    "cache-control": "no-store",
    "referrer-policy": "same-origin",
    "vary": "accept-language, cookie",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
"""Nothing from elsewhere, in no frame, kept nowhere. A form still names its origin, which is how the
guard tells it from another site's."""

WITH_IMAGES: Mapping[str, str] = {
    **HEADERS,
    "content-security-policy": f"{_POLICY}; img-src data:",
}
"""The same for a page that holds an image within itself."""


def chosen(accept_language: str, known: Sequence[Mapping[str, str]]) -> Mapping[str, str]:
    """The words (each with its `lang`) that the reader prefers (RFC 9110 12.5.4); else the first."""
    wanted = []
    for place, item in enumerate(accept_language[:1000].split(",")):
        name, _, weight = item.partition(";")
        try:
            quality = float(weight.partition("=")[2]) if weight else 1.0
        except ValueError:
            quality = 0.0
        wanted.append((-quality, place, name.strip().lower().partition("-")[0]))
    by_name = {words["lang"]: words for words in known}
    found = (
        by_name[name] for quality, _, name in sorted(wanted) if name in by_name and quality < 0
    )
    return next(found, known[0])


def visible(text: str) -> str:
    """`text` for HTML, with what hides or reorders letters written out: U+202E."""
    told = (
        f"[U+{ord(c):04X}]" if unicodedata.category(c) in ("Cc", "Cf", "Co", "Cs") else c
        for c in text.replace("\r\n", "\n").replace("\n", "\u2028")
    )
    return escape("".join(told).replace("\u2028", "\n"))


def page(words: Mapping[str, str], *parts: str, head: str = "") -> str:
    """A whole page around its parts, which are HTML already."""
    return (
        f'<!doctype html><html lang="{words["lang"]}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{words['title']}</title>{head}<style>{_STYLE}</style></head>"
        f"<body><main><h1>{words['title']}</h1>{''.join(parts)}</main></body></html>"
    )


def note(text: str) -> str:
    return f'<p class="note" role="status">{escape(text)}</p>'
