"""What the tools of payments take and tell: money, methods, customers, and the things that are kept."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NotRequired, cast

from pydantic import BeforeValidator, Field
from typing_extensions import TypedDict

from tause_mcp import times
from tause_mcp.capability import Consent
from tause_mcp.errors import Forbidden, Invalid
from tause_mcp.services.approvals import unattended
from tause_mcp.services.colombia.money import format_cents
from tause_mcp.services.payments import (
    Acceptance,
    Customer,
    Method,
    PayLink,
    Payment,
    SavedSource,
    Schedule,
)
from tause_mcp.services.payments.saved import (
    Every,
    LinkStatus,
    ScheduleStatus,
    SourceStatus,
    SourceType,
)
from tause_mcp.services.payments.values import LEAST, MOST, ORDER_PATTERN, MethodType, Status
from tause_mcp.tenancy import Caller
from tause_mcp.tools._money import READS_MONEY

Environment = Literal["test", "prod"]

# --- what comes in --------------------------------------------------------------------------------


class Collected(TypedDict):
    amount: Annotated[int, Field(ge=LEAST, le=MOST, description="Cents: pesos x 100.")]
    currency: NotRequired[Literal["COP"]]


class Returned(TypedDict):
    amount: Annotated[int, Field(ge=1, le=MOST, description="Cents: pesos x 100.")]
    currency: NotRequired[Literal["COP"]]


Amount = Annotated[Collected, READS_MONEY]
Part = Annotated[Returned | None, READS_MONEY]


def _method(given: Any) -> Any:
    return {"type": given} if isinstance(given, str) else given


class MethodIn(TypedDict):
    type: MethodType
    bank_code: NotRequired[Annotated[str, Field(max_length=6, description="PSE.")]]
    person_type: NotRequired[Literal["natural", "juridica"]]
    phone: NotRequired[Annotated[str, Field(max_length=10, description="Nequi.")]]
    token: NotRequired[Annotated[str, Field(max_length=200, description="Card.")]]
    installments: NotRequired[Annotated[int, Field(ge=1, le=36)]]


HowPaid = Annotated[MethodIn, BeforeValidator(_method)]


class CustomerIn(TypedDict):
    email: Annotated[str, Field(max_length=254)]
    full_name: NotRequired[Annotated[str, Field(max_length=100)]]
    phone: NotRequired[Annotated[str, Field(max_length=10, description="3XXXXXXXXX")]]
    document_type: NotRequired[Annotated[str, Field(max_length=40)]]
    document: NotRequired[Annotated[str, Field(max_length=40)]]


class AcceptanceIn(TypedDict):
    accepted_at: Annotated[str, Field(max_length=40, description="ISO 8601.")]
    evidence: Annotated[str, Field(min_length=1, max_length=500)]


OrderId = Annotated[str, Field(pattern=ORDER_PATTERN, description="Yours; one order, one charge.")]
Description = Annotated[str | None, Field(min_length=1, max_length=200)]
Retry = Annotated[
    bool, Field(description="A further attempt after a final decline, error or expiry.")
]
Accepted = Annotated[
    AcceptanceIn | None,
    Field(description="The payer's recorded acceptance of both terms; needs payments:unattended."),
]
SourceId = Annotated[str, Field(pattern=r"^src_[0-9a-f]{32}$")]
Limit = Annotated[int, Field(ge=1, le=100)]
Cursor = Annotated[str | None, Field(max_length=1024)]


def method_of(given: MethodIn) -> Method:
    return Method(**given)


def customer_of(given: CustomerIn) -> Customer:
    return Customer(**given)


def acceptance_of(given: AcceptanceIn | None) -> Acceptance | None:
    """What was recorded; `Invalid` when it names no moment, or one that is still to come."""
    if given is None:
        return None
    at = moment(given["accepted_at"], "acceptance.accepted_at")
    if at > times.now() + 300 * times.SECOND:
        raise Invalid("acceptance.accepted_at: lies in the future", field="acceptance")
    return Acceptance(times.iso(at), given["evidence"])


def moment(text: str, name: str) -> int:
    """ISO 8601 as epoch microseconds; a time has to say its zone."""
    try:
        read = datetime.fromisoformat(text)
        if read.tzinfo is None:
            raise ValueError(text)
        return times.micros(read.astimezone(UTC).isoformat())
    except (ValueError, OverflowError):
        raise Invalid(
            f"{name}: a time with its zone in ISO 8601, as 2026-01-31T09:00:00-05:00",
            field=name.partition(".")[0],
        ) from None


def only_unattended(caller: Caller, arguments: Any) -> None:
    """Guard: a payer's acceptance is only told by whoever may act without the payer."""
    if arguments.get("acceptance") and not unattended(caller.scopes, "payments", None):
        raise Forbidden(
            "acceptance: telling a payer's acceptance needs the scope payments:unattended, granted "
            "by name; without it leave acceptance out, and the payer accepts on pay_url",
            field="acceptance",
        )


# --- what a person is asked -------------------------------------------------------------------------


def pesos(cents: int) -> str:
    return f"{format_cents(cents)} COP"


def told(asked: Consent, environment: str) -> Consent:
    """What a person is asked, and whether the money is real."""
    real = "Production: real money." if environment == "prod" else "Sandbox: no real money."
    return replace(asked, summary=f"{asked.summary}. {real}")


# --- what goes out --------------------------------------------------------------------------------


class Money(TypedDict):
    amount: int
    currency: str


class PaymentOut(TypedDict):
    """A payment: one attempt at an order."""

    id: str
    order_id: str
    attempt: int
    status: Status
    amount: Money
    method: str
    reference: str
    description: NotRequired[str]
    pay_url: NotRequired[str]
    checkout_url: NotRequired[str]
    redirect_url: NotRequired[str]
    provider: str
    provider_id: NotRequired[str]
    environment: Environment
    status_message: NotRequired[str]
    voided: NotRequired[Money]
    void_status: NotRequired[str]
    source_id: NotRequired[str]
    schedule_id: NotRequired[str]
    link_id: NotRequired[str]
    problem: NotRequired[str]
    created_at: str
    updated_at: str
    finalized_at: NotRequired[str]
    expires_at: NotRequired[str]


class PaymentPage(TypedDict):
    items: list[PaymentOut]
    next_cursor: NotRequired[str]


class SourceOut(TypedDict):
    """A saved way to pay."""

    id: str
    type: SourceType
    status: SourceStatus
    email: NotRequired[str]
    label: NotRequired[dict[str, str]]
    pay_url: NotRequired[str]
    status_message: NotRequired[str]
    environment: Environment
    created_at: str
    updated_at: str
    expires_at: NotRequired[str]


class SourcePage(TypedDict):
    items: list[SourceOut]
    next_cursor: NotRequired[str]


class ScheduleOut(TypedDict):
    """A charge that recurs. `done` times have passed, `skipped` of them too late."""

    id: str
    source_id: str
    amount: Money
    every: Every
    start_at: str
    until: NotRequired[str]
    count: NotRequired[int]
    next_at: NotRequired[str]
    status: ScheduleStatus
    done: int
    skipped: int
    description: NotRequired[str]
    environment: Environment
    created_at: str
    updated_at: str


class SchedulePage(TypedDict):
    items: list[ScheduleOut]
    next_cursor: NotRequired[str]


class LinkOut(TypedDict):
    """A payment link."""

    id: str
    name: str
    status: LinkStatus
    url: NotRequired[str]
    amount: NotRequired[Money]
    single_use: bool
    description: NotRequired[str]
    provider: str
    provider_id: NotRequired[str]
    problem: NotRequired[str]
    environment: Environment
    created_at: str
    updated_at: str
    expires_at: NotRequired[str]


class LinkPage(TypedDict):
    items: list[LinkOut]
    next_cursor: NotRequired[str]


Kept = Payment | SavedSource | Schedule | PayLink
_TIMES = frozenset(
    ["created_at", "updated_at", "finalized_at", "expires_at", "start_at", "until", "next_at"]
)
_UNTOLD = frozenset(["currency", "customer"])


def _told(kept: Kept) -> dict[str, Any]:
    """A kept thing as JSON: absent members left out, times in ISO 8601, money with its currency."""
    told: dict[str, Any] = {}
    for name in kept.__slots__:
        value = getattr(kept, name)
        if value is None or name in _UNTOLD:
            continue
        told[name] = times.iso(value) if name in _TIMES else value
    if "amount" in told and not isinstance(kept, SavedSource):
        told["amount"] = Money(amount=told["amount"], currency=kept.currency)
    return told


def payment(kept: Payment) -> PaymentOut:
    told = _told(kept) | {"provider": "wompi"}
    if kept.voided:
        told["voided"] = Money(amount=kept.voided, currency=kept.currency)
    else:
        del told["voided"]
    return cast(PaymentOut, told)


def source(kept: SavedSource) -> SourceOut:
    return cast(SourceOut, _told(kept))


def schedule(kept: Schedule) -> ScheduleOut:
    return cast(ScheduleOut, _told(kept))


def link(kept: PayLink) -> LinkOut:
    return cast(LinkOut, _told(kept) | {"provider": "wompi"})


def anything(kept: Kept) -> dict[str, Any]:
    """Whatever it is, as its own tool tells it."""
    match kept:
        case Payment():
            return cast(dict[str, Any], payment(kept))
        case PayLink():
            return cast(dict[str, Any], link(kept))
        case SavedSource():
            return cast(dict[str, Any], source(kept))
    return cast(dict[str, Any], schedule(kept))


def place_of(kept: Any) -> list[Any]:
    """Where a page goes on behind what it told last."""
    return [times.micros(kept["created_at"]), kept["id"]]


def behind(position: Any) -> tuple[int, str] | None:
    return None if position is None else (position[0], position[1])
