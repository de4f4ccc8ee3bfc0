"""A refusal says which argument is wrong and what to do next, and shows no key."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tause_mcp.errors import Invalid, ProviderError, TauseError, Unavailable, Unconfigured
from tause_mcp.outbound.wompi import (
    KeysRefused,
    ReferenceUsed,
    Refused,
    Rejected,
    StaleTerms,
)
from tause_mcp.outbound.wompi import payout_refusals as payouts
from tause_mcp.outbound.wompi.quoting import LONGEST, quoted
from tause_mcp.outbound.wompi.refusals import refusal


def said(field: str, *texts: str) -> TauseError:
    body = {"type": "INPUT_VALIDATION_ERROR", "messages": {field: list(texts)}}
    return refusal(422, {"error": body})


def because(reason: str, kind: str = "UNPROCESSABLE", status: int = 422) -> TauseError:
    return refusal(status, {"error": {"type": kind, "reason": reason}})


@pytest.mark.parametrize(
    ("field", "text", "kind"),
    [
        ("reference", "La referencia ya ha sido usada", ReferenceUsed),
        ("acceptance_token", "No está presente", StaleTerms),
        ("acceptance_token", "El token de aceptación ya fue usado", StaleTerms),
        ("acceptance_token", "El token de aceptación es inválido", StaleTerms),
        ("acceptance_token", "El token de aceptación está en un formato incorrecto", StaleTerms),
        ("accept_personal_auth", "No está presente", StaleTerms),
        ("signature", "La firma es inválida", KeysRefused),
        ("signature", "Firma de integridad requerida no enviada", KeysRefused),
        ("public_key", "Formato inválido", KeysRefused),
    ],
)
def test_what_the_ledger_tells_apart_has_its_class(
    field: str, text: str, kind: type[TauseError]
) -> None:
    assert type(said(field, text)) is kind


def test_a_wrong_signature_says_which_secret_to_check() -> None:
    text = str(said("signature", "La firma es inválida"))
    assert "WOMPI_INTEGRITY_SECRET" in text
    assert "payments.wompi.integrity_secret" in text


@pytest.mark.parametrize(
    ("field", "text", "ours", "next_"),
    [
        (
            "valid_amount_in_cents",
            "El monto mínimo de una transacción es $1,500",
            "amount",
            "$1,500",
        ),
        ("currency", "Debe ser igual a COP", "amount.currency", "COP"),
        ("financial_institution_code", "no existe", "method.bank_code", "payments_list_banks"),
        (
            "payment_method.financial_institution_code",
            "x",
            "method.bank_code",
            "payments_list_banks",
        ),
        ("payment_method.token", "ya fue usado", "method.token", "ask the payer for a new one"),
        ("installments", "x", "method.installments", "1 to 36"),
        ("phone_number", "x", "method.phone", "ten digits"),
        ("customer_data.phone_number", "x", "customer.phone", "ten digits"),
        ("customer_data.legal_id", "x", "customer.document", "document"),
        ("user_legal_id", "x", "customer.document", "document"),
        ("customer_email", "Formato inválido", "customer.email", "address"),
        ("payment_source_id", "x", "source_id", "payments_save_source"),
    ],
)
def test_a_field_of_wompis_is_an_argument_of_ours(
    field: str, text: str, ours: str, next_: str
) -> None:
    failed = said(field, text)
    assert isinstance(failed, Rejected)
    assert isinstance(failed, Invalid)
    assert isinstance(failed, ProviderError)
    assert (failed.code, failed.status, failed.field) == ("invalid", 422, ours)
    assert next_ in str(failed)
    assert failed.messages == {field: (text,)}


def test_messages_may_nest_and_the_first_counts() -> None:
    nested = {"payment_method": {"financial_institution_code": ["no existe"], "x": [["y"]]}}
    failed = refusal(422, {"error": {"type": "NEW_ONE", "messages": nested}})
    assert failed.field == "method.bank_code"
    for messages in ({"amount_in_cents": "x"}, {"amount_in_cents": [{"amount_in_cents": ["x"]}]}):
        assert refusal(422, {"error": {"messages": messages}}).field == "amount"


def test_an_unknown_field_is_quoted_and_no_argument_is_blamed() -> None:
    failed = said("shoe_size", "demasiado grande")
    assert type(failed) is Refused
    assert (failed.code, failed.field) == ("provider_error", None)
    assert str(failed) == "Wompi refused it for 'shoe_size'. Wompi: 'demasiado grande'"


def test_reasons_are_read_too() -> None:
    declined = because("La fuente de pago ha sido declinada")
    assert (type(declined), declined.field) == (Rejected, "source_id")
    missing = because("No se especificó método de pago o fuente de pago")
    assert (type(missing), missing.field) == (Rejected, "method")
    parts = because("No se especificó el número de cuotas (installments)")
    assert (type(parts), parts.field) == (Rejected, "method.installments")
    other = because("Algo nuevo", "SOMETHING_NEW", 400)
    assert str(other) == "Wompi refused the request. Wompi: 'Algo nuevo'"
    assert (type(other), getattr(other, "kind", "")) == (Refused, "SOMETHING_NEW")
    absent = because("La entidad solicitada no existe", "NOT_FOUND_ERROR", 404)
    assert str(absent).startswith("Wompi does not know what was asked for")


def test_a_refusal_without_words_is_one_all_the_same() -> None:
    for told in (None, [], {}, "x", {"error": None}, {"error": {"type": 7, "messages": 7}}):
        assert str(refusal(422, told)) == "Wompi refused the request"
        assert type(refusal(401, told)) is KeysRefused
        assert isinstance(refusal(403, told), Unconfigured)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "type", "reason", "messages", "code", "message", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(st.integers(400, 499), JSON)
def test_any_body_is_a_failure_with_a_text(status: int, told: Any) -> None:
    for failed in (refusal(status, told), payouts.refusal(status, told)):
        assert isinstance(failed, (Refused, Unconfigured, Unavailable))
        assert str(failed).isprintable()
        assert len(str(failed)) < 1000


# -- payouts ---------------------------------------------------------------------------------------


def told(code: str, message: Any, status: int = 400) -> TauseError:
    body = {"status": status, "code": code, "message": message, "meta": {"trace_id": "t"}}
    return payouts.refusal(status, body)


@pytest.mark.parametrize("code", ["EXC_022", "EXC_032"])
def test_a_repeated_idempotency_key_is_a_reference_that_is_used(code: str) -> None:
    assert type(told(code, "ya fue procesada", 409)) is ReferenceUsed


@pytest.mark.parametrize(
    ("code", "field"),
    [
        ("EXC_008", "amount"),
        ("EXC_017", "amount"),
        ("EXC_033", "beneficiary.key"),
        ("EXC_034", "beneficiary.key"),
        ("EXC_035", "beneficiary.key"),
    ],
)
def test_a_known_code_says_what_to_do(code: str, field: str) -> None:
    failed = told(code, "En español")
    assert (type(failed), failed.field) == (Rejected, field)
    assert str(failed).endswith("Wompi: 'En español'")


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (["transactions.0.bankId must be the id of a bank"], "beneficiary.bank_code"),
        (["transactions[1].accountNumber must be a number"], "beneficiary.account_number"),
        (["shoe is no size", "legalId must be a string"], "beneficiary.document"),
        ("amount must be positive", "amount"),
    ],
)
def test_a_list_of_problems_names_our_argument(message: Any, field: str) -> None:
    assert told("VALIDATION_ERROR", message).field == field


def test_another_problem_of_payouts_is_quoted() -> None:
    assert type(told("EXC_999", ["nuevo", 7])) is Refused
    assert str(told("EXC_999", ["nuevo", 7])) == "Wompi refused the payout. Wompi: 'nuevo'"
    assert str(told("EXC_999", None)) == "Wompi refused the payout. Wompi: 'EXC_999'"
    assert type(payouts.refusal(403, {"message": "Forbidden"})) is KeysRefused
    assert type(told("EXC_036", "x", 400)) is Unavailable


# -- what is quoted --------------------------------------------------------------------------------

SECRETS = [
    "pub_test_canary", "prv_prod_canary", "PRV_TEST_CANARY", "test_events_canary", "prod_integrity_canary",
    "tok_test_canary", "tok_prod_1_canary", "nequi_test_canary", "token_test_canary",
    "eyJhbGciOiJIUzI1NiJ9.eyJjYW5hcnkiOjF9.canary-_", "eyJhbGciOiJIUzI1NiJ9.canary",
    "Bearer canary123", "4242424242424242", "4242 4242 4242 4242",
]  # fmt: skip


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("around", ["{}", "se recibió: {}", "«{}»", "{}, {}"])
def test_what_looks_like_a_key_is_not_quoted(secret: str, around: str) -> None:
    shown = quoted(around.format(secret, secret)).lower()
    assert "canary" not in shown
    assert "4242" not in shown


def test_a_key_at_the_cut_is_not_half_shown() -> None:
    for at in range(LONGEST - 20, LONGEST + 2):
        assert "canary" not in quoted("x" * at + " prv_test_canary" + "y" * 50)


def test_a_quote_is_one_line_and_short() -> None:
    assert quoted("a\r\n\x1b[31mb\u202ec\u2028d\ue000") == "a [31mb c d"
    assert quoted("x" * 10_000_000) == "x" * (LONGEST - 1) + "…"
    assert [quoted(told) for told in (None, 7, b"x", ["x"], {}, "")] == [""] * 6
    assert quoted("El monto mínimo es $1,500. 12015602-1769351602-78650") == (
        "El monto mínimo es $1,500. 12015602-1769351602-78650"
    )


@given(st.text())
def test_a_quote_is_always_printable(text: str) -> None:
    shown = quoted(text)
    assert shown.isprintable()
    assert len(shown) <= LONGEST
