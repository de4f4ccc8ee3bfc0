"""Events: built and signed when something ends, sent at least once.

https://docs.wompi.co/docs/colombia/eventos/ and .../eventos-pagos-a-terceros/
"""

import asyncio
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import httpx2
import orjson

from tause_mcp.testing.wompi.clock import stamp
from tause_mcp.testing.wompi.outbox import Delivery, Outcome
from tause_mcp.testing.wompi.signing import checksum
from tause_mcp.testing.wompi.store import State, Token, Transaction

_SECONDS = 10.0


def transaction_updated(state: State, made: Transaction) -> None:
    """A payment reached an end."""
    told = {"transaction": made.document(state)}
    names = ("id", "status", "amount_in_cents")
    announce(state, "transaction.updated", told, [f"transaction.{n}" for n in names])


def token_updated(state: State, token: Token) -> None:
    """A Nequi or Bancolombia token was confirmed or refused."""
    name = f"{token.kind}_token"
    told = {name: {"id": token.id, "status": token.status, **token.public}}
    announce(state, f"{name}.updated", told, [f"{name}.id", f"{name}.status"])


def announce(
    state: State,
    event: str,
    told: dict[str, Any],
    properties: Sequence[str],
    *,
    payouts: bool = False,
) -> None:
    """Sign an event and queue it, as the modes say."""
    outbox, now = state.outbox, state.now()
    outbox.count += 1
    signed = _properties(state, told, properties)
    timestamp = int(now * 1000) if payouts else int(now)
    secret = state.keys.payouts_events if payouts else state.keys.events
    mark = _mark(state, checksum(told, signed, timestamp, secret))
    signature = {"properties": signed, "checksum": mark}
    body: dict[str, Any] = {"event": event, "data": told, "signature": signature}
    body["timestamp"] = timestamp
    body |= {"sentAt": stamp(now)} if payouts else {"environment": "test", "sent_at": stamp(now)}
    _queue(state, event, _subject(told), orjson.dumps(body), mark, payouts)


def _subject(told: dict[str, Any]) -> str:
    """The id of what an event tells about."""
    first = next(iter(told.values()), None)
    return str(first.get("id", "")) if isinstance(first, dict) else ""


def _properties(state: State, told: dict[str, Any], properties: Sequence[str]) -> list[str]:
    """The paths that are signed, in their order: the usual ones, unless a mode says otherwise."""
    signed = list(properties)
    if "extra_property" in state.outbox.modes:
        signed += _another(told, signed)
    if "rotate_properties" in state.outbox.modes and len(signed) > 1:
        turn = 1 + state.outbox.count % (len(signed) - 1)
        signed = signed[turn:] + signed[:turn]
    return signed


def _another(told: dict[str, Any], signed: list[str]) -> list[str]:
    """One more path of the data that leads to a text or number."""
    for name, about in told.items():
        for key, value in about.items() if isinstance(about, dict) else ():
            if isinstance(value, str | int) and f"{name}.{key}" not in signed:
                return [f"{name}.{key}"]
    return []


def _mark(state: State, right: str) -> str:
    if "wrong_checksum" in state.outbox.modes:
        right = sha256(right.encode()).hexdigest()
    return right.upper() if "upper_checksum" in state.outbox.modes else right


def _queue(state: State, event: str, about: str, body: bytes, mark: str, payouts: bool) -> None:
    modes = state.outbox.modes
    target = state.config.webhook_url
    if payouts:
        target = state.config.payouts_webhook_url or target
    outcome: Outcome = "no_url" if target is None else "dropped" if "drop" in modes else "queued"
    number, now = state.outbox.count, state.now()
    for _ in range(2 if "duplicate" in modes else 1):
        made = Delivery(number, event, about, target, body, mark, payouts, outcome, now)
        state.outbox.put(made)
    state.wake()


async def send_due(state: State) -> int:
    """POST every event that is due, one after the other; how many."""
    with state.lock:
        due = state.outbox.take(state.now())
    if not due:
        return 0
    try:
        secure = any(str(d.url).startswith("https:") for d in due)  # a TLS context is slow to make
        async with httpx2.AsyncClient(verify=secure, trust_env=False, timeout=_SECONDS) as client:
            for delivery in due:
                status, problem = await _post(client, delivery)
                with state.lock:
                    delivery.answered(state.now(), status, problem)
    finally:
        _give_back(state, due)
    return len(due)


async def _post(client: httpx2.AsyncClient, delivery: Delivery) -> tuple[int | None, str]:
    headers = {"content-type": "application/json", "x-event-checksum": delivery.checksum}
    try:
        answer = await client.post(str(delivery.url), content=delivery.body, headers=headers)
    except httpx2.HTTPError as failed:
        return None, type(failed).__name__
    return answer.status_code, ""


def _give_back(state: State, due: list[Delivery]) -> None:
    """What was not tried because this was cancelled is due again."""
    with state.lock:
        for delivery in due:
            if delivery.outcome == "sending":
                delivery.outcome = "queued"
        state.outbox.settle()


async def settled(state: State) -> None:
    """Wait for what somebody else is sending."""
    while True:
        with state.lock:
            if not state.outbox.sending():
                return
        await asyncio.sleep(0.01)
