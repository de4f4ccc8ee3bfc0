"""A document, and how it lies in its row: the encrypted fields apart, sealed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from tause_mcp.capability import Cipher
from tause_mcp.errors import Invalid
from tause_mcp.services.database.definition import Definition
from tause_mcp.services.database.values import ABSENT, Key, at, encoded, key_of, put, unique_key
from tause_mcp.times import iso

MAX_REFERENCES = 100
"""References of one document."""
_OWN = frozenset({"id", "version", "created_at", "updated_at"})
"""What `where` and `order_by` find of the document itself, unless its data has such a member."""


@dataclass(frozen=True, slots=True)
class Document:
    """One document. Times in epoch microseconds."""

    id: str
    version: int
    data: dict[str, Any]
    created_at: int
    updated_at: int

    def value(self, path: str) -> Any:
        """The value at a path, or `ABSENT`."""
        found = at(self.data, path)
        if found is ABSENT and path in _OWN:
            own = getattr(self, path)
            return iso(own) if path.endswith("_at") else own
        return found

    def told(self) -> dict[str, Any]:
        """As a caller sees it."""
        return {
            "id": self.id,
            "version": self.version,
            "data": self.data,
            "created_at": iso(self.created_at),
            "updated_at": iso(self.updated_at),
        }


def place(collection: str, document_id: str) -> str:
    """Where a document's encrypted fields are sealed."""
    return f"documents/{collection}/{document_id}"


def opened(row: Any, collection: str, cipher: Cipher | None) -> Document:
    """A document of its row. `cipher` is needed when the row has a sealed part."""
    document_id, version, text, sealed, created_at, updated_at = row
    data = orjson.loads(text)
    if sealed is not None:
        if cipher is None:
            raise SealedUnexpectedly
        for path, value in orjson.loads(cipher.open(place(collection, document_id), bytes(sealed))):
            put(data, path, value)
    return Document(document_id, version, data, created_at, updated_at)


class SealedUnexpectedly(Exception):
    """A part is sealed and no cipher at hand: get one, then do the work again."""


class Entry(NamedTuple):
    """One row of the side table."""

    field: str
    key: Key
    unique: str | None


class Stored(NamedTuple):
    """A document as its rows will be."""

    text: str
    sealed: bytes | None
    entries: list[Entry]
    references: list[tuple[str, str, str]]
    """Field, target collection, target id."""


def stored(
    definition: Definition, document: Document, argument: str, cipher: Cipher | None
) -> Stored:
    """Check a document against its collection, and lay it out.

    Raises:
        Invalid, TooLarge: naming the place in `argument`.
    """
    rules = definition.rules
    text = encoded(document.data, argument)
    rules.check(document.data, argument)
    sealed = None
    if rules.encrypted:
        if cipher is None:
            raise SealedUnexpectedly
        text, sealed = _sealed(text, rules.encrypted, place(definition.name, document.id), cipher)
    return Stored(
        text,
        sealed,
        entries_of(definition, document, argument),
        list(_references(rules.references, document, argument)),
    )


def _sealed(
    text: str, encrypted: tuple[str, ...], where: str, cipher: Cipher
) -> tuple[str, bytes | None]:
    open_part = orjson.loads(text)
    kept = []
    for path in encrypted:
        if (value := at(open_part, path)) is not ABSENT:
            kept.append([path, value])
            put(open_part, path, ABSENT)
    if not kept:
        return text, None
    return orjson.dumps(open_part).decode(), cipher.seal(where, orjson.dumps(kept))


def entries_of(definition: Definition, document: Document, argument: str) -> list[Entry]:
    """The rows of the side table that a document has."""
    told = []
    for path in definition.indexed:
        value = document.value(path)
        if isinstance(value, str) and "\0" in value:
            where = f"{argument}.{path}"
            raise Invalid(f"{where}: an indexed text holds no NUL", field=where)
        unique = unique_key(value) if path in definition.unique else None
        told.append(Entry(path, key_of(value), unique))
    return told


def _references(
    declared: Mapping[str, str], document: Document, argument: str
) -> list[tuple[str, str, str]]:
    told: dict[tuple[str, str], str] = {}
    for path, target in declared.items():
        value = at(document.data, path)
        if value is ABSENT or value is None:
            continue
        for one in value if isinstance(value, list) else (value,):
            if not isinstance(one, str):
                where = f"{argument}.{path}"
                raise Invalid(f"{where}: refers by a text, the id in {target}", field=where)
            told[path, one] = target
    if len(told) > MAX_REFERENCES:
        raise Invalid(f"{argument}: at most {MAX_REFERENCES} references", field=argument)
    return [(path, target, one) for (path, one), target in told.items()]
