"""What a secret is called, how large it is, and what is told of it."""

import re
from dataclasses import dataclass
from typing import NotRequired

from typing_extensions import TypedDict

from tause_mcp.errors import Invalid, NotFound, TooLarge
from tause_mcp.times import iso

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)*$"
"""Lower case: a source that folds case must not make one secret of two."""
LONGEST_NAME = 128
LARGEST = 64 * 1024
"""Bytes of one value, as UTF-8."""
MOST = 1000
"""Secrets of one tenant."""
REFERENCE = "secret://"
_NAME = re.compile(NAME_PATTERN)


class SecretInfo(TypedDict):
    """A secret without its value. Times are ISO 8601 in UTC."""

    name: str
    version: str
    description: NotRequired[str]
    created_at: NotRequired[str]
    updated_at: NotRequired[str]
    expires_at: NotRequired[str]
    previous_until: NotRequired[str]


@dataclass(frozen=True, slots=True)
class Secret:
    """What a source tells of a secret. Times are epoch microseconds, None where it keeps none."""

    name: str
    version: str
    description: str = ""
    created_at: int | None = None
    updated_at: int | None = None
    expires_at: int | None = None
    previous_until: int | None = None
    """The version before is accepted until then."""

    def info(self) -> SecretInfo:
        """As callers see it."""
        told: SecretInfo = {"name": self.name, "version": self.version}
        if self.description:
            told["description"] = self.description
        for field in ("created_at", "updated_at", "expires_at", "previous_until"):
            moment = getattr(self, field)
            if moment is not None:
                told[field] = iso(moment)
        return told


@dataclass(frozen=True, slots=True)
class Held:
    """A secret's value, and the one before while it is still accepted. It prints as nothing."""

    value: str
    previous: str | None = None
    expires_at: int | None = None

    def __repr__(self) -> str:
        return "Held(***)"


@dataclass(frozen=True, slots=True)
class Change:
    """A new value. `expires_at` in epoch microseconds; `description` None keeps the one there is."""

    value: str
    description: str | None = None
    expires_at: int | None = None

    def __repr__(self) -> str:
        return "Change(***)"


def check_name(name: str) -> str:
    """`name`, or `Invalid`."""
    if len(name) > LONGEST_NAME or _NAME.fullmatch(name) is None:
        raise Invalid(
            f"a secret's name has at most {LONGEST_NAME} of a-z, 0-9, '.', '_' and '-', in parts "
            "that '/' separates and that begin with a letter or digit",
            field="name",
        )
    return name


def check_value(value: str) -> str:
    """`value`, or `Invalid` or `TooLarge`, which never show it."""
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise Invalid("the value holds a lone surrogate: it is no text", field="value") from None
    if not size:
        raise Invalid("the value is empty: secrets_delete removes a secret", field="value")
    if size > LARGEST:
        raise TooLarge(f"the value is larger than {LARGEST} bytes", field="value")
    return value


def absent() -> NotFound:
    return NotFound("no such secret: secrets_list shows what there is", field="name")
