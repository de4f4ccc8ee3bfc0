"""The intents of one tenant and one kind: how each row moves, and when it is looked at again."""

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from tause_mcp import due, log, times
from tause_mcp.database import Statement, TenantDatabase, Transaction
from tause_mcp.errors import NotFound, TauseError
from tause_mcp.intents.statements import PENDING, Statements, page_after

SOON = 2 * times.SECOND
"""Until the first look at what was sent a moment ago."""
LEAD = 30 * times.SECOND
"""Until somebody else sends what its maker did not."""
CLAIM = 120 * times.SECOND
"""Microseconds that a claim holds: several times longer than a post may take."""
POST_WITHIN = 60.0
"""Seconds after which its holder may not post any more."""
APART = 60 * times.SECOND
"""Microseconds between the two looks that have to find nothing."""


class Intent(Protocol):
    """What every row has."""

    @property
    def id(self) -> str: ...
    @property
    def sent_at(self) -> int | None: ...
    @property
    def unsent(self) -> str:
        """The state of what is not sent, or not any more."""


R = TypeVar("R", bound=Intent)
Look = Callable[[R], Awaitable[R | None]]
"""Asks the provider for an intent and takes over what it says; None: it knows nothing of it."""


@dataclass(frozen=True, slots=True)
class Book(Generic[R]):
    """The rows of one tenant. `kind`: how the rows of `due` name one; `row_of` makes one of its
    columns; `changed` is told the id of each that moved."""

    database: TenantDatabase
    statements: Statements
    kind: str
    row_of: Callable[..., R]
    changed: Callable[[str], None] = lambda id_: None

    # reading ----------------------------------------------------------------------------------

    async def row(self, id_: str) -> R:
        """One intent; `NotFound` when absent, or another tenant's: both alike."""
        found = await self.database.first(self.statements.get, of=id_)
        if found is None:
            raise NotFound(f"no such {self.kind}", field="id")
        return self.row_of(*found)

    async def last(self, name: str, environment: str) -> R | None:
        """The last attempt at what a caller calls so."""
        of = {"of_name": name, "of_environment": environment}
        found = await self.database.first(self.statements.last, **of)
        return None if found is None else self.row_of(*found)

    async def recent(
        self, status: str | None, name: str | None, after: tuple[int, str] | None, most: int
    ) -> list[R]:
        """At most `most`, newest first, behind a `(created_at, id)`."""
        told = {"wanted": status or "", "of_name": name or "", **page_after(after, most)}
        rows = await self.database.read(lambda tx: tx.all(self.statements.recent, **told))
        return [self.row_of(*row) for row in rows]

    # making -----------------------------------------------------------------------------------

    async def place(
        self,
        tx: Transaction,
        of: Mapping[str, str],
        following: Callable[[R, bool], int | None],
        make: Callable[[int], dict[str, Any]],
        *,
        retry: bool,
    ) -> tuple[R, bool]:
        """The row that stands for a call, and whether it was made just now.

        `of`: `of_name` and `of_environment`. `following`: the number of the next attempt behind the
        last one, None when that stands for this call, or a `Conflict`. `make`: its columns; what
        is missing of them is empty.
        """
        last, number = await tx.first(self.statements.last, **of), 1
        if last is not None:
            row = self.row_of(*last)
            next_number = following(row, retry)
            if next_number is None:
                return row, False
            number = next_number
        values = make(number)
        await tx.run(self.statements.insert, **{**self.statements.blank, **values})
        found = await tx.first(self.statements.last, **of)
        assert found is not None, "the attempt is there, whoever made it"
        row = self.row_of(*found)
        if row.id != values["id"]:  # a racer's: it is ours too, if it says the same
            following(row, False)
        return row, row.id == values["id"]

    # sending ----------------------------------------------------------------------------------

    async def claim(self, row: R, **told: Any) -> str | None:
        """Take one that waits, to post it once; None: somebody else has it, or it waits no more."""
        claim = secrets.token_hex(8)

        async def work(tx: Transaction) -> bool:
            now = times.now()
            mine = {"of": row.id, "of_claim": claim, "former": row.unsent}
            taken = await tx.run(self.statements.claim, **mine, until=now + CLAIM, now=now, **told)
            if taken:  # whoever finds it after this process died
                await due.put(tx, self.kind, row.id, now + CLAIM)
            return bool(taken)

        if not await self.database.write(work):
            return None
        self.changed(row.id)
        return claim

    async def release(self, row: R, claim: str, at: int | None = None, **told: Any) -> None:
        """Nothing was sent: it waits again, and may be sent by anybody; looked at `at`, or soon."""

        async def work(tx: Transaction) -> bool:
            now = times.now()
            mine = {"of": row.id, "of_claim": claim, "former": row.unsent, "now": now}
            given = await tx.run(self.statements.release, **mine, **told)
            if given:
                await due.put(tx, self.kind, row.id, now + SOON if at is None else at)
            return bool(given)

        if await self.database.write(work):
            self.changed(row.id)

    async def doubt(self, row: R, claim: str) -> R:
        """It was or may have been sent: nothing more is posted, and it is looked up soon."""

        async def work(tx: Transaction) -> None:
            now = times.now()
            if await tx.run(self.statements.doubt, of=row.id, of_claim=claim, now=now):
                await due.put(tx, self.kind, row.id, now + SOON)

        await self.database.write(work)
        return await self.row(row.id)

    async def used(self, row: R, claim: str, look: "Look[R]", said: str) -> R:
        """The provider says that it has it already: what it shows is this intent. `said`: the
        problem, when it shows nothing."""
        fresh = await self.doubt(row, claim)
        try:
            seen = await look(fresh)
        except TauseError:
            return fresh
        return await self.trouble(fresh, said) if seen is None else seen

    async def refused(self, row: R, claim: str, look: "Look[R]", message: str) -> R:
        """Nothing was made of it. What was sent before may have been: that is looked up first."""
        if row.sent_at is not None:
            try:
                seen = await look(row)
            except TauseError:
                return await self.doubt(row, claim)
            if seen is not None:
                return seen
        await self.end(row.id, self.statements.refuse, of_claim=claim, message=message[:500])
        return await self.row(row.id)

    # what becomes of it -----------------------------------------------------------------------

    async def missed(self, row: R, asked: int, at: int | None = None) -> R:
        """The provider, asked at that moment, knew nothing of it. Count that, when nobody may be
        posting it; the second time, a minute later, give it back, to be looked at `at`, or soon."""
        if await self.count(
            row.id,
            asked,
            self.statements.missed,
            self.statements.give_back,
            asked + SOON if at is None else at,
            former=row.unsent,
        ):
            self.changed(row.id)
        return await self.row(row.id)

    async def count(
        self, id_: str, asked: int, miss: Statement, back: Statement, at: int | None, **told: Any
    ) -> bool:
        """A look that found nothing; whether that was enough. Then it is looked at `at`, or never."""

        async def work(tx: Transaction) -> bool:
            await tx.run(miss, of=id_, now=asked)
            given = await tx.run(back, of=id_, now=asked, since=asked - APART, **told)
            if given and at is None:
                await due.end(tx, self.kind, id_)
            elif given and at is not None:
                await due.put(tx, self.kind, id_, at)
            return bool(given)

        return await self.database.write(work)

    async def end(self, id_: str, move: Statement, **told: Any) -> bool:
        """A move after which nothing is looked at any more; whether it was made."""

        async def work(tx: Transaction) -> bool:
            moved = await tx.run(move, of=id_, now=times.now(), **told)
            if moved:
                await due.end(tx, self.kind, id_)
            return bool(moved)

        if moved := await self.database.write(work):
            self.changed(id_)
        return moved

    async def adopt(
        self, tx: Transaction, id_: str, target: str, move: Statement, **told: Any
    ) -> bool:
        """Take over what the provider says; whether it was news. What is pending is looked at
        again soon."""
        now = times.now()
        moved = await tx.run(move, of=id_, now=now, **told)
        if moved and target == PENDING:
            await due.put(tx, self.kind, id_, now + SOON)
        elif moved:
            await due.end(tx, self.kind, id_)
        return bool(moved)

    async def trouble(self, row: R, said: str) -> R:
        """Record what does not fit, once, and tell the security log."""
        told = {"of": row.id, "said": said, "now": times.now()}
        if await self.database.write(lambda tx: tx.run(self.statements.problem, **told)):
            log.security.warning(
                f"{self.kind}_does_not_fit",
                tenant=self.database.tenant,
                why=said,
                **{self.kind: row.id},
            )
            self.changed(row.id)
        return await self.row(row.id)
