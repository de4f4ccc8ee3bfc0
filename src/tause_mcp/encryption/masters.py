"""Master keys: what wraps the tenants' data keys. The first encrypts, the others still open.

A wrapped key is `version (1) | id (8) | payload`; the id tells which master key opens it.
"""

import base64
import binascii
import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from tause_mcp import log
from tause_mcp.errors import Misconfigured, Unavailable
from tause_mcp.sealing import secret_file

SETTING = "TAUSE_ENCRYPTION_KEY"
FILE = "master.key"
SIZE = 32
_VERSION = b"\x01"
_ID, _NONCE = 8, 12
_log = log.get("encryption")


class Master(Protocol):
    """One key-encryption key, here or at a key service."""

    id: bytes
    """8 bytes that tell it from others; they reveal nothing of it."""
    remote: bool

    async def wrap(self, plain: bytes, about: str) -> bytes:
        """`plain` encrypted, bound to what it is `about`."""
        ...

    async def unwrap(self, payload: bytes, about: str) -> bytes:
        """What `wrap` was given; `Unavailable` when it does not open, or the service is down."""
        ...


def name_of(material: bytes) -> bytes:
    """The id of a key or a key's address."""
    return hashlib.sha256(b"tause/master/v1|" + material).digest()[:_ID]


class LocalMaster:
    """A 256-bit key in this process."""

    remote = False

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.id = name_of(key)

    async def wrap(self, plain: bytes, about: str) -> bytes:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = os.urandom(_NONCE)
        return nonce + AESGCM(self._key).encrypt(nonce, plain, about.encode())

    async def unwrap(self, payload: bytes, about: str) -> bytes:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce, body = payload[:_NONCE], payload[_NONCE:]
        try:
            return AESGCM(self._key).decrypt(nonce, body, about.encode())
        except (InvalidTag, ValueError):
            raise _damaged(about) from None


def _damaged(about: str) -> Unavailable:
    _log.error("key_not_opened", about=about.partition("|")[0])
    return Unavailable("a stored key is damaged: the operator has to restore it from a backup")


class Masters:
    """The master keys in force. `read` is asked again when a key is made or one is not known."""

    def __init__(self, read: Callable[[], Sequence[Master]]) -> None:
        self._read = read
        self._known = list(read())

    @property
    def first(self) -> Master:
        """The one that encrypts."""
        return self._known[0]

    def knows(self, wrapped: bytes) -> Master | None:
        """Which master key opens it."""
        return next((m for m in self._known if _VERSION + m.id == wrapped[: 1 + _ID]), None)

    def reread(self) -> None:
        """See what a rotation changed."""
        self._known = list(self._read())

    async def wrap(self, plain: bytes, about: str) -> bytes:
        """`plain` under the first master key, bound to `about`."""
        self.reread()
        return _VERSION + self.first.id + await self.first.wrap(plain, about)

    async def unwrap(self, wrapped: bytes, about: str) -> bytes:
        """What `wrap` was given.

        Raises:
            Unavailable: no master key of ours wrapped it, or it is damaged.
        """
        master = self.knows(wrapped)
        if master is None:
            self.reread()
            master = self.knows(wrapped)
        if master is None:
            _log.error("master_key_missing", about=about.partition("|")[0])
            raise Unavailable("a stored key was wrapped by a master key that is not here")
        return await master.unwrap(wrapped[1 + _ID :], about)


def read_masters(setting: str, file: Path) -> Callable[[], list[Master]]:
    """How to read the master keys: of the setting, else of the file.

    Raises:
        Misconfigured: (when read) an entry is no key, or the file cannot be used.
    """
    if setting:
        stated = [_stated(part.strip()) for part in setting.split(",")]
        return lambda: stated
    return lambda: [LocalMaster(key) for key in keys_in(file)]


def keys_in(file: Path) -> list[bytes]:
    """The keys of the file, newest first; one is made when there is no file."""
    content = secret_file(file, SIZE)
    if len(content) % SIZE:
        raise Misconfigured(f"{FILE} in TAUSE_HOME is damaged: restore it from a backup")
    return [content[at : at + SIZE] for at in range(0, len(content), SIZE)]


def _stated(text: str) -> Master:
    if "://" not in text:
        return LocalMaster(_decoded(text))
    from tause_mcp.encryption.services import KmsMaster, TransitMaster

    scheme = text.partition("://")[0]
    known: dict[str, Callable[[str, bytes], Master]] = {
        "aws-kms": KmsMaster,
        "vault": TransitMaster,
    }
    if scheme not in known:
        raise Misconfigured(f"{SETTING}: no such key service: use one of {', '.join(known)}")
    return known[scheme](text, name_of(text.encode()))


def _decoded(text: str) -> bytes:
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != SIZE:
        raise Misconfigured(
            f"{SETTING}: each key is 32 bytes in base64: make one with `openssl rand -base64 32`"
        )
    return key
