"""NIT: every vector, an independent implementation, and what people type wrong."""

import csv
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.co import nit as oracle

from tause_mcp.services.colombia import format_nit, nit_check_digit, validate_nit

FILE = Path(__file__).parent / "nit_vectors.csv"
VECTORS = list(csv.DictReader(FILE.read_text(encoding="utf-8").splitlines()))
SEEN = [
    "899999068-1",
    "890903938-8",
    "890100577-6",
    "890904996-1",
    "890900608-9",
    "800197268-4",
    "860034313-7",
    "860002964-4",
    "860003020-1",
    "860007738-9",
    "860034594-1",
    "860035827-5",
    "860051135-4",
    "890203088-9",
    "899999063-3",
    "890980040-8",
    "890399010-6",
    "899999034-1",
    "899999090-2",
    "901140004-8",
    "899999115-8",
    "800153993-7",
    "830122566-1",
    "900092385-9",
    "890900266-3",
    "890981395-1",
    "800116398-7",
    "860007386-1",
    "860013720-1",
    "899999027-8",
    "899999239-2",
    "899999061-9",
    "890905211-1",
    "890399011-3",
    "830078512-6",
    "900336004-7",
    "860005216-7",
    "800000008-0",
    "800000001-1",
    "890100251-0",
    "830095213-0",
]
WRONG = [
    "860007650-3",
    "800153993-9",
    "901081401-7",
    "890100979-5",
    "900156264-3",
    "830078512-0",
    "860007335-5",
    "900123456-1",
]


def codes(number: object, check_digit: object = None) -> tuple[str, list[str]]:
    found = validate_nit(number, check_digit)
    return found.verdict, [reason.code for reason in found.reasons]


# --- what must not pass ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "code"),
    [
        ("", "empty"),
        ("   ", "empty"),
        (None, "not_text"),
        (800197268, "not_text"),
        (8001972684.0, "not_text"),
        (True, "not_text"),
        ("-800197268-4", "sign"),
        ("+800197268-4", "sign"),
        ("８００１９７２６８-4", "foreign_digits"),
        ("٨٠٠197268-4", "foreign_digits"),
        ("80019726B-4", "letters"),
        ("NIT", "letters"),
        ("EIN 800197268-4", "letters"),
        ("800197268-X", "check_digit_format"),
        ("800197268-", "check_digit_format"),
        ("8.0019.7268-4", "separators"),
        ("800/197/268-4", "separators"),
        ("800197268 4", "separators"),
        ("800197268--4", "separators"),
        ("0800197268-4", "leading_zero"),
        ("000000000-0", "leading_zero"),
        ("12-3", "length"),
        ("1234567890123456-1", "length"),
        ("8" * 81, "too_long"),
    ],
)
def test_what_cannot_be_read_is_invalid_for_its_own_reason(number: object, code: str) -> None:
    found = validate_nit(number)
    assert (found.verdict, [r.code for r in found.reasons]) == ("invalid", [code])
    assert found.normalized == ""
    assert not found


@pytest.mark.parametrize("number", WRONG)
def test_a_wrong_check_digit_is_invalid_and_the_right_one_is_told(number: str) -> None:
    found = validate_nit(number)
    assert (found.verdict, found.reasons[0].code) == ("invalid", "check_digit_mismatch")
    assert found.check_digit == nit_check_digit(number[:-2]) != number[-1]
    assert f" {found.check_digit}, no {number[-1]}" in found.reasons[0].text


@pytest.mark.parametrize("number", ["8001972684", "1020304050", "8.001.972.684", "NIT 8001972684"])
def test_ten_digits_without_a_hyphen_are_never_split(number: str) -> None:
    found = validate_nit(number)
    assert (found.verdict, found.check_digit) == ("plausible", None)
    assert [r.code for r in found.reasons] == ["check_digit_ambiguous"]
    assert len(found.normalized) == 10


@pytest.mark.parametrize("apart", ["X", "44", "４", "-", 4, "4.0"])
def test_a_check_digit_apart_is_one_digit_as_text(apart: object) -> None:
    verdict, told = codes("800197268", apart)
    assert verdict == "invalid"
    assert told[0] in ("check_digit_format", "foreign_digits", "not_text")


def test_two_check_digits_that_differ_are_refused() -> None:
    assert codes("800197268-4", "5") == ("invalid", ["check_digit_conflict"])
    assert codes("800197268-4", "4") == ("valid", ["check_digit_ok"])


def test_without_a_check_digit_nothing_was_checked() -> None:
    found = validate_nit("800197268")
    assert (found.verdict, found.check_digit) == ("plausible", "4")
    assert [r.code for r in found.reasons] == ["check_digit_absent"]
    assert validate_nit("800197268", "") == validate_nit("800197268", " ") == found


# --- what must ------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", VECTORS, ids=lambda row: f"{row['nit']}-{row['dv']}")
def test_every_vector(row: dict[str, str]) -> None:
    expected = "valid" if row["valid"] == "true" else "invalid"
    for found in (
        validate_nit(f"{row['nit']}-{row['dv']}"),
        validate_nit(row["nit"], row["dv"]),
        validate_nit(f"NIT {int(row['nit']):,}".replace(",", ".") + f"–{row['dv']}"),
    ):
        assert (found.verdict, found.normalized) == (expected, row["nit"])


@pytest.mark.parametrize("number", SEEN)
def test_every_number_seen_in_public(number: str) -> None:
    found = validate_nit(number)
    assert found.verdict == "valid"
    assert f"{found.normalized}-{found.check_digit}" == number


@pytest.mark.parametrize(
    "number",
    [
        "800.197.268-4",
        "800 197 268-4",
        "800-197-268-4",
        "  800197268 - 4 ",
        "nit: 800197268-4",
        "N.I.T. 800.197.268-4",
        "CO800197268-4",
        "800197268−4",
        "800\u00a0197\u00a0268—4",
    ],
)
def test_the_ways_to_print_one_are_one(number: str) -> None:
    found = validate_nit(number)
    assert (found.verdict, found.normalized, found.check_digit) == ("valid", "800197268", "4")


def test_a_person_has_a_nit_of_their_cedula() -> None:
    for body in ("123", "123456", "79123456", "1020304050"):
        assert codes(body, nit_check_digit(body))[0] == "valid"


def test_the_final_consumer_is_no_person() -> None:
    assert codes("222222222222-7") == ("plausible", ["check_digit_ok", "final_consumer"])
    assert codes("12345678901", nit_check_digit("12345678901"))[1] == [
        "check_digit_ok",
        "unusual_length",
    ]


def test_a_verdict_reads_as_the_tool_tells_it() -> None:
    found = validate_nit("800197268-4")
    assert found["verdict"] == found.verdict == "valid"
    assert found.told() == {
        "verdict": "valid",
        "normalized": "800197268",
        "check_digit": "4",
        "reasons": [
            {"code": "check_digit_ok", "text": "El dígito de verificación corresponde."},
        ],
    }
    assert "check_digit" not in validate_nit("").told()


def test_a_nit_is_printed_with_dots_and_hyphen() -> None:
    assert format_nit("800197268") == "800.197.268-4"
    assert format_nit("123456", "3") == "123.456-3"


def test_the_check_digit_is_of_1_to_15_digits() -> None:
    for body in ("", "x", "1" * 16, "１２３", "-12"):
        with pytest.raises(ValueError):
            nit_check_digit(body)


# --- beside another implementation ---------------------------------------------------------------


def test_a_hundred_thousand_numbers_agree_with_an_independent_implementation() -> None:
    """Half of the check digits are right. python-stdnum takes 8 to 16 digits in all."""
    chosen = random.Random(20261121)
    disagreed = []
    for _ in range(100_000):
        size = chosen.choice((9, 9, 9, 10, 8, 7, 11, 12, 15))
        body = str(chosen.randrange(10 ** (size - 1), 10**size))
        digit = nit_check_digit(body) if chosen.random() < 0.5 else str(chosen.randrange(10))
        if bool(validate_nit(f"{body}-{digit}")) != oracle.is_valid(body + digit):
            disagreed.append((body, digit))
    assert disagreed == []


@given(st.integers(100, 10**15 - 1), st.integers(0, 9))
def test_exactly_one_check_digit_holds(number: int, digit: int) -> None:
    body = str(number)
    found = validate_nit(body, str(digit))
    assert bool(found) == (str(digit) == nit_check_digit(body) == oracle.calc_check_digit(body))
    assert found.normalized == body


@given(st.text(max_size=40))
def test_any_text_gets_a_verdict_with_a_reason(text: str) -> None:
    found = validate_nit(text)
    assert found.reasons
    assert all(reason.text for reason in found.reasons)
    assert found.normalized == "" or (found.normalized.isascii() and found.normalized.isdigit())
