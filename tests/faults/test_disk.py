"""A full disk and a read-only one: a clean error, the old value intact, recovery when freed."""

import resource
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from tests.support.forked import Forked, Zygote, forking

from tause_mcp.testing.walk_wire import Answer, Speaker

pytestmark = [pytest.mark.anyio, pytest.mark.embedded]

SIZE = 6 << 20
SMALL, LARGE = "s" * 500, "l" * 200_000


class Limit:
    """No file of the server may grow: what a full disk does, where nothing may be mounted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def full(self, pid: int) -> Iterator[None]:
        before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, before[1]))
        try:
            yield
        finally:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


class Mounted(Limit):
    """A small file system of its own, filled to the last byte. The log is on it, too."""

    @contextmanager
    def full(self, pid: int) -> Iterator[None]:
        filler = self.folder / "filler"
        with filler.open("wb", buffering=0) as file:
            for size in (65_536, 4096, 512):
                with suppress(OSError):
                    while file.write(b"x" * size) == size:
                        pass
        try:
            yield
        finally:
            filler.unlink()


@pytest.fixture(scope="module", params=["limit", "mounted"])
def disk(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Limit]:
    folder = tmp_path_factory.mktemp("disk")
    if request.param == "limit":
        yield Limit(folder)
        return
    options = ["-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    mounted = subprocess.run(["mount", *options], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no file system may be mounted here: {mounted.stderr.strip()}")
    try:
        yield Mounted(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="module")
def forked(disk: Limit, seed: Zygote) -> Iterator[Forked]:
    with forking(seed, disk.folder / "home") as made:
        made.start()
        yield made


@pytest.fixture
async def speaker(forked: Forked) -> AsyncIterator[Speaker]:
    async with httpx2.AsyncClient(base_url=forked.url, timeout=30, trust_env=False) as http:
        yield Speaker(http, forked.key)


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
    disk: Limit, speaker: Speaker, forked: Forked, content: str
) -> None:
    key, other = f"disk/{len(content)}", content.upper() * 2
    assert (await put(speaker, key, content)).value
    with disk.full(forked.pid):
        answers = [await put(speaker, key, other) for _ in range(30)]
        refused = [answer for answer in answers if not answer.value]
        assert refused, "the disk was not full"
        for answer in refused:
            unavailable(answer, "full", "unavailable", "no file of this size")
        assert await whole(speaker, key, other if answers[0].value else content)
        assert (await speaker.tool("access_whoami", {})).value
        ready = await speaker.send("GET", "/readyz")
        assert ready.status in (200, 503) and str(disk.folder) not in ready.body
    again = await put(speaker, key, content[::-1])
    assert again.value, again.text
    assert (await speaker.send("GET", "/readyz")).status == 200
    assert (await speaker.tool("audit_verify", {})).value["intact"]


def test_a_start_on_a_full_disk_is_refused_in_one_line(
    disk: Limit, forked: Forked, tmp_path: Path
) -> None:
    if not isinstance(disk, Mounted):
        return  # the limit is one of a running process
    elsewhere = replace(forked, log=tmp_path / "log")
    with disk.full(forked.pid):
        home = str(disk.folder / "another")
        code, text = elsewhere.run("serve", "--transport", "http", "--port", "0", TAUSE_HOME=home)
    assert code not in (0, None) and "Traceback" not in text, text
    assert len(text.strip().splitlines()) == 1, text
