"""Payment links. https://docs.wompi.co/docs/colombia/links-de-pago/"""

from datetime import UTC, datetime
from typing import Any

from tause_mcp.testing.wompi.auth import private
from tause_mcp.testing.wompi.clock import stamp
from tause_mcp.testing.wompi.errors import FORMAT, NOT_COP, invalid, not_found
from tause_mcp.testing.wompi.exchange import (
    Answer,
    Ask,
    data,
    flag,
    inner,
    objects,
    one_of,
    text,
    url,
    whole,
)
from tause_mcp.testing.wompi.methods import minimum
from tause_mcp.testing.wompi.store import Link, State

_OPTIONAL = ("amount_in_cents", "expires_at", "redirect_url", "image_url", "sku", "taxes")


def create(state: State, ask: Ask) -> Answer:
    """POST /payment_links."""
    private(state, ask)
    fields = _fields(ask.json())
    now = state.now()
    link = Link(_identity(state), now, now, fields)
    return data(shown(state, state.keep(state.links, link.id, link)), 201)


def _fields(sent: dict[str, Any]) -> dict[str, Any]:
    text(sent, "name")
    text(sent, "description", longest=1000)
    flag(sent, "single_use")
    flag(sent, "collect_shipping")
    flag(sent, "collect_customer_legal_id", optional=True)
    if (amount := whole(sent, "amount_in_cents", optional=True)) is not None:
        minimum("", amount)
    if sent.get("currency") not in (None, "COP"):
        raise invalid("currency", NOT_COP)
    expires(sent)
    url(sent, "redirect_url")
    url(sent, "image_url")
    text(sent, "sku", longest=36, optional=True)
    _references(sent)
    _taxes(sent)
    known = ("name", "description", "single_use", "collect_shipping", *_OPTIONAL)
    kept = {name: sent.get(name) for name in known}
    asked = {"collect_customer_legal_id": bool(sent.get("collect_customer_legal_id"))}
    return {**kept, **asked, "currency": "COP", "customer_data": sent.get("customer_data")}


def expires(sent: dict[str, Any]) -> float | None:
    """When a link ends, in unix seconds."""
    value = text(sent, "expires_at", optional=True)
    if not value:
        return None
    try:
        read = datetime.fromisoformat(value)
    except ValueError:
        raise invalid("expires_at", FORMAT) from None
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()


def _references(sent: dict[str, Any]) -> None:
    listed = objects(inner(sent, "customer_data") or {}, "customer_references")
    if len(listed) > 2:
        raise invalid("customer_references", FORMAT)
    for reference in listed:
        text(reference, "label", longest=24)
        flag(reference, "is_required")


def _taxes(sent: dict[str, Any]) -> None:
    listed = objects(sent, "taxes")
    for tax in listed:
        one_of(tax, "type", ("VAT", "CONSUMPTION"))
        if whole(tax, "percentage", 1, 50, optional=True) is None:
            whole(tax, "amount_in_cents")


def _identity(state: State) -> str:
    while True:
        made = state.letters(6)
        if made not in state.links:
            return made


def shown(state: State, link: Link) -> dict[str, Any]:
    """A link's `data`."""
    return {
        "id": link.id,
        **link.fields,
        "active": link.active,
        "created_at": stamp(link.created_at),
        "updated_at": stamp(link.updated_at),
        "merchant_public_key": state.keys.public,
    }


def one(state: State, ask: Ask) -> Answer:
    """GET /payment_links/{id}: no key is needed."""
    return data(shown(state, found(state, ask.params["id"])))


def found(state: State, identity: str) -> Link:
    link = state.links.get(identity)
    if link is None:
        raise not_found()
    return link


def change(state: State, ask: Ask) -> Answer:
    """PATCH /payment_links/{id}: `{"active": false}` closes it."""
    private(state, ask)
    link = found(state, ask.params["id"])
    link.active = bool(flag(ask.json(), "active"))
    link.updated_at = state.now()
    return data(shown(state, link))


def closed(state: State, link: Link) -> str:
    """Why a link takes no payment, or ''."""
    if link.fields["single_use"] and link.paid:
        return "Este link de pago ya fue usado."
    if not link.active:
        return "Este link de pago no está activo."
    ends = expires(link.fields)
    return "Este link de pago expiró." if ends is not None and state.now() > ends else ""
