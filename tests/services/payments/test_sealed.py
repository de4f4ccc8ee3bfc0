"""What is the payer's is in no file in plain."""

from pathlib import Path
from uuid import uuid4

import pytest
from tests.canary.test_at_rest import spellings
from tests.support.rows import make_file

from tause_mcp import times
from tause_mcp.database import open_database
from tause_mcp.services.payments.values import Acceptance, Customer, Method

from .conftest import SHOWN, Till

pytestmark = [pytest.mark.anyio, pytest.mark.embedded]


async def test_nothing_of_the_payer_is_on_the_disk_in_plain(tmp_path: Path) -> None:
    def canary() -> str:
        canaries.append(f"canary{uuid4().hex}")
        return canaries[-1]

    canaries: list[str] = []
    phone, document = "3017654321", "1098765432"
    ana = Customer(f"{canary()[:40]}@example.com", f"Ana {canary()}", phone, "CC", document)
    path = tmp_path / "rows.db"
    order = f"order{uuid4().hex}"
    async with open_database(make_file(path)) as database:
        till = Till(database)
        told = {"customer": ana, "description": canary()}
        made = await till.create(order, **told)
        await till.payments.accept(made.id, SHOWN, canary())
        await till.create(f"{order}c", method=Method("checkout"), **told)
        card = Method("card", token=f"tok_test_{canary()}")
        said = Acceptance("2026-11-27T10:00:00Z", canary())
        await till.sent(f"{order}u", method=card, acceptance=said, **told)
        await till.create(f"{order}n", method=Method("nequi"), **told)
        token = f"tok_test_{canary()}"
        source = await till.sources.save("card", token, ana, acceptance=said)
        await till.sources.charge(f"{order}s", source.id, 500_000, "COP", description=canary())
        await till.schedules.schedule(
            source.id, 500_000, "COP", "day", times.now(), description=canary()
        )
        await till.links.create(canary(), canary(), amount=500_000)
        kept = await till.payments.get(made.id)
        assert (kept.customer, kept.description) == (ana, told["description"])
    raw = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert order.encode() in raw  # the search works
    hidden = [canaries[0][:40], *canaries[1:], phone, document]
    assert [text for text in hidden for spelling in spellings(text) if spelling in raw] == []
