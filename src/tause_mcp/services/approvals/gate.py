"""The consent step of the pipeline: what a call that needs a person finds, and how it passes."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from tause_mcp import times
from tause_mcp.capability import Cipher, Ciphers, Consent
from tause_mcp.database import Database, TenantDatabase, Transaction, Work
from tause_mcp.errors import Conflict
from tause_mcp.operation import Operation
from tause_mcp.pipeline import Approval, AskPerson, Invocation, refuse
from tause_mcp.services.approvals import tables
from tause_mcp.services.approvals.record import Record, new_id, place_of, read
from tause_mcp.tenancy import Scopes, TenantId, part_matches, scope_parts

Ceiling = Callable[[TenantId, str], Awaitable[int | None]]
"""The tenant's `approval_ceiling` in minor units of a currency; None when it has none."""


class HasTtl(Protocol):
    """The one setting that the gate reads: seconds an approval may be answered and used."""

    @property
    def approval_ttl(self) -> int: ...


def unattended(scopes: Scopes, capability: str, part: str | None) -> bool:
    """Whether `<capability>:unattended` is granted by name: `*` as the action never stands for it.

    An owner's `*:*` would otherwise pass every question that is asked of a person.
    """
    return any(
        action == "unattended"
        and named in (capability, "*")
        and (pattern == "*" or (part is not None and part_matches(pattern, part)))
        for named, action, pattern in map(scope_parts, scopes.granted)
    )


class ApprovalGate:
    """`pipeline.Approvals` over the table. `url_of(tenant, id)` is the page that answers."""

    def __init__(
        self,
        database: Database,
        settings: HasTtl,
        url_of: Callable[[TenantId, str], str],
        ceiling: Ceiling,
        ciphers: Ciphers,
    ) -> None:
        self._database = database
        self._ttl = settings.approval_ttl * times.SECOND
        self._url_of = url_of
        self._ceiling = ceiling
        self._ciphers = ciphers

    async def settle(
        self, call: Invocation, operation: Operation, digest: str, consent: Consent
    ) -> Approval:
        """The call's approval: `granted` (consumed by this very call) or `pending`.

        Raises:
            AskPerson: the client can put the question, and has not yet.
            Forbidden: a person said no; told once, the next call asks anew.
        """
        tenant = call.caller.tenant
        over = await self._over(tenant, consent)
        passes = not over and await self._unattended(call, operation, consent)
        cipher = await self._ciphers.cipher(tenant)

        async def step(tx: Transaction) -> tuple[Record, str]:
            record = await self._live(tx, call, operation, digest, consent, over, cipher)
            return record, await _outcome(tx, call, record, passes)

        record, outcome = await TenantDatabase(self._database, tenant).write(step)
        if outcome == "refused":
            raise refuse(record.summary)
        approval = self._shown(tenant, record, outcome)
        if outcome == "ask":
            raise AskPerson(approval)
        return approval

    def spend(self, approval_id: str) -> Work[None]:
        """Trailer: the approved change is committed; the approval is never given back."""

        async def spent(tx: Transaction) -> None:
            await tx.run(tables.SPEND, of=approval_id, now=times.now())

        return spent

    async def release(self, tenant: TenantId, approval_id: str) -> None:
        """The work failed: unless it was spent, the approval may be used until it expires."""
        await TenantDatabase(self._database, tenant).write(
            lambda tx: tx.run(tables.RELEASE, of=approval_id, now=times.now())
        )

    async def _over(self, tenant: TenantId, consent: Consent) -> bool:
        if consent.amount is None:
            return False
        if consent.currency is None:
            return True
        ceiling = await self._ceiling(tenant, consent.currency)
        return ceiling is not None and consent.amount > ceiling

    async def _unattended(self, call: Invocation, operation: Operation, consent: Consent) -> bool:
        """Whether nobody need be asked: the scope is held, and money stays under a ceiling."""
        part = operation.part_of(call.arguments)
        if not unattended(call.caller.scopes, operation.capability, part):
            return False
        if consent.amount is None:
            return True
        return await self._ceiling(call.caller.tenant, consent.currency or "") is not None

    async def _live(
        self,
        tx: Transaction,
        call: Invocation,
        operation: Operation,
        digest: str,
        consent: Consent,
        over: bool,
        cipher: Cipher,
    ) -> Record:
        """The one live record of this exact call, made when there is none."""
        caller, now = call.caller, times.now()
        fresh = new_id(caller.tenant)
        of = {
            "of_tool": operation.name,
            "of_digest": digest,
            "of_principal": caller.principal,
        }
        await tx.run(tables.LAPSE, **of, now=now)
        await tx.run(
            tables.INSERT,
            id=fresh,
            tool=operation.name,
            digest=digest,
            principal=caller.principal,
            subject=caller.subject,
            summary="",
            sealed=cipher.seal(place_of(fresh), consent.summary.encode()),
            amount=consent.amount,
            currency=consent.currency,
            page_only=int(over),
            status="pending",
            live=1,
            asked_at=None,
            answered_at=None,
            answered_by=None,
            means=None,
            created_at=now,
            expires_at=now + self._ttl,
            consumed_at=None,
        )
        row = await tx.first(tables.LIVE, **of)
        if row is None:  # a parallel call used it between the two statements
            raise Conflict("another call used this approval just now: call again")
        record = read(row, now, cipher)
        if over and not record.page_only:
            await tx.run(tables.PAGE_ONLY, of=record.id)
        return record._replace(page_only=over or record.page_only)

    def _shown(self, tenant: TenantId, record: Record, outcome: str) -> Approval:
        return Approval(
            id=record.id,
            status="granted" if outcome == "granted" else "pending",
            summary=record.summary,
            expires_at=record.expires,
            url=self._url_of(tenant, record.id),
            page_only=record.page_only,
        )


async def _outcome(tx: Transaction, call: Invocation, record: Record, passes: bool) -> str:
    """`granted`, `refused`, `ask` or `pending`, with what it changes."""
    now, status = times.now(), record.status
    if status == "pending":
        status = await _settled(tx, call, record, passes, now)
    if status == "approved":
        if not await tx.run(tables.CONSUME, of=record.id, now=now):
            raise Conflict("another call used this approval just now: call again")
        return "granted"
    if status == "denied":
        await tx.run(tables.TOLD, of=record.id)
        return "refused"
    if call.elicits and record.asked_at is None and not record.page_only:
        await tx.run(tables.ASKED, of=record.id, now=now)
        return "ask"
    return "pending"


async def _settled(
    tx: Transaction, call: Invocation, record: Record, passes: bool, now: int
) -> str:
    """The status after what this call itself brings: its scope, or its client's answer."""
    answer, means = (True, "unattended") if passes else (call.answers.get(record.id), "elicitation")
    believed = passes or (record.asked_at is not None and not record.page_only)
    if answer is None or not believed:
        return "pending"
    status = "approved" if answer else "denied"
    person = call.caller.subject
    taken = await tx.run(
        tables.ANSWER, of=record.id, answer=status, how=means, person=person, now=now
    )
    return status if taken else "pending"
