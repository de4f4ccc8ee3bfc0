"""Several writers at once, in one process and in several; and one that is killed."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.support.serving import environment

from tause_mcp.errors import Conflict, Invalid, PreconditionFailed, QuotaExceeded
from tause_mcp.services.database.definition import REMEMBERED
from tause_mcp.services.database.tables import USAGE
from tause_mcp.testing.home import House

pytestmark = pytest.mark.anyio

_CHILD = """
import asyncio, json, sys
from tause_mcp.errors import TauseError
from tause_mcp.platform import open_platform
from tause_mcp.settings import Settings
from tause_mcp.testing.home import House

told = json.loads(sys.argv[1])

async def main():
    async with open_platform(Settings.read(told["settings"])) as platform:
        house = House(platform)
        await house.call("access_whoami", {}, "ta")
        print("ready", flush=True)
        sys.stdin.readline()
        done = {}
        for arguments in told["calls"]:
            try:
                await house.call(told["tool"], arguments, "ta")
                code = "done"
            except TauseError as error:
                code = error.code
            done[code] = done.get(code, 0) + 1
            print("called", flush=True)
        print(json.dumps(done), flush=True)

asyncio.run(main())
"""


def child(home: House, tool: str, calls: list[dict[str, Any]]) -> "subprocess.Popen[str]":
    """Another process of the same installation that makes these calls once it is told to."""
    read = home.platform.settings
    stated = {"TAUSE_HOME": str(read.home), "TAUSE_STORAGE_URL": "memory://"}
    stated |= {"TAUSE_DATABASE_URL": read.database_url} if read.database_url else {}
    told = json.dumps({"settings": stated, "tool": tool, "calls": calls})
    return subprocess.Popen(
        [sys.executable, "-c", _CHILD, told],
        env=environment(Path(read.home)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def go(processes: list["subprocess.Popen[str]"]) -> None:
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()


async def together(processes: list["subprocess.Popen[str]"]) -> dict[str, int]:
    """Let them all begin at once; how many of their calls ended in which way."""
    total: dict[str, int] = {}
    try:
        await asyncio.to_thread(go, processes)
        for process in processes:
            out, _ = await asyncio.to_thread(process.communicate, timeout=60)
            for code, count in json.loads(out.splitlines()[-1]).items():
                total[code] = total.get(code, 0) + count
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    return total


async def call(home: House, name: str, /, **arguments: Any) -> Any:
    return await home.call(f"database_{name}", arguments, "ta")


async def count(home: House, name: str = "things") -> int:
    return int((await call(home, "find", collection=name, total=True, limit=1))["total"])


async def test_the_limit_and_unique_values_hold_among_processes(home: House) -> None:
    await home.call("tenants_configure", {"tenant_id": "ta", "limits": {"rows": 25}})
    schema = {"properties": {"n": {"unique": True}}}
    await call(home, "create_collection", name="things", schema=schema)
    insert = [{"collection": "things", "document": {"n": n}} for n in range(30)]
    done = await together([child(home, "database_insert", insert) for _ in range(2)])
    assert done.pop("done") == 25
    assert sum(done.values()) == 35 and set(done) == {"conflict", "quota_exceeded"}
    assert await count(home) == 25
    row = await home.platform.database_of(home.caller("ta").tenant).first(USAGE)
    assert row is not None and row[0] == 25


async def test_one_of_many_changes_of_one_version_is_made(home: House) -> None:
    await call(home, "create_collection", name="things")
    one = await call(home, "insert", collection="things", document={"n": 0})

    async def change(n: int) -> bool:
        try:
            named = {"collection": "things", "id": one["id"], "version": 1}
            await call(home, "update", **named, changes={"n": n})
        except PreconditionFailed:
            return False
        return True

    assert sum(await asyncio.gather(*map(change, range(10)))) == 1
    kept = await call(home, "get", collection="things", id=one["id"])
    assert kept["version"] == 2


async def test_changes_of_one_document_are_all_kept(home: House) -> None:
    await call(home, "create_collection", name="things", indexes=["f1"])
    one = await call(home, "insert", collection="things", document={})

    async def change(n: int) -> None:
        await call(home, "update", collection="things", id=one["id"], changes={f"f{n}": n})

    await asyncio.gather(*map(change, range(12)))
    kept = await call(home, "get", collection="things", id=one["id"])
    assert kept["data"] == {f"f{n}": n for n in range(12)} and kept["version"] == 13
    found = await call(home, "find", collection="things", where={"f1": 1}, total=True)
    assert found["total"] == 1


async def test_nothing_refers_to_what_was_deleted_meanwhile(home: House) -> None:
    await call(home, "create_collection", name="people")
    schema = {"properties": {"who": {"references": "people"}}}
    await call(home, "create_collection", name="orders", schema=schema)
    for n in range(8):
        person, order = f"p{n}", f"o{n}"
        await call(home, "insert", collection="people", document={}, id=person)
        document = {"who": person}
        told = await asyncio.gather(
            call(home, "insert", collection="orders", document=document, id=order),
            call(home, "delete", collection="people", id=person),
            return_exceptions=True,
        )
        refused = [type(one) for one in told if isinstance(one, BaseException)]
        assert refused in ([Invalid], [Conflict]), told


async def test_two_migrations_at_once_follow_each_other(home: House) -> None:
    await call(home, "create_collection", name="things")
    await call(home, "insert", collection="things", document={"n": 0})

    async def add(n: int) -> None:
        steps = [{"op": "add", "field": f"f{n}", "value": n}]
        await call(home, "migrate", collection="things", steps=steps)

    async def insert(n: int) -> None:
        await call(home, "insert", collection="things", document={"n": n})

    await asyncio.gather(*map(add, range(4)), *map(insert, range(4)))
    (told,) = (await call(home, "list_collections", name="things"))["items"]
    assert told["version"] == 5 and await count(home) == 5


async def test_who_knows_an_old_definition_writes_by_the_new_one(home: House) -> None:
    """Another process redefined it; this one has remembered how it was."""
    await call(home, "create_collection", name="things")
    await call(home, "insert", collection="things", document={"n": 1})
    tenant = home.caller("ta").tenant
    before = REMEMBERED.get(tenant, "things")
    assert before is not None
    schema = {"properties": {"n": {"type": "integer", "unique": True}, "s": {"encrypted": True}}}
    await call(home, "migrate", collection="things", schema=schema)
    insert = [{"op": "insert", "collection": "things", "document": {"n": 3, "s": "hush"}}]
    for document, refused in [({"n": 1}, Conflict), ({"n": "2"}, Invalid)]:
        REMEMBERED.keep(tenant, before)
        with pytest.raises(refused):
            await call(home, "insert", collection="things", document=document)
    REMEMBERED.keep(tenant, before)
    await call(home, "transact", operations=insert)
    REMEMBERED.keep(tenant, before)
    with pytest.raises(Invalid, match="encrypted"):
        await call(home, "find", collection="things", where={"s": "hush"})
    REMEMBERED.keep(tenant, before)
    found = await call(home, "find", collection="things", where={"n": 1}, total=True)
    assert found["total"] == 1


async def test_what_was_refused_is_taken_once_another_process_allows_it(home: House) -> None:
    await call(home, "create_collection", name="things", schema={"required": ["n"]})
    tenant = home.caller("ta").tenant
    before = REMEMBERED.get(tenant, "things") or await REMEMBERED.read(
        home.platform.database_of(tenant), "things"
    )
    await call(home, "migrate", collection="things", schema={})
    REMEMBERED.keep(tenant, before)
    await call(home, "insert", collection="things", document={})
    assert await count(home) == 1


async def test_a_migration_that_is_killed_leaves_all_as_it_was(home: House) -> None:
    await call(home, "create_collection", name="things", indexes=["n"])
    for start in range(0, 600, 100):
        operations = [
            {"op": "insert", "collection": "things", "document": {"n": start + n, "t": "x" * 200}}
            for n in range(100)
        ]
        await call(home, "transact", operations=operations)
    steps = [{"op": "rename", "field": "t", "to": "u"}]
    back = [{"op": "rename", "field": "u", "to": "t"}]
    calls = [{"collection": "things", "steps": one} for one in (steps, back) * 20]
    process = child(home, "database_migrate", calls)
    try:
        await asyncio.to_thread(go, [process])
        assert process.stdout is not None
        await asyncio.to_thread(process.stdout.readline)
        await asyncio.sleep(0.02)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    found = await call(
        home, "aggregate", collection="things", metrics=["count", "count:t", "count:u"]
    )
    values = found["items"][0]["values"]
    assert values["count"] == 600
    assert {values["count:t"], values["count:u"]} == {0, 600}
    indexed = await call(home, "find", collection="things", where={"n": {"gte": 0}}, total=True)
    assert indexed["total"] == 600


async def test_the_count_of_rows_is_the_number_of_rows(home: House) -> None:
    await home.call("tenants_configure", {"tenant_id": "ta", "limits": {"rows": 12}})
    await call(home, "create_collection", name="things")

    async def spin(n: int) -> None:
        for turn in range(4):
            try:
                made = await call(home, "insert", collection="things", document={"n": n})
            except QuotaExceeded:
                continue
            if turn % 2:
                await call(home, "delete", collection="things", id=made["id"])

    await asyncio.gather(*map(spin, range(6)))
    row = await home.platform.database_of(home.caller("ta").tenant).first(USAGE)
    assert row is not None and 0 < row[0] == await count(home) <= 12
