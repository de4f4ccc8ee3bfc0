"""What appends to a tenant's chain, inside the very transaction of the change."""

from tause_mcp import times
from tause_mcp.database import Transaction, Work
from tause_mcp.operation import Operation
from tause_mcp.pipeline import Invocation
from tause_mcp.services.audit import tables
from tause_mcp.services.audit.verify import GENESIS, Record, hash_of
from tause_mcp.tenancy import Caller, TenantId, no_such_tenant

_MAX_TEXT = 512


class ChainedTrail:
    """`pipeline.AuditTrail`: three statements in the change's own transaction."""

    def entry(self, call: Invocation, operation: Operation, digest: str) -> Work[None]:
        """Trailer: the call's record. It refuses a tenant that is no longer active."""
        return _appending(_by(call.caller, operation.name, digest, "done", call.door))

    def answered(
        self, tenant: TenantId, approval_id: str, approve: bool, by: Caller | str, means: str
    ) -> Work[None]:
        """Trailer: a person's answer to an approval, whose id stands as the digest."""
        outcome = "approved" if approve else "denied"
        if isinstance(by, str):
            record = _record(tenant, by, "", "local", "", "approvals.answer", approval_id)
            return _appending(record._replace(outcome=outcome, door=means))
        return _appending(_by(by, "approvals.answer", approval_id, outcome, means))


def _by(caller: Caller, action: str, digest: str, outcome: str, door: str) -> Record:
    home = caller.home if caller.home and caller.home != caller.tenant else ""
    record = _record(
        caller.tenant, caller.subject, home, caller.issuer, caller.credential, action, digest
    )
    return record._replace(outcome=outcome, door=_clean(door))


def _record(
    tenant: str, actor: str, home: str, issuer: str, credential: str, action: str, digest: str
) -> Record:
    return Record(
        tenant,
        seq=0,
        at=0,
        actor=_clean(actor),
        home=_clean(home),
        issuer=_clean(issuer),
        credential=_clean(credential),
        action=_clean(action),
        digest=_clean(digest),
        outcome="",
        door="",
        previous="",
        hash="",
    )


def _clean(text: str) -> str:
    """Bounded, and storable by every database: no lone surrogate, no NUL."""
    if text.isascii() and text.isprintable() and len(text) <= _MAX_TEXT:
        return text
    return text[:_MAX_TEXT].encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def _appending(record: Record) -> Work[None]:
    async def append(tx: Transaction) -> None:
        seq, previous = await _end(tx)
        fresh = record._replace(seq=seq + 1, at=times.now(), previous=previous)
        fresh = fresh._replace(hash=hash_of(fresh))
        told = fresh._asdict()
        del told["tenant"]  # the transaction's own
        await tx.run(tables.APPEND, **told)
        await tx.run(tables.ADVANCE, now_seq=fresh.seq, now_hash=fresh.hash)

    return append


async def _end(tx: Transaction) -> tuple[int, str]:
    """The chain's last seq and hash, locked; started when there is none."""
    row = await tx.first(tables.HEAD)
    if row is None:
        await tx.run(tables.START, genesis=GENESIS)
        row = await tx.first(tables.HEAD)
    if row is None:
        raise no_such_tenant()
    return row[0], row[1]
