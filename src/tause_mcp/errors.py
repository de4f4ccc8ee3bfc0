"""The failures a caller can act on. Pure: knows no MCP and no HTTP library.

Each class is one code of the surface; `status` is the HTTP status it maps to.
"""

from typing import ClassVar


class TauseError(Exception):
    """A failure the caller can understand and act on.

    `text` says what is wrong and what to do next; it is shown to models and people, so it never
    holds a secret, a path, SQL or a stack. `field` names the argument at fault. `retry_after` is
    in seconds.
    """

    code: ClassVar[str] = "invalid"
    status: ClassVar[int] = 400

    def __init__(
        self, text: str, *, field: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(text)
        self.field = field
        self.retry_after = retry_after

    def describe(self) -> dict[str, str | float]:
        """`{code, field?, retry_after?}`, as it travels in `_meta["pro.tause/error"]`."""
        told: dict[str, str | float] = {"code": self.code}
        if self.field is not None:
            told["field"] = self.field
        if self.retry_after is not None:
            told["retry_after"] = round(self.retry_after, 3)
        return told


class Invalid(TauseError):
    """An argument is wrong."""

    code = "invalid"
    status = 422


class NotFound(TauseError):
    """Absent, or not the caller's: the two look the same."""

    code = "not_found"
    status = 404


class Forbidden(TauseError):
    """Known to the caller, but not allowed."""

    code = "forbidden"
    status = 403


class Unauthenticated(TauseError):
    """No credentials, or credentials that do not hold. Only doors raise it."""

    code = "unauthenticated"
    status = 401


class Conflict(TauseError):
    """It exists already, or another change came first."""

    code = "conflict"
    status = 409


class PreconditionFailed(TauseError):
    """A stated condition (etag, version) does not hold."""

    code = "precondition_failed"
    status = 412


class TooLarge(TauseError):
    """More bytes or items than the limit."""

    code = "too_large"
    status = 413


class RateLimited(TauseError):
    """Too many calls; `retry_after` says when to come back."""

    code = "rate_limited"
    status = 429


class QuotaExceeded(TauseError):
    """The tenant's quota is spent."""

    code = "quota_exceeded"
    status = 429


class ApprovalRequired(TauseError):
    """A person has to approve this exact call first."""

    code = "approval_required"
    status = 409


class IdempotencyConflict(TauseError):
    """The same idempotency key came with other arguments."""

    code = "idempotency_conflict"
    status = 409


class Unconfigured(TauseError):
    """The tenant or the installation lacks a setting; the text says which."""

    code = "unconfigured"
    status = 409


class Unavailable(TauseError):
    """A backend is down or refusing; try again later."""

    code = "unavailable"
    status = 503


class DeadlineExceeded(TauseError):
    """The call took longer than its deadline; a change may have been made."""

    code = "deadline_exceeded"
    status = 504


class ProviderError(TauseError):
    """An outside company answered with a failure."""

    code = "provider_error"
    status = 502


class Misconfigured(Exception):
    """The installation cannot start: one line that names the setting and the remedy."""
