"""Every setting, read once from the environment and an optional file. Frozen afterwards.

`docs/settings.md` is generated from the field descriptions below.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from tause_mcp.errors import Misconfigured
from tause_mcp.tenancy import TENANT_ID_PATTERN

Secret = Annotated[str, Field(repr=False, json_schema_extra={"secret": True})]
WOMPI_KEYS = ("public_key", "private_key", "events_secret", "integrity_secret")
WOMPI_PRODUCTION = "https://production.wompi.co/v1"


def _wompi(shape: str) -> AfterValidator:
    """Empty, or a key of Wompi's that starts with `shape` in one of its environments."""
    test, prod = shape.format("test"), shape.format("prod")
    key = re.compile(rf"(?:{test}|{prod})[A-Za-z0-9_]{{1,200}}", re.ASCII)

    def check(value: str) -> str:
        if value and not key.fullmatch(value):
            raise ValueError(f"write a key that starts with {test} or {prod}")
        return value

    return AfterValidator(check)


def _address(value: str) -> str:
    """Empty, or an absolute URL without user, query and fragment; a last slash is dropped."""
    try:
        parts = urlsplit(value)
        clean = parts.hostname and (parts.port is None or parts.port) and value.isprintable()
    except ValueError:
        parts, clean = urlsplit(""), False
    if not value:
        return value
    if not clean or parts.scheme not in ("http", "https") or "@" in parts.netloc:
        raise ValueError("write http(s)://host[:port][/path]")
    if parts.query or parts.fragment or " " in value:
        raise ValueError("write http(s)://host[:port][/path], without a query")
    return value.rstrip("/")


def _networks(value: str) -> str:
    """Addresses and networks, comma separated; never everyone."""
    from ipaddress import ip_network

    for item in filter(None, map(str.strip, value.split(","))):
        try:
            if not ip_network(item).prefixlen:
                raise ValueError("everyone")
        except ValueError:
            raise ValueError(
                "write the proxies' addresses or networks (10.0.0.0/24), comma separated, "
                "never everyone's"
            ) from None
    return value


Address = Annotated[str, AfterValidator(_address)]


class Settings(BaseModel):
    """The installation's settings. A field `x` is `TAUSE_X` unless it states another name."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    home: Path = Field(
        default_factory=lambda: Path.home() / ".tause",
        description="Where the embedded database, objects, first key and generated secrets live (mode 0700).",
    )
    database_url: Secret = Field(
        "",
        description="Rows: `sqlite:///path` or `postgresql+asyncpg://...`. Default: `tause.db` in the home.",
    )
    database_admin_url: Secret = Field(
        "",
        description="A role that may migrate. Without it a pending migration on PostgreSQL refuses to start.",
    )
    database_pooler: Literal["", "transaction"] = Field(
        "",
        description="`transaction`: TAUSE_DATABASE_URL leads to pgbouncer in transaction mode. The admin URL "
        "always leads to the server itself.",
    )
    database_pool_size: int = Field(
        10, ge=1, le=1000, description="Connections to PostgreSQL per process."
    )
    storage_url: Secret = Field(
        "",
        description="Objects: `file:///path`, `memory://`, `s3://bucket`, `gs://bucket`, `az://container`. "
        "Default: `objects/` in the home.",
    )
    cache_url: Secret = Field(
        "",
        description="Cache, rate limits, replay store, leases and news between processes: `memory://` "
        "(one process), `database://` or `redis://host:port/0` (also `rediss://`, `unix://`). Default: "
        "memory; the database with `--workers` above 1 or on PostgreSQL.",
    )
    secrets_url: Secret = Field(
        "",
        description="Tenants' secrets: `database://` (encrypted rows), `env://PREFIX`, "
        "`aws://region/prefix` or `vault://host/mount`. Default: `database://`.",
    )
    encryption_key: Secret = Field(
        "",
        description="Master keys that wrap every tenant's data key, comma separated: 32 bytes in base64, "
        "`aws-kms://key-id` or `vault://host/mount/key`. The first encrypts, the others still open. "
        "Default: `master.key` in the home.",
    )
    tenant: str = Field(
        "default", pattern=TENANT_ID_PATTERN, description="The tenant of a local session."
    )
    api_key: Secret = Field(
        "", description="Identity for stdio: the key decides tenant and scopes."
    )
    environment: Literal["development", "staging", "production"] = Field(
        "development", description="Which environment's configuration values apply."
    )
    public_url: str = Field(
        "",
        description="The URL that callers use, also our token issuer. Default: the bound address.",
    )
    allowed_hosts: str = Field(
        "",
        description="Further `Host` values, comma separated; `name:*` for any port. Default: loopback only.",
    )
    allowed_origins: str = Field(
        "", description="Further `Origin` values, comma separated. Default: loopback only."
    )
    trusted_proxies: Annotated[str, AfterValidator(_networks)] = Field(
        "127.0.0.1,::1",
        description="Addresses and networks of the proxies before this server, comma separated: of them alone "
        "`X-Forwarded-For` is believed when a payer's address is kept.",
    )
    trusted_issuers: str = Field(
        "",
        description="`issuer=jwks_url`, comma separated, or a JSON file of issuers; presets oidc, supabase, firebase.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="What is logged, to stderr."
    )
    trace_tenant: bool = Field(
        False,
        description="Write the tenant's id on spans, when `OTEL_EXPORTER_OTLP_ENDPOINT` names a collector.",
    )
    deadline: float = Field(
        60.0, gt=0, le=3600, description="Seconds a call may take, proving who calls included."
    )
    drain: float = Field(
        1.0,
        ge=0,
        le=60,
        description="Seconds from SIGTERM, when `/readyz` turns to 503, to the first refused connection.",
    )
    max_body: int = Field(
        4_194_304, ge=65_536, le=67_108_864, description="Bytes of one MCP request body."
    )
    max_upload: int = Field(5_368_709_120, ge=1, description="Bytes of one object.")
    max_streams: int = Field(
        64, ge=1, le=100_000, description="Open listening streams per tenant and process."
    )
    approval_ttl: int = Field(
        3600, ge=60, le=604_800, description="Seconds an approval may be answered and used."
    )
    jwt_secret: Secret = Field(
        "",
        alias="MCP_JWT_SECRET",
        description="Shared secret for HS tokens of an orchestrator, at least 32 bytes.",
    )
    jwt_algorithm: Literal["HS256", "HS384", "HS512"] = Field(
        "HS256", alias="MCP_JWT_ALGORITHM", description="Algorithm of those tokens."
    )
    wompi_public_key: Annotated[str, _wompi("pub_{}_")] = Field(
        "",
        alias="WOMPI_PUBLIC_KEY",
        description="Wompi's public key (`pub_test_...` or `pub_prod_...`) of the installation's own "
        "account. Every tenant without keys of its own collects into it; the four keys go together.",
    )
    wompi_private_key: Annotated[Secret, _wompi("prv_{}_")] = Field(
        "", alias="WOMPI_PRIVATE_KEY", description="Its private key (`prv_...`)."
    )
    wompi_events_secret: Annotated[Secret, _wompi("{}_events_")] = Field(
        "",
        alias="WOMPI_EVENTS_SECRET",
        description="Its events secret (`test_events_...`): what comes in at `/webhooks/wompi/` is checked by it.",
    )
    wompi_integrity_secret: Annotated[Secret, _wompi("{}_integrity_")] = Field(
        "",
        alias="WOMPI_INTEGRITY_SECRET",
        description="Its integrity secret (`test_integrity_...`): what goes out is signed by it.",
    )
    wompi_base_url: Address = Field(
        "",
        alias="WOMPI_BASE_URL",
        description="Replaces Wompi's sandbox, for every tenant's test keys: `tause-mcp sandbox wompi` prints "
        "one. Production keys go to Wompi's production alone. Default: Wompi's own.",
    )
    wompi_checkout_url: Address = Field(
        "",
        alias="WOMPI_CHECKOUT_URL",
        description="Replaces Wompi's checkout for test keys. Default: Wompi's own.",
    )
    wompi_payouts_url: Address = Field(
        "",
        alias="WOMPI_PAYOUTS_URL",
        description="Replaces the sandbox of Wompi's payouts, without `/v1`. Default: Wompi's own.",
    )

    @classmethod
    def read(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Read `TAUSE_*` and the established names; `TAUSE_SETTINGS` may name a `NAME=value` file.

        Raises:
            Misconfigured: one line naming the setting that is wrong, unknown or superseded.
        """
        environ = os.environ if environ is None else environ
        values = {**_file(environ.get("TAUSE_SETTINGS", "")), **environ}
        known = names()
        _refuse_unknown(values, known)
        given = {
            (cls.model_fields[f].alias or f): values[n] for n, f in known.items() if values.get(n)
        }
        try:
            settings = cls.model_validate(given)
        except ValidationError as wrong:
            error = wrong.errors(include_input=False, include_url=False)[0]
            at = str(error["loc"][0]) if error["loc"] else "settings"
            name = at if at.isupper() else f"TAUSE_{at.upper()}"
            told = error["msg"].removeprefix("Value error, ")
            raise Misconfigured(f"{name}: {told[0].lower()}{told[1:]}") from None
        _refuse_half(settings)
        return settings

    def at_home(self, name: str) -> Path:
        """A path inside the home."""
        return self.home.expanduser().absolute() / name


def names() -> dict[str, str]:
    """Environment name -> field, in the order of declaration."""
    return {(f.alias or f"TAUSE_{n.upper()}"): n for n, f in Settings.model_fields.items()}


def _refuse_half(settings: Settings) -> None:
    """Wompi's keys are one set of one environment, and a production key goes to Wompi alone."""
    keys = {f"WOMPI_{k.upper()}": getattr(settings, f"wompi_{k}") for k in WOMPI_KEYS}
    missing = [name for name, value in keys.items() if not value]
    if 0 < len(missing) < len(keys):
        raise Misconfigured(f"{missing[0]}: Wompi's four keys go together, and this one is missing")
    production = [name for name, value in keys.items() if "prod" in value.split("_")[:2]]
    if 0 < len(production) < len(keys):
        raise Misconfigured(
            f"{production[0]}: this key is of Wompi's production, others are of the sandbox"
        )
    if production and settings.wompi_base_url not in ("", WOMPI_PRODUCTION):
        raise Misconfigured(
            "WOMPI_BASE_URL: production keys go to Wompi alone: leave it out, or use test keys"
        )
    if not production and settings.wompi_base_url == WOMPI_PRODUCTION:
        raise Misconfigured("WOMPI_BASE_URL: this is Wompi's production: set its keys, or leave it")


_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SUCCESSORS = {
    "TAUSESTACK_MULTI_TENANT_MODE": "tenants are always on; name one with TAUSE_TENANT",
    "TAUSESTACK_STORAGE_BACKEND": "TAUSE_STORAGE_URL",
    "TAUSESTACK_DATABASE_URL": "TAUSE_DATABASE_URL",
    "SUPABASE_URL": "TAUSE_TRUSTED_ISSUERS=supabase:...",
    "SUPABASE_JWT_SECRET": "MCP_JWT_SECRET",
}


def superseded(environ: Mapping[str, str] | None = None) -> list[str]:
    """One line for each older name that is set, naming its successor."""
    environ = os.environ if environ is None else environ
    older = re.compile(r"(TAUSESTACK|SUPABASE)_[A-Z0-9_]+")
    return [
        f"{name} is not read any more: {_SUCCESSORS.get(name, 'see docs/settings.md')}"
        for name in sorted(environ)
        if older.fullmatch(name)
    ]


def _refuse_unknown(values: Mapping[str, str], known: Mapping[str, str]) -> None:
    for name in sorted(values):
        if name.startswith("TAUSE_") and name not in known and name != "TAUSE_SETTINGS":
            near = _near(name, known)
            raise Misconfigured(f"{name} is not a setting{near}; docs/settings.md lists them all")


def _near(name: str, known: Mapping[str, str]) -> str:
    from difflib import get_close_matches

    found = get_close_matches(name, list(known), n=1)
    return f": did you mean {found[0]}?" if found else ""


def _file(path: str) -> dict[str, str]:
    if not path:
        return {}
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise Misconfigured(f"TAUSE_SETTINGS: cannot read the file: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Misconfigured("TAUSE_SETTINGS: the file is not UTF-8 text") from None
    told = {}
    for number, line in enumerate(map(str.strip, lines), 1):
        if line and not line.startswith("#"):
            name, equals, value = line.partition("=")
            if not equals or not _NAME.fullmatch(name.strip()):
                raise Misconfigured(f"TAUSE_SETTINGS: line {number} is not NAME=value")
            told[name.strip()] = _unquoted(value.strip())
    return told


def _unquoted(value: str) -> str:
    """Without the pair of quotes around it."""
    whole = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if whole else value
