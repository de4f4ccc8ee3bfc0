"""What appends to a tenant's chain, inside the very transaction of the change."""

from functools import lru_cache

from tause_mcp import times
from tause_mcp.database import Transaction, Work
from tause_mcp.operation import Operation
from tause_mcp.pipeline import Invocation
from tause_mcp.services.audit import tables
from tause_mcp.services.audit.chain import GENESIS, hash_fields
from tause_mcp.tenancy import Caller, Scopes, TenantId, no_such_tenant

_MAX_TEXT = 512


class ChainedTrail:
    """`pipeline.AuditTrail`: one statement on PostgreSQL, four on SQLite, in the change's own
    transaction."""

    def __init__(self, dialect: str) -> None:
        self._append = append_in_steps if dialect == "sqlite" else _append_at_once

    def entry(self, call: Invocation, operation: Operation, digest: str) -> Work[None]:
        """Trailer: the call's record. It refuses a tenant that is no longer active."""
        return self._appending(call.caller, operation.name, digest, "done", call.door)

    def answered(
        self, tenant: TenantId, approval_id: str, approve: bool, by: Caller | str, means: str
    ) -> Work[None]:
        """Trailer: a person's answer to an approval, whose id stands as the digest."""
        person = Caller(by, tenant, Scopes(frozenset())) if isinstance(by, str) else by
        outcome = "approved" if approve else "denied"
        return self._appending(person, "approvals.answer", approval_id, outcome, means)

    def _appending(
        self, caller: Caller, action: str, digest: str, outcome: str, door: str
    ) -> Work[None]:
        tenant, append = caller.tenant, self._append
        named = {
            "actor": _clean(caller.subject),
            "home": _clean(caller.home) if caller.home and caller.home != tenant else "",
            "issuer": _clean(caller.issuer),
            "credential": _clean(caller.credential),
            "action": action,
            "digest": digest,
            "outcome": outcome,
            "door": _clean(door),
        }
        return lambda tx: append(tx, tenant, named)


@lru_cache(maxsize=4096)
def _clean(text: str) -> str:
    """Bounded, and storable by every database: no lone surrogate, no NUL."""
    if text.isascii() and text.isprintable() and len(text) <= _MAX_TEXT:
        return text
    return text[:_MAX_TEXT].encode("utf-8", "replace").decode().replace("\0", "\ufffd")


async def _append_at_once(tx: Transaction, tenant: TenantId, named: dict[str, str]) -> None:
    """The function knows the tenant from the transaction, and takes nobody's word for it."""
    row = await tx.first(tables.APPEND_AT_ONCE, **named)
    if row is None or row[0] is None:
        raise no_such_tenant()


async def append_in_steps(tx: Transaction, tenant: TenantId, named: dict[str, str]) -> None:
    """The same on SQLite, where the transaction holds the one write lock."""
    seq, previous = await _end(tx)
    seq, at = seq + 1, times.now()
    fresh = hash_fields((tenant, seq, at, *named.values(), previous))
    await tx.run(tables.APPEND, seq=seq, at=at, **named, previous=previous, hash=fresh)
    await tx.run(tables.ADVANCE, now_seq=seq, now_hash=fresh)


async def _end(tx: Transaction) -> tuple[int, str]:
    """The chain's last seq and hash; started when there is none."""
    row = await tx.first(tables.HEAD)
    if row is None:
        await tx.run(tables.START, genesis=GENESIS)
        row = await tx.first(tables.HEAD)
    if row is None:
        raise no_such_tenant()
    return row[0], row[1]
