"""A card's number does not get in, however it is written; what only looks like one mostly does."""

import re
import secrets
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tause_mcp.cards import holds_card, without_cards
from tause_mcp.errors import Invalid

VISA, AMEX, DINERS, MASTER, LONG = (
    "4242424242424242",
    "378282246310005",
    "30569309025904",
    "2223003122003222",
    "6304000000000000000",
)
SPELT = [
    *(VISA, AMEX, DINERS, MASTER, "4222222222222", "6759649826438453", "500000000009"),
    *("4242 4242 4242 4242", "4242-4242-4242-4242", "4242.4242.4242.4242", "4242_4242/4242 4242"),
    *("4242 - 4242 - 4242 - 4242", "4242\u00a04242\u00a04242\u00a04242", "3782 822463 10005"),
    *("42424242 42424242", " ".join(VISA), "4242\u200b4242\u200b4242\u200b4242"),
    *("4242–4242—4242‑4242", "４２４２４２４２４２４２４２４２", "٤٢٤٢٤٢٤٢٤٢٤٢٤٢٤٢"),
    *("pay with 4242424242424242, please", "tarjeta4242424242424242", "4242424242424242x"),
    *("4242 4242 4242 4242 12/30 123", "tok_test_4242424242424242", "4242\n4242\n4242\n4242"),
]
HARMLESS = [
    *("", "4242", "4242424242424241", "ORD-20261127-000123", "ORD-2026-11-27-000123"),
    *("2026-11-27T16:57:47.123456Z", "2026-11-27 16:57:47", "+57 300 123 4567", "573001234567"),
    *("12015602-1769351602-78650", "1764262667000", "0000000000000000", "1111111111111111"),
    *("900123456-7", "1.234.567", "tp4242424242424242424242424242424242"),
]


@pytest.mark.parametrize("text", SPELT)
def test_a_number_is_found_however_it_is_spelt(text: str) -> None:
    assert holds_card(text)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_can_be_no_card_is_let_through(text: str) -> None:
    assert not holds_card(text)


def check_digit(digits: str) -> str:
    """Luhn, written the other way round than the code does."""
    return next(d for d in "0123456789" if _sum(digits + d) % 10 == 0)


def _sum(digits: str) -> int:
    odd = len(digits) % 2
    doubled = [int(d) * (2 if n % 2 == odd else 1) for n, d in enumerate(digits)]
    return sum(d - 9 if d > 9 else d for d in doubled)


@given(
    st.sampled_from("3456"),
    st.integers(11, 18),
    st.integers(0, 10**18),
    st.sampled_from(["", " ", "-", ".", "  ", " - "]),
    st.sampled_from(["{}", "my card is {}.", "({})", "ref:{}", "x{}"]),
)
def test_any_number_of_a_network_is_found(
    first: str, length: int, rest: int, between: str, around: str
) -> None:
    digits = f"{first}{rest:018}"[:length]
    number = digits + check_digit(digits)
    spelt = between.join(number[n : n + 4] for n in range(0, len(number), 4))
    plain = len(set(number)) == 1 or re.fullmatch(r"57[36]\d{9}", number)
    assert holds_card(around.format(spelt)) is not bool(plain)


def test_random_ids_are_no_cards() -> None:
    made = [f"{prefix}_{secrets.token_hex(16)}" for prefix in ("pay", "src") for _ in range(2000)]
    made += [str(uuid4()) for _ in range(2000)]
    assert not [one for one in made if holds_card(one)]


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"description": f"card {VISA}"}, "description"),
        ({"customer": {"full_name": {"first": [AMEX]}}}, "customer"),
        ({"items": [{"a": 1}, {"b": int(VISA)}]}, "items"),
        ({"items": {VISA: "x"}}, "items"),
        ({"n": float(VISA)}, "n"),
        ({VISA: 1}, None),
    ],
)
def test_the_argument_is_named_and_nothing_of_its_value(
    arguments: dict[str, Any], field: str | None
) -> None:
    with pytest.raises(Invalid) as refused:
        without_cards()(arguments)
    assert refused.value.field == field
    assert "4242" not in str(refused.value) and "3782" not in str(refused.value)


def test_amounts_and_what_is_exempt_pass() -> None:
    screen = without_cards("account_number")
    screen({"amount": {"amount": 424_242_424_242, "currency": "COP"}, "flag": True, "none": None})
    screen({"account_number": VISA, "to": [{"account_number": VISA}]})
    with pytest.raises(Invalid):
        screen({"to": [{"account_number": VISA, "name": VISA}]})


def test_what_nests_without_end_is_left_to_whoever_reads_it() -> None:
    deep: Any = VISA
    for _ in range(5000):
        deep = [deep]
    without_cards()({"deep": deep})
