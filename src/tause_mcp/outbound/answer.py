"""What came back: the status, the headers and a bounded body."""

import json
import math
import zlib
from collections.abc import AsyncIterable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time
from typing import Any, Self

from tause_mcp.errors import ProviderError, Unavailable

RETRYABLE = frozenset({408, 425, 429, 500, 502, 503, 504})
LONGEST_WAIT = 3600.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. Header names are in lower case; `content` is decoded."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def json(self) -> Any:
        """The body read as JSON, or `ProviderError`."""
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            raise ProviderError("the answer is not JSON") from None

    def retry_after(self) -> float | None:
        """Seconds that `Retry-After` asks for, as a number or a date, at most an hour."""
        stated = self.headers.get("retry-after", "").strip()
        if not stated:
            return None
        try:
            seconds = float(stated)
        except ValueError:
            seconds = _until(stated)
        return min(max(seconds, 0.0), LONGEST_WAIT) if math.isfinite(seconds) else None

    def required(self) -> Self:
        """Itself when the status is 2xx, else the failure it stands for."""
        if 200 <= self.status < 300:
            return self
        if 300 <= self.status < 400:
            raise ProviderError("the answer is a redirect, which is not followed")
        text = f"the provider answered {self.status}"
        if self.status in RETRYABLE:
            raise Unavailable(text, retry_after=self.retry_after())
        raise ProviderError(text)


def _until(date: str) -> float:
    """Seconds until an HTTP date; NaN when it is none."""
    try:
        return parsedate_to_datetime(date).timestamp() - time()
    except (ValueError, OverflowError):
        return math.nan


async def bounded(raw: AsyncIterable[bytes], coding: str, most: int) -> bytes:
    """The body of at most `most` bytes, before and after decoding; a bomb stops at the limit.

    `coding` is `Content-Encoding`: identity and gzip are read, as those are all that was asked for.
    """
    if coding not in ("", "identity", "gzip", "x-gzip"):
        raise ProviderError("the answer has a content encoding that was not asked for")
    packed = zlib.decompressobj(wbits=31) if "gzip" in coding else None
    received, body = 0, bytearray()
    async for chunk in raw:
        received += len(chunk)
        body += chunk if packed is None else _unpacked(packed, chunk, most + 1 - len(body))
        if max(received, len(body)) > most:
            raise ProviderError(f"the answer is larger than {most} bytes")
    if packed is not None and received and not packed.eof:
        raise ProviderError("the answer ended early")
    return bytes(body)


def _unpacked(packed: "zlib._Decompress", chunk: bytes, room: int) -> bytes:
    try:
        return packed.decompress(chunk, room)
    except zlib.error:
        raise ProviderError("the answer cannot be decoded") from None
