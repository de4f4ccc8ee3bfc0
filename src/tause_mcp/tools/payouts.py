"""Payouts, as a model sees them: pay, look, list, cancel, and bring to the provider's truth."""

from dataclasses import replace
from typing import Annotated, Any, Literal, NotRequired, cast

from pydantic import Field
from typing_extensions import TypedDict

from tause_mcp import times
from tause_mcp.capability import READ, SET, Consent, Hints, Pages, tool
from tause_mcp.errors import Invalid
from tause_mcp.services.colombia.money import format_cents
from tause_mcp.services.payouts import Beneficiary, Order, Payout, Payouts, Prepared, Status
from tause_mcp.services.payouts.record import Sealed
from tause_mcp.services.payouts.values import (
    LEAST,
    MOST,
    NAME_PATTERN,
    AccountType,
    KeyType,
    PaymentType,
)
from tause_mcp.tools._money import READS_MONEY

PAY = Hints(destructive=True, idempotent=True, open_world=True)
LOOK = Hints(read_only=True, destructive=False, idempotent=True, open_world=True)

# --- what comes in --------------------------------------------------------------------------------


class Paying(TypedDict):
    amount: Annotated[int, Field(ge=LEAST, le=MOST, description="Cents: pesos x 100.")]
    currency: NotRequired[Literal["COP"]]


class BeneficiaryIn(TypedDict):
    name: NotRequired[Annotated[str, Field(max_length=100)]]
    document_type: NotRequired[Annotated[str, Field(max_length=40)]]
    document: NotRequired[Annotated[str, Field(max_length=40)]]
    email: NotRequired[Annotated[str, Field(max_length=254)]]
    bank_code: NotRequired[Annotated[str, Field(max_length=40)]]
    account_type: NotRequired[AccountType]
    account_number: NotRequired[Annotated[str, Field(max_length=20)]]
    key: NotRequired[Annotated[str, Field(max_length=254, description="Bre-B.")]]
    key_type: NotRequired[KeyType]


Name = Annotated[str, Field(pattern=NAME_PATTERN, description="Yours; one name, one payout.")]
Amount = Annotated[Paying, READS_MONEY]
Whom = Annotated[
    BeneficiaryIn,
    Field(description="A bank account with its holder's name and document, or a Bre-B key."),
]
Description = Annotated[str | None, Field(min_length=1, max_length=100)]
AccountId = Annotated[
    str | None, Field(max_length=128, description="The account that pays, where there are several.")
]
Retry = Annotated[
    bool, Field(description="A further attempt after one that is declined, in error or given up.")
]
PayoutId = Annotated[str, Field(pattern=r"^pyo_[0-9a-f]{32}$")]
Key = Annotated[str, Field(min_length=1, max_length=254)]

# --- what goes out --------------------------------------------------------------------------------


class Money(TypedDict):
    amount: int
    currency: str


class BeneficiaryOut(TypedDict):
    """Who is paid, masked."""

    name: NotRequired[str]
    document: NotRequired[str]
    bank: NotRequired[str]
    account_type: NotRequired[str]
    account: NotRequired[str]
    key: NotRequired[str]
    key_type: NotRequired[str]
    holder: NotRequired[str]


class PayoutOut(TypedDict):
    """A payout: one attempt at paying one beneficiary."""

    id: str
    payout_id: str
    attempt: int
    status: Status
    amount: Money
    beneficiary: NotRequired[BeneficiaryOut]
    payment_type: str
    account_id: str
    reference: str
    description: NotRequired[str]
    provider: str
    provider_id: NotRequired[str]
    provider_status: NotRequired[str]
    environment: Literal["test", "prod"]
    status_message: NotRequired[str]
    problem: NotRequired[str]
    created_at: str
    updated_at: str
    finalized_at: NotRequired[str]
    expires_at: NotRequired[str]


class PayoutPage(TypedDict):
    items: list[PayoutOut]
    next_cursor: NotRequired[str]


class Resolved(TypedDict):
    """Whose a key is, masked by Wompi."""

    holder: str
    bank: str
    bank_code: NotRequired[str]
    key_type: NotRequired[str]


class PayoutBank(TypedDict):
    code: str
    name: str


class PayoutBankList(TypedDict):
    items: list[PayoutBank]


class PayoutAccount(TypedDict):
    """An account that pays; its number is masked."""

    id: str
    number: str
    balance: NotRequired[Money]
    status: str
    bank: NotRequired[str]


class PayoutAccountList(TypedDict):
    items: list[PayoutAccount]


_TIMES = frozenset(["created_at", "updated_at", "finalized_at", "expires_at"])


def _plain(kept: Any) -> dict[str, Any]:
    told = {name: getattr(kept, name) for name in kept.__slots__}
    return {
        name: times.iso(value) if name in _TIMES else value
        for name, value in told.items()
        if value is not None and name != "currency"
    }


def _out(kept: Payout) -> PayoutOut:
    told = _plain(kept) | {"amount": Money(amount=kept.amount, currency=kept.currency)}
    if kept.beneficiary is not None:
        told["beneficiary"] = _plain(kept.beneficiary)
    return cast(PayoutOut, told | {"provider": "wompi"})


def _place_of(item: Any) -> list[Any]:
    return [times.micros(item["created_at"]), item["id"]]


# --- paying ---------------------------------------------------------------------------------------


def _to_pay(arguments: Any) -> Consent:
    """What a person is asked about a payout, before Wompi is asked whose a key is."""
    amount, whom = arguments["amount"]["amount"], Beneficiary(**arguments["beneficiary"])
    return Consent(
        f"Pay {format_cents(amount)} COP to {_whom(Sealed(whom))} as {arguments['payout_id']}",
        amount,
        "COP",
    )


def _whom(kept: Sealed) -> str:
    """One line that tells a person where the money goes."""
    told = kept.shown
    at = f" at {told.bank}" if told.bank else ""
    if told.key:
        held = f", which is held by {told.holder}{at}" if told.holder else ""
        return f"the Bre-B key {told.key}{held}"
    return f"{told.name} ({told.document}), {told.account_type} account {told.account}{at}"


def _asked(arguments: Any, prepared: Prepared) -> Consent:
    consent = _to_pay(arguments)
    paying = prepared.account
    again = ", as a further attempt" if arguments["retry"] else ""
    real = "Production: real money" if prepared.environment == "prod" else "Sandbox: no real money"
    return replace(
        consent,
        summary=f"Pay {format_cents(prepared.order.amount)} COP to {_whom(prepared.kept)} from the "
        f"account {paying.number} as {prepared.order.payout_id}{again}. {real}.",
    )


def _order(
    payout_id: str,
    amount: Paying,
    beneficiary: BeneficiaryIn,
    description: str | None,
    payment_type: PaymentType,
    account_id: str | None,
) -> Order:
    return Order(
        payout_id,
        amount["amount"],
        Beneficiary(**beneficiary),
        description,
        payment_type,
        account_id,
    )


async def _create_asks(
    payouts: Payouts,
    payout_id: Name,
    amount: Amount,
    beneficiary: Whom,
    description: Description = None,
    payment_type: PaymentType = "other",
    account_id: AccountId = None,
    retry: Retry = False,
) -> Consent | None:
    """Nobody is asked again for a payout that stands. Whose a Bre-B key is, is asked of Wompi each
    time: an approval holds for that holder alone."""
    order = _order(payout_id, amount, beneficiary, description, payment_type, account_id)
    prepared = await payouts.to_approve(order, retry=retry)
    if prepared is None:
        return None
    told = {"payout_id": payout_id, "amount": amount, "beneficiary": beneficiary, "retry": retry}
    return _asked(told, prepared)


@tool(
    "Pay out",
    scope="payouts:write",
    cost=5,
    hints=PAY,
    consent=_to_pay,
    asks=_create_asks,
)
async def payouts_create(
    payouts: Payouts,
    payout_id: Name,
    amount: Amount,
    beneficiary: Whom,
    description: Description = None,
    payment_type: PaymentType = "other",
    account_id: AccountId = None,
    retry: Retry = False,
) -> PayoutOut:
    """Pay one beneficiary in pesos, exactly once; called again it returns the same payout.

    Use for suppliers, payroll or refunds by transfer. Resolve a Bre-B key first.
    """
    order = _order(payout_id, amount, beneficiary, description, payment_type, account_id)
    return _out(await payouts.create(order, retry=retry))


@tool("Cancel a payout", scope="payouts:write", hints=Hints(destructive=True, idempotent=True))
async def payouts_cancel(
    payouts: Payouts,
    id: PayoutId,  # noqa: A002  # the name that callers write
) -> PayoutOut:
    """Give up a payout that waits to be sent. What was sent is never taken back."""
    return _out(await payouts.cancel(id))


@tool("Reconcile a payout with Wompi", scope="payouts:write", cost=2, hints=SET)
async def payouts_reconcile(
    payouts: Payouts,
    id: PayoutId,  # noqa: A002  # the name that callers write
) -> PayoutOut:
    """Bring a payout to what Wompi has now, and tell it.

    The server does this by itself; use it when somebody waits.
    """
    return _out(await payouts.reconcile(id))


# --- looking --------------------------------------------------------------------------------------


@tool("Get a payout", scope="payouts:read", hints=READ)
async def payouts_get(
    payouts: Payouts,
    id: Annotated[str | None, Field(pattern=r"^pyo_[0-9a-f]{32}$")] = None,  # noqa: A002  # the name that callers write
    payout_id: Annotated[str | None, Field(max_length=100)] = None,
) -> PayoutOut:
    """Get a payout by `id`, or the last attempt at a `payout_id`. Use it to see what became of it."""
    if (id is None) == (payout_id is None):
        raise Invalid("name the payout's id or its payout_id, and not both", field="id")
    return _out(await (payouts.get(id) if id else payouts.by_name(payout_id or "")))


@tool("List payouts", scope="payouts:read", hints=READ)
async def payouts_list(
    payouts: Payouts,
    pages: Pages,
    status: Status | None = None,
    payout_id: Annotated[str | None, Field(max_length=100)] = None,
    limit: Annotated[int, Field(ge=1, le=20)] = 20,
    cursor: Annotated[str | None, Field(max_length=1024)] = None,
) -> PayoutPage:
    """List payouts, newest first. Use to see what arrived, is pending or declined."""
    position = pages.position(cursor, status, payout_id)
    after = None if position is None else (position[0], position[1])
    found = await payouts.recent(status, payout_id, after, limit + 1)
    page = pages.page([_out(one) for one in found], limit, _place_of, status, payout_id)
    return cast(PayoutPage, page)


@tool("Resolve a Bre-B key", scope="payouts:read", hints=LOOK)
async def payouts_resolve_key(
    payouts: Payouts, key: Key, key_type: KeyType | None = None
) -> Resolved:
    """Tell whose a Bre-B key is, as Wompi masks it. Use before paying it, to compare the holder.

    Give `key_type` where a phone might be a document.
    """
    found = await payouts.resolve_key(key, key_type)
    told = {
        "holder": found.holder,
        "bank": found.bank,
        "bank_code": found.bank_code,
        "key_type": found.kind,
    }
    return cast(Resolved, {name: value for name, value in told.items() if value})


@tool("List the banks of payouts", scope="payouts:read", hints=LOOK)
async def payouts_list_banks(payouts: Payouts) -> PayoutBankList:
    """List the banks that a payout can go to, by `bank_code`. They are not those of PSE."""
    found = await payouts.banks()
    return PayoutBankList(items=[PayoutBank(code=bank.code, name=bank.name) for bank in found])


@tool("List the accounts that pay", scope="payouts:read", hints=LOOK)
async def payouts_list_accounts(payouts: Payouts) -> PayoutAccountList:
    """List the accounts that payouts leave from, with their balances. Use to see what is there."""
    items = []
    for one in await payouts.accounts():
        told = PayoutAccount(id=one.id, number=one.number, status=one.status)
        if one.balance is not None:
            told["balance"] = Money(amount=one.balance, currency="COP")
        if one.bank:
            told["bank"] = one.bank
        items.append(told)
    return PayoutAccountList(items=items)
