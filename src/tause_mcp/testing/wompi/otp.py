"""One-time codes of Daviplata, for a payment or a token: sent again, and validated.

Each answer carries the bearer of the next call; one that was used is of no more use.
"""

import re
from typing import Any

from tause_mcp.testing.wompi import machine
from tause_mcp.testing.wompi.auth import bearer
from tause_mcp.testing.wompi.clock import stamp
from tause_mcp.testing.wompi.errors import key_refused, not_found
from tause_mcp.testing.wompi.exchange import Answer, Ask, told
from tause_mcp.testing.wompi.store import Otp, State, Token, Transaction

PAYMENT_CODES = {
    "574829": "APPROVED",
    "932015": "DECLINED",
    "186743": "DECLINED",
    "999999": "ERROR",
}
TOKEN_CODES = {"574829": "APPROVED", "932016": "DECLINED"}
NO_FUNDS = "186743"
LIMIT = 2
EXHAUSTED = "Ha agotado el número de intentos de {} de código OTP"

Thing = Transaction | Token


def send(state: State, ask: Ask) -> Answer:
    """POST code_otp_send."""
    thing, codes = _found(state, ask)
    if codes.sent >= LIMIT:
        return _exhausted(state, thing, EXHAUSTED.format("envío"))
    codes.sent += 1
    codes.purchases.append(
        {"fechaExpiracionToken": stamp(state.now() + 180), "idSessionToken": state.digits(8)}
    )
    return _answer(state, thing, codes)


def validate(state: State, ask: Ask) -> Answer:
    """POST code_otp_validate `{"code": 574829}`: two wrong ones are forgiven."""
    thing, codes = _found(state, ask)
    code = str(ask.json().get("code", ""))
    return tried(state, thing, codes, code)


def tried(state: State, thing: Thing, codes: Otp, code: str) -> Answer:
    """One try with a code, by the API or on the page."""
    if codes.tried >= LIMIT:
        return _exhausted(state, thing, EXHAUSTED.format("validación"))
    known = PAYMENT_CODES if isinstance(thing, Transaction) else TOKEN_CODES
    outcome = known.get(code) if re.fullmatch(r"\d{6}", code) else None
    codes.tried += 1
    codes.confirmations.append(_confirmation(state, outcome))
    if outcome is not None:
        _end(state, thing, outcome, code)
    return _answer(state, thing, codes)


def _confirmation(state: State, outcome: str | None) -> dict[str, Any]:
    if outcome is None:
        refusal = {"message": "No se puede ejecutar la transacción", "status": "2"}
        return {"resultStatus": refusal, "faultstring": "OTP_INVALIDO"}
    return {
        "idTransaccionAutorizador": state.digits(12),
        "estado": "Aprobado" if outcome == "APPROVED" else "Rechazado",
        "fechaTransaccion": stamp(state.now()),
        "numAprobacion": state.digits(6),
    }


def _end(state: State, thing: Thing, outcome: str, code: str) -> None:
    if isinstance(thing, Token):
        machine.finish_token(state, thing, outcome)
        return
    reason = "Fondos insuficientes (Sandbox)" if code == NO_FUNDS else None
    machine.finish(state, thing, outcome, reason)


def _found(state: State, ask: Ask) -> tuple[Thing, Otp]:
    """The pending thing, if the bearer is its current one."""
    identity = ask.params["id"]
    thing = state.transactions.get(identity) or state.tokens.get(identity)
    if thing is None or thing.otp is None:
        raise not_found()
    if bearer(ask) != thing.otp.bearer or thing.status != "PENDING":
        raise key_refused("(Sandbox) el token de este paso ya no es válido")
    thing.otp.bearer = state.letters(40)
    return thing, thing.otp


def _answer(state: State, thing: Thing, codes: Otp) -> Answer:
    body = {
        **_about(state, thing, codes),
        "authorization": {"access_token": codes.bearer},
        "attempts": {
            "currentSendCode": codes.sent,
            "limitSendCode": LIMIT,
            "currentValidateCode": codes.tried,
            "limitValidateCode": LIMIT,
        },
    }
    return told(
        {
            "status": 200,
            "meta": {"trace_id": state.uuid()},
            "code": "OK",
            "message": "Solicitud ejecutada correctamente.",
            "data": body,
        }
    )


def _about(state: State, thing: Thing, codes: Otp) -> dict[str, Any]:
    steps = {"PurchaseIntention": codes.purchases, "ConfirmIntention": codes.confirmations}
    base = {
        "PK": thing.id,
        "status": thing.status,
        "statusMessage": "",
        "steps": {name: list(made) for name, made in steps.items() if made},
        "createdAt": stamp(thing.created_at),
        "updatedAt": stamp(state.now()),
    }
    if isinstance(thing, Token):
        return {"subscription": base}
    client = {
        "typeDocument": thing.payment_method["user_legal_id_type"],
        "numberDocument": thing.payment_method["user_legal_id"],
        "email": thing.customer_email,
    }
    more = {"amountInCents": thing.amount_in_cents, "clientInfo": client}
    return {"transaction": {**base, **more, "redirectUrl": thing.redirect_url}}


def _exhausted(state: State, thing: Thing, message: str) -> Answer:
    """500, and the end: too many tries."""
    if isinstance(thing, Token):
        machine.finish_token(state, thing, "DECLINED")
    else:
        machine.finish(state, thing, "DECLINED", message)
    ended = {"PK": thing.id, "status": "DECLINED", "statusMessage": message}
    trace = {"trace_id": state.uuid()}
    body = {"status": 500, "meta": trace, "code": "500", "message": message, "data": ended}
    return told({**body, "type": "Technical"}, 500)
