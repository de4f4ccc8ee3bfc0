"""What two sets of scopes allow together: a token's `scope` narrows what roles give."""

from collections.abc import Iterable

from tause_mcp.tenancy import Scopes, part_matches


def intersection(held: Scopes, wanted: Iterable[str]) -> Scopes:
    """Exactly what both allow, whichever of the two says it more broadly."""
    wants = set(wanted)
    met = (meet(have, want) for have in held.granted for want in wants)
    return Scopes(frozenset(scope for scope in met if scope is not None))


def meet(one: str, other: str) -> str | None:
    """The scope that allows what both scopes allow, or `None` when that is nothing."""
    mine, theirs = _split(one), _split(other)
    names = [_same(a, b) for a, b in zip(mine[:2], theirs[:2], strict=True)]
    part = _narrower(mine[2], theirs[2])
    if None in names or part is None:
        return None
    return ":".join((f"{names[0]}", f"{names[1]}", *(() if part == "*" else (part,))))


def _split(scope: str) -> tuple[str, str, str]:
    capability, _, rest = scope.partition(":")
    action, _, part = rest.partition(":")
    return capability, action, part or "*"


def _same(one: str, other: str) -> str | None:
    """A capability or action: only a lone `*` stands for any."""
    if one == "*":
        return other
    return one if other in ("*", one) else None


def _narrower(one: str, other: str) -> str | None:
    """The narrower of two parts, exact or ending in `*`; `None` when they share nothing."""
    if part_matches(one, other):
        return other
    return one if part_matches(other, one) else None
