"""What of tenant A could turn up where it must not: canaries, handles, and their absent twins."""

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

_TIME = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d))?")
_RUN = re.compile(r"[A-Za-z0-9]{8,}")
_WORD = re.compile(r"[^\W_]+")
_NAME = re.compile(r"[\w-]+")
_SHORTEST = 6
_LONGEST = 4096


def noise(*seed: object, length: int = 10) -> str:
    """Hexadecimal text that depends on `seed` alone."""
    told = "\x1f".join(map(str, seed)).encode()
    return hashlib.shake_256(told).hexdigest((length + 1) // 2)[:length]


class Canary:
    """Marks what one tenant keeps.

    `content` goes into what is kept and is never sent by another tenant: wherever it turns up, it
    leaked. `name` goes into what names things, and a probe may send it.
    """

    def __init__(self, run: str) -> None:
        self._kept = f"cq{noise('content', run)}"
        self._named = f"hq{noise('name', run)}"
        self._serial = 0

    def content(self) -> str:
        self._serial += 1
        return f"{self._kept}x{self._serial:06}"

    def name(self) -> str:
        self._serial += 1
        return f"{self._named}x{self._serial:06}"

    @cached_property
    def traces(self) -> tuple[str, ...]:
        """Spellings of kept content, in lower case: plain, hexadecimal, base64 at each offset."""
        raw = self._kept.encode()
        encoded = [base64.b64encode(b"\0" * k + raw).decode()[4 * bool(k) : -4] for k in range(3)]
        return tuple(t.lower() for t in (self._kept, raw.hex(), *encoded))

    @property
    def named(self) -> str:
        return self._named


@dataclass(frozen=True, slots=True)
class Handle:
    """A string of A's that names something: where it was seen, and what it is."""

    value: str
    field: str
    tool: str


@dataclass
class Handles:
    """Everything that appeared in one tenant's results."""

    found: dict[str, Handle] = field(default_factory=dict)

    def harvest(self, tool: str, value: Any, name: str = "") -> None:
        """Take every string of a result."""
        if isinstance(value, Mapping):
            for key, inner in value.items():
                self.harvest(tool, inner, str(key))
        elif isinstance(value, (list, tuple)):
            for inner in value:
                self.harvest(tool, inner, name)
        elif isinstance(value, str) and value and value not in self.found:
            self.found[value] = Handle(value, name, tool)

    def named(self, *names: str) -> list[Handle]:
        """Handles that were seen under one of these names, in the order they were seen."""
        return [h for h in self.found.values() if h.field in names]

    def distinctive(self, public: str) -> list[Handle]:
        """Handles that say whose they are: nothing that anyone sees, no time, no common word."""
        return [h for h in self.found.values() if is_distinctive(h.value, public)]


def is_distinctive(text: str, public: str) -> bool:
    """Whether `text` could only come from the tenant that has it."""
    if not _SHORTEST <= len(text) <= _LONGEST or "\n" in text or _TIME.fullmatch(text):
        return False
    return text not in public and any(c.isdigit() for c in text) and " " not in text


class Twins:
    """Names that never existed, each of the shape of one that does."""

    def __init__(
        self, canary: Canary, tenants: Iterable[str], salt: str = "", *, kin: bool = False
    ) -> None:
        """`tenants`: ids of A's side; the twin of a handle names absent ones instead. `kin`: names
        that begin as the one that exists, for what reads a meaning out of their letters."""
        self._canary = canary
        self._kin = kin
        self._tenants = {t: self._absent(t, salt) for t in tenants}
        self._salt = salt

    @staticmethod
    def _absent(tenant: str, salt: str) -> str:
        drawn = noise("tenant", tenant, salt, length=2 * len(tenant))
        fresh = "".join(chr(ord("a") + int(c, 16)) for c in drawn)
        return "".join(
            fresh[n] if c.isalpha() else c if not c.isdigit() else drawn_digit(fresh[n])
            for n, c in enumerate(tenant)
        )

    def of(self, text: str) -> str:
        """The twin: same length and punctuation; long runs of letters and digits are others.

        `text` itself when nothing in it names anything.
        """
        told = self._other_tenant(text)
        fresh = _RUN.sub(lambda run: self._run(run[0]), told)
        if fresh == text and _NAME.fullmatch(text):
            fresh = _WORD.sub(lambda word: self._alike(word[0]), text)
        return fresh

    def _other_tenant(self, text: str) -> str:
        for tenant, absent in self._tenants.items():
            text = re.sub(rf"(?<![a-z0-9_-]){re.escape(tenant)}(?![a-z0-9_-])", absent, text)
        return text

    def _run(self, run: str) -> str:
        marked = self._canary.named in run.lower()
        if not marked and not any(c.isdigit() for c in run):
            return run
        begins = len(run) // 3 if self._kin else 0
        return run[:begins] + self._alike(run[begins:])

    def _alike(self, word: str) -> str:
        """Each character replaced by one of its class; hexadecimal stays so."""
        small = "abcdef" if re.fullmatch(r"[0-9a-f]+", word) else "abcdefghijklmnopqrstuvwxyz"
        drawn = hashlib.shake_256(f"{self._salt}\x1f{word}".encode()).digest(len(word))
        return "".join(map(_of_class, word, drawn, [small] * len(word)))


def drawn_digit(letter: str) -> str:
    """A digit from a letter."""
    return str(ord(letter) % 10)


def _of_class(char: str, byte: int, small: str) -> str:
    if char.isdigit():
        return str(byte % 10)
    if "a" <= char <= "z":
        return small[byte % len(small)]
    if "A" <= char <= "Z":
        return small[byte % len(small)].upper()
    return char


def differing(one: str, other: str) -> Iterator[tuple[str, str]]:
    """The words in which two texts of the same length differ, longest first."""
    if len(one) != len(other):
        return
    pairs = {
        (word[0], other[word.start() : word.end()])
        for word in _WORD.finditer(one)
        if word[0] != other[word.start() : word.end()]
    }
    yield from sorted(pairs, key=lambda pair: -len(pair[0]))
