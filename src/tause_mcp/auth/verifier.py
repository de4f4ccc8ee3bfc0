"""The one verifier behind every door: our tokens, trusted issuers, the shared secret, API keys."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from time import monotonic, time
from typing import Any

from tause_mcp import log
from tause_mcp.auth import apikeys
from tause_mcp.auth.authority import Authority, Proof
from tause_mcp.auth.compact import Compact, dissect
from tause_mcp.auth.identities import Door, Identities, Refused
from tause_mcp.auth.narrowing import intersection
from tause_mcp.auth.remembered import Remembered
from tause_mcp.auth.signing import Keyring
from tause_mcp.auth.terms import ASSERTION_LIFETIME, LEEWAY, Terms
from tause_mcp.errors import Unauthenticated
from tause_mcp.tenancy import Caller, Scopes

REFUSAL = "the credentials do not hold here: present a valid token or API key"
"""The one text for every refusal; the reason is in the security log."""

_ASSERTION = Terms(lifetime=ASSERTION_LIFETIME, types=frozenset({"", "jwt"}))


class Verifier:
    """Turns a bearer text into a `Caller` at a door, or refuses in always the same words."""

    def __init__(
        self,
        identities: Identities,
        pepper: bytes,
        keyring: Keyring,
        authorities: Mapping[str, Authority],
        *,
        otherwise: Authority | None = None,
        remembered: Remembered | None = None,
        clock: Callable[[], float] = time,
    ) -> None:
        """`authorities` by issuer; `otherwise` stands for any other issuer (the shared secret)."""
        self.keyring = keyring
        self.pepper = pepper
        self._identities = identities
        self._authorities = authorities
        self._otherwise = otherwise
        self._remembered = remembered or Remembered()
        self._clock = clock

    def jwks(self) -> dict[str, Any]:
        """The key set that verifies what we sign."""
        return self.keyring.jwks()

    def issuers(self) -> list[str]:
        """Where a caller gets a token: the trusted issuers, ourselves when there are none."""
        outside = [issuer for issuer in self._authorities if issuer != self.keyring.issuer]
        return outside or [self.keyring.issuer]

    def cached(self, token: str, door: Door) -> Caller | None:
        """The caller when `token` was verified at `door` moments ago; no await, microseconds."""
        return self._remembered.get(self._remembered.name(token, door))

    def forget(self) -> None:
        """Verify everything anew from now on: something was revoked or granted here."""
        self._remembered.forget()

    async def verify(self, token: str, door: Door, *, anew: bool = False) -> Caller:
        """Who presents `token` at `door`; `anew` believes nothing that is remembered.

        Raises:
            Unauthenticated: it does not hold; always the same text.
            Unavailable: a store or an issuer's keys cannot be asked now.
        """
        name = self._remembered.name(token, door)
        found = None if anew else self._remembered.get(name)
        if found is not None:
            return found
        began, generation = monotonic(), self._remembered.generation
        try:
            caller = await self._admitted(await self._proof(token, door), door)
        except Refused as refused:
            raise _refusal("login refused", refused, door) from None
        life = float("inf") if caller.expires_at is None else caller.expires_at - self._clock()
        self._remembered.put(name, caller, began=began, life=life, generation=generation)
        return caller

    async def redeem(self, assertion: str, audience: str) -> Mapping[str, Any]:
        """The claims of a single-use assertion for `audience`, which this call uses up.

        It meets the full profile, lives at most a minute, and is signed by us or a trusted issuer.

        Raises:
            Unauthenticated: it does not hold, or was used before.
            Unavailable: what was used cannot be recorded, so nothing is accepted.
        """
        at = Door(audience)
        try:
            token = dissect(assertion)
            authority = self._authority(token.claims.get("iss"), shared=False)
            _ASSERTION.check(token, at.audience, self._clock())
            await _check_signature(token, authority)
            used = f"{token.claims['iss']}\x1f{token.claims['jti']}"
            issued, until = float(token.claims["iat"]), float(token.claims["exp"]) + LEEWAY
            if not await self._identities.spend(used, issued=issued, until=until):
                raise Refused("an assertion was used before")
        except Refused as refused:
            raise _refusal("assertion refused", refused, at) from None
        return token.claims

    async def _proof(self, token: str, door: Door) -> Proof:
        if token.startswith(apikeys.PREFIX):
            return await self._by_key(token)
        compact = dissect(token)
        authority = self._authority(compact.claims.get("iss"), shared=True)
        authority.terms.check(compact, door.audience, self._clock())
        await _check_signature(compact, authority)
        return authority.proof(compact.claims)

    def _authority(self, issuer: object, *, shared: bool) -> Authority:
        """The record to judge by. An unverified `iss` only chooses; its own keys have to agree."""
        found = self._authorities.get(issuer) if isinstance(issuer, str) else None
        if found is None and shared:
            found = self._otherwise
        if found is None:
            raise Refused("the issuer is not trusted")
        return found

    async def _by_key(self, text: str) -> Proof:
        tenant, key_id = apikeys.parse(text)
        stored = await self._identities.key(tenant, key_id)
        record = apikeys.matching(text, stored, self.pepper)
        if record.revoked:
            raise Refused(f"the API key {key_id} is revoked")
        if record.expires_at is not None and record.expires_at <= self._clock():
            raise Refused(f"the API key {key_id} has expired")
        return Proof(
            tenant=tenant,
            issuer="local",
            subject=f"key:{key_id}",
            credential=key_id,
            expires_at=record.expires_at,
            stated=record.scopes,
            granting=True,
            toolsets=record.toolsets,
        )

    async def _admitted(self, proof: Proof, door: Door) -> Caller:
        """The caller that `proof` makes at `door`, by what is stored about tenant and subject."""
        since = await self._identities.active_since(proof.tenant)
        if since is None:
            raise Refused("the tenant is absent or suspended")
        if proof.issued_at is not None and proof.issued_at < since:
            raise Refused("issued before its tenant was made")
        caller = Caller(
            subject=proof.subject,
            tenant=proof.tenant,
            scopes=await self._scopes(proof),
            issuer=proof.issuer,
            credential=proof.credential,
            expires_at=proof.expires_at,
            toolsets=proof.toolsets,
        )
        return caller if door.tenant == proof.tenant else await self._visiting(caller, door)

    async def _scopes(self, proof: Proof) -> Scopes:
        if proof.granting and proof.stated is not None:
            return Scopes(proof.stated)
        held = await self._identities.scopes_of(
            proof.tenant, proof.issuer, proof.subject, proof.roles
        )
        return held if proof.stated is None else intersection(held, proof.stated)

    async def _visiting(self, caller: Caller, door: Door) -> Caller:
        """`caller` with stored grants at the plain door, or inside another tenant's by one."""
        grants = await self._identities.grants_of(caller.tenant, caller.issuer, caller.subject)
        granted = replace(caller, grants=grants)
        if door.tenant is None:
            return granted
        if door.tenant not in grants or await self._identities.active_since(door.tenant) is None:
            raise Refused("no grant opens this tenant's door")
        return granted.acting_for(door.tenant)


async def _check_signature(token: Compact, authority: Authority) -> None:
    key = await authority.keys.key(token.header.get("kid"))
    if key is None:
        raise Refused("signed with an unknown key")
    if token.header["alg"] != key.alg:
        raise Refused("names another algorithm than its key's")
    if not key.verifies(token.signed, token.signature):
        raise Refused("the signature does not match")


def _refusal(event: str, refused: Refused, door: Door) -> Unauthenticated:
    log.security.warning(event, reason=str(refused), door=door.audience)
    return Unauthenticated(REFUSAL)
