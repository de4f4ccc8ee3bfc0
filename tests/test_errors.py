"""Every failure has its own code, a status, and a shape that travels."""

import pytest

from tause_mcp import errors
from tause_mcp.errors import Misconfigured, TauseError


def every(kind: type[TauseError] = TauseError) -> list[type[TauseError]]:
    return [kind, *(found for inner in kind.__subclasses__() for found in every(inner))]


CODES = {
    "invalid": 422, "not_found": 404, "forbidden": 403, "conflict": 409,
    "precondition_failed": 412, "too_large": 413, "rate_limited": 429, "quota_exceeded": 429,
    "approval_required": 409, "idempotency_conflict": 409, "unconfigured": 409,
    "unavailable": 503, "deadline_exceeded": 504, "provider_error": 502, "unauthenticated": 401,
}  # fmt: skip


def test_the_codes_and_their_statuses_are_what_was_promised() -> None:
    own = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, TauseError)]
    told = {e.code: e.status for e in own if e is not TauseError}
    assert told == CODES
    assert len(own) - 1 == len(CODES)


@pytest.mark.parametrize("kind", every())
def test_a_failure_describes_itself_without_its_text(kind: type[TauseError]) -> None:
    bare = kind("what is wrong")
    assert (str(bare), bare.describe()) == ("what is wrong", {"code": kind.code})
    whole = kind("x", field="key", retry_after=1.23456)
    assert whole.describe() == {"code": kind.code, "field": "key", "retry_after": 1.235}
    assert kind("x", retry_after=0).describe()["retry_after"] == 0


def test_a_start_that_cannot_be_is_no_failure_of_a_call() -> None:
    assert not issubclass(Misconfigured, TauseError)
