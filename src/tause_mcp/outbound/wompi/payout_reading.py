"""The JSON of the payouts API as our values: in an envelope (`data`) or bare, as it comes."""

from collections.abc import Mapping
from typing import Any

from tause_mcp.outbound.wompi.payout_values import (
    FundingAccount,
    Limits,
    MadePayout,
    Paid,
    Payout,
    PayoutBank,
    ResolvedKey,
)
from tause_mcp.outbound.wompi.quoting import quoted
from tause_mcp.outbound.wompi.reading import inner, objects, text, whole


def payload(told: Any) -> Any:
    """What an envelope holds, or the bare thing."""
    enveloped = isinstance(told, dict) and "data" in told
    return told["data"] if enveloped else told


def page(told: Any) -> tuple[list[Mapping[str, Any]] | None, int]:
    """The records of a page (None: it cannot be read), and how many there are on all pages."""
    held = payload(told)
    records = objects(held, "records")
    total = whole(held, "total") if isinstance(held, dict) else None
    return records, len(records or ()) if total is None else total


def banks(told: Any) -> list[PayoutBank] | None:
    found = objects({"data": payload(told)})
    if found is None:
        return None
    return [
        PayoutBank(text(one, "id"), text(one, "code"), text(one, "name"))
        for one in found
        if text(one, "id")
    ]


def accounts(told: Any) -> list[FundingAccount] | None:
    found = objects({"data": payload(told)})
    if found is None:
        return None
    return [
        FundingAccount(
            id=text(one, "id"),
            number=text(one, "number"),
            balance=whole(one, "balanceInCents"),
            status=text(one, "status"),
            type=text(one, "accountType"),
            bank=text(inner(one, "bank"), "name"),
        )
        for one in found
        if text(one, "id")
    ]


def limits(told: Any) -> Limits:
    held = payload(told)
    found = inner(held, "limits") if isinstance(held, dict) else {}
    names = ("dailyLimit", "dailyConsumed", "dailyAvailable")
    return Limits(*(whole(found, name) for name in names))


def made(told: Any) -> MadePayout | None:
    held = payload(told)
    own = text(held, "payoutId") if isinstance(held, dict) else ""
    if not own:
        return None
    counts = ("transactions", "success", "failed")
    return MadePayout(own, *(whole(held, name) for name in counts))


def payout(told: Any) -> Payout | None:
    if not isinstance(told, dict):
        return None
    own, status, reference = (text(told, name) for name in ("id", "status", "reference"))
    amount = whole(told, "amountInCents")
    if not own or not status or not reference or amount is None:
        return None
    return Payout(
        id=own,
        status=status,
        reference=reference,
        amount=amount,
        currency=text(told, "currency") or "COP",
        payees=whole(told, "totalTransactions"),
        status_message=quoted(told.get("statusMessage")),
        created_at=text(told, "createdAt"),
    )


def paid(told: Mapping[str, Any]) -> Paid | None:
    own, status, amount = text(told, "id"), text(told, "status"), whole(told, "amountInCents")
    if not own or not status or amount is None:
        return None
    return Paid(
        id=own,
        status=status,
        amount=amount,
        reference=text(told, "reference"),
        failure=failure(told.get("failureReason")),
        fee=whole(inner(told, "fee"), "totalInCents"),
        applied_at=text(told, "appliedAt"),
    )


def failure(told: Any) -> str:
    """Why a payee was not paid: a sentence, or `{code, message | description}`."""
    if not isinstance(told, dict):
        return quoted(told)
    said = quoted(told.get("message")) or quoted(told.get("description"))
    return " ".join(part for part in (quoted(told.get("code")), said) if part)


def resolved(told: Any) -> ResolvedKey | None:
    held = payload(told)
    holder = text(held, "holderName") if isinstance(held, dict) else ""
    if not holder:
        return None
    entity = inner(held, "financialEntity")
    kind = text(held, "keyType").lower()
    return ResolvedKey(holder, text(entity, "name"), text(entity, "code"), kind)
