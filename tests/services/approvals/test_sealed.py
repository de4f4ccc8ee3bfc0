"""What is asked of a person is kept sealed, each in its own record."""

import pytest
import sqlalchemy as sa

from tause_mcp.capability import Consent
from tause_mcp.database import Statement, TenantDatabase
from tause_mcp.errors import Unavailable
from tause_mcp.services.approvals.tables import approvals

from .conftest import A, House

pytestmark = pytest.mark.anyio


async def test_what_is_asked_is_kept_sealed_and_opens_in_its_own_record_only(
    house: House,
) -> None:
    first = await house.settle(consent=Consent("Pay canary-1b7e"))
    second = await house.settle(arguments={"order": "o2"}, consent=Consent("Pay nobody"))
    shown = sa.select(approvals.c.summary, approvals.c.sealed).where(approvals.c.id == first.id)
    mine = TenantDatabase(house.database, A)
    row = await mine.first(Statement(shown))
    assert row is not None and row[0] == "" and b"canary" not in bytes(row[1])
    assert (await house.of().get(first.id)).summary == "Pay canary-1b7e"
    moved = sa.update(approvals).where(approvals.c.id == second.id).values(sealed=bytes(row[1]))
    await mine.write(lambda tx: tx.run(Statement(moved)))
    with pytest.raises(Unavailable):
        await house.of().get(second.id)


async def test_a_record_that_an_older_release_kept_in_plain_is_shown(house: House) -> None:
    pending = await house.settle()
    old = sa.update(approvals).values(summary="Charge o1", sealed=None)
    await TenantDatabase(house.database, A).write(lambda tx: tx.run(Statement(old)))
    assert (await house.of().get(pending.id)).summary == "Charge o1"
