"""The hosted checkout, for an order (`/p/`) and for a payment link (`/l/{id}`).

https://docs.wompi.co/docs/colombia/widget-checkout-web/
"""

import html
from collections.abc import Mapping
from typing import Any

from tause_mcp.testing.wompi import links, pages, tokens, transactions
from tause_mcp.testing.wompi.errors import (
    FORMAT,
    NO_SIGNATURE,
    NOT_COP,
    REFERENCE_USED,
    UNKNOWN_KEY,
    WRONG_SIGNATURE,
    Refused,
    invalid,
    key_refused,
)
from tause_mcp.testing.wompi.exchange import Answer, Ask, see_other, url
from tause_mcp.testing.wompi.merchants import BANKS, PERSONAL, POLICY, permalink, presigned
from tause_mcp.testing.wompi.methods import REDIRECTING, authorize_url, minimum
from tause_mcp.testing.wompi.signing import integrity, same
from tause_mcp.testing.wompi.store import Link, State, Transaction

_PAID_HERE = ("PSE", "CARD", "NEQUI")
Order = dict[str, Any]


def order_page(state: State, ask: Ask) -> Answer:
    """GET /checkout/p/?public-key=..: the signature is checked before anything is shown."""
    try:
        order = _order(state, ask.query)
    except Refused as refusal:
        return _refused_page(refusal)
    return _page(state, ask, order, ask.query)


def order_paid(state: State, ask: Ask) -> Answer:
    """POST /checkout/p/: the payer accepted and chose."""
    sent = ask.form()
    try:
        order = _order(state, sent)
        payment = _pay(state, ask, order, sent)
    except Refused as refusal:
        return _refused_page(refusal)
    return see_other(_onwards(payment))


def _order(state: State, given: Mapping[str, str]) -> Order:
    """What the merchant asks to be paid, if it signed it."""
    if given.get("public-key", "") != state.keys.public:
        raise key_refused(UNKNOWN_KEY)
    if given.get("currency") != "COP":
        raise invalid("currency", NOT_COP)
    amount = _amount(given.get("amount-in-cents", ""))
    reference, expires = given.get("reference", ""), given.get("expiration-time", "")
    if not reference:
        raise invalid("reference", FORMAT)
    _signed(state, given, integrity(reference, amount, "COP", state.keys.integrity, expires))
    if reference in state.by_reference:
        raise invalid("reference", REFERENCE_USED)
    order: Order = {"reference": reference, "amount_in_cents": amount, "currency": "COP"}
    order["signature"] = given["signature:integrity"]
    order |= {"expiration_time": expires} if expires else {}
    order["redirect_url"] = url({"redirect-url": given.get("redirect-url")}, "redirect-url")
    return {**order, "taxes": _taxes(given)}


def _amount(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 14):
        raise invalid("amount-in-cents", FORMAT)
    minimum("", int(text))
    return int(text)


def _signed(state: State, given: Mapping[str, str], right: str) -> None:
    mark = given.get("signature:integrity", "")
    if not mark:
        raise invalid("signature", NO_SIGNATURE)
    if not same(mark, right):
        raise invalid("signature", WRONG_SIGNATURE)


def _taxes(given: Mapping[str, str]) -> list[dict[str, Any]]:
    named = {"VAT": "tax-in-cents:vat", "CONSUMPTION": "tax-in-cents:consumption"}
    taxes = []
    for kind, name in named.items():
        if value := given.get(name, ""):
            if not (value.isascii() and value.isdigit() and len(value) < 14):
                raise invalid(name, FORMAT)
            taxes.append({"type": kind, "amount_in_cents": int(value)})
    return taxes


def link_page(state: State, ask: Ask) -> Answer:
    """GET /checkout/l/{id}."""
    link = links.found(state, ask.params["id"])
    if why := links.closed(state, link):
        return pages.page("Link de pago", pages.details({link.fields["name"]: why}), 410)
    order = {"amount_in_cents": link.fields["amount_in_cents"], "reference": link.fields["name"]}
    return _page(state, ask, order, {}, link)


def link_paid(state: State, ask: Ask) -> Answer:
    """POST /checkout/l/{id}."""
    link = links.found(state, ask.params["id"])
    if why := links.closed(state, link):
        return pages.page("Link de pago", pages.details({link.fields["name"]: why}), 410)
    sent = ask.form()
    try:
        amount = link.fields["amount_in_cents"] or _amount(sent.get("amount-in-cents", ""))
        order = {
            "amount_in_cents": amount,
            "currency": "COP",
            "reference": f"test_{link.id}_{int(state.now())}_{state.letters(9)}",
            "redirect_url": link.fields["redirect_url"],
        }
        payment = _pay(state, ask, order, sent, link.id)
    except Refused as refusal:
        return _refused_page(refusal)
    return see_other(_onwards(payment))


def _onwards(payment: Transaction) -> str:
    """To the bank where there is one, else back to the merchant."""
    return authorize_url(payment) if payment.method in REDIRECTING else pages.back(payment)


def _pay(
    state: State, ask: Ask, order: Order, sent: Mapping[str, str], link: str | None = None
) -> Transaction:
    """The payment, made exactly as the API makes it."""
    if sent.get("accept-terms") != "on" or sent.get("accept-personal") != "on":
        raise invalid("acceptance_token", "Debes aceptar los dos textos para continuar")
    body = {
        **order,
        "customer_email": sent.get("customer-data:email", ""),
        "acceptance_token": presigned(state, ask.root, POLICY)["acceptance_token"],
        "accept_personal_auth": presigned(state, ask.root, PERSONAL)["acceptance_token"],
        "payment_method": _method(state, ask, sent, order["reference"]),
        "customer_data": {
            "full_name": sent.get("customer-data:full-name", ""),
            "phone_number": sent.get("customer-data:phone-number", ""),
        },
    }
    return transactions.made(state, body, ask.root, link)


def _method(state: State, ask: Ask, sent: Mapping[str, str], reference: str) -> dict[str, Any]:
    kind = sent.get("method", "")
    if kind == "PSE":
        return {
            "type": "PSE",
            "user_type": 0,
            "user_legal_id_type": "CC",
            "user_legal_id": sent.get("customer-data:legal-id") or "1999888777",
            "financial_institution_code": sent.get("bank", ""),
            "payment_description": f"Pago {reference}"[:64],
        }
    if kind == "NEQUI":
        return {"type": "NEQUI", "phone_number": sent.get("phone", "")}
    if kind == "CARD":
        made = tokens.made(state, ask.root, sent.get("card", ""), _CARD)
        return {"type": "CARD", "token": made.id, "installments": 1}
    raise invalid("payment_method", FORMAT)


_CARD = {"exp_month": "12", "exp_year": "39", "card_holder": "Persona de Prueba"}


def _refused_page(refusal: Refused) -> Answer:
    told = refusal.body["error"]
    lines = {name: " ".join(texts) for name, texts in told.get("messages", {}).items()}
    lines = lines or {told["type"]: told.get("reason", "")}
    return pages.page("No se puede pagar", pages.details(lines), refusal.status)


def _page(
    state: State, ask: Ask, order: Order, given: Mapping[str, str], link: Link | None = None
) -> Answer:
    amount = order["amount_in_cents"]
    about = {"Comercio": state.config.merchant.name, "Pago": order["reference"]}
    about |= {} if amount is None else {"Valor": pages.pesos(amount)}
    hidden = "".join(
        f'<input type="hidden" name="{html.escape(k)}" value="{html.escape(v)}">'
        for k, v in given.items()
        if not k.startswith("customer-data:")
    )
    fields = hidden + _amount_field(amount) + _payer(given) + _choices(state) + _acceptances(ask)
    action = "/_sandbox/checkout/p/" if link is None else f"/_sandbox/checkout/l/{link.id}"
    body = pages.details(about) + pages.form(action, fields, [("pay", "Pagar")], "action")
    return pages.page("Pagar", body)


def _amount_field(amount: int | None) -> str:
    if amount is not None:
        return ""
    return '<label>Valor en centavos <input name="amount-in-cents" inputmode="numeric"></label>'


def _payer(given: Mapping[str, str]) -> str:
    asked = {
        "customer-data:email": "Correo",
        "customer-data:full-name": "Nombre",
        "customer-data:phone-number": "Celular",
        "customer-data:legal-id": "Documento",
    }
    return "".join(
        f'<label>{words} <input name="{name}" value="{html.escape(given.get(name, ""))}"></label>'
        for name, words in asked.items()
    )


def _choices(state: State) -> str:
    offered = [name for name in _PAID_HERE if name in state.config.methods]
    radios = "".join(
        f'<label><input type="radio" name="method" value="{name}"> {name}</label>'
        for name in offered
    )
    banks = _select("bank", "Banco", BANKS)
    cards = {
        "4242424242424242": "4242... aprueba",
        "4111111111111111": "4111... declina",
        "4000000000000002": "4000... error",
    }
    phones = {
        "3991111111": "3991111111 aprueba",
        "3992222222": "3992222222 declina",
        "3000000000": "otro: error",
    }
    card, phone = _select("card", "Tarjeta", cards), _select("phone", "Celular Nequi", phones)
    return radios + banks + card + phone


def _select(name: str, label: str, options: Mapping[str, str]) -> str:
    made = "".join(f'<option value="{v}">{html.escape(w)}</option>' for v, w in options.items())
    return f'<label>{label} <select name="{name}">{made}</select></label>'


def _acceptances(ask: Ask) -> str:
    texts = {
        "accept-terms": (POLICY, "Acepto los reglamentos"),
        "accept-personal": (PERSONAL, "Autorizo el tratamiento de mis datos personales"),
    }
    return "".join(
        f'<label><input type="checkbox" name="{name}"> '
        f'<a href="{html.escape(permalink(ask.root, kind))}">{words}</a></label>'
        for name, (kind, words) in texts.items()
    )
