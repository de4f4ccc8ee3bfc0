"""What a batch of payouts must look like; every problem is told at once."""

import re
from datetime import datetime, timedelta
from typing import Any

from tause_mcp.testing.wompi.clock import BOGOTA
from tause_mcp.testing.wompi.errors import Refused
from tause_mcp.testing.wompi.exchange import EMAIL, MAX_CENTS
from tause_mcp.testing.wompi.store import State


def refusal(state: State, status: int, code: str, message: Any, kind: str = "Business") -> Refused:
    """`{status, code, message, type, meta}`."""
    trace = {"trace_id": state.uuid()}
    body = {"status": status, "code": code, "message": message, "type": kind, "meta": trace}
    return Refused(status, body)


def invalid(state: State, *messages: str) -> Refused:
    """400 with a list of problems."""
    return refusal(state, 400, "VALIDATION_ERROR", list(messages), "Validation")


def checked(state: State, sent: dict[str, Any], version: str) -> float:
    """Refuse a wrong body with every problem; when the batch starts."""
    problems = [] if isinstance(sent.get("reference"), str) else ["reference must be a string"]
    if sent.get("paymentType") not in ("PAYROLL", "PROVIDERS", "OTHER"):
        problems.append("paymentType must be one of PAYROLL, PROVIDERS, OTHER")
    if sent.get("transactionStatus") not in (None, "APPROVED", "FAILED"):
        problems.append("transactionStatus must be one of APPROVED, FAILED")
    lines = sent.get("transactions")
    if not isinstance(lines, list) or not 1 <= len(lines) <= 1000:
        problems.append("transactions must contain from 1 to 1000 elements")
        lines = []
    known = {bank["id"] for bank in state.ledger.banks}
    for i, line in enumerate(lines):
        problems += [f"transactions.{i}.{p}" for p in _line_problems(line, version, known)]
    starts = _starts(state, sent, problems)
    if problems:
        raise invalid(state, *problems)
    if sent.get("accountId") != state.ledger.account:
        raise refusal(state, 404, "NOT_FOUND", "(Sandbox) la cuenta no existe")
    return starts


def _starts(state: State, sent: dict[str, Any], problems: list[str]) -> float:
    text = sent.get("dispersionDatetime")
    if text is None:
        if sent.get("recurring") is not None:
            problems.append("recurring requires dispersionDatetime")
        return state.now()
    shaped = isinstance(text, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}", text)
    try:
        at = datetime.fromisoformat(text if shaped else "").replace(tzinfo=BOGOTA)
    except ValueError:
        problems.append("dispersionDatetime must be YYYY-MM-DDTHH:mm")
        return state.now()
    tomorrow = datetime.fromtimestamp(state.now(), BOGOTA).date() + timedelta(days=1)
    if at.date() < tomorrow:
        problems.append("dispersionDatetime must be at least the day after the request")
    return at.timestamp()


def _line_problems(line: Any, version: str, banks: set[str]) -> list[str]:
    if not isinstance(line, dict):
        return ["must be an object"]
    problems = []
    amount = line.get("amount")
    if type(amount) is not int or not 1 <= amount <= MAX_CENTS:
        problems.append("amount must be a positive integer")
    if not isinstance(line.get("name"), str) or not line["name"]:
        problems.append("name must be a string")
    if not isinstance(
        line.get("email", "" if version == "v2" else "a@b.co"), str
    ) or not re.fullmatch(EMAIL, line.get("email", "" if "key" in line else "a@b.co")):
        problems.append("email must be an email")
    if "key" in line:
        return problems + _key_problems(line, version)
    return problems + _account_problems(line, banks)


def _key_problems(line: dict[str, Any], version: str) -> list[str]:
    if version != "v2":
        return ["key should not exist"]
    mixed = [n for n in ("bankId", "accountType", "accountNumber") if n in line]
    problems = [f"{name} should not exist with key" for name in mixed]
    if not isinstance(line["key"], str) or not line["key"].strip():
        problems.append("key must not be blank")
    if ("legalId" in line) != ("legalIdType" in line):
        problems.append("legalId and legalIdType go together")
    return problems


def _account_problems(line: dict[str, Any], banks: set[str]) -> list[str]:
    problems = []
    if line.get("legalIdType") not in ("CC", "NIT", "PP", "CE", "TI", "DNI"):
        problems.append("legalIdType must be one of CC, NIT, PP, CE, TI, DNI")
    if not isinstance(line.get("legalId"), str) or not line["legalId"]:
        problems.append("legalId must be a string")
    if str(line.get("bankId")) not in banks:
        problems.append("bankId must be the id of a bank")
    if line.get("accountType") not in ("AHORROS", "CORRIENTE", "DEPOSITO_ELECTRONICO"):
        problems.append("accountType must be one of AHORROS, CORRIENTE, DEPOSITO_ELECTRONICO")
    number = line.get("accountNumber")
    if not isinstance(number, str) or not re.fullmatch(r"(?=.*[1-9])[0-9]{6,20}", number):
        problems.append("accountNumber must have 6 to 20 digits and not be zero")
    return problems
