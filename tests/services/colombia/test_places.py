"""DIVIPOLA: exact totals, and names that never mislead."""

import csv
import hashlib
from collections import Counter
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tause_mcp.errors import Invalid, NotFound
from tause_mcp.services.colombia import (
    departments,
    find_municipality,
    municipalities,
    municipalities_of,
)
from tause_mcp.services.colombia.places import ALIASES, DEPARTMENT_ALIASES, folded

TOTALS = (
    "05:125 08:23 11:1 13:46 15:123 17:27 18:16 19:42 20:25 23:30 25:116 27:31 41:37 44:15 47:30 "
    "50:29 52:64 54:40 63:12 66:14 68:87 70:26 73:47 76:42 81:7 85:19 86:13 88:2 91:11 94:8 95:4 "
    "97:6 99:4"
)
SHA256 = "d599885ac624f085006a8ae99f1202d1830c983c2cd1c138d4768362a6fb37c0"


def told(name: object, department: str | None = None) -> tuple[str, str | None, list[str]]:
    found = find_municipality(name, department)
    code = found.municipality.code if found.municipality else None
    return found.status, code, [row.code for row in found.candidates]


# --- what must not mislead ------------------------------------------------------------------------


def test_a_name_of_several_gives_candidates() -> None:
    names = Counter(folded(row.name) for row in municipalities().values())
    twice = [name for name, count in names.items() if count > 1]
    assert len(twice) == 67  # 66 as DANE writes them, accents and all
    for name in twice:
        status, code, candidates = told(name)
        assert (status, code) == ("ambiguous", None), name
        assert len(candidates) == names[name] + (name in ALIASES)


@pytest.mark.parametrize("name", ["Villanueva", "LA UNIÓN", "la union", "Buenavista"])
def test_four_of_one_name_and_the_department_decides(name: str) -> None:
    found = find_municipality(name)
    assert (found.status, len(found.candidates)) == ("ambiguous", 4)
    assert "4" in found.reasons[0].text
    for row in found.candidates:
        for written in (row.department_code, row.department_name, row.department_name.title()):
            assert told(name, written)[:2] == ("found", row.code)
        assert told(f"{name}, {row.department_name}")[:2] == ("found", row.code)
        assert told(f"{name} ({row.department_name.lower()})")[:2] == ("found", row.code)


@pytest.mark.parametrize(
    ("name", "department", "status", "candidates", "reason"),
    [
        ("", None, "not_found", [], "empty"),
        (5001, None, "not_found", [], "not_text"),
        ("５001", None, "not_found", [], "foreign_digits"),
        ("5001", None, "similar", ["05001"], "code_length"),
        ("5.001", None, "similar", ["05001"], "code_length"),
        ("99999", None, "not_found", [], "unknown_code"),
        ("999999", None, "not_found", [], "unknown_code"),
        ("94663", None, "not_found", [], "retired"),
        ("Mapiripana", None, "not_found", [], "retired"),
        ("Gotham", None, "not_found", [], "unknown_place"),
        ("***", None, "not_found", [], "unknown_place"),
        ("Medellín", "Gotham", "not_found", [], "unknown_department"),
        ("Medellín", "Boyacá", "similar", ["05001"], "elsewhere"),
        ("Medelin", None, "similar", ["05001"], "similar_names"),
        ("Leyva", None, "similar", ["52405", "15407"], "similar_names"),
    ],
)
def test_what_is_not_found_says_why(
    name: object, department: str | None, status: str, candidates: list[str], reason: str
) -> None:
    found = find_municipality(name, department)
    assert told(name, department) == (status, None, candidates)
    assert [r.code for r in found.reasons] == [reason]


@pytest.mark.parametrize("code", ["5", "005", "", "5 ", "０５", "AA", 5, "05\n"])
def test_a_department_code_is_two_digits_as_text(code: str) -> None:
    with pytest.raises(Invalid) as caught:
        municipalities_of(code)
    assert caught.value.field == "department_code"


@pytest.mark.parametrize("code", ["00", "01", "98", "12"])
def test_an_unknown_department_is_not_found(code: str) -> None:
    with pytest.raises(NotFound):
        municipalities_of(code)


# --- the data -------------------------------------------------------------------------------------


def test_the_data_is_the_file_that_was_checked() -> None:
    packaged = files("tause_mcp.services.colombia").joinpath("data", "divipola.csv")
    assert hashlib.sha256(packaged.read_bytes()).hexdigest() == SHA256


def test_the_totals_are_exact() -> None:
    rows = list(municipalities().values())
    kinds = Counter(row.type for row in rows)
    assert kinds == {"municipio": 1103, "area_no_municipalizada": 18, "isla": 1}
    assert (len(departments()), len(rows)) == (33, 1122)
    counted = " ".join(f"{d.code}:{d.municipalities}" for d in departments().values())
    assert counted == TOTALS
    assert all(len(municipalities_of(d.code)) == d.municipalities for d in departments().values())


def test_codes_are_text_of_five_digits_in_order_under_their_department() -> None:
    codes = list(municipalities())
    assert codes == sorted(codes)
    assert list(departments()) == sorted(departments())
    for row in municipalities().values():
        assert row.code.isdigit() and len(row.code) == 5
        assert row.code[:2] == row.department_code


def test_every_alias_names_something_and_hides_nothing() -> None:
    own = {folded(row.name): row.code for row in municipalities().values()}
    assert set(ALIASES.values()) <= set(municipalities())
    assert set(DEPARTMENT_ALIASES.values()) <= set(departments())
    assert not set(ALIASES) & set(own)
    assert all(alias == folded(alias) for alias in (*ALIASES, *DEPARTMENT_ALIASES))


# --- what is found --------------------------------------------------------------------------------


def test_every_municipality_is_found_by_code_and_by_name_and_department() -> None:
    for row in municipalities().values():
        assert told(row.code)[:2] == ("found", row.code)
        assert told(row.name.lower(), row.department_code)[:2] == ("found", row.code)


def test_every_unique_name_is_found_alone() -> None:
    names = Counter(folded(row.name) for row in municipalities().values())
    for row in municipalities().values():
        if names[folded(row.name)] == 1:
            assert told(folded(row.name))[:2] == ("found", row.code)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("medellin", "05001"),
        ("  MEDELLÍN ", "05001"),
        ("Bogotá", "11001"),
        ("Bogota D.C.", "11001"),
        ("Cartagena", "13001"),
        ("Cúcuta", "54001"),
        ("Cali", "76001"),
        ("Santiago de Cali", "76001"),
        ("Buga", "76111"),
        ("Tumaco", "52835"),
        ("Villa de Leiva", "15407"),
        ("Mompós", "13468"),
        ("Piendamó", "19548"),
        ("piendamo-tunia", "19548"),
        ("El Espinal", "73268"),
        ("ITAGUI", "05360"),
        ("27086", "27493"),
        ("Belén de Bajirá", "27493"),
        ("Barrancominas", "94343"),
    ],
)
def test_the_ways_to_say_a_place(name: str, code: str) -> None:
    assert told(name)[:2] == ("found", code)


def test_a_twin_but_for_the_article_is_told_too() -> None:
    assert told("El Peñol") == ("found", "52254", ["05541"])
    assert told("Peñol") == ("found", "05541", ["52254"])


def test_a_replaced_code_says_so() -> None:
    assert "27493" in find_municipality("27086").reasons[0].text


@given(st.text(max_size=80), st.text(max_size=20))
def test_any_text_finds_one_or_says_why(name: str, department: str) -> None:
    found = find_municipality(name, department)
    assert (found.municipality is not None) == (found.status == "found")
    assert found.status == "found" or found.reasons
    assert len(found.candidates) <= 10


def test_the_csv_is_read_as_it_is() -> None:
    text = files("tause_mcp.services.colombia").joinpath("data", "divipola.csv").read_text("utf-8")
    rows = {row["code"]: row for row in csv.DictReader(text.splitlines())}
    assert {code: row._asdict() for code, row in municipalities().items()} == rows
