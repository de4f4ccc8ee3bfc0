"""Payments, as a model sees them: collect, look, list, void, and bring to the provider's truth."""

from typing import Annotated, Any, cast

from pydantic import Field
from typing_extensions import TypedDict

from tause_mcp.capability import READ, SET, Consent, Hints, Pages, tool
from tause_mcp.errors import Invalid
from tause_mcp.services.payments import Banks, Payments, Reconciling, Status
from tause_mcp.tools import _payments as shapes
from tause_mcp.tools._payment_links import (
    payments_cancel_link,
    payments_create_link,
    payments_list_links,
)
from tause_mcp.tools._payment_sources import (
    payments_charge_source,
    payments_list_schedules,
    payments_list_sources,
    payments_remove_source,
    payments_save_source,
    payments_schedule,
    payments_unschedule,
)

__all__ = [
    "payments_cancel_link",
    "payments_charge_source",
    "payments_create",
    "payments_create_link",
    "payments_get",
    "payments_list",
    "payments_list_banks",
    "payments_list_links",
    "payments_list_schedules",
    "payments_list_sources",
    "payments_reconcile",
    "payments_remove_source",
    "payments_save_source",
    "payments_schedule",
    "payments_unschedule",
    "payments_void",
]

COLLECT = Hints(destructive=False, idempotent=True, open_world=True)
LOOK = Hints(read_only=True, destructive=False, idempotent=True, open_world=True)
PaymentId = Annotated[str, Field(pattern=r"^pay_[0-9a-f]{32}$")]
KeptId = Annotated[
    str, Field(pattern=r"^((pay|src|sch|lnk)_[0-9a-f]{32}|wtx_[A-Za-z0-9_-]{1,64})$")
]
_METHODS = {
    "card": "card",
    "pse": "PSE",
    "nequi": "Nequi",
    "bancolombia_transfer": "Bancolombia transfer",
    "bancolombia_qr": "Bancolombia QR",
    "daviplata": "Daviplata",
    "checkout": "Wompi's checkout",
}


class Bank(TypedDict):
    code: str
    name: str


class BankList(TypedDict):
    items: list[Bank]


def _to_create(arguments: Any) -> Consent:
    """What a person is asked about a payment."""
    amount, customer = arguments["amount"]["amount"], arguments["customer"]
    how = _METHODS[arguments["method"]["type"]]
    again = ", as a further attempt" if arguments.get("retry") else ""
    when = " at once, as the payer accepted before" if arguments.get("acceptance") else ""
    summary = (
        f"Collect {shapes.pesos(amount)} by {how} from {customer['email']} "
        f"for order {arguments['order_id']}{again}{when}"
    )
    return Consent(summary, amount, "COP")


async def _create_asks(
    payments: Payments,
    order_id: shapes.OrderId,
    amount: shapes.Amount,
    method: shapes.HowPaid,
    customer: shapes.CustomerIn,
    description: shapes.Description = None,
    retry: shapes.Retry = False,
    acceptance: shapes.Accepted = None,
) -> Consent | None:
    """Nobody is asked again for a payment that stands. A retry always asks: what stands now may
    have ended a moment later."""
    stands = await payments.standing(
        order_id,
        amount["amount"],
        "COP",
        shapes.method_of(method),
        shapes.customer_of(customer),
        description=description,
        retry=retry,
        acceptance=shapes.acceptance_of(acceptance),
    )
    if stands is not None and not retry:
        return None
    asked = _to_create(
        {
            "order_id": order_id,
            "amount": amount,
            "method": method,
            "customer": customer,
            "retry": retry,
            "acceptance": acceptance,
        }
    )
    return shapes.told(asked, await payments.environment())


@tool(
    "Collect a payment",
    scope="payments:write",
    cost=5,
    hints=COLLECT,
    consent=_to_create,
    guard=shapes.only_unattended,
    asks=_create_asks,
    flagship=True,
    secret_input=True,
)
async def payments_create(
    payments: Payments,
    order_id: shapes.OrderId,
    amount: shapes.Amount,
    method: shapes.HowPaid,
    customer: shapes.CustomerIn,
    description: shapes.Description = None,
    retry: shapes.Retry = False,
    acceptance: shapes.Accepted = None,
) -> shapes.PaymentOut:
    """Collect pesos for an order, exactly once; called again it returns the same payment.

    Give the payer `pay_url`: there they accept the terms and pay. Never take a card's number.
    """
    made = await payments.create(
        order_id,
        amount["amount"],
        "COP",
        shapes.method_of(method),
        shapes.customer_of(customer),
        description=description,
        retry=retry,
        acceptance=shapes.acceptance_of(acceptance),
    )
    return shapes.payment(made)


@tool("Get a payment", scope="payments:read", hints=READ, flagship=True)
async def payments_get(
    payments: Payments,
    id: Annotated[str | None, Field(pattern=r"^pay_[0-9a-f]{32}$")] = None,  # noqa: A002  # the name that callers write
    order_id: Annotated[str | None, Field(max_length=100)] = None,
) -> shapes.PaymentOut:
    """Get a payment by `id`, or the last attempt at an `order_id`. Use it to see if it is paid."""
    if (id is None) == (order_id is None):
        raise Invalid("name the payment's id or its order_id, and not both", field="id")
    found = await (payments.get(id) if id else payments.by_order(order_id or ""))
    return shapes.payment(found)


@tool("List payments", scope="payments:read", hints=READ)
async def payments_list(
    payments: Payments,
    pages: Pages,
    status: Status | None = None,
    order_id: Annotated[str | None, Field(max_length=100)] = None,
    limit: shapes.Limit = 20,
    cursor: shapes.Cursor = None,
) -> shapes.PaymentPage:
    """List payments, newest first. Use to see what is open, paid or declined."""
    after = shapes.behind(pages.position(cursor, status, order_id))
    found = await payments.recent(status, order_id, after, limit + 1)
    items = [shapes.payment(one) for one in found]
    page = pages.page(items, limit, shapes.place_of, status, order_id)
    return cast(shapes.PaymentPage, page)


def _to_void(arguments: Any) -> Consent:
    part = arguments.get("amount")
    return Consent(
        f"Give back {shapes.pesos(part['amount']) if part else 'the whole'} of payment "
        f"{arguments['id']}",
        part["amount"] if part else None,
        "COP",
    )


async def _void_asks(
    payments: Payments,
    id: PaymentId,  # noqa: A002  # the name that callers write
    amount: shapes.Part = None,
) -> Consent | None:
    found, cents = await payments.voidable(id, amount["amount"] if amount else None)
    if not cents:
        return None
    payer = found.customer
    whose = f" from {payer.email}" if payer and payer.email else ""
    summary = (
        f"Give back {shapes.pesos(cents)} of the card payment of {shapes.pesos(found.amount)}"
        f"{whose} for order {found.order_id}"
    )
    return shapes.told(Consent(summary, cents, "COP"), found.environment)


@tool(
    "Void a payment",
    scope="payments:write",
    cost=5,
    hints=Hints(destructive=True, open_world=True),
    consent=_to_void,
    asks=_void_asks,
)
async def payments_void(
    payments: Payments,
    id: PaymentId,  # noqa: A002  # the name that callers write
    amount: shapes.Part = None,
) -> shapes.PaymentOut:
    """Give back an approved card payment, or a part of it; the only refund that Wompi has.

    Refund other methods by a transfer of your own.
    """
    return shapes.payment(await payments.void(id, amount["amount"] if amount else None))


@tool("List the banks of PSE", scope="payments:read", hints=LOOK)
async def payments_list_banks(banks: Banks) -> BankList:
    """List the banks that a payer may choose for PSE, by code, as they are today."""
    return BankList(items=[Bank(code=bank.code, name=bank.name) for bank in await banks.list()])


@tool("Reconcile with Wompi", scope="payments:write", cost=2, hints=SET, open_result=True)
async def payments_reconcile(
    reconciling: Reconciling,
    id: KeptId,  # noqa: A002  # the name that callers write
) -> dict[str, Any]:
    """Bring a payment, source, schedule or link to what Wompi has now, and tell it.

    The server does this by itself; use it when somebody waits. `wtx_` before Wompi's id of a
    transaction by one of your links records that payment, where its event was lost.
    """
    return shapes.anything(await reconciling.reconcile(id))
