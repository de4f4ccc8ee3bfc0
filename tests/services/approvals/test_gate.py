"""A call that needs a person: asked once, answered once, used once."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.rows import make_file

from tause_mcp import times
from tause_mcp.capability import Consent, Tool
from tause_mcp.database import TenantDatabase, open_database
from tause_mcp.errors import Conflict, Forbidden, NotFound
from tause_mcp.operation import compile_operation
from tause_mcp.pipeline import Approval, AskPerson
from tause_mcp.tenancy import TenantId

from .conftest import AB, PAY, A, House, caller, payments_create

pytestmark = pytest.mark.anyio


async def asked(house: House, **call: object) -> Approval:
    with pytest.raises(AskPerson) as question:
        await house.settle(elicits=True, **call)  # type: ignore[arg-type]
    return question.value.approval


async def approved(house: House, tenant: TenantId = A) -> str:
    pending = await house.settle(caller(tenant))
    await house.of(tenant).answer(pending.id, True, "ana", "cli")
    return pending.id


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Move the clock on by some seconds."""
    moved = [0]
    real = times.now
    monkeypatch.setattr(times, "now", lambda: real() + moved[0] * times.SECOND)

    def move(seconds: int) -> None:
        moved[0] += seconds

    return move


# --- what must not pass ---------------------------------------------------------------------


async def test_an_answer_nobody_was_asked_for_does_not_count(house: House) -> None:
    pending = await house.settle()
    again = await house.settle(answers={pending.id: True})
    assert again.status == "pending"


async def test_an_answer_to_another_record_does_not_count(house: House) -> None:
    first = await asked(house)
    other = await asked(house, arguments={"order": "o2"})
    again = await house.settle(elicits=True, answers={other.id: True, "ap_ta.forged": True})
    assert (again.status, again.id) == ("pending", first.id)


async def test_an_approval_does_not_cover_other_arguments(house: House) -> None:
    id_ = await approved(house)
    other = await house.settle(arguments={"order": "o2"})
    assert other.status == "pending"
    assert other.id != id_


async def test_an_approval_does_not_cover_another_tool(house: House) -> None:
    await approved(house)
    void = compile_operation(
        Tool(payments_create, "Void", "payments:write"), "payments", frozenset()
    )
    void = replace(void, name="payments_void")
    assert (await house.settle(operation=void)).status == "pending"


async def test_an_approval_does_not_cover_another_caller(house: House) -> None:
    id_ = await approved(house)
    other = await house.settle(caller(A, "key:other"))
    assert (other.status, other.id == id_) == ("pending", False)


@pytest.mark.parametrize("foreign", [AB, TenantId("t-a"), TenantId("t_a")])
async def test_an_approval_does_not_cover_another_tenant(house: House, foreign: TenantId) -> None:
    await approved(house)
    assert (await house.settle(caller(foreign))).status == "pending"


async def test_a_caller_acting_for_a_tenant_is_not_its_own_key(house: House) -> None:
    """Same subject, same tenant, another home: another principal."""
    await approved(house)
    acting = replace(caller(), home=AB)
    assert (await house.settle(acting)).status == "pending"


async def test_an_approval_is_used_once(house: House) -> None:
    id_ = await approved(house)
    granted = await house.settle()
    assert (granted.status, granted.id) == ("granted", id_)
    again = await house.settle()
    assert again.status == "pending"
    assert again.id != id_


async def test_one_of_many_parallel_calls_in_several_processes_uses_it(
    house: House, path: Path
) -> None:
    await approved(house)
    async with (
        open_database(make_file(path)) as one,
        open_database(make_file(path)) as two,
    ):
        doors = [house, House(one), House(two)] * 8
        found = await asyncio.gather(*(d.settle() for d in doors), return_exceptions=True)
    granted = [f for f in found if isinstance(f, Approval) and f.status == "granted"]
    rest = [f for f in found if not (isinstance(f, Approval) and f.status == "granted")]
    assert len(granted) == 1
    assert all(isinstance(f, Conflict) or f.status == "pending" for f in rest)  # type: ignore[union-attr]


async def test_parallel_first_calls_share_one_record(house: House, path: Path) -> None:
    async with open_database(make_file(path)) as one:
        found = await asyncio.gather(*(h.settle() for h in [house, House(one)] * 6))
    assert len({f.id for f in found}) == 1


async def test_an_expired_approval_is_not_used(house: House, later: Callable[[int], None]) -> None:
    id_ = await approved(house)
    later(61)
    fresh = await house.settle()
    assert (fresh.status, fresh.id == id_) == ("pending", False)
    assert (await house.of().get(id_)).status == "expired"


async def test_an_expired_record_cannot_be_answered(
    house: House, later: Callable[[int], None]
) -> None:
    pending = await house.settle()
    later(61)
    with pytest.raises(Conflict):
        await house.of().answer(pending.id, True, "ana", "cli")


async def test_an_answer_by_the_client_comes_too_late_after_expiry(
    house: House, later: Callable[[int], None]
) -> None:
    question = await asked(house)
    later(61)
    assert (await house.settle(answers={question.id: True})).status == "pending"


async def test_a_refusal_is_told_once_and_then_asked_anew(house: House) -> None:
    pending = await house.settle()
    await house.of().answer(pending.id, False, "ana", "cli")
    with pytest.raises(Forbidden, match="a person refused"):
        await house.settle()
    fresh = await house.settle()
    assert (fresh.status, fresh.id == pending.id) == ("pending", False)
    assert (await house.of().get(pending.id)).status == "denied"


async def test_a_replayed_answer_does_nothing_after_it_was_used(house: House) -> None:
    question = await asked(house)
    assert (await house.settle(answers={question.id: True})).status == "granted"
    assert (await house.settle(answers={question.id: True})).status == "pending"


# --- the ceiling and callers without a person -------------------------------------------------

MONEY = Consent("Pay 900 COP", amount=900, currency="COP")


async def test_above_the_ceiling_the_client_is_neither_asked_nor_believed(house: House) -> None:
    house.ceilings[A, "COP"] = 899
    pending = await house.settle(consent=MONEY, elicits=True)
    assert (pending.status, pending.page_only) == ("pending", True)
    again = await house.settle(consent=MONEY, elicits=True, answers={pending.id: True})
    assert again.status == "pending"


async def test_above_the_ceiling_the_shell_does_not_count(house: House) -> None:
    house.ceilings[A, "COP"] = 899
    pending = await house.settle(consent=MONEY)
    with pytest.raises(Forbidden, match="page"):
        await house.of().answer(pending.id, True, "ana", "cli")
    await house.of().answer(pending.id, True, caller(A, "ana", "approvals:admin"), "page")
    assert (await house.settle(consent=MONEY)).status == "granted"


async def test_a_ceiling_lowered_after_the_question_leaves_only_the_page(house: House) -> None:
    question = await asked(house, consent=MONEY)
    house.ceilings[A, "COP"] = 1
    again = await house.settle(consent=MONEY, elicits=True, answers={question.id: True})
    assert (again.status, again.page_only) == ("pending", True)
    with pytest.raises(Forbidden, match="page"):
        await house.of().answer(question.id, True, "ana", "cli")


async def test_the_ceiling_itself_is_not_above_it(house: House) -> None:
    house.ceilings[A, "COP"] = 900
    assert not (await asked(house, consent=MONEY)).page_only


async def test_an_amount_without_a_currency_is_above_every_ceiling(house: House) -> None:
    house.ceilings[A, "COP"] = 10_000
    assert (await house.settle(consent=Consent("Pay", amount=1), elicits=True)).page_only


async def test_another_tenants_ceiling_does_not_count(house: House) -> None:
    house.ceilings[AB, "COP"] = 1
    assert not (await house.settle(consent=MONEY)).page_only


ROBOT = ("payments:write", "payments:unattended")


async def test_an_unattended_caller_passes_under_the_ceiling(house: House) -> None:
    house.ceilings[A, "COP"] = 900
    granted = await house.settle(caller(A, "key:robot", *ROBOT), consent=MONEY)
    assert granted.status == "granted"
    assert (await house.of().get(granted.id)).means == "unattended"


async def test_an_unattended_caller_waits_above_the_ceiling(house: House) -> None:
    house.ceilings[A, "COP"] = 899
    waiting = await house.settle(caller(A, "key:robot", *ROBOT), consent=MONEY)
    assert (waiting.status, waiting.page_only) == ("pending", True)


async def test_without_a_ceiling_an_unattended_caller_spends_nothing(house: House) -> None:
    waiting = await house.settle(caller(A, "key:robot", *ROBOT), consent=MONEY)
    assert waiting.status == "pending"
    assert (await house.settle(caller(A, "key:robot", *ROBOT))).status == "granted"


@pytest.mark.parametrize(
    "scope", ["*:*", "payments:*", "storage:unattended", "payments:unattended:other"]
)
async def test_only_the_named_scope_is_unattended(house: House, scope: str) -> None:
    """An owner's `*:*` is still asked."""
    assert (await house.settle(caller(A, "key:owner", scope))).status == "pending"


async def test_what_passed_unattended_is_never_given_back(house: House) -> None:
    robot = caller(A, "key:robot", *ROBOT)
    granted = await house.settle(robot)
    await house.gate.release(A, granted.id)
    demoted = caller(A, "key:robot", "payments:write")
    assert (await house.settle(demoted)).status == "pending"


# --- what passes --------------------------------------------------------------------------------


async def test_the_client_is_asked_once_and_its_answer_completes_the_call(house: House) -> None:
    question = await asked(house)
    assert question.url == f"https://h/approvals/{question.id}"
    granted = await house.settle(elicits=True, answers={question.id: True})
    assert (granted.status, granted.id) == ("granted", question.id)
    assert (await house.of().get(question.id)).means == "elicitation"


async def test_a_client_that_said_nothing_gets_the_link(house: House) -> None:
    question = await asked(house)
    again = await house.settle(elicits=True)
    assert (again.status, again.id) == ("pending", question.id)


async def test_a_no_from_the_client_is_a_refusal(house: House) -> None:
    question = await asked(house)
    with pytest.raises(Forbidden):
        await house.settle(elicits=True, answers={question.id: False})


async def test_a_client_without_elicitation_completes_the_same_call_later(house: House) -> None:
    id_ = await approved(house)
    assert (await house.settle()).id == id_


async def test_failed_work_gives_the_approval_back(house: House) -> None:
    id_ = await approved(house)
    granted = await house.settle()
    await house.gate.release(A, granted.id)
    again = await house.settle()
    assert (again.status, again.id) == ("granted", id_)


async def test_a_spent_approval_is_never_given_back(house: House) -> None:
    """The change is committed: whatever fails after it, the same call asks again."""
    await approved(house)
    granted = await house.settle()
    await TenantDatabase(house.database, A).write(house.gate.spend(granted.id))
    await house.gate.release(A, granted.id)
    assert (await house.settle()).status == "pending"
    assert (await house.of().get(granted.id)).status == "consumed"


async def test_another_tenant_cannot_spend_an_approval(house: House) -> None:
    await approved(house)
    granted = await house.settle()
    await TenantDatabase(house.database, AB).write(house.gate.spend(granted.id))
    await house.gate.release(A, granted.id)
    assert (await house.settle()).status == "granted"


async def test_a_released_approval_does_not_join_one_that_was_asked_meanwhile(
    house: House,
) -> None:
    id_ = await approved(house)
    await house.settle()
    waiting = await house.settle()
    await house.gate.release(A, id_)
    assert (await house.settle()).id == waiting.id
    assert (await house.of().get(id_)).status == "consumed"


async def test_another_tenant_cannot_give_an_approval_back(house: House) -> None:
    id_ = await approved(house)
    await house.settle()
    await house.gate.release(AB, id_)
    assert (await house.settle()).status == "pending"


async def test_the_summary_and_the_caller_are_what_a_person_sees(house: House) -> None:
    pending = await house.settle()
    record = await house.of().get(pending.id)
    assert (record.summary, record.subject, record.tool) == ("Charge o1", "key:agent", PAY.name)


# --- answers -----------------------------------------------------------------------------------


async def test_an_approval_is_answered_once(house: House) -> None:
    pending = await house.settle()
    await house.of().answer(pending.id, False, "ana", "cli")
    with pytest.raises(Conflict):
        await house.of().answer(pending.id, True, "ana", "cli")


async def test_a_foreign_and_an_absent_approval_look_the_same(house: House) -> None:
    pending = await house.settle()
    texts = []
    for id_ in (pending.id, "ap_tab.AAAAAAAAAAAAAAAAAAAAAAAA"):
        with pytest.raises(NotFound) as absent:
            await house.of(AB).get(id_)
        texts.append((str(absent.value), absent.value.describe()))
        with pytest.raises(NotFound):
            await house.of(AB).answer(id_, True, "ana", "cli")
    assert texts[0] == texts[1]


async def test_the_page_needs_the_admin_scope_of_that_tenant(house: House) -> None:
    pending = await house.settle()
    book = house.of()
    with pytest.raises(Forbidden):
        await book.answer(pending.id, True, caller(A, "ana", "approvals:read"), "page")
    with pytest.raises(NotFound):
        await book.answer(pending.id, True, caller(AB, "ana", "approvals:admin"), "page")
    with pytest.raises(Forbidden):
        await book.answer(pending.id, True, "nobody", "page")
    assert (await book.get(pending.id)).status == "pending"


async def test_the_page_records_who_answered(house: House) -> None:
    pending = await house.settle()
    done = await house.of().answer(
        pending.id, True, caller(A, "key:ana", "approvals:admin"), "page"
    )
    assert (done.status, done.answered_by, done.means) == ("approved", "key:ana", "page")
