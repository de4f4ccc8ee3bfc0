"""What the page of an approval says, in English and Spanish."""

from collections.abc import Mapping
from html import escape

from tause_mcp.routes._page import chosen, visible

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
    """The words of the language that the reader prefers; English by default."""
    return chosen(accept_language, (ENGLISH, SPANISH))


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
