"""Pesos and UVT. Amounts are whole pesos, `Decimal`, or whole cents: never floats."""

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from tause_mcp.errors import Invalid, NotFound
from tause_mcp.services.colombia.refusals import refused
from tause_mcp.services.colombia.texts import Language


class Uvt(NamedTuple):
    """The tax unit of a year, in pesos, and the resolution that sets it (empty: not recorded)."""

    year: int
    pesos: int
    resolution: str


_UVT = (
    Uvt(2020, 35_607, ""),
    Uvt(2021, 36_308, ""),
    Uvt(2022, 38_004, "000140 de 2021"),
    Uvt(2023, 42_412, "001264 de 2022"),
    Uvt(2024, 47_065, "000187 de 2023"),
    Uvt(2025, 49_799, "000193 de 2024"),
    Uvt(2026, 52_374, "000238 de 2025"),
)
UVT: Mapping[int, Uvt] = {known.year: known for known in _UVT}
FIRST, LAST = min(UVT), max(UVT)


def get_uvt(year: int, *, language: Language = "es") -> Uvt:
    """The UVT of a year.

    Raises:
        NotFound: a year that is not known; DIAN sets the next in December.
    """
    found = UVT.get(year) if isinstance(year, int) and not isinstance(year, bool) else None
    if found is None:
        raise refused("no_uvt", "year", language, NotFound, first=FIRST, last=LAST)
    return found


def format_pesos(pesos: int | Decimal) -> str:
    """`1234567` as `$ 1.234.567`; cents only where there are any: `$ 1.234.567,50`.

    Raises:
        Invalid: a float (it loses cents), more than two decimals, or no finite number.
    """
    if isinstance(pesos, bool) or not isinstance(pesos, int | Decimal):
        raise Invalid("pesos: an int or a Decimal; a float loses cents", field="pesos")
    amount = Decimal(pesos)
    cents = amount.scaleb(2) if amount.is_finite() else None
    if cents is None or cents != cents.to_integral_value():
        raise Invalid("pesos: a finite amount with at most two decimals", field="pesos")
    return format_cents(int(cents))


def format_cents(cents: int) -> str:
    """Minor units, as the platform's `{amount, currency}` has them: `123456750` as
    `$ 1.234.567,50`."""
    whole, part = divmod(abs(cents), 100)
    grouped = f"{whole:,}".replace(",", ".")
    return f"{'-' if cents < 0 else ''}$ {grouped}" + (f",{part:02d}" if part else "")
