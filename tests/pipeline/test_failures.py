"""Crashes, deadlines, and results over their limit."""

import asyncio
from typing import Any

import pytest
from tests.support.pipeline import House, Shelf, operation
from tests.support.shelf import ASK, GET, approve, failing

from tause_mcp.errors import (
    DeadlineExceeded,
    TooLarge,
)
from tause_mcp.pipeline import MAX_RESULT, Crash

pytestmark = pytest.mark.anyio


async def test_an_unexpected_failure_is_a_reference_and_its_traceback_is_logged(
    house: House, logs: list[Any]
) -> None:
    with pytest.raises(Crash) as crash:
        await house.run(failing(RuntimeError("SELECT canary FROM /secret/path")))
    assert crash.value.reference in str(crash.value)
    for told in (str(crash.value), repr(crash.value), repr(crash.value.__cause__)):
        assert "canary" not in told
    (line,) = logs
    assert (line["event"], line["reference"]) == ("crash", crash.value.reference)
    assert line["tenant"] == "ta"
    assert "canary" in str(line["exc_info"])
    assert house.counted == [("ta", "shelf_put", False, 0)]


async def test_a_stray_cancellation_does_not_leave_the_caller_waiting(house: House) -> None:
    """A shared future that somebody else cancelled: this call was not."""

    async def shelf_get(shelf: Shelf) -> dict[str, str]:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future
        return {}

    with pytest.raises(Crash):
        await house.run(operation(shelf_get, "shelf:read"))


async def test_a_step_that_breaks_is_a_crash_too(house: House) -> None:
    house.limit = ZeroDivisionError("boom")
    with pytest.raises(Crash):
        await house.run(GET)


async def test_a_crash_passes_a_forwarding_tool_unchanged(house: House) -> None:
    inner = Crash("abc")
    with pytest.raises(Crash) as crash:
        await house.run(failing(inner, forwards=True))
    assert crash.value is inner


async def test_the_deadline_ends_the_work_and_gives_back(house: House) -> None:
    house.deadline = 0.05
    approve(house)

    async def shelf_put(shelf: Shelf) -> dict[str, str]:
        await asyncio.sleep(30)
        return {}

    with pytest.raises(DeadlineExceeded, match=r"longer than 0\.05 s: read whether") as late:
        await house.run(operation(shelf_put, consent=lambda a: ASK), idempotency_key="k")
    assert late.value.retry_after == 1.0
    assert house.ledger.steps[-2:] == ["drop", "release"]
    assert house.granted


async def test_a_read_that_is_late_has_nothing_to_look_after(house: House) -> None:
    house.deadline = 0.05

    async def shelf_get(shelf: Shelf) -> dict[str, str]:
        await asyncio.sleep(30)
        return {}

    with pytest.raises(DeadlineExceeded) as late:
        await house.run(operation(shelf_get, "shelf:read"))
    assert str(late.value) == "the call took longer than 0.05 s"


async def test_a_timeout_of_the_work_itself_is_not_the_deadline(house: House) -> None:
    with pytest.raises(Crash):
        await house.run(failing(TimeoutError("its own")))


# --- results ------------------------------------------------------------------------------------


async def test_a_result_over_the_limit_is_refused(house: House) -> None:
    async def shelf_get(shelf: Shelf, size: int) -> dict[str, str]:
        return {"a": "x" * size}

    what = operation(shelf_get, "shelf:read")
    whole = await house.run(what, {"size": MAX_RESULT - 8})
    assert whole.text is not None
    assert len(whole.text) == MAX_RESULT
    with pytest.raises(TooLarge, match="limit, range or a filter"):
        await house.run(what, {"size": MAX_RESULT - 7})


async def test_an_open_result_over_the_limit_is_stored_and_previewed(house: House) -> None:
    async def shelf_get(shelf: Shelf) -> dict[str, str]:
        return {"a": "x" * MAX_RESULT}

    result = await house.run(operation(shelf_get, "shelf:read", open_result=True))
    assert result.value["key"] == "results/1"
    assert result.value["size"] == len(house.spilled[0])
    assert result.text is not None
    assert len(result.text) < 1000


async def test_a_change_whose_result_is_too_large_stays_and_says_so(house: House) -> None:
    async def shelf_put(shelf: Shelf) -> dict[str, str]:
        await shelf.put("a")
        return {"a": "x" * MAX_RESULT}

    with pytest.raises(TooLarge, match="what it had changed before stays"):
        await house.run(operation(shelf_put), idempotency_key="k")
    assert house.ledger.committed == ["row:a", "audit:shelf_put", "mark:k"]
    assert house.kept["k"][1] is None


async def test_a_result_that_json_cannot_carry_is_a_crash(house: House) -> None:
    async def shelf_get(shelf: Shelf) -> dict[str, Any]:
        return {"a": "\ud800"}

    with pytest.raises(Crash):
        await house.run(operation(shelf_get, "shelf:read"))


async def test_parallel_changes_of_one_call_are_audited_once(house: House) -> None:
    async def shelf_put(shelf: Shelf) -> dict[str, str]:
        await asyncio.gather(*(shelf.put(str(i)) for i in range(5)))
        return {}

    await house.run(operation(shelf_put))
    assert len(house.ledger.rows()) == 5
    assert house.ledger.committed.count("audit:shelf_put") == 1
