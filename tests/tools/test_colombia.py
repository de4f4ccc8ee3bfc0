"""The tools about Colombia, as a model calls them, in the language of the tenant."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tause_mcp.errors import Invalid, NotFound
from tause_mcp.testing.home import House, house

pytestmark = pytest.mark.anyio

TOOLS = """
colombia_validate_document colombia_validate_nit colombia_validate_cedula colombia_validate_phone
colombia_validate_plate colombia_list_departments colombia_list_municipalities
colombia_find_municipality colombia_normalize_address colombia_list_holidays
colombia_add_business_days colombia_get_uvt colombia_compute_cufe
"""
INVOICE = {
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


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path / "home") as opened:
        yield opened


# --- what must not work -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool", "arguments", "field"),
    [
        ("colombia_validate_nit", {"number": 800197268}, "number"),
        ("colombia_validate_nit", {"number": "800197268", "check_digit": 4}, "check_digit"),
        ("colombia_validate_document", {"type": 13, "number": "1020304050"}, "type"),
        ("colombia_validate_phone", {"number": 3001234567}, "number"),
        ("colombia_validate_postal_code", {"code": 50001}, "code"),
        ("colombia_find_municipality", {"name": 5001}, "name"),
        ("colombia_find_municipality", {"name": "Cali", "department": 76}, "department"),
        ("colombia_list_municipalities", {"department_code": 5}, "department_code"),
        ("colombia_compute_cufe", {**INVOICE, "amount": 1500000.5}, "amount"),
    ],
)
async def test_a_number_where_text_belongs_is_told_why(
    home: House, tool: str, arguments: dict[str, Any], field: str
) -> None:
    with pytest.raises(Invalid, match="a number loses leading zeros") as caught:
        await home.call(tool, arguments)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("tool", "arguments", "error", "field"),
    [
        ("colombia_validate_document", {"type": "XX", "number": "1"}, Invalid, "type"),
        ("colombia_list_municipalities", {"department_code": "5"}, Invalid, "department_code"),
        ("colombia_list_municipalities", {"department_code": "00"}, NotFound, "department_code"),
        ("colombia_list_municipalities", {"cursor": "made-up"}, Invalid, "cursor"),
        ("colombia_list_holidays", {"year": 1984}, Invalid, "year"),
        ("colombia_get_uvt", {"year": 2027}, NotFound, "year"),
        ("colombia_add_business_days", {"date": "2026-02-30", "days": 1}, Invalid, "date"),
        ("colombia_add_business_days", {"date": "2026-01-01", "days": 2001}, Invalid, "days"),
        ("colombia_compute_cufe", {**INVOICE, "issuer_nit": "800197268-4"}, Invalid, "issuer_nit"),
        ("colombia_compute_cufe", {**INVOICE, "key": "secret://mail"}, Invalid, "key"),
    ],
)
async def test_a_wrong_argument_is_named(
    home: House, tool: str, arguments: dict[str, Any], error: type[Invalid], field: str
) -> None:
    with pytest.raises(error) as caught:
        await home.call(tool, arguments)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("tool", "arguments", "spanish", "english"),
    [
        ("colombia_validate_document", {"type": "XX", "number": "1"}, "uno de NIT", "one of NIT"),
        ("colombia_list_municipalities", {"department_code": "5"}, "dos cifras", "two digits"),
        ("colombia_list_municipalities", {"department_code": "00"}, "ningún", "no department"),
        ("colombia_get_uvt", {"year": 2027}, "la UVT se conoce", "the UVT is known"),
        ("colombia_add_business_days", {"date": "x", "days": 1}, "un día como", "a day as"),
        ("colombia_compute_cufe", {**INVOICE, "key": "secret://a"}, "un secreto", "a secret"),
        ("colombia_compute_cufe", {**INVOICE, "total": "1,5"}, "pesos como", "pesos as"),
        ("colombia_compute_cufe", {**INVOICE, "issuer_nit": "1-1"}, "cifras", "digits"),
    ],
)
async def test_a_refusal_is_in_the_language_of_the_tenant(
    home: House, tool: str, arguments: dict[str, Any], spanish: str, english: str
) -> None:
    with pytest.raises((Invalid, NotFound), match=f": {spanish}"):
        await home.call(tool, arguments)
    await home.call("tenants_configure", {"values": {"locale": "en-US"}})
    with pytest.raises((Invalid, NotFound), match=f": {english}"):
        await home.call(tool, arguments)


async def test_a_number_where_text_belongs_is_told_in_both_languages(home: House) -> None:
    """The arguments are read before the tenant's language is."""
    with pytest.raises(Invalid, match="un número pierde los ceros a la izquierda") as refused:
        await home.call("colombia_validate_nit", {"number": 800197268})
    assert "a number loses leading zeros" in str(refused.value)


async def test_a_cursor_of_another_list_or_tenant_is_refused(home: House) -> None:
    await home.tenant("other")
    page = await home.call("colombia_list_municipalities", {"limit": 1})
    for caller, told in (("default", {"department_code": "05"}), ("other", {})):
        with pytest.raises(Invalid):
            await home.call(
                "colombia_list_municipalities", {**told, "cursor": page["next_cursor"]}, caller
            )


# --- what does ----------------------------------------------------------------------------------


async def test_every_promised_tool_reads_and_two_are_on_the_default_list(home: House) -> None:
    tools = home.platform.catalog.tools
    assert set(TOOLS.split()) <= set(tools)
    viewer = home.caller(role="viewer")
    default = {o.name for o in home.platform.catalog.listed(viewer.scopes)}
    flagships = {name for name in default if name.startswith("colombia_")}
    assert flagships == {"colombia_validate_document", "colombia_find_municipality"}
    found = await home.call("colombia_validate_nit", {"number": "890903938-8"}, viewer)
    assert found["verdict"] == "valid"


async def test_a_document_gets_verdict_normalized_check_digit_and_reasons(home: House) -> None:
    found = await home.call(
        "colombia_validate_document", {"type": "NIT", "number": "800.197.268-5"}
    )
    assert found == {
        "verdict": "invalid",
        "normalized": "800197268",
        "check_digit": "4",
        "reasons": [
            {
                "code": "check_digit_mismatch",
                "text": "El dígito de verificación de 800197268 es 4, no 5.",
            }
        ],
    }
    assert set(await home.call("colombia_validate_cedula", {"number": "1020304050"})) == {
        "verdict",
        "normalized",
        "reasons",
    }


async def test_empty_and_full_width_are_verdicts_not_failures(home: House) -> None:
    for number, code in (("", "empty"), ("８００１９７２６８-4", "foreign_digits")):
        found = await home.call("colombia_validate_nit", {"number": number})
        assert (found["verdict"], found["reasons"][0]["code"]) == ("invalid", code)


async def test_texts_follow_the_locale_of_the_tenant_at_once(home: House) -> None:
    await home.tenant("acme")

    async def text(caller: str) -> str:
        found = await home.call("colombia_validate_plate", {"plate": ""}, caller)
        return str(found["reasons"][0]["text"])

    assert await text("acme") == "Está vacío."
    await home.call("tenants_configure", {"values": {"locale": "en-US"}}, "acme")
    assert await text("acme") == "It is empty."
    assert await text("default") == "Está vacío."
    year = await home.call("colombia_list_holidays", {"year": 2026}, "acme")
    assert year["items"][0] == {"date": "2026-01-01", "name": "New Year's Day"}
    await home.call("tenants_configure", {"remove": ["locale"]}, "acme")
    assert await text("acme") == "Está vacío."


async def test_a_tenant_inherits_the_language_of_the_one_above(home: House) -> None:
    await home.call("tenants_configure", {"values": {"locale": "en-GB"}})
    await home.tenant("acme")
    found = await home.call("colombia_validate_plate", {"plate": ""}, "acme")
    assert found["reasons"][0]["text"] == "It is empty."


async def test_the_pages_of_municipalities_are_all_of_them_once(home: House) -> None:
    seen, cursor = [], None
    while True:
        told = {"cursor": cursor} if cursor else {}
        page = await home.call("colombia_list_municipalities", told)
        seen += [row["code"] for row in page["items"]]
        if (cursor := page.get("next_cursor")) is None:
            break
    assert len(seen) == len(set(seen)) == 1122
    assert seen == sorted(seen)
    departments = (await home.call("colombia_list_departments"))["items"]
    assert (len(departments), sum(d["municipalities"] for d in departments)) == (33, 1122)
    for code, count in (("05", 125), ("11", 1)):
        page = await home.call("colombia_list_municipalities", {"department_code": code})
        assert (len(page["items"]), "next_cursor" in page) == (count, False)


async def test_a_municipality_or_candidates(home: House) -> None:
    found = await home.call("colombia_find_municipality", {"name": "medellin"})
    assert found == {
        "status": "found",
        "municipality": {
            "code": "05001",
            "name": "MEDELLÍN",
            "department_code": "05",
            "department_name": "ANTIOQUIA",
            "type": "municipio",
        },
        "candidates": [],
        "reasons": [],
    }
    several = await home.call("colombia_find_municipality", {"name": "Villanueva"})
    assert (several["status"], len(several["candidates"])) == ("ambiguous", 4)
    assert "municipality" not in several


async def test_days_money_and_addresses(home: House) -> None:
    holidays = (await home.call("colombia_list_holidays", {"year": 2026}))["items"]
    assert len(holidays) == 19
    assert {"date": "2026-07-13", "name": "Virgen de Chiquinquirá"} in holidays
    due = await home.call("colombia_add_business_days", {"date": "2026-07-10", "days": 1})
    assert due == {
        "date": "2026-07-14",
        "skipped": [{"date": "2026-07-13", "name": "Virgen de Chiquinquirá"}],
    }
    far = await home.call("colombia_add_business_days", {"date": "2026-07-10", "days": 2000})
    assert len(far["skipped"]) == 60
    uvt = await home.call("colombia_get_uvt", {"year": 2026})
    assert uvt == {
        "year": 2026,
        "value": {"amount": 5_237_400, "currency": "COP"},
        "text": "$ 52.374",
        "resolution": "000238 de 2025",
    }
    address = {"address": "Calle 100 # 8A - 55"}
    place = await home.call("colombia_normalize_address", address)
    assert (place["normalized"], place["complete"]) == ("CL 100 8A 55", True)


async def test_a_cufe_and_a_cude_with_a_key_that_the_model_never_sees(home: House) -> None:
    found = await home.call("colombia_compute_cufe", INVOICE)
    assert found["scheme"] == "CUFE-SHA384"
    assert found["uuid"].startswith("8bb918b19ba22a69")
    assert found["url"].endswith(f"documentkey={found['uuid']}")
    await home.call("secrets_put", {"name": "dian-key", "value": INVOICE["key"]})
    kept = {**INVOICE, "key": "secret://dian-key"}
    assert await home.call("colombia_compute_cufe", kept) == found
    with pytest.raises(NotFound):
        await home.call("colombia_compute_cufe", {**INVOICE, "key": "secret://dian-none"})
    note = await home.call("colombia_compute_cufe", {**INVOICE, "kind": "cude"})
    assert note["scheme"] == "CUDE-SHA384"


async def test_the_uvt_of_this_year_is_the_default(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import date

    from tause_mcp.services.colombia import Colombia

    monkeypatch.setattr(Colombia, "today", lambda _: date(2025, 12, 31))
    assert (await home.call("colombia_get_uvt"))["year"] == 2025


async def test_a_host_reads_the_same_through_mcp(home: House) -> None:
    async with home.client() as client:
        called = await client.call_tool("colombia_validate_nit", {"number": "890903938-8"})
        assert called.structured_content["verdict"] == "valid"
        refused = await client.call_tool("colombia_validate_nit", {"number": 5})
        assert refused.is_error
