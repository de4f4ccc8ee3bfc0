"""Collect payments in Colombian pesos through a TauseStack server.

import tause_mcp.client as ts

payment = await ts.payments.create_pse_payment(50_000, "ana@example.com", "1007", reference="A-17")
print(payment["status"], payment.get("pay_url"))

Amounts are in pesos here (the tools count cents). Both functions return the payment as the tool
`payments_create` does: `{id, order_id, status, amount, pay_url, ...}`; or, while a person has to
approve it, `{"status": "approval_required", "url": ..., "command": ...}`: the same call again
completes it.
"""

from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import uuid4

from tause_mcp.client.connection import call
from tause_mcp.errors import Invalid

Pesos = int | float | str | Decimal


async def create_wompi_payment(
    amount: Pesos,
    currency: str = "COP",
    customer_email: str = "",
    reference: str | None = None,
    *,
    description: str | None = None,
    customer: dict[str, Any] | None = None,
    retry: bool = False,
) -> dict[str, Any]:
    """Ask for a payment that the payer makes on Wompi's own checkout, by any method there.

    `reference` names the order: asking again for the same order never charges twice. Without one a
    new order is made each time. `retry`: another attempt after the last one was declined.

    Raises:
        Invalid: the amount, currency or e-mail. Conflict: the order exists with other arguments.
        TauseError: what else the server says.
    """
    told = _order(amount, currency, customer_email, reference, description, customer, retry)
    return await call("payments_create", {**told, "method": {"type": "checkout"}})


async def create_pse_payment(
    amount: Pesos,
    customer_email: str,
    bank_code: str,
    *,
    reference: str | None = None,
    description: str | None = None,
    customer: dict[str, Any] | None = None,
    retry: bool = False,
) -> dict[str, Any]:
    """Ask for a payment from a bank account by PSE. `bank_code` is of `payments_list_banks`.

    The payer accepts the terms at `pay_url`, adds what PSE asks for, and goes on to the bank.
    Else as `create_wompi_payment`.
    """
    told = _order(amount, "COP", customer_email, reference, description, customer, retry)
    return await call(
        "payments_create", {**told, "method": {"type": "pse", "bank_code": bank_code}}
    )


def cents_of(amount: Pesos) -> int:
    """Pesos as the tools count them: `50_000`, `"50000.50"` and `50000.5` are whole cents.

    Raises:
        Invalid: no number, not finite, or with more than two decimals.
    """
    told = "" if isinstance(amount, bool) else str(amount)
    try:
        exact = Decimal(told) if told.isascii() else None
    except InvalidOperation:
        exact = None
    if exact is None or not exact.is_finite():
        raise Invalid("amount: pesos as a number, such as 50000", field="amount")
    cents = exact.scaleb(2)
    if cents != cents.to_integral_value():
        raise Invalid("amount: pesos have at most two decimals", field="amount")
    return int(cents)


def _order(
    amount: Pesos,
    currency: str,
    customer_email: str,
    reference: str | None,
    description: str | None,
    customer: dict[str, Any] | None,
    retry: bool,
) -> dict[str, Any]:
    told: dict[str, Any] = {
        "order_id": reference or uuid4().hex,
        "amount": {"amount": cents_of(amount), "currency": currency},
        "customer": {**(customer or {}), "email": customer_email},
    }
    if description is not None:
        told["description"] = description
    if retry:
        told["retry"] = True
    return told
