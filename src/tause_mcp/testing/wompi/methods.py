"""The payment methods: what each takes, what its test data lead to, and what it shows on the way.

Test data: https://docs.wompi.co/docs/colombia/datos-de-prueba-en-sandbox/
"""

import base64
import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tause_mcp.testing.wompi.clock import stamp
from tause_mcp.testing.wompi.errors import MINIMUM, invalid
from tause_mcp.testing.wompi.exchange import one_of, text, url, whole
from tause_mcp.testing.wompi.store import Otp, State, Transaction

CARDS = {"4242424242424242": "APPROVED", "4111111111111111": "DECLINED"}
PHONES = {"3991111111": "APPROVED", "3992222222": "DECLINED"}
WALLETS = {**PHONES, "3993333333": "DECLINED"}
BANK_OUTCOMES = {"1": "APPROVED", "2": "DECLINED", "3": "ERROR"}
OUTCOMES = ("APPROVED", "DECLINED", "ERROR")
POINTS = ("APPROVED_ONLY_POINTS", "APPROVED_HALF_POINTS", "DECLINED", "ERROR")
LEGAL_IDS = ("RC", "TI", "CC", "TE", "CE", "NIT", "PP", "DNI", "PPT", "PA")
REDIRECTING = ("PSE", "BANCOLOMBIA_TRANSFER", "PCOL")
"""Those with `extra.async_payment_url`; BNPL, DAVIPLATA and SU_PLUS have `extra.url`."""

THREE_DS = {
    "no_challenge_success": ("AUTHENTICATION", "COMPLETED", ""),
    "challenge_denied": ("AUTHENTICATION", "Non-Authenticated", "DECLINED"),
    "challenge_v2": ("CHALLENGE", "PENDING", "?"),
    "supported_version_error": ("SUPPORTED_VERSION", "ERROR", "ERROR"),
    "authentication_error": ("AUTHENTICATION", "ERROR", "ERROR"),
}
"""`three_ds_auth_type` -> step, its status, and the end it forces ('': the card's; '?': the
cardholder chooses)."""

_MESSAGES = {
    "PSE": {
        "DECLINED": "Transacción RECHAZADA en Sandbox",
        "ERROR": "Transacción con ERROR en Sandbox",
    },
    "*": {
        "DECLINED": "La transacción fue rechazada (Sandbox)",
        "ERROR": "La transacción terminó con error (Sandbox)",
    },
}
_POINT_IN_CENTS = 700

Sent = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Method:
    """One payment method."""

    check: Callable[[Sent], None]
    plan: Callable[[Sent], str | None]
    reveal: Callable[[State, Transaction], dict[str, Any]] = lambda state, made: {}
    least: int = 1_500
    """Of a payment, in pesos."""


def message(method: str, outcome: str) -> str | None:
    """The `status_message` of an end."""
    return _MESSAGES.get(method, _MESSAGES["*"]).get(outcome)


def status_of(outcome: str) -> str:
    """`APPROVED_HALF_POINTS` -> `APPROVED`."""
    return outcome.partition("_")[0]


def minimum(method: str, amount: int) -> None:
    """Refuse less than the method's minimum; `amount` without taxes."""
    least = METHODS[method].least if method in METHODS else 1_500
    if amount < 100 * least:
        raise invalid("valid_amount_in_cents", MINIMUM.format(least))


def _card(sent: Sent) -> None:
    text(sent, "token")
    whole(sent, "installments", 1, 99, optional=True)


def _nequi(sent: Sent) -> None:
    text(sent, "phone_number", r"\d{10}")


def _described(sent: Sent) -> None:
    text(sent, "payment_description", r"[^']*", longest=64)


def _person(sent: Sent) -> None:
    one_of(sent, "user_legal_id_type", LEGAL_IDS)
    text(sent, "user_legal_id", longest=32)


def _pse(sent: Sent) -> None:
    user_type = sent.get("user_type")
    whole(
        {"user_type": int(user_type) if user_type in ("0", "1") else user_type}, "user_type", 0, 1
    )
    _person(sent)
    text(sent, "financial_institution_code")
    text(sent, "payment_description", longest=64)
    for name in ("reference_one", "reference_two", "reference_three"):
        text(sent, name, longest=2048, optional=True)


def _transfer(sent: Sent) -> None:
    _described(sent)
    url(sent, "ecommerce_url")


def _qr(sent: Sent) -> None:
    _described(sent)
    one_of(sent, "sandbox_status", OUTCOMES, optional=True)


def _points(sent: Sent) -> None:
    one_of(sent, "sandbox_status", POINTS, optional=True)


def _bnpl(sent: Sent) -> None:
    text(sent, "name")
    text(sent, "last_name")
    _person(sent)
    text(sent, "phone_number", r"\d{7,15}")
    text(sent, "phone_code", r"\+\d{1,4}")
    text(sent, "redirect_url", longest=2048)
    url(sent, "redirect_url")
    text(sent, "payment_description", longest=64)


def _daviplata(sent: Sent) -> None:
    _person(sent)
    text(sent, "payment_description", longest=64)


def _redirect(state: State, made: Transaction) -> dict[str, Any]:
    return {"async_payment_url": authorize_url(made)}


def authorize_url(made: Transaction) -> str:
    """The bank's page for a payment."""
    return f"{made.root}/_sandbox/authorize/{made.id}"


def _own_page(step: str) -> Callable[[State, Transaction], dict[str, Any]]:
    return lambda state, made: {"url": authorize_url(made), "steps": [step]}


def _codes(state: State, made: Transaction) -> dict[str, Any]:
    made.otp = Otp(bearer=state.letters(40))
    start = f"{made.root}/_sandbox/otp/{made.id}"
    services = {
        "token": made.otp.bearer,
        "code_otp_send": f"{start}/send",
        "code_otp_validate": f"{start}/validate",
    }
    return {**_own_page("Create")(state, made), "url_services": services}


def _qr_image(state: State, made: Transaction) -> dict[str, Any]:
    shown = html.escape(made.id)
    drawn = (
        '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="240" height="240">'
        f'<text x="10" y="120" font-size="12">Sandbox QR {shown}</text></svg>'
    )
    return {"qr_id": state.uuid(), "qr_image": base64.b64encode(drawn.encode()).decode()}


def _cash(state: State, made: Transaction) -> dict[str, Any]:
    return {"business_agreement_code": "12345", "payment_intention_identifier": state.digits(11)}


def _secure(state: State, made: Transaction) -> dict[str, Any]:
    """3-D Secure: the step reached, and at a challenge the issuer's page, escaped."""
    if not made.extra["is_three_ds"]:
        return {}
    kind = made.extra["three_ds_auth_type"] or "no_challenge_success"
    step, status, forced = THREE_DS[kind]
    reached = {"current_step": step, "current_step_status": status}
    if forced == "?":
        frame = f'<iframe src="{authorize_url(made)}" width="100%" height="500"></iframe>'
        reached["three_ds_method_data"] = html.escape(frame)
    return {"three_ds_auth": reached}


def _nothing(sent: Sent) -> None:
    return None


def _chosen(sent: Sent) -> str | None:
    return sent.get("sandbox_status")


METHODS: Mapping[str, Method] = {
    "CARD": Method(_card, lambda sent: None, _secure),
    "NEQUI": Method(_nequi, lambda sent: PHONES.get(sent["phone_number"], "ERROR")),
    "PSE": Method(
        _pse,
        lambda sent: BANK_OUTCOMES.get(sent["financial_institution_code"], "ERROR"),
        _redirect,
    ),
    "BANCOLOMBIA_TRANSFER": Method(_transfer, lambda sent: None, _redirect),
    "BANCOLOMBIA_QR": Method(_qr, _chosen, _qr_image),
    "BANCOLOMBIA_COLLECT": Method(_nothing, lambda sent: None, _cash),
    "PCOL": Method(_points, _chosen, _redirect),
    "BANCOLOMBIA_BNPL": Method(
        _bnpl, lambda sent: None, _own_page("ProvideAuthenticate"), least=100_000
    ),
    "DAVIPLATA": Method(_daviplata, lambda sent: None, _codes),
    "SU_PLUS": Method(_person, lambda sent: None, _own_page("Create")),
}


def closing(state: State, made: Transaction, outcome: str) -> dict[str, Any]:
    """What the end adds to `extra`."""
    known = made.extra.get("external_identifier")
    added: dict[str, Any] = {"external_identifier": known or state.letters(10)}
    close = _CLOSINGS.get(made.method)
    return added if close is None else {**added, **close(state, made, outcome)}


def _close_card(state: State, made: Transaction, outcome: str) -> dict[str, Any]:
    code = {"APPROVED": "00", "DECLINED": "51"}.get(outcome, "96")
    added: dict[str, Any] = {"processor_response_code": code}
    reached = made.extra.get("three_ds_auth")
    if reached and reached["current_step"] == "CHALLENGE":
        passed = {"APPROVED": "COMPLETED", "DECLINED": "Non-Authenticated"}.get(outcome, "ERROR")
        added["three_ds_auth"] = {"current_step": "AUTHENTICATION", "current_step_status": passed}
    return added


def _close_pse(state: State, made: Transaction, outcome: str) -> dict[str, Any]:
    code = state.digits(9)
    return {
        "external_identifier": code,
        "ticket_id": f"{made.id}-{state.digits(4)}",
        "return_code": "SUCCESS",
        "traceability_code": code,
        "transaction_cycle": "1",
        "transaction_state": {"APPROVED": "OK", "DECLINED": "NOT_AUTHORIZED"}.get(
            outcome, "FAILED"
        ),
        "transaction_value": made.amount_in_cents // 100,
        "bank_processing_date": stamp(state.now()),
    }


def _close_points(state: State, made: Transaction, outcome: str) -> dict[str, Any]:
    share = {"APPROVED_ONLY_POINTS": 1.0, "APPROVED": 1.0, "APPROVED_HALF_POINTS": 0.5}
    redeemed = int(made.amount_in_cents * share.get(outcome, 0))
    return {
        "points_redeemed": redeemed // _POINT_IN_CENTS,
        "redeemed_amount_in_cents_pcol": redeemed,
        "remaining_amount_in_cents": made.amount_in_cents - redeemed if redeemed else 0,
    }


def _close_daviplata(state: State, made: Transaction, outcome: str) -> dict[str, Any]:
    code = state.digits(6)
    return {"external_identifier": code, "daviplata_transaction_id": code}


_CLOSINGS: Mapping[str, Callable[[State, Transaction, str], dict[str, Any]]] = {
    "CARD": _close_card,
    "PSE": _close_pse,
    "PCOL": _close_points,
    "DAVIPLATA": _close_daviplata,
}
