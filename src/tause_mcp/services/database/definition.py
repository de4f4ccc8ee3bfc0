"""A collection as it is defined, and what this process remembers of it."""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

from tause_mcp import times
from tause_mcp.database import TenantDatabase, Transaction
from tause_mcp.errors import Invalid, NotFound
from tause_mcp.services.database import tables
from tause_mcp.services.database.names import check_field
from tause_mcp.services.database.schemas import Rules, compiled, refuse_sealed
from tause_mcp.tenancy import TenantId

MAX_INDEXES = 20
_REMEMBERED = 2048


@dataclass(frozen=True)
class Definition:
    """A collection's schema and indexes. `stamp` is another after every change, anywhere."""

    name: str
    stamp: str
    version: int
    schema: str
    declared: tuple[str, ...]
    created_at: int
    updated_at: int

    @classmethod
    def of(cls, row: Any) -> "Definition":
        name, stamp, version, schema, indexes, created_at, updated_at = row
        fields = tuple(orjson.loads(indexes))
        return cls(name, stamp, version, schema, fields, created_at, updated_at)

    @cached_property
    def rules(self) -> Rules:
        return compiled(self.schema)

    @cached_property
    def indexed(self) -> tuple[str, ...]:
        """The fields that are found by index: the declared ones and the unique ones."""
        return tuple(dict.fromkeys((*self.declared, *self.rules.unique)))

    @cached_property
    def unique(self) -> frozenset[str]:
        return frozenset(self.rules.unique)

    def told(self) -> dict[str, Any]:
        """As a caller sees it, without its schema."""
        return {
            "name": self.name,
            "version": self.version,
            "indexes": list(self.indexed),
            "created_at": times.iso(self.created_at),
            "updated_at": times.iso(self.updated_at),
        }


def check_indexes(fields: Iterable[str], rules: Rules) -> tuple[str, ...]:
    """The declared fields, each once; `Invalid` when one cannot be indexed."""
    told = tuple(dict.fromkeys(check_field(path, "indexes") for path in fields))
    if len(told) > MAX_INDEXES:
        raise Invalid(f"indexes: at most {MAX_INDEXES}", field="indexes")
    refuse_sealed(rules.encrypted, told, "indexes")
    return told


def no_collection(field: str = "collection") -> NotFound:
    return NotFound(
        "no such collection: database_list_collections shows what there is", field=field
    )


class Remembered:
    """Definitions that this process has read. Whoever changes a document proves the stamp again
    in its own transaction, so an old one is noticed and never used."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[TenantId, str], Definition] = OrderedDict()

    def get(self, tenant: TenantId, name: str) -> Definition | None:
        return self._kept.get((tenant, name))

    def keep(self, tenant: TenantId, definition: Definition) -> Definition:
        self._kept[tenant, definition.name] = definition
        self._kept.move_to_end((tenant, definition.name))
        if len(self._kept) > _REMEMBERED:
            self._kept.popitem(last=False)
        return definition

    async def read(self, database: TenantDatabase, name: str) -> Definition:
        """As the database has it now; `NotFound` when it has none."""
        row = await database.first(tables.DEFINITION, collection=name)
        return self._taken(database.tenant, name, row)

    async def current(self, tx: Transaction, tenant: TenantId, name: str) -> Definition:
        """As this transaction sees it: one short read when it is the one remembered."""
        known = self.get(tenant, name)
        if known is not None:
            row = await tx.first(tables.STAMP, collection=name)
            if row is not None and row[0] == known.stamp:
                return known
        return self._taken(tenant, name, await tx.first(tables.DEFINITION, collection=name))

    async def held(self, tx: Transaction, tenant: TenantId, name: str) -> Definition:
        """As it stays until this transaction ends."""
        row = await tx.first(tables.HOLD, collection=name)
        known = self.get(tenant, name)
        if row is not None and known is not None and row[1] == known.stamp:
            return known
        return self._taken(tenant, name, row)

    def _taken(self, tenant: TenantId, name: str, row: Any) -> Definition:
        if row is None:
            self._kept.pop((tenant, name), None)
            raise no_collection()
        return self.keep(tenant, Definition.of(row))


REMEMBERED = Remembered()
"""Of this process. A stamp is never given twice, so several houses in it do not mix."""
