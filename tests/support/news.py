"""Two processes of one installation in one: their news travel on a line of this process."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tause_mcp.events import EventBus
from tause_mcp.news import News
from tause_mcp.shared import Signals
from tause_mcp.tenancy import TenantId


@dataclass
class Line:
    """A wire to everyone who runs on it."""

    gather = 0.005

    ears: list[tuple[Callable[[bytes], None], Callable[[], None]]] = field(default_factory=list)

    async def send(self, message: bytes) -> None:
        for heard, _ in self.ears:
            heard(message)

    async def run(self, heard: Callable[[bytes], None], lost: Callable[[], None]) -> None:
        self.ears.append((heard, lost))
        await asyncio.Event().wait()

    async def quiet(self) -> None:
        """Everything that was told has arrived."""
        await asyncio.sleep(0.05)

    def gap(self) -> None:
        for _, lost in self.ears:
            lost()


class Process:
    """What a process remembers, as far as news concern it."""

    def __init__(self, line: Line) -> None:
        self.forgot: list[str] = []
        self.signals = Signals(line)
        self.events = EventBus()
        self.news = News(
            self.signals,
            self.events,
            forget_logins=lambda: self.forgot.append("logins"),
            forget_tenant=self._tenant,
            bury=lambda tenant: self.forgot.append(f"gone {tenant}"),
        )

    def _tenant(self, tenant: TenantId | None) -> None:
        self.forgot.append(f"tenant {tenant}")


@asynccontextmanager
async def two(line: Line) -> AsyncIterator[tuple[Process, Process]]:
    one, other = Process(line), Process(line)
    async with one.signals.running(), other.signals.running():
        await line.quiet()
        yield one, other
