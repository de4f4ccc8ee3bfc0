"""Long bodies under a key of their own: any range of them opens without the rest.

A sealed body is its plain bytes in segments of 16 KiB, each followed by its tag (AES-256-GCM). The
nonce of a segment is its number and whether it is the last one (the STREAM construction), so bytes
that were changed, cut off, moved within the body or taken from another one do not open.
"""

from collections.abc import AsyncIterable, AsyncIterator, Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tause_mcp.encryption.cipher import unopenable
from tause_mcp.errors import Unavailable

PLAIN = 16 * 1024
"""Plain bytes of a segment; only the last one may be shorter."""
_TAG = 16
SEALED = PLAIN + _TAG
_BATCH = 1 << 20
"""Plain bytes that are opened before they are handed on."""

Read = Callable[[int, int], AsyncIterator[bytes]]
"""The sealed bytes from one offset up to, not including, another."""


def sealed_size(size: int) -> int:
    """Bytes that `size` plain bytes take when they are sealed."""
    return size + _TAG * _count(size)


def _count(size: int) -> int:
    return max(1, -(-size // PLAIN))


def _nonce(number: int, last: bool) -> bytes:
    return bytes(7) + number.to_bytes(4) + bytes([last])


class Segments:
    """Seals one body under `key` (32 bytes), or opens it. A key seals one body only."""

    def __init__(self, key: bytes, place: str) -> None:
        self._aead = AESGCM(key)
        self._place = place

    def whole(self, plain: bytes) -> bytes:
        """A short body sealed in one piece."""
        return self._sealed(plain, 0, last=True)

    def _sealed(self, plain: bytes, number: int, *, last: bool) -> bytes:
        """Full segments from `number` on; with `last`, the rest and the end of the body too."""
        ends = range(PLAIN, len(plain), PLAIN)
        count = _count(len(plain)) if last else len(plain) // PLAIN
        view = memoryview(plain)
        seal = self._aead.encrypt
        pieces = [
            seal(
                _nonce(number + n, last and n == len(ends)), view[n * PLAIN : (n + 1) * PLAIN], None
            )
            for n in range(count)
        ]
        return b"".join(pieces)

    async def sealing(self, body: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        """The sealed form of a body as it comes."""
        held, number = b"", 0
        async for piece in body:
            held += piece
            full = (len(held) - 1) // PLAIN  # what may be the last segment stays in hand
            if full > 0:
                yield self._sealed(held[: full * PLAIN], number, last=False)
                held, number = held[full * PLAIN :], number + full
        yield self._sealed(held, number, last=True)

    async def opening(self, read: Read, size: int, start: int, end: int) -> AsyncIterator[bytes]:
        """Plain bytes `[start, end)` of a body of `size`.

        Raises:
            Unavailable: what is kept is not what was sealed.
        """
        if start >= end:
            return
        number, final = start // PLAIN, _count(size) - 1
        stop = min((end - 1) // PLAIN, final)
        held = bytearray()
        source = read(number * SEALED, min((stop + 1) * SEALED, sealed_size(size)))
        skip, left = start - number * PLAIN, end - start
        async for piece in source:
            held += piece
            while number <= stop and (len(held) >= SEALED or number == final):
                plain, taken, number = self._opened(held, number, final, size, stop)
                if not taken:
                    break
                del held[:taken]
                plain = plain[skip : skip + left]
                skip, left = 0, left - len(plain)
                yield plain
        if left:
            raise Unavailable("the bytes of this object are incomplete: tell the operator")

    def _opened(
        self, held: bytearray, number: int, final: int, size: int, stop: int
    ) -> tuple[bytes, int, int]:
        """What is in hand whole: its plain bytes, the sealed ones it took, the next number."""
        pieces: list[bytes] = []
        taken = 0
        while number <= stop and taken < _BATCH:
            last = number == final
            length = size - number * PLAIN + _TAG if last else SEALED
            if len(held) - taken < length:
                break
            pieces.append(self._one(bytes(held[taken : taken + length]), number, last=last))
            taken, number = taken + length, number + 1
        return b"".join(pieces), taken, number

    def _one(self, sealed: bytes, number: int, *, last: bool) -> bytes:
        try:
            return self._aead.decrypt(_nonce(number, last), sealed, None)
        except InvalidTag:
            raise unopenable(self._place) from None
