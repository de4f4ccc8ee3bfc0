"""Documents: a shape is plausible, never valid; each wrong one says why."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tause_mcp.errors import Invalid
from tause_mcp.services.colombia import document_type, validate_cedula, validate_document
from tause_mcp.services.colombia.documents import KINDS


def codes(type_: str, number: object, check_digit: object = None) -> tuple[str, list[str]]:
    found = validate_document(type_, number, check_digit)
    return found.verdict, [reason.code for reason in found.reasons]


@pytest.mark.parametrize(
    ("number", "code"),
    [
        ("", "empty"),
        (1020304050, "not_text"),
        ("-12345", "sign"),
        ("+12345", "sign"),
        ("１０２０３０４０５０", "foreign_digits"),
        ("1020A04050", "letters"),
        ("1020304050-5", "separators"),
        ("1,020,304,050", "separators"),
        ("0123456", "leading_zero"),
        ("0000000000", "leading_zero"),
        ("12", "length"),
        ("12345678901", "length"),
    ],
)
def test_what_is_no_cedula_is_invalid_for_its_own_reason(number: object, code: str) -> None:
    found = validate_cedula(number)
    assert (found.verdict, [r.code for r in found.reasons]) == ("invalid", [code])


@pytest.mark.parametrize(
    "number",
    ["123", "79123456", "1.020.304.050", "1 020 304 050", "CC 1020304050", "C.C. 79123456"],
)
def test_a_cedula_is_plausible_by_its_shape(number: str) -> None:
    found = validate_cedula(number)
    assert (found.verdict, [r.code for r in found.reasons]) == ("plausible", ["shape_only"])
    assert found.check_digit is None


def test_nine_digits_are_no_usual_cedula_and_not_refused() -> None:
    assert codes("CC", "123456789") == ("plausible", ["shape_only", "unusual_length"])


def test_a_cedula_has_no_check_digit() -> None:
    assert codes("CC", "79123456", "4") == ("plausible", ["shape_only", "check_digit_unused"])
    assert codes("CC", "79123456", "")[1] == ["shape_only"]


@pytest.mark.parametrize(
    ("type_", "number", "normalized", "told"),
    [
        ("TI", "1020304050", "1020304050", ["shape_only"]),
        ("TI", "99010112345", "99010112345", ["shape_only"]),
        ("TI", "1234567", "1234567", ["shape_only", "unusual_length"]),
        ("RC", "1020304050", "1020304050", ["shape_only"]),
        ("RC", "a1b 1234567", "A1B1234567", ["shape_only"]),
        ("NUIP", "1020304050", "1020304050", ["shape_only"]),
        ("CE", "123456", "123456", ["shape_only"]),
        ("CE", "0123456", "0123456", ["shape_only", "leading_zero"]),
        ("CE", "123456789", "123456789", ["shape_only", "unusual_length"]),
        ("TE", "ab-123", "AB123", ["shape_only"]),
        ("PPT", "1234567", "1234567", ["shape_only"]),
        ("PPT", "123456789012", "123456789012", ["shape_only", "unusual_length"]),
        ("PEP", "123456789012345", "123456789012345", ["shape_only", "not_in_use"]),
        ("PA", "ar 123456", "AR123456", ["shape_only"]),
        ("PA", "A12", "A12", ["shape_only", "unusual_length"]),
        ("DE", "X1", "X1", ["shape_only"]),
        ("NE", "US-12.345", "US12345", ["shape_only"]),
    ],
)
def test_every_type_by_its_shape(type_: str, number: str, normalized: str, told: list[str]) -> None:
    found = validate_document(type_, number)
    assert (found.verdict, found.normalized) == ("plausible", normalized)
    assert [r.code for r in found.reasons] == told


@pytest.mark.parametrize(
    ("type_", "number", "code"),
    [
        ("NUIP", "102030405", "length"),
        ("NUIP", "0020304050", "leading_zero"),
        ("CE", "12A456", "letters"),
        ("PPT", "1" * 16, "length"),
        ("PEP", "12-34", "separators"),
        ("PA", "AÑ123456", "characters"),
        ("PA", "-A123456", "sign"),
        ("PA", "A1", "length"),
        ("DE", "000", "leading_zero"),
        ("DE", "A" * 21, "length"),
        ("DE", "a_b", "characters"),
        ("DE", "１２３", "foreign_digits"),
    ],
)
def test_what_no_document_of_a_type_has(type_: str, number: str, code: str) -> None:
    assert codes(type_, number) == ("invalid", [code])


def test_a_nit_is_a_document() -> None:
    for written in ("NIT", "nit", "31", "RUT", "N.I.T."):
        assert codes(written, "800197268-4") == ("valid", ["check_digit_ok"])
    assert codes("NIT", "800197268", "4")[0] == "valid"


@pytest.mark.parametrize(
    ("written", "code"),
    [("cc", "CC"), ("C.C.", "CC"), ("Cédula de ciudadanía", "CC"), ("13", "CC"), ("cedula", "CC")]
    + [("pasaporte", "PA"), ("PP", "PA"), ("Cédula de extranjería", "CE"), ("registro civil", "RC")]
    + [(kind.dian, code) for code, kind in KINDS.items()],
)
def test_a_type_has_many_names(written: str, code: str) -> None:
    assert document_type(written) == code


@pytest.mark.parametrize("written", ["", "XX", "99", "cédula falsa", 13, None])
def test_an_unknown_type_names_those_there_are(written: object) -> None:
    with pytest.raises(Invalid, match="CC") as caught:
        validate_document(written, "123")
    assert caught.value.field == "type"


@given(st.sampled_from(sorted(KINDS)), st.text(max_size=30))
def test_no_text_is_valid_and_each_verdict_has_a_reason(type_: str, text: str) -> None:
    found = validate_document(type_, text)
    assert found.verdict in ("plausible", "invalid")
    assert found.reasons
    again = validate_document(type_, found.normalized)
    assert found.verdict == "invalid" or again.normalized == found.normalized
