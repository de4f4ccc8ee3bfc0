"""What probes are, and what they are made of."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from tause_mcp.catalog import Catalog
from tause_mcp.operation import Operation
from tause_mcp.testing.walk_handles import Handle
from tause_mcp.testing.walk_judge import UNTOLD
from tause_mcp.testing.walk_stage import Scene
from tause_mcp.testing.walk_values import like
from tause_mcp.testing.walk_wire import Answer, Speaker

Send = Callable[[Speaker, str], Awaitable[Answer]]
Base = Callable[[], dict[str, Any]]
_PER_FIELD = 4


@dataclass(frozen=True, slots=True)
class Probe:
    """One question. `send(speaker, value)` asks it with A's `value`, or with a twin of it."""

    kind: str
    name: str
    value: str
    send: Send
    writes: bool = False


@dataclass(frozen=True)
class Ground:
    """What probes are made of."""

    catalog: Catalog
    a: Scene
    b: Scene
    child: str

    @property
    def operations(self) -> list[Operation]:
        return list(self.catalog.tools.values())

    @cached_property
    def handles(self) -> list[Handle]:
        """A's names, the most telling of each place first, a few of each."""
        taken: dict[tuple[str, str], int] = {}
        kept = [Handle(self.a.tenant, "tenant_id", ""), Handle(self.child, "tenant_id", "")]
        kept_content = self.a.canary.traces[0]
        for handle in self.a.handles.distinctive(""):
            at = (handle.tool, handle.field)
            taken[at] = taken.get(at, 0) + 1
            asked = handle.field not in UNTOLD and kept_content not in handle.value
            if asked and taken[at] <= _PER_FIELD:
                kept.append(handle)
        return kept

    def fitting(self, parameter: str, capability: str = "") -> list[Handle]:
        """First what that capability shows under that name, or one like it; then everything."""
        near = like(parameter)

        def far(handle: Handle) -> tuple[bool, bool]:
            named = handle.field in near
            return not (named and handle.tool.startswith(f"{capability}_")), not named

        return sorted(self.handles, key=far)

    def required(self, operation: Operation) -> Callable[[], dict[str, Any]]:
        """One's own plausible arguments, fresh each time: what makes something makes another."""
        return partial(self.b.values.required, operation.inputs.schema)
