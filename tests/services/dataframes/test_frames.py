"""Frames of a tenant: stored, told, asked, deleted, and nobody else's."""

import hashlib
import json
from pathlib import Path

import anyio
import pytest
from tests.services.dataframes.conftest import Shop

from tause_mcp.errors import Invalid, NotFound, QuotaExceeded, TooLarge, Unavailable
from tause_mcp.services.dataframes import Frames
from tause_mcp.services.dataframes import service as room
from tause_mcp.services.storage.keys import RESERVED

pytestmark = pytest.mark.anyio
SALES = json.dumps([{"city": "cali", "n": 2}, {"city": "pasto", "n": 5}]).encode()
EVERY = "SELECT * FROM sales"


def anything(name: str) -> bool:
    return True


async def put(frames: Frames, name: str = "sales", body: bytes = SALES) -> room.Frame:
    return await frames.put(name, "records", body, "records")


async def test_a_frame_is_kept_told_and_asked(shop: Shop) -> None:
    made = await put(shop.frames())
    told = await shop.frames().get("sales")
    assert told == made
    columns = (await shop.frames().describe("sales"))["columns"]
    assert (told.rows, [c["type"] for c in columns]) == (2, ["string", "int64"])
    assert await shop.rows("SELECT SUM(n) AS n FROM sales") == [{"n": 7}]


async def test_frames_are_joined(shop: Shop) -> None:
    await put(shop.frames())
    await shop.frames().put("zones", "csv", b"city,zone\ncali,sur\n", "csv")
    sql = "SELECT s.city, zone FROM sales s LEFT JOIN zones z ON s.city = z.city ORDER BY s.city"
    assert await shop.rows(sql) == [
        {"city": "cali", "zone": "sur"},
        {"city": "pasto", "zone": None},
    ]


async def test_a_with_may_bear_the_name_of_a_frame(shop: Shop) -> None:
    await put(shop.frames())
    sql = "WITH sales AS (SELECT n FROM sales WHERE n > 2) SELECT * FROM sales"
    assert await shop.rows(sql) == [{"n": 5}]
    assert await shop.rows("WITH only AS (SELECT 1 AS x) SELECT * FROM only") == [{"x": 1}]


async def test_replacing_keeps_one_object_and_its_size(shop: Shop) -> None:
    await put(shop.frames())
    again = await put(shop.frames(), body=b'[{"x": 1}]')
    usage = await shop.world.storage().usage()
    assert (usage.objects, usage.bytes) == (1, again.size)
    assert await shop.rows(EVERY) == [{"x": 1}]


@pytest.mark.parametrize("name", ["sales", "nothing"])
async def test_foreign_and_absent_look_the_same(shop: Shop, name: str) -> None:
    await put(shop.frames())
    foreign = shop.frames("beta")
    told = set()
    for attempt in (
        foreign.get(name),
        foreign.delete(name),
        foreign.query(f"SELECT * FROM {name}", anything),
        foreign.query(f"SELECT 1 AS x WHERE EXISTS (SELECT * FROM {name})", anything),
        foreign.query(f"WITH x AS (SELECT * FROM {name}) SELECT * FROM x", anything),
    ):
        with pytest.raises(NotFound) as refused:
            await attempt
        told.add(str(refused.value))
    assert told == {"no such frame: dataframes_list shows what there is"}
    assert await foreign.list() == []
    assert await shop.rows("SELECT COUNT(*) AS n FROM sales") == [{"n": 2}]


@pytest.mark.parametrize(
    "table",
    [
        '"/etc/passwd"',
        "'/etc/passwd'",
        "'http://127.0.0.1/x.csv'",
        '".tause/dataframes/sales.parquet"',
        '"SALES"',
        '"sales "',
        '"sales\u00a0"',
        "ｓales",
        '"information_schema"',
    ],
)
async def test_only_the_exact_name_of_a_frame_is_a_table(shop: Shop, table: str) -> None:
    await put(shop.frames())
    with pytest.raises((NotFound, Invalid)):
        await shop.frames().query(f"SELECT * FROM {table}", anything)


async def test_a_frame_that_is_not_allowed_is_as_absent(shop: Shop) -> None:
    await put(shop.frames())
    with pytest.raises(NotFound, match="no such frame"):
        await shop.frames().query(EVERY, lambda name: name != "sales")


async def test_a_wrong_column_is_told_without_the_data(shop: Shop) -> None:
    await put(shop.frames())
    with pytest.raises(Invalid) as told:
        await shop.frames().query("SELECT nope FROM sales", anything)
    assert str(told.value) == 'sql: unable to find column "nope"'


@pytest.mark.parametrize(
    ("key", "body", "kind"),
    [
        ("in/t.csv", b"a,b\n1,x\n", None),
        ("in/T.CSV", b"a,b\n1,x\n", None),
        ("in/t.json", b'[{"a": 1, "b": "x"}]', None),
        ("in/t.ndjson", b'{"a": 1, "b": "x"}\n', None),
        ("in/t.jsonl", b'{"a": 1, "b": "x"}', None),
        ("in/t", b"a,b\n1,x\n", "text/csv; charset=utf-8"),
    ],
)
async def test_an_object_becomes_a_frame(
    shop: Shop, key: str, body: bytes, kind: str | None
) -> None:
    await shop.world.storage().put(key, body, content_type=kind)
    await shop.frames().put_object("t", key)
    assert await shop.rows("SELECT * FROM t") == [{"a": 1, "b": "x"}]


async def test_a_parquet_object_becomes_a_frame(shop: Shop) -> None:
    await put(shop.frames())
    own = await shop.world.storage().reserved().open(f"{RESERVED}dataframes/sales.parquet")
    await shop.world.storage().put("in/sales.parquet", await own.whole())
    assert (await shop.frames().put_object("again", "in/sales.parquet")).rows == 2


async def test_an_object_that_cannot_become_one_is_told_why(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, frames = shop.world.storage(), shop.frames()
    await storage.put("a.txt", b"a")
    await storage.put("a.csv", b"a\n1,2\n")
    await storage.put("big.csv", b"a\n" * 100)
    with pytest.raises(Invalid, match="ends in"):
        await frames.put_object("t", "a.txt")
    with pytest.raises(Invalid, match="key: line 2 of the CSV"):
        await frames.put_object("t", "a.csv")
    with pytest.raises(NotFound):
        await frames.put_object("t", "absent.csv")
    with pytest.raises(Invalid, match="the server's own"):
        await frames.put_object("t", f"{RESERVED}dataframes/sales.parquet")
    monkeypatch.setattr(room, "MOST_SOURCE", 100)
    with pytest.raises(TooLarge, match="over"):
        await frames.put_object("t", "big.csv")
    assert await frames.list() == []


async def test_a_refused_replacement_leaves_the_frame_as_it_was(shop: Shop) -> None:
    before = await put(shop.frames())
    with pytest.raises(Invalid, match="records: there are no rows"):
        await put(shop.frames(), body=b"[]")
    with pytest.raises(QuotaExceeded):
        many = json.dumps([{"t": f"{n:x}" * 40} for n in range(500)]).encode()
        await put(shop.frames(limit=before.size + 10), body=many)
    assert await shop.frames().get("sales") == before
    assert len(await shop.rows(EVERY)) == 2
    assert (await shop.world.storage().usage()).bytes == before.size


async def test_the_quota_of_storage_counts_frames(shop: Shop) -> None:
    with pytest.raises(QuotaExceeded):
        await put(shop.frames(limit=100))
    usage = await shop.world.storage().usage()
    assert (usage.bytes, usage.objects, await shop.frames().list()) == (0, 0, [])


async def test_frames_that_are_too_large_together_are_refused(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(shop.frames())
    monkeypatch.setattr(room, "MOST_TOGETHER", 10)
    with pytest.raises(TooLarge, match="together"):
        await shop.frames().query(EVERY, anything)


async def test_a_deleted_frame_is_gone_with_its_bytes(shop: Shop) -> None:
    await put(shop.frames())
    await shop.frames().delete("sales")
    for attempt in (shop.frames().get("sales"), shop.frames().delete("sales"), shop.rows(EVERY)):
        with pytest.raises(NotFound):
            await attempt
    assert await shop.world.storage().usage() == await shop.world.storage("beta").usage()
    assert await shop.world.swept() == {}


async def test_the_tools_of_storage_neither_see_nor_reach_a_frames_object(shop: Shop) -> None:
    await put(shop.frames())
    storage, key = shop.world.storage(), f"{RESERVED}dataframes/sales.parquet"
    assert await storage.list() == []
    assert await storage.list(prefix=RESERVED[:3]) == []
    for attempt in (
        storage.stat(key),
        storage.open(key),
        storage.put(key, b"x"),
        storage.delete(key),
        storage.copy(key, "mine"),
        storage.copy("mine", key),
        shop.world.uploads().begin(key, 5, expires_at=2**60),
    ):
        with pytest.raises(Invalid, match="the server's own"):
            await attempt
    assert len(await shop.rows(EVERY)) == 2


async def test_pages_follow_the_names(shop: Shop) -> None:
    for name in ("b", "a", "c_1", "c"):
        await put(shop.frames(), name)
    assert [f.name for f in await shop.frames().list(limit=2)] == ["a", "b"]
    assert [f.name for f in await shop.frames().list("b", 5)] == ["c", "c_1"]


async def test_puts_and_deletes_at_once_leave_one_truth(shop: Shop) -> None:
    async def one(number: int) -> None:
        try:
            await put(shop.frames(), body=json.dumps([{"n": number}]).encode())
            if number % 3 == 0:
                await shop.frames().delete("sales")
        except NotFound:
            pass

    async with anyio.create_task_group() as group:
        for number in range(8):
            group.start_soon(one, number)
    usage, kept = await shop.world.storage().usage(), await shop.frames().list()
    assert usage.objects == len(kept)
    assert usage.bytes == sum(frame.size for frame in kept)
    if kept:
        assert len(await shop.rows(EVERY)) == kept[0].rows


async def test_bytes_that_were_damaged_are_a_failure_not_an_answer(shop: Shop) -> None:
    many = [{"t": hashlib.sha256(str(n).encode()).hexdigest()} for n in range(2000)]
    await put(shop.frames(), body=json.dumps(many).encode())
    ((blob, size),) = (await shop.world.blobs()).items()
    for wrong in (b"PAR1", b"x" * size):
        await shop.world.store.remove(blob)
        await shop.world.store.write(blob, wrong)
        with pytest.raises(Unavailable):
            await shop.rows(EVERY)


@pytest.mark.embedded
async def test_neither_rows_nor_what_is_told_of_columns_lies_about_in_plain(
    shop: Shop, tmp_path: Path
) -> None:
    for number in (1, 1000):
        rows = [{"canary-column": "canary-text", "n": 987_654_321 + n} for n in range(number)]
        await put(shop.frames(), body=json.dumps(rows).encode())
        told = await shop.frames().describe("sales")
        assert told["columns"][1]["min"] == 987_654_321
        for path in (tmp_path / "shop").rglob("*"):
            raw = path.read_bytes() if path.is_file() else b""
            assert b"canary" not in raw and b"987654321" not in raw and b"PAR1" not in raw
