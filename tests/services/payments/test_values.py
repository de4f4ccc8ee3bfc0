"""What a payment is made of, told by field when it is wrong."""

from dataclasses import replace
from typing import Any

import pytest

from tause_mcp.errors import Invalid
from tause_mcp.services.payments.values import (
    Customer,
    Method,
    check_amount,
    check_customer,
    check_method,
    check_order,
    check_token,
)

from .conftest import ANA, BANKS, CARD, CHECKOUT, NEQUI, PSE


def refused(work: Any, field: str, *said: str) -> None:
    with pytest.raises(Invalid) as wrong:
        work()
    assert wrong.value.field == field
    for text in said:
        assert text in str(wrong.value)


@pytest.mark.parametrize("order", ["", " o", "o 1", "ñ", "-1", "o" * 101, "o\n"])
def test_an_order_has_a_plain_name(order: str) -> None:
    refused(lambda: check_order(order), "order_id")
    assert check_order("A-1/b.c:d_e") == "A-1/b.c:d_e"


@pytest.mark.parametrize("amount", [149_999, 0, -1, 10**12 + 1])
def test_an_amount_is_what_wompi_takes(amount: int) -> None:
    refused(lambda: check_amount(amount, "COP"), "amount", "$1,500")
    assert check_amount(150_000, "COP") == 150_000
    refused(lambda: check_amount(150_000, "USD"), "amount", "COP")


@pytest.mark.parametrize(
    ("told", "member"),
    [
        ({"email": "ana"}, "email"),
        ({"email": "ana@example"}, "email"),
        ({"email": "a b@example.com"}, "email"),
        ({"email": f"a@{'b' * 300}.com"}, "email"),
        ({"full_name": "A"}, "full_name"),
        ({"full_name": "A\nB"}, "full_name"),
        ({"phone": "6012345678"}, "phone"),
        ({"phone": "+573001234567"}, "phone"),
        ({"phone": "３００１２３４５６７"}, "phone"),
        ({"document": None}, "document"),
        ({"document_type": None}, "document_type"),
        ({"document_type": "XX"}, "document_type"),
        ({"document": "12"}, "document"),
        ({"document_type": "NIT", "document": "800197268-3"}, "document"),
    ],
)
def test_a_customer_is_wrong_by_member(told: dict, member: str) -> None:
    refused(lambda: check_customer(replace(ANA, **told)), "customer", f"customer.{member}")


def test_a_document_comes_with_the_code_of_its_type() -> None:
    told = check_customer(
        replace(ANA, document_type="cédula de ciudadanía", document="1.020.304.050")
    )
    assert (told.document_type, told.document) == ("CC", "1020304050")
    assert check_customer(Customer("a@b.co")) == Customer("a@b.co")


@pytest.mark.parametrize(
    ("method", "customer", "field", "member"),
    [
        (Method("card"), ANA, "method", "token"),
        (Method("card", token="4242424242424242"), ANA, "method", "token"),
        (Method("card", token="x"), ANA, "method", "token"),
        (replace(CARD, installments=0), ANA, "method", "installments"),
        (replace(CARD, installments=37), ANA, "method", "installments"),
        (replace(CARD, phone="3001234567"), ANA, "method", "phone"),
        (Method("pse", person_type="natural"), ANA, "method", "bank_code"),
        (Method("pse", "1"), ANA, "method", "person_type"),
        (Method("pse", "99", "natural"), ANA, "method", "bank_code"),
        (Method("pse", "' or 1", "natural"), ANA, "method", "bank_code"),
        (PSE, replace(ANA, full_name=None), "customer", "full_name"),
        (PSE, replace(ANA, phone=None), "customer", "phone"),
        (PSE, Customer("a@b.co", "Ana P", "3001234567"), "customer", "document_type"),
        (Method("nequi"), Customer("a@b.co"), "method", "phone"),
        (Method("nequi", phone="123"), ANA, "method", "phone"),
        (Method("daviplata"), Customer("a@b.co"), "customer", "document_type"),
        (Method("bancolombia_transfer", token="tok_test_1"), ANA, "method", "token"),
        (replace(CHECKOUT, bank_code="1"), ANA, "method", "bank_code"),
    ],
)
def test_a_method_is_wrong_by_member(
    method: Method, customer: Customer, field: str, member: str
) -> None:
    refused(lambda: check_method(method, customer, BANKS), field, f"{field}.{member}")


def test_what_a_method_needs_is_enough() -> None:
    for method in (CARD, PSE, NEQUI, CHECKOUT, Method("bancolombia_qr"), Method("daviplata")):
        assert check_method(method, ANA, BANKS) == method
    assert check_method(Method("nequi"), ANA, None) == Method("nequi", phone="3001234567")


def test_a_number_is_no_token() -> None:
    refused(lambda: check_token("4242424242424242", "token"), "token", "never a card's number")
