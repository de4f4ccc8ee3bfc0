"""Pages of a listing, cut to a size, with cursors that only their own caller may use."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import orjson

from tause_mcp.sealing import Seal
from tause_mcp.tenancy import TenantId

T = TypeVar("T")
Page = dict[str, Any]


class Pages:
    """Pages of one listing: cursors are authenticated and bound to tenant, tool and filter."""

    __slots__ = ("_seal", "_tenant", "_tool")
    budget = 20 * 1024
    """Bytes of items on a page, so that a result stays under 24 KiB."""

    def __init__(self, seal: Seal, tenant: TenantId, tool: str) -> None:
        self._seal = seal
        self._tenant = tenant
        self._tool = tool

    def position(self, cursor: str | None, *filters: object) -> Any:
        """Where the page after `cursor` begins; None at the start. A foreign cursor is `Invalid`."""
        if cursor is None:
            return None
        return self._seal.open(cursor, "page", self._tenant, self._tool, repr(filters))

    def page(
        self,
        items: Sequence[T],
        limit: int,
        position: Callable[[T], Any],
        *filters: object,
    ) -> Page:
        """`{items, next_cursor?}` from up to `limit + 1` items, cut to the byte budget."""
        kept, size = 0, 0
        for item in items[:limit]:
            size += len(orjson.dumps(item)) + 1
            if size > self.budget and kept:
                break
            kept += 1
        page: Page = {"items": list(items[:kept])}
        if kept < len(items):
            last = position(items[kept - 1])
            page["next_cursor"] = self.cursor(last, *filters)
        return page

    def cursor(self, position: Any, *filters: object) -> str:
        """A cursor to what comes after `position`."""
        return self._seal.close(position, "page", self._tenant, self._tool, repr(filters))
