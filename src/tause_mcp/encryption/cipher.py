"""One tenant's data key at work.

A sealed value is `version (1) | generation (2) | salt (24) | AES-256-GCM`. Its key is
HMAC-SHA256(data key, label | salt): each value has a key of its own, so the nonce is constant and
no number of values wears a key out. What it is bound to (its place) is authenticated beside it.
"""

import hmac
import os
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tause_mcp import log
from tause_mcp.errors import Unavailable

_VERSION = 1
_HEAD, _SALT, _TAG = 3, 24, 16
OVERHEAD = _HEAD + _SALT + _TAG
"""Bytes that sealing adds."""
_NONCE = bytes(12)
_LABEL = b"tause/value/v1"
_log = log.get("encryption")


def unopenable(place: str) -> Unavailable:
    """What is stored does not open: damaged, moved, or sealed under a key that is gone."""
    _log.error("not_opened", place=place.partition("/")[0])
    return Unavailable("what is stored here cannot be opened: it is damaged or its key is gone")


class TenantCipher:
    """`capability.Cipher` under the generations of one tenant's data key (32 bytes each)."""

    __slots__ = ("_head", "_keys", "_newest")

    def __init__(self, keys: Mapping[int, bytes]) -> None:
        newest = max(keys)
        self._keys = keys
        self._newest = keys[newest]
        self._head = bytes([_VERSION]) + newest.to_bytes(2)

    def seal(self, place: str, plain: bytes) -> bytes:
        """`plain` so that it opens only at this place of this tenant."""
        salt, head = os.urandom(_SALT), self._head
        key = hmac.digest(self._newest, _LABEL + salt, "sha256")
        return head + salt + AESGCM(key).encrypt(_NONCE, plain, head + place.encode())

    def open(self, place: str, sealed: bytes) -> bytes:
        """What was sealed at this place; else `Unavailable`."""
        head, salt = sealed[:_HEAD], sealed[_HEAD : _HEAD + _SALT]
        data_key = self._keys.get(int.from_bytes(head[1:]))
        if data_key is None or len(sealed) < OVERHEAD or head[0] != _VERSION:
            raise unopenable(place)
        key = hmac.digest(data_key, _LABEL + salt, "sha256")
        try:
            body = sealed[_HEAD + _SALT :]
            return AESGCM(key).decrypt(_NONCE, body, head + place.encode())
        except InvalidTag:
            raise unopenable(place) from None
