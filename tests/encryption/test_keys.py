"""A tenant's data key: made once, wrapped, the same for every process, gone with the tenant."""

import asyncio
import base64
import os
import shutil
from pathlib import Path

import pytest
from tests.encryption.conftest import TA, TAB, Ground, view
from tests.support.rows import make_file
from tests.support.tenants import at_once

from tause_mcp import encryption
from tause_mcp.database import open_database
from tause_mcp.encryption import keys as module
from tause_mcp.errors import Misconfigured, NotFound, Unavailable
from tause_mcp.migrations import database_url
from tause_mcp.services.tenants.tables import INSERT
from tause_mcp.settings import Settings

pytestmark = pytest.mark.anyio


def fresh_key() -> str:
    return base64.b64encode(os.urandom(32)).decode()


def stating(settings: Settings, **more: str) -> Settings:
    return settings.model_copy(update=more)


async def test_a_key_is_made_at_first_use_and_stays(ground: Ground) -> None:
    assert await ground.rows(TA) == []
    sealed = (await ground.keys.cipher(TA)).seal("a", b"x")
    assert len(await ground.rows(TA)) == 1
    other = await view(ground.settings, ground.database)
    assert (await other.keys.cipher(TA)).open("a", sealed) == b"x"


async def test_processes_that_race_for_the_first_key_get_the_same(ground: Ground) -> None:
    views = [await view(ground.settings, ground.database) for _ in range(8)]
    ciphers = await asyncio.gather(*(v.keys.cipher(TA) for v in views))
    sealed = ciphers[0].seal("a", b"x")
    assert all(cipher.open("a", sealed) == b"x" for cipher in ciphers)
    assert len(await ground.rows(TA)) == 1


async def test_two_tenants_have_two_keys(ground: Ground) -> None:
    sealed = (await ground.keys.cipher(TA)).seal("a", b"x")
    with pytest.raises(Unavailable):
        (await ground.keys.cipher(TAB)).open("a", sealed)


async def test_a_wrapped_key_copied_to_another_tenant_does_not_open(ground: Ground) -> None:
    from tause_mcp.encryption.masters import Masters

    await ground.keys.cipher(TA)
    (generation, wrapped), *_ = await ground.rows(TA)
    masters: Masters = ground.keys.masters
    assert len(await masters.unwrap(wrapped, module.about(TA, generation))) == 32
    with pytest.raises(Unavailable):
        await masters.unwrap(wrapped, module.about(TAB, generation))
    with pytest.raises(Unavailable):
        await masters.unwrap(wrapped, module.about(TA, generation + 1))


async def test_a_tenant_that_never_was_gets_no_key(ground: Ground) -> None:
    with pytest.raises(NotFound):
        await ground.keys.cipher(encryption.keys.TenantId("nobody"))


async def test_a_living_tenants_key_is_not_destroyed(ground: Ground) -> None:
    await ground.keys.cipher(TA)
    await ground.keys.destroy(TA)
    assert len(await ground.rows(TA)) == 1


async def test_a_deleted_tenants_key_is_gone_and_a_late_call_makes_none(ground: Ground) -> None:
    sealed = (await ground.keys.cipher(TA)).seal("a", b"x")
    await ground.mark_deleted(TA)
    await ground.keys.destroy(TA)
    assert await ground.rows(TA) == []
    with pytest.raises(NotFound):
        await ground.keys.cipher(TA)
    await ground.remove(TA)
    await ground.tenant(TA)
    with pytest.raises(Unavailable):
        (await ground.keys.cipher(TA)).open("a", sealed)


async def test_a_removed_tenants_key_is_the_first_to_go(ground: Ground) -> None:
    await ground.keys.cipher(TA)
    await ground.mark_deleted(TA)

    async def store_is_down(tenant: str) -> None:
        raise Unavailable("the bucket is down")

    ground.directory.farewells += [ground.keys.destroy, store_is_down]
    with pytest.raises(Unavailable):
        await ground.directory.remove(TA)
    assert await ground.rows(TA) == []


async def test_another_process_forgets_a_destroyed_key_in_time(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BELIEVED", 1.5)
    other = await view(ground.settings, ground.database)
    await other.keys.cipher(TA)
    await ground.mark_deleted(TA)
    await ground.keys.destroy(TA)
    await other.keys.cipher(TA)  # believed for a moment
    await asyncio.sleep(1.6)
    with pytest.raises(NotFound):
        await other.keys.cipher(TA)


async def test_the_key_of_a_former_tenant_is_not_used_for_the_new_one(ground: Ground) -> None:
    other = await view(ground.settings, ground.database)
    await other.directory.active_since(TA)
    before = await other.keys.cipher(TA)
    await ground.mark_deleted(TA)
    await ground.keys.destroy(TA)
    await ground.remove(TA)
    fresh = {"parent": "default", "named": TA, "plan": None, "now": 5_000_000}
    from tause_mcp.services.tenants import tables

    await ground.database.write(
        None, lambda tx: tx.run(tables.INSERT, child=TA, **fresh), house=True
    )
    await other.directory.active_since(TA)  # what proves a credential of the new tenant
    assert await other.keys.cipher(TA) is not before


async def test_an_opened_key_costs_no_query_for_a_while(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    cipher = await ground.keys.cipher(TA)
    monkeypatch.setattr(ground.keys, "_database", None)
    assert await ground.keys.cipher(TA) is cipher


async def test_another_master_key_refuses_to_start(ground: Ground) -> None:
    for stated in (fresh_key(), f"{fresh_key()},{fresh_key()}"):
        with pytest.raises(Misconfigured, match="another master key"):
            await view(stating(ground.settings, encryption_key=stated), ground.database)


async def test_a_lost_master_key_refuses_to_start_and_makes_no_other(ground: Ground) -> None:
    file = ground.settings.at_home("master.key")
    file.rename(file.with_name("away"))
    with pytest.raises(Misconfigured, match="master key is missing"):
        await view(ground.settings, ground.database)
    assert not file.exists()


async def test_a_cut_master_key_refuses_to_start(ground: Ground) -> None:
    file = ground.settings.at_home("master.key")
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(Misconfigured, match="damaged"):
        await view(ground.settings, ground.database)


async def test_replicas_that_start_together_agree_or_refuse(
    settings: Settings, tmp_path: Path
) -> None:
    async with open_database(database_url(settings)) as database:
        homes = [stating(settings, home=tmp_path / f"home{n}") for n in range(4)]
        told = await asyncio.gather(*(view(h, database) for h in homes), return_exceptions=True)
        assert sum(isinstance(t, Ground) for t in told) == 1
        assert sum(isinstance(t, Misconfigured) for t in told) == 3
        same = [stating(homes[0], home=tmp_path / "same")] * 4
        shutil.copytree(_winner(homes, told), tmp_path / "same")
        assert all(await asyncio.gather(*(view(h, database) for h in same)))


def _winner(homes: list[Settings], told: list[object]) -> Path:
    return next(h.home for h, t in zip(homes, told, strict=True) if isinstance(t, Ground))


@pytest.mark.parametrize(
    "stated",
    ["short", "", "AAAA", "ñ" * 43, f"{'A' * 43}=,", "ftp://x/y", "A" * 40],
)
def test_a_master_key_of_the_wrong_form_is_one_line(stated: str, tmp_path: Path) -> None:
    from tause_mcp.encryption.masters import SETTING, read_masters

    if not stated:
        return
    with pytest.raises(Misconfigured, match=SETTING) as refused:
        read_masters(stated, tmp_path / "master.key")
    assert stated not in str(refused.value)


async def test_an_older_master_key_still_opens(ground: Ground) -> None:
    old = base64.b64encode(ground.settings.at_home("master.key").read_bytes()).decode()
    sealed = (await ground.keys.cipher(TA)).seal("a", b"x")
    both = await view(
        stating(ground.settings, encryption_key=f"{fresh_key()},{old}"), ground.database
    )
    assert (await both.keys.cipher(TA)).open("a", sealed) == b"x"
    await both.keys.cipher(TAB)
    with pytest.raises(Unavailable):  # made under the newer one, which this view has not
        await ground.keys.cipher(TAB)


def test_the_file_is_the_persons_alone(tmp_path: Path) -> None:
    from tause_mcp.encryption.masters import read_masters

    read_masters("", tmp_path / "home" / "master.key")()
    assert (tmp_path / "home" / "master.key").stat().st_mode & 0o777 == 0o600


FIRST_USE = """
import asyncio, sys
import tause_mcp.services.tenants
from pathlib import Path
from tause_mcp.database import open_database
from tause_mcp.encryption import TenantKeys, open_masters
from tause_mcp.settings import Settings
from tause_mcp.tenancy import TenantId

async def main(home, rows):
    settings = Settings(home=Path(home))
    async with open_database(rows) as database:
        keys = TenantKeys(database, await open_masters(settings, database), lambda tenant: 0)
        print((await keys.cipher(TenantId("ta"))).seal("a", b"x").hex())

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.embedded
async def test_several_processes_that_start_at_once_have_one_key(tmp_path: Path) -> None:
    url = make_file(tmp_path / "rows.db")
    settings = Settings(home=tmp_path / "home")
    async with open_database(url) as database:
        fresh = {"parent": None, "named": "ta", "plan": None, "now": 1}
        await database.write(None, lambda tx: tx.run(INSERT, child=TA, **fresh))
    told = at_once(FIRST_USE, str(settings.home), tmp_path / "rows.db", count=4)
    async with open_database(url) as database:
        cipher = await (await view(settings, database)).keys.cipher(TA)
        assert [cipher.open("a", bytes.fromhex(line)) for line in told] == [b"x"] * 4
