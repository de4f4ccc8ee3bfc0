"""`import tause_mcp.client as ts`: the plain functions that older documents promised."""

import subprocess
import sys

import pytest

import tause_mcp.client as ts
from tause_mcp.errors import Invalid, NotFound


@pytest.mark.parametrize(
    ("nit", "holds"),
    [
        ("800197268-4", True),
        ("890.903.938-8", True),
        ("900123456-1", False),  # the sample of the older README: its digit is 8
        ("900123456-8", True),
        ("800197268", False),
        ("8001972684", False),
        ("", False),
        ("８００197268-4", False),
    ],
)
def test_a_nit_holds_only_with_its_check_digit(nit: str, holds: bool) -> None:
    assert ts.colombia.validate_nit(nit) is holds


@pytest.mark.parametrize(
    ("cedula", "holds"),
    [("1020304050", True), ("79.123.456", True), ("-12345", False), ("012345", False), ("", False)],
)
def test_a_cedula_has_the_shape_of_one(cedula: str, holds: bool) -> None:
    assert ts.colombia.validate_cedula(cedula) is holds


def test_departments_and_municipalities_are_plain_dicts() -> None:
    departments = ts.colombia.get_departamentos()
    assert len(departments) == 33
    assert departments[0] == {"code": "05", "name": "ANTIOQUIA"}
    rows = [row for d in departments for row in ts.colombia.get_municipios(d["code"])]
    assert len(rows) == 1122
    assert rows[0] == {
        "code": "05001",
        "name": "MEDELLÍN",
        "department_code": "05",
        "department_name": "ANTIOQUIA",
        "type": "municipio",
    }


def test_a_wrong_code_says_so() -> None:
    with pytest.raises(Invalid):
        ts.colombia.get_municipios("5")
    with pytest.raises(NotFound):
        ts.colombia.get_municipios("00")


def test_importing_it_loads_nothing_heavy() -> None:
    code = (
        "import sys, tause_mcp.client as ts; ts.colombia; "
        "print([m for m in ('sqlalchemy', 'phonenumbers', 'pydantic', 'mcp') if m in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
