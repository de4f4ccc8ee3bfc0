"""Addresses: many ways to write one, nothing dropped, and the same again when done twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tause_mcp.services.colombia import normalize_address

ONE = "CL 100 8A 55 AP 302"


@pytest.mark.parametrize(
    "address",
    [
        "Calle 100 # 8A - 55 Apto 302",
        "calle 100 #8a-55 apartamento 302",
        "Cll. 100 No. 8A-55, Apto. 302",
        "CL 100 N° 8A - 55 AP 302",
        "Calle 100 Nº 8A–55 apt 302",
        "Clle 100 Nro 8 A 55 Apto #302",
        "CALLE 100 NÚMERO 8A - 55 APTO. 302",
        ONE,
    ],
)
def test_the_ways_to_write_an_address_are_one(address: str) -> None:
    found = normalize_address(address)
    assert (found.normalized, found.complete) == (ONE, True)
    assert found.parts == {
        "road": "CL",
        "main": "100",
        "cross": "8A",
        "plate": "55",
        "complement": "AP 302",
    }
    assert [r.code for r in found.reasons] == ["address"]


@pytest.mark.parametrize(
    ("address", "normalized"),
    [
        ("Cra. 7 No. 71-21 Torre B Oficina 1001", "CR 7 71 21 TO B OF 1001"),
        ("Carrera 43A # 1 Sur - 100", "CR 43A 1 SUR 100"),
        ("Cl 26 Bis A Sur N° 78B-32", "CL 26 BIS A SUR 78B 32"),
        ("Transversal 78H BIS # 41B-10 SUR", "TV 78H BIS 41B 10 SUR"),
        ("Avenida Carrera 68 # 26-10", "AK 68 26 10"),
        ("Av. Calle 26 # 68C-61", "AC 26 68C 61"),
        ("Avenida El Dorado # 68C-61", "AV EL DORADO 68C 61"),
        ("Diagonal 45F No 80-35", "DG 45F 80 35"),
        ("Circular 4 # 70-21", "CIR 4 70 21"),
        ("Autopista Norte # 100-20", "AUT NORTE 100 20"),
        ("Av 6 N # 23-45", "AV 6N 23 45"),
        ("Av 6 Norte # 23 N - 45", "AV 6 NORTE 23N 45"),
        ("Calle 10 # 5-20 Edificio Ñandú Local 3", "CL 10 5 20 ED NANDU LC 3"),
        ("K 7 # 12-34", "CR 7 12 34"),
    ],
)
def test_roads_quadrants_and_complements(address: str, normalized: str) -> None:
    found = normalize_address(address)
    assert (found.normalized, found.complete) == (normalized, True)


@pytest.mark.parametrize(
    ("address", "normalized", "complete", "code"),
    [
        ("", "", False, "empty"),
        ("  #, ", "", False, "empty"),
        (100, "", False, "not_text"),
        ("Calle １００ # 8A - 55", "", False, "foreign_digits"),
        ("Calle 100 ½ # 8A - 55", "", False, "foreign_digits"),
        ("x" * 201, "", False, "too_long"),
        ("Calle 100", "CL 100", False, "address_partial"),
        ("Calle 100 # 8A", "CL 100 8A", False, "address_partial"),
        ("Calle 100 # 302", "CL 100 302", False, "address_partial"),
        ("Calle 12345 # 3-4", "CL 12345 3 4", False, "address_partial"),
        ("Calle", "CALLE", False, "no_road"),
        ("Manzana 3 casa 5", "MANZANA 3 CASA 5", False, "no_road"),
        ("Vereda El Salitre", "VEREDA EL SALITRE", False, "no_road"),
        ("Callejón 5", "CALLEJON 5", False, "no_road"),
        ("KM 5 vía La Calera", "KM 5 VIA LA CALERA", True, "address"),
    ],
)
def test_what_is_partly_understood_is_kept_and_told(
    address: object, normalized: str, complete: bool, code: str
) -> None:
    found = normalize_address(address)
    assert (found.normalized, found.complete) == (normalized, complete)
    assert [r.code for r in found.reasons] == [code]


WORDS = st.sampled_from(
    ["calle", "Cra.", "AV", "avenida", "KM", "7", "100", "8A", "26", "BIS", "A", "SUR", "norte"]
    + ["#", "-", ",", "N°", "No.", "55", "apto", "torre", "302", "B", "El", "Dorado"]
)


@given(st.one_of(st.text(max_size=60), st.lists(WORDS, max_size=12).map(" ".join)))
def test_no_number_is_dropped_and_a_whole_address_stays_as_it_is(address: str) -> None:
    found = normalize_address(address)
    again = normalize_address(found.normalized)
    assert again.normalized == found.normalized or "plate" not in found.parts
    digits = [c for c in found.normalized if c.isdigit()]
    if address.isascii():
        assert digits == [c for c in address if c.isdigit()]
