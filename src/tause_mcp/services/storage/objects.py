"""What storage tells of an object."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, NotRequired

from typing_extensions import TypedDict

from tause_mcp.times import iso


class ObjectInfo(TypedDict):
    """An object without its content. `updated_at` is ISO 8601 in UTC; `sha256` in hexadecimal."""

    key: str
    size: int
    sha256: str
    etag: str
    content_type: str
    updated_at: str


class SignedUrl(TypedDict):
    """A link that carries its own permission. Whoever holds it may use it until `expires_at`."""

    url: str
    method: str
    expires_at: str
    max_bytes: NotRequired[int]


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object's row. `updated_at` in epoch microseconds; `blob` None: the body is in the row."""

    key: str
    size: int
    sha256: str
    etag: str
    content_type: str
    updated_at: int
    blob: str | None

    @classmethod
    def of(cls, row: tuple[Any, ...]) -> "StoredObject":
        """From the columns that every statement selects first."""
        return cls(*row[:7])

    def info(self) -> ObjectInfo:
        """As callers see it."""
        return {
            "key": self.key,
            "size": self.size,
            "sha256": self.sha256,
            "etag": self.etag,
            "content_type": self.content_type,
            "updated_at": iso(self.updated_at),
        }


@dataclass(frozen=True, slots=True)
class Usage:
    """What a tenant keeps: `reserved` bytes are promised to unfinished uploads."""

    bytes: int
    objects: int
    reserved: int
    limit: int | None


@dataclass(frozen=True, slots=True)
class Reading:
    """An object being read: bytes `[start, end)` of it, in order, once."""

    object: StoredObject
    start: int
    end: int
    chunks: AsyncIterator[bytes]
    asked: int
    """Bytes that were asked for: more than `end - start` when they were cut."""

    async def whole(self) -> bytes:
        """Everything that is left, in one piece."""
        return b"".join([chunk async for chunk in self.chunks])
