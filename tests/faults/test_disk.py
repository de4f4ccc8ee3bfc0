"""A full disk and a read-only one: a clean error, the old value intact, recovery when freed."""

import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest
from tests.support.forked import Zygote, zygote

from tause_mcp.testing.walk_wire import Answer, Speaker

pytestmark = pytest.mark.anyio

SIZE = 6 << 20
SMALL, LARGE = "s" * 500, "l" * 200_000


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small file system of its own."""
    folder = tmp_path_factory.mktemp("disk")
    options = ["-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    mounted = subprocess.run(["mount", *options], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no file system may be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="module")
def forked(disk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    home = disk / "home"
    with zygote(home, TAUSE_LOG_LEVEL="error") as made:
        made.home.mkdir()
        made.start()
        yield made


@pytest.fixture
async def speaker(forked: Zygote) -> AsyncIterator[Speaker]:
    async with httpx2.AsyncClient(base_url=forked.url, timeout=30, trust_env=False) as http:
        yield Speaker(http, forked.key)


def fill(disk: Path) -> Path:
    """Take what is left."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65_536, 4096, 512):
            try:
                while file.write(b"x" * size) == size:
                    pass
            except OSError:
                continue
    return filler


async def put(speaker: Speaker, key: str, content: str) -> Answer:
    return await speaker.tool("storage_put", {"key": key, "content": content})


async def whole(speaker: Speaker, key: str, content: str) -> bool:
    """Whether the object is exactly this, by its size and digest and the start of its bytes."""
    told = (await speaker.tool("storage_get", {"key": key})).value
    return told["size"] == len(content) and content.startswith(told["content"])


def unavailable(answer: Answer, *words: str) -> None:
    """A clean refusal that says why."""
    told = answer.result
    assert told["isError"] and told["_meta"]["pro.tause/error"]["code"] == "unavailable", told
    text = told["content"][0]["text"]
    assert any(word in text for word in words), text
    assert "/" not in text and "SQL" not in text.upper()


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["in the row", "in a blob"])
async def test_a_full_disk_keeps_the_old_object_and_recovers(
    disk: Path, speaker: Speaker, forked: Zygote, content: str
) -> None:
    key = f"disk/{len(content)}"
    assert (await put(speaker, key, content)).value
    filler = fill(disk)
    try:
        refused = [await put(speaker, key, content.upper() * 2) for _ in range(40)]
        failed = [a for a in refused if not a.value]
        assert failed, "the disk was not full"
        for answer in failed:
            unavailable(answer, "full")
        last = content if not refused[0].value else content.upper() * 2
        assert await whole(speaker, key, last)
        assert (await speaker.tool("access_whoami", {})).value
        ready = await speaker.send("GET", "/readyz")
        assert ready.status in (200, 503) and disk.as_posix() not in ready.body
    finally:
        filler.unlink()
    again = await put(speaker, key, content[::-1])
    assert again.value, again.text
    assert (await speaker.send("GET", "/readyz")).status == 200
    assert (await speaker.tool("audit_verify", {})).value["intact"]


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["in the row", "in a blob"])
async def test_a_disk_that_became_read_only_still_reads_and_recovers(
    disk: Path, speaker: Speaker, content: str
) -> None:
    key = f"ro/{len(content)}"
    assert (await put(speaker, key, content)).value
    remount(disk, "ro")
    try:
        unavailable(await put(speaker, key, "other"), "read-only", "unavailable")
        assert await whole(speaker, key, content)
        assert (await speaker.send("GET", "/readyz")).status == 503
    finally:
        remount(disk, "rw")
    assert (await put(speaker, key, "other")).value
    assert (await speaker.send("GET", "/readyz")).status == 200


def remount(disk: Path, how: str) -> None:
    """Read-only at once, open files included (`-f` of the kernel's super block)."""
    done = subprocess.run(
        ["mount", "-o", f"remount,{how},size={SIZE}", str(disk)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"open files keep it writable here: {done.stderr.strip()}")


async def test_a_start_on_a_full_disk_is_refused_in_one_line(disk: Path, forked: Zygote) -> None:
    filler = fill(disk)
    try:
        home = str(disk / "another")
        code, text = forked.run("serve", "--transport", "http", "--port", "0", TAUSE_HOME=home)
    finally:
        filler.unlink()
        if forked.log.exists():
            forked.log.unlink()
    assert code not in (0, None) and "Traceback" not in text, text
    lines = text.strip().splitlines()
    assert len(lines) == 1 and os.sep + "another" not in lines[0].partition("TAUSE_HOME")[0], text
