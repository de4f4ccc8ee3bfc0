"""What changed, told to the listeners of one tenant only. In process; replicas get theirs later."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tause_mcp import log
from tause_mcp.tenancy import TenantId

Kind = Literal["resource", "resources", "tools", "prompts"]


@dataclass(frozen=True, slots=True)
class Event:
    """One change; `uri` only for kind `resource`."""

    kind: Kind
    uri: str = ""


Listener = Callable[[Event], None]
_log = log.get("events")


class EventBus:
    """Synchronous fan-out, by tenant. Implements `capability.Events`."""

    def __init__(self) -> None:
        self._listeners: dict[TenantId, dict[object, Listener]] = {}

    def subscribe(self, tenant: TenantId, listener: Listener) -> Callable[[], None]:
        """Register; the answer ends it, and may be called twice."""
        token = object()
        self._listeners.setdefault(tenant, {})[token] = listener

        def unsubscribe() -> None:
            mine = self._listeners.get(tenant, {})
            mine.pop(token, None)
            if not mine:
                self._listeners.pop(tenant, None)

        return unsubscribe

    def publish(self, tenant: TenantId, event: Event) -> None:
        for listener in tuple(self._listeners.get(tenant, {}).values()):
            try:
                listener(event)
            except Exception:  # one bad listener must not fail the call that published
                _log.exception("listener_failed", tenant=tenant)

    def resource_updated(self, tenant: TenantId, path: str) -> None:
        if tenant in self._listeners:
            self.publish(tenant, Event("resource", f"tause://{tenant}/{path}"))

    def resources_changed(self, tenant: TenantId) -> None:
        if tenant in self._listeners:
            self.publish(tenant, Event("resources"))

    def tools_changed(self, tenant: TenantId) -> None:
        if tenant in self._listeners:
            self.publish(tenant, Event("tools"))
