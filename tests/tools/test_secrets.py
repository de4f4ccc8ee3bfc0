"""The secrets tools over the whole house: no answer, row of audit or log line shows a value."""

import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from tests.support.tenants import long_ago

from tause_mcp import log
from tause_mcp.errors import (
    Forbidden,
    IdempotencyConflict,
    Invalid,
    NotFound,
    Unavailable,
    Unconfigured,
)
from tause_mcp.limits import TenantLimits
from tause_mcp.services.secrets import Secrets, tables
from tause_mcp.testing.home import House, house

pytestmark = pytest.mark.anyio
CANARY = "canary-9b2d"


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path / "home") as opened:
        await opened.tenant("ta")
        await opened.tenant("tab")
        yield opened


async def test_a_secret_is_stored_listed_rotated_and_deleted(home: House) -> None:
    put = await home.call("secrets_put", {"name": "a", "value": CANARY, "description": "d"}, "ta")
    assert (put["name"], put["version"], put["description"]) == ("a", "1", "d")
    rotated = await home.call("secrets_rotate", {"name": "a", "value": CANARY + "2"}, "ta")
    assert rotated["version"] == "2" and rotated["previous_until"] > rotated["updated_at"]
    listed = await home.call("secrets_list", {}, "ta")
    assert listed == {"items": [rotated]}
    assert (await home.call("secrets_list", {}, "tab"))["items"] == []
    assert CANARY not in str((put, rotated, listed))
    assert await home.call("secrets_delete", {"name": "a"}, "ta") == {"name": "a", "deleted": True}
    with pytest.raises(NotFound):
        await home.call("secrets_delete", {"name": "a"}, "ta")


async def test_a_bad_argument_does_not_show_the_value(home: House) -> None:
    wrong = (
        {"name": "A", "value": CANARY},
        {"name": "a", "value": CANARY * 8000},
        {"name": "a", "value": [CANARY]},
        {"name": "a", "value": CANARY, "expires_in": -1},
        {"name": "a", "value": CANARY, "extra": CANARY},
    )
    for arguments in wrong:
        with pytest.raises(Exception) as refused:  # whatever it is
            await home.call("secrets_put", arguments, "ta")
        assert CANARY not in str(refused.value)
        assert isinstance(refused.value, Invalid) or refused.value.code == "too_large"


async def test_an_agent_reads_names_and_changes_nothing(home: House) -> None:
    await home.call("secrets_put", {"name": "a", "value": CANARY}, "ta")
    agent = home.caller("ta", "agent")
    assert len((await home.call("secrets_list", {}, agent))["items"]) == 1
    for tool, more in (("secrets_put", {"value": "x"}), ("secrets_delete", {})):
        with pytest.raises(Forbidden):
            await home.call(tool, {"name": "a", **more}, agent)


async def test_a_scope_may_name_one_secret(home: House) -> None:
    only = home.caller("ta", scopes=["secrets:write:stripe/*"])
    await home.call("secrets_put", {"name": "stripe/live", "value": "v"}, only)
    with pytest.raises(Forbidden):
        await home.call("secrets_put", {"name": "mail", "value": "v"}, only)


async def test_a_repeated_call_returns_the_first_answer(home: House) -> None:
    told = {"name": "a", "value": CANARY}
    first = await home.call("secrets_put", told, "ta", key="k1")
    assert await home.call("secrets_put", told, "ta", key="k1") == first
    with pytest.raises(IdempotencyConflict):
        await home.call("secrets_put", {**told, "value": "other"}, "ta", key="k1")


async def test_the_audit_trail_tells_no_guessable_digest_of_a_value(home: House) -> None:
    from tause_mcp.pipeline import digest_of

    await home.call("secrets_put", {"name": "pin", "value": "1234"}, "ta")
    (line,) = [
        one
        for one in (await home.call("audit_search", {}, "ta"))["items"]
        if one["action"] == "secrets_put"
    ]
    guessed = digest_of("secrets_put", {"name": "pin", "value": "1234"})
    assert guessed not in str(line)


async def test_a_reference_is_resolved_for_other_services(home: House) -> None:
    await home.call("secrets_put", {"name": "a", "value": CANARY}, "ta")
    operation = home.platform.catalog.tools["storage_get"]
    mine, theirs = (
        home.platform.binding(home.caller(t, "agent"), operation).service(Secrets)
        for t in ("ta", "tab")
    )
    assert await mine.resolve("secret://a") == CANARY
    with pytest.raises(NotFound):
        await theirs.resolve("secret://a")


async def test_a_deleted_tenants_secrets_are_gone_and_a_new_one_has_another_key(
    home: House,
) -> None:
    database = home.platform.database_of(home.caller("ta").tenant)
    await home.call("secrets_put", {"name": "a", "value": CANARY}, "ta")
    row = await database.first(tables.READ, named="a")
    assert row is not None
    asked = await home.call("tenants_delete", {"tenant_id": "ta"})
    await home.platform.answer(asked["id"], True, by="local:owner", means="cli")
    await home.call("tenants_delete", {"tenant_id": "ta"})
    await long_ago(home.platform.database, "ta")
    await home.tenant("ta")
    assert (await home.call("secrets_list", {}, "ta"))["items"] == []
    from tause_mcp.services.secrets.sources.rows import place_of

    cipher = await home.platform.keys.cipher(home.caller("ta").tenant)
    with pytest.raises(Unavailable):
        cipher.open(place_of("a", 1), bytes(row[1]))


async def test_what_holds_a_deletion_up_does_not_hold_up_the_end_of_the_key(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tause_mcp.encryption.tables import KEYS

    async def down(tenant: str) -> None:
        raise Unavailable("the source is down")

    await home.call("secrets_put", {"name": "a", "value": CANARY}, "ta")
    monkeypatch.setattr(home.platform.shared[TenantLimits], "forget", down)
    asked = await home.call("tenants_delete", {"tenant_id": "ta"})
    await home.platform.answer(asked["id"], True, by="local:owner", means="cli")
    with suppress(Unavailable):
        await home.call("tenants_delete", {"tenant_id": "ta"})
    database = home.platform.database_of(home.caller("ta").tenant)
    assert await database.read(lambda tx: tx.all(KEYS)) == []
    assert await database.first(tables.READ, named="a") is not None  # the rows still wait


PLUGGED = """
from contextlib import asynccontextmanager
from tause_mcp.services.secrets.sources import read_only
from tause_mcp.services.secrets.values import Held, Secret

class Source:
    def of(self, ground):
        self.tenant = ground.tenant
        return self
    async def put(self, name, change):
        raise read_only()
    async def list(self, after, count):
        return [Secret("plugged", "1")]
    async def read(self, name):
        return Held(f"{self.tenant} {name}")
    async def end(self, tenant): ...

@asynccontextmanager
async def capability(url):
    yield Source()
"""


async def test_a_plugin_adds_a_source_by_its_scheme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plugin_locker.py").write_text(PLUGGED)
    monkeypatch.syspath_prepend(str(tmp_path))
    point = EntryPoint("locker", "plugin_locker:capability", "tause_mcp.secret_sources")
    async with house(tmp_path / "h", plugins=[point], TAUSE_SECRETS_URL="locker://x") as opened:
        listed = await opened.call("secrets_list")
        assert listed["items"] == [{"name": "plugged", "version": "1"}]
        with pytest.raises(Unconfigured):
            await opened.call("secrets_put", {"name": "a", "value": "v"})
        operation = opened.platform.catalog.tools["secrets_list"]
        bound = opened.platform.binding(opened.caller(), operation)
        assert await bound.service(Secrets).resolve("secret://a") == "default a"


async def test_no_log_line_shows_a_value(
    home: House, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    log.configure("debug")
    caplog.set_level(logging.DEBUG)
    async with home.client("ta") as client:
        await client.call_tool("secrets_put", {"name": "a", "value": CANARY})
        await client.call_tool("secrets_put", {"name": "B", "value": CANARY})
        await client.call_tool("secrets_list", {})
    told = capfd.readouterr()
    assert CANARY not in told.out + told.err + caplog.text
