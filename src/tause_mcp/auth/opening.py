"""The verifier as the settings state it, opened once per process."""

from collections.abc import Mapping

from tause_mcp.auth.apikeys import open_pepper
from tause_mcp.auth.authority import Authority
from tause_mcp.auth.identities import Identities
from tause_mcp.auth.issuers import BY_SECRET, SETTING, Issuer, path_of, read_issuers
from tause_mcp.auth.jwks import MOST_BYTES, Fetch, RemoteKeys
from tause_mcp.auth.keys import KeySource
from tause_mcp.auth.shared import SharedKey, shared_key
from tause_mcp.auth.signing import ACCESS, Keyring
from tause_mcp.auth.terms import FULL, SHARED, WEEK, Terms
from tause_mcp.auth.verifier import Verifier
from tause_mcp.errors import Misconfigured
from tause_mcp.settings import Settings
from tause_mcp.tenancy import ROOT, TenantId

_OWN_TYPES = frozenset({ACCESS, f"application/{ACCESS}"})


def open_verifier(
    settings: Settings,
    identities: Identities,
    *,
    issuer: str,
    fetch: Fetch | None = None,
    shared: Mapping[str, bytes] | None = None,
) -> Verifier:
    """The verifier that `settings` state, with the keys and the pepper of the home.

    `issuer` is our public URL, in the spelling that every process uses. `shared` are secrets that
    replicas have in common, by the names of the files that they stand for.

    Raises:
        Misconfigured: a secret is weak, a file is unusable or an issuer is stated wrongly.
    """
    home = settings.at_home("")
    common = shared or {}
    keyring = Keyring.open(home, issuer.rstrip("/"), common.get("signing.pem"))
    orchestrator = (
        shared_key(settings.jwt_secret, settings.jwt_algorithm) if settings.jwt_secret else None
    )
    authorities = {keyring.issuer: _own(keyring)}
    for stated in read_issuers(settings.trusted_issuers):
        if stated.issuer.rstrip("/") == keyring.issuer:
            raise Misconfigured(f"{SETTING}: {stated.issuer!r} is this installation itself")
        authorities[stated.issuer] = _trusted(stated, _keys(stated, orchestrator, fetch or fetched))
    otherwise = None if orchestrator is None else _orchestrator(orchestrator)
    pepper = open_pepper(home, common.get("pepper"))
    return Verifier(identities, pepper, keyring, authorities, otherwise=otherwise)


async def fetched(url: str) -> bytes:
    """A key set from where the operator points; the connection is not kept for an hour."""
    from tause_mcp.outbound import Outbound, Policy

    async with Outbound(trusted=True) as client:
        policy = Policy(deadline=5.0, max_bytes=MOST_BYTES, attempts=1)
        return (await client.request("GET", url, policy=policy)).required().content


def _own(keyring: Keyring) -> Authority:
    terms = Terms(required=FULL, types=_OWN_TYPES)
    return Authority(keyring.issuer, keyring, terms, granting=True, own=True)


def _trusted(stated: Issuer, keys: KeySource) -> Authority:
    terms = Terms(
        required=stated.needs, audiences=stated.audiences, lifetime=stated.lifetime, strict=False
    )
    return Authority(
        stated.issuer,
        keys,
        terms,
        tenants=() if stated.always else (path_of(stated.tenant),),
        otherwise=TenantId(stated.always) if stated.always else None,
        within=tuple(stated.tenants),
        roles=None if stated.roles is None else path_of(stated.roles),
        scopes=None if stated.scopes is None else path_of(stated.scopes),
    )


def _orchestrator(shared: SharedKey) -> Authority:
    """Whoever holds the secret may say anything; what it leaves out is the root tenant's."""
    terms = Terms(required=SHARED, lifetime=WEEK, strict=False)
    return Authority(
        None,
        shared,
        terms,
        tenants=(("tenant",), ("tenant_id",)),
        otherwise=ROOT,
        roles=("roles",),
        granting=True,
    )


def _keys(stated: Issuer, shared: SharedKey | None, fetch: Fetch) -> KeySource:
    if stated.jwks != BY_SECRET:
        return RemoteKeys(stated.jwks, fetch)
    if shared is None:
        raise Misconfigured(f"{SETTING}: {stated.issuer!r} needs MCP_JWT_SECRET")
    return shared
