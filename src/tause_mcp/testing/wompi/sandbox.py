"""The double itself, as a test in the same process holds it."""

import secrets
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

from tause_mcp.testing.wompi import control
from tause_mcp.testing.wompi.app import application
from tause_mcp.testing.wompi.clock import Clock
from tause_mcp.testing.wompi.config import Config, Keys
from tause_mcp.testing.wompi.faults import App, Fault
from tause_mcp.testing.wompi.ledger import Batch
from tause_mcp.testing.wompi.outbox import Delivery, Outbox
from tause_mcp.testing.wompi.store import State, Transaction
from tause_mcp.testing.wompi.webhooks import announce, send_due, settled


class Sandbox:
    """A local Wompi with one merchant.

    `options` are fields of `Config`: `Sandbox(resolve_after="manual", webhook_url=...)`. `now` is
    unix seconds; `advance` moves ahead of it. Everything here may be called from any thread.

    Raises:
        ValueError: a production key, an unknown method, a rule or URL that cannot be read.
    """

    def __init__(
        self, config: Config | None = None, *, now: Callable[[], float] = time.time, **options: Any
    ) -> None:
        config = replace(config, **options) if config else Config(**options)
        self.state = State(
            config=config,
            clock=Clock(now),
            keys=config.keys or Keys.of(config.seed),
            random=Random(config.seed),  # noqa: S311  # ids of a test double, meant to be repeatable
            control_token=config.control_token or secrets.token_urlsafe(24),
            outbox=Outbox(deque(maxlen=config.limit)),
        )
        self.app: App = application(self.state)

    @property
    def keys(self) -> Keys:
        """`public`, `private`, `events`, `integrity`, and those of payouts."""
        return self.state.keys

    @property
    def control_token(self) -> str:
        """Bearer of the control API."""
        return self.state.control_token

    @property
    def webhook_url(self) -> str | None:
        """Where events go."""
        return self.state.config.webhook_url

    @webhook_url.setter
    def webhook_url(self, url: str | None) -> None:
        self.change(webhook_url=url)

    def change(self, **changes: Any) -> None:
        """Change the configuration while it runs: `control.CHANGEABLE`.

        Raises:
            ValueError: a part that is not there, fixed, or wrong.
        """
        with self.state.lock:
            control.change(self.state, **changes)
        self.state.wake()

    def webhooks(self, *modes: str) -> None:
        """How the next events are sent: `outbox.MODES`; none is the usual way.

        Raises:
            ValueError: one that does not exist.
        """
        with self.state.lock:
            self.state.outbox.choose(modes)
        self.state.wake()

    def fail(self, path: str, kind: str, nth: int = 1, times: int = 1, **more: Any) -> Fault:
        """Let the nth matching call from now on fail, and `times` in all: `faults.KINDS`.

        `path` is a pattern, with a method or without: `POST /transactions`, `/payouts/v1/*`.
        `more`: `seconds` of `slow`, `retry_after` of `429`.

        Raises:
            ValueError: no such fault.
        """
        fault = Fault(path, kind, nth, times, **more)
        with self.state.lock:
            self.state.faults.asked.append(fault)
        return fault

    @property
    def transactions(self) -> list[Transaction]:
        """Every payment, oldest first."""
        with self.state.lock:
            return list(self.state.transactions.values())

    @property
    def creates(self) -> Counter[str]:
        """How many payments were made for each reference."""
        with self.state.lock:
            return self.state.creates.copy()

    @property
    def attempts(self) -> Counter[str]:
        """How many requests asked for one, for each reference."""
        with self.state.lock:
            return self.state.attempts.copy()

    @property
    def deliveries(self) -> list[Delivery]:
        """Every event, oldest first, with its attempts."""
        with self.state.lock:
            return list(self.state.outbox.log)

    def clear_faults(self) -> None:
        """No call fails any more."""
        with self.state.lock:
            self.state.faults.asked.clear()

    @property
    def payouts(self) -> list[Batch]:
        """Every batch of payouts, oldest first."""
        with self.state.lock:
            return list(self.state.ledger.batches.values())

    @property
    def balance_in_cents(self) -> int:
        """Of the account that pays payouts."""
        return self.state.ledger.balance

    @balance_in_cents.setter
    def balance_in_cents(self, balance: int) -> None:
        with self.state.lock:
            self.state.ledger.balance = balance

    def decide(
        self, identity: str, status: str, message: str | None = None, *, force: bool = False
    ) -> None:
        """End a payment, token or payout by hand; `force` takes a payment anywhere, even back.

        Raises:
            KeyError: nothing has this id.
            ValueError: no such status, or a way back.
        """
        with self.state.lock:
            thing = control.thing(self.state, identity)
            if thing is None:
                raise KeyError(identity)
            control.decide(self.state, thing, status, message, force)

    def advance(self, seconds: float) -> None:
        """Let time pass, without waiting.

        Raises:
            ValueError: backwards, or over ten years.
        """
        with self.state.lock:
            control.move(self.state, seconds)

    def emit(self, event: str, data: dict[str, Any], properties: list[str]) -> None:
        """Queue any event, rightly signed."""
        with self.state.lock:
            announce(self.state, event, data, properties)

    async def deliver(self) -> int:
        """Send every event that is due; how many this call sent. Whatever was due has been tried
        when it returns."""
        with self.state.lock:
            self.state.outbox.release()
        sent = await send_due(self.state)
        await settled(self.state)
        return sent

    def reset(self) -> None:
        """Forget everything but keys, configuration and time."""
        with self.state.lock:
            self.state.clear()
