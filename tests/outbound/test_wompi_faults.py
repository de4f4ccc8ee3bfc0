"""Every fault against the local double: the class of the failure tells what may have happened."""

from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
import pytest
from tests.support.wompi_house import House, open_house

from tause_mcp.errors import Unavailable
from tause_mcp.outbound import Outbound, Policy
from tause_mcp.outbound.wompi import (
    NewPayout,
    NotSent,
    Payee,
    Uncertain,
    Wompi,
    api,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with open_house() as made:
        yield made


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an answer that never comes; nothing else here waits."""
    monkeypatch.setattr(api, "SENDING", Policy(deadline=3.0, attempts=2, pause=0.001))
    monkeypatch.setattr(api, "READING", Policy(deadline=30.0, attempts=2, pause=0.001))


async def until_made(house: House, reference: str) -> None:
    """A loaded machine may end the work after the client gave up."""
    with anyio.fail_after(30):
        while not house.sandbox.creates[reference]:
            await anyio.sleep(0.01)


AFTER = ["timeout", "500_after", "502_after", "truncated", "cut", "reset_after", "html_after"]
BEFORE = ["timeout_before", "500", "502", "503", "reset_before", "html"]


@pytest.mark.parametrize("fault", [*AFTER, *BEFORE])
async def test_what_a_fault_leaves_unknown_is_found_by_its_reference(
    house: House, fault: str
) -> None:
    charge = await house.charge()
    house.sandbox.fail("POST /transactions", fault)
    with pytest.raises(Uncertain):
        await house.wompi.create(charge)
    if fault in AFTER:
        await until_made(house, "tpref1")
    assert house.sandbox.attempts["tpref1"] <= 1
    found = await house.wompi.by_reference("tpref1")
    assert len(found) == house.sandbox.creates["tpref1"] == (fault in AFTER)


@pytest.mark.parametrize("fault", ["timeout", "500_after", "truncated", "cut", "reset_after"])
async def test_a_batch_of_unknown_end_is_found_and_was_sent_once(house: House, fault: str) -> None:
    (funding,) = await house.payouts.accounts()
    payee = Payee("Ana", 10_000, email="a@example.com", key="@elias123")
    house.sandbox.fail("POST /payouts/v2/payouts", fault)
    with pytest.raises(Uncertain):
        await house.payouts.create("key-1", NewPayout("tpref1", funding.id, (payee,)))
    with anyio.fail_after(30):
        while not (found := await house.payouts.by_reference("tpref1")):
            await anyio.sleep(0.01)
    assert len(found) == 1


async def test_a_busy_wompi_made_nothing(house: House) -> None:
    charge = await house.charge()
    house.sandbox.fail("POST /transactions", "429", retry_after=7)
    with pytest.raises(NotSent) as failed:
        await house.wompi.create(charge)
    assert failed.value.retry_after == 7.0
    assert house.sandbox.attempts["tpref1"] == 0
    await house.wompi.create(charge)


async def test_a_wompi_that_is_down_was_sent_nothing() -> None:
    async with open_house() as house:
        charge = await house.charge()
    async with Outbound(trusted=True) as client:
        with pytest.raises(NotSent):
            await Wompi(house.account, client).create(charge)


@pytest.mark.parametrize("fault", ["500", "503", "reset_before", "truncated", "cut", "html", "429"])
async def test_a_read_is_tried_again(house: House, fault: str) -> None:
    """All but half of an answer that says it is whole."""
    made = await house.wompi.create(await house.charge())
    house.sandbox.fail(f"GET /transactions/{made.id}", fault)
    if fault == "truncated":
        with pytest.raises(Unavailable):
            await house.wompi.transaction(made.id)
    assert await house.wompi.transaction(made.id) is not None


READS: dict[str, Callable[[House], Awaitable[object]]] = {
    "/merchants/*": lambda house: house.wompi.merchant(),
    "/pse/*": lambda house: house.wompi.banks(),
    "/transactions": lambda house: house.wompi.by_reference("tpref1"),
    "/payment_sources/*": lambda house: house.wompi.source(1),
    "/payment_links/*": lambda house: house.wompi.link("x"),
    "/payouts/v1/banks": lambda house: house.payouts.banks(),
    "/payouts/v1/payouts": lambda house: house.payouts.by_reference("tpref1"),
    "/payouts/v1/payouts/*": lambda house: house.payouts.payout("x"),
    "/payouts/v2/breb/*": lambda house: house.payouts.resolve_key("@elias123"),
}


@pytest.mark.parametrize("path", READS)
async def test_a_read_that_fails_for_good_is_never_an_answer(house: House, path: str) -> None:
    for fault in ("500", "429", "cut", "reset_before", "html"):
        house.sandbox.reset()
        house.sandbox.fail(f"GET {path}", fault, times=9)
        with pytest.raises(Unavailable) as failed:
            await READS[path](house)
        assert not isinstance(failed.value, Uncertain)


@pytest.mark.parametrize("key", ["timeout@test.com", "error@test.com"])
async def test_a_directory_that_is_down_is_asked_again_later(house: House, key: str) -> None:
    with pytest.raises(Unavailable) as failed:
        await house.payouts.resolve_key(key)
    assert failed.value.retry_after
