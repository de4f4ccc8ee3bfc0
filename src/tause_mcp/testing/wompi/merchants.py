"""The merchant, its acceptance tokens, and the banks of PSE."""

import base64
import hmac
import re
from dataclasses import asdict
from typing import Any

import orjson

from tause_mcp.testing.wompi.auth import shaped
from tause_mcp.testing.wompi.errors import (
    ABSENT,
    FORMAT,
    TOKEN_FORMAT,
    TOKEN_INVALID,
    TOKEN_USED,
    invalid,
    not_found,
)
from tause_mcp.testing.wompi.exchange import Answer, Ask, data
from tause_mcp.testing.wompi.store import Acceptance, State

BANKS = {"1": "Banco que aprueba", "2": "Banco que declina", "3": "Banco que simula un error"}
POLICY, PERSONAL = "END_USER_POLICY", "PERSONAL_DATA_AUTH"
_FIELDS = {"acceptance_token": POLICY, "accept_personal_auth": PERSONAL}
_PAGES = {POLICY: "reglamento-usuarios", PERSONAL: "autorizacion-datos-personales"}
_SECONDS = 3600.0


def permalink(root: str, kind: str) -> str:
    """Where the text that a payer accepts is shown."""
    return f"{root}/_sandbox/terms/{_PAGES[kind]}"


def merchant(state: State, ask: Ask) -> Answer:
    """GET /merchants/{public_key}: each call makes new single-use acceptance tokens."""
    key = ask.params["public_key"]
    if not re.match(r"pub_(test|prod)_", key):
        raise invalid("public_key", FORMAT)
    if key != state.keys.public:
        raise not_found()
    return data(
        {
            **asdict(state.config.merchant),
            "active": True,
            "public_key": key,
            "accepted_currencies": ["COP"],
            "accepted_payment_methods": list(state.config.methods),
            "presigned_acceptance": presigned(state, ask.root, POLICY),
            "presigned_personal_data_auth": presigned(state, ask.root, PERSONAL),
        }
    )


def presigned(state: State, root: str, kind: str) -> dict[str, str]:
    """A fresh token and the text it stands for."""
    link, expires = permalink(root, kind), state.now() + _SECONDS
    claims = {
        "contract_id": 1 + (kind == PERSONAL),
        "permalink": link,
        "file_hash": f"{state.random.getrandbits(128):032x}",
        "jit": f"{int(state.now())}-{state.digits(5)}",
        "jti": state.uuid(),
        "exp": int(expires),
    }
    token = _jwt(claims, state.keys.private)
    state.acceptances[token] = Acceptance(kind, expires)
    while len(state.acceptances) > 4 * state.config.limit:
        state.acceptances.popitem(last=False)
    return {"acceptance_token": token, "permalink": link, "type": kind}


def _jwt(claims: dict[str, Any], secret: str) -> str:
    signed = f"{_part({'alg': 'HS256'})}.{_part(claims)}"
    mark = hmac.digest(secret.encode(), signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(mark).decode().rstrip('=')}"


def _part(value: Any) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("=")


def accept(state: State, sent: dict[str, Any], *, optional: bool = False) -> None:
    """Check the acceptance tokens of a request, then burn them."""
    needed = [] if optional else ["acceptance_token"]
    if state.config.strict_personal_auth and not optional:
        needed.append("accept_personal_auth")
    found = [_unused(state, sent, name) for name in _FIELDS if name in needed or sent.get(name)]
    for acceptance in found:
        acceptance.used = True


def _unused(state: State, sent: dict[str, Any], name: str) -> Acceptance:
    token = sent.get(name)
    if token is None or token == "":
        raise invalid(name, ABSENT)
    if not isinstance(token, str) or not re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+", token, re.ASCII):
        raise invalid(name, TOKEN_FORMAT)
    acceptance = state.acceptances.get(token)
    if acceptance is None or acceptance.kind != _FIELDS[name]:
        raise invalid(name, TOKEN_INVALID)
    if acceptance.used:
        raise invalid(name, TOKEN_USED)
    if state.now() > acceptance.expires_at:
        raise invalid(name, TOKEN_INVALID)
    return acceptance


def institutions(state: State, ask: Ask) -> Answer:
    """GET /pse/financial_institutions: any key of this environment will do."""
    shaped(ask)
    return data(
        [
            {"financial_institution_code": code, "financial_institution_name": name}
            for code, name in BANKS.items()
        ]
    )
