"""For the tests of the house and of its plugins: laws over a catalogue, and a house in memory.

from tause_mcp.testing import house, laws

The whole house is imported with the first of these names: a double of an outside company, such as
`tause_mcp.testing.wompi`, does without.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tause_mcp.testing import laws, surface
    from tause_mcp.testing.home import House, assembled, house

__all__ = ["House", "assembled", "house", "laws", "surface"]


def __getattr__(name: str) -> Any:
    if name in ("laws", "surface"):
        return import_module(f"tause_mcp.testing.{name}")
    if name in __all__:
        return getattr(import_module("tause_mcp.testing.home"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
