"""The order of a call's steps, what is refused before the work, and consent."""

from dataclasses import replace
from typing import Any

import anyio
import pytest
from tests.support.pipeline import House, Shelf, operation
from tests.support.shelf import ASK, GET, PAID, PAY, PUT, approve, shelf_get, shelf_put

from tause_mcp.capability import Consent, Prompt
from tause_mcp.errors import (
    Conflict,
    DeadlineExceeded,
    Forbidden,
    Invalid,
    NotFound,
    RateLimited,
)
from tause_mcp.operation import compile_operation
from tause_mcp.pipeline import AskPerson

pytestmark = pytest.mark.anyio


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


# --- the house's own looks ----------------------------------------------------------------------


async def test_the_houses_own_look_takes_nothing_of_the_tenants_rate_and_usage(
    house: House,
) -> None:
    house.limit = RateLimited("too many calls", retry_after=2.0)
    for what in (GET, PUT):
        await house.run(what, house=True)
    assert house.counted == []
    assert house.ledger.committed == ["row:a", "audit:shelf_put"]


async def test_a_look_that_changed_nothing_is_not_recorded(house: House) -> None:
    async def shelf_put(shelf: Shelf) -> dict[str, str]:
        async def nothing(tx: Any) -> None: ...

        await shelf.database.write(nothing)
        return {}

    await house.run(operation(shelf_put), house=True)
    assert house.ledger.committed == []
    await house.run(operation(shelf_put))
    assert house.ledger.committed == ["audit:shelf_put"]


async def test_what_a_failed_look_had_changed_is_recorded(house: House) -> None:
    async def shelf_put(shelf: Shelf) -> dict[str, str]:
        await shelf.put("a")
        raise Conflict("no")

    with pytest.raises(Conflict):
        await house.run(operation(shelf_put), house=True)
    assert house.ledger.committed == ["row:a", "audit:shelf_put"]


async def test_a_look_of_the_house_needs_its_scope_and_an_active_tenant(house: House) -> None:
    with pytest.raises(Forbidden):
        await house.run(PUT, {}, "shelf:read", house=True)
    house.active.clear()
    with pytest.raises(NotFound):
        await house.run(PUT, house=True)
    assert house.ledger.committed == []


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

    for consent in (lambda arguments: ASK, None):
        guarded = operation(shelf_put, consent=consent, guard=guard)
        with pytest.raises(Forbidden, match="not yours"):
            await house.run(guarded)
    assert "consent" not in house.ledger.steps and house.ledger.rows() == []


async def test_what_stands_already_asks_nobody_and_what_cannot_be_is_refused(house: House) -> None:
    seen: list[str] = []
    price = ["1"]

    async def looks(shelf: Shelf, name: str) -> Consent | None:
        seen.append(name)
        if name == "gone":
            raise Conflict("it is gone")
        return None if name == "stands" else Consent(f"Put {name} for {price[0]}?")

    looked = operation(shelf_put, consent=lambda arguments: ASK, asks=looks)
    assert (await house.run(looked, {"name": "stands"})).value == {"put": "stands"}
    assert "consent" not in house.ledger.steps
    with pytest.raises(Conflict, match="it is gone"):
        await house.run(looked, {"name": "gone"})
    asked = await house.run(looked)
    assert asked.value["summary"] == "Put a for 1?"
    assert asked.approval is not None
    house.granted.add(asked.approval.id.removeprefix("ap:"))
    price[0] = "2"
    assert (await house.run(looked)).value["summary"] == "Put a for 2?", "that was not approved"
    price[0] = "1"
    assert (await house.run(looked)).value == {"put": "a"}
    assert seen == ["stands", "gone", "a", "a", "a"]
    assert house.ledger.rows() == ["row:stands", "row:a"]


async def test_what_looks_first_has_a_deadline_and_only_the_arguments_of_its_tool(
    house: House,
) -> None:
    async def slow(shelf: Shelf) -> Consent | None:
        await anyio.sleep(30)
        return None

    async def other(shelf: Shelf, what: str) -> Consent | None:
        return None

    house.deadline = 0.05
    with pytest.raises(DeadlineExceeded, match="nothing was done"):
        await house.run(operation(shelf_put, consent=lambda arguments: ASK, asks=slow))
    with pytest.raises(TypeError, match="other asks for what"):
        operation(shelf_put, asks=other)


async def test_a_screen_looks_before_anything_is_read(house: House) -> None:
    def screen(arguments: Any) -> None:
        if "secret" in str(arguments):
            raise Invalid("not that", field="name")

    screened = replace(operation(shelf_put), screen=screen)
    with pytest.raises(Invalid, match="not that"):
        await house.run(screened, {"name": "secret", "unknown": 1}, idempotency_key="k")
    assert house.ledger.steps == []
    assert (await house.run(screened)).value == {"put": "a"}


async def test_a_question_reaches_the_door(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    from tause_mcp.pipeline import Approval

    async def ask(*_: Any) -> Approval:
        raise AskPerson(Approval("ap", "pending", "Put it?", "", ""))

    monkeypatch.setattr(house, "settle", ask)
    with pytest.raises(AskPerson):
        await house.run(PAY)
    assert house.ledger.committed == []


async def test_what_is_open_to_everyone_asks_for_no_scope(house: House) -> None:
    what = operation(shelf_get, "shelf:read", everyone=True)
    assert (await house.run(what, {}, "other:read")).value == {"got": "a"}


async def test_a_part_that_is_left_out_needs_the_whole_scope(house: House) -> None:
    async def shelf_get(shelf: Shelf, name: str | None = None) -> dict[str, str]:
        return {}

    what = operation(shelf_get, "shelf:read", part="name")
    await house.run(what, {"name": "ab"}, "shelf:read:a*")
    await house.run(what, {}, "shelf:read")
    for arguments in ({}, {"name": None}):
        with pytest.raises(Forbidden):
            await house.run(what, arguments, "shelf:read:a*")
