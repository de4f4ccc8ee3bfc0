"""Links: made once, never blindly again, and closed."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tause_mcp import times
from tause_mcp.errors import Conflict, Invalid, NotFound, Unavailable, Unconfigured
from tause_mcp.outbound.wompi import Refused, Uncertain

from .conftest import B, Till, account, unsent

pytestmark = pytest.mark.anyio
Later = Callable[[float], None]


async def made(till: Till, **told: Any) -> Any:
    return await till.links.create("Curso", "Curso de pan", **{"amount": 500_000, **told})


async def test_a_link_is_made_with_our_mark_on_it(till: Till) -> None:
    link = await made(till, expires_at=times.now() + 10**9)
    assert (link.status, link.name, link.description) == ("active", "Curso", "Curso de pan")
    (there,) = till.provider.links.values()
    assert link.url == there.url
    assert (len(there.sku), there.amount) == (34, 500_000)
    assert await till.due() == []
    assert (await made(till, amount=None)).amount is None
    assert len(await till.links.recent()) == 2
    assert len(await till.links.recent(most=1)) == 1


async def test_a_link_without_an_answer_is_unknown_and_says_what_to_do(till: Till) -> None:
    till.provider.fail("create_link", "lost")
    link = await made(till)
    (there,) = till.provider.links.values()
    assert (link.status, link.url) == ("unknown", None)
    assert f"sku {there.sku}" in link.problem
    with pytest.raises(Conflict, match="dashboard"):
        await till.links.cancel(link.id)
    assert (await till.links.reconcile(link.id)).status == "unknown"
    assert len(till.provider.links) == 1


@pytest.mark.parametrize("fault", [Refused("no"), unsent()])
async def test_a_link_that_was_not_made_is_an_error(till: Till, fault: Exception) -> None:
    till.provider.fail("create_link", fault)
    with pytest.raises((Refused, Unavailable)):
        await made(till)
    (link,) = await till.links.recent()
    assert (link.status, link.problem is not None) == ("error", True)


async def test_whoever_died_while_making_it_leaves_it_unknown(till: Till, later: Later) -> None:
    till.provider.fail("create_link", asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        await made(till)
    (link,) = await till.links.recent()
    assert (await till.links.reconcile(link.id)).status == "processing"
    later(130)
    assert await till.sweep().once() == 1
    assert (await till.links.get(link.id)).status == "unknown"
    assert await till.due() == []


@pytest.mark.parametrize("told", [{"sku": "tpother"}, {"amount": 1}])
async def test_an_answer_about_another_link_is_not_believed(till: Till, told: dict) -> None:
    real = till.provider.ask

    async def mixed(operation: str, work: Callable) -> object:
        return replace(await real(operation, work), **told)

    till.provider.ask = mixed  # type: ignore[method-assign]
    link = await made(till)
    assert (link.status, link.url) == ("unknown", None)


async def test_a_cancelled_link_takes_no_more_money(till: Till) -> None:
    link = await made(till)
    till.provider.fail("close_link", Uncertain("?"))
    assert (await till.links.cancel(link.id)).status == "cancelling"
    assert (await till.links.cancel(link.id)).status == "cancelled"
    assert (await till.links.cancel(link.id)).url is None
    assert [one.active for one in till.provider.links.values()] == [False]
    assert await till.due() == []


async def test_a_link_of_other_keys_or_another_tenant_is_not_closed(till: Till) -> None:
    link = await made(till)
    foreign = replace(till, tenant=B).links
    for asked in (foreign.get(link.id), foreign.cancel(link.id), foreign.reconcile(link.id)):
        with pytest.raises(NotFound):
            await asked
    till.account = account(key="pub_test_new")
    assert (await till.links.cancel(link.id)).status == "cancelling"
    with pytest.raises(Unconfigured):
        await till.links.reconcile(link.id)


async def test_what_cannot_be_is_refused(till: Till) -> None:
    for told in ({"amount": 1}, {"expires_at": 1}):
        with pytest.raises(Invalid):
            await made(till, **told)
    assert till.provider.links == {}
