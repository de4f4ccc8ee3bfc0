"""Signed links: a sealed token that is one permission on one object, for a while."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from tause_mcp.errors import Invalid, NotFound, TauseError
from tause_mcp.sealing import Seal
from tause_mcp.services.storage.keys import check_key
from tause_mcp.services.storage.objects import SignedUrl
from tause_mcp.tenancy import Caller, Scopes, TenantId, tenant_id
from tause_mcp.times import iso

Method = Literal["GET", "PUT"]
LONGEST = 7 * 86_400
"""Seconds that a link may live."""
UPLOAD_LIFE = 86_400
"""Seconds that a resumable upload may take after its link was used."""
_PURPOSE = "storage/link"


@dataclass(frozen=True, slots=True)
class Link:
    """What a token says. Times in epoch seconds; `credential` is the maker's, for revocation."""

    tenant: TenantId
    key: str
    method: str
    expires_at: float
    issued_at: float
    max_bytes: int | None
    subject: str
    issuer: str
    credential: str
    home: str
    upload: str = ""

    @property
    def caller(self) -> Caller:
        """The maker, narrowed to this object. Looking at its own upload is part of writing it."""
        scopes = {f"storage:read:{self.key}"}
        if self.method == "PUT":
            scopes.add(f"storage:write:{self.key}")
        return Caller(
            subject=self.subject,
            tenant=self.tenant,
            scopes=Scopes(frozenset(scopes)),
            issuer=self.issuer,
            credential=self.credential,
            expires_at=self.expires_at,
            home=TenantId(self.home) if self.home else None,
        )


def no_such_link() -> NotFound:
    """The one answer for a link that is forged, expired, revoked or of an absent tenant."""
    return NotFound("this link is not valid: it is wrong or has expired")


class Links:
    """Makes and opens the links of this installation."""

    def __init__(self, seal: Seal, public_url: str) -> None:
        self._seal = seal
        self._url = public_url

    def sign(
        self,
        caller: Caller,
        key: str,
        method: Method = "GET",
        *,
        expires_in: int,
        max_bytes: int | None = None,
    ) -> SignedUrl:
        """A link to `key` of the caller's tenant.

        Raises:
            Forbidden: the caller may not do itself what the link allows.
            Invalid: the key, or a size for a link that reads.
        """
        check_key(key)
        caller.require("storage:read" if method == "GET" else "storage:write", key)
        if method == "GET" and max_bytes is not None:
            raise Invalid("max_bytes is for PUT links", field="max_bytes")
        issued = time.time()
        until = issued + expires_in
        if caller.expires_at is not None:
            until = min(until, caller.expires_at)
        link = Link(
            caller.tenant,
            key,
            method,
            until,
            issued,
            max_bytes,
            caller.subject,
            caller.issuer,
            caller.credential,
            caller.home or "",
        )
        told: SignedUrl = {
            "url": self.url(link),
            "method": method,
            "expires_at": iso(int(until * 1_000_000)),
        }
        if max_bytes is not None:
            told["max_bytes"] = max_bytes
        return told

    def url(self, link: Link) -> str:
        """The link's address."""
        return f"{self._url}/objects/{self._seal.close(_values(link), _PURPOSE)}"

    def of_upload(self, link: Link, upload: str) -> Link:
        """The address of one upload that a PUT link began: it outlives the link by a day."""
        until = max(link.expires_at, time.time() + UPLOAD_LIFE)
        return replace(link, upload=upload, expires_at=until)

    def open(self, token: str) -> Link:
        """The link of a token; `NotFound` in one text whatever is wrong with it."""
        try:
            values = self._seal.open(token, _PURPOSE)
            link = Link(**dict(zip(Link.__slots__, values, strict=True)))
            tenant_id(link.tenant)
        except (TauseError, TypeError, ValueError):
            raise no_such_link() from None
        if link.expires_at <= time.time():
            raise no_such_link()
        return link


def _values(link: Link) -> list[Any]:
    values: Mapping[str, Any] = {name: getattr(link, name) for name in Link.__slots__}
    return list(values.values())
