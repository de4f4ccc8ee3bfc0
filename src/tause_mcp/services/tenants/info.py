"""A tenant as a caller above it sees it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from tause_mcp.services.tenants import tables
from tause_mcp.services.tenants.directory import Line
from tause_mcp.services.tenants.values import effective_limits
from tause_mcp.tenancy import TenantId


class TenantInfo(NamedTuple):
    """`parent` is None where it is beyond the caller's reach. Times are epoch microseconds."""

    id: TenantId
    parent: TenantId | None
    name: str
    status: str
    plan: str | None
    config_version: int
    created_at: int
    updated_at: int
    children: int = 0
    limits: Mapping[str, int] = {}  # a NamedTuple's default, never changed

    @classmethod
    def of(
        cls, row: tuple[Any, ...], own: TenantId, line: Line | None = None, children: int = 0
    ) -> "TenantInfo":
        """From a row, as `own` sees it; `line` adds what holds from above."""
        info = cls(*row)
        if info.id == own:
            info = info._replace(parent=None)
        if line is None:
            return info
        closed = info.status == tables.ACTIVE and not line.active
        return info._replace(
            status=tables.SUSPENDED if closed else info.status,
            limits=effective_limits(line),
            children=children,
        )
