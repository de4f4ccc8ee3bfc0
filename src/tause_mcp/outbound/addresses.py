"""Which addresses a tenant's URL may lead to: public unicast, and nothing that wraps another.

`ipaddress.is_global` is no guard (it passes NAT64 and 6to4 forms of 169.254.169.254, `fec0::1` and
168.63.129.16), so the ranges are stated here, after the IANA special-purpose registries.
"""

import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import anyio
import anyio.to_thread

from tause_mcp.errors import Invalid, Unavailable

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""`await resolve(host, port)` -> textual addresses, best first; `OSError` when there are none."""

_NOT_PUBLIC_4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "168.63.129.16/32",  # a cloud's host agent, on a public-looking address
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
        ),
    )
)
_UNICAST_6 = IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(
    # 2001::/23 holds Teredo, 2002::/16 is 6to4: both wrap any IPv4 address, and nothing needs them.
    map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"))
)
_NAT64 = IPv6Network("64:ff9b::/96")

REFUSED = "the host has to resolve to public addresses only"
"""One text for an absent host and a private one: the answer draws no map of the inside."""


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether `address` is public unicast; one that wraps an IPv4 address is judged by that."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    wrapped = _wrapped(address)
    if wrapped is not None:
        return is_public(wrapped)
    return address in _UNICAST_6 and not any(address in network for network in _NOT_PUBLIC_6)


def _wrapped(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address inside an IPv4-mapped or NAT64 (RFC 6052) form."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped


class Unreached(Unavailable):
    """There was no connection: nothing was sent."""


_ABSENT = frozenset({socket.EAI_NONAME, socket.EAI_NODATA, socket.EAI_FAIL})

_lookups: anyio.CapacityLimiter | None = None


async def resolve_host(host: str, port: int) -> Sequence[str]:
    """Ask the system's resolver, in threads of its own: a slow name delays no other work."""
    global _lookups
    if _lookups is None:
        _lookups = anyio.CapacityLimiter(8)
    found = await anyio.to_thread.run_sync(
        lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM),
        abandon_on_cancel=True,
        limiter=_lookups,
    )
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


async def addresses_of(host: str, port: int, resolve: Resolve, *, trusted: bool) -> Sequence[str]:
    """The addresses to connect to. Unless `trusted`, one that is not public refuses them all.

    Raises:
        Invalid: absent, or not public; the two look the same.
        Unreached: the resolver could not answer now.
    """
    try:
        found = await resolve(host, port)
    except OSError as error:
        if isinstance(error, socket.gaierror) and error.errno in _ABSENT:
            raise Invalid(REFUSED, field="url") from None
        raise Unreached("the host's name cannot be resolved now; try again later") from None
    except UnicodeError:
        raise Invalid(REFUSED, field="url") from None
    if not found or not (trusted or all(is_public(ip_address(text)) for text in found)):
        raise Invalid(REFUSED, field="url")
    return found
