"""`file:///path`: one file per blob, durable by temporary file, fsync, rename, fsync of folder."""

import errno
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from anyio import CapacityLimiter, to_thread

from tause_mcp import log, tally
from tause_mcp.errors import Misconfigured, Unavailable
from tause_mcp.services.storage.backends import Blob, BlobGone, Body, named

CHUNK = 1 << 20
INLINE = 1 << 16
"""Reads up to this many bytes are done on the event loop: cheaper than a thread."""
PART = ".part"
_TEXTS = {
    errno.ENOSPC: "the disk of the object store is full: free space and try again",
    errno.EDQUOT: "the disk of the object store is full: free space and try again",
    errno.EFBIG: "the disk of the object store takes no file of this size",
    errno.EROFS: "the object store is read-only: the operator has to make it writable",
    errno.EACCES: "the object store is read-only: the operator has to make it writable",
    errno.EPERM: "the object store is read-only: the operator has to make it writable",
    errno.EMFILE: "too many files are open: try again shortly",
    errno.ENFILE: "too many files are open: try again shortly",
}
_T = TypeVar("_T")
_log = log.get("storage")


@contextmanager
def _told() -> Iterator[None]:
    """An `OSError` inside becomes `Unavailable` (absence: `BlobGone`), the path left out."""
    try:
        yield
    except FileNotFoundError:
        raise BlobGone("the bytes of this object are gone") from None
    except OSError as failed:
        name = errno.errorcode.get(failed.errno or 0, "unknown")
        tally.failed("storage")
        _log.warning("object store failed", error=name)
        text = _TEXTS.get(failed.errno or 0, "the object store failed: try again")
        raise Unavailable(text) from None


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _make_folder(folder: Path) -> None:
    """Create `folder` and its missing parents, each durable in its own parent."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    _sync_folder(folder.parent)


def _create(path: Path) -> int:
    _make_folder(path.parent)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)


def _publish(handle: int, part: Path, path: Path) -> None:
    os.fsync(handle)
    part.rename(path)
    _sync_folder(path.parent)


def _link(source: Path, path: Path) -> None:
    _make_folder(path.parent)
    path.hardlink_to(source)
    _sync_folder(path.parent)


def _write_whole(part: Path, path: Path, data: bytes) -> None:
    handle = _create(part)
    try:
        _write_all(handle, data)
        _publish(handle, part, path)
    finally:
        os.close(handle)


async def _gathered(body: Body) -> AsyncIterator[bytes]:
    """The body in pieces of about `CHUNK`, so that a thread hop pays."""
    if isinstance(body, bytes):
        yield body
        return
    pieces: list[bytes] = []
    size = 0
    async for chunk in body:
        pieces.append(chunk)
        size += len(chunk)
        if size >= CHUNK:
            yield b"".join(pieces)
            pieces, size = [], 0
    yield b"".join(pieces)


class FileStore:
    """Blobs as files below one folder, mode 0600."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._threads = CapacityLimiter(8)

    def _path(self, name: str) -> Path:
        return self._root / named(name)

    async def _off_loop(self, work: Callable[..., _T], *arguments: object) -> _T:
        with _told():
            run = partial(work, *arguments)
            return await to_thread.run_sync(run, limiter=self._threads)

    async def write(self, name: str, body: Body) -> None:
        """Write beside the final name, then rename; a failed write leaves nothing."""
        path = self._path(name)
        part = path.with_name(path.name + PART)
        try:
            if isinstance(body, bytes):
                await self._off_loop(_write_whole, part, path, body)
            else:
                await self._stream(part, path, body)
        except BaseException:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise

    async def _stream(self, part: Path, path: Path, body: Body) -> None:
        handle = await self._off_loop(_create, part)
        try:
            async for piece in _gathered(body):
                await self._off_loop(_write_all, handle, piece)
            await self._off_loop(_publish, handle, part, path)
        finally:
            os.close(handle)

    async def copy(self, source: str, name: str) -> None:
        """A second name for the same file: blobs never change."""
        await self._off_loop(_link, self._path(source), self._path(name))

    async def read(self, name: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Read from one open file, so that a removal meanwhile changes nothing."""
        with _told():
            handle = os.open(self._path(name), os.O_RDONLY | os.O_CLOEXEC)
        try:
            stop = os.fstat(handle).st_size if end is None else end
            inline = stop - start <= INLINE
            while start < stop:
                want = min(CHUNK, stop - start)
                if inline:
                    with _told():
                        piece = os.pread(handle, want, start)
                else:
                    piece = await self._off_loop(os.pread, handle, want, start)
                if not piece:
                    return
                start += len(piece)
                yield piece
        finally:
            os.close(handle)

    async def remove(self, name: str) -> None:
        """Unlink the file and its unfinished twin."""
        path = self._path(name)

        def unlink() -> None:
            path.with_name(path.name + PART).unlink(missing_ok=True)
            path.unlink(missing_ok=True)

        await self._off_loop(unlink)

    async def names(self, prefix: str = "") -> AsyncIterator[Blob]:
        """Walk the folders from that of `prefix`, one thread hop each."""
        start = self._root / prefix.rpartition("/")[0]
        folders = [start] if start.is_dir() else []
        while folders:
            below, blobs = await self._off_loop(_entries, self._root, folders.pop())
            folders += below
            for blob in blobs:
                if blob.name.startswith(prefix):
                    yield blob

    async def unfinished(self, before: float, *, abort: bool) -> int | None:
        """None: an unfinished write is a file that `names` shows."""
        return 0

    async def check(self) -> None:
        """Write and remove a probe."""
        probe = self._root / f".probe-{uuid4().hex}"
        await self._off_loop(_probe, probe)


def _probe(probe: Path) -> None:
    try:
        probe.write_bytes(b"ready")
    finally:
        probe.unlink(missing_ok=True)


def _entries(root: Path, folder: Path) -> tuple[list[Path], list[Blob]]:
    """The folders and blobs directly in `folder`; what vanished meanwhile is left out."""
    folders: list[Path] = []
    blobs: list[Blob] = []
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        with suppress(FileNotFoundError):
            if path.is_dir():
                folders.append(path)
            else:
                told = path.stat()
                name = path.relative_to(root).as_posix().removesuffix(PART)
                blobs.append(Blob(name, told.st_size, told.st_mtime))
    return folders, blobs


@asynccontextmanager
async def open_file(url: str) -> AsyncIterator[FileStore]:
    """`file:///absolute/path`; the folder is made, mode 0700, when it is missing."""
    parts = urlsplit(url)
    root = Path(unquote(parts.path))
    if parts.netloc not in ("", "localhost") or not root.is_absolute() or parts.query:
        raise Misconfigured("the storage URL has to be file:///absolute/path")
    try:
        await to_thread.run_sync(partial(root.mkdir, mode=0o700, parents=True, exist_ok=True))
    except OSError as failed:
        reason = errno.errorcode.get(failed.errno or 0, "unknown")
        raise Misconfigured(f"the storage folder cannot be made ({reason})") from None
    yield FileStore(root)
