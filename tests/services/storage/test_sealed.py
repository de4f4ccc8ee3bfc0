"""Nothing of an object is kept in plain, and what was moved, changed or cut does not open."""

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.services.storage.test_service import body, read
from tests.services.storage.test_uploads import LATER, pieces
from tests.support.objects import World

from tause_mcp.encryption.segments import PLAIN
from tause_mcp.errors import Unavailable
from tause_mcp.services.storage.blobs import INLINE
from tause_mcp.services.storage.uploads import PART
from tause_mcp.times import now

pytestmark = [pytest.mark.anyio, pytest.mark.embedded]
CANARY = b"canary-7f3a"
SMALL, LARGE = CANARY + body(2000), CANARY + body(100_000) + CANARY
ROWS, BLOB = "objects", "blob"


def sql(folder: Path, statement: str, *values: object) -> list[tuple]:
    with closing(sqlite3.connect(folder / "rows.db", timeout=10)) as connection:
        found = connection.execute(statement, values).fetchall()
        connection.commit()
    return found


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "disk"


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["row", "blob"])
async def test_the_bytes_are_nowhere_in_plain(disk: World, folder: Path, content: bytes) -> None:
    storage = disk.storage()
    await storage.put("k", content)
    await storage.copy("k", "again")
    assert await read(storage, "k") == await read(storage, "again") == content
    assert CANARY not in everything(folder)


async def test_an_upload_in_parts_is_nowhere_in_plain(disk: World, folder: Path) -> None:
    uploads, content = disk.uploads(), CANARY + body(PART + 100) + CANARY
    upload = await uploads.begin("k", len(content), expires_at=now() + LATER)
    upload = await uploads.append(upload, 0, pieces(content[: PART + 50]))
    assert CANARY not in everything(folder)
    upload = await uploads.append(upload, upload.received, pieces(content[upload.received :]))
    await uploads.finish(upload)
    assert await read(disk.storage(), "k") == content
    assert CANARY not in everything(folder)


async def test_what_is_told_of_an_object_is_of_its_plain_bytes(disk: World) -> None:
    stored = await disk.storage().put("k", LARGE)
    assert (stored.size, stored.sha256) == (len(LARGE), hashlib.sha256(LARGE).hexdigest())
    assert (await disk.storage().usage()).bytes == len(LARGE)


@pytest.mark.parametrize("span", ["0-0", "-1", "16383-16384", "16384-", "20000-40000", "99000-"])
async def test_a_range_is_read_without_the_rest(disk: World, span: str) -> None:
    from tause_mcp.services.storage.keys import parse_range

    await disk.storage().put("k", LARGE)
    start, end = parse_range(span, len(LARGE))
    assert await read(disk.storage(), "k", span) == LARGE[start:end]


async def unreadable(disk: World, key: str, tenant: str = "acme") -> None:
    with pytest.raises(Unavailable) as refused:
        await read(disk.storage(tenant), key)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["row", "blob"])
async def test_rows_swapped_between_keys_do_not_open(
    disk: World, folder: Path, content: bytes
) -> None:
    storage = disk.storage()
    await storage.put("a", content)
    await storage.put("b", content + b"!")
    sql(folder, "UPDATE objects SET key = 'c' WHERE key = 'a'")
    sql(folder, "UPDATE objects SET key = 'a' WHERE key = 'b'")
    await unreadable(disk, "a")
    await unreadable(disk, "c")


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["row", "blob"])
async def test_a_row_given_to_another_tenant_does_not_open(
    disk: World, folder: Path, content: bytes
) -> None:
    await disk.storage("acme").put("k", content)
    sql(folder, "UPDATE objects SET tenant_id = 'beta'")
    await unreadable(disk, "k", "beta")


async def test_blobs_swapped_between_objects_do_not_open(disk: World, folder: Path) -> None:
    for key in ("a", "b"):
        await disk.storage().put(key, LARGE + key.encode())
    (a,), (b,) = sql(folder, "SELECT blob FROM objects ORDER BY key")
    one, two = (folder / "objects" / name for name in (a, b))
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    await unreadable(disk, "a")
    await unreadable(disk, "b")


@pytest.mark.parametrize("kept", [0, 1, PLAIN, PLAIN + 16, 3 * (PLAIN + 16), 100_000])
async def test_a_cut_blob_does_not_open(disk: World, folder: Path, kept: int) -> None:
    await disk.storage().put("k", LARGE)
    ((name,),) = sql(folder, "SELECT blob FROM objects")
    path = folder / "objects" / name
    path.write_bytes(path.read_bytes()[:kept])
    await unreadable(disk, "k")


async def test_a_changed_byte_does_not_open(disk: World, folder: Path) -> None:
    await disk.storage().put("k", LARGE)
    await disk.storage().put("s", SMALL)
    ((name,),) = sql(folder, "SELECT blob FROM objects WHERE key = 'k'")
    path = folder / "objects" / name
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    sql(folder, "UPDATE objects SET body = substr(body, 1, 100) || x'00' || substr(body, 102)")
    await unreadable(disk, "k")
    await unreadable(disk, "s")


async def test_parts_that_changed_places_do_not_become_an_object(disk: World, folder: Path) -> None:
    uploads = disk.uploads()
    upload = await uploads.begin("k", 2 * PART, expires_at=now() + LATER)
    upload = await uploads.append(upload, 0, pieces(body(2 * PART)))
    sql(folder, "UPDATE upload_parts SET start = -1 WHERE start = 0")
    sql(folder, "UPDATE upload_parts SET start = 0 WHERE start = ?", PART)
    sql(folder, "UPDATE upload_parts SET start = ? WHERE start = -1", PART)
    with pytest.raises(Unavailable):
        await uploads.finish(upload)


async def test_objects_from_before_there_was_encryption_are_read_and_copied(
    disk: World, folder: Path
) -> None:
    storage = disk.storage()
    for key, content in (("s", SMALL), ("k", LARGE)):
        await storage.put(key, content)
    ((name,),) = sql(folder, "SELECT blob FROM objects WHERE key = 'k'")
    (folder / "objects" / name).write_bytes(LARGE)
    sql(folder, "UPDATE objects SET body = ? WHERE key = 's'", SMALL)
    sql(folder, "UPDATE objects SET enc = NULL")
    assert await read(storage, "s") == SMALL
    assert await read(storage, "k", "5-70000") == LARGE[5:70001]
    await storage.copy("k", "copied")
    assert await read(storage, "copied") == LARGE
    assert len(SMALL) < INLINE
