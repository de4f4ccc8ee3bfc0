"""Rows and store compared, tenant by tenant, and put right where they drifted apart.

None should: every write plans its removal before it begins, and counts inside its transaction. A
restored backup, a bucket rule or a hand in the store makes them drift.
"""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from tause_mcp import log
from tause_mcp.database import Database, TenantDatabase, Transaction
from tause_mcp.services.storage import ledger, tables
from tause_mcp.services.storage.backends import Blob, BlobGone, ObjectStore
from tause_mcp.services.storage.blobs import folder_of, queue
from tause_mcp.services.storage.service import lock_usage
from tause_mcp.services.storage.uploads import give_up
from tause_mcp.tenancy import TenantId
from tause_mcp.times import now

GRACE = 3600.0
"""Seconds for which a blob that nothing refers to is believed to be on its way."""
HOLD = 86_400.0
"""Seconds from finding such a blob to its removal, when nobody asked: time to notice a mistake."""
UNFINISHED = 86_400.0
"""Seconds after which a multipart upload is believed to be abandoned."""
PAGE = 500
SHOWN = 20
_log = log.get("storage")

Counts = tuple[int, int, int]
"""Bytes, objects, reserved bytes."""


@dataclass
class Drift:
    """What is wrong for one tenant."""

    tenant: TenantId
    strays: list[Blob] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    """Keys whose bytes are gone."""
    found: list[str] = field(default_factory=list)
    """Keys that were marked and whose bytes are there again."""
    broken: list[str] = field(default_factory=list)
    """Unfinished uploads that lost a part."""
    counted: tuple[Counts | None, Counts] | None = None
    """The counters and what they should be, when they differ."""

    def __bool__(self) -> bool:
        return bool(self.strays or self.lost or self.found or self.broken or self.counted)

    def lines(self) -> list[str]:
        """One line for each kind of thing that is wrong."""
        told = []
        if self.counted:
            said, true = self.counted
            told.append(f"counters say {_counts(said)}, stored are {_counts(true)}")
        if self.strays:
            size = sum(blob.size for blob in self.strays)
            told.append(f"{len(self.strays)} blobs ({size} bytes) that nothing refers to")
        for keys, what in (
            (self.lost, "objects whose bytes are gone"),
            (self.found, "objects whose bytes are there again"),
            (self.broken, "uploads that lost a part"),
        ):
            if keys:
                more = ", ..." if len(keys) > SHOWN else ""
                told.append(f"{len(keys)} {what}: {', '.join(keys[:SHOWN])}{more}")
        return [f"{self.tenant}: {line}" for line in told]


def _counts(counts: Counts | None) -> str:
    if counts is None:
        return "nothing"
    return f"{counts[0]} bytes in {counts[1]} objects and {counts[2]} reserved"


@dataclass
class Report:
    """What was compared, and what was wrong."""

    repaired: bool
    tenants: int = 0
    blobs: int = 0
    drifts: list[Drift] = field(default_factory=list)
    strangers: int = 0
    """Blobs in folders of no tenant of this database; only looked for when asked."""
    unfinished: int | None = 0
    """Multipart uploads that nobody ended; None: this store cannot tell."""

    @property
    def strays(self) -> int:
        return sum(len(drift.strays) for drift in self.drifts)

    @property
    def lost(self) -> int:
        return sum(len(drift.lost) for drift in self.drifts)

    @property
    def good(self) -> bool:
        """Nothing is wrong any more."""
        left = self.lost or (not self.repaired and (self.drifts or self.unfinished))
        return not left

    def lines(self) -> list[str]:
        """The report as a person reads it."""
        told = [line for drift in self.drifts for line in drift.lines()]
        if self.unfinished:
            told.append(f"{self.unfinished} multipart uploads that nobody ended")
        if self.unfinished is None:
            told.append(
                "multipart uploads cannot be listed: set a rule of the bucket that ends them"
            )
        if self.strangers:
            told.append(
                f"{self.strangers} blobs of no tenant here: another installation's, or a former "
                "one's; they are never touched"
            )
        end = "all repaired" if self.repaired and self.good else "repair with --repair"
        if self.lost and self.repaired:
            end = "restore the bytes of the lost objects, or delete them"
        verdict = end if self.drifts or self.unfinished else "rows and store agree"
        return [*told, f"{self.tenants} tenants, {self.blobs} blobs: {verdict}"]


class Reconciler:
    """Compares what `database` says with what `store` holds."""

    def __init__(self, database: Database, store: ObjectStore) -> None:
        self._database = database
        self._store = store

    async def run(
        self, *, repair: bool, grace: float = GRACE, hold: float = 0.0, everything: bool = False
    ) -> Report:
        """Compare, and with `repair` put right. `everything` also looks for blobs of nobody.

        Blobs younger than `grace` are left alone; the others go after `hold` more seconds.

        Raises:
            Unavailable: the database or the store does not answer; nothing wrong was done.
        """
        report = Report(repaired=repair)
        rows = await self._database.read(None, lambda tx: tx.all(ledger.TENANTS), house=True)
        names = sorted(TenantId(row[0]) for row in rows)
        for tenant in names:
            look = _Look(TenantDatabase(self._database, tenant), self._store, repair)
            drift = await look.compare(time.time() - grace, now() + int(hold * 1e6))
            report.blobs += look.seen
            if drift:
                report.drifts.append(drift)
                _log.warning("storage drifted", tenant=tenant, kinds=len(drift.lines()))
        report.tenants = len(names)
        report.unfinished = await self._store.unfinished(time.time() - UNFINISHED, abort=repair)
        if everything:
            folders = {folder_of(tenant) for tenant in names}
            async for blob in self._store.names():
                report.strangers += blob.name.partition("/")[0] not in folders
        return report


class _Look:
    """One tenant being compared."""

    def __init__(self, database: TenantDatabase, store: ObjectStore, repair: bool) -> None:
        self._database = database
        self._store = store
        self._repair = repair
        self._there: set[int] = set()
        self._drift = Drift(database.tenant)

    @property
    def seen(self) -> int:
        return len(self._there)

    async def compare(self, before: float, due: int) -> Drift:
        """Blobs modified before `before` may be strays; those are removed at `due`."""
        await self._listed(before)
        await self._lost()
        await self._uploads()
        known = await self._recounted()
        if not known:  # rows that cannot be seen are no proof that nothing is referred to
            self._drift.strays.clear()
        if self._repair and self._drift.strays:
            for at in range(0, len(self._drift.strays), PAGE):
                names = [blob.name for blob in self._drift.strays[at : at + PAGE]]
                await self._database.write(lambda tx, names=names: _plan(tx, names, due))  # type: ignore[misc]  # bound early
        return self._drift

    async def _listed(self, before: float) -> None:
        async for blob in self._store.names(f"{folder_of(self._database.tenant)}/"):
            self._there.add(_number(blob.name))
            if blob.modified < before:
                held = await self._database.first(tables.HOLDS, blob=blob.name)
                if held is None:
                    self._drift.strays.append(blob)

    async def _lost(self) -> None:
        """Objects whose bytes are gone: asked for once more, for they may be newer than the list."""
        async for key, blob, lost_at in self._referring():
            if _number(blob) in self._there or await self._readable(blob):
                if lost_at is not None:
                    self._drift.found.append(key)
                    await self._mark(key, blob, None)
            elif await self._still(key, blob):
                self._drift.lost.append(key)
                if lost_at is None:
                    await self._mark(key, blob, now())

    async def _referring(self) -> AsyncIterator[tuple[str, str, int | None]]:
        after = ""
        while True:
            rows = await self._database.read(
                lambda tx, after=after: tx.all(ledger.REFERRING, after=after, count=PAGE)  # type: ignore[misc]  # bound early
            )
            for row in rows:
                yield row
            if len(rows) < PAGE:
                return
            after = rows[-1][0]

    async def _still(self, key: str, blob: str) -> bool:
        """Whether the object refers to this blob even now: it may be replaced or deleted."""
        row = await self._database.first(tables.STAT, key=key)
        return row is not None and row[6] == blob

    async def _mark(self, key: str, blob: str, moment: int | None) -> None:
        if self._repair:
            await self._database.write(
                lambda tx: tx.run(ledger.MARK, named=key, missing=blob, moment=moment)
            )

    async def _readable(self, blob: str) -> bool:
        try:
            async for _ in self._store.read(blob, 0, 1):
                pass
        except BlobGone:
            return False
        return True

    async def _uploads(self) -> None:
        """Unfinished uploads that lost a part cannot be finished: they are given up."""
        rows = await self._database.read(lambda tx: tx.all(ledger.PARTS))
        gone: set[str] = set()
        for upload, blob in rows:
            known = _number(blob) in self._there or upload in gone
            if not known and not await self._readable(blob):
                row = await self._database.first(tables.UPLOAD, id=upload)
                if row is not None and not row[7]:  # not finished or ended meanwhile
                    gone.add(upload)
        self._drift.broken += sorted(gone)
        for upload in gone if self._repair else ():
            await self._database.write(lambda tx, upload=upload: give_up(tx, upload))  # type: ignore[misc]  # bound early

    async def _recounted(self) -> bool:
        """Compare the counters, exactly under parallel writes; whether there are any."""
        if self._repair:
            said, true = await self._database.write(_recount)
        else:
            said, true = await self._database.read(_counted)
        empty = said is None and true == (0, 0, 0)
        if said != true and not empty:
            self._drift.counted = (said, true)
        return not empty


def _number(blob: str) -> int:
    """A blob's name in a few bytes: a tenant may have millions."""
    return hash(blob)


async def _plan(tx: Transaction, names: list[str], due: int) -> None:
    """What is held by now stays: the look at it was a moment ago."""
    for name in names:
        if await tx.first(tables.HOLDS, blob=name) is None:
            await queue(tx, name, due)


async def _counted(tx: Transaction) -> tuple[Counts | None, Counts]:
    row = await tx.first(ledger.COUNTS)
    assert row is not None
    said = None if row[0] is None else (int(row[0]), int(row[1]), int(row[2]))
    return said, (int(row[3]), int(row[4]), int(row[5]))


async def _recount(tx: Transaction) -> tuple[Counts | None, Counts]:
    """Behind the lock that every change of the tenant's storage takes first."""
    said, true = await _counted(tx)
    if said is None and true == (0, 0, 0):
        return said, true
    await lock_usage(tx)
    again, true = await _counted(tx)
    said = said if said is None else again
    if said != true:
        await tx.run(ledger.SET_USAGE, bytes=true[0], objects=true[1], reserved=true[2])
    return said, true
