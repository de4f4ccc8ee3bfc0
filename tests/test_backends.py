"""The switch of the suite: the same house on servers is on servers, and each has its own."""

from pathlib import Path

import pytest
from tests.support import backends, serving
from tests.support.storage import opened_house
from tests.support.tenants import open_house, rows_of

from tause_mcp.testing.home import house

pytestmark = pytest.mark.anyio


async def test_a_whole_house_is_where_the_switch_says(tmp_path: Path) -> None:
    async with house(tmp_path / "home") as opened:
        dialect, objects = opened.platform.database.dialect, opened.platform.backends["storage"]
    assert dialect == ("postgresql" if backends.on_servers() else "sqlite")
    assert ("Cloud" in type(objects).__name__) == backends.on_servers()


async def test_so_is_a_server_and_it_cannot_migrate(tmp_path: Path) -> None:
    told = serving.environment(tmp_path / "home")
    kept = {name.removeprefix("TAUSE_") for name in told if name.startswith("TAUSE_")}
    servers = {"DATABASE_URL", "STORAGE_URL", "CACHE_URL"} if backends.on_servers() else set()
    assert kept == {"HOME", *servers}


async def test_small_houses_are_there_too_and_each_is_alone(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        async with open_house(tmp_path / name / "rows.db") as small:
            await small.grow(name)
            assert (small.database.dialect == "postgresql") == backends.on_servers()
        found = rows_of(tmp_path / name / "rows.db", "SELECT tenant_id FROM tenants ORDER BY 1")
        assert found == [("default",), (name,)]
    async with opened_house(tmp_path / "three") as third:
        assert (third.database.dialect == "postgresql") == backends.on_servers()


def test_a_test_that_opens_no_house_is_known_by_what_it_imports() -> None:
    from tests import test_errors, test_idempotency

    pure = [f for f in vars(test_errors).values() if callable(f) and hasattr(f, "__globals__")]
    assert backends.opens_a_house(iter([test_idempotency.configure]))
    assert not backends.opens_a_house(iter(pure))


def test_another_word_is_one_clear_line() -> None:
    with pytest.raises(ValueError, match="use one of embedded, servers"):
        backends.choose("mars")
