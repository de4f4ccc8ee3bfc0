"""The keys of a trusted issuer, from its pinned URL."""

from collections.abc import Awaitable, Callable, Mapping
from time import monotonic

import anyio

from tause_mcp import log
from tause_mcp.auth.compact import strict_object
from tause_mcp.auth.identities import Refused
from tause_mcp.auth.keys import Key, key_of
from tause_mcp.errors import TauseError, Unavailable

MOST_BYTES = 65_536
MOST_KEYS = 10
FRESH = 3600.0
BETWEEN = 60.0
BETWEEN_FIRST = 5.0
"""Seconds: a set is used without asking, between two fetches, and until a first one succeeds."""

Fetch = Callable[[str], Awaitable[bytes]]
"""`await fetch(url)` -> the body of a 200, redirects refused; `TauseError` otherwise."""


class RemoteKeys:
    """A JWKS that is fetched at most once a minute, and kept when it cannot be fetched.

    A minute may therefore pass until a key that was published in that same minute is known.
    """

    def __init__(self, url: str, fetch: Fetch, clock: Callable[[], float] = monotonic) -> None:
        self._url = url
        self._fetch = fetch
        self._clock = clock
        self._lock = anyio.Lock()
        self._keys: Mapping[str, Key] | None = None
        self._fresh_until = 0.0
        self._not_before = float("-inf")

    async def key(self, kid: str | None) -> Key | None:
        """The key named `kid`.

        Raises:
            Unavailable: no set was ever fetched, so nothing can be said about any token.
        """
        name = kid or ""
        if not self._settled(name) and not (self._knows(name) and self._lock.locked()):
            async with self._lock:
                if not self._settled(name):
                    await self._refresh()
        if self._keys is None:
            raise Unavailable("the issuer's keys cannot be fetched now", retry_after=BETWEEN_FIRST)
        return self._keys.get(name)

    def _settled(self, name: str) -> bool:
        """Whether the set at hand has to do: it is fresh and knows the name, or it is too early."""
        now = self._clock()
        return now < self._not_before or (self._knows(name) and now < self._fresh_until)

    def _knows(self, name: str) -> bool:
        return self._keys is not None and name in self._keys

    async def _refresh(self) -> None:
        self._not_before = self._clock() + BETWEEN
        # A caller who hangs up must not end the one fetch that this minute allows.
        with anyio.CancelScope(shield=True):
            try:
                self._keys = keys_in(await self._fetch(self._url))
                self._fresh_until = self._clock() + FRESH
            except (TauseError, Refused) as failure:
                log.get("auth").warning("issuer keys not fetched", reason=str(failure))
                if self._keys is None:
                    self._not_before = self._clock() + BETWEEN_FIRST


def keys_in(document: bytes) -> Mapping[str, Key]:
    """The usable keys of a JWKS document (RFC 7517 section 5), by kid.

    Raises:
        Refused: it is over 64 KiB or 10 keys, not JSON, names a key twice or holds none.
    """
    if len(document) > MOST_BYTES:
        raise Refused("the key set is over 64 KiB")
    listed = strict_object(document).get("keys")
    if not isinstance(listed, list) or len(listed) > MOST_KEYS:
        raise Refused(f"the key set is not a list of at most {MOST_KEYS} keys")
    found: dict[str, Key] = {}
    for jwk in listed:
        kid = jwk.get("kid") if isinstance(jwk, dict) else None
        if not isinstance(kid, str) or not kid:
            continue
        if kid in found:
            raise Refused("the key set names a key twice")
        key = key_of(jwk)
        if key is not None:
            found[kid] = key
    if not found:
        raise Refused("the key set holds no usable key")
    return found
