"""What this process tells the others, and what it does when they tell it.

A signal of another process makes this one forget or look anew; it never carries what changed.
"""

from collections.abc import Callable
from typing import Any

from tause_mcp.events import KINDS, Event, EventBus
from tause_mcp.shared import Signal, Signals
from tause_mcp.tenancy import TenantId

TENANT, GONE = "tenant", "gone"


class News:
    """Between the signals of the installation and what one process remembers."""

    def __init__(
        self,
        signals: Signals,
        events: EventBus,
        forget_logins: Callable[[], None],
        forget_tenant: Callable[[TenantId | None], None],
        bury: Callable[[TenantId], None],
    ) -> None:
        """`forget_tenant(None)`: all of them. `bury`: what is remembered of a deleted tenant."""
        self._signals = signals
        self._events = events
        self._forget_logins = forget_logins
        self._forget_tenant = forget_tenant
        self._bury = bury
        events.forward = self._forward
        signals.listen(self._heard, self._lost)

    def credentials_changed(self, tenant: TenantId) -> None:
        """Verified logins are judged anew, here and everywhere; open streams ask at once."""
        self._forget_logins()
        self._events.publish(tenant, Event("access"))

    def tenant_changed(self, tenant: TenantId) -> None:
        """The others are to read a tenant, and everyone below it, anew."""
        self._signals.send(Signal(tenant, TENANT))

    def tenant_gone(self, tenant: TenantId) -> None:
        """The others are to drop what they remember of a deleted tenant."""
        self._signals.send(Signal(tenant, GONE))

    def _forward(self, tenant: TenantId, event: Event) -> None:
        self._signals.send(Signal(tenant, event.kind, event.uri))

    def _heard(self, signal: Signal) -> None:
        tenant, kind, about = signal
        if kind in (TENANT, GONE, "access"):
            self._forget_tenant(tenant)
            self._forget_logins()
        if kind == GONE:
            self._bury(tenant)
        if kind in KINDS:
            self._tell(tenant, kind, about)

    def _tell(self, tenant: TenantId, kind: Any, about: str) -> None:
        if kind != "resource":
            self._events.deliver(tenant, Event(kind))
        elif about.startswith(f"tause://{tenant}/"):
            self._events.deliver(tenant, Event(kind, about))

    def _lost(self) -> None:
        self._forget_tenant(None)
        self._forget_logins()
        self._events.missed()
