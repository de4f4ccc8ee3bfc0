"""A call is answered within its deadline and a moment, whatever stands still; nothing it took is
lost meanwhile. The clock is the test's own, so that the seconds are exact."""

import asyncio
from typing import Any

import pytest
from tests.support import clock
from tests.support.clock import never
from tests.support.pipeline import House, Shelf, operation
from tests.support.shelf import ASK, PAY, PUT, approve, failing

from tause_mcp.errors import Conflict, DeadlineExceeded, TauseError
from tause_mcp.supervision import GRACE

DEADLINE = 5.0


async def ended(house: House, what: Any, **call: Any) -> tuple[float, TauseError]:
    """When the call failed, and how."""
    try:
        await house.run(what, idempotency_key="k", **call)
    except TauseError as error:
        return clock.now(), error
    raise AssertionError("the call was answered")


@pytest.mark.parametrize("stuck", ["require_active", "settle", "admit"])
def test_a_step_that_stands_still_is_given_up_at_the_deadline(
    house: House, stuck: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    approve(house)
    monkeypatch.setattr(house, stuck, never)
    seconds, error = clock.run(ended(house, PAY))
    assert isinstance(error, DeadlineExceeded)
    assert str(error) == "the call took longer than 5 s: nothing was done"
    assert seconds == DEADLINE


def test_the_waits_of_several_steps_do_not_add_up(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slow(*_: Any) -> None:
        await asyncio.sleep(2)

    approve(house)
    monkeypatch.setattr(house, "require_active", slow)
    monkeypatch.setattr(house, "admit", slow)
    monkeypatch.setattr(house, "release", never)
    house.ledger.slow_commit = never
    seconds, error = clock.run(ended(house, PAY))
    assert isinstance(error, DeadlineExceeded)
    assert "read whether its change was made" in str(error)
    assert seconds == DEADLINE + GRACE


def test_proving_who_calls_is_part_of_the_deadline(house: House) -> None:
    house.ledger.slow_commit = never
    seconds, _ = clock.run(ended(house, operation(_put), waited=3.0))
    assert seconds == DEADLINE - 3.0


def test_giving_back_goes_on_behind_the_answer_and_in_its_order(house: House) -> None:
    approve(house)
    open_again = asyncio.Event()
    house.before_undo = open_again.wait

    async def story() -> list[str]:
        failed = failing(Conflict("no"), consent=lambda a: ASK)
        seconds, _ = await ended(house, failed)
        assert seconds == GRACE
        assert "drop" not in house.ledger.steps
        open_again.set()
        await house.aside.settled()
        return house.ledger.steps[-2:]

    assert clock.run(story()) == ["drop", "release"]
    assert house.granted


def test_giving_back_that_never_ends_is_given_up(house: House) -> None:
    house.before_undo = never

    async def story() -> float:
        await ended(house, failing(Conflict("no")))
        await house.aside.settled()
        return clock.now()

    assert clock.run(story()) == 15.0


def test_a_change_that_was_made_in_time_is_told_though_keeping_its_result_takes_long(
    house: House,
) -> None:
    async def slow() -> None:
        await asyncio.sleep(DEADLINE - 0.1)

    house.ledger.slow_commit = slow
    house.before_keep = never

    async def story() -> float:
        assert (await house.run(PUT, idempotency_key="k")).value == {"put": "a"}
        return clock.now()

    assert clock.run(story()) == pytest.approx(DEADLINE - 0.1 + GRACE)


async def _put(shelf: Shelf) -> dict[str, str]:
    await shelf.put("a")
    return {}
