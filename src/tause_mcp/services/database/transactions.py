"""Several changes that all happen or none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Required

from typing_extensions import TypedDict

from tause_mcp.capability import Cipher
from tause_mcp.database import TenantDatabase, Transaction
from tause_mcp.errors import Invalid, TauseError
from tause_mcp.services.database.definition import REMEMBERED, Definition
from tause_mcp.services.database.documents import Document, stored
from tause_mcp.services.database.names import check_id, check_name, fresh_id
from tause_mcp.services.database.values import encoded
from tause_mcp.services.database.writing import Writer
from tause_mcp.times import now

MAX_OPERATIONS = 100
Op = Literal["insert", "update", "delete"]


class Operation(TypedDict, total=False):
    """One change, as a caller states it."""

    op: Required[Op]
    collection: Required[str]
    id: str
    document: dict[str, Any]
    changes: dict[str, Any]
    version: int


_TAKES: Mapping[str, frozenset[str]] = {
    "insert": frozenset({"op", "collection", "id", "document"}),
    "update": frozenset({"op", "collection", "id", "changes", "version"}),
    "delete": frozenset({"op", "collection", "id", "version"}),
}


def checked(operations: Sequence[Operation]) -> None:
    """Raise `Invalid`, with the number of the operation, where one is not whole."""
    if not 0 < len(operations) <= MAX_OPERATIONS:
        raise Invalid(f"operations: from 1 to {MAX_OPERATIONS}", field="operations")
    for n, one in enumerate(operations):
        place = f"operations.{n}"
        if extra := set(one) - _TAKES[one["op"]]:
            raise _wrong(f"{place}.{min(extra)}", f"is nothing that {one['op']} takes")
        check_name(one["collection"], f"{place}.collection")
        if "id" in one:
            check_id(one["id"], f"{place}.id")
        elif one["op"] != "insert":
            raise _wrong(f"{place}.id", "names the document")
        if one["op"] == "update":
            encoded(one.get("changes", {}), f"{place}.changes")


def _wrong(place: str, reason: str) -> Invalid:
    return Invalid(f"{place}: {reason}", field=place)


@dataclass
class Batch:
    """The operations of one call, within one transaction."""

    tx: Transaction
    database: TenantDatabase
    cipher: Cipher | None
    most: int | None
    definitions: dict[str, Definition] = field(default_factory=dict)

    async def run(self, operations: Sequence[Operation]) -> list[dict[str, Any]]:
        """Do them in order; each sees what those before it did.

        Raises:
            TauseError: naming the operation; then none has happened.
        """
        writer = Writer(self.tx, self.database.dialect, self.cipher, self.most)
        for name in sorted({one["collection"] for one in operations}):
            place = next(n for n, one in enumerate(operations) if one["collection"] == name)
            with _at(f"operations.{place}"):
                self.definitions[name] = await REMEMBERED.held(self.tx, self.database.tenant, name)
        if any(one["op"] != "update" for one in operations):
            await writer.count(0)  # before any document, so that two transactions do not cross
        told = []
        for n, one in enumerate(operations):
            with _at(f"operations.{n}"):
                told.append(await self._one(writer, one, f"operations.{n}"))
        return told

    async def _one(self, writer: Writer, one: Operation, place: str) -> dict[str, Any]:
        definition = self.definitions[one["collection"]]
        told: dict[str, Any] = {"op": one["op"], "collection": one["collection"]}
        if one["op"] == "insert":
            fresh = self._fresh(definition, one)
            argument = f"{place}.document"
            laid = stored(definition, fresh, argument, self.cipher)
            await writer.insert(definition, fresh, laid, argument)
            return {**told, "id": fresh.id, "version": 1}
        if one["op"] == "update":
            changed = await writer.update(
                definition,
                one["id"],
                one.get("changes", {}),
                one.get("version"),
                f"{place}.changes",
            )
            return {**told, "id": changed.id, "version": changed.version}
        deleted = await writer.delete(definition, one["id"], one.get("version"))
        return {**told, "id": one["id"], "deleted": deleted}

    @staticmethod
    def _fresh(definition: Definition, one: Operation) -> Document:
        whole = definition.rules.completed(one.get("document", {}))
        moment = now()
        return Document(one.get("id") or fresh_id(), 1, whole, moment, moment)


class _at:  # noqa: N801  # reads as a preposition
    """Names the operation in an error that does not."""

    def __init__(self, place: str) -> None:
        self._place = place

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if not isinstance(error, TauseError) or (error.field or "").startswith("operations"):
            return
        inner = f".{error.field}" if error.field else ""
        raise type(error)(
            f"{self._place}: {error}", field=f"{self._place}{inner}", retry_after=error.retry_after
        ) from None
