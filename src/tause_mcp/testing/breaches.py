"""What the laws share: whom they judge, and how they say what is wrong."""

from collections.abc import Iterable, Mapping

from tause_mcp.capability import Capability
from tause_mcp.catalog import Catalog
from tause_mcp.operation import Operation


def hold(breaches: Iterable[str]) -> None:
    """Raise `AssertionError` with a line for each breach, if there is any."""
    found = list(breaches)
    assert not found, "\n".join(found)


def of(operations: Mapping[str, Operation], only: str | None) -> list[Operation]:
    """The operations of one capability, or all."""
    return [o for o in operations.values() if only is None or o.capability == only]


def capabilities(catalog: Catalog, only: str | None) -> list[Capability]:
    """One capability, or all."""
    return [c for c in catalog.capabilities if only is None or c.name == only]
