"""Tokens: cards, Nequi, Daviplata and Bancolombia accounts. https://docs.wompi.co/docs/colombia/fuentes-de-pago/"""

from collections.abc import Mapping
from typing import Any

from tause_mcp.testing.wompi import machine
from tause_mcp.testing.wompi.auth import tokenising
from tause_mcp.testing.wompi.clock import offset_stamp, stamp
from tause_mcp.testing.wompi.errors import ABSENT, LUHN, invalid, not_found
from tause_mcp.testing.wompi.exchange import Answer, Ask, data, one_of, text, told, url
from tause_mcp.testing.wompi.methods import CARDS, LEGAL_IDS, PHONES, WALLETS
from tause_mcp.testing.wompi.store import Otp, State, Token

_SIX_MONTHS = 180 * 86_400
_BRANDS = {"4": "VISA", "5": "MASTERCARD", "2": "MASTERCARD", "3": "AMEX"}
_SECURE = {
    "2303779951000297": "no_challenge_success",
    "2303779951000453": "challenge_denied",
    "2303779951000446": "challenge_v2",
    "2303779951000347": "supported_version_error",
    "2303779951000354": "authentication_error",
}
"""Test cards that name a 3-D Secure scenario by themselves."""


def luhn(number: str) -> bool:
    """The check digit of a card number."""
    doubled = [int(d) * (1 + i % 2) for i, d in enumerate(reversed(number))]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


def card(state: State, ask: Ask) -> Answer:
    """POST /tokens/cards: the pattern first, then the check digit."""
    tokenising(state, ask)
    sent = ask.json()
    number = text(sent, "number", r"\d{12,19}")
    if not luhn(number):
        raise invalid("number", LUHN)
    text(sent, "cvc", r"\d{3,4}")
    text(sent, "exp_month", r"(0[1-9]|1[0-2])")
    text(sent, "exp_year", r"\d{2}")
    text(sent, "card_holder", r".{5,100}")
    token = made(state, ask.root, number, sent)
    shown = {k: v for k, v in token.public.items() if k != "card_type"}
    dated = {
        "id": token.id,
        "created_at": offset_stamp(token.created_at),
        "expires_at": stamp(token.created_at + _SIX_MONTHS),
    }
    return told({"status": "CREATED", "data": {**dated, **shown}}, 201)


def made(state: State, root: str, number: str, sent: Mapping[str, Any]) -> Token:
    """A card's token: what the number leads to, and not the number."""
    brand = _BRANDS.get(number[:1], "VISA")
    public = {
        "brand": brand,
        "name": f"{brand}-{number[-4:]}",
        "last_four": number[-4:],
        "bin": number[:6],
        "exp_year": sent["exp_year"],
        "exp_month": sent["exp_month"],
        "card_holder": sent["card_holder"],
        "card_type": "CREDIT",
    }
    identity = f"tok_test_{state.config.merchant.id}_{state.letters(32)}"
    scenario = _SECURE.get(number, "")
    outcome = "APPROVED" if scenario else CARDS.get(number, "ERROR")
    token = Token(identity, "cards", state.now(), root, public, outcome, status="CREATED")
    token.three_ds = scenario
    return state.keep(state.tokens, identity, token)


def nequi(state: State, ask: Ask) -> Answer:
    """POST /tokens/nequi: pending until the person agrees on the phone."""
    tokenising(state, ask)
    phone = text(ask.json(), "phone_number", r"\d{10}")
    outcome = PHONES.get(phone, "ERROR")
    public = {"phone_number": phone, "name": state.config.merchant.name}
    token = _pending(state, ask, "nequi", public, outcome)
    token.becomes = "APPROVED" if outcome == "APPROVED" else "DECLINED"
    return data(shown(token), 201)


def daviplata(state: State, ask: Ask) -> Answer:
    """POST /tokens/daviplata: pending until a one-time code is confirmed."""
    tokenising(state, ask)
    sent = ask.json()
    public = {
        "type_document": one_of(sent, "type_document", LEGAL_IDS),
        "number_document": text(sent, "number_document", r"[A-Za-z0-9]{3,20}"),
        "phone_number": text(sent, "product_number", r"\d{10}"),
    }
    token = _pending(state, ask, "daviplata", public, WALLETS.get(public["phone_number"], "ERROR"))
    token.otp = Otp(bearer=state.letters(40), sent=0)
    start = f"{ask.root}/_sandbox/otp/{token.id}"
    services = {
        "token": token.otp.bearer,
        "code_otp_send": f"{start}/send",
        "code_otp_validate": f"{start}/validate",
    }
    return data({"id": token.id, "status": token.status, "url_services": services}, 201)


def bancolombia(state: State, ask: Ask) -> Answer:
    """POST /tokens/bancolombia_transfer: TOKEN asks the person now, TRANSACTION at the first payment."""
    tokenising(state, ask)
    sent = ask.json()
    kind = one_of(sent, "type_auth", ("TOKEN", "TRANSACTION"))
    back = url(sent, "redirect_url")
    if back is None:
        raise invalid("redirect_url", ABSENT)
    token = _pending(state, ask, "bancolombia_transfer", {}, "APPROVED")
    token.redirect_url = back
    if kind == "TRANSACTION":
        token.status = "AVAILABLE"
        state.pending_tokens.pop(token.id)
    return data(shown(token), 201)


def _pending(state: State, ask: Ask, kind: str, public: dict[str, Any], outcome: str) -> Token:
    identity = f"{kind}_test_{state.letters(32)}"
    token = Token(identity, kind, state.now(), ask.root, public, outcome)
    token.updated_at = token.created_at
    state.pending_tokens[identity] = state.keep(state.tokens, identity, token)
    return token


def one(state: State, ask: Ask) -> Answer:
    """GET /tokens/{kind}/{id}."""
    tokenising(state, ask)
    token = state.tokens.get(ask.params["id"])
    if token is None or token.kind != ask.params["kind"] or token.kind == "cards":
        raise not_found()
    return data(shown(machine.read_token(state, token)))


def shown(token: Token) -> dict[str, Any]:
    """A token's `data`."""
    base = {"id": token.id, "status": token.status}
    if token.kind == "daviplata":
        return {**base, "status_message": "", "client_info": token.public}
    if token.kind == "bancolombia_transfer":
        return {**base, **_account(token)}
    return {**base, **token.public}


def _account(token: Token) -> dict[str, Any]:
    approved, pending = token.status == "APPROVED", token.status == "PENDING"
    page = f"{token.root}/_sandbox/authorize/{token.id}"
    return {
        "status_message": "",
        "bank_account_type": "CUENTA AHORROS" if approved else "",
        "bank_account_last_four": "***1234" if approved else "",
        "redirect_url": token.redirect_url,
        "authorization_url": page if pending or approved else "",
        "created_at": stamp(token.created_at),
        "updated_at": stamp(token.updated_at),
    }
