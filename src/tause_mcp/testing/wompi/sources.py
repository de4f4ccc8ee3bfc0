"""Saved payment sources. https://docs.wompi.co/docs/colombia/fuentes-de-pago/"""

from typing import Any

from tause_mcp.testing.wompi import machine
from tause_mcp.testing.wompi.auth import private
from tause_mcp.testing.wompi.errors import (
    FORMAT,
    SOURCE_DECLINED,
    invalid,
    not_found,
    unprocessable,
)
from tause_mcp.testing.wompi.exchange import Answer, Ask, data, email, one_of, text
from tause_mcp.testing.wompi.merchants import accept
from tause_mcp.testing.wompi.store import Source, State, Token

_KINDS = {
    "CARD": "cards",
    "NEQUI": "nequi",
    "DAVIPLATA": "daviplata",
    "BANCOLOMBIA_TRANSFER": "bancolombia_transfer",
}
_GOOD = ("CREATED", "APPROVED", "AVAILABLE")


def create(state: State, ask: Ask) -> Answer:
    """POST /payment_sources, of a token that its owner has confirmed."""
    private(state, ask)
    sent = ask.json()
    kind = one_of(sent, "type", _KINDS)
    named, mail = text(sent, "token"), email(sent)
    description = text(sent, "payment_description", longest=64, optional=True)
    accept(state, sent)
    token = state.tokens.get(named)
    if token is None or token.kind != _KINDS[kind]:
        raise not_found()
    if machine.read_token(state, token).status not in (*_GOOD, "PENDING"):
        raise unprocessable(SOURCE_DECLINED)
    number = 3_891 + len(state.sources)
    source = Source(number, token, mail, description=description)
    return data(shown(state, state.keep(state.sources, number, source)), 201)


def shown(state: State, source: Source) -> dict[str, Any]:
    """A source's `data`; it is pending as long as its token is."""
    if source.status != "VOIDED":
        source.status = _status(source.token)
    kind = next(k for k, v in _KINDS.items() if v == source.token.kind)
    return {
        "id": source.id,
        "public_data": {"type": kind, **_public(source)},
        "token": source.token.id,
        "type": kind,
        "status": source.status,
        "customer_email": source.customer_email,
    }


def _status(token: Token) -> str:
    if token.status == "PENDING":
        return "PENDING"
    return "AVAILABLE" if token.status in _GOOD else "DECLINED"


def _public(source: Source) -> dict[str, Any]:
    token = source.token
    if token.kind == "cards":
        return {}
    if token.kind == "nequi":
        return {"phone_number": token.public["phone_number"]}
    if token.kind == "daviplata":
        return token.public
    approved = token.status == "APPROVED"
    return {
        "payment_description": source.description,
        "bank_account_type": "CUENTA AHORROS" if approved else "",
        "bank_account_last_four": "***1234" if approved else "",
    }


def one(state: State, ask: Ask) -> Answer:
    """GET /payment_sources/{id}."""
    source = _found(state, ask)
    machine.read_token(state, source.token)
    return data(shown(state, source))


def void(state: State, ask: Ask) -> Answer:
    """PUT /payment_sources/{id}/void."""
    source = _found(state, ask)
    source.status = "VOIDED"
    return data(shown(state, source))


def _found(state: State, ask: Ask) -> Source:
    private(state, ask)
    number = ask.params["id"]
    if not (number.isascii() and number.isdigit() and len(number) < 12):
        raise invalid("id", FORMAT)
    source = state.sources.get(int(number))
    if source is None:
        raise not_found()
    return source
