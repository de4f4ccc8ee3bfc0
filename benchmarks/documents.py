"""Requests of `database`: documents of a small collection, by id, by index, and new ones."""

import itertools
from collections.abc import Iterator

from benchmarks.servers import ask
from benchmarks.wire import Call, Door, Exchange, Form, tool

COLLECTION = "bench"
_MARK = "@" * 16
_NOTE = "." * 500
_serial = itertools.count(1)


def seed(door: Door, most: int) -> None:
    """Make the collection and a document for each connection.

    Raises:
        LookupError: the server did not.
    """
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}, "code": {"type": "string"}},
        "required": ["n", "code"],
    }
    named = {"name": COLLECTION, "schema": schema, "indexes": ["n"]}
    ask(door, "tools/call", {"name": "database_create_collection", "arguments": named})
    for connection in range(most):
        document = {"n": connection, "code": _code(connection), "note": _NOTE}
        told = {"collection": COLLECTION, "id": f"d{connection}", "document": document}
        ask(door, "tools/call", {"name": "database_insert", "arguments": told})


def _code(connection: int) -> str:
    return f"code-{connection:06d}-of-the-document"


def get(door: Door, form: Form) -> Call:
    def requests(connection: int) -> Iterator[Exchange]:
        named = {"collection": COLLECTION, "id": f"d{connection}"}
        request = tool(door, form, "database_get", named)
        return itertools.repeat((request, _code(connection).encode()))

    return requests


def find(door: Door, form: Form) -> Call:
    """One document of many, by a declared index."""

    def requests(connection: int) -> Iterator[Exchange]:
        asked = {"collection": COLLECTION, "where": {"n": connection}, "limit": 1}
        request = tool(door, form, "database_find", asked)
        return itertools.repeat((request, _code(connection).encode()))

    return requests


def insert(door: Door, form: Form) -> Call:
    """A new document each time, under the schema and in the index."""

    def requests(connection: int) -> Iterator[Exchange]:
        document = {"n": -1 - connection, "code": _MARK, "note": _NOTE}
        told = {"collection": COLLECTION, "document": document}
        head, tail = tool(door, form, "database_insert", told).split(_MARK.encode())
        for number in _serial:
            code = b"%016d" % number
            yield head + code + tail, code

    return requests
