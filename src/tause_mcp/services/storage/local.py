"""Files of the person beside a stdio session: only regular ones, only below allowed folders.

A path is resolved, compared, then opened folder by folder without following links, so that a link
swapped in meanwhile is refused too.
"""

import errno
import os
import stat
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from anyio import to_thread

from tause_mcp.errors import Forbidden, Invalid, NotFound, Unavailable

CHUNK = 1 << 20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OUTSIDE = "this path is outside the folders that were allowed with --allow-path"


@contextmanager
def _told() -> Iterator[None]:
    """An `OSError` as what the caller may know of it."""
    try:
        yield
    except FileNotFoundError:
        raise NotFound("no such file", field="path") from None
    except OSError as failed:
        if failed.errno in (errno.ELOOP, errno.ENOTDIR):
            raise Invalid("this path is not a plain file in a plain folder", field="path") from None
        if failed.errno in (errno.EACCES, errno.EPERM):
            raise Forbidden("the system does not allow this file", field="path") from None
        reason = os.strerror(failed.errno or 0).lower()
        raise Unavailable(f"the file could not be used: {reason}") from None


class LocalFiles:
    """Reads and writes files below `allowed`; nothing when it is empty."""

    def __init__(self, allowed: tuple[Path, ...]) -> None:
        self._allowed = allowed

    def _place(self, path: str) -> tuple[Path, tuple[str, ...]]:
        """The allowed folder and the names below it that lead to `path`, links resolved."""
        if not self._allowed:
            raise Forbidden(
                "no folder is allowed: start the server on stdio with --allow-path DIR",
                field="path",
            )
        if not path or "\0" in path:
            raise Invalid("path is not a file name", field="path")
        for folder in self._allowed:
            root = Path(os.path.realpath(folder))
            real = Path(os.path.realpath(root / Path(path).expanduser()))
            if real != root and real.is_relative_to(root):
                return root, real.relative_to(root).parts
        raise Forbidden(_OUTSIDE, field="path")

    @contextmanager
    def _folder(self, path: str) -> Iterator[tuple[int, str]]:
        """An open handle of the file's folder, and the file's name in it."""
        with _told():
            root, names = self._place(path)
            handle = os.open(root, _FOLDER)
            try:
                for name in names[:-1]:
                    below = os.open(name, _FOLDER, dir_fd=handle)
                    os.close(handle)
                    handle = below
                yield handle, names[-1]
            finally:
                os.close(handle)

    def _open(self, path: str) -> tuple[int, int]:
        with self._folder(path) as (folder, name):
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            handle = os.open(name, flags, dir_fd=folder)
            told = os.fstat(handle)
            if not stat.S_ISREG(told.st_mode):
                os.close(handle)
                raise Invalid("this path is not a regular file", field="path")
            return handle, told.st_size

    async def read(self, path: str) -> tuple[int, AsyncIterator[bytes]]:
        """`(size, pieces)` of a file. The pieces have to be read to their end, or closed."""
        handle, size = await to_thread.run_sync(self._open, path)
        return size, _pieces(handle)

    async def write(self, path: str, pieces: AsyncIterable[bytes]) -> None:
        """Write a file atomically: all of it, or what was there before."""
        target = await to_thread.run_sync(_Target, self, path)
        try:
            async for piece in pieces:
                await to_thread.run_sync(target.add, piece)
            await to_thread.run_sync(target.publish)
        finally:
            target.close()

    @contextmanager
    def folder(self, path: str) -> Iterator[tuple[int, str]]:
        """See `_folder`; what is there already must be a regular file."""
        with self._folder(path) as (folder, name):
            with suppress(FileNotFoundError):
                told = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if not stat.S_ISREG(told.st_mode):
                    raise Invalid("this path is not a regular file", field="path")
            yield folder, name


class _Target:
    """A file being written beside its final name."""

    def __init__(self, files: LocalFiles, path: str) -> None:
        with files.folder(path) as (folder, self._name):
            self._folder = os.dup(folder)
        self._part = f".{uuid4().hex}.part"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with _told():
                self._handle = os.open(self._part, flags, 0o600, dir_fd=self._folder)
        except BaseException:
            os.close(self._folder)
            raise

    def add(self, piece: bytes) -> None:
        view = memoryview(piece)
        with _told():
            while view:
                view = view[os.write(self._handle, view) :]

    def publish(self) -> None:
        with _told():
            os.fsync(self._handle)
            os.replace(self._part, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
            os.fsync(self._folder)

    def close(self) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._part, dir_fd=self._folder)
        os.close(self._handle)
        os.close(self._folder)


async def _pieces(handle: int) -> AsyncIterator[bytes]:
    try:
        while piece := await to_thread.run_sync(os.read, handle, CHUNK):
            yield piece
    finally:
        os.close(handle)
