"""The master key changes while everything stays readable, whatever dies in the middle."""

import base64
import os
from pathlib import Path

import pytest
from tests.encryption.conftest import TA, TAB, Ground, view

from tause_mcp.encryption import rotation
from tause_mcp.encryption.rotation import renew_file, rewrap, standing
from tause_mcp.errors import Misconfigured, Unavailable
from tause_mcp.settings import Settings

pytestmark = pytest.mark.anyio


def fresh_key() -> str:
    return base64.b64encode(os.urandom(32)).decode()


def stating(settings: Settings, *keys: str) -> Settings:
    return settings.model_copy(update={"encryption_key": ",".join(keys)})


async def sealed_by(ground: Ground) -> dict[str, bytes]:
    return {t: (await ground.keys.cipher(t)).seal("a", t.encode()) for t in (TA, TAB)}


async def opens(ground: Ground, sealed: dict[str, bytes]) -> None:
    for tenant, value in sealed.items():
        cipher = await ground.keys.cipher(rotation.TenantId(tenant))
        assert cipher.open("a", value) == tenant.encode()


async def test_a_new_key_in_the_file_takes_over_and_running_processes_follow(
    ground: Ground,
) -> None:
    sealed = await sealed_by(ground)
    running = await view(ground.settings, ground.database)
    file = ground.settings.at_home("master.key")
    before = file.read_bytes()
    renew_file(file)
    assert file.read_bytes()[32:] == before and file.stat().st_mode & 0o777 == 0o600
    assert await rewrap(ground.database, ground.keys.masters) == 0  # not read again yet
    ground.keys.masters.reread()
    assert await rewrap(ground.database, ground.keys.masters) == 3
    assert (await standing(ground.database, ground.keys.masters)).waiting == 0
    await opens(running, sealed)  # which has never seen the new key
    file.write_bytes(file.read_bytes()[:32])
    await opens(await view(ground.settings, ground.database), sealed)
    file.write_bytes(before)
    with pytest.raises(Misconfigured, match="another master key"):
        await view(ground.settings, ground.database)


async def test_a_rotation_killed_at_every_step_goes_on(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = await sealed_by(ground)
    old = base64.b64encode(ground.settings.at_home("master.key").read_bytes()).decode()
    new = fresh_key()
    again = rotation._again

    for lives in range(3):
        left = [lives]

        async def dying(*given: object, left: list[int] = left) -> bytes:
            if not left[0]:
                raise SystemExit("killed")
            left[0] -= 1
            return await again(*given)  # type: ignore[arg-type]  # what it was given

        monkeypatch.setattr(rotation, "_again", dying)
        both = await view(stating(ground.settings, new, old), ground.database)
        with pytest.raises(SystemExit):
            await rewrap(ground.database, both.keys.masters)
            await rewrap(
                ground.database,
                (
                    await view(stating(ground.settings, fresh_key(), new, old), ground.database)
                ).keys.masters,
            )
        await opens(await view(stating(ground.settings, new, old), ground.database), sealed)
        await opens(await view(stating(ground.settings, old, new), ground.database), sealed)
    monkeypatch.setattr(rotation, "_again", again)
    both = await view(stating(ground.settings, new, old), ground.database)
    await rewrap(ground.database, both.keys.masters)
    assert await rewrap(ground.database, both.keys.masters) == 0
    await opens(await view(stating(ground.settings, new), ground.database), sealed)


async def test_a_key_that_nobody_has_is_told_and_nothing_is_lost(ground: Ground) -> None:
    sealed = await sealed_by(ground)
    old = base64.b64encode(ground.settings.at_home("master.key").read_bytes()).decode()
    both = await view(stating(ground.settings, fresh_key(), old), ground.database)
    both.keys.masters._read = lambda: both.keys.masters._known[:1]
    both.keys.masters.reread()
    with pytest.raises(Unavailable, match="master key that is not here"):
        await rewrap(ground.database, both.keys.masters)
    await opens(await view(ground.settings, ground.database), sealed)


async def test_the_standing_tells_no_key(ground: Ground) -> None:
    await sealed_by(ground)
    found = await standing(ground.database, ground.keys.masters)
    key = ground.settings.at_home("master.key").read_bytes()
    assert key.hex() not in str(found) and base64.b64encode(key).decode() not in str(found)
    assert found.wrapped == {found.first: 3}


def test_the_command_rotates_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    from tause_mcp.cli import app

    monkeypatch.setenv("TAUSE_HOME", str(tmp_path / "home"))
    run = CliRunner()
    put = run.invoke(app, ["secrets", "put", "a"], input="v1\n")
    assert put.exit_code == 0, put.output
    before = (tmp_path / "home" / "master.key").read_bytes()
    for _ in range(2):
        rotated = run.invoke(app, ["encryption", "rotate"])
        assert rotated.exit_code == 0, rotated.output
        assert "2 keys were wrapped anew" in rotated.output
    assert before not in (tmp_path / "home" / "master.key").read_bytes()
    told = run.invoke(app, ["encryption", "status"])
    assert told.output.count("encrypts") == 1 and "opens only" not in told.output
    shown = run.invoke(app, ["secrets", "show", "a"])
    assert shown.output == "v1\n"
    listed = run.invoke(app, ["secrets", "list"])
    assert "a " in listed.output and "v1" not in listed.output
    assert run.invoke(app, ["secrets", "delete", "a"]).exit_code == 0
