"""What nobody answered is looked up, never paid again: kills, lost answers, and what does not fit."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tause_mcp.database import TENANT
from tause_mcp.errors import Conflict, Unavailable, Unconfigured
from tause_mcp.intents import CLAIM, Book
from tause_mcp.outbound.wompi import Payouts as Wompi
from tause_mcp.outbound.wompi import ReferenceUsed
from tause_mcp.services.payouts import tables
from tause_mcp.services.payouts.sending import Sender

from .conftest import KEY, LIST, POST, READ, Desk, order

pytestmark = pytest.mark.anyio
MINUTE, DAY = 60.0, 86_400.0


class Killed(BaseException):
    """The process is gone."""


def kill(monkeypatch: pytest.MonkeyPatch, what: Any, name: str, *, after: bool = False) -> None:
    """The next call of a method ends the process, before or after its work."""
    real = getattr(what, name)

    async def dies(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(what, name, real)
        if after:
            await real(*args, **kwargs)
        raise Killed

    monkeypatch.setattr(what, name, dies)


@pytest.mark.parametrize(
    "fault", ["500_after", "502_after", "html_after", "reset_after", "truncated"]
)
async def test_a_lost_answer_is_found_by_its_reference(desk: Desk, fault: str) -> None:
    desk.sandbox.fail(POST, fault)
    made = await desk.create()
    assert made.status == "processing" and made.provider_id is None
    assert len(await desk.due()) == 1
    assert (await desk.create()).id == made.id
    found = await desk.payouts.reconcile(made.id)
    assert (found.status, found.provider_id) == ("pending", desk.batches[0].id)
    assert len(desk.batches) == 1


@pytest.mark.parametrize("fault", ["500", "503", "html", "reset_before"])
async def test_what_never_arrived_is_sent_again_after_two_looks_a_minute_apart(
    desk: Desk, later: Callable[[float], None], fault: str
) -> None:
    desk.sandbox.fail(POST, fault)
    made = await desk.create()
    assert made.status == "processing" and desk.batches == []
    for _ in range(3):
        assert (await desk.payouts.reconcile(made.id)).status == "processing"
    assert desk.batches == [], "a minute has not passed"
    later(MINUTE + 1)
    await desk.payouts.reconcile(made.id)
    sent = await desk.payouts.reconcile(made.id)
    assert sent.status == "pending" and sent.reference == made.reference
    assert len(desk.batches) == 1


async def test_a_turn_at_the_gate_is_given_back_at_once(desk: Desk) -> None:
    desk.sandbox.fail(POST, "429")
    made = await desk.create()
    assert made.status == "processing"
    row = await desk.row(made.id)
    assert (row.state, row.sent_at) == (tables.READY, None)
    assert (await desk.create()).status == "pending"
    assert len(desk.batches) == 1


@pytest.mark.parametrize("what", [KEY, None])
async def test_killed_between_the_answer_and_its_commit(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, what: Any
) -> None:
    told = {} if what is None else {"beneficiary": what}
    kill(monkeypatch, Sender, "_made")
    with pytest.raises(Killed):
        await desk.create(**told)
    assert len(desk.batches) == 1
    again = await desk.create(**told)
    assert again.status == "processing", "whoever holds the claim may still be posting"
    found = await desk.payouts.reconcile(again.id)
    assert (found.status, found.provider_id) == ("pending", desk.batches[0].id)
    assert len(desk.batches) == 1


async def test_killed_between_the_claim_and_the_post(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, later: Callable[[float], None]
) -> None:
    kill(monkeypatch, Book, "claim", after=True)
    with pytest.raises(Killed):
        await desk.create()
    (made,) = await desk.payouts.recent()
    for _ in range(4):
        assert (await desk.payouts.reconcile(made.id)).status == "processing"
    assert desk.batches == [], "its claim still holds"
    later(CLAIM / 1e6 + 1)
    for _ in range(3):
        await desk.payouts.reconcile(made.id)
    assert desk.batches == []
    later(MINUTE + 1)
    await desk.payouts.reconcile(made.id)
    assert (await desk.payouts.reconcile(made.id)).status == "pending"
    assert len(desk.batches) == 1


async def test_killed_before_anything_was_sent(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    kill(monkeypatch, Book, "claim")
    with pytest.raises(Killed):
        await desk.create()
    (made,) = await desk.payouts.recent()
    assert len(await desk.due()) == 1
    told = await asyncio.gather(*(desk.payouts.reconcile(made.id) for _ in range(8)))
    assert {one.id for one in told} == {made.id}
    assert len(desk.batches) == 1


async def test_many_reconcilers_of_a_lost_answer_pay_once(
    desk: Desk, later: Callable[[float], None]
) -> None:
    desk.sandbox.fail(POST, "500")
    made = await desk.create()
    for _ in range(4):
        await asyncio.gather(*(desk.payouts.reconcile(made.id) for _ in range(6)))
        later(MINUTE + 1)
    assert len(desk.batches) == 1
    assert (await desk.payouts.get(made.id)).status == "pending"


async def test_a_key_that_wompi_has_already_is_adopted(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """409 EXC_022: what there is under the reference is this payout."""
    desk.sandbox.fail(POST, "500_after")
    made = await desk.create()
    row = await desk.row(made.id)
    back = tables.Statement(
        tables.sa.update(tables.payouts)
        .where(tables.payouts.c.tenant_id == TENANT, tables.payouts.c.id == made.id)
        .values(state=tables.READY, sent_at=None, claim=None, claimed_until=0)
    )
    await desk.rows.write(lambda tx: tx.run(back))  # as if a backup had been restored
    assert row.state == tables.SENDING
    told = await desk.payouts.reconcile(made.id)
    assert (told.status, told.provider_id) == ("pending", desk.batches[0].id)
    assert len(desk.batches) == 1


async def test_a_key_that_wompi_has_and_does_not_show_is_a_problem_and_nobody_is_paid_twice(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, later: Callable[[float], None]
) -> None:
    async def used(*_: Any) -> Any:
        raise ReferenceUsed("used", kind="EXC_032")

    monkeypatch.setattr(Wompi, "create", used)
    made = await desk.create(beneficiary=KEY)
    assert made.status == "processing" and "dashboard" in made.problem
    monkeypatch.undo()
    for _ in range(4):
        later(MINUTE + 1)
        await desk.payouts.reconcile(made.id)
    assert desk.batches == []
    assert (await desk.create(beneficiary=KEY)).problem


async def test_after_a_day_nothing_is_posted_and_a_retry_looks_first(
    desk: Desk, later: Callable[[float], None]
) -> None:
    """Wompi's idempotency key has ended by then: only a look can tell."""
    desk.sandbox.fail(POST, "500_after")
    desk.sandbox.fail(LIST, "503", times=50)
    made = await desk.create()
    with pytest.raises(Unavailable):
        await desk.payouts.reconcile(made.id)
    later(DAY + 1)
    desk.sandbox.advance(DAY + 1)
    with pytest.raises(Unavailable):
        await desk.payouts.reconcile(made.id)
    desk.sandbox.state.faults.asked.clear()
    assert (await desk.payouts.reconcile(made.id)).status == "pending"
    assert len(desk.batches) == 1


async def test_a_payout_that_could_not_be_sent_in_a_day_is_given_up(
    desk: Desk, later: Callable[[float], None]
) -> None:
    desk.sandbox.fail(POST, "500")
    made = await desk.create()
    later(DAY)
    for _ in range(4):
        later(MINUTE + 1)
        told = await desk.payouts.reconcile(made.id)
    assert told.status == "expired" and desk.batches == []
    assert await desk.due() == []
    again = await desk.create(retry=True)
    assert (again.attempt, again.status) == (2, "pending")


async def test_a_given_up_payout_that_turns_up_stops_the_retry(
    desk: Desk, later: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.sandbox.fail(POST, "500_after")
    made = await desk.create()
    hidden = monkeypatch.context()
    with hidden as patched:

        async def nothing(*_: Any) -> list[Any]:
            return []

        patched.setattr(Wompi, "by_reference", nothing)
        later(DAY)
        for _ in range(4):
            later(MINUTE + 1)
            told = await desk.payouts.reconcile(made.id)
        assert told.status == "expired"
    with pytest.raises(Conflict, match="is pending"):
        await desk.create(amount=7_500_001, retry=True)
    told = await desk.payouts.get(made.id)
    assert told.status == "pending" and "made it after all" in told.problem
    assert len(desk.batches) == 1


async def test_a_lost_payout_to_a_key_is_never_given_up_by_itself(
    desk: Desk, later: Callable[[float], None]
) -> None:
    """The list of version 1 may not show those of version 2."""
    desk.sandbox.fail(POST, "500")
    made = await desk.create(beneficiary=KEY)
    later(DAY)
    for _ in range(4):
        later(MINUTE + 1)
        told = await desk.payouts.reconcile(made.id)
    assert told.status == "processing" and "dashboard" in told.problem
    with pytest.raises(Conflict, match="is processing"):
        await desk.create(beneficiary=KEY, amount=1_000_000, retry=True)
    assert desk.batches == []


# --- what does not fit ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [("amount", 7_400_000, "another amount"), ("currency", "USD", "another currency")],
)
async def test_what_does_not_fit_changes_no_state_and_is_told(
    desk: Desk, column: str, value: Any, said: str
) -> None:
    made = await desk.create()
    desk.end("APPROVED")
    other = tables.Statement(
        tables.sa.update(tables.payouts)
        .where(tables.payouts.c.tenant_id == TENANT, tables.payouts.c.id == made.id)
        .values(**{column: value})
    )
    await desk.rows.write(lambda tx: tx.run(other))
    told = await desk.payouts.reconcile(made.id)
    assert told.status == "pending" and said in told.problem


async def test_two_batches_of_one_reference_are_a_problem(desk: Desk) -> None:
    desk.sandbox.fail(POST, "500_after")
    made = await desk.create()
    ledger = desk.sandbox.state.ledger
    first = desk.batches[0]
    ledger.batches["twin"] = replace(first, id="twin")
    told = await desk.payouts.reconcile(made.id)
    assert told.status == "pending" and "paid twice" in told.problem


async def test_an_end_never_goes_back(desk: Desk) -> None:
    made = await desk.create()
    desk.end("APPROVED")
    await desk.payouts.reconcile(made.id)
    batch = desk.batches[0]
    batch.status, batch.lines[0].status = "REJECTED", "FAILED"
    told = await desk.payouts.reconcile(made.id)
    assert told.status == "approved" and "declined of what was approved" in told.problem


async def test_keys_of_another_account_never_read_as_never_sent(
    desk: Desk, later: Callable[[float], None]
) -> None:
    desk.sandbox.fail(POST, "500_after")
    made = await desk.create()
    other = replace(desk, principal="another-user")
    later(DAY)
    with pytest.raises(Unconfigured, match="another account"):
        await other.payouts.reconcile(made.id)
    assert (await other.create(retry=True)).status == "processing"
    assert (await desk.payouts.get(made.id)).status == "processing"
    assert len(desk.batches) == 1


async def test_what_wompi_took_and_cannot_be_read_is_not_posted_again(
    desk: Desk, later: Callable[[float], None]
) -> None:
    desk.sandbox.fail(READ, "503", times=50)
    made = await desk.create()
    assert made.status == "processing"
    row = await desk.row(made.id)
    assert row.hint == desk.batches[0].id
    desk.sandbox.state.faults.asked.clear()
    assert (await desk.payouts.reconcile(made.id)).status == "pending"
    assert len(desk.batches) == 1


# --- cancelling -------------------------------------------------------------------------------------


async def test_what_waits_can_be_cancelled_and_what_was_sent_cannot(desk: Desk) -> None:
    desk.sandbox.fail(POST, "429", times=1)
    made = await desk.create()
    gone = await desk.payouts.cancel(made.id)
    assert gone.status == "cancelled" and await desk.due() == []
    assert (await desk.payouts.cancel(made.id)).status == "cancelled"
    assert (await desk.payouts.reconcile(made.id)).status == "cancelled"
    sent = await desk.create("other")
    with pytest.raises(Conflict, match="nothing takes it back"):
        await desk.payouts.cancel(sent.id)
    assert [batch.sent["reference"] for batch in desk.batches] == [sent.reference]


async def test_cancelling_against_sending_pays_or_cancels_never_both(desk: Desk) -> None:
    for n in range(6):
        prepared = await desk.payouts.prepare(order(f"race-{n}"))
        row = await desk.payouts._insert(prepared, retry=False)
        before = len(desk.batches)
        await asyncio.gather(
            desk.payouts.reconcile(row.id), desk.payouts.cancel(row.id), return_exceptions=True
        )
        told = await desk.payouts.get(row.id)
        assert (told.status == "cancelled") == (len(desk.batches) == before), told
