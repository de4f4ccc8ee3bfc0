"""Holidays beside an independent package, and the days between them."""

from datetime import date, timedelta

import pytest
from holidays import country_holidays
from hypothesis import given
from hypothesis import strategies as st

from tause_mcp.errors import Invalid
from tause_mcp.services.colombia import add_business_days, day_of, holidays, is_business_day

YEARS = {
    2026: "01-01 01-12 03-23 04-02 04-03 05-01 05-18 06-08 06-15 06-29 07-13 07-20 08-07 08-17 "
    "10-12 11-02 11-16 12-08 12-25",
    2027: "01-01 01-11 03-22 03-25 03-26 05-01 05-10 05-31 06-07 07-05 07-12 07-20 08-07 08-16 "
    "10-18 11-01 11-15 12-08 12-25",
}


@pytest.mark.parametrize("year", YEARS)
def test_the_holidays_of_a_year(year: int) -> None:
    assert " ".join(f"{day:%m-%d}" for day in holidays(year)) == YEARS[year]


def test_the_law_of_2026_begins_in_2026() -> None:
    assert date(2026, 7, 13) in holidays(2026)
    assert date(2025, 7, 14) not in holidays(2025)
    assert "Chiquinquirá" in holidays(2026)[date(2026, 7, 13)]


def test_two_on_one_day_are_one_day_with_both_names() -> None:
    found = holidays(2025)
    assert len(found) == 17
    assert found[date(2025, 6, 30)] == "Sagrado Corazón de Jesús; San Pedro y San Pablo"
    english = holidays(2025, language="en")[date(2025, 6, 30)]
    assert english == "Sacred Heart; Saint Peter and Saint Paul"


def test_every_year_equals_an_independent_implementation() -> None:
    for year in range(1985, 2061):
        assert list(holidays(year)) == sorted(country_holidays("CO", years=year)), year


@pytest.mark.parametrize("year", [1984, 2101, True, "2026", 2026.0, None])
def test_a_year_that_is_not_known_is_refused(year: int) -> None:
    with pytest.raises(Invalid) as caught:
        holidays(year)
    assert caught.value.field == "year"


@pytest.mark.parametrize(
    "text", ["", "2026-02-30", "2026-W01-1", "20260713", "13/07/2026", "２026-07-13", "2026-7-13"]
)
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        day_of(text)


@pytest.mark.parametrize(
    ("start", "days", "saturdays", "end", "skipped"),
    [
        ("2026-07-10", 1, False, "2026-07-14", 1),  # Friday; Monday the 13th is the new holiday
        ("2025-07-11", 1, False, "2025-07-14", 0),
        ("2026-07-10", 1, True, "2026-07-11", 0),
        ("2026-07-10", 2, True, "2026-07-14", 1),
        ("2026-07-14", -1, False, "2026-07-10", 1),
        ("2026-07-11", 0, False, "2026-07-14", 1),
        ("2026-07-14", 0, False, "2026-07-14", 0),
        ("2026-03-31", 3, False, "2026-04-07", 2),  # Holy Week
        ("2026-12-31", 1, False, "2027-01-04", 1),
    ],
)
def test_business_days(start: str, days: int, saturdays: bool, end: str, skipped: int) -> None:
    found = add_business_days(day_of(start), days, saturdays=saturdays)
    assert (found.day, len(found.skipped)) == (day_of(end), skipped)


@pytest.mark.parametrize("days", [2001, -2001, True, 1.5, "1"])
def test_how_many_days_is_bounded(days: int) -> None:
    with pytest.raises(Invalid):
        add_business_days(date(2026, 1, 1), days)


def test_the_edge_of_what_is_known_is_refused_not_guessed() -> None:
    with pytest.raises(Invalid):
        add_business_days(date(2100, 12, 30), 5)
    with pytest.raises(Invalid):
        add_business_days(date(9999, 12, 31), 5)
    with pytest.raises(Invalid):
        add_business_days(date(1, 1, 1), -5)
    with pytest.raises(Invalid):
        add_business_days(date(1984, 12, 31), 0)


DAYS = st.dates(date(1990, 1, 1), date(2090, 1, 1))


@given(DAYS, st.integers(1, 300), st.booleans())
def test_there_and_back_again(start: date, days: int, saturdays: bool) -> None:
    while not is_business_day(start, saturdays=saturdays):
        start += timedelta(1)
    there = add_business_days(start, days, saturdays=saturdays)
    assert is_business_day(there.day, saturdays=saturdays)
    assert add_business_days(there.day, -days, saturdays=saturdays).day == start
    between = (start + timedelta(n) for n in range(1, (there.day - start).days + 1))
    assert sum(is_business_day(day, saturdays=saturdays) for day in between) == days
