"""What access tells about keys, roles and principals."""

import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from tause_mcp.errors import Invalid
from tause_mcp.services.access.scopes import held
from tause_mcp.tenancy import TenantId

LOCAL = "local"
"""The issuer of API keys."""

_FOREIGN = re.compile(r"([a-z0-9][a-z0-9_-]{1,62})/(.+)", re.ASCII)
_SUBJECT = re.compile(r"[^\x00-\x1f\x7f]{1,255}")


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """A key as it may be shown. Times are epoch microseconds; `hint` is its last characters."""

    id: str
    name: str
    hint: str
    role: str | None
    scopes: tuple[str, ...]
    toolsets: tuple[str, ...] | None
    created_by: str
    created_at: int
    expires_at: int | None
    revoked_at: int | None

    @classmethod
    def of(cls, row: tuple[Any, ...]) -> "KeyInfo":
        """From a row of `tables.SHOWN`."""
        id_, name, hint, role, own, role_scopes, toolsets, *rest = row
        scopes = tuple(sorted(held(role, own, role_scopes)))
        return cls(id_, name, hint, role, scopes, listed(toolsets), *rest)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made. `text` is shown this once."""

    info: KeyInfo
    text: str = field(repr=False)


class Principal(NamedTuple):
    """Someone who can be given a role: (`issuer`, `subject`) of a home tenant."""

    home: TenantId
    issuer: str
    subject: str

    @classmethod
    def read(cls, text: str, issuer: str, tenant: TenantId) -> "Principal":
        """`subject`, of `tenant` itself, or `<tenant above>/subject`."""
        found = _FOREIGN.fullmatch(text)
        home, subject = (TenantId(found[1]), found[2]) if found else (tenant, text)
        if _SUBJECT.fullmatch(subject) is None:
            raise Invalid("a subject is 1 to 255 characters, none of control", field="subject")
        return cls(home, issuer, subject)

    def written(self, tenant: str) -> str:
        """As `read` takes it."""
        foreign = self.home != tenant or _FOREIGN.fullmatch(self.subject)
        return f"{self.home}/{self.subject}" if foreign else self.subject


@dataclass(frozen=True, slots=True)
class Assignment:
    """A role that a principal was given."""

    principal: Principal
    role: str
    scopes: tuple[str, ...]
    expires_at: int | None


@dataclass(frozen=True, slots=True)
class Role:
    """A role: its scopes, how many principals were given it, and the first of them."""

    name: str
    scopes: tuple[str, ...]
    built_in: bool
    assigned: int = 0
    principals: tuple[tuple[Principal, int | None], ...] = ()


def listed(stored: str | None) -> tuple[str, ...] | None:
    """A stored JSON list of texts."""
    return None if stored is None else tuple(orjson.loads(stored))
