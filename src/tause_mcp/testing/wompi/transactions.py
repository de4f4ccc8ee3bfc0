"""POST /transactions in the API's order of checks, reads, lists and voids.

https://docs.wompi.co/docs/colombia/transacciones/
"""

import re
from typing import Any

from tause_mcp.testing.wompi import machine, methods
from tause_mcp.testing.wompi.auth import private, reading, writing
from tause_mcp.testing.wompi.clock import day
from tause_mcp.testing.wompi.errors import (
    FORMAT,
    NO_INSTALLMENTS,
    NO_METHOD,
    NO_SIGNATURE,
    NOT_COP,
    NOT_ENOUGH,
    REFERENCE_USED,
    SOURCE_DECLINED,
    WRONG_SIGNATURE,
    invalid,
    key_refused,
    not_found,
    unprocessable,
)
from tause_mcp.testing.wompi.exchange import (
    Answer,
    Ask,
    data,
    email,
    flag,
    inner,
    objects,
    one_of,
    text,
    url,
    whole,
)
from tause_mcp.testing.wompi.merchants import accept
from tause_mcp.testing.wompi.signing import integrity, same
from tause_mcp.testing.wompi.store import FINAL, Source, State, Transaction

_CUSTOMER_IDS = ("CC", "CE", "NIT", "PP", "TI", "DNI", "RG", "OTHER")
_EXPIRATION = r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?Z"
_METHOD_OF = {
    "cards": "CARD",
    "nequi": "NEQUI",
    "daviplata": "DAVIPLATA",
    "bancolombia_transfer": "BANCOLOMBIA_TRANSFER",
}


def create(state: State, ask: Ask) -> Answer:
    """POST /transactions."""
    key = writing(state, ask)
    sent = ask.json()
    if sent.get("payment_source_id") is not None and key != state.keys.private:
        raise key_refused(NOT_ENOUGH, 403)
    return data(made(state, sent, ask.root).document(state), 201)


def made(state: State, sent: dict[str, Any], root: str, link: str | None = None) -> Transaction:
    """Check a request as the API does, one field at a time, and store the payment.

    Order: fields, method present, minimum and currency, acceptance (burned from here on), signature,
    reference, method enabled. `link`: it is paid through a payment link, which needs no signature.
    """
    if isinstance(sent.get("reference"), str):
        state.attempts[sent["reference"]] += 1
    _fields(sent)
    method = _method(state, sent)
    _amounts(sent, method)
    accept(state, sent, optional=sent.get("payment_source_id") is not None)
    if link is None:
        _signature(state, sent)
    if sent["reference"] in state.by_reference:
        raise invalid("reference", REFERENCE_USED)
    if method not in state.config.methods:
        raise not_found(f"El método de pago {method} no está habilitado para este comercio")
    state.room(state.transactions)
    return _stored(state, _built(state, sent, method, root, link))


def _fields(sent: dict[str, Any]) -> None:
    whole(sent, "amount_in_cents")
    text(sent, "currency")
    email(sent)
    text(sent, "reference")
    url(sent, "redirect_url")
    text(sent, "expiration_time", _EXPIRATION, optional=True)
    flag(sent, "is_three_ds", optional=True)
    flag(sent, "recurrent", optional=True)
    one_of(sent, "three_ds_auth_type", methods.THREE_DS, optional=True)
    customer = inner(sent, "customer_data") or {}
    one_of(customer, "legal_id_type", _CUSTOMER_IDS, optional=True)
    address = inner(sent, "shipping_address")
    for name in ("address_line_1", "country", "region", "city", "phone_number"):
        if address is not None:
            text(address, name)
    _taxes(sent)
    whole(sent, "payment_source_id", optional=True)


def _taxes(sent: dict[str, Any]) -> int:
    """The taxes inside the amount, in cents."""
    listed = objects(sent, "taxes")
    total = 0
    for tax in listed:
        one_of(tax, "type", ("VAT", "CONSUMPTION"))
        percentage = whole(tax, "percentage", 1, 50, optional=True)
        if percentage is None:
            total += whole(tax, "amount_in_cents") or 0
        else:
            total += sent["amount_in_cents"] * percentage // (100 + percentage)
    return total


def _method(state: State, sent: dict[str, Any]) -> str:
    """The method's name, its own fields checked."""
    chosen = inner(sent, "payment_method")
    if sent.get("payment_source_id") is not None:
        return _method_of_source(state, sent["payment_source_id"], chosen or {})
    if chosen is None:
        raise unprocessable(NO_METHOD)
    name = text(chosen, "type")
    if name in methods.METHODS:
        methods.METHODS[name].check(chosen)
    return name


def _method_of_source(state: State, number: int, chosen: dict[str, Any]) -> str:
    source = state.sources.get(number)
    if source is None:
        raise not_found()
    if source.token.kind == "cards" and chosen.get("installments") is None:
        raise unprocessable(NO_INSTALLMENTS)
    whole(chosen, "installments", 1, 99, optional=True)
    return _METHOD_OF[source.token.kind]


def _amounts(sent: dict[str, Any], method: str) -> None:
    methods.minimum(method, sent["amount_in_cents"] - _taxes(sent))
    if sent["currency"] != "COP":
        raise invalid("currency", NOT_COP)


def _signature(state: State, sent: dict[str, Any]) -> None:
    given = sent.get("signature")
    if given is None or given == "":
        raise invalid("signature", NO_SIGNATURE)
    right = integrity(
        sent["reference"],
        sent["amount_in_cents"],
        sent["currency"],
        state.keys.integrity,
        sent.get("expiration_time") or "",
    )
    if not isinstance(given, str) or not same(given, right):
        raise invalid("signature", WRONG_SIGNATURE)


def _built(
    state: State, sent: dict[str, Any], method: str, root: str, link: str | None
) -> Transaction:
    payment, plan = _payment(state, sent, method)
    payment["extra"].update(_parent(state, sent))
    return Transaction(
        id=state.transaction_id(),
        reference=sent["reference"],
        amount_in_cents=sent["amount_in_cents"],
        currency=sent["currency"],
        customer_email=sent["customer_email"],
        method=method,
        payment_method=payment,
        created_at=state.now(),
        root=root,
        plan=plan,
        redirect_url=sent.get("redirect_url") or payment.get("redirect_url"),
        payment_source_id=sent.get("payment_source_id"),
        payment_link_id=link,
        shipping_address=sent.get("shipping_address"),
        customer_data=sent.get("customer_data"),
        taxes=sent.get("taxes") or [],
        recurrent=sent.get("recurrent"),
    )


def _payment(state: State, sent: dict[str, Any], method: str) -> tuple[dict[str, Any], str | None]:
    """`payment_method` as it will be shown, and what it leads to."""
    secure = bool(sent.get("is_three_ds"))
    extra = {"is_three_ds": secure, "three_ds_auth_type": sent.get("three_ds_auth_type")}
    if sent.get("payment_source_id") is not None:
        return _by_source(state, sent, method, extra)
    chosen = {k: v for k, v in sent["payment_method"].items() if k not in ("token", "extra")}
    if method == "CARD":
        return _by_card(state, sent, chosen, extra)
    return {**chosen, "extra": extra}, methods.METHODS[method].plan(chosen)


def _by_card(
    state: State, sent: dict[str, Any], chosen: dict[str, Any], extra: dict[str, Any]
) -> tuple[dict[str, Any], str | None]:
    token = state.tokens.get(sent["payment_method"]["token"])
    if token is None or token.kind != "cards":
        raise not_found()
    plan: str | None = token.outcome
    if extra["is_three_ds"]:
        extra["three_ds_auth_type"] = extra["three_ds_auth_type"] or token.three_ds or None
        forced = methods.THREE_DS[extra["three_ds_auth_type"] or "no_challenge_success"][2]
        plan = None if forced == "?" else forced or plan
    return {**chosen, "extra": {**token.public, **extra}}, plan


def _by_source(
    state: State, sent: dict[str, Any], method: str, extra: dict[str, Any]
) -> tuple[dict[str, Any], str | None]:
    source: Source = state.sources[sent["payment_source_id"]]
    if source.status != "AVAILABLE":
        raise unprocessable(SOURCE_DECLINED)
    card = source.token.kind == "cards"
    shown: dict[str, Any] = {"type": method}
    shown |= {} if card else source.token.public
    installments = (sent.get("payment_method") or {}).get("installments")
    shown |= {"installments": installments} if installments is not None else {}
    extra |= source.token.public if card else {}
    authorised = source.token.status != "AVAILABLE"
    return {**shown, "extra": extra}, source.token.outcome if authorised else None


def _parent(state: State, sent: dict[str, Any]) -> dict[str, Any]:
    """The payment with points whose rest this one pays."""
    parent = text(sent, "parent_transaction_id", optional=True)
    if parent and (found := state.transactions.get(parent)) is not None and found.method == "PCOL":
        return {"parent_transaction_id": parent}
    if parent:
        raise not_found()
    return {}


def _stored(state: State, payment: Transaction) -> Transaction:
    state.transactions[payment.id] = state.by_reference[payment.reference] = payment
    state.pending[payment.id] = payment
    state.creates[payment.reference] += 1
    if parent := payment.extra.get("parent_transaction_id"):
        state.transactions[parent].extra["child_transaction_id"] = payment.id
    state.wake()
    return payment


def one(state: State, ask: Ask) -> Answer:
    """GET /transactions/{id}: no key is needed."""
    reading(state, ask)
    return data(machine.read(state, found(state, ask.params["id"])).document(state))


def found(state: State, identity: str) -> Transaction:
    """A stored payment."""
    payment = state.transactions.get(identity)
    if payment is None:
        raise not_found()
    return payment


def several(state: State, ask: Ask) -> Answer:
    """GET /transactions with filters: reference, dates, status, method, email, page, order."""
    private(state, ask)
    page = _number(ask, "page", 1, 1_000_000)
    size = _number(ask, "page_size", 25, 200)
    matching = [machine.read(state, p) for p in _candidates(state, ask) if _matches(ask, p)]
    matching = _ordered(ask, [p for p in matching if _has_status(ask, p)])
    shown = matching[(page - 1) * size : page * size]
    listed = [p.document(state) for p in shown]
    return data(listed, page=page, page_size=size, total_results=len(matching))


def _candidates(state: State, ask: Ask) -> list[Transaction]:
    reference = ask.query.get("reference")
    if reference is None:
        return list(state.transactions.values())
    known = state.by_reference.get(reference)
    return [] if known is None else [known]


def _matches(ask: Ask, payment: Transaction) -> bool:
    wanted = {
        "id": payment.id,
        "payment_method_type": payment.method,
        "customer_email": payment.customer_email,
    }
    if any(ask.query.get(name, value) != value for name, value in wanted.items()):
        return False
    born = day(payment.created_at)
    first, last = _date(ask, "from_date"), _date(ask, "until_date")
    return (not first or first <= born) and (not last or born <= last)


def _has_status(ask: Ask, payment: Transaction) -> bool:
    wanted = one_of(ask.query, "status", (*FINAL, "PENDING"), optional=True)
    return wanted in ("", payment.status)


def _date(ask: Ask, name: str) -> str:
    value = ask.query.get(name, "")
    if value and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
        raise invalid(name, FORMAT)
    return value


def _number(ask: Ask, name: str, default: int, most: int) -> int:
    value = ask.query.get(name, str(default))
    if not re.fullmatch(r"\d{1,7}", value, re.ASCII) or not 1 <= int(value) <= most:
        raise invalid(name, FORMAT)
    return int(value)


def _ordered(ask: Ask, payments: list[Transaction]) -> list[Transaction]:
    by = one_of(ask.query, "order_by", ("created_at", "amount_in_cents"), optional=True)
    order = one_of(ask.query, "order", ("ASC", "DESC"), optional=True)
    name = by or "created_at"
    ordered = sorted(payments, key=lambda p: (getattr(p, name), p.id))
    return ordered if order == "ASC" else ordered[::-1]


def void(state: State, ask: Ask) -> Answer:
    """POST /transactions/{id}/void: an approved card payment. The refusal's text is not known."""
    private(state, ask)
    payment = found(state, ask.params["id"])
    amount = whole(ask.optional_json(), "amount_in_cents", optional=True)
    if payment.method != "CARD" or payment.status != "APPROVED":
        raise unprocessable("(Sandbox) sólo se anula una transacción de tarjeta aprobada")
    if amount is not None and amount > payment.amount_in_cents:
        raise unprocessable("(Sandbox) el monto a anular supera el de la transacción")
    machine.void(state, payment)
    if not state.config.void_body:
        return Answer(201)
    told = {"status": "APPROVED", "status_message": None, "transaction": payment.document(state)}
    return data(told, 201)
