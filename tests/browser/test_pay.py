"""A person pays on a phone: a real server, a real browser, and the double's bank."""

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.async_api import BrowserContext, Page, expect
from tests.support.browser import opened
from tests.support.clients import over_http
from tests.support.serving import Served as Server
from tests.support.serving import run, serving
from tests.support.shop import order, settings

from tause_mcp.testing.wompi import Sandbox, Served
from tause_mcp.testing.wompi import serving as sandboxed

pytestmark = [pytest.mark.anyio, pytest.mark.embedded, pytest.mark.timeout(300)]

ANA = {"email": "ana@example.com"}


@dataclass(frozen=True, slots=True)
class Street:
    """A shop with its server, and the double that it collects through."""

    server: Server
    sandbox: Sandbox
    wompi: Served

    async def bill(self, order_id: str, **told: Any) -> str:
        """A link that waits for its payer."""
        arguments = order(order_id, customer=ANA, **told)
        async with over_http(f"{self.server.url}/mcp", self.server.key) as client:
            asked = (await client.call_tool("payments_create", arguments)).structured_content
            run(self.server.home, "approvals", "approve", asked["id"])
            made = (await client.call_tool("payments_create", arguments)).structured_content
        return str(made["pay_url"])

    def made(self, order_id: str) -> list[Any]:
        """What Wompi has of an order, by its description."""
        return [t for t in self.sandbox.transactions if order_id in str(t.payment_method)]


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    sandbox = Sandbox(resolve_after="polls:1,PSE=manual,NEQUI=manual")
    home = tmp_path_factory.mktemp("street") / "home"
    with sandboxed(sandbox) as wompi, serving(home, **settings(sandbox, wompi)) as server:
        yield Street(server, sandbox, wompi)


@pytest.fixture
async def phone() -> AsyncIterator[BrowserContext]:
    async with opened() as context:
        yield context


async def fill(page: Page) -> None:
    """What PSE needs of a payer."""
    await page.select_option("#bank_code", "1")
    await page.select_option("#person_type", "natural")
    await page.fill("#full_name", "Ana Pérez")
    await page.select_option("#document_type", "CC")
    await page.fill("#document", "1020304050")
    await page.fill("#phone", "300 123 4567")


async def test_a_payer_goes_to_the_bank_and_comes_back(
    street: Street, phone: BrowserContext
) -> None:
    page = await phone.new_page()
    noise: list[str] = []
    page.on("console", lambda message: noise.append(message.text))
    url = await street.bill("walk-1", method="pse", description="walk-1 Camiseta")
    await page.goto(url)
    wide = await page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 360, "nothing sticks out of a phone"
    await expect(page.locator("main")).to_contain_text("Tienda de prueba")
    await expect(page.locator("main")).to_contain_text("$ 24.900")
    await fill(page)
    await page.click("button.yes")
    assert page.url == url and not street.made("walk-1"), "the browser itself asks for the ticks"
    await page.check("[name=terms]")
    await page.check("[name=personal]")
    await page.dblclick("button.yes")
    await page.wait_for_url(re.compile("/_sandbox/authorize/"))
    (made,) = street.made("walk-1")
    assert street.sandbox.attempts[made.reference] == 1
    await page.click("button")
    await page.wait_for_url(re.compile(re.escape(url)))
    await expect(page.locator(".state")).to_have_text("Pago aprobado", timeout=30_000)
    await expect(page.locator("main")).to_contain_text(made.reference)
    await page.go_back()
    await page.goto(url)
    await expect(page.locator(".state")).to_have_text("Pago aprobado")
    assert not [text for text in noise if "Content Security Policy" in text], noise


async def test_back_and_a_second_tab_send_nothing_again(
    street: Street, phone: BrowserContext
) -> None:
    first, second = await phone.new_page(), await phone.new_page()
    url = await street.bill("walk-2", method="pse", description="walk-2")
    for page in (first, second):
        await page.goto(url)
        await fill(page)
        await page.check("[name=terms]")
        await page.check("[name=personal]")
    await first.click("button.yes")
    await first.wait_for_url(re.compile("/_sandbox/authorize/"))
    await second.click("button.yes")
    await second.wait_for_url(re.compile("/_sandbox/authorize/"))
    await first.go_back()
    await expect(first.locator(".go")).to_have_text("Ir al banco")
    await first.reload()
    (made,) = street.made("walk-2")
    assert street.sandbox.attempts[made.reference] == 1


async def test_with_the_keyboard_alone_and_in_english(street: Street) -> None:
    url = await street.bill("walk-3", method="nequi", description="walk-3")
    async with opened("en-US") as context:
        page = await context.new_page()
        await page.goto(url)
        assert await page.get_attribute("html", "lang") == "en"
        await page.keyboard.press("Tab")
        await page.keyboard.type("12")
        for _ in range(2):  # past the link within each tick's text
            await page.keyboard.press("Tab")
            await page.keyboard.press("Space")
            await page.keyboard.press("Tab")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        wrong = page.locator("#phone-wrong")
        await expect(wrong).to_contain_text("10 digits that begin with 3")
        assert await page.evaluate("document.activeElement.id") == "phone"
        assert await page.input_value("#phone") == "12"
        assert not await page.is_checked("[name=terms]")
        await page.keyboard.press("Control+A")
        await page.keyboard.type("3991111111")
        for _ in range(2):
            await page.keyboard.press("Tab")
            await page.keyboard.press("Space")
            await page.keyboard.press("Tab")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await expect(page.locator("main")).to_contain_text("Open your Nequi app")
        made = street.sandbox.transactions[-1]
        street.sandbox.decide(made.id, "APPROVED")
        await expect(page.locator(".state")).to_have_text("Payment approved", timeout=60_000)
