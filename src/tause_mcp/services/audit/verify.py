"""The chain itself, pure: how a record is hashed, written as a line, and verified offline."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple

from tause_mcp import times

GENESIS = "0" * 64
"""What the first record of a chain follows."""
_DOMAIN = "tause/audit/v1"
_OLDEST, _NEWEST = 0, 253_402_300_799_999_999
"""What a calendar can write; a time outside was forged, and shows as changed."""


class Record(NamedTuple):
    """One change: who did what to the tenant, through which door. `at` is epoch microseconds.

    `digest` is SHA-256 over the operation and its arguments; the arguments are not recorded.
    `home` is the tenant that the actor came from, empty for the tenant's own.
    """

    tenant: str
    seq: int
    at: int
    actor: str
    home: str
    issuer: str
    credential: str
    action: str
    digest: str
    outcome: str
    door: str
    previous: str
    hash: str


class Head(NamedTuple):
    """The last record of a chain, as the chain's own book-keeping knows it."""

    tenant: str
    seq: int
    hash: str


def hash_of(record: Record) -> str:
    """The hash that a record should have."""
    return hash_fields(record[:-1])


def hash_fields(fields: tuple[str | int, ...]) -> str:
    """SHA-256 over a record's fields but the hash, each with its length in characters before it."""
    parts = [f"{len(text)}:{text}" for text in map(str, fields)]
    return sha256((_DOMAIN + "".join(parts)).encode("utf-8", "surrogatepass")).hexdigest()


def line_of(record: Record) -> str:
    """The record as one line of JSON, in ASCII: no input can break the line."""
    at = times.iso(min(max(record.at, _OLDEST), _NEWEST))
    return _line({**record._asdict(), "at": at})


def head_line(head: Head) -> str:
    """The line that closes a whole export: where the chain stood when it was made."""
    return _line({"head": head._asdict()})


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verification found. `broken_seq` is the first record that does not hold."""

    intact: bool
    records: int
    tenant: str = ""
    first: int = 0
    last: int = 0
    hash: str = ""
    broken_seq: int | None = None
    problem: str = ""

    @property
    def text(self) -> str:
        """The verdict in one line."""
        if not self.intact:
            return f"BROKEN at record {self.broken_seq}: {self.problem}"
        if not self.records:
            return "intact: no records"
        return f"intact: records {self.first} to {self.last} of {self.tenant}, head {self.hash}"


class Chain:
    """Verifies records in the order of the chain, one by one."""

    def __init__(self, tenant: str = "", *, whole: bool = False) -> None:
        self._tenant = tenant
        self._whole = whole
        self._first = self._last = self._count = 0
        self._hash = GENESIS
        self._broken: tuple[int, str] | None = None

    def take(self, record: Record) -> bool:
        """Whether the chain still holds with this record."""
        if self._broken is None and (problem := self._problem(record)):
            self._broken = problem
        if self._broken is not None:
            return False
        if not self._count:
            self._tenant, self._first = record.tenant, record.seq
        self._count += 1
        self._last, self._hash = record.seq, record.hash
        return True

    def _problem(self, record: Record) -> tuple[int, str] | None:
        expected = self._last + 1
        if type(record.seq) is not int:
            return expected, "it was changed"
        if self._tenant and record.tenant != self._tenant:
            return expected, "a record of another tenant is among them"
        if not self._count:
            if record.seq < 1 or (record.seq == 1 and record.previous != GENESIS):
                return record.seq, "it is not the beginning of a chain"
            if record.seq > 1 and self._whole:
                return expected, "it is missing"
        elif record.seq > expected:
            return expected, "it is missing"
        elif record.seq < expected:
            return record.seq, "it was inserted or moved"
        elif record.previous != self._hash:
            return record.seq, "it does not follow the one before"
        if record.hash != hash_of(record):
            return record.seq, "it was changed"
        return None

    def fail(self, seq: int, problem: str) -> None:
        """Something else than a record is wrong."""
        self._broken = self._broken or (seq, problem)

    def close(self, head: Head | None) -> Verdict:
        """The verdict, given where the chain should end (None: unknown)."""
        if self._broken is None and head is not None:
            self._check_end(head)
        seq, problem = self._broken or (None, "")
        return Verdict(
            intact=self._broken is None,
            records=self._count,
            tenant=self._tenant,
            first=self._first,
            last=self._last,
            hash=self._hash if self._count else "",
            broken_seq=seq,
            problem=problem,
        )

    def _check_end(self, head: Head) -> None:
        if self._tenant and head.tenant != self._tenant:
            self._broken = (self._last, "the head is another tenant's")
        elif self._last < head.seq:
            self._broken = (self._last + 1, "it is missing")
        elif self._last > head.seq:
            self._broken = (head.seq + 1, "it stands behind the head of the chain")
        elif head.seq and self._hash != head.hash:
            self._broken = (head.seq, "it is not the head of the chain")


def verify_lines(lines: Iterable[str | bytes]) -> Verdict:
    """Verify an export offline: JSON Lines, or a saved result of `audit_export`.

    A part of a chain (made with `since`) is verified from its first record on; a cut-off end shows
    only where the export carries its head line.
    """
    chain, head = Chain(), None
    for number, line in enumerate(_lines(lines), 1):
        if head is not None:
            chain.fail(head.seq + 1, "it stands behind the head of the chain")
        try:
            read = _read(line)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            chain.fail(chain.close(None).last + 1, f"line {number} is not a record")
            break
        if isinstance(read, Head):
            head = read
        elif not chain.take(read):
            break
    return chain.close(head)


def _lines(lines: Iterable[str | bytes]) -> Iterator[str]:
    """The lines of JSON, also of a saved `audit_export` result, indented or not."""
    texts = (line if isinstance(line, str) else line.decode("utf-8", "replace") for line in lines)
    told = (text for text in texts if text.strip())
    for text in told:
        whole = text + "".join(told) if text.strip() == "{" else text
        yield from _unfolded(whole)


def _unfolded(text: str) -> Iterator[str]:
    if '"content"' in text:
        try:
            content = json.loads(text)["content"]
        except (ValueError, KeyError, TypeError, RecursionError):
            content = None
        if isinstance(content, str):
            yield from (line for line in content.split("\n") if line)
            return
    yield text


def _read(line: str) -> Record | Head:
    told = json.loads(line)
    if set(told) == {"head"}:
        return Head(**_typed(told["head"], Head))
    written = told["at"]
    told["at"] = times.micros(written)
    if times.iso(told["at"]) != written:  # ISO 8601 has other spellings; the chain has this one
        raise ValueError("the time is not spelled as it was written")
    return Record(**_typed(told, Record))


def _typed(told: dict[str, Any], kind: type[Any]) -> dict[str, Any]:
    """`told`, if it has exactly the fields and types of `kind`."""
    for name, wanted in kind.__annotations__.items():
        if type(told[name]) is not wanted:
            raise TypeError(name)
    return told
