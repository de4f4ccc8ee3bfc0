"""What rides along with a call's change: once, and only with a commit."""

import asyncio

import pytest
from tests.database.notes import names, put

from tause_mcp.database import TenantDatabase, Transaction
from tause_mcp.errors import Conflict

pytestmark = pytest.mark.anyio


async def test_a_trailer_runs_with_the_first_commit_and_never_again(mine: TenantDatabase) -> None:
    mine.trailers.append(put("trailer"))
    await mine.write(put("a"))
    await mine.write(put("b"))
    assert await mine.read(names) == ["a", "b", "trailer"]
    assert mine.trailers == []


async def test_a_failed_change_takes_its_trailers_back(mine: TenantDatabase) -> None:
    ran = []

    async def trailer(tx: Transaction) -> None:
        ran.append(1)
        await put("trailer")(tx)

    async def work(tx: Transaction) -> None:
        raise Conflict("no")

    mine.trailers.append(trailer)
    with pytest.raises(Conflict):
        await mine.write(work)
    assert (ran, len(mine.trailers), mine.changed) == ([], 1, False)
    await mine.write(put("a"))
    assert await mine.read(names) == ["a", "trailer"]
    assert mine.changed


async def test_a_failing_trailer_undoes_the_change(mine: TenantDatabase) -> None:
    async def trailer(tx: Transaction) -> None:
        raise Conflict("the claim is lost")

    mine.trailers.append(trailer)
    with pytest.raises(Conflict, match="claim"):
        await mine.write(put("a"))
    assert await mine.read(names) == []
    assert len(mine.trailers) == 1


async def test_a_read_runs_no_trailer(mine: TenantDatabase) -> None:
    mine.trailers.append(put("trailer"))
    assert await mine.read(names) == []
    assert len(mine.trailers) == 1


async def test_parallel_changes_of_one_call_run_its_trailers_once(mine: TenantDatabase) -> None:
    mine.trailers.append(put("trailer"))
    await asyncio.gather(*(mine.write(put(f"n{i}")) for i in range(8)))
    assert await mine.read(names) == [*(f"n{i}" for i in range(8)), "trailer"]


async def test_a_look_that_touches_no_row_runs_no_trailer(mine: TenantDatabase) -> None:
    mine.looking = True
    mine.trailers.append(put("trailer"))
    await mine.write(look)
    assert (await mine.read(names), len(mine.trailers), mine.changed) == ([], 1, False)
    await mine.write(put("a"))
    assert (await mine.read(names), mine.trailers, mine.changed) == (["a", "trailer"], [], True)


async def test_a_look_whose_change_ran_beside_an_idle_one_still_owes_its_trailer(
    mine: TenantDatabase,
) -> None:
    mine.looking = True
    mine.trailers.append(put("trailer"))
    await asyncio.gather(mine.write(look), *(mine.write(put(f"n{i}")) for i in range(4)))
    assert mine.changed
    await mine.write(look)
    assert (await mine.read(names)).count("trailer") == 1
    assert mine.trailers == []


async def look(tx: Transaction) -> None:
    """A transaction that finds nothing to do."""
