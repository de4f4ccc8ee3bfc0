"""The life of a call, step by step, over steps in memory."""

import asyncio
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
import structlog
from tests.support.pipeline import House, Shelf, operation

from tause_mcp.capability import Consent, Prompt
from tause_mcp.errors import (
    Conflict,
    DeadlineExceeded,
    Forbidden,
    IdempotencyConflict,
    Invalid,
    NotFound,
    RateLimited,
    TooLarge,
    Unavailable,
)
from tause_mcp.operation import compile_operation
from tause_mcp.pipeline import MAX_RESULT, AskPerson, Crash, digest_of

pytestmark = pytest.mark.anyio


async def shelf_put(shelf: Shelf, name: str = "a") -> dict[str, str]:
    await shelf.put(name)
    return {"put": name}


async def shelf_get(shelf: Shelf, name: str = "a") -> dict[str, str]:
    return {"got": name}


PUT = operation(shelf_put, part="name")
GET = operation(shelf_get, "shelf:read")
ASK = Consent("Put it?")
PAY = operation(shelf_put, consent=lambda arguments: ASK)
PAID = f"ap:{digest_of('shelf_put', {})}"


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as captured:
        yield captured


def approve(house: House, **arguments: Any) -> None:
    house.granted.add(digest_of("shelf_put", arguments))


def failing(error: BaseException, *, after: bool = False, **declared: Any) -> Any:
    """A tool that fails; `after` it has committed a row."""

    async def shelf_put(shelf: Shelf) -> dict[str, str]:
        if after:
            await shelf.put("a")
        raise error

    return operation(shelf_put, **declared)


# --- the order of the steps ---------------------------------------------------------------------


async def test_a_change_takes_every_step_in_its_order(house: House) -> None:
    approve(house)
    result = await house.run(PAY, idempotency_key="k")
    assert house.ledger.steps == [
        "tenant", "recall", "consent", "limits", "claim", "bind", "keep"
    ]  # fmt: skip
    assert house.ledger.committed == ["row:a", "audit:shelf_put", "mark:k", f"spent:{PAID}"]
    assert result.value == {"put": "a"}
    assert result.text == b'{"put":"a"}'
    assert house.counted == [("ta", "shelf_put", True, 11)]


async def test_a_read_is_neither_audited_nor_keyed_nor_asked(house: House) -> None:
    result = await house.run(GET, idempotency_key="k")
    assert house.ledger.steps == ["tenant", "limits", "bind"]
    assert house.ledger.committed == []
    assert result.value == {"got": "a"}
    assert house.counted == [("ta", "shelf_get", True, 11)]


async def test_what_forwards_leaves_consent_keys_and_audit_to_its_target(house: House) -> None:
    forwards = operation(shelf_get, forwards=True, consent=lambda a: ASK)
    await house.run(forwards, idempotency_key="k")
    assert house.ledger.steps == ["tenant", "limits", "bind"]
    assert house.ledger.committed == []


async def test_a_change_that_kept_its_data_elsewhere_is_audited_too(house: House) -> None:
    await house.run(operation(shelf_get), idempotency_key="k")
    assert house.ledger.committed == ["audit:shelf_get", "mark:k"]


async def test_a_change_of_two_transactions_is_audited_once(house: House) -> None:
    async def shelf_put(shelf: Shelf) -> dict[str, str]:
        await shelf.put("a")
        await shelf.put("b")
        return {}

    await house.run(operation(shelf_put))
    assert house.ledger.committed == ["row:a", "audit:shelf_put", "row:b"]


async def test_a_prompt_is_text_and_no_json(house: House) -> None:
    def shelf_tidy(how: str) -> str:
        return f"Tidy up {how}."

    tidy = compile_operation(Prompt(shelf_tidy, "Tidy", "shelf:read"), "shelf", frozenset())
    result = await house.run(tidy, {"how": "now"})
    assert (result.value, result.text) == ("Tidy up now.", None)


# --- what is refused before the work ------------------------------------------------------------


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [
        (("shelf:write",), True),
        (("shelf:*",), True),
        (("*:write",), True),
        (("shelf:write:a",), True),
        (("shelf:write:a*",), True),
        (("shelf:write:b",), False),
        (("shelf:write:ab*",), False),
        (("shelf:read",), False),
        (("shelfs:write",), False),
        (("*:read", "other:*"), False),
    ],
)
async def test_a_scope_holds_with_its_part(
    house: House, scopes: tuple[str, ...], allowed: bool
) -> None:
    if allowed:
        await house.run(PUT, {"name": "a"}, *scopes)
        assert house.ledger.rows() == ["row:a"]
        return
    with pytest.raises(Forbidden):
        await house.run(PUT, {"name": "a"}, *scopes, idempotency_key="k")
    assert house.ledger.steps == []
    assert house.ledger.committed == []


async def test_a_default_is_a_part_too(house: House) -> None:
    with pytest.raises(Forbidden):
        await house.run(PUT, {}, "shelf:write:b")


async def test_a_bad_argument_reaches_no_step(house: House) -> None:
    with pytest.raises(Invalid) as refused:
        await house.run(PUT, {"name": 5})
    assert refused.value.field == "name"
    assert house.ledger.steps == []
    assert house.counted == [("ta", "shelf_put", False, 0)]


async def test_a_suspended_tenant_looks_absent(house: House) -> None:
    house.active.clear()
    for what in (PUT, GET):
        with pytest.raises(NotFound, match="no such tenant"):
            await house.run(what)
    assert house.ledger.steps == ["tenant", "tenant"]


async def test_a_limit_refuses_before_the_work_and_gives_everything_back(house: House) -> None:
    approve(house)
    house.limit = RateLimited("too many calls", retry_after=2.0)
    for what in (GET, PAY):
        with pytest.raises(RateLimited):
            await house.run(what, idempotency_key="k")
    assert "bind" not in house.ledger.steps
    house.limit = None
    assert (await house.run(PAY, idempotency_key="k")).value == {"put": "a"}


@pytest.mark.parametrize(("path", "local"), [("/etc/x", False), ("/etc/x", True), (None, False)])
async def test_a_local_argument_works_beside_the_files_only(
    house: House, path: str | None, local: bool
) -> None:
    async def shelf_put(shelf: Shelf, path: str | None = None) -> dict[str, str]:
        return {}

    what = operation(shelf_put, local_only=("path",))
    if path is None or local:
        await house.run(what, {"path": path}, local=local)
        return
    with pytest.raises(Invalid, match="stdio") as refused:
        await house.run(what, {"path": path})
    assert refused.value.field == "path"
    assert "/etc" not in str(refused.value)
    assert house.ledger.steps == []


# --- consent ------------------------------------------------------------------------------------


async def test_a_pending_approval_is_an_ordinary_result_and_nothing_is_done(house: House) -> None:
    result = await house.run(PAY, idempotency_key="k")
    assert result.approval is not None
    assert result.value == {
        "status": "approval_required",
        "id": PAID,
        "url": "https://h/a",
        "command": f"tause-mcp approvals approve {PAID}",
        "summary": "Put it?",
        "expires_at": "2026-01-01",
    }
    assert house.ledger.steps == ["tenant", "recall", "consent"]
    assert house.ledger.committed == []
    assert house.kept == {}


async def test_the_same_call_completes_once_and_asks_again_after_that(house: House) -> None:
    await house.run(PAY)
    approve(house)
    assert (await house.run(PAY)).value == {"put": "a"}
    assert (await house.run(PAY)).value["status"] == "approval_required"
    assert house.ledger.rows() == ["row:a"]


async def test_an_approval_of_other_arguments_does_not_count(house: House) -> None:
    approve(house, name="b")
    assert (await house.run(PAY, {"name": "a"})).value["status"] == "approval_required"
    assert house.ledger.committed == []


async def test_a_null_argument_is_the_same_call_as_an_absent_one(house: House) -> None:
    approve(house)
    assert (await house.run(PAY, {"name": None})).value == {"put": "a"}


async def test_a_refusal_is_forbidden_and_nothing_is_done(house: House) -> None:
    house.answered = "no"
    with pytest.raises(Forbidden, match="a person refused"):
        await house.run(PAY)
    assert house.ledger.committed == []


async def test_a_call_that_needs_nobody_asks_nobody(house: House) -> None:
    free = operation(shelf_put, consent=lambda arguments: None)
    assert (await house.run(free)).value == {"put": "a"}
    assert "consent" not in house.ledger.steps


async def test_what_would_be_refused_anyway_is_not_asked(house: House) -> None:
    def guard(caller: Any, arguments: Any) -> None:
        raise Forbidden("not yours")

    guarded = operation(shelf_put, consent=lambda arguments: ASK, guard=guard)
    with pytest.raises(Forbidden, match="not yours"):
        await house.run(guarded)
    assert "consent" not in house.ledger.steps


async def test_a_question_reaches_the_door(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    from tause_mcp.pipeline import Approval

    async def ask(*_: Any) -> Approval:
        raise AskPerson(Approval("ap", "pending", "Put it?", "", ""))

    monkeypatch.setattr(house, "settle", ask)
    with pytest.raises(AskPerson):
        await house.run(PAY)
    assert house.ledger.committed == []


# --- what a failed call gives back --------------------------------------------------------------


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


# --- failures -----------------------------------------------------------------------------------


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
