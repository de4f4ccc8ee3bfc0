"""HashiCorp Vault (or OpenBao) by plain HTTP: a few calls, no client library."""

import json
import os
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from tause_mcp import log
from tause_mcp.errors import (
    DeadlineExceeded,
    Invalid,
    Misconfigured,
    ProviderError,
    TauseError,
    Unavailable,
)
from tause_mcp.outbound.client import Credential, Outbound, Policy

TOKEN = "VAULT_TOKEN"  # noqa: S105  # the name of a variable
_POLICY = Policy(deadline=5.0, attempts=2)
_DOWN = "Vault does not answer: try again shortly"
_log = log.get("outbound")


@dataclass(frozen=True, slots=True)
class Vault:
    """One server and the path below which we work. `path` has no leading or trailing slash."""

    origin: str
    path: str
    token: str = field(repr=False)

    @classmethod
    def of(cls, url: str, setting: str) -> "Vault":
        """`vault://host[:port]/path`, over https; `?tls=off` for plain http on a trusted network.

        Raises:
            Misconfigured: naming `setting`; the URL is no such one, or `VAULT_TOKEN` is missing.
        """
        try:
            parts = urlsplit(url)
            port = "" if parts.port is None else f":{parts.port}"
        except ValueError:
            parts, port = urlsplit(""), ""
        options = parse_qs(parts.query)
        plain = options.pop("tls", ["on"]) == ["off"]
        path = parts.path.strip("/")
        if not parts.hostname or not path or "@" in parts.netloc or options:
            raise Misconfigured(
                f"{setting}: write vault://host/path, and give the token by {TOKEN}"
            )
        token = os.environ.get(TOKEN, "")
        if not token or not token.isascii() or not token.isprintable():
            raise Misconfigured(f"{setting}: Vault needs a token: set {TOKEN}")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        return cls(f"{'http' if plain else 'https'}://{host}{port}", path, token)

    async def ask(
        self, client: Outbound, method: str, path: str, body: Any = None, *, query: str = ""
    ) -> tuple[int, Any]:
        """`(status, JSON)` of 200, 204, 400 and 404; `path` is below `/v1/`, its parts plain text.

        Raises:
            Unavailable: down, slow, sealed, or it refuses our token.
        """
        url = f"{self.origin}/v1/{quote(path, safe='/')}{query}"
        secret = Credential(self.origin, {"x-vault-token": self.token})
        content = b"" if body is None else json.dumps(body).encode()
        try:
            answer = await client.request(
                method, url, content=content, credential=secret, policy=_POLICY
            )
            told = answer.json() if answer.content else {}
        except (DeadlineExceeded, ProviderError, Unavailable, Invalid) as failed:
            raise self._down(failed) from None
        if answer.status in (401, 403):
            raise Unavailable("Vault refuses our token: the operator has to check it")
        if answer.status not in (200, 204, 400, 404):
            _log.warning("vault_failed", status=answer.status)
            raise Unavailable(_DOWN, retry_after=1.0)
        return answer.status, told

    def _down(self, failed: TauseError) -> Unavailable:
        _log.warning("vault_failed", error=type(failed).__name__)
        return Unavailable(_DOWN, retry_after=1.0)
