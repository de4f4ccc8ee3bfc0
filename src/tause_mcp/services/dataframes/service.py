"""Frames: tables of one tenant, each a Parquet object of its storage, asked in SQL."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from tause_mcp.capability import Cipher
from tause_mcp.database import TenantDatabase, Transaction
from tause_mcp.errors import Invalid, NotFound, TooLarge
from tause_mcp.services.dataframes import tables
from tause_mcp.services.dataframes.engine import Engine
from tause_mcp.services.storage import Storage, StoredObject
from tause_mcp.times import iso, now

NAME_PATTERN = r"^[a-z][a-z0-9_]{0,62}$"
MOST_ROWS = 1_000_000
MOST_COLUMNS = 200
MOST_MEMORY = 256 << 20
"""Bytes of one frame once it is unpacked."""
MOST_TOGETHER = 512 << 20
"""Bytes of all frames that one query reads."""
MOST_SOURCE = 64 << 20
"""Bytes of a stored object that a frame is made of."""
MOST_ANSWER_ROWS = 10_000
MOST_ANSWER_BYTES = 2 << 20
PARQUET = "application/vnd.apache.parquet"

_BOUNDS = {"most_rows": MOST_ROWS, "most_columns": MOST_COLUMNS, "most_memory": MOST_MEMORY}
_FORMATS: Mapping[str, str] = {
    "csv": "csv",
    "json": "json",
    "ndjson": "ndjson",
    "jsonl": "ndjson",
    "parquet": "parquet",
    "text/csv": "csv",
    "application/json": "json",
    "application/x-ndjson": "ndjson",
    PARQUET: "parquet",
}


@dataclass(frozen=True, slots=True)
class Frame:
    """What is told of a frame. `memory` in bytes unpacked; `updated_at` in epoch microseconds."""

    name: str
    rows: int
    width: int
    """How many columns it has."""
    size: int
    memory: int
    updated_at: int

    def told(self) -> dict[str, Any]:
        """As callers see it."""
        told = {"name": self.name, "rows": self.rows, "columns": self.width}
        return {**told, "size": self.size, "updated_at": iso(self.updated_at)}


class Frames:
    """The frames of the tenant that `database` and `storage` are bound to."""

    def __init__(
        self,
        database: TenantDatabase,
        storage: Storage,
        engine: Engine,
        cipher: Callable[[], Awaitable[Cipher]],
    ) -> None:
        self._database = database
        self._cipher = cipher
        self._objects = storage
        self._own = storage.reserved()
        self._engine = engine

    async def get(self, name: str) -> Frame:
        """A frame; `NotFound` when there is none."""
        return Frame(*(await self._row(name))[:6])

    async def describe(self, name: str) -> dict[str, Any]:
        """What is told of a frame and of each column: `{name, type, nulls, min?, max?}`."""
        row = await self._row(name)
        columns = (await self._cipher()).open(_place(name), bytes(row[6]))
        return {**Frame(*row[:6]).told(), "columns": orjson.loads(columns)}

    async def _row(self, name: str) -> tuple[Any, ...]:
        row = await self._database.first(tables.GET, name=name)
        if row is None:
            raise absent("name")
        return row

    async def list(self, after: str = "", limit: int = 50) -> list[Frame]:
        """Up to `limit` frames whose name sorts behind `after`."""
        rows = await self._database.read(lambda tx: tx.all(tables.LIST, after=after, count=limit))
        return [Frame(*row) for row in rows]

    async def put(self, name: str, kind: str, body: bytes, field: str) -> Frame:
        """Make, or replace, a frame of `body`: `records` (a JSON list of objects) or `csv`.

        Raises:
            Invalid, with `field`: it cannot be a frame, and why. TooLarge, QuotaExceeded.
        """
        async with self._engine.turn(self._database.tenant):
            return await self._made(name, kind, body, field)

    async def put_object(self, name: str, key: str) -> Frame:
        """Make, or replace, a frame of a stored object: CSV, JSON, NDJSON or Parquet."""
        async with self._engine.turn(self._database.tenant):
            reading = await self._objects.open(key)
            if reading.object.size > MOST_SOURCE:
                raise TooLarge(f"the object is over {MOST_SOURCE >> 20} MiB", field="key")
            return await self._made(name, _format(reading.object), await reading.whole(), "key")

    async def _made(self, name: str, kind: str, body: bytes, field: str) -> Frame:
        try:
            job = {"task": "load", "format": kind, **_BOUNDS}
            told, packed = await self._engine.run(self._database.tenant, job, [body])
        except Invalid as wrong:
            raise Invalid(f"{field}: {wrong}", field=field) from None
        columns = told["columns"]
        frame = Frame(name, told["rows"], len(columns), len(packed), told["memory"], now())
        sealed = (await self._cipher()).seal(_place(name), orjson.dumps(columns))
        key = _key(name)
        kept = await self._own.stage(key, packed)

        async def also(tx: Transaction) -> None:
            await tx.run(
                tables.PUT,
                name=name,
                height=frame.rows,
                width=frame.width,
                columns=sealed,
                size=frame.size,
                memory=frame.memory,
                updated_at=frame.updated_at,
            )

        await self._own.commit(key, kept, content_type=PARQUET, also=also)
        return frame

    async def delete(self, name: str) -> None:
        """Remove a frame; `NotFound` when there is none."""

        async def also(tx: Transaction) -> None:
            await tx.run(tables.REMOVE, name=name)

        try:
            await self._own.delete(_key(name), also=also)
        except NotFound:
            raise absent("name") from None

    async def query(self, sql: str, allowed: Callable[[str], bool]) -> dict[str, Any]:
        """`{columns, rows, row_count, truncated}` of one SELECT over frames that are `allowed`.

        Raises:
            Invalid: no SELECT of the subset, or one that does not fit the frames.
            NotFound: it names what is no frame (or none that is allowed).
            TooLarge, DeadlineExceeded: it needs too much memory or time.
        """
        from tause_mcp.services.dataframes.statement import checked

        query = checked(sql)
        names = await self._named(sorted(query.tables), query.made, allowed)
        async with self._engine.turn(self._database.tenant):
            bodies = [await self._body(name) for name in names]
            job = {"task": "ask", "sql": query.sql, "frames": names}
            bounds = {"most_rows": MOST_ANSWER_ROWS, "most_bytes": MOST_ANSWER_BYTES}
            try:
                told, _ = await self._engine.run(self._database.tenant, {**job, **bounds}, bodies)
            except Invalid as wrong:
                raise Invalid(f"sql: {wrong}", field="sql") from None
        answer: dict[str, Any] = told
        return answer

    async def _named(
        self, tables_: Sequence[str], made: frozenset[str], allowed: Callable[[str], bool]
    ) -> Sequence[str]:
        """The frames that are meant, and together not too large; a WITH may hide one."""
        found, memory = [], 0
        for name in tables_:
            row = await self._database.first(tables.GET, name=name) if allowed(name) else None
            if row is not None:
                found.append(name)
                memory += Frame(*row[:6]).memory
            elif name not in made:
                raise absent("sql")
        if memory > MOST_TOGETHER:
            raise TooLarge(f"these frames are over {MOST_TOGETHER >> 20} MiB together", field="sql")
        return found

    async def _body(self, name: str) -> bytes:
        try:
            return await (await self._own.open(_key(name))).whole()
        except NotFound:  # deleted meanwhile
            raise absent("sql") from None


def absent(field: str) -> NotFound:
    """One text for what is unknown, foreign or out of scope."""
    return NotFound("no such frame: dataframes_list shows what there is", field=field)


def _place(name: str) -> str:
    return f"dataframes/{name}"


def _key(name: str) -> str:
    return f".tause/dataframes/{name}.parquet"


def _format(found: StoredObject) -> str:
    ending = found.key.rpartition(".")[2].lower()
    kind = _FORMATS.get(ending) or _FORMATS.get(found.content_type.partition(";")[0].strip())
    if kind is None:
        raise Invalid(
            "key: the object's name ends in .csv, .json, .ndjson or .parquet", field="key"
        )
    return kind
