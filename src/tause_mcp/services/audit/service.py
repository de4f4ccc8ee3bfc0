"""A tenant's audit records: searched, verified and exported."""

from tause_mcp import times
from tause_mcp.database import TenantDatabase, Transaction
from tause_mcp.services.audit import tables
from tause_mcp.services.audit.verify import Chain, Head, Record, Verdict

_BEGIN, _END = -(2**62), 2**62
_STEP = 1000
_DAY = 86_400 * times.SECOND


class AuditRecords:
    """The chain of one tenant, to read."""

    def __init__(self, database: TenantDatabase) -> None:
        self._database = database

    async def search(
        self,
        since: int | None,
        until: int | None,
        actor: str,
        action: str,
        before: int | None,
        count: int,
    ) -> list[Record]:
        """Records from `since` to before `until`, newest first; `action` may end in `*`."""
        told = {
            "since": _BEGIN if since is None else since,
            "until": _END if until is None else until,
            "actor": actor,
            "action": action.removesuffix("*"),
            "length": len(action) - 1 if action.endswith("*") else 0,
            "before": _END if before is None else before,
            "count": count,
        }
        rows = await self._database.read(lambda tx: tx.all(tables.SEARCH, **told))
        return [Record(*row) for row in rows]

    async def walk(
        self, since: int | None, until: int | None, after: int | None, count: int
    ) -> tuple[list[Record], Head | None]:
        """Up to `count` records in the order of the chain, and the chain's head."""

        async def work(tx: Transaction) -> tuple[list[Record], Head | None]:
            records = await _step(tx, after, count, since, until)
            return records, await self._head(tx)

        return await self._database.read(work)

    async def _head(self, tx: Transaction) -> Head | None:
        row = await tx.first(tables.END)
        return None if row is None else Head(self._database.tenant, *row)

    async def verify(self) -> Verdict:
        """Verify the whole chain as it stands now, off the event loop."""

        async def work(tx: Transaction) -> Verdict:
            chain, after = Chain(self._database.tenant, whole=True), _BEGIN
            while records := await _step(tx, after, _STEP):
                if not all(map(chain.take, records)):
                    break
                after = records[-1].seq
            head = await self._head(tx) or Head(self._database.tenant, 0, "")
            return chain.close(head)

        return await self._database.read(work, long=True)

    async def days(self, count: int) -> list[str]:
        """The last days (`2026-01-31`, UTC) that have records, newest first."""

        async def work(tx: Transaction) -> list[str]:
            found: list[str] = []
            until = _END
            while len(found) < count:
                row = await tx.first(tables.LATEST, until=until)
                if row is None or row[0] is None:
                    break
                until = row[0] // _DAY * _DAY
                found.append(times.iso(until)[:10])
            return found

        return await self._database.read(work)


async def _step(
    tx: Transaction,
    after: int | None,
    count: int,
    since: int | None = None,
    until: int | None = None,
) -> list[Record]:
    rows = await tx.all(
        tables.WALK,
        since=_BEGIN if since is None else since,
        until=_END if until is None else until,
        after=_BEGIN if after is None else after,
        count=count,
    )
    return [Record(*row) for row in rows]
