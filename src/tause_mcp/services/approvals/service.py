"""A tenant's approvals: read by tools, answered by people."""

from collections.abc import Awaitable, Callable
from typing import Literal

from tause_mcp import times
from tause_mcp.capability import Cipher
from tause_mcp.database import TenantDatabase, Transaction
from tause_mcp.errors import Conflict, Forbidden, NotFound
from tause_mcp.services.approvals import tables
from tause_mcp.services.approvals.record import Record, read
from tause_mcp.tenancy import Caller

ANSWERS = "approvals:admin"
"""The scope of whoever answers on the page."""

Means = Literal["page", "cli"]
Status = Literal["pending", "approved", "denied", "consumed", "expired"]
_END = (2**63 - 1, "")


class Approvals:
    """The approvals of one tenant."""

    def __init__(self, database: TenantDatabase, cipher: Callable[[], Awaitable[Cipher]]) -> None:
        self._database = database
        self._cipher = cipher

    async def get(self, approval_id: str) -> Record:
        """One approval.

        Raises:
            NotFound: absent, or another tenant's.
        """
        row = await self._database.first(tables.GET, of=approval_id)
        if row is None:
            raise _absent()
        return read(row, times.now(), await self._cipher())

    async def recent(
        self, status: Status | None, after: tuple[int, str] | None, most: int
    ) -> list[Record]:
        """At most `most` approvals, newest first, after a `(created_at, id)`."""
        before, before_id = after or _END
        now = times.now()
        rows = await self._database.read(
            lambda tx: tx.all(
                tables.LIST,
                wanted=status or "",
                before=before,
                before_id=before_id,
                now=now,
                most=most,
            )
        )
        cipher = await self._cipher()
        return [read(row, now, cipher) for row in rows]

    async def answer(
        self, approval_id: str, approve: bool, by: Caller | str, means: Means
    ) -> Record:
        """Answer a pending approval, once. `by` is a signed-in caller, or a label on the shell.

        Raises:
            Forbidden: without `approvals:admin`, or above the ceiling from anywhere but the page.
            NotFound: absent, or another tenant's. Conflict: answered before, or expired.
        """
        if isinstance(by, Caller):
            by.require(ANSWERS)
            if by.tenant != self._database.tenant:
                raise _absent()
        elif means == "page":
            raise Forbidden("the page needs someone signed in")
        record = await self.get(approval_id)
        if record.page_only and means != "page":
            raise Forbidden("the amount is above the tenant's ceiling: answer it on its page")
        person = by.subject if isinstance(by, Caller) else by

        async def work(tx: Transaction) -> int:
            taken = await tx.run(
                tables.ANSWER,
                of=approval_id,
                answer="approved" if approve else "denied",
                how=means,
                person=person,
                now=times.now(),
            )
            if not taken:  # raised inside, so that nothing rides along with a lost answer
                raise Conflict("this approval was answered before, or has expired")
            return taken

        await self._database.write(work)
        return await self.get(approval_id)


def _absent() -> NotFound:
    return NotFound("no such approval", field="id")
