"""Replicas on different machines: one database, one master key, their own homes."""

import asyncio
import base64
import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.support import postgres

from tause_mcp.errors import Misconfigured
from tause_mcp.testing.home import house

pytestmark = [pytest.mark.anyio, pytest.mark.embedded]
KEY = base64.b64encode(os.urandom(32)).decode()


@pytest.fixture
def server() -> dict[str, str]:
    return {
        "TAUSE_DATABASE_URL": postgres.server().create("replicas"),
        "TAUSE_DATABASE_ADMIN_URL": postgres.server().url("replicas", "owner"),
        "TAUSE_STORAGE_URL": "memory://",
        "TAUSE_ENCRYPTION_KEY": KEY,
    }


async def test_replicas_that_start_together_share_every_secret(
    server: dict[str, str], tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:

        async def start(n: int) -> Any:
            return await stack.enter_async_context(house(tmp_path / f"home{n}", **server))

        first = await start(0)
        homes = [first, await start(1), await start(2)]
        platforms = [home.platform for home in homes]
        assert len({p.seal.derive("x") for p in platforms}) == 1
        assert len({p.verifier.pepper for p in platforms}) == 1
        assert len({p.verifier.keyring.kid for p in platforms}) == 1
        await first.tenant("ta")
        made = await first.call("access_create_key", {"role": "developer"}, "ta")
        who = await platforms[1].verify(made["key"])
        assert who.tenant == "ta"
        token = platforms[2].issue(who.tenant, "ana", who.scopes, 60)
        assert (await platforms[0].verify(token)).subject.endswith("ana")
        await homes[0].call("secrets_put", {"name": "a", "value": "v"}, "ta")
        listed = await asyncio.gather(*(h.call("secrets_list", {}, "ta") for h in homes))
        assert listed[0] == listed[1] == listed[2]
    for name in ("secret", "pepper", "signing.pem"):
        assert not (tmp_path / "home1" / name).exists()


async def test_the_files_of_a_home_are_brought_in(server: dict[str, str], tmp_path: Path) -> None:
    async with house(tmp_path / "old", TAUSE_STORAGE_URL="memory://") as opened:
        before = opened.platform.seal.derive("x"), opened.platform.verifier.pepper
        kid = opened.platform.verifier.keyring.kid
    async with house(tmp_path / "old", **server) as moved:
        platform = moved.platform
        assert (platform.seal.derive("x"), platform.verifier.pepper) == before
        assert platform.verifier.keyring.kid == kid
    async with house(tmp_path / "other", **server) as replica:
        assert replica.platform.verifier.keyring.kid == kid


async def test_a_replica_with_another_master_key_refuses_to_start(
    server: dict[str, str], tmp_path: Path
) -> None:
    async with house(tmp_path / "home0", **server):
        pass
    wrong = base64.b64encode(os.urandom(32)).decode()
    for stated in (wrong, ""):
        with pytest.raises(Misconfigured) as refused:
            async with house(tmp_path / "home1", **{**server, "TAUSE_ENCRYPTION_KEY": stated}):
                pass
        assert wrong not in str(refused.value) and KEY not in str(refused.value)
    assert not (tmp_path / "home1" / "master.key").exists()


async def test_no_secret_of_the_house_is_in_its_rows(
    server: dict[str, str], tmp_path: Path
) -> None:
    async with house(tmp_path / "home0", **server) as opened:
        pepper = opened.platform.verifier.pepper
    rows = postgres.server().sql("SELECT value FROM house_secrets", database="replicas")
    assert rows.count("\\x01") == 4
    for secret in (pepper.hex(), pepper.hex().encode().hex(), b"PRIVATE KEY".hex()):
        assert secret not in rows
