"""Events on their way: what was queued, tried and answered."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Literal

MODES = (
    "duplicate",
    "reorder",
    "drop",
    "wrong_checksum",
    "extra_property",
    "upper_checksum",
    "rotate_properties",
)
"""Ways to send events otherwise than once, in order and with the usual signature."""

RETRIES = (1_800.0, 10_800.0, 86_400.0)
"""Seconds after the first attempt: 30 minutes, 3 hours, 24 hours."""

Outcome = Literal["queued", "held", "sending", "delivered", "dropped", "given_up", "no_url"]


@dataclass(slots=True)
class Attempt:
    """One POST: when (virtual), and its status or what went wrong."""

    at: float
    status: int | None
    problem: str = ""


@dataclass(slots=True)
class Delivery:
    """One event for one URL. Its bytes stay the same over all attempts."""

    id: int
    event: str
    about: str
    """The id of what it tells about."""
    url: str | None
    body: bytes
    checksum: str
    any_2xx: bool
    outcome: Outcome
    due: float
    first: float | None = None
    attempts: list[Attempt] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        """For the delivery log."""
        return {
            "id": self.id,
            "event": self.event,
            "about": self.about,
            "url": self.url,
            "outcome": self.outcome,
            "due": self.due,
            "checksum": self.checksum,
            "body": self.body.decode(),
            "attempts": [
                {"at": a.at, "status": a.status, "problem": a.problem} for a in self.attempts
            ],
        }

    def answered(self, now: float, status: int | None, problem: str = "") -> None:
        """Note an attempt; queue the next or end."""
        self.first = now if self.first is None else self.first
        self.attempts.append(Attempt(now, status, problem))
        if status == 200 or (self.any_2xx and status is not None and 200 <= status < 300):
            self.outcome = "delivered"
        elif len(self.attempts) > len(RETRIES):
            self.outcome = "given_up"
        else:
            self.outcome, self.due = "queued", self.first + RETRIES[len(self.attempts) - 1]


@dataclass(slots=True)
class Outbox:
    """Every delivery, oldest first, and the modes of the next ones."""

    log: deque[Delivery]
    active: list[Delivery] = field(default_factory=list)
    """Those queued, held or being sent, in the order of sending."""
    modes: frozenset[str] = frozenset()
    count: int = 0

    def choose(self, modes: tuple[str, ...]) -> None:
        """Set the modes.

        Raises:
            ValueError: one that does not exist.
        """
        if strange := set(modes) - set(MODES):
            raise ValueError(f"no webhook mode {min(strange)!r}; there are {', '.join(MODES)}")
        self.modes = frozenset(modes)
        if "reorder" not in modes:
            self.release()

    def put(self, delivery: Delivery) -> None:
        """Queue one; in `reorder` each waits for the next, which is sent before it."""
        self.log.append(delivery)
        if delivery.outcome != "queued":
            return
        if "reorder" in self.modes and not any(d.outcome == "held" for d in self.active):
            delivery.outcome = "held"
        self.active.append(delivery)
        if delivery.outcome == "queued":
            self.release()

    def release(self) -> None:
        """Let go what waits for a next one (there is never more than one), behind all others."""
        held = [d for d in self.active if d.outcome == "held"]
        self.active = [d for d in self.active if d.outcome != "held"] + held
        for delivery in held:
            delivery.outcome = "queued"

    def take(self, now: float) -> list[Delivery]:
        """Those due, in order; they are being sent from now on."""
        due = [d for d in self.active if d.outcome == "queued" and d.due <= now]
        for delivery in due:
            delivery.outcome = "sending"
        return due

    def settle(self) -> None:
        """Forget those that are through; they stay in the log."""
        self.active = [d for d in self.active if d.outcome in ("queued", "held", "sending")]

    def sending(self) -> bool:
        return any(d.outcome == "sending" for d in self.active)

    def next_due(self) -> float | None:
        return min((d.due for d in self.active if d.outcome == "queued"), default=None)

    def clear(self) -> None:
        self.log.clear()
        self.active.clear()
