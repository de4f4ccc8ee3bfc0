"""News between the processes of one installation: what changed, and for which tenant.

A signal says that something changed, never what: whoever hears it reads anew. So one that comes
twice does no harm, one that is lost is made up for by `lost`, and none holds data of a tenant.
"""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import orjson

from tause_mcp import log
from tause_mcp.errors import Invalid, Unavailable
from tause_mcp.supervision import ended
from tause_mcp.tenancy import TenantId, tenant_id

LONGEST = 32 * 1024
"""Bytes of one message on the wire; it carries many signals."""
LONGEST_ABOUT = 2048
_MOST = 10_000
"""Signals that wait while the wire is down; more are lost, and everyone is told so."""
_RETRY = 0.5
_KIND = re.compile(r"[a-z_]{1,32}", re.ASCII)
_log = log.get("signals")


class Signal(NamedTuple):
    """Something changed. `about` names it (a URI), in at most 2,048 characters."""

    tenant: TenantId
    kind: str
    about: str = ""


class Wire(Protocol):
    """Carries messages to every process, this one included."""

    gather: float
    """Seconds in which signals are gathered for one message."""

    async def send(self, message: bytes) -> None:
        """Raises `Unavailable` when it was not sent."""
        ...

    async def run(self, heard: Callable[[bytes], None], lost: Callable[[], None]) -> None:
        """Listen until cancelled, through every outage; after one, `lost` is called."""
        ...


@dataclass(frozen=True, slots=True)
class Ear:
    """Who listens: to each signal of another process, and to gaps (anything may have changed)."""

    heard: Callable[[Signal], None]
    lost: Callable[[], None]


class Signals:
    """Sends without waiting and hears what other processes sent; silent without a wire."""

    def __init__(self, wire: Wire | None = None) -> None:
        self._wire = wire
        self._origin = secrets.token_hex(8)
        self._waiting: dict[Signal, bytes] = {}
        self._overflown = False
        self._woken = asyncio.Event()
        self._ears: list[Ear] = []
        self.connected = False
        """Whether it has heard the wire: from then on nothing is missed unnoticed."""

    def listen(self, heard: Callable[[Signal], None], lost: Callable[[], None]) -> None:
        """Register a listener for the life of the process."""
        self._ears.append(Ear(heard, lost))

    def send(self, signal: Signal) -> None:
        """Tell the other processes, soon. The same signal twice in a moment is sent once."""
        if self._wire is None or signal in self._waiting:
            return
        told = _encoded(signal)
        if told is not None and len(self._waiting) < _MOST:
            self._waiting[signal] = told
        else:
            self._overflown = True
        self._woken.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send and hear while the block runs; what waits at its end is sent, if that is quick."""
        if self._wire is None:
            yield
            return
        wire = self._wire
        tasks = [
            asyncio.create_task(self._sending(wire)),
            asyncio.create_task(wire.run(self._heard, self._lost)),
        ]
        try:
            yield
        finally:
            await ended(tasks)
            await self._last(wire)

    async def _sending(self, wire: Wire) -> None:
        while True:
            await self._woken.wait()
            await asyncio.sleep(wire.gather)
            try:
                await self._flush(wire)
            except Unavailable:
                await asyncio.sleep(_RETRY)
            except Exception:  # whatever it was: the process must not fall silent
                _log.exception("signals_failed")
                await asyncio.sleep(_RETRY)

    async def _flush(self, wire: Wire) -> None:
        while self._waiting or self._overflown:
            batch, overflown = self._batch(), self._overflown
            await wire.send(self._message(batch, overflown))
            for signal in batch:
                self._waiting.pop(signal, None)
            self._overflown = self._overflown and not overflown
        self._woken.clear()

    async def _last(self, wire: Wire) -> None:
        try:
            async with asyncio.timeout(1):
                await self._flush(wire)
        except (Unavailable, TimeoutError):
            _log.warning("signals_not_sent", count=len(self._waiting))

    def _batch(self) -> list[Signal]:
        """The signals of one message, oldest first."""
        batch: list[Signal] = []
        size = 128
        for signal, told in self._waiting.items():
            size += len(told) + 1
            if size > LONGEST and batch:
                break
            batch.append(signal)
        return batch

    def _message(self, batch: list[Signal], lost: bool) -> bytes:
        told = [orjson.Fragment(self._waiting[signal]) for signal in batch]
        return orjson.dumps({"from": self._origin, "signals": told, "lost": lost})

    def _heard(self, message: bytes) -> None:
        origin, signals, lost = understood(message)
        if origin == self._origin:
            return
        if lost:
            self._lost()
        for signal in signals:
            for ear in self._ears:
                _safely(ear.heard, signal)

    def _lost(self) -> None:
        self.connected = True
        for ear in self._ears:
            _safely(ear.lost)


def _safely(call: Callable[..., None], *given: Any) -> None:
    try:
        call(*given)
    except Exception:  # one bad listener must not deafen the process
        _log.exception("signal_listener_failed")


def _encoded(signal: Signal) -> bytes | None:
    """None when no JSON can carry it, or it is too long."""
    try:
        return orjson.dumps(list(signal)) if len(signal.about) <= LONGEST_ABOUT else None
    except TypeError:
        return None


def understood(message: bytes) -> tuple[str, list[Signal], bool]:
    """Origin, signals and whether some were lost; what is not a signal is left out."""
    try:
        told = orjson.loads(message) if len(message) <= 2 * LONGEST else {}
    except orjson.JSONDecodeError:
        told = {}
    if not isinstance(told, dict) or not isinstance(given := told.get("signals"), list):
        _log.warning("signal_not_understood", size=len(message))
        return "", [], False
    signals = [signal for each in given if (signal := _signal(each)) is not None]
    return str(told.get("from", "")), signals, bool(told.get("lost"))


def _signal(told: Any) -> Signal | None:
    match told:
        case [str(tenant), str(kind), str(about)] if _KIND.fullmatch(kind):
            try:
                return Signal(tenant_id(tenant), kind, about[:LONGEST_ABOUT])
            except Invalid:
                return None
    return None
