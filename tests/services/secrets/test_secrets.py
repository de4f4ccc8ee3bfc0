"""A tenant's secrets: strict names, versions, a grace for the former value, and no way to see one."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.services.secrets.conftest import Cabinet

from tause_mcp.errors import Conflict, Invalid, NotFound, TooLarge, Unavailable
from tause_mcp.services.secrets import values
from tause_mcp.services.secrets.values import LARGEST, Change, Held, check_name

pytestmark = [pytest.mark.anyio, pytest.mark.embedded]
CANARY = "canary-5e1c"


def sql(path: Path, statement: str, *given: object) -> list[tuple]:
    with closing(sqlite3.connect(path, timeout=10)) as connection:
        found = connection.execute(statement, given).fetchall()
        connection.commit()
    return found


# --- what must not work -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["", "A", "a b", "/a", "a/", "a//b", "a/../b", ".", "..", "a/.b", "ñ", "a\n", "a\0", "a%", "x" * 129,
     "-a", "secret://a", "a\\b", "a:b", "ａ"],
)  # fmt: skip
async def test_a_name_outside_the_grammar_is_refused(cabinet: Cabinet, name: str) -> None:
    secrets = cabinet.of()
    for attempt in (
        secrets.put(name, "v"),
        secrets.rotate(name, "v"),
        secrets.delete(name),
        secrets.resolve(f"secret://{name}"),
    ):
        with pytest.raises(Invalid) as refused:
            await attempt
        assert refused.value.field == "name"


@given(st.text(max_size=20))
def test_no_name_hides_a_path(name: str) -> None:
    try:
        check_name(name)
    except Invalid:
        return
    assert not name.startswith(("/", ".")) and "//" not in name and ".." not in name.split("/")
    assert name == name.lower() and name.isascii()


@pytest.mark.parametrize("value", ["", "x" * (LARGEST + 1), "ñ" * (LARGEST // 2 + 1), "\ud800"])
async def test_an_empty_huge_or_broken_value_is_refused_and_not_shown(
    cabinet: Cabinet, value: str
) -> None:
    with pytest.raises((Invalid, TooLarge)) as refused:
        await cabinet.of().put("a", value)
    assert len(str(refused.value)) < 200
    assert await cabinet.of().list() == []


async def test_another_tenants_secret_is_not_found(cabinet: Cabinet) -> None:
    await cabinet.of("acme").put("a", "v")
    for tenant in ("acm", "acme2", "acme_", "acme-child"):
        theirs = cabinet.of(tenant)
        for attempt in (theirs.resolve("secret://a"), theirs.rotate("a", "w"), theirs.delete("a")):
            with pytest.raises(NotFound) as foreign:
                await attempt
            assert "acme" not in str(foreign.value)
        assert await theirs.list() == []
    assert await cabinet.of("acme").resolve("secret://a") == "v"


async def test_what_was_moved_does_not_open(cabinet: Cabinet, path: Path) -> None:
    await cabinet.of().put("a", "one")
    await cabinet.of().put("b", "two")
    await cabinet.of().rotate("b", "three", grace=60)
    moves = (
        "UPDATE secrets SET value = (SELECT value FROM secrets WHERE name = 'b') WHERE name = 'a'",
        "UPDATE secrets SET value = previous WHERE name = 'b'",
        "UPDATE secrets SET tenant_id = 'beta' WHERE name = 'a'",
        "UPDATE secrets SET value = substr(value, 1, 30)",
        "UPDATE secrets SET version = 7",
    )
    before = path.with_name("before.db")
    for move in moves:
        with closing(sqlite3.connect(path)) as kept, closing(sqlite3.connect(before)) as copy:
            kept.backup(copy)
        sql(path, move)
        broken = 0
        for tenant in ("acme", "beta"):
            for name in ("a", "b"):
                try:
                    assert await cabinet.of(tenant).resolve(f"secret://{name}") in ("one", "three")
                except (NotFound, Unavailable) as error:
                    broken += isinstance(error, Unavailable)
        assert broken, move
        with closing(sqlite3.connect(before)) as copy, closing(sqlite3.connect(path)) as kept:
            copy.backup(kept)


async def test_an_expired_secret_is_not_used(
    cabinet: Cabinet, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cabinet.of().put("a", "v", expires_in=60)
    assert await cabinet.of().resolve("secret://a") == "v"
    from tause_mcp.services.secrets import service

    monkeypatch.setattr(service, "now", lambda: 2**60)
    with pytest.raises(NotFound, match="expired"):
        await cabinet.of().resolve("secret://a")


async def test_a_tenant_has_a_bounded_number(
    cabinet: Cabinet, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tause_mcp.errors import QuotaExceeded
    from tause_mcp.services.secrets.sources import rows

    monkeypatch.setattr(rows, "MOST", 2)
    for name in ("a", "b"):
        await cabinet.of().put(name, "v")
    with pytest.raises(QuotaExceeded):
        await cabinet.of().put("c", "v")
    await cabinet.of().put("a", "w")
    await cabinet.of("beta").put("c", "v")


# --- what works ---------------------------------------------------------------------------------


async def test_a_secret_is_kept_rotated_and_removed(cabinet: Cabinet) -> None:
    secrets = cabinet.of()
    first = await secrets.put("stripe/live", CANARY, description="charges")
    assert (first.version, first.description) == ("1", "charges")
    second = await secrets.rotate("stripe/live", "new", grace=60)
    assert (second.version, second.description) == ("2", "charges")
    assert await secrets.resolve("secret://stripe/live") == "new"
    assert await secrets.accepted("secret://stripe/live") == ("new", CANARY)
    await secrets.rotate("stripe/live", "newer", grace=0)
    assert await secrets.accepted("secret://stripe/live") == ("newer",)
    await secrets.delete("stripe/live")
    with pytest.raises(NotFound):
        await secrets.delete("stripe/live")
    assert await secrets.list() == []


async def test_a_replaced_value_is_not_accepted_any_more(cabinet: Cabinet) -> None:
    secrets = cabinet.of()
    await secrets.put("a", "one")
    await secrets.put("a", "two")
    assert await secrets.accepted("secret://a") == ("two",)


async def test_the_grace_of_a_rotation_ends(
    cabinet: Cabinet, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tause_mcp.services.secrets.sources import rows

    secrets = cabinet.of()
    await secrets.put("a", "one")
    told = await secrets.rotate("a", "two", grace=60)
    monkeypatch.setattr(rows, "now", lambda: (told.previous_until or 0) + 1)
    assert await secrets.accepted("secret://a") == ("two",)
    assert (await secrets.list())[0].previous_until is None


async def test_what_is_no_reference_is_itself(cabinet: Cabinet) -> None:
    assert await cabinet.of().resolve("plain text") == "plain text"
    assert await cabinet.of().accepted("SECRET://a") == ("SECRET://a",)


async def test_parallel_changes_are_all_versions_or_a_conflict(cabinet: Cabinet) -> None:
    secrets = cabinet.of()
    told = await asyncio.gather(
        *(secrets.put("a", f"v{n}") for n in range(12)), return_exceptions=True
    )
    done = [t for t in told if not isinstance(t, BaseException)]
    assert all(isinstance(t, Conflict) for t in told if isinstance(t, BaseException))
    assert sorted(int(t.version) for t in done) == list(range(1, len(done) + 1))
    assert (await secrets.list())[0].version == str(len(done))


async def test_the_list_goes_on_behind_a_name(cabinet: Cabinet) -> None:
    secrets = cabinet.of()
    for name in ("b", "a/1", "c", "a"):
        await secrets.put(name, "v")
    assert [s.name for s in await secrets.list("", 3)] == ["a", "a/1", "b"]
    assert [s.name for s in await secrets.list("b", 3)] == ["c"]


async def test_no_value_is_in_the_file_nor_printed(cabinet: Cabinet, path: Path) -> None:
    await cabinet.of().put("a", CANARY)
    told = await cabinet.of().rotate("a", CANARY + "2", grace=60)
    kept = b"".join(p.read_bytes() for p in path.parent.iterdir() if p.is_file())
    assert CANARY.encode() not in kept
    for shown in (repr(told), repr(Held(CANARY)), repr(Change(CANARY)), f"{Held(CANARY)}"):
        assert CANARY not in shown
    assert values.Held(CANARY) == Held(CANARY)
