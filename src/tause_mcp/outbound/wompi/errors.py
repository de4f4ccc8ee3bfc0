"""How asking Wompi fails. What counts is what may have happened there: the class says it."""

from collections.abc import Mapping
from types import MappingProxyType

from tause_mcp.errors import Invalid, ProviderError, Unavailable, Unconfigured

_NONE: Mapping[str, tuple[str, ...]] = MappingProxyType({})


class Refused(ProviderError):
    """Wompi answered, and made nothing. `reason` and `messages` are its own words, cleaned.

    `kind` is its error type or code ("INPUT_VALIDATION_ERROR", "EXC_022"; "" when it told none);
    the keys of `messages` are dotted paths of its own fields.
    """

    def __init__(
        self,
        text: str,
        *,
        field: str | None = None,
        retry_after: float | None = None,
        kind: str = "",
        reason: str = "",
        messages: Mapping[str, tuple[str, ...]] = _NONE,
    ) -> None:
        super().__init__(text, field=field, retry_after=retry_after)
        self.kind = kind
        self.reason = reason
        self.messages = messages

    @property
    def named(self) -> str:
        """Its text, behind the argument at fault where there is one."""
        return f"{self.field}: {self}" if self.field else str(self)


class Rejected(Refused, Invalid):
    """Refused for an argument of the caller's, which `field` names in our terms."""

    code = Invalid.code
    status = Invalid.status


class ReferenceUsed(Refused):
    """This reference (or idempotency key) exists already: look it up and adopt what is there."""


class StaleTerms(Refused):
    """The acceptance tokens are used, expired or malformed: fetch the terms again."""


class KeysRefused(Unconfigured):
    """Wompi does not accept the account's keys or signature. Nothing was made."""


class Uncertain(Unavailable):
    """It may have happened: no answer, a broken one, or a failure inside Wompi.

    Never repeat it under another reference: look it up first.
    """


class NotSent(Unavailable):
    """Nothing happened: there was no connection, or Wompi turned the request away unread."""
