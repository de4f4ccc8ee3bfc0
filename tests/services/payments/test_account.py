"""Whose account collects, what it lacks, and its banks for a day."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tause_mcp.errors import NotFound, Unavailable, Unconfigured
from tause_mcp.intents import directory
from tause_mcp.outbound.wompi import Wompi
from tause_mcp.services.payments import account as accounts
from tause_mcp.services.payments.account import KEYS, Banks, Shelf, lacks, open_shelf
from tause_mcp.services.secrets import Secrets
from tause_mcp.settings import Settings

from .conftest import BANKS, Fake, Provider, account, unsent

pytestmark = pytest.mark.anyio
OWN = {
    "payments.wompi.public_key": "pub_test_own",
    "payments.wompi.private_key": "secret://prv",
    "payments.wompi.integrity_secret": "secret://integrity",
    "payments.wompi.events_secret": "secret://events",
}
HOUSE = {
    "WOMPI_PUBLIC_KEY": "pub_test_house",
    "WOMPI_PRIVATE_KEY": "prv_test_house",
    "WOMPI_INTEGRITY_SECRET": "test_integrity_house",
    "WOMPI_EVENTS_SECRET": "test_events_house",
}
HELD = {
    "secret://prv": ("prv_test_own",),
    "secret://integrity": ("test_integrity_own",),
    "secret://events": ("test_events_new", "test_events_old"),
}


@dataclass
class Bound:
    """What of a binding is asked here."""

    settings: Settings
    values: dict[str, Any]
    held: dict[str, tuple[str, ...]] = field(default_factory=lambda: dict(HELD))
    shelf: Shelf | None = None

    def value(self, name: str) -> Any:
        return self.values.get(name)

    def backend(self, name: str) -> Any:
        return self.shelf

    def service(self, kind: type) -> "Bound":
        assert kind is Secrets
        return self

    async def resolve(self, text: str) -> str:
        return (await self.accepted(text))[0]

    async def accepted(self, text: str) -> tuple[str, ...]:
        if text not in self.held:
            raise NotFound(f"no secret {text}: store it with secrets_put")
        return self.held[text]


def bound(values: dict[str, Any] | None = None, **settings: str) -> Any:
    return Bound(Settings.read(settings), values or {})


def test_what_is_lacking_is_named() -> None:
    nothing = lacks(Settings.read({}), {})
    assert nothing is not None
    assert all(key in nothing for key in KEYS)
    assert lacks(Settings.read(HOUSE), {}) is None
    assert lacks(Settings.read({}), OWN) is None
    some = {**OWN, "payments.wompi.events_secret": None}
    told = lacks(Settings.read(HOUSE), some)  # never half of one, half of the other
    assert told is not None
    assert "events_secret" in told
    assert "public_key" not in told


async def test_own_keys_win_as_a_whole() -> None:
    found = await accounts.account_of(bound(OWN, **HOUSE))
    assert (found.public_key, found.private_key) == ("pub_test_own", "prv_test_own")
    assert found.events_secrets == ("test_events_new", "test_events_old")
    assert (await accounts.account_of(bound(**HOUSE))).public_key == "pub_test_house"
    for lacking in (bound(), bound({"payments.wompi.public_key": "pub_test_own"}, **HOUSE)):
        with pytest.raises(Unconfigured):
            await accounts.account_of(lacking)


async def test_a_secret_that_is_gone_is_told_by_name_and_never_by_value() -> None:
    of = bound(OWN)
    del of.held["secret://prv"]
    with pytest.raises(
        Unconfigured, match=r"payments\.wompi\.\*: no secret secret://prv: .*secrets_put"
    ):
        await accounts.account_of(of)
    of = bound({**OWN, "payments.wompi.public_key": "pub_prod_own"})
    with pytest.raises(Unconfigured) as mixed:
        await accounts.account_of(of)
    assert "_own" not in str(mixed.value)


@pytest.fixture
async def shelf() -> AsyncIterator[Shelf]:
    async with open_shelf("wompi://") as opened:
        yield opened


async def test_the_banks_are_asked_for_once_a_day(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider, clock = Provider(), [0.0]
    monkeypatch.setattr(directory, "monotonic", lambda: clock[0])
    wompi: Wompi = Fake(provider, account())
    provider.fail("banks", unsent())
    with pytest.raises(Unavailable):
        await shelf.banks(wompi)
    asked: list[str] = []
    real = provider.ask

    async def counting(operation: str, work: Any) -> Any:
        asked.append(operation)
        return await real(operation, work)

    provider.ask = counting  # type: ignore[method-assign]
    many = await asyncio.gather(*(shelf.banks(wompi) for _ in range(8)))
    assert {bank.code for bank in many[0]} == set(BANKS)
    assert asked == ["banks"]
    await shelf.banks(Fake(provider, account(key="pub_test_other")))
    assert len(asked) == 2  # each account has its own
    clock[0] = directory.DAY + 1
    provider.fail("banks", unsent())
    assert await shelf.banks(wompi) == many[0]  # of yesterday, when there are none of today
    await shelf.banks(wompi)
    assert len(asked) == 4
    clock[0] = 9 * directory.DAY
    provider.fail("banks", unsent())
    with pytest.raises(Unavailable):
        await shelf.banks(wompi)


async def test_the_shelf_does_not_grow_without_end(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory, "MOST", 2)
    for number in range(4):
        await shelf.banks(Fake(Provider(), account(key=f"pub_test_{number}")))
    assert len(shelf._banks) <= 2


async def test_banks_are_listed_by_name(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    of = bound(**HOUSE)
    of.shelf = shelf

    async def fake(binding: Any) -> Wompi:
        return Fake(Provider(), account())

    monkeypatch.setattr(accounts, "wompi_of", fake)
    assert [bank.code for bank in await Banks(of).list()] == ["1", "2"]
    monkeypatch.undo()
    assert (await accounts.wompi_of(of)).account.public_key == "pub_test_house"
