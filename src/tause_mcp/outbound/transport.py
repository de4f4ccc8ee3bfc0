"""A transport that connects to exactly the addresses that were checked.

The check sits where the socket is opened, so there is no second look-up to race with; `Host`, SNI
and the certificate's name stay the URL's own.
"""

import ssl
from collections.abc import Iterable

import httpcore2
import httpx2

from tause_mcp.outbound.addresses import Resolve, addresses_of

_MOST_TRIED = 4


class PinnedNetwork(httpcore2.AsyncNetworkBackend):
    """Opens TCP connections to checked addresses, in the resolver's order; no Unix sockets."""

    def __init__(self, resolve: Resolve, *, trusted: bool) -> None:
        self._resolve = resolve
        self._trusted = trusted
        self._sockets = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first checked address that answers."""
        found = await addresses_of(host, port, self._resolve, trusted=self._trusted)
        tried = found[:_MOST_TRIED]
        share = None if timeout is None else timeout / len(tried)
        for address in tried[:-1]:
            try:
                return await self._open(address, port, share)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        return await self._open(tried[-1], port, share)

    async def _open(
        self, address: str, port: int, timeout: float | None
    ) -> httpcore2.AsyncNetworkStream:
        return await self._sockets.connect_tcp(address, port, timeout=timeout)


class GuardedTransport(httpx2.AsyncHTTPTransport):
    """httpx2's own transport over a pinned network: HTTP/1.1, no proxy, no environment.

    Usable in a library's `httpx2.AsyncClient(transport=..., trust_env=False)`.
    """

    def __init__(self, resolve: Resolve, *, trusted: bool, tls: ssl.SSLContext) -> None:
        # httpx2 has no parameter for the network; building its own pool first would load roots.
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=100,
            max_keepalive_connections=20,
            keepalive_expiry=15.0,
            network_backend=PinnedNetwork(resolve, trusted=trusted),
        )
