"""The chain itself, pure: what a record is, how it is hashed, and how a run of them is verified."""

from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

GENESIS = "0" * 64
"""What the first record of a chain follows."""
PRUNE = "audit.prune"
"""The action of the record that anchors a checkpoint."""
_DOMAIN = "tause/audit/v1"
_CHECKPOINT = "tause/audit/checkpoint/v1"


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


class Checkpoint(NamedTuple):
    """The last record that retention removed, and when (epoch microseconds).

    Its digest stands in the chain itself, in a record with the action `audit.prune` that was made
    by the very transaction that removed the beginning.
    """

    tenant: str
    seq: int
    hash: str
    at: int

    @property
    def digest(self) -> str:
        return _hashed(_CHECKPOINT, self)


def hash_of(record: Record) -> str:
    """The hash that a record should have."""
    return hash_fields(record[:-1])


def hash_fields(fields: tuple[str | int, ...]) -> str:
    """SHA-256 over a record's fields but the hash. SQL computes the same (docs/audit.md)."""
    return _hashed(_DOMAIN, fields)


def _hashed(domain: str, fields: tuple[str | int, ...]) -> str:
    """Each field as decimal or text, with its length in characters and a colon before it."""
    parts = [f"{len(text)}:{text}" for text in map(str, fields)]
    return sha256((domain + "".join(parts)).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verification found. `broken_seq` is the first record that does not hold."""

    intact: bool
    records: int
    tenant: str = ""
    first: int = 0
    last: int = 0
    hash: str = ""
    pruned: int = 0
    """How many records retention removed before the first."""
    broken_seq: int | None = None
    problem: str = ""

    @property
    def text(self) -> str:
        """The verdict in one line."""
        if not self.intact:
            return f"BROKEN at record {self.broken_seq}: {self.problem}"
        if not self.records:
            return "intact: no records"
        pruned = f" ({self.pruned} before were removed by retention)" if self.pruned else ""
        return (
            f"intact: records {self.first} to {self.last} of {self.tenant}{pruned}, "
            f"head {self.hash}"
        )


class Chain:
    """Verifies records in the order of the chain, one by one, from after `start` on."""

    def __init__(self, start: Head, checkpoint: Checkpoint | None = None) -> None:
        self._tenant = start.tenant
        self._last, self._hash = start.seq, start.hash
        self._checkpoint = checkpoint
        self._anchored = checkpoint is None
        self._first = self._count = 0
        self._broken: tuple[int, str] | None = None
        if checkpoint is not None and checkpoint[:3] != start:
            self.fail(start.seq + 1, "the chain does not begin at its checkpoint")

    @classmethod
    def whole(cls, tenant: str, checkpoint: Checkpoint | None) -> "Chain":
        """A chain from its very beginning, or from where retention left it."""
        start = Head(tenant, 0, GENESIS) if checkpoint is None else Head(*checkpoint[:3])
        return cls(start, checkpoint)

    @property
    def last(self) -> int:
        return self._last

    def take(self, record: Record) -> bool:
        """Whether the chain still holds with this record."""
        if self._broken is None and (problem := self._problem(record)):
            self._broken = problem
        if self._broken is not None:
            return False
        self._first = self._first or record.seq
        self._count += 1
        self._last, self._hash = record.seq, record.hash
        if not self._anchored and self._checkpoint is not None:
            self._anchored = (record.action, record.digest) == (PRUNE, self._checkpoint.digest)
        return True

    def _problem(self, record: Record) -> tuple[int, str] | None:
        expected = self._last + 1
        if type(record.seq) is not int:
            return expected, "it was changed"
        if record.tenant != self._tenant:
            return expected, "a record of another tenant is among them"
        if record.seq > expected:
            return expected, "it is missing"
        if record.seq < expected:
            return record.seq, "it was inserted or moved"
        if record.previous != self._hash:
            return record.seq, "it does not follow the one before"
        if record.hash != hash_of(record):
            return record.seq, "it was changed"
        return None

    def fail(self, seq: int, problem: str) -> None:
        """Something else than a record is wrong."""
        self._broken = self._broken or (seq, problem)

    def close(self, end: Head) -> Verdict:
        """The verdict, given where the records should end."""
        if self._broken is None:
            self._broken = self._wrong_end(end)
        seq, problem = self._broken or (None, "")
        return Verdict(
            intact=self._broken is None,
            records=self._count,
            tenant=self._tenant,
            first=self._first,
            last=self._last if self._count else 0,
            hash=self._hash if self._count else "",
            pruned=self._checkpoint.seq if self._checkpoint else 0,
            broken_seq=seq,
            problem=problem,
        )

    def _wrong_end(self, end: Head) -> tuple[int, str] | None:
        if end.tenant != self._tenant:
            return self._last, "the head is another tenant's"
        if self._last < end.seq:
            return self._last + 1, "it is missing"
        if self._last > end.seq:
            return end.seq + 1, "it stands behind the head of the chain"
        if self._hash != end.hash:
            return end.seq, "it is not the head of the chain"
        if not self._anchored:
            return self._last, "no record of the chain tells of its checkpoint"
        return None
