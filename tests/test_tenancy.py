"""Who may do what, for which tenant: compared, never guessed by a prefix."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tause_mcp.errors import Forbidden, Invalid, NotFound
from tause_mcp.tenancy import (
    ROLES,
    TENANT_ID_PATTERN,
    Caller,
    Scopes,
    TenantId,
    part_matches,
    scope_parts,
    tenant_id,
)


def scopes(*granted: str) -> Scopes:
    return Scopes(frozenset(granted))


# --- tenant ids ---------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["ab", "a1", "0a", "a-b", "a_b", "a--", "a" * 63])
def test_a_tenant_id_of_the_grammar_is_taken(text: str) -> None:
    assert tenant_id(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "a", "A1", "aB", "-a", "_a", "a b", "a/b", "a%", "a.b", "ab\n", "ab\0", "ñandu", "ab ",
     "a" * 64, "ａｂ", "a١", "..", "a'b", "a\u0301b"],
)  # fmt: skip
def test_any_other_is_refused_by_name(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        tenant_id(text)
    assert refused.value.field == "tenant_id"


@settings(max_examples=100)
@given(st.text(max_size=70) | st.from_regex(TENANT_ID_PATTERN))
def test_the_published_pattern_and_the_check_agree(text: str) -> None:
    wanted = re.search(TENANT_ID_PATTERN.replace("$", r"\Z"), text) is not None
    try:
        tenant_id(text)
    except Invalid:
        assert not wanted
    else:
        assert wanted


# --- scopes -------------------------------------------------------------------------------------

ALLOWED = [
    ("storage:read", "storage:read", None),
    ("storage:read", "storage:read", "a/b"),
    ("storage:read:*", "storage:read", "a/b"),
    ("storage:read:a/*", "storage:read", "a/b"),
    ("storage:read:a/*", "storage:read", "a/"),
    ("storage:read:a/b", "storage:read", "a/b"),
    ("storage:read:a/b", "storage:read", None),
    ("storage:*", "storage:read", "a"),
    ("storage:*:a*", "storage:write", "ab"),
    ("*:read", "storage:read", "a"),
    ("*:*", "anything:admin", "a"),
    ("storage:read:a:b", "storage:read", "a:b"),
]
REFUSED = [
    ("storage:read", "storage:write", None),
    ("storage:read", "storages:read", None),
    ("storages:read", "storage:read", None),
    ("storage:rea", "storage:read", None),
    ("storage:read:a/*", "storage:read", "a"),
    ("storage:read:a/*", "storage:read", "ab/c"),
    ("storage:read:a/*", "storage:read", ""),
    ("storage:read:a/b", "storage:read", "a/bc"),
    ("storage:read:a/b", "storage:read", "A/b"),
    ("storage:read:a%", "storage:read", "ab"),
    ("storage:read:a_c", "storage:read", "abc"),
    ("storage:read:a?c", "storage:read", "abc"),
    ("storage:read:*a", "storage:read", "ba"),
    ("storage", "storage:read", None),
    ("", "storage:read", None),
    ("*", "storage:read", None),
    ("storage:", "storage:read", None),
    (":read", "storage:read", None),
]


@pytest.mark.parametrize(("granted", "scope", "part"), ALLOWED)
def test_a_grant_allows(granted: str, scope: str, part: str | None) -> None:
    assert scopes("other:read", granted).allow(scope, part)
    Caller("s", TenantId("ta"), scopes(granted)).require(scope, part)


@pytest.mark.parametrize(("granted", "scope", "part"), REFUSED)
def test_a_grant_does_not_allow(granted: str, scope: str, part: str | None) -> None:
    assert not scopes("other:read", granted).allow(scope, part)
    with pytest.raises(Forbidden, match=re.escape(scope)):
        Caller("s", TenantId("ta"), scopes(granted)).require(scope, part)


def test_nothing_is_allowed_without_a_grant() -> None:
    assert not scopes().allow("storage:read")
    assert scopes().parts("storage:read") == ()


@pytest.mark.parametrize(
    ("held", "wanted", "covered"),
    [
        ("storage:read", "storage:read:a/*", True),
        ("storage:read:a/*", "storage:read:a/b", True),
        ("storage:read:a/*", "storage:read:a/b/*", True),
        ("storage:read:a/*", "storage:read:a/*", True),
        ("*:*", "*:*", True),
        ("*:read", "storage:read", True),
        ("storage:*", "storage:write:a", True),
        ("storage:read:a/*", "storage:read", False),
        ("storage:read:a/*", "storage:read:*", False),
        ("storage:read:a/b", "storage:read:a/*", False),
        ("storage:read:a/*", "storage:read:a*", False),
        ("storage:read", "storage:*", False),
        ("storage:read", "*:read", False),
        ("*:read", "*:*", False),
        ("storage:*", "*:*", False),
    ],
)
def test_a_key_never_holds_more_than_its_maker(held: str, wanted: str, covered: bool) -> None:
    assert scopes(held).cover(wanted) is covered
    assert scopes(held).narrowed([wanted]).granted == ({wanted} if covered else set())


_words = st.sampled_from(["storage", "access", "*"])
_actions = st.sampled_from(["read", "write", "admin", "*"])
_parts = st.sampled_from(["", ":*", ":a", ":a*", ":ab", ":a/*", ":a/b", ":b"])
_scope = st.builds(lambda c, a, p: f"{c}:{a}{p}", _words, _actions, _parts)


@settings(max_examples=100, deadline=None)
@given(
    st.sets(_scope, max_size=4),
    st.sets(_scope, max_size=4),
    st.sampled_from(["storage", "access", "other"]),
    st.sampled_from(["read", "write", "admin"]),
    st.sampled_from(["a", "ab", "a/", "a/b", "b", "", "c"]),
)
def test_what_is_narrowed_allows_nothing_that_the_maker_may_not(
    held: set[str], wanted: set[str], capability: str, action: str, part: str
) -> None:
    maker = Scopes(frozenset(held))
    narrowed = maker.narrowed(wanted)
    if narrowed.allow(f"{capability}:{action}", part):
        assert maker.allow(f"{capability}:{action}", part)


def test_a_part_is_exact_or_a_prefix() -> None:
    assert part_matches("a*", "a")
    assert part_matches("*", "")
    assert not part_matches("a", "ab")
    assert not part_matches("a*b", "axb")
    assert scope_parts("a:b") == ("a", "b", "*")
    assert scope_parts("a:b:c:d*") == ("a", "b", "c:d*")


# --- callers ------------------------------------------------------------------------------------

GRANTED = Caller(
    "key:k",
    TenantId("ta"),
    scopes("*:*"),
    grants={TenantId("tab"): scopes("storage:read")},
)


def test_naming_ones_own_tenant_changes_nothing() -> None:
    assert GRANTED.acting_for(None) is GRANTED
    assert GRANTED.acting_for("ta") is GRANTED


def test_a_granted_tenant_is_entered_with_the_scopes_of_the_grant_only() -> None:
    inside = GRANTED.acting_for("tab")
    assert (inside.tenant, inside.home) == ("tab", "ta")
    assert inside.scopes.granted == {"storage:read"}
    assert inside.grants == {}
    with pytest.raises(NotFound):
        inside.acting_for("ta")


@pytest.mark.parametrize("name", ["t", "tb", "ta ", "TA", "tab/", "ta%", "", "\ud800", "tabc"])
def test_any_other_tenant_looks_absent(name: str) -> None:
    with pytest.raises(NotFound) as refused:
        GRANTED.acting_for(name)
    assert (str(refused.value), refused.value.field) == ("no such tenant", "tenant_id")


def test_a_principal_is_unique_to_issuer_home_subject_and_tenant() -> None:
    one = scopes()
    callers = [
        Caller("s", TenantId("ta"), one),
        Caller("s", TenantId("tb"), one),
        Caller("s2", TenantId("ta"), one),
        Caller("s", TenantId("ta"), one, issuer="https://i"),
        GRANTED,
        GRANTED.acting_for("tab"),
        Caller("key:k", TenantId("tab"), one),
    ]
    assert len({c.principal for c in callers}) == len(callers)


def test_the_role_of_an_injected_prompt_reaches_no_keys_roles_erasure_or_money() -> None:
    agent = Scopes(ROLES["agent"])
    for scope in ("access:write", "access:admin", "tenants:write", "payments:write",
                  "payouts:write", "privacy:write", "approvals:admin", "secrets:write",
                  "storage:admin", "connections:write", "federation:write"):  # fmt: skip
        assert not agent.allow(scope), scope
    assert agent.allow("storage:write", "a")
    assert agent.allow("payments:read")


def test_a_viewer_only_reads() -> None:
    viewer = Scopes(ROLES["viewer"])
    assert viewer.allow("storage:read")
    for action in ("write", "admin", "unattended"):
        assert not viewer.allow(f"storage:{action}")
