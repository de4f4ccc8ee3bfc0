"""What a failed call gives back, and what a repeated key returns."""

import asyncio
from typing import Any

import anyio
import pytest
from tests.support.pipeline import House, Shelf, operation
from tests.support.shelf import ASK, PAID, PAY, PUT, approve, failing, shelf_put

from tause_mcp.errors import (
    Conflict,
    IdempotencyConflict,
    RateLimited,
    Unavailable,
)
from tause_mcp.pipeline import Crash, digest_of

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (Conflict("no"), Conflict),
        (ValueError("secret-canary"), Crash),
        (asyncio.CancelledError(), Crash),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
async def test_work_that_failed_and_changed_nothing_gives_approval_and_key_back(
    house: House, error: BaseException, seen: type[BaseException]
) -> None:
    approve(house)
    with pytest.raises(seen):
        await house.run(failing(error, consent=lambda a: ASK), idempotency_key="k")
    assert house.ledger.steps[-2:] == ["drop", "release"]
    assert house.ledger.committed == []
    assert (await house.run(PAY, idempotency_key="k")).value == {"put": "a"}


async def test_work_that_failed_after_its_commit_gives_nothing_back(house: House) -> None:
    """The change stands: the approval is spent, the key is lost, and the caller is told."""
    approve(house)
    with pytest.raises(Conflict, match="what it had changed before stays"):
        await house.run(
            failing(Conflict("no", field="x"), after=True, consent=lambda a: ASK),
            idempotency_key="k",
        )
    assert house.ledger.committed == ["row:a", "audit:shelf_put", "mark:k", f"spent:{PAID}"]
    with pytest.raises(Conflict, match="cannot be repeated"):
        await house.run(PAY, idempotency_key="k")
    assert (await house.run(PAY)).value["status"] == "approval_required"
    assert house.ledger.rows() == ["row:a"]


async def test_a_failure_after_a_commit_keeps_its_code_and_field(house: House) -> None:
    error = RateLimited("slow down", field="x", retry_after=3.0)
    with pytest.raises(RateLimited, match="slow down; what it had changed") as failed:
        await house.run(failing(error, after=True))
    assert failed.value.describe() == {"code": "rate_limited", "field": "x", "retry_after": 3.0}


async def test_a_crash_after_a_commit_gives_nothing_back_either(house: House) -> None:
    approve(house)
    with pytest.raises(Crash):
        await house.run(
            failing(ValueError("boom"), after=True, consent=lambda a: ASK), idempotency_key="k"
        )
    assert house.granted == set()
    assert house.kept["k"][1] is None


async def test_a_call_cancelled_before_its_commit_gives_everything_back(house: House) -> None:
    approve(house)
    started = asyncio.Event()

    async def shelf_put(shelf: Shelf) -> dict[str, str]:
        started.set()
        await asyncio.sleep(30)
        return {}

    task = asyncio.create_task(
        house.run(operation(shelf_put, consent=lambda a: ASK), idempotency_key="k")
    )
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert house.ledger.steps[-2:] == ["drop", "release"]
    assert (await house.run(PAY, idempotency_key="k")).value == {"put": "a"}


async def test_a_call_cancelled_in_its_commit_gives_nothing_back(house: House) -> None:
    """The caller never learned that it was committed; the store knows."""
    approve(house)
    committing = asyncio.Event()

    async def slow() -> None:
        committing.set()
        await asyncio.sleep(30)

    house.ledger.slow_commit = slow
    task = asyncio.create_task(house.run(PAY, idempotency_key="k"))
    await committing.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    house.ledger.slow_commit = None
    assert house.granted == set()
    with pytest.raises(Conflict, match="cannot be repeated"):
        await house.run(PAY, idempotency_key="k")
    assert house.ledger.rows() == ["row:a"]


async def test_a_cancelled_scope_does_not_keep_a_call_from_giving_back(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an anyio scope every await fails from then on, that of the clean-up too."""
    approve(house)
    release = house.release

    async def slowly(tenant: Any, approval_id: str) -> None:
        await anyio.sleep(0.01)
        await release(tenant, approval_id)

    monkeypatch.setattr(house, "release", slowly)

    async def shelf_put(shelf: Shelf) -> dict[str, str]:
        await anyio.sleep(30)
        return {}

    with anyio.move_on_after(0.05):
        await house.run(operation(shelf_put, consent=lambda a: ASK))
    assert house.ledger.steps[-1] == "release"
    assert house.granted


async def test_a_commit_that_fails_gives_everything_back(house: House) -> None:
    approve(house)
    house.ledger.down = True
    with pytest.raises(Unavailable):
        await house.run(PAY, idempotency_key="k")
    house.ledger.down = False
    assert (await house.run(PAY, idempotency_key="k")).value == {"put": "a"}


async def test_an_undoing_that_fails_does_not_hide_why_the_call_failed(
    house: House, logs: list[Any]
) -> None:
    approve(house)
    house.undo_fails = True
    with pytest.raises(Conflict, match="no"):
        await house.run(failing(Conflict("no"), consent=lambda a: ASK), idempotency_key="k")
    assert [line["event"] for line in logs] == ["undo_failed", "undo_failed"]


async def test_a_result_that_cannot_be_kept_fails_no_call_that_is_done(house: House) -> None:
    house.undo_fails = True
    assert (await house.run(PUT, idempotency_key="k")).value == {"put": "a"}


# --- idempotency --------------------------------------------------------------------------------


async def test_a_repeated_key_returns_the_first_result_and_does_nothing(house: House) -> None:
    first = await house.run(PUT, idempotency_key="k")
    again = await house.run(PUT, idempotency_key="k")
    assert (again.value, again.text) == (first.value, first.text)
    assert house.ledger.rows() == ["row:a"]
    assert house.ledger.steps[-2:] == ["tenant", "recall"]


async def test_a_repeated_key_does_not_ask_a_person_again(house: House) -> None:
    approve(house)
    await house.run(PAY, idempotency_key="k")
    assert (await house.run(PAY, idempotency_key="k")).value == {"put": "a"}


async def test_a_call_that_waited_for_another_returns_its_result(house: House) -> None:
    """Between `recall` and `claim` the other one finished."""
    house.limit = None
    admit = house.admit

    async def meanwhile(*told: Any) -> None:
        house.kept["k"] = (digest_of("shelf_put", {}), b'{"put":"by the other"}')
        await admit(*told)

    house.admit = meanwhile
    result = await house.run(PUT, idempotency_key="k")
    assert result.value == {"put": "by the other"}
    assert house.ledger.committed == []


async def test_an_empty_result_is_a_result(house: House) -> None:
    async def shelf_put(shelf: Shelf) -> dict[str, str]:
        await shelf.put("a")
        return {}

    what = operation(shelf_put)
    assert (await house.run(what, idempotency_key="k")).value == {}
    assert (await house.run(what, idempotency_key="k")).value == {}
    assert house.ledger.rows() == ["row:a"]


async def test_a_key_with_other_arguments_is_refused(house: House) -> None:
    await house.run(PUT, {"name": "a"}, idempotency_key="k")
    with pytest.raises(IdempotencyConflict):
        await house.run(PUT, {"name": "b"}, idempotency_key="k")
    assert house.ledger.rows() == ["row:a"]


async def test_a_secret_result_is_never_stored(house: House) -> None:
    await house.run(operation(shelf_put, secret=True), idempotency_key="k")
    assert house.kept["k"][1] is None


def test_the_digest_knows_the_operation_the_arguments_and_not_their_order() -> None:
    assert digest_of("t", {"a": 1, "b": {"c": 1, "d": 2}}) == digest_of(
        "t", {"b": {"d": 2, "c": 1}, "a": 1}
    )
    different = {
        digest_of("t", {"a": 1}),
        digest_of("u", {"a": 1}),
        digest_of("t", {"a": "1"}),
        digest_of("t", {"a": True}),
        digest_of("t", {"a": [1]}),
        digest_of("t", {"b": 1}),
        digest_of("t", {}),
    }
    assert len(different) == 7
