"""Phones, plates and postal codes: ranges by the library's data, the rest by shape."""

import random

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tause_mcp.services.colombia import (
    departments,
    validate_phone,
    validate_plate,
    validate_postal_code,
)


@pytest.mark.parametrize(
    ("number", "normalized", "code"),
    [
        ("3001234567", "+573001234567", "mobile"),
        ("300 123 4567", "+573001234567", "mobile"),
        ("(+57) 300-123-4567", "+573001234567", "mobile"),
        ("+57 (300) 123-4567", "+573001234567", "mobile"),
        ("573001234567", "+573001234567", "mobile"),
        ("0057 300 1234567", "+573001234567", "mobile"),
        ("03 300 123 4567", "+573001234567", "mobile"),
        ("601 234 5678", "+576012345678", "fixed_line"),
        ("+57 604 444 5678", "+576044445678", "fixed_line"),
        ("01800 0912345", "+5718000912345", "toll_free"),
        ("01 8000 912 345", "+5718000912345", "toll_free"),
        ("+5718000912345", "+5718000912345", "toll_free"),
        ("3991111111", "+573991111111", "unassigned_range"),
        ("3992222222", "+573992222222", "unassigned_range"),
        ("3993333333", "+573993333333", "unassigned_range"),
        ("", "", "empty"),
        (3001234567, "", "not_text"),
        ("-3001234567", "", "sign"),
        ("３００1234567", "", "foreign_digits"),
        ("300 CALLNOW", "", "letters"),
        ("300;1234567", "", "characters"),
        ("+1 305 123 4567", "", "other_country"),
        ("2345678", "", "old_numbering"),
        ("1 234 5678", "", "old_numbering"),
        ("300123456", "", "phone_length"),
        ("30012345678", "", "phone_length"),
        ("6032345678", "", "unknown_area"),
        ("6092345678", "", "unknown_area"),
        ("5012345678", "", "not_a_phone"),
    ],
)
def test_a_phone_and_its_reason(number: object, normalized: str, code: str) -> None:
    found = validate_phone(number)
    assert (found.normalized, [r.code for r in found.reasons]) == (normalized, [code])
    good = {"mobile": "valid", "fixed_line": "valid", "toll_free": "valid"}
    assert found.verdict == good.get(code, "plausible" if normalized else "invalid")


def test_random_numbers_agree_with_the_whole_library() -> None:
    chosen = random.Random(20261121)
    for _ in range(3_000):
        start = chosen.choice(("3", "60", "1800", f"3{chosen.randrange(100):02d}"))
        size = 11 if start == "1800" else 10
        number = start + "".join(chosen.choices("0123456789", k=size - len(start)))
        parsed = phonenumbers.parse(number, "CO")
        found = validate_phone(number)
        assert (found.verdict == "valid") == phonenumbers.is_valid_number(parsed), number
        if found.verdict == "valid":
            e164 = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
            assert found.normalized == e164


@given(st.text(max_size=30))
def test_any_text_gets_a_verdict_on_each(text: str) -> None:
    for judge in (validate_phone, validate_plate, validate_postal_code):
        found = judge(text)
        assert found.reasons
        assert bool(found.normalized) == bool(found)
        if found:
            assert judge(found.normalized).normalized == found.normalized


@pytest.mark.parametrize(
    ("plate", "normalized", "kind"),
    [
        ("abc123", "ABC123", "carro"),
        ("ABC-123", "ABC123", "carro"),
        ("ABC 12D", "ABC12D", "motocicleta"),
        ("ABC12", "ABC12", "motocicleta"),
        ("CD1234", "CD1234", "diplomático"),
        ("R12345", "R12345", "remolque"),
        ("S12345", "S12345", "remolque"),
        ("123ABC", "123ABC", "motocarro"),
    ],
)
def test_a_plate_by_its_shape(plate: str, normalized: str, kind: str) -> None:
    found = validate_plate(plate)
    assert (found.verdict, found.normalized) == ("plausible", normalized)
    assert kind in found.reasons[0].text


@pytest.mark.parametrize(
    ("plate", "code"),
    [
        ("", "empty"),
        (123, "not_text"),
        ("-ABC123", "sign"),
        ("ABÑ123", "plate_letters"),
        ("ÁBC123", "plate_letters"),
        ("ABC１２３", "foreign_digits"),
        ("ABC_123", "characters"),
        ("XB1234", "not_a_plate"),
        ("ABCD123", "not_a_plate"),
        ("T12345", "not_a_plate"),
        ("ABC", "not_a_plate"),
    ],
)
def test_what_is_no_plate(plate: object, code: str) -> None:
    found = validate_plate(plate)
    assert (found.verdict, [r.code for r in found.reasons]) == ("invalid", [code])


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("", "empty"),
        (110111, "not_text"),
        (50001, "not_text"),
        ("-110111", "sign"),
        ("11O111", "letters"),
        ("１１0111", "foreign_digits"),
        ("11011", "postal_code_length"),
        ("1101111", "postal_code_length"),
        ("100111", "postal_code_department"),
        ("000000", "postal_code_department"),
    ],
)
def test_what_is_no_postal_code(code: object, told: str) -> None:
    found = validate_postal_code(code)
    assert (found.verdict, [r.code for r in found.reasons]) == ("invalid", [told])


def test_a_postal_code_begins_with_a_department() -> None:
    for department in departments():
        assert validate_postal_code(f"{department}0001").verdict == "plausible"
    assert "ANTIOQUIA" in validate_postal_code("050001").reasons[0].text
