"""The intersection of scopes is exact: it allows what both allow, no more and no less."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tause_mcp.auth.narrowing import intersection, meet
from tause_mcp.tenancy import Scopes

NAMES = st.sampled_from(["*", "storage", "cache", "st*"])
ACTIONS = st.sampled_from(["*", "read", "write"])
PARTS = st.one_of(
    st.just(""),
    st.just(":*"),
    st.text("ab", max_size=3).map(lambda text: f":{text}*"),
    st.text("ab", min_size=1, max_size=3).map(lambda text: f":{text}"),
)
SCOPE = st.tuples(NAMES, ACTIONS, PARTS).map(lambda made: f"{made[0]}:{made[1]}{made[2]}")
SETS = st.frozensets(SCOPE, max_size=5)
ASKED = st.tuples(
    st.sampled_from(["storage", "cache", "st"]), st.sampled_from(["read", "write", "admin"])
).map(":".join)


@given(SETS, SETS, ASKED, st.text("ab", max_size=4))
def test_both_allow_what_the_intersection_allows_and_nothing_else(one, other, asked, part):
    met = intersection(Scopes(one), other)
    both = Scopes(one).allow(asked, part) and Scopes(other).allow(asked, part)
    assert met.allow(asked, part) == both


@given(SETS, SETS)
def test_the_order_says_nothing(one, other):
    assert intersection(Scopes(one), other) == intersection(Scopes(other), one)


@given(SETS)
def test_everything_narrows_nothing_and_nothing_leaves_nothing(held):
    everything = intersection(Scopes(held), {"*:*"})
    assert intersection(everything, {"*:*"}) == everything
    assert intersection(Scopes(held), ()) == Scopes(frozenset())


@pytest.mark.parametrize(
    ("one", "other", "met"),
    [
        ("*:read", "storage:*", "storage:read"),
        ("storage:read:a*", "storage:read:ab", "storage:read:ab"),
        ("storage:read:a*", "storage:read:ab*", "storage:read:ab*"),
        ("storage:read:a*", "storage:read:b*", None),
        ("storage:read", "storage:write", None),
        ("sto*:read", "storage:read", None),
        ("storage:read", "openid", None),
        ("", "*:*", ":"),
    ],
)
def test_two_scopes_meet_in_the_narrower_of_each_part(one, other, met):
    assert meet(one, other) == meet(other, one) == met
