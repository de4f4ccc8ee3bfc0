"""The control API below `/_sandbox`: what a test does to the double from another process."""

import hmac
from dataclasses import asdict, replace
from typing import Any

from tause_mcp.testing.wompi import machine, payouts
from tause_mcp.testing.wompi.auth import bearer
from tause_mcp.testing.wompi.errors import error
from tause_mcp.testing.wompi.exchange import Answer, Ask, told
from tause_mcp.testing.wompi.faults import Fault
from tause_mcp.testing.wompi.store import State, Token, Transaction
from tause_mcp.testing.wompi.webhooks import announce

CHANGEABLE = (
    "webhook_url",
    "payouts_webhook_url",
    "auto_deliver",
    "resolve_after",
    "url_after",
    "pse_url_stage",
    "strict_personal_auth",
    "void_body",
    "latency",
    "methods",
)
"""Parts of the configuration that may change while it runs."""


def allowed(state: State, ask: Ask) -> None:
    """The control token, or 401."""
    if not hmac.compare_digest(bearer(ask).encode(), state.control_token.encode()):
        raise error(401, "INVALID_ACCESS_TOKEN", "(Sandbox) the control token is needed")


def wrong(problem: object) -> Exception:
    return error(422, "INPUT_VALIDATION_ERROR", f"(Sandbox) {problem}")


def reset(state: State, ask: Ask) -> Answer:
    """POST /_sandbox/reset: forget everything but keys, configuration and time."""
    allowed(state, ask)
    state.clear()
    return told({"reset": True})


def advance(state: State, ask: Ask) -> Answer:
    """POST /_sandbox/advance {seconds}."""
    allowed(state, ask)
    seconds = ask.json().get("seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise wrong("seconds: a number")
    try:
        move(state, float(seconds))
    except ValueError as problem:
        raise wrong(problem) from None
    return told({"now": state.now()})


def move(state: State, seconds: float) -> None:
    """Let time pass: what it ends is ended, what it makes due will be sent.

    Raises:
        ValueError: backwards, or too far.
    """
    state.clock.advance(seconds)
    settle(state)
    state.wake()


def settle(state: State) -> float | None:
    """End what time has ended; when the next end is due."""
    if any(batch.status == "PENDING" for batch in state.ledger.batches.values()):
        for batch in list(state.ledger.batches.values()):
            payouts.advance(state, batch)
    return machine.settle(state)


def set_status(state: State, ask: Ask) -> Answer:
    """POST /_sandbox/set-status {id, status, message?, force?}: a payment, token, source or payout."""
    allowed(state, ask)
    sent = ask.json()
    found = thing(state, str(sent.get("id", "")))
    if found is None:
        raise error(404, "NOT_FOUND_ERROR", "(Sandbox) nothing has this id")
    try:
        decide(
            state, found, str(sent.get("status", "")), sent.get("message"), bool(sent.get("force"))
        )
    except ValueError as problem:
        raise wrong(problem) from None
    return told({"id": sent["id"], "status": found.status})


def thing(state: State, identity: str) -> Any:
    """A payment, token or payout, or None."""
    found = state.transactions.get(identity) or state.tokens.get(identity)
    return found or state.ledger.batches.get(identity)


def decide(state: State, what: Any, status: str, message: str | None, force: bool) -> None:
    """End a thing by hand.

    Raises:
        ValueError: no such status, or a way back.
    """
    if isinstance(what, Transaction):
        machine.decide(state, what, status, message, force)
    elif isinstance(what, Token):
        if status not in ("APPROVED", "DECLINED", "ERROR"):
            raise ValueError("status: one of APPROVED, DECLINED, ERROR")
        machine.finish_token(state, what, status)
    else:
        _decide_batch(state, what, status)


def _decide_batch(state: State, batch: Any, status: str) -> None:
    if status not in ("APPROVED", "FAILED") or batch.status != "PENDING":
        raise ValueError("a pending payout becomes APPROVED or FAILED")
    for line in batch.lines:
        line.outcome = status
    payouts.finish(state, batch)


def transactions(state: State, ask: Ask) -> Answer:
    """GET /_sandbox/transactions: every payment, and how often each reference was tried and made."""
    allowed(state, ask)
    listed = [made.document(state) for made in state.transactions.values()]
    counts = {"creates": dict(state.creates), "attempts": dict(state.attempts)}
    return told({"transactions": listed, **counts})


def batches(state: State, ask: Ask) -> Answer:
    """GET /_sandbox/payouts: every batch, with what its lines come to, and the balance."""
    allowed(state, ask)
    listed = [
        {**payouts.shown(batch), "transactions": [asdict(line) for line in batch.lines]}
        for batch in state.ledger.batches.values()
    ]
    return told({"payouts": listed, "balance_in_cents": state.ledger.balance})


def faults(state: State, ask: Ask) -> Answer:
    """GET, POST {path, kind, nth?, times?, seconds?, retry_after?}, DELETE /_sandbox/faults."""
    allowed(state, ask)
    if ask.method == "POST":
        try:
            state.faults.asked.append(_fault(ask.json()))
        except (TypeError, ValueError) as problem:
            raise wrong(problem) from None
    elif ask.method == "DELETE":
        state.faults.asked.clear()
    return told({"faults": [fault.told() for fault in state.faults.asked]})


def _fault(sent: dict[str, Any]) -> Fault:
    kinds = {"path": str, "kind": str, "nth": int, "times": int, "retry_after": int}
    for name, value in sent.items():
        kind = kinds.get(name, float if name == "seconds" else None)
        if kind is None:
            raise ValueError(f"{name}: a fault has no such thing")
        if type(value) is not kind and not (kind is float and type(value) is int):
            raise ValueError(f"{name}: must be {kind.__name__}")
    return Fault(**sent)


def configuration(state: State, ask: Ask) -> Answer:
    """GET, POST /_sandbox/config {...}: `CHANGEABLE`, and `webhook_modes`."""
    allowed(state, ask)
    if ask.method == "POST":
        sent = ask.json()
        try:
            modes = sent.pop("webhook_modes", sorted(state.outbox.modes))
            change(state, **sent)
            state.outbox.choose(tuple(str(mode) for mode in modes))
        except (TypeError, ValueError) as problem:
            raise wrong(problem) from None
        state.wake()
    told_ = {name: getattr(state.config, name) for name in CHANGEABLE}
    return told({**told_, "webhook_modes": sorted(state.outbox.modes)})


def change(state: State, **changes: Any) -> None:
    """Change the configuration.

    Raises:
        ValueError: a part that is not there, fixed, or wrong.
    """
    if fixed := sorted(set(changes) - set(CHANGEABLE)):
        raise ValueError(f"{fixed[0]}: not to be changed; {', '.join(CHANGEABLE)} are")
    if isinstance(changes.get("methods"), list):
        changes["methods"] = tuple(changes["methods"])
    state.config = replace(state.config, **changes)


def deliveries(state: State, ask: Ask) -> Answer:
    """GET /_sandbox/deliveries: every event, its attempts and their answers."""
    allowed(state, ask)
    return told({"deliveries": [delivery.told() for delivery in state.outbox.log]})


def emit(state: State, ask: Ask) -> Answer:
    """POST /_sandbox/emit {event, data, properties, payouts?}: any event, rightly signed."""
    allowed(state, ask)
    sent = ask.json()
    properties, about = sent.get("properties"), sent.get("data")
    if not isinstance(about, dict) or not isinstance(properties, list) or len(properties) < 1:
        raise wrong("event, data (an object) and properties (paths in it) are needed")
    names = [str(name) for name in properties]
    announce(state, str(sent.get("event")), about, names, payouts=bool(sent.get("payouts")))
    return told({"queued": True})


def keys(state: State, ask: Ask) -> Answer:
    """GET /_sandbox/keys: every credential."""
    allowed(state, ask)
    return told(asdict(state.keys))
