"""A writer of documents that remembers what was acknowledged, in their rows and in their index."""

import random
from dataclasses import dataclass, field
from typing import Any

from tests.torture.writers import Lost

from tause_mcp.testing.walk_wire import Speaker

SCHEMA = {"properties": {"n": {"type": "integer", "unique": True}}}


@dataclass
class Documents:
    """Inserts, changes and deletes a few documents of its own collection."""

    name: str
    speaker: Speaker
    draw: random.Random
    ids: int = 3
    known: dict[str, int] = field(default_factory=dict)
    """Id -> the number that was acknowledged last; 0 for none."""
    maybe: dict[str, int] = field(default_factory=dict)
    """Id -> the number that was being written when the process died."""
    acknowledged: int = 0
    _serial: int = 0
    _made: bool = False

    async def step(self) -> None:
        if not self._made:
            await self._make()
            return
        one = f"d{self.draw.randrange(self.ids)}"
        named: dict[str, Any] = {"collection": self.name, "id": one}
        self._serial += 1
        number = {"n": self._serial}
        if not self.known.get(one):
            await self._change("database_insert", {**named, "document": number}, one)
        elif self.draw.random() < 0.3:
            await self._change("database_delete", named, one, gone=True)
        else:
            await self._change("database_update", {**named, "changes": number}, one)

    async def _make(self) -> None:
        told = {"name": self.name, "schema": SCHEMA}
        answer = await self.speaker.tool("database_create_collection", told)
        if not answer.value and "conflict" not in answer.body:  # made by the one that died
            raise Lost(f"database_create_collection failed: {answer.body[:300]}")
        self._made = True

    async def _change(
        self, tool: str, arguments: dict[str, Any], one: str, *, gone: bool = False
    ) -> None:
        after = 0 if gone else self._serial
        self.maybe[one] = after
        answer = await self.speaker.tool(tool, arguments)
        if not answer.value:
            raise Lost(f"{tool} failed: {answer.body[:300]}")
        self.known[one] = self.maybe.pop(one)
        self.acknowledged += 1

    async def check(self) -> None:
        """Each document is what was acknowledged, or what was being written, in row and index."""
        for one in sorted({*self.known, *self.maybe}):
            found = await self._number(one)
            known = self.known.get(one, 0)
            if found not in {known, self.maybe.get(one, known)}:
                raise Lost(f"{self.name}/{one} is {found}, and was {known}")
            self.known[one] = found
        self.maybe.clear()
        if self._made:
            await self._check_index()

    async def _number(self, one: str) -> int:
        told = {"collection": self.name, "id": one}
        answer = await self.speaker.tool("database_get", told)
        if not answer.value and "not_found" not in answer.body:
            raise Lost(f"{self.name}/{one} cannot be read: {answer.body[:300]}")
        return int(answer.value["data"]["n"]) if answer.value else 0

    async def _check_index(self) -> None:
        asked = {"collection": self.name, "order_by": ["n"], "total": True}
        answer = await self.speaker.tool("database_find", asked)
        found = {one["id"]: one["data"]["n"] for one in answer.value.get("items", ())}
        there = {one: number for one, number in self.known.items() if number}
        if found != there or answer.value.get("total") != len(there):
            raise Lost(f"the index of {self.name} has {found}, and there is {there}")
