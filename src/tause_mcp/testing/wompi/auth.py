"""Who asks: the bearer keys of the API, refused in its words."""

import re

from tause_mcp.testing.wompi.errors import (
    NO_KEY,
    NO_MERCHANT,
    NOT_ENOUGH,
    UNKNOWN_KEY,
    error,
    foreign_key,
    key_refused,
)
from tause_mcp.testing.wompi.exchange import Ask
from tause_mcp.testing.wompi.store import State

_SHAPE = re.compile(r"(?:pub|prv)_test_[A-Za-z0-9]+")


def bearer(ask: Ask) -> str:
    """The key as sent, or ''."""
    scheme, _, key = ask.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def shaped(ask: Ask) -> str:
    """A key of this environment, known or not."""
    key = bearer(ask)
    if not key:
        raise key_refused(NO_KEY)
    if not _SHAPE.fullmatch(key):
        raise foreign_key(key)
    return key


def writing(state: State, ask: Ask) -> str:
    """Public or private, for what makes a transaction."""
    key = shaped(ask)
    if key not in (state.keys.public, state.keys.private):
        raise key_refused(UNKNOWN_KEY)
    return key


def private(state: State, ask: Ask) -> None:
    """Private, for what only the merchant's server may."""
    if shaped(ask) != state.keys.private:
        raise key_refused(NOT_ENOUGH, 403)


def reading(state: State, ask: Ask) -> None:
    """None is needed; one that is sent must be the merchant's own."""
    if bearer(ask) and shaped(ask) not in (state.keys.public, state.keys.private):
        raise key_refused(NOT_ENOUGH, 403)


def tokenising(state: State, ask: Ask) -> None:
    """Public, for tokens."""
    key = shaped(ask)
    if key not in (state.keys.public, state.keys.private):
        raise error(404, "NOT_FOUND", NO_MERCHANT.format(key), code="MERCHANT_NOT_FOUND")
