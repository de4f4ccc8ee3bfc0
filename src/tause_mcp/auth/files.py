"""Secrets that the home makes for itself: created once, whichever process comes first."""

import os
from collections.abc import Callable
from pathlib import Path
from secrets import token_hex

from tause_mcp.errors import Misconfigured

_OTHERS = 0o027
"""Mode bits a secret may not have: a group may read (mounted secrets), others nothing."""


def once(path: Path, make: Callable[[], bytes]) -> bytes:
    """What `path` holds, made (mode 0600) when it is absent; racing processes all get the same.

    Raises:
        Misconfigured: it cannot be read or made, is empty, or others may read it.
    """
    try:
        if not path.exists():
            _publish(path, make())
        return read_secret(path)
    except OSError as error:
        raise Misconfigured(f"TAUSE_HOME: cannot keep {path.name}: {error.strerror}") from None


def read_secret(path: Path) -> bytes:
    """The content of a secret's file, refused when others may read or a group may write it."""
    with path.open("rb") as file:
        if os.name == "posix" and os.fstat(file.fileno()).st_mode & _OTHERS:
            raise Misconfigured(f"{path.name} in TAUSE_HOME is open to others: chmod 600 it")
        content = file.read()
    if not content:
        raise Misconfigured(f"{path.name} in TAUSE_HOME is empty: restore it or remove it")
    return content


def _publish(path: Path, content: bytes) -> None:
    """Give the finished file its name in one step; the first to do so wins."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(handle)
        path.hardlink_to(draft)
    except FileExistsError:
        return
    finally:
        draft.unlink()
        _settle(path.parent)


def _settle(folder: Path) -> None:
    """Make the names in `folder` survive a power cut: a lost pepper would end every API key."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
