"""What changed, told to the listeners of one tenant only, in this process and in every other."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from tause_mcp import log
from tause_mcp.tenancy import TenantId

Kind = Literal["resource", "resources", "tools", "prompts", "access"]
KINDS: frozenset[str] = frozenset(get_args(Kind))


@dataclass(frozen=True, slots=True)
class Event:
    """One change; `uri` only for kind `resource`. `access`: what a credential may do changed."""

    kind: Kind
    uri: str = ""


_LOOK_ANEW = (Event("access"), Event("resources"), Event("tools"), Event("prompts"))
Listener = Callable[[Event], None]
Forward = Callable[[TenantId, Event], None]
_log = log.get("events")


def _nowhere(tenant: TenantId, event: Event) -> None:
    """There is no other process."""


class EventBus:
    """Synchronous fan-out, by tenant. Implements `capability.Events`.

    `forward` takes an event to the other processes; theirs come in by `deliver`.
    """

    def __init__(self, forward: Forward = _nowhere) -> None:
        self.forward = forward
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
        """Tell the tenant's listeners, wherever they listen."""
        self.deliver(tenant, event)
        self.forward(tenant, event)

    def deliver(self, tenant: TenantId, event: Event) -> None:
        """Tell the tenant's listeners in this process."""
        for listener in tuple(self._listeners.get(tenant, {}).values()):
            try:
                listener(event)
            except Exception:  # one bad listener must not fail the call that published
                _log.exception("listener_failed", tenant=tenant)

    def missed(self) -> None:
        """News of other processes were lost: every listener here is to look anew."""
        for tenant in tuple(self._listeners):
            for event in _LOOK_ANEW:
                self.deliver(tenant, event)

    def resource_updated(self, tenant: TenantId, path: str) -> None:
        self.publish(tenant, Event("resource", f"tause://{tenant}/{path}"))

    def resources_changed(self, tenant: TenantId) -> None:
        self.publish(tenant, Event("resources"))

    def tools_changed(self, tenant: TenantId) -> None:
        self.publish(tenant, Event("tools"))
