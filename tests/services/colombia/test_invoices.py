"""CUFE and CUDE: the annex's own examples, and fields that are refused by name."""

from decimal import Decimal
from typing import Any

import pytest

from tause_mcp.errors import Invalid
from tause_mcp.services.colombia import (
    compute_cude,
    compute_cufe,
    event_cude,
    search_url,
    software_security_code,
)

INVOICE: dict[str, Any] = {
    "number": "323200000129",
    "issue_date": "2019-01-16",
    "issue_time": "10:53:10-05:00",
    "amount": "1500000.00",
    "iva": "285000.00",
    "total": "1785000.00",
    "issuer_nit": "700085371",
    "customer_id": "800199436",
    "key": "693ff6f2a553c3646a063436fd4dd9ded0311471",
}
CUFE = (
    "8bb918b19ba22a694f1da11c643b5e9de39adf60311cf179179e9b33381030bc"
    "d4c3c3f156c506ed5908f9276f5bd9b4"
)
NOTE: dict[str, Any] = {
    "number": "8110007871",
    "issue_date": "2019-01-12",
    "issue_time": "07:00:00-05:00",
    "amount": "5000.00",
    "iva": "950.00",
    "total": "5950.00",
    "issuer_nit": "900373076",
    "customer_id": "8355990",
    "key": "12301",
}
CUDE = (
    "907e4444decc9e59c160a2fb3b6659b33dc5b632a5008922b9a62f83f757b1c4"
    "48e47f5867f2b50dbdb96f48c7681168"
)


def test_the_annex_examples() -> None:
    assert compute_cufe(**INVOICE) == CUFE
    assert compute_cude(**NOTE) == CUDE


def test_the_software_security_code() -> None:
    assert software_security_code("abc", "12345", "SETP990000001") == (
        "ef061d791ea17f22a34df2d5d18726509bcbe69139a7527a7e3d94c5d534899d"
        "5ff886f5a360c0fe87a71d600b67e3eb"
    )


def test_amounts_are_cut_not_rounded() -> None:
    for amount in ("1500000.009", "1500000", "1500000.0", 1_500_000, Decimal("1500000.009")):
        assert compute_cufe(**{**INVOICE, "amount": amount}) == CUFE


@pytest.mark.parametrize(
    "change",
    [{name: "2"} for name in ("number", "amount", "iva", "inc", "ica", "total", "issuer_nit")]
    + [{"customer_id": "2"}, {"key": "2"}, {"environment": "test"}, {"issue_date": "2019-01-17"}],
)
def test_each_field_counts(change: dict[str, Any]) -> None:
    assert compute_cufe(**{**INVOICE, **change}) != CUFE


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("number", "SETP-990"),
        ("number", ""),
        ("issue_date", "2019-02-30"),
        ("issue_date", "16/01/2019"),
        ("issue_time", "10:53:10"),
        ("issue_time", "25:53:10-05:00"),
        ("issue_time", "10:53:10Z"),
        ("amount", "1.500.000"),
        ("amount", "1,5"),
        ("amount", "-1"),
        ("amount", ""),
        ("amount", "１"),
        ("amount", 1.5),
        ("amount", True),
        ("total", Decimal("NaN")),
        ("iva", "1e5"),
        ("issuer_nit", "800197268-4"),
        ("issuer_nit", "800.197.268"),
        ("issuer_nit", 800197268),
        ("customer_id", "8001994-6"),
        ("key", ""),
        ("key", "a b"),
        ("environment", "prod"),
    ],
)
def test_a_wrong_field_is_named(field: str, value: object) -> None:
    with pytest.raises(Invalid) as caught:
        compute_cufe(**{**INVOICE, field: value})
    assert caught.value.field == field


def test_an_event_has_its_own_seed() -> None:
    import hashlib

    told = {
        "number": "1",
        "issue_date": "2026-07-14",
        "issue_time": "08:00:00-05:00",
        "issuer_nit": "900373076",
        "receiver": "800197268",
        "response_code": "030",
        "reference": "SETP990000001",
        "reference_type": "01",
        "pin": "12345",
    }
    seed = "12026-07-1408:00:00-05:0090037307680019726803" + "0SETP9900000010112345"
    assert event_cude(**told) == hashlib.sha384(seed.encode()).hexdigest()
    with pytest.raises(Invalid):
        event_cude(**{**told, "pin": ""})


def test_where_the_code_leads() -> None:
    assert search_url(CUFE) == (
        f"https://catalogo-vpfe.dian.gov.co/document/searchqr?documentkey={CUFE}"
    )
    assert "catalogo-vpfe-hab." in search_url(CUFE, "test")
