"""What a failing disk or bucket looks like: a clear refusal, and nothing half-kept."""

import os
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar
from uuid import uuid4

import anyio
import pytest

from tause_mcp.errors import Misconfigured, Unavailable
from tause_mcp.services.storage.backends import BlobGone, open_store

pytestmark = [pytest.mark.anyio, pytest.mark.embedded]
MIB = 1 << 20


async def megabytes(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"m" * MIB


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Writes beyond `size` bytes of a file really fail half-way."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without the rights of root, which no file mode stops."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_disk_that_fails_half_way_keeps_the_old_and_no_part(
    tmp_path: Path, streamed: bool
) -> None:
    async with open_store(f"file://{tmp_path}") as store:
        await store.write("t/old", b"old")
        with file_size_limit(100_000), pytest.raises(Unavailable, match="no file of this size"):
            await store.write("t/new", megabytes(2) if streamed else b"m" * MIB)
        assert sorted(os.listdir(tmp_path / "t")) == ["old"]
        await store.write("t/new", b"now it fits")
        assert b"".join([p async for p in store.read("t/new")]) == b"now it fits"


async def test_a_full_disk_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    async with open_store(f"file://{tmp_path}") as store:
        monkeypatch.setattr(os, "write", full)
        with pytest.raises(Unavailable, match="is full") as told:
            await store.write("t/new", b"x")
        assert str(tmp_path) not in str(told.value)
        assert os.listdir(tmp_path / "t") == []


async def test_a_disk_that_cannot_be_synced_has_kept_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(handle: int) -> None:
        raise OSError(5, "Input/output error")

    async with open_store(f"file://{tmp_path}") as store:
        await store.write("t/old", b"old")
        monkeypatch.setattr(os, "fsync", broken)
        with pytest.raises(Unavailable, match="failed"):
            await store.write("t/new", megabytes(1))
        assert sorted(os.listdir(tmp_path / "t")) == ["old"]


async def test_a_read_only_disk_refuses_writes_and_is_not_ready(tmp_path: Path) -> None:
    async with open_store(f"file://{tmp_path}/objects") as store:
        await store.write("t/old", b"old")
        (tmp_path / "objects" / "t").chmod(0o500)
        with as_nobody(), pytest.raises(Unavailable, match="read-only"):
            await store.write("t/new", b"x")
        with as_nobody(), pytest.raises(Unavailable, match="read-only"):
            await store.check()
        assert b"".join([p async for p in store.read("t/old")]) == b"old"
        assert os.listdir(tmp_path / "objects" / "t") == ["old"]


async def test_no_free_descriptor_is_unavailable_and_passes(tmp_path: Path) -> None:
    async with open_store(f"file://{tmp_path}") as store:
        await store.write("t/old", b"old")
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
        try:
            with pytest.raises(Unavailable, match="too many files"):
                await store.write("t/new", b"x")
            with pytest.raises(Unavailable, match="too many files"):
                [p async for p in store.read("t/old")]
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        await store.write("t/new", b"x")


async def test_files_are_private_and_durable_names_only(tmp_path: Path) -> None:
    async with open_store(f"file://{tmp_path}/objects") as store:
        await store.write("t/new", megabytes(2))
        assert (tmp_path / "objects").stat().st_mode & 0o777 == 0o700
        assert (tmp_path / "objects/t").stat().st_mode & 0o777 == 0o700
        assert (tmp_path / "objects/t/new").stat().st_mode & 0o777 == 0o600


async def test_a_part_that_a_killed_writer_left_is_named_and_removed(tmp_path: Path) -> None:
    async with open_store(f"file://{tmp_path}") as store:
        (tmp_path / "t").mkdir()
        (tmp_path / "t" / "half.part").write_bytes(b"xx")
        assert [(b.name, b.size) async for b in store.names("t/")] == [("t/half", 2)]
        with pytest.raises(BlobGone):
            [p async for p in store.read("t/half")]
        await store.remove("t/half")
        assert os.listdir(tmp_path / "t") == []


async def test_a_reader_keeps_what_it_opened(tmp_path: Path) -> None:
    async with open_store(f"file://{tmp_path}") as store:
        await store.write("t/big", megabytes(3))
        reading = store.read("t/big")
        first = await anext(reading)
        await store.remove("t/big")
        assert len(first) + sum([len(p) async for p in reading]) == 3 * MIB


class Refusing(BaseHTTPRequestHandler):
    """A bucket that answers every request with one status."""

    status: ClassVar[int] = 500

    def _answer(self) -> None:
        while len(self.rfile.read(min(MIB, self._left))) == MIB:
            self._left -= MIB
        body = b"<Error><Code>Canary</Code><Message>canary-secret</Message></Error>"
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def parse_request(self) -> bool:
        parsed = super().parse_request()
        self._left = int(self.headers.get("Content-Length", 0)) if parsed else 0
        return parsed

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _answer

    def log_message(self, *_: object) -> None:
        return None


@contextmanager
def bucket_answering(status: int) -> Iterator[str]:
    handler = type("Handler", (Refusing,), {"status": status})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield (
            f"s3://bucket?endpoint=http://127.0.0.1:{server.server_port}&region=us-east-1"
            "&access_key_id=canary-id&secret_access_key=canary-secret"
        )
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (403, "refuses our credentials"),
        (401, "refuses our credentials"),
        (404, "no such bucket"),
        (500, "does not answer"),
        (503, "does not answer"),
        (507, "is full"),
    ],
)
async def test_a_refusing_bucket_is_unavailable_and_tells_no_secret(
    status: int, text: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with bucket_answering(status) as url:
        async with open_store(url) as store:
            for attempt in (
                store.write("t/small", b"x"),
                store.write("t/big", megabytes(9)),
                store.remove("t/small") if status != 404 else store.check(),
                store.check(),
            ):
                with pytest.raises(Unavailable, match=text) as told:
                    await attempt
                assert "canary" not in str(told.value)
            if status != 404:
                with pytest.raises(Unavailable, match=text):
                    [p async for p in store.read("t/small")]
                with pytest.raises(Unavailable, match=text):
                    [b async for b in store.names()]
    assert "canary-" not in "".join(capfd.readouterr())


async def test_a_bucket_that_is_down_is_unavailable_soon() -> None:
    with bucket_answering(200) as url:
        pass
    async with open_store(url) as store:
        with pytest.raises(Unavailable, match="does not answer"):
            await store.write("t/a", b"x")
        with pytest.raises(Unavailable, match="does not answer"):
            await store.check()


async def test_a_missing_bucket_is_named_as_such(s3_port: int) -> None:
    url = (
        f"s3://nowhere?endpoint=http://127.0.0.1:{s3_port}&region=us-east-1"
        "&access_key_id=a&secret_access_key=b"
    )
    async with open_store(url) as store:
        for attempt in (store.write("t/a", b"x"), store.write("t/b", megabytes(9)), store.check()):
            with pytest.raises(Unavailable, match="no such bucket"):
                await attempt
        with pytest.raises(Unavailable, match="no such bucket"):
            [p async for p in store.read("t/a")]


@pytest.mark.parametrize("cut", ["cancelled", "failed"])
async def test_an_upload_cut_short_leaves_no_parts_in_the_bucket(s3_port: int, cut: str) -> None:
    async def body() -> AsyncIterator[bytes]:
        async for piece in megabytes(17):
            yield piece
        if cut == "failed":
            raise ConnectionResetError
        await anyio.sleep_forever()

    prefix = uuid4().hex
    url = (
        f"s3://objects/{prefix}?endpoint=http://127.0.0.1:{s3_port}&region=us-east-1"
        "&access_key_id=a&secret_access_key=b"
    )
    async with open_store(url) as store:
        with anyio.move_on_after(1), suppress(ConnectionResetError):
            await store.write("t/big", body())
        with closing(HTTPConnection("127.0.0.1", s3_port)) as connection:
            connection.request("GET", "/objects?uploads")
            assert prefix.encode() not in connection.getresponse().read()


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("ftp://host/x", "no storage backend for 'ftp'"),
        ("objects", "not a URL"),
        ("file://host/x", "file:///absolute/path"),
        ("file:///x?mode=fast", "file:///absolute/path"),
        ("s3:///prefix", "s3://bucket/prefix"),
        ("s3://key:canary@bucket", "s3://bucket/prefix"),
        ("s3://bucket?secret=canary", "unknown option"),
        ("az://container?account=a&key=canary!", "cannot be used"),
    ],
)
async def test_a_url_that_cannot_work_stops_the_start_with_one_line(url: str, text: str) -> None:
    with pytest.raises(Misconfigured, match=text) as told:
        async with open_store(url):
            pass
    assert "canary" not in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    "url",
    [
        "gs://bucket/prefix?endpoint=http://127.0.0.1:1&skip_signature=true",
        "az://container/prefix?account=name&key=a2V5&endpoint=http://127.0.0.1:1",
    ],
)
async def test_other_clouds_open_by_the_same_switch(url: str) -> None:
    async with open_store(url) as store:
        with pytest.raises(Unavailable, match="does not answer"):
            await store.check()
