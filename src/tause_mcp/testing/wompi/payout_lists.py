"""Reading payouts, and resolving Bre-B keys."""

import re
from collections.abc import Sequence
from typing import Any

from tause_mcp.testing.wompi import breb
from tause_mcp.testing.wompi.clock import day, stamp
from tause_mcp.testing.wompi.exchange import Answer, Ask
from tause_mcp.testing.wompi.ledger import Batch, Line
from tause_mcp.testing.wompi.payout_checks import invalid, refusal
from tause_mcp.testing.wompi.payouts import advance, enveloped, failure, payee, shown, who
from tause_mcp.testing.wompi.store import State


def several(state: State, ask: Ask) -> Answer:
    """GET /payouts: status, fromDate, toDate, reference, id, page, limit."""
    who(state, ask)
    read = [_read(state, batch) for batch in state.ledger.batches.values()]
    found = [shown(batch) for batch in reversed(read) if _matches(ask, batch)]
    return enveloped(state, _page(state, ask, found))


def _matches(ask: Ask, batch: Batch) -> bool:
    statuses = ask.query.get("status", "")
    born = day(batch.created_at)
    return (
        (not statuses or batch.status in statuses.split(","))
        and ask.query.get("reference", batch.sent["reference"]) == batch.sent["reference"]
        and ask.query.get("id", batch.id) == batch.id
        and ask.query.get("fromDate", born) <= born <= ask.query.get("toDate", born)
    )


def _page(state: State, ask: Ask, found: Sequence[Any]) -> dict[str, Any]:
    page, limit = _number(state, ask, "page", 1), _number(state, ask, "limit", 10)
    return {
        "page": page,
        "limit": limit,
        "total": len(found),
        "pages": -(-len(found) // limit),
        "records": found[(page - 1) * limit : page * limit],
    }


def _number(state: State, ask: Ask, name: str, default: int) -> int:
    text = ask.query.get(name, str(default))
    if not re.fullmatch(r"[1-9][0-9]{0,5}", text):
        raise invalid(state, f"{name} must be a positive integer")
    return int(text)


def one(state: State, ask: Ask) -> Answer:
    """GET /payouts/{id}."""
    who(state, ask)
    return enveloped(state, shown(_found(state, ask)))


def _found(state: State, ask: Ask) -> Batch:
    batch = state.ledger.batches.get(ask.params["id"])
    if batch is None:
        raise refusal(state, 404, "NOT_FOUND", "(Sandbox) el lote no existe")
    return _read(state, batch)


def _read(state: State, batch: Batch) -> Batch:
    batch.polls += 1
    advance(state, batch)
    return batch


def lines(state: State, ask: Ask) -> Answer:
    """GET /payouts/{id}/transactions."""
    who(state, ask)
    batch = _found(state, ask)
    found = [_line(batch, line) for line in batch.lines if _line_matches(ask, line)]
    return enveloped(state, _page(state, ask, found))


def line(state: State, ask: Ask) -> Answer:
    """GET /payouts/{id}/transactions/{transaction}."""
    who(state, ask)
    batch = _found(state, ask)
    for made in batch.lines:
        if made.id == ask.params["transaction"]:
            return enveloped(state, {**_line(batch, made), "payout": shown(batch)})
    raise refusal(state, 404, "NOT_FOUND", "(Sandbox) la transacción no existe")


def by_reference(state: State, ask: Ask) -> Answer:
    """GET /transactions/{reference}: of every batch with it."""
    who(state, ask)
    named = ask.params["reference"]
    batches = [b for b in state.ledger.batches.values() if b.sent["reference"] == named]
    found = [_line(_read(state, b), made) for b in batches for made in b.lines]
    return enveloped(state, _page(state, ask, found))


def _line_matches(ask: Ask, line: Line) -> bool:
    statuses = ask.query.get("status", "")
    wanted = {
        "reference": line.sent.get("reference"),
        "accountNumber": line.sent.get("accountNumber"),
        "payeeName": line.sent["name"],
    }
    known = all(ask.query.get(name, value) == value for name, value in wanted.items())
    return known and (not statuses or line.status in statuses.split(","))


def _line(batch: Batch, line: Line) -> dict[str, Any]:
    why = failure(line)
    return {
        "id": line.id,
        "status": line.status,
        "amountInCents": line.sent["amount"],
        "payeeInfo": payee(line, "bank"),
        "reference": line.sent.get("reference"),
        "failureReason": None if why is None else why.get("message") or why.get("description"),
        "appliedAt": None if line.applied_at is None else stamp(line.applied_at),
        "createdAt": stamp(batch.created_at),
    }


def health(state: State, ask: Ask) -> Answer:
    """GET /health."""
    services = [{"name": "payouts", "healthy": True}, {"name": "transactions", "healthy": True}]
    return enveloped(state, {"status": "HEALTHY", "services": services})


def resolve(state: State, ask: Ask) -> Answer:
    """GET /v2/breb/keys/resolve/{key}?keyType=.."""
    who(state, ask)
    kind = ask.query.get("keyType", "")
    if kind and kind not in breb.FORMATS:
        raise invalid(state, f"keyType must be one of {', '.join(breb.FORMATS)}")
    answer = breb.resolved(ask.params["key"], kind)
    if isinstance(answer, breb.Unresolved):
        raise refusal(state, answer.status, answer.code, answer.message, answer.kind)
    return enveloped(state, answer)
