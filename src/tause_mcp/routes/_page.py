"""The page on which a person answers an approval: plain HTML in English and Spanish."""

import unicodedata
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from html import escape

_STYLE = (
    "body{font:17px/1.5 system-ui,sans-serif;margin:0;color:#1b1f24;background:#f4f5f7}"
    "main{max-width:32rem;margin:0 auto;padding:1.5rem 1rem}"
    "h1{font-size:1.3rem}dt{color:#57606a;font-size:.85rem}"
    "dd{margin:0 0 .8rem;overflow-wrap:anywhere}"
    ".what{background:#fff;border:1px solid #d0d7de;border-radius:.5rem;padding:1rem;"
    "white-space:pre-wrap;overflow-wrap:anywhere;font-weight:600}"
    "input,button{font:inherit;width:100%;box-sizing:border-box;padding:.8rem;margin:.4rem 0;"
    "border-radius:.5rem;border:1px solid #8c959f}"
    "button{border:0;color:#fff;background:#24292f}button.yes{background:#1a7f37}"
    "button.no{background:#cf222e}.note{border-left:.3rem solid #bf8700;padding-left:.7rem}"
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
"""Nothing from elsewhere, in no frame, kept nowhere. A form still names its origin."""

ENGLISH: Mapping[str, str] = {
    "lang": "en",
    "title": "Approval",
    "intro": "Something waits for your approval. Sign in with an API key that may answer it.",
    "key": "API key",
    "sign_in": "Continue",
    "refused": "This key cannot open this approval.",
    "again": "Your session has ended. Sign in again.",
    "absent": "There is no such approval.",
    "what": "This will happen if you approve",
    "tool": "Tool",
    "caller": "Asked by",
    "tenant": "Tenant",
    "amount": "Amount, in minor units",
    "expires": "Expires",
    "approve": "Approve",
    "deny": "Deny",
    "as": "Signed in as",
    "late": "Somebody answered first, or it has expired. This is how it stands:",
    "approved": "Approved. The same call may be made again to complete it.",
    "denied": "Denied. Nothing happens.",
    "consumed": "Approved, and done.",
    "expired": "Expired. Nothing happens; the call has to be made again.",
}
SPANISH: Mapping[str, str] = {
    "lang": "es",
    "title": "Aprobación",
    "intro": "Algo espera su aprobación. Entre con una clave de API que pueda responder.",
    "key": "Clave de API",
    "sign_in": "Continuar",
    "refused": "Esta clave no puede abrir esta aprobación.",
    "again": "Su sesión terminó. Entre de nuevo.",
    "absent": "No existe esa aprobación.",
    "what": "Esto ocurrirá si usted aprueba",
    "tool": "Herramienta",
    "caller": "Solicitado por",
    "tenant": "Inquilino",
    "amount": "Monto, en unidades menores",
    "expires": "Vence",
    "approve": "Aprobar",
    "deny": "Rechazar",
    "as": "Sesión de",
    "late": "Alguien respondió antes, o venció. Así está ahora:",
    "approved": "Aprobada. La misma llamada puede repetirse para completarla.",
    "denied": "Rechazada. No ocurre nada.",
    "consumed": "Aprobada, y hecha.",
    "expired": "Vencida. No ocurre nada; hay que repetir la llamada.",
}


def words_for(accept_language: str) -> Mapping[str, str]:
    """The words of the first of English and Spanish that the reader prefers (RFC 9110 12.5.4)."""
    wanted = []
    for place, item in enumerate(accept_language[:1000].split(",")):
        name, _, weight = item.partition(";")
        try:
            quality = float(weight.partition("=")[2]) if weight else 1.0
        except ValueError:
            quality = 0.0
        wanted.append((-quality, place, name.strip().lower().partition("-")[0]))
    known = {"en": ENGLISH, "es": SPANISH}
    found = (known[name] for quality, _, name in sorted(wanted) if name in known and quality < 0)
    return next(found, ENGLISH)


def visible(text: str) -> str:
    """`text` for HTML, with what hides or reorders letters written out: U+202E."""
    told = (
        f"[U+{ord(c):04X}]" if unicodedata.category(c) in ("Cc", "Cf", "Co", "Cs") else c
        for c in text.replace("\r\n", "\n").replace("\n", "\u2028")
    )
    return escape("".join(told).replace("\u2028", "\n"))


def page(words: Mapping[str, str], *parts: str) -> str:
    """A whole page around its parts, which are HTML already."""
    return (
        f'<!doctype html><html lang="{words["lang"]}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{words['title']}</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>{words['title']}</h1>{''.join(parts)}</main></body></html>"
    )


def note(text: str) -> str:
    return f'<p class="note" role="status">{escape(text)}</p>'


def sign_in(words: Mapping[str, str]) -> str:
    """The form that takes a key; it says nothing of the approval."""
    return (
        f'<p>{words["intro"]}</p><form method="post"><label>{words["key"]}'
        '<input type="password" name="key" required autocomplete="off" autocapitalize="none" '
        f'spellcheck="false" maxlength="8192"></label><button>{words["sign_in"]}</button></form>'
    )


def facts(words: Mapping[str, str], told: Mapping[str, str]) -> str:
    """What an approval is about, line by line."""
    lines = (f"<dt>{words[name]}</dt><dd>{visible(text)}</dd>" for name, text in told.items())
    return f"<dl>{''.join(lines)}</dl>"


def summary(words: Mapping[str, str], text: str) -> str:
    return f'<p>{words["what"]}:</p><p class="what">{visible(text)}</p>'


def answers(words: Mapping[str, str], csrf: str) -> str:
    """The two buttons."""
    return (
        f'<form method="post"><input type="hidden" name="csrf" value="{escape(csrf)}">'
        f'<button class="yes" name="answer" value="approve">{words["approve"]}</button>'
        f'<button class="no" name="answer" value="deny">{words["deny"]}</button></form>'
    )
