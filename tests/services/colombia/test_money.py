"""UVT and pesos: exact or refused."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tause_mcp.errors import Invalid, NotFound
from tause_mcp.services.colombia import format_cents, format_pesos, get_uvt

KNOWN = {
    2020: 35_607,
    2021: 36_308,
    2022: 38_004,
    2023: 42_412,
    2024: 47_065,
    2025: 49_799,
    2026: 52_374,
}


@pytest.mark.parametrize("year", KNOWN)
def test_the_uvt_of_a_year(year: int) -> None:
    assert get_uvt(year).pesos == KNOWN[year] != 52_631


@pytest.mark.parametrize("year", [2019, 2027, 0, True, "2026", None])
def test_an_unknown_year_is_not_found(year: int) -> None:
    with pytest.raises(NotFound, match="2020 a 2026"):
        get_uvt(year)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (1_234_567, "$ 1.234.567"),
        (0, "$ 0"),
        (999, "$ 999"),
        (1000, "$ 1.000"),
        (-1000, "-$ 1.000"),
        (-999, "-$ 999"),
        (Decimal("1234567.50"), "$ 1.234.567,50"),
        (Decimal("-0.05"), "-$ 0,05"),
        (Decimal("1E+3"), "$ 1.000"),
        (10**18, "$ 1.000.000.000.000.000.000"),
    ],
)
def test_pesos_as_they_are_written(amount: int | Decimal, text: str) -> None:
    assert format_pesos(amount) == text


@pytest.mark.parametrize(
    "amount", [1.5, True, "1000", None, Decimal("0.001"), Decimal("NaN"), Decimal("Infinity")]
)
def test_what_would_lose_cents_is_refused(amount: int) -> None:
    with pytest.raises(Invalid):
        format_pesos(amount)


@given(st.integers(-(10**17), 10**17))
def test_the_digits_of_cents_are_kept(cents: int) -> None:
    text = format_cents(cents)
    assert format_pesos(Decimal(cents) / 100) == text
    plain = text.replace("$ ", "").replace(".", "").replace(",", ".")
    assert Decimal(plain) * 100 == cents
