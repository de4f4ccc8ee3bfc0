"""The pages a payer sees: the bank, the wallet, the issuer, the result. Plain HTML, no script."""

import html
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from tause_mcp.testing.wompi import machine, otp
from tause_mcp.testing.wompi.errors import not_found
from tause_mcp.testing.wompi.exchange import Answer, Ask, see_other
from tause_mcp.testing.wompi.merchants import BANKS
from tause_mcp.testing.wompi.methods import OUTCOMES, POINTS, status_of
from tause_mcp.testing.wompi.store import State, Token, Transaction

_HEADERS = {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:32rem;margin:2rem auto;padding:0 1rem}"
    "button,input,select{font:inherit;padding:.5rem;margin:.25rem 0;max-width:100%}"
    "label{display:block;margin:.5rem 0}dt{font-weight:600}.note{color:#555}"
)
_WORDS = {
    "APPROVED": "Aprobar",
    "DECLINED": "Declinar",
    "ERROR": "Error",
    "APPROVED_ONLY_POINTS": "Aprobar: todo con puntos",
    "APPROVED_HALF_POINTS": "Aprobar: la mitad con puntos",
}
_DONE = {
    "APPROVED": "aprobada",
    "DECLINED": "rechazada",
    "ERROR": "con error",
    "VOIDED": "anulada",
    "PENDING": "pendiente",
}


def page(title: str, body: str, status: int = 200) -> Answer:
    """A whole page; `body` is HTML."""
    shown = html.escape(title)
    text = (
        f'<!doctype html><html lang="es"><head><meta charset="utf-8"><title>{shown}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><h1>{shown}</h1>{body}"
        '<p class="note">Sandbox local: ningún dinero se mueve.</p></body></html>'
    )
    return Answer(status, text.encode(), _HEADERS)


def form(action: str, fields: str, buttons: Iterable[tuple[str, str]], name: str = "status") -> str:
    """A form with one button for each choice: value and words."""
    made = "".join(
        f'<button name="{name}" value="{html.escape(value)}">{html.escape(words)}</button> '
        for value, words in buttons
    )
    return f'<form method="post" action="{html.escape(action)}">{fields}{made}</form>'


def details(pairs: Mapping[str, str]) -> str:
    """A list of terms."""
    lines = "".join(f"<dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd>" for k, v in pairs.items())
    return f"<dl>{lines}</dl>"


def pesos(cents: int) -> str:
    """`$ 1.234.567`, and cents where there are any."""
    whole, rest = divmod(cents, 100)
    return f"$ {whole:,}".replace(",", ".") + (f",{rest:02d}" if rest else "")


def back(payment: Transaction) -> str:
    """Where the payer goes from here: the merchant's page with `id` and `env`, else the result."""
    if payment.redirect_url is None:
        return f"{payment.root}/_sandbox/result/{payment.id}"
    return extended(payment.redirect_url, id=payment.id, env="test")


def extended(url: str, **added: str) -> str:
    """A URL with more in its query."""
    parts = urlsplit(url)
    query = [*parse_qsl(parts.query, keep_blank_values=True), *added.items()]
    return urlunsplit(parts._replace(query=urlencode(query)))


def authorize(state: State, ask: Ask) -> Answer:
    """GET /_sandbox/authorize/{id}: the bank asks its customer."""
    thing = _thing(state, ask)
    if isinstance(thing, Token):
        return _account_page(thing)
    if thing.status != "PENDING":
        return _over(thing)
    action = f"/_sandbox/authorize/{thing.id}"
    if thing.method == "DAVIPLATA":
        return _code_page(thing, action)
    about = details(
        {"Pago": thing.reference, "Valor": pesos(thing.amount_in_cents), "Medio": thing.method}
    )
    return page("Autorizar el pago", about + _told(thing) + form(action, "", _choices(thing)))


def _thing(state: State, ask: Ask) -> Transaction | Token:
    identity = ask.params["id"]
    thing = state.transactions.get(identity) or state.tokens.get(identity)
    if thing is None:
        raise not_found()
    return thing


def _over(payment: Transaction) -> Answer:
    link = f'<p><a href="{html.escape(back(payment))}">Volver al comercio</a></p>'
    return page(f"Transacción {_DONE[payment.status]}", details({"Pago": payment.reference}) + link)


def _told(payment: Transaction) -> str:
    """What the chosen bank will do."""
    if payment.method != "PSE":
        return ""
    code = payment.payment_method["financial_institution_code"]
    name = BANKS.get(code, f"Banco {code}")
    does = _DONE[payment.plan or "ERROR"]
    return f"<p>{html.escape(name)}: al continuar, la transacción queda {does}.</p>"


def _choices(payment: Transaction) -> list[tuple[str, str]]:
    if payment.plan is not None:
        return [("continue", "Continuar")]
    offered = POINTS if payment.method == "PCOL" else OUTCOMES
    return [(value, _WORDS[value]) for value in offered]


def _code_page(payment: Transaction, action: str) -> Answer:
    known = ", ".join(f"{code} {_DONE[end]}" for code, end in otp.PAYMENT_CODES.items())
    field = '<label>Código <input name="code" inputmode="numeric" autocomplete="off"></label>'
    about = details({"Pago": payment.reference, "Valor": pesos(payment.amount_in_cents)})
    return page("Daviplata", f"{about}<p>{known}</p>" + form(action, field, [("code", "Enviar")]))


def _account_page(token: Token) -> Answer:
    if token.kind != "bancolombia_transfer" or token.status != "PENDING":
        return page(f"Autorización: {token.status}", "")
    choices = [("APPROVED", "Autorizar la cuenta"), ("DECLINED", "Rechazar")]
    return page("Autorizar la cuenta", form(f"/_sandbox/authorize/{token.id}", "", choices))


def chosen(state: State, ask: Ask) -> Answer:
    """POST /_sandbox/authorize/{id}: the customer's choice; then back to the merchant."""
    thing = _thing(state, ask)
    status = ask.form().get("status") or ask.query.get("status", "")
    if isinstance(thing, Token):
        return _account_chosen(state, thing, status)
    machine.reveal(state, thing)
    if thing.status != "PENDING":
        return see_other(back(thing))
    if thing.method == "DAVIPLATA":
        return _code_chosen(state, thing, ask.form().get("code", ""))
    known = dict(_choices(thing))
    if status not in known and status not in OUTCOMES:
        return page("Falta una decisión", details({"Opciones": ", ".join(known)}), 422)
    machine.finish(state, thing, (thing.plan or "ERROR") if status == "continue" else status)
    return see_other(back(thing))


def _account_chosen(state: State, token: Token, status: str) -> Answer:
    if token.kind != "bancolombia_transfer":
        raise not_found()
    if token.status == "PENDING":
        if status not in ("APPROVED", "DECLINED"):
            return page("Falta una decisión", "", 422)
        machine.finish_token(state, token, status)
    return see_other(extended(str(token.redirect_url), id=token.id, env="test"))


def _code_chosen(state: State, payment: Transaction, code: str) -> Answer:
    assert payment.otp is not None
    otp.tried(state, payment, payment.otp, code)
    if payment.status != "PENDING":
        return see_other(back(payment))
    again = f'<p><a href="/_sandbox/authorize/{payment.id}">Otro código</a></p>'
    return page("Código inválido", again, 422)


def result(state: State, ask: Ask) -> Answer:
    """GET /_sandbox/result/{id}: where a payer without a merchant's page ends."""
    payment = state.transactions.get(ask.params["id"])
    if payment is None:
        raise not_found()
    told = {
        "Transacción": payment.id,
        "Pago": payment.reference,
        "Valor": pesos(payment.amount_in_cents),
        "Estado": status_of(payment.status),
    }
    return page(f"Transacción {_DONE[payment.status]}", details(told))


def terms(state: State, ask: Ask) -> Answer:
    """GET /_sandbox/terms/{name}: what a payer accepts."""
    titles = {
        "reglamento-usuarios": "Reglamento de usuarios",
        "autorizacion-datos-personales": "Autorización para el tratamiento de datos personales",
    }
    title = titles.get(ask.params["name"])
    if title is None:
        raise not_found()
    return page(title, "<p>Texto de prueba: aquí está el documento que el pagador acepta.</p>")
