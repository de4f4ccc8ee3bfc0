"""Writers that remember what was acknowledged, to compare with what is there after a kill."""

import random
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tause_mcp.testing.walk_wire import Answer, Speaker

ABSENT = ""
SMALL, LARGE = 300, 30_000
"""Characters: one in the row, one in a blob of its own."""


class Lost(AssertionError):
    """Something acknowledged is not there, or something is there that nobody wrote."""


@dataclass
class Objects:
    """Puts, replaces and deletes a few objects."""

    name: str
    speaker: Speaker
    draw: random.Random
    keys: int = 3
    known: dict[str, str] = field(default_factory=dict)
    """Key -> what was acknowledged last."""
    maybe: dict[str, str] = field(default_factory=dict)
    """Key -> what was being written when the process died."""
    acknowledged: int = 0
    _serial: int = 0

    async def step(self) -> None:
        """One change. Raises what httpx2 raises when the process dies meanwhile."""
        key = f"{self.name}/{self.draw.randrange(self.keys)}"
        if self.known.get(key, ABSENT) != ABSENT and self.draw.random() < 0.2:
            await self._change("storage_delete", {"key": key}, key, ABSENT)
            return
        self._serial += 1
        size = self.draw.choice((SMALL, LARGE))
        content = f"{self.name}:{self._serial}:".ljust(size, str(self._serial % 10))
        await self._change("storage_put", {"key": key, "content": content}, key, content)

    async def _change(self, tool: str, arguments: dict[str, Any], key: str, after: str) -> None:
        self.maybe[key] = after
        answer = await self.speaker.tool(tool, arguments)
        if not answer.value:
            raise Lost(f"{tool} failed: {answer.body[:300]}")
        self.known[key] = self.maybe.pop(key)
        self.acknowledged += 1

    async def check(self) -> None:
        """Each object is what was acknowledged, or what was being written: whole, either way."""
        for key in {*self.known, *self.maybe}:
            found = await self._content(key)
            whole = {self.known.get(key, ABSENT)} | {
                self.maybe.get(key, self.known.get(key, ABSENT))
            }
            if found not in whole:
                raise Lost(f"{key}: {found[:40]!r} of {len(found)} characters")
            self.known[key] = found
        self.maybe.clear()

    async def _content(self, key: str) -> str:
        """What is stored, read in ranges: the digest is not trusted, the bytes are."""
        told, start = "", 0
        while True:
            answer = await self.speaker.tool("storage_get", {"key": key, "range": f"{start}-"})
            value = answer.value
            if not value:
                if "not_found" in answer.body and not told:
                    return ABSENT
                raise Lost(f"{key} cannot be read: {answer.body[:300]}")
            told += value["content"]
            start = len(told)
            if start >= value["size"]:
                return told


@dataclass
class Keys:
    """Makes API keys."""

    speaker: Speaker
    made: list[str] = field(default_factory=list)
    acknowledged: int = 0
    _checked: int = 0

    async def step(self) -> None:
        answer = await self.speaker.tool("access_create_key", {"role": "viewer", "name": "k"})
        if not answer.value:
            raise Lost(f"access_create_key failed: {answer.body[:300]}")
        self.made.append(answer.value["key"])
        self.acknowledged += 1

    async def check(self) -> None:
        """Every key that was handed out since the last check opens the door."""
        for key in self.made[self._checked :]:
            holder = Speaker(self.speaker.http, key)
            answer = await holder.tool("access_whoami", {})
            if answer.value.get("tenant") != "default":
                raise Lost(f"a key that was handed out is refused: {answer.body[:200]}")
        self._checked = len(self.made)


@dataclass
class Resumed:
    """A resumable upload, piece by piece, over as many processes as it takes."""

    speaker: Speaker
    acknowledged: int = 0
    finished: int = 0
    _path: str = ""
    _sent: int = 0
    _serial: int = 0
    _piece: int = 40_000
    _length: int = 200_000

    async def step(self) -> None:
        if not self._path:
            await self._begin()
            return
        piece = self._content()[self._sent : self._sent + self._piece]
        headers = {**_TUS, "upload-offset": str(self._sent)}
        answer = await self._tus("PATCH", self._path, headers, piece)
        if answer.status == 409:  # what the dead process took before it could say so
            await self.check()
            return
        if answer.status != 204:
            raise Lost(f"PATCH: {answer.status} {answer.body[:200]}")
        self._sent += len(piece)
        self.acknowledged += 1
        if self._sent == self._length:
            await self._end()

    async def _begin(self) -> None:
        self._serial += 1
        signed = await self.speaker.tool("storage_sign_url", {"key": self._key, "method": "PUT"})
        headers = {**_TUS, "upload-length": str(self._length)}
        answer = await self._tus("POST", signed.value["url"], headers)
        self._path, self._sent = dict(answer.headers)["location"], 0

    async def _end(self) -> None:
        stat = await self.speaker.tool("storage_stat", {"key": self._key})
        if stat.value.get("size") != self._length:
            raise Lost(f"a finished upload is not there: {stat.body[:200]}")
        self.finished += 1
        self._path = ""

    @property
    def _key(self) -> str:
        return f"resumed/{self._serial % 3}"

    def _content(self) -> bytes:
        return f"{self._serial}:".encode().ljust(self._length, b"u")

    async def _tus(
        self, verb: str, path: str, headers: dict[str, str], content: bytes | None = None
    ) -> Answer:
        return await Speaker(self.speaker.http, "").send(verb, path, headers, content)

    async def check(self) -> None:
        """Every piece that was acknowledged is there."""
        if not self._path:
            return
        answer = await self._tus("HEAD", self._path, _TUS)
        told = dict(answer.headers).get("upload-offset")
        if answer.status != 200 or told is None or int(told) < self._sent:
            raise Lost(f"an upload was at {self._sent} and is at {told} ({answer.status})")
        self._sent = int(told)
        if self._sent == self._length:
            await self._end()


_TUS = {"tus-resumable": "1.0.0", "content-type": "application/offset+octet-stream"}
DEATH = (httpx2.TransportError,)
