"""Any range of any body equals the plain slice; whatever was done to the sealed bytes shows."""

import asyncio
import os
import time
import tracemalloc
from collections.abc import AsyncIterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tause_mcp.encryption.segments import PLAIN, SEALED, Segments, sealed_size
from tause_mcp.errors import Unavailable

KEY = bytes(range(32))
SIZES = st.one_of(
    st.integers(0, 3 * PLAIN),
    st.sampled_from([n * PLAIN + d for n in range(4) for d in (-1, 0, 1) if n * PLAIN + d >= 0]),
)


def reading(sealed: bytes, step: int):
    async def read(start: int, end: int) -> AsyncIterator[bytes]:
        for at in range(start, min(end, len(sealed)), step):
            yield sealed[at : min(at + step, end, len(sealed))]

    return read


async def collected(pieces: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in pieces])


async def cut(body: bytes, step: int) -> AsyncIterator[bytes]:
    for at in range(0, len(body), step):
        yield body[at : at + step]


def opened(sealed: bytes, size: int, start: int, end: int, step: int = 5000, key=KEY) -> bytes:
    segments = Segments(key, "objects/x")
    return asyncio.run(collected(segments.opening(reading(sealed, step), size, start, end)))


@settings(max_examples=150, deadline=None)
@given(SIZES, st.integers(1, 40_000), st.integers(1, 40_000), st.data())
@example(PLAIN, 1, 1, None)
def test_any_range_of_any_body_equals_the_plain_slice(size, step, back, data) -> None:
    body = os.urandom(size)
    sealed = asyncio.run(
        collected(Segments(KEY, "x").sealing(cut(body, max(step, size // 50 + 1))))
    )
    assert len(sealed) == sealed_size(size)
    if size <= PLAIN:
        assert sealed == Segments(KEY, "x").whole(body)
    start = data.draw(st.integers(0, size)) if data else 0
    end = data.draw(st.integers(start, size)) if data else size
    assert opened(sealed, size, start, end, max(back, size // 50 + 1)) == body[start:end]


def test_whole_and_streamed_are_the_same_bytes() -> None:
    body = os.urandom(3 * PLAIN + 7)
    streamed = asyncio.run(collected(Segments(KEY, "x").sealing(cut(body, 999))))
    assert Segments(KEY, "x").whole(body) == streamed


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3 * PLAIN), st.data())
def test_a_flipped_bit_shows(size: int, data: st.DataObject) -> None:
    sealed = bytearray(Segments(KEY, "x").whole(os.urandom(size)))
    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Unavailable):
        opened(bytes(sealed), size, 0, size)


def test_a_changed_segment_does_not_spoil_a_range_beside_it() -> None:
    body = os.urandom(3 * PLAIN)
    sealed = bytearray(Segments(KEY, "x").whole(body))
    sealed[0] ^= 1
    assert opened(bytes(sealed), len(body), PLAIN, 2 * PLAIN) == body[PLAIN : 2 * PLAIN]


@pytest.mark.parametrize("kept", [0, 1, SEALED - 1, SEALED, SEALED + 1, 2 * SEALED])
def test_a_cut_body_shows_even_at_a_segments_end(kept: int) -> None:
    size = 2 * PLAIN + 100
    sealed = Segments(KEY, "x").whole(os.urandom(size))[:kept]
    with pytest.raises(Unavailable):
        opened(sealed, size, 0, size)
    with pytest.raises(Unavailable):  # even when the row was made to agree
        opened(
            sealed,
            min(kept // SEALED * PLAIN, size) or 1,
            0,
            1 if not kept else PLAIN * (kept // SEALED) or 1,
        )


def test_swapped_segments_and_another_bodys_segments_show() -> None:
    one, two = (Segments(os.urandom(32), "x").whole(os.urandom(3 * PLAIN)) for _ in range(2))
    mine = Segments(KEY, "x").whole(os.urandom(3 * PLAIN))
    swapped = mine[SEALED : 2 * SEALED] + mine[:SEALED] + mine[2 * SEALED :]
    for wrong in (swapped, one, mine[:SEALED] + two[SEALED:]):
        with pytest.raises(Unavailable):
            opened(wrong, 3 * PLAIN, 0, 3 * PLAIN)


def test_a_body_made_longer_shows() -> None:
    body = os.urandom(PLAIN)
    sealed = Segments(KEY, "x").whole(body)
    with pytest.raises(Unavailable):
        opened(sealed + sealed, 2 * PLAIN, 0, 2 * PLAIN)


def test_a_large_body_takes_little_memory_and_time() -> None:
    size, piece = 64 << 20, bytes(1 << 20)

    async def source() -> AsyncIterator[bytes]:
        for _ in range(size // len(piece)):
            yield piece

    async def work() -> int:
        segments, total = Segments(KEY, "x"), 0
        async for sealed in segments.sealing(source()):
            total += len(sealed)
        return total

    began = time.process_time()
    assert asyncio.run(work()) == sealed_size(size)
    took = time.process_time() - began
    assert took < 3, took
    tracemalloc.start()
    asyncio.run(work())
    assert tracemalloc.get_traced_memory()[1] < 12 << 20
    tracemalloc.stop()
