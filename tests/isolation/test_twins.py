"""The names of things that never existed: as like what exists as a name can be."""

import string

from hypothesis import given
from hypothesis import strategies as st

from tause_mcp.testing.walk_handles import Canary, Twins

CANARY = Canary("a")
NAMES = st.text(string.hexdigits.lower()[:16], min_size=16, max_size=40).filter(
    lambda name: any(c.isdigit() for c in name)
)


def classes(text: str) -> list[str]:
    return ["digit" if c.isdigit() else "letter" for c in text]


@given(NAMES)
def test_a_twin_has_the_shape_and_is_another(name: str) -> None:
    twin = Twins(CANARY, ()).of(name)
    assert twin != name
    assert classes(twin) == classes(name)
    assert set(twin) <= set(string.hexdigits)


@given(NAMES)
def test_a_kin_begins_as_the_one_that_exists(name: str) -> None:
    """What reads a meaning out of the first letters (an address, `c6...`) reads the same in both."""
    kin = Twins(CANARY, (), kin=True).of(name)
    begins = len(name) // 3
    assert kin[:begins] == name[:begins]
    assert kin != name
    assert classes(kin) == classes(name)
