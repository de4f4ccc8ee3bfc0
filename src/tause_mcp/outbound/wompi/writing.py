"""Our values as Wompi's JSON."""

from collections.abc import Mapping
from typing import Any

from tause_mcp.outbound.wompi.signatures import expiration, integrity
from tause_mcp.outbound.wompi.values import Charge, Customer, Method, NewLink

_PSE_DESCRIPTION = 30
_DESCRIPTION = 64
_PASSPORT = {"PA": "PP"}
_PAYER_DOCUMENTS = frozenset({"CC", "CE", "NIT", "PP", "TI", "DNI", "RG"})


def charge(told: Charge, secret: str) -> dict[str, Any]:
    """The body of POST /transactions, signed."""
    expires = expiration(told.expires) if told.expires else ""
    body: dict[str, Any] = {
        "acceptance_token": told.terms,
        "accept_personal_auth": told.personal,
        "amount_in_cents": told.amount,
        "currency": told.currency,
        "customer_email": told.customer.email,
        "reference": told.reference,
        "signature": integrity(told.reference, told.amount, told.currency, secret, expires),
    }
    optional = {
        "payment_method": _method(told),
        "payment_source_id": told.source_id,
        "recurrent": told.recurrent,
        "redirect_url": told.redirect_url,
        "expiration_time": expires,
        "customer_data": payer(told.customer),
    }
    return body | {k: value for k, value in optional.items() if value not in (None, "", {})}


def payer(customer: Customer) -> dict[str, str]:
    """`customer_data`: only what is known."""
    kind = _PASSPORT.get(customer.document_type, customer.document_type)
    told = {
        "full_name": customer.full_name,
        "phone_number": customer.phone,
        "legal_id": customer.document,
        "legal_id_type": (kind if kind in _PAYER_DOCUMENTS else "OTHER") if kind else "",
    }
    if not (customer.document and kind):
        told.pop("legal_id")
        told.pop("legal_id_type")
    return {name: value for name, value in told.items() if value}


def _method(told: Charge) -> dict[str, Any]:
    if told.method is None:
        return {} if told.installments is None else {"installments": told.installments}
    kind = told.method.type
    fields = _FIELDS[kind](told, told.method)
    return {"type": kind.upper(), **{k: value for k, value in fields.items() if value is not None}}


def _card(told: Charge, method: Method) -> Mapping[str, Any]:
    return {"token": method.token, "installments": method.installments or told.installments or 1}


def _nequi(told: Charge, method: Method) -> Mapping[str, Any]:
    return {"phone_number": method.phone or told.customer.phone}


def _pse(told: Charge, method: Method) -> Mapping[str, Any]:
    kind = told.customer.document_type
    return {
        "user_type": 1 if method.person_type == "juridica" else 0,
        "user_legal_id_type": _PASSPORT.get(kind, kind),
        "user_legal_id": told.customer.document,
        "financial_institution_code": method.bank_code,
        "payment_description": _described(told, _PSE_DESCRIPTION),
    }


def _transfer(told: Charge, method: Method) -> Mapping[str, Any]:
    return {"payment_description": _described(told, _DESCRIPTION)}


def _daviplata(told: Charge, method: Method) -> Mapping[str, Any]:
    kind = told.customer.document_type
    return {
        "user_legal_id_type": _PASSPORT.get(kind, kind),
        "user_legal_id": told.customer.document,
        "payment_description": _described(told, _DESCRIPTION),
    }


_FIELDS = {
    "card": _card,
    "nequi": _nequi,
    "pse": _pse,
    "bancolombia_transfer": _transfer,
    "bancolombia_qr": _transfer,
    "daviplata": _daviplata,
}


def _described(told: Charge, most: int) -> str:
    """What the payer reads at the bank: one line, no apostrophe, never empty."""
    plain = " ".join((told.description or told.reference).replace("'", " ").split())
    return (plain or told.reference)[:most]


def link(told: NewLink) -> dict[str, Any]:
    """The body of POST /payment_links."""
    body: dict[str, Any] = {
        "name": told.name,
        "description": told.description,
        "single_use": told.single_use,
        "collect_shipping": False,
        "currency": told.currency,
        "sku": told.sku,
    }
    optional = {
        "amount_in_cents": told.amount,
        "expires_at": expiration(told.expires) if told.expires else "",
        "redirect_url": told.redirect_url,
    }
    return body | {name: value for name, value in optional.items() if value not in (None, "")}
