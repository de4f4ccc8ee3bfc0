"""A process that dies at any moment charges nobody twice, and loses no payment.

Here it dies inside this process, at each of its waits in turn; a server's client does not outlive
that cleanly, so on servers whole processes are killed (tests/torture)."""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from itertools import count
from typing import Any

import pytest

from tause_mcp.errors import TauseError
from tause_mcp.services.payments import tables

from .conftest import Till

pytestmark = [pytest.mark.anyio, pytest.mark.embedded]


class Killed(BaseException):
    """The process is gone: nothing that follows is run."""


class Dying:
    """Runs a coroutine until its `at`-th wait; there it is told that it died, and ends.

    What it waited for still happens (the commit was on its way), or, when `undone`, is cancelled
    with it. Of ours nothing runs any more; the database's own client may still roll back.
    """

    def __init__(self, work: Coroutine[Any, Any, Any], at: int, *, undone: bool) -> None:
        self._work, self._at, self._undone = work, at, undone
        self.killed = False

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._work.__await__()
        step: Callable[[], Any] = partial(next, steps)
        for number in count():
            try:
                waited = step()
            except StopIteration as done:
                return done.value
            dies = number == self._at
            if dies and self._undone and waited is not None:
                waited.cancel()
            try:
                step = partial(steps.send, (yield waited))
            except BaseException as error:
                step = partial(steps.throw, error)
            if dies:
                self.killed = True
                step = partial(steps.throw, Killed())


async def dies(work: Coroutine[Any, Any, Any], at: int, *, undone: bool) -> bool:
    """Whether it died before it was done."""
    dying = Dying(work, at, undone=undone)
    try:
        await dying
    except Killed:
        await asyncio.sleep(0.01)  # what was on its way arrives
    return dying.killed


async def settle(till: Till, id_: str, later: Callable[[float], None]) -> Any:
    """What everybody else does meanwhile: the sweeper, now and then."""
    for _ in range(5):
        later(125)
        try:
            await till.payments.reconcile(id_)
        except TauseError:
            continue
    return await till.row(id_)


@pytest.mark.parametrize("undone", [False, True], ids=["on its way", "undone"])
async def test_killed_at_any_moment_of_sending_it_is_charged_once(
    till: Till, later: Callable[[float], None], undone: bool
) -> None:
    at = 0
    while True:
        order = f"o{undone}{at}"
        killed = await dies(till.sent(order), at, undone=undone)
        made = await till.sent(order)  # the caller, or another process, asks again
        row = await settle(till, made.id, later)
        mine = [p for p in till.provider.posts if p == row.reference]
        assert row.state == tables.PENDING, (at, row)
        assert row.provider_id == till.provider.transactions[row.reference].id
        assert len(mine) == 1, f"killed at {at}: posted {len(mine)} times"
        if not killed:
            break
        at += 1
    assert at >= 6  # it was killed at the insert, the terms, the claim, the post and the answer


@pytest.mark.parametrize("undone", [False, True], ids=["on its way", "undone"])
async def test_killed_at_any_moment_of_the_payers_acceptance_it_is_charged_once(
    till: Till, later: Callable[[float], None], undone: bool
) -> None:
    at = 0
    while True:
        made = await till.create(f"o{undone}{at}")
        killed = await dies(till.accept(made.id), at, undone=undone)
        row = await settle(till, made.id, later)
        if row.state == tables.AWAITING:  # nothing was sent: the payer tries again
            assert row.reference not in till.provider.transactions
            row = await till.row((await till.accept(made.id)).id)
        assert row.state == tables.PENDING, (at, row)
        assert till.provider.posts.count(row.reference) == 1
        if not killed:
            break
        at += 1
    assert at >= 5


async def test_killed_at_any_moment_a_void_gives_back_once(
    till: Till, later: Callable[[float], None]
) -> None:
    at = 0
    while True:
        made = await till.sent(f"v{at}")
        till.provider.set(made.reference, "APPROVED")
        await till.payments.reconcile(made.id)
        killed = await dies(till.payments.void(made.id), at, undone=False)
        row = await settle(till, made.id, later)
        if row.state == tables.APPROVED:  # it was not sent: whoever wants it asks again
            assert row.void_state is None
            row = await till.row((await till.payments.void(made.id)).id)
        assert (row.state, row.voided) == (tables.VOIDED, row.amount)
        assert till.provider.refunded(row.provider_id or "") == row.amount
        if not killed:
            break
        at += 1
    assert at >= 4
