"""For the tests of the house and of its plugins: laws over a catalogue, and a house in memory.

from tause_mcp.testing import house, laws
"""

from tause_mcp.testing import laws, surface
from tause_mcp.testing.home import House, assembled, house

__all__ = ["House", "assembled", "house", "laws", "surface"]
