"""`TAUSE_TRUSTED_ISSUERS`: outside issuers, in a line or in a JSON file.

A line is `issuer=jwks_url`, `oidc:issuer=jwks_url`, `supabase:<project or URL>` or
`firebase:<project>`, comma separated. A file is a list of objects with the fields of `Issuer`.
"""

import json
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tause_mcp.auth.terms import OUTSIDE, WEEK
from tause_mcp.errors import Misconfigured
from tause_mcp.tenancy import TENANT_ID_PATTERN
from tause_mcp.urls import redacted

SETTING = "TAUSE_TRUSTED_ISSUERS"
BY_SECRET = "secret"  # noqa: S105 - the word that stands for MCP_JWT_SECRET, not a secret
_GOOGLE = (
    "https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com"
)


class Issuer(BaseModel):
    """One outside issuer. A place is a dotted path, or a list of members when a name has dots."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    issuer: str = Field(min_length=1, max_length=255)
    jwks: str = Field(description="Pinned URL of its keys, or `secret` for MCP_JWT_SECRET.")
    audience: str | list[str] | None = None
    required: list[str] = Field(default_factory=list)
    tenant: str | list[str] = "tenant"
    always: str | None = Field(None, pattern=TENANT_ID_PATTERN)
    tenants: list[str] = Field(default_factory=lambda: ["*"])
    roles: str | list[str] | None = "roles"
    scopes: str | list[str] | None = "scope"
    lifetime: float = Field(WEEK, gt=0, le=366 * 86_400)

    @property
    def audiences(self) -> frozenset[str] | None:
        """The audiences that are accepted; `None` stands for the door's own URL."""
        if self.audience is None:
            return None
        return frozenset([self.audience] if isinstance(self.audience, str) else self.audience)

    @property
    def needs(self) -> frozenset[str]:
        """The claims a token must have: the usual five and what was stated."""
        return OUTSIDE | set(self.required)


def path_of(place: str | list[str]) -> tuple[str, ...]:
    """The members from the claims inwards."""
    return tuple(place.split(".")) if isinstance(place, str) else tuple(place)


def read_issuers(setting: str) -> list[Issuer]:
    """The issuers that `setting` states.

    Raises:
        Misconfigured: one line saying which entry is wrong and how it is written.
    """
    if not setting.strip():
        return []
    entries = _from_line(setting) if _is_line(setting) else _from_file(Path(setting.strip()))
    found = [_issuer(entry) for entry in entries]
    names = [issuer.issuer for issuer in found]
    if len(set(names)) != len(names):
        raise Misconfigured(f"{SETTING}: an issuer is stated twice")
    return found


def _is_line(setting: str) -> bool:
    return "=" in setting or setting.strip().startswith(("oidc:", "supabase:", "firebase:"))


def _from_line(setting: str) -> list[dict[str, object]]:
    return [_entry(text.strip()) for text in setting.split(",") if text.strip()]


def _entry(text: str) -> dict[str, object]:
    preset, _, project = text.partition(":")
    if preset in ("supabase", "firebase"):
        return {"preset": preset, "project": project}
    issuer, separator, jwks = text.removeprefix("oidc:").partition("=")
    if not separator:
        raise Misconfigured(f"{SETTING}: {redacted(text)!r} is not issuer=jwks_url")
    return {"issuer": issuer.strip(), "jwks": jwks.strip()}


def _from_file(path: Path) -> list[dict[str, object]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Misconfigured(f"{SETTING}: cannot read the file: {error.strerror}") from None
    except ValueError:
        raise Misconfigured(f"{SETTING}: the file is not JSON") from None
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise Misconfigured(f"{SETTING}: the file has to hold a list of objects")
    return found


def _issuer(entry: dict[str, object]) -> Issuer:
    stated = dict(entry)
    preset, project = stated.pop("preset", "oidc"), stated.pop("project", "")
    try:
        issuer = Issuer.model_validate({**_preset(preset, str(project).strip()), **stated})
    except ValidationError as wrong:
        error = wrong.errors(include_input=False, include_url=False)[0]
        at = ".".join(map(str, error["loc"]))
        raise Misconfigured(f"{SETTING}: {at}: {error['msg'].lower()}") from None
    if issuer.jwks != BY_SECRET and not _is_url(issuer.jwks):
        raise Misconfigured(f"{SETTING}: {redacted(issuer.jwks)!r} is not the URL of a key set")
    if issuer.issuer == "local" or issuer.issuer.startswith("shared:"):
        raise Misconfigured(f"{SETTING}: {issuer.issuer!r} is a name of our own")
    return issuer


def _preset(name: object, project: str) -> dict[str, object]:
    """What a preset fills in, where the entry states nothing itself."""
    if name == "oidc":
        return {}
    if name not in ("supabase", "firebase"):
        raise Misconfigured(f"{SETTING}: a preset is one of oidc, supabase, firebase")
    if not project:
        raise Misconfigured(f"{SETTING}: {name} needs a project")
    return _supabase(project) if name == "supabase" else _firebase(project)


def _supabase(project: str) -> dict[str, object]:
    """Only `app_metadata` is out of the user's own reach."""
    base = project.rstrip("/") if _is_url(project) else f"https://{project}.supabase.co"
    return {
        "issuer": f"{base}/auth/v1",
        "jwks": f"{base}/auth/v1/.well-known/jwks.json",
        "audience": "authenticated",
        "tenant": "app_metadata.tenant_id",
        "roles": "app_metadata.roles",
        "scopes": None,
    }


def _firebase(project: str) -> dict[str, object]:
    """The custom claims `tenant_id` and `roles`; the audience is the project's id."""
    return {
        "issuer": f"https://securetoken.google.com/{project}",
        "jwks": _GOOGLE,
        "audience": project,
        "required": ["auth_time"],
        "tenant": "tenant_id",
        "roles": "roles",
        "scopes": None,
    }


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)
