"""The address kept of a payer: over a real server, from peers that lie and peers that are trusted."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from tests.routes.test_pay import BARE, COMPLETE, TICKS, sealed
from tests.support.serving import serving
from tests.support.shop import Shop, order, settings, shop

from tause_mcp.settings import Settings
from tause_mcp.testing.wompi import Sandbox

pytestmark = [pytest.mark.anyio, pytest.mark.embedded, pytest.mark.timeout(300)]
PROXY = "127.0.0.2"
"""Another address of this machine: both peers below are real."""
SAID = "6.6.6.6, 203.0.113.7, 198.51.100.9"


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Shop]:
    async with shop(tmp_path / "home", Sandbox()) as made:
        yield made


async def kept(opened: Shop, url: str, order_id: str, peer: str, said: str) -> str:
    """The address that is kept of a payer who pays from `peer` with `X-Forwarded-For: said`."""
    made = await opened.call("payments_create", order(order_id, **BARE))
    path = httpx2.URL(made["pay_url"]).path
    transport = httpx2.AsyncHTTPTransport(local_address=peer)
    headers = {"x-forwarded-for": said}
    async with httpx2.AsyncClient(base_url=url, transport=transport, headers=headers) as http:
        form = sealed((await http.get(path)).text)
        sent = await http.post(path, data={"form": form, **TICKS, **COMPLETE})
    assert sent.status_code == 303, sent.text
    from tause_mcp.services.payments import ledger

    platform = opened.house.platform
    caller = opened.house.caller("acme")
    books = ledger(platform.binding(caller, platform.catalog.tools["payments_get"]))
    acceptance = (await books.opened(await books.row(path.rpartition(".")[2]))).acceptance
    assert acceptance
    return str(acceptance["evidence"]).partition(" ")[0]


async def test_only_a_proxy_that_the_operator_named_says_where_a_payer_is(
    opened: Shop, tmp_path: Path
) -> None:
    told = settings(opened.sandbox, opened.served)
    told |= {"TAUSE_TRUSTED_PROXIES": f"{PROXY}, 198.51.100.0/24", "FORWARDED_ALLOW_IPS": "*"}
    with serving(tmp_path / "home", **told) as server:
        assert await kept(opened, server.url, "o-1", "127.0.0.1", SAID) == "127.0.0.1"
        assert await kept(opened, server.url, "o-2", PROXY, SAID) == "203.0.113.7"


async def test_this_machines_own_proxy_is_believed_without_a_setting(
    opened: Shop, tmp_path: Path
) -> None:
    told = settings(opened.sandbox, opened.served)
    assert Settings.read({}).trusted_proxies == "127.0.0.1,::1"
    with serving(tmp_path / "home", "--transport", "http", "--workers", "2", **told) as server:
        assert await kept(opened, server.url, "o-1", PROXY, SAID) == PROXY
        assert await kept(opened, server.url, "o-2", "127.0.0.1", SAID) == "198.51.100.9"
