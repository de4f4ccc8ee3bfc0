"""The grammar of scopes, and what a role and a list of scopes make together."""

import re
from collections.abc import Iterable

import orjson

from tause_mcp.auth import intersection
from tause_mcp.errors import Forbidden, Invalid
from tause_mcp.tenancy import ROLES, Scopes, scope_parts

MOST = 64
"""Scopes of one key or role."""

MOST_TEXT = 8000
"""Characters of all of them together: a person has to be able to read what they approve."""

_SCOPE = re.compile(
    r"(?:\*|[a-z][a-z0-9_]{0,39}):(?:\*|[a-z][a-z0-9_]{0,39})"
    r"(?::(?:\*|[A-Za-z0-9._/:@\-]{1,512}\*?))?",
    re.ASCII,
)
_STRONG = frozenset({"admin", "*", "unattended"})


def checked(scopes: Iterable[str]) -> frozenset[str]:
    """The scopes in their one spelling (`a:b:*` is `a:b`).

    Raises:
        Invalid: one is outside the grammar, or there are none or too many.
    """
    given = list(scopes)
    if not 1 <= len(given) <= MOST:
        raise Invalid(f"name between 1 and {MOST} scopes", field="scopes")
    for place, scope in enumerate(given):
        if _SCOPE.fullmatch(scope) is None:
            raise Invalid(
                f"scopes.{place}: write a scope as <capability>:<action>[:<part>], with * for any "
                "capability or action, or at the end of a part: storage:read:reports/*",
                field="scopes",
            )
    if sum(map(len, given)) > MOST_TEXT:
        raise Invalid(f"scopes: at most {MOST_TEXT} characters together", field="scopes")
    return frozenset(_spelled(scope) for scope in given)


def _spelled(scope: str) -> str:
    capability, action, part = scope_parts(scope)
    return f"{capability}:{action}" if part == "*" else f"{capability}:{action}:{part}"


def strong(scopes: Iterable[str]) -> bool:
    """Whether any of them administers, does anything, or passes unasked: a person agrees first."""
    return any(scope_parts(scope)[1] in _STRONG for scope in scopes)


def within(held: Scopes, wanted: Iterable[str], what: str) -> None:
    """Raise `Forbidden` unless the maker holds everything that `wanted` names."""
    for scope in sorted(wanted):
        if not held.cover(scope):
            raise Forbidden(f"{what} would hold {scope!r}, which you do not: ask for less")


def told(scopes: Iterable[str]) -> str:
    """As stored."""
    return orjson.dumps(sorted(scopes)).decode()


def read(stored: str) -> frozenset[str]:
    """What `told` wrote."""
    return frozenset(orjson.loads(stored))


def of_role(name: str, stored: str | None) -> frozenset[str]:
    """The scopes of a role, as they are now; none when it was removed."""
    if name in ROLES:
        return ROLES[name]
    return frozenset() if stored is None else read(stored)


def held(role: str | None, own: str | None, role_scopes: str | None) -> frozenset[str]:
    """What a key holds: its own scopes, its role's, or what both allow.

    A key made in a tenant's own role keeps the scopes of that day as its own, so that a role
    defined wider later widens no key, and one defined narrower narrows them all.
    """
    if role is None:
        return frozenset() if own is None else read(own)
    live = of_role(role, role_scopes)
    return live if own is None else intersection(Scopes(live), read(own)).granted
