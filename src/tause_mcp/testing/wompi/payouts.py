"""Payouts to bank accounts and Bre-B keys: a small double of Pagos a Terceros.

https://docs.wompi.co/docs/colombia/introduccion-pagos-a-terceros/
"""

import re
from collections.abc import Mapping
from typing import Any

from tause_mcp.testing.wompi.breb import named, resolves
from tause_mcp.testing.wompi.clock import day, stamp
from tause_mcp.testing.wompi.errors import Refused
from tause_mcp.testing.wompi.exchange import Answer, Ask, told
from tause_mcp.testing.wompi.ledger import Batch, Line
from tause_mcp.testing.wompi.payout_checks import checked, invalid, refusal
from tause_mcp.testing.wompi.store import State
from tause_mcp.testing.wompi.webhooks import announce

DAILY_LIMIT = 150_000_000_000
DAILY_BATCHES = 3_800
_DAY = 86_400.0
_DONE = "Solicitud ejecutada correctamente."


def enveloped(state: State, value: Any, status: int = 200) -> Answer:
    """`{status, code, message, meta, data}`."""
    body = {"status": status, "code": "OK", "message": _DONE, "data": value}
    return told({**body, "meta": {"trace_id": state.uuid()}}, status)


def who(state: State, ask: Ask) -> None:
    """Both headers, or 401."""
    keys = state.keys
    asked = ask.headers.get("x-api-key"), ask.headers.get("user-principal-id")
    if asked != (keys.payouts_api, keys.payouts_principal):
        raise refusal(state, 401, "UNAUTHORIZED", "(Sandbox) credenciales inválidas", "Security")


def banks(state: State, ask: Ask) -> Answer:
    """GET /banks: a bare list."""
    who(state, ask)
    return told(state.ledger.banks)


def accounts(state: State, ask: Ask) -> Answer:
    """GET /accounts."""
    who(state, ask)
    return enveloped(state, [_account(state)])


def _account(state: State) -> dict[str, Any]:
    ledger = state.ledger
    return {
        "id": ledger.account,
        "balanceInCents": ledger.balance,
        "number": "****6789",
        "status": "ACTIVE",
        "accountType": "AHORROS",
        "bank": {"code": ledger.banks[0]["code"], "name": ledger.banks[0]["name"]},
        "updatedAt": stamp(ledger.accounts_updated or state.now()),
    }


def recharge(state: State, ask: Ask) -> Answer:
    """POST /accounts/balance-recharge {accountId, amountInCents}: money out of nothing."""
    who(state, ask)
    sent = _json(state, ask)
    amount = sent.get("amountInCents")
    if sent.get("accountId") != state.ledger.account:
        raise refusal(state, 404, "NOT_FOUND", "(Sandbox) la cuenta no existe")
    if type(amount) is not int or not 10_000 <= amount <= 5_000_000_000:
        raise invalid(state, "amountInCents must be an integer between 10000 and 5000000000")
    state.ledger.balance += amount
    state.ledger.accounts_updated = state.now()
    return told([_account(state)], 201)


def limits(state: State, ask: Ask) -> Answer:
    """GET /limits: bare."""
    who(state, ask)
    used = _used_today(state)
    figures = {
        "dailyLimit": DAILY_LIMIT,
        "dailyConsumed": used,
        "dailyAvailable": DAILY_LIMIT - used,
    }
    count = sum(len(b.lines) for b in _today(state))
    return told({"numberOfTransactionsConsumed": count, "limits": figures})


def _today(state: State) -> list[Batch]:
    today = day(state.now())
    return [b for b in state.ledger.batches.values() if day(b.created_at) == today]


def _used_today(state: State) -> int:
    return sum(b.amount for b in _today(state))


def create(state: State, ask: Ask) -> Answer:
    """POST /payouts, with an `idempotency-key` that is good once in 24 hours."""
    who(state, ask)
    version = ask.params["version"]
    key = _key(state, ask, version)
    sent = _json(state, ask)
    starts = checked(state, sent, version)
    if len(_today(state)) >= DAILY_BATCHES or _sum(sent) > DAILY_LIMIT - _used_today(state):
        raise refusal(state, 400, "LIMIT_EXCEEDED", "(Sandbox) supera el límite diario")
    if _sum(sent) > state.ledger.balance:
        raise refusal(state, 400, "EXC_008", "Saldo insuficiente para procesar el lote.")
    batch = Batch(state.uuid(), version, sent, state.now(), starts, _lines(state, sent))
    state.keep(state.ledger.batches, batch.id, batch)
    state.ledger.keys[key] = state.now()
    state.ledger.balance -= batch.amount
    state.wake()
    count = len(batch.lines)
    made = {"payoutId": batch.id, "transactions": count, "success": count, "failed": 0}
    return enveloped(state, made, 201)


def _key(state: State, ask: Ask, version: str) -> str:
    key = ask.headers.get("idempotency-key", "")
    if not re.fullmatch(r"[A-Za-z0-9-]{1,64}", key, re.ASCII):
        raise invalid(state, "idempotency-key must have 1 to 64 letters, numbers or hyphens")
    used = state.ledger.keys.get(key)
    if used is not None and state.now() < used + _DAY:
        code = "EXC_022" if version == "v1" else "EXC_032"
        raise refusal(state, 409, code, "(Sandbox) la llave de idempotencia ya fue usada")
    return key


def _sum(sent: Mapping[str, Any]) -> int:
    return sum(line["amount"] for line in sent["transactions"])


def _json(state: State, ask: Ask) -> dict[str, Any]:
    try:
        return ask.json()
    except Refused:
        raise invalid(state, "body must be a JSON object") from None


def _lines(state: State, sent: dict[str, Any]) -> list[Line]:
    wanted = sent.get("transactionStatus") or "APPROVED"
    known = {bank["id"]: bank for bank in state.ledger.banks}
    made = []
    for line in sent["transactions"]:
        reachable = "key" not in line or resolves(line["key"])
        outcome = wanted if reachable else "FAILED"
        made.append(Line(state.uuid(), line, known.get(line.get("bankId", "")), outcome))
    return made


def advance(state: State, batch: Batch) -> None:
    """End a batch when it is time."""
    rule = state.rule("PAYOUT")
    if batch.status != "PENDING" or state.now() < batch.starts_at:
        return
    by_reads = rule.kind == "polls" and batch.polls >= rule.amount
    if by_reads or (rule.kind == "seconds" and state.now() >= batch.starts_at + rule.amount):
        finish(state, batch)


def finish(state: State, batch: Batch) -> None:
    """Every line ends, then the batch; each is announced."""
    for line in batch.lines:
        line.status, line.applied_at = line.outcome, state.now()
        if line.status != "APPROVED":
            state.ledger.balance += line.sent["amount"]
        _announce_line(state, batch, line)
    paid = sum(line.status == "APPROVED" for line in batch.lines)
    whole = paid == len(batch.lines)
    batch.status = "TOTAL_PAYMENT" if whole else "PARTIAL_PAYMENT" if paid else "REJECTED"
    names = [f"payout.{name}" for name in ("id", "status", "amountInCents")]
    announce(state, "payout.updated", {"payout": shown(batch)}, names, payouts=True)


def _announce_line(state: State, batch: Batch, line: Line) -> None:
    told = {
        "id": line.id,
        "payoutId": batch.id,
        "amountInCents": line.sent["amount"],
        "status": line.status,
        "payee": payee(line, "bank"),
        "failureReason": failure(line),
        "currency": "COP",
    }
    names = [f"transaction.{name}" for name in ("id", "status", "amountInCents")]
    announce(state, "transaction.updated", {"transaction": told}, names, payouts=True)


def failure(line: Line) -> dict[str, str] | None:
    """Why a line failed; Bre-B words it differently."""
    if line.status in ("APPROVED", "PENDING"):
        return None
    if "key" in line.sent:
        return {"code": "EXC_034", "description": "La llave BRE-B no se pudo pagar"}
    return {"code": "C01", "message": "La cuenta no existe o está inactiva"}


def payee(line: Line, bank: str) -> dict[str, Any]:
    """Who is paid."""
    names = ("name", "email", "legalId", "legalIdType", "accountNumber", "accountType", "key")
    told = {name: line.sent[name] for name in names if name in line.sent}
    if line.bank is not None:
        return {**told, bank: line.bank["name"], "bankCode": line.bank["code"]}
    return {**told, "accountNumber": "", "keyType": named(line.sent["key"])}


def shown(batch: Batch) -> dict[str, Any]:
    """A batch's `data`."""
    return {
        "id": batch.id,
        "status": batch.status,
        "reference": batch.sent["reference"],
        "type": "API",
        "amountInCents": batch.amount,
        "currency": "COP",
        "statusMessage": None,
        "totalTransactions": len(batch.lines),
        "dispersionDatetime": batch.sent.get("dispersionDatetime"),
        "paymentType": batch.sent["paymentType"],
        "createdAt": stamp(batch.created_at),
    }
