"""Which addresses the guarded client may reach."""

import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.outbound import OK, QUICK, names, serving, trusting

from tause_mcp.errors import Invalid, TauseError, Unavailable
from tause_mcp.outbound import Outbound
from tause_mcp.outbound import addresses as guard
from tause_mcp.outbound.addresses import REFUSED, is_public, resolve_host
from tause_mcp.outbound.transport import PinnedNetwork

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "203.0.113.9",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:10.0.0.1",
        "::ffff:0:127.0.0.1",
        "64:ff9b::169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b:1::a00:1",
        "2002:a9fe:a9fe::1",
        "2002:7f00:1::",
        "2002:808:808::1",
        "2001:0:a9fe:a9fe::1",
        "2001:0:808:808:0:0:3f57:fefe",
        "2001:db8::1",
        "3fff::1",
        "100::1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "5f00::1",
    ],
)
def test_an_address_that_is_not_public_is_refused(text: str) -> None:
    assert not is_public(ip_address(text))


@pytest.mark.parametrize(
    "text",
    [
        "8.8.8.8",
        "168.63.129.17",
        "100.128.0.1",
        "2606:4700::1111",
        "64:ff9b::808:808",
        "::ffff:1.1.1.1",
    ],
)
def test_a_public_address_passes(text: str) -> None:
    assert is_public(ip_address(text))


@given(st.ip_addresses(v=4))
def test_wrapping_an_address_never_makes_it_public(inner: IPv4Address) -> None:
    mapped = IPv6Address(0xFFFF_0000_0000 | int(inner))
    nat64 = IPv6Address((0x64FF9B << 96) | int(inner))
    assert is_public(mapped) == is_public(nat64) == is_public(inner)
    assert not is_public(IPv6Address((0x2002 << 112) | (int(inner) << 80)))


@given(st.ip_addresses())
def test_what_the_standard_library_calls_private_is_never_public(
    address: IPv4Address | IPv6Address,
) -> None:
    if address.is_private or address.is_multicast or address.is_reserved:
        inside = isinstance(address, IPv6Address) and guard._wrapped(address) is not None
        assert inside or not is_public(address)


@pytest.mark.parametrize("bad", ["127.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "fec0::1"])
async def test_one_private_address_among_public_ones_refuses_all(bad: str) -> None:
    async with Outbound(resolve=names("8.8.8.8", bad)) as client:
        with pytest.raises(Invalid, match=REFUSED):
            await client.request("GET", "https://rebinding.example.com/")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:7f00:1]",
        "localhost",
        "localhost.",
        "LOCALHOST",
        "0",
        "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ",
        "127。0。0。1",
    ],
)
async def test_every_spelling_of_loopback_is_refused(host: str) -> None:
    async with serving(OK) as server, Outbound(allow_http=True) as client:
        with pytest.raises(TauseError):
            await client.request("GET", f"http://{host}:{server.port}/", policy=QUICK)
        assert server.requests == []


async def test_an_absent_host_and_a_private_one_look_the_same() -> None:
    async def absent(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    texts = []
    for resolve in (absent, names("10.0.0.1"), names()):
        async with Outbound(resolve=resolve) as client:
            with pytest.raises(Invalid) as refused:
                await client.request("GET", "https://a.example.com/")
            texts.append((str(refused.value), refused.value.field))
    assert len(set(texts)) == 1


async def test_a_resolver_that_is_down_is_unavailable_and_not_invalid() -> None:
    async def down(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    async with Outbound(resolve=down) as client:
        with pytest.raises(Unavailable):
            await client.request("GET", "https://a.example.com/")


async def test_a_label_that_cannot_be_a_name_is_refused() -> None:
    async def strange(host: str, port: int) -> Sequence[str]:
        raise UnicodeError("label too long")

    async with Outbound(resolve=strange) as client:
        with pytest.raises(Invalid):
            await client.request("GET", "https://a.example.com/")


async def test_the_name_is_resolved_once_and_that_address_is_connected_to() -> None:
    asked: list[tuple[str, int]] = []

    async def rebinding(host: str, port: int) -> Sequence[str]:
        asked.append((host, port))
        return ["127.0.0.1"] if len(asked) == 1 else ["192.0.2.1"]

    async with serving(OK) as server, Outbound(trusted=True, resolve=rebinding) as client:
        for _ in range(3):
            assert (await client.request("GET", server.url)).content == b"ok"
        assert asked == [("api.example.com", server.port)]
        assert f"host: api.example.com:{server.port}".encode() in server.requests[0].lower()


async def test_the_next_checked_address_is_tried_when_one_does_not_answer() -> None:
    async with serving(OK) as server, trusting("127.0.0.2", "::1", "127.0.0.1") as client:
        assert (await client.request("GET", server.url, policy=QUICK)).status == 200


async def test_at_most_four_addresses_are_tried() -> None:
    many = ["127.0.0.2"] * 4 + ["127.0.0.1"]
    async with serving(OK) as server, trusting(*many) as client:
        with pytest.raises(Unavailable):
            await client.request("GET", server.url, policy=QUICK)


async def test_a_unix_socket_is_never_opened() -> None:
    with pytest.raises(NotImplementedError):
        await PinnedNetwork(names("8.8.8.8"), trusted=True).connect_unix_socket("/run/x.sock")


async def test_the_system_resolver_names_each_address_once() -> None:
    assert list(await resolve_host("127.0.0.1", 80)) == ["127.0.0.1"]
