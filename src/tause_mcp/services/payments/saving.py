"""How a source reaches Wompi: claimed, posted once, and read back as far as Wompi lets one."""

import secrets
from dataclasses import replace
from typing import Any

from tause_mcp import due, times
from tause_mcp.database import Transaction
from tause_mcp.errors import NotFound, Unconfigured
from tause_mcp.intents import CLAIM, SOON
from tause_mcp.outbound.wompi import NotSent, Refused, Source, StaleTerms, Uncertain, Wompi
from tause_mcp.services.payments import source_tables as tables
from tause_mcp.services.payments.ledger import Ledger
from tause_mcp.services.payments.saved import Kept, SourceRow, open_kept, seal_kept
from tause_mcp.services.payments.sending import same_terms

KIND = "source"
_READ = {"AVAILABLE": tables.AVAILABLE, "PENDING": tables.PENDING}
_LOST = "Wompi gave no clear answer: no money moved; save it anew with another token"


class Saver:
    """Sends and reads the sources of one tenant."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def send(self, row: SourceRow, accepted: dict[str, Any] | None) -> SourceRow:
        """Post a source that waits, unless somebody else does; how it stands then."""
        wompi, cipher = await self.account(row), await self._ledger.cipher()
        kept = open_kept(cipher, row)
        merchant = await wompi.merchant()
        if accepted is not None:
            same_terms(merchant, accepted)
            kept = replace(kept, acceptance=accepted)
        claim, now = secrets.token_hex(8), times.now()
        sealed = seal_kept(cipher, row.id, kept)

        async def work(tx: Transaction) -> bool:
            told = {"of": row.id, "former": row.former, "of_claim": claim, "of_sealed": sealed}
            taken = await tx.run(tables.CLAIM_SOURCE, **told, until=now + CLAIM, now=now)
            if taken:
                await due.put(tx, KIND, row.id, now + CLAIM)
            return bool(taken)

        if not await self._ledger.database.write(work):
            return await self.row(row.id)
        terms, personal = merchant.terms.token, merchant.personal.token
        try:
            found = await wompi.create_source(
                row.type, kept.token or "", kept.customer.email, terms, personal
            )
        except (StaleTerms, NotSent, Unconfigured):
            await self._settle(row, claim, row.former, None, kept)
            raise
        except Refused as refused:
            done = replace(kept, token=None)
            return await self._settle(row, claim, tables.ERROR, None, done, str(refused))
        except Uncertain:
            done = replace(kept, token=None)
            return await self._settle(row, claim, tables.UNKNOWN, None, done, _LOST)
        return await self._found(row, claim, kept, found)

    async def _found(self, row: SourceRow, claim: str, kept: Kept, found: Source) -> SourceRow:
        done = replace(kept, token=None, label=dict(found.label))
        state, message = _READ.get(found.status, tables.ERROR), None
        if found.type.lower() != row.type or found.email not in ("", kept.customer.email):
            state, message = tables.ERROR, "Wompi answered with another source"
        elif state == tables.ERROR:
            message = f"Wompi says {found.status[:40]} of it"
        return await self._settle(row, claim, state, found.id, done, message)

    async def _settle(
        self,
        row: SourceRow,
        claim: str,
        target: str,
        provider: int | None,
        kept: Kept,
        message: str | None = None,
    ) -> SourceRow:
        sealed = seal_kept(await self._ledger.cipher(), row.id, kept)

        async def work(tx: Transaction) -> None:
            now = times.now()
            settled = await tx.run(
                tables.SETTLE_SOURCE,
                of=row.id,
                of_claim=claim,
                target=target,
                of_provider=provider,
                message=message[:500] if message else None,
                of_sealed=sealed,
                now=now,
            )
            if not settled:
                return
            if target in (tables.PENDING, tables.READY):
                await due.put(tx, KIND, row.id, now + SOON)
            elif target == tables.AWAITING:
                await due.put(tx, KIND, row.id, row.expires_at)
            else:
                await due.end(tx, KIND, row.id)

        await self._ledger.database.write(work)
        self._ledger.changed(row.id)
        return await self.row(row.id)

    async def row(self, id_: str) -> SourceRow:
        """One source's row; `NotFound` when absent, or another tenant's."""
        found = await self._ledger.database.first(tables.SOURCE, of=id_)
        if found is None:
            raise NotFound("no such source", field="source_id")
        return SourceRow(*found)

    async def account(self, row: SourceRow) -> Wompi:
        """The account that it was saved with, when that is the one in force."""
        wompi = await self._ledger.wompi()
        if wompi.account.public_key != row.account:
            raise Unconfigured(
                f"this source was saved with other Wompi keys (environment {row.environment})"
            )
        return wompi

    async def lapsed(self, row: SourceRow, now: int) -> SourceRow:
        """What nobody can find out any more, or nobody accepted in time."""

        async def work(tx: Transaction) -> bool:
            told = {"of": row.id, "now": now}
            moved = await tx.run(tables.LOSE_SOURCE, **told, message=_LOST)
            moved += await tx.run(tables.EXPIRE_SOURCE, **told)
            if moved or row.state not in (tables.AWAITING, tables.SENDING):
                await due.end(tx, KIND, row.id)
            return bool(moved)

        if await self._ledger.database.write(work):
            self._ledger.changed(row.id)
        return await self.row(row.id)

    async def read(self, row: SourceRow) -> SourceRow:
        """Whether its payer agreed meanwhile."""
        wompi = await self.account(row)
        found = await wompi.source(row.provider_id or 0)
        status = found.status if found is not None else "nothing"
        if status == "PENDING":
            return row
        state = _READ.get(status, tables.ERROR)
        message = None if state != tables.ERROR else f"Wompi says {status[:40]} of it"

        async def work(tx: Transaction) -> None:
            told = {"of": row.id, "target": state, "message": message, "now": times.now()}
            if await tx.run(tables.READ_SOURCE, **told):
                await due.end(tx, KIND, row.id)

        await self._ledger.database.write(work)
        self._ledger.changed(row.id)
        return await self.row(row.id)

    async def removed(self, row: SourceRow) -> SourceRow:
        """Void it at Wompi: any number of times is once."""
        wompi = await self.account(row)
        found = await wompi.source(row.provider_id or 0)
        if found is not None and found.status != "VOIDED":
            await wompi.void_source(found.id)

        async def work(tx: Transaction) -> None:
            if await tx.run(tables.REMOVED_SOURCE, of=row.id, now=times.now()):
                await due.end(tx, KIND, row.id)

        await self._ledger.database.write(work)
        self._ledger.changed(row.id)
        return await self.row(row.id)
