"""What is sealed opens only where it was sealed, whole and unchanged."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tause_mcp.encryption.cipher import OVERHEAD, TenantCipher
from tause_mcp.errors import Unavailable

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
CIPHER = TenantCipher({1: KEY})


@given(st.text(max_size=80), st.binary(max_size=2000))
def test_what_was_sealed_opens_at_its_place(place: str, plain: bytes) -> None:
    sealed = CIPHER.seal(place, plain)
    assert len(sealed) == len(plain) + OVERHEAD
    assert CIPHER.open(place, sealed) == plain


@given(st.binary(min_size=8, max_size=200), st.data())
def test_a_flipped_bit_anywhere_does_not_open(plain: bytes, data: st.DataObject) -> None:
    sealed = bytearray(CIPHER.seal("a/b", plain))
    at = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[at // 8] ^= 1 << at % 8
    with pytest.raises(Unavailable):
        CIPHER.open("a/b", bytes(sealed))


@given(st.integers(0, 60))
def test_a_cut_value_does_not_open(kept: int) -> None:
    with pytest.raises(Unavailable):
        CIPHER.open("a/b", CIPHER.seal("a/b", b"x" * 20)[:kept])


def test_a_value_moved_to_another_place_does_not_open() -> None:
    with pytest.raises(Unavailable):
        CIPHER.open("secrets/b", CIPHER.seal("secrets/a", b"x"))


def test_a_value_of_another_tenant_does_not_open() -> None:
    with pytest.raises(Unavailable):
        TenantCipher({1: OTHER}).open("a", CIPHER.seal("a", b"x"))


def test_an_older_generation_still_opens_and_the_newest_seals() -> None:
    both = TenantCipher({1: KEY, 2: OTHER})
    assert both.open("a", CIPHER.seal("a", b"x")) == b"x"
    with pytest.raises(Unavailable):
        CIPHER.open("a", both.seal("a", b"x"))
    assert TenantCipher({2: OTHER}).open("a", both.seal("a", b"x")) == b"x"


def test_a_generation_that_is_gone_does_not_open() -> None:
    with pytest.raises(Unavailable):
        TenantCipher({2: KEY}).open("a", CIPHER.seal("a", b"x"))


def test_equal_values_look_different() -> None:
    assert len({CIPHER.seal("a", b"same") for _ in range(100)}) == 100


def test_a_refusal_tells_neither_place_nor_content() -> None:
    sealed = CIPHER.seal("secrets/canary-name", b"canary-value")
    with pytest.raises(Unavailable) as refused:
        CIPHER.open("secrets/other-canary", sealed + os.urandom(1))
    assert "canary" not in str(refused.value)
    assert refused.value.__cause__ is None
