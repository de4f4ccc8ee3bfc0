"""What an answer gives away: bytes of A's, or a difference between what is foreign and absent."""

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from tause_mcp.testing.walk_handles import Canary, Handle, differing
from tause_mcp.testing.walk_wire import Answer

UNTOLD = frozenset({"digest"})
"""Fields whose values anyone computes from the same arguments: no sign of whose they are."""
_PASSING = frozenset({"date", "content-length", "server"})
_MASK = "•"
_SHORTEST = 4
"""Characters of a word that is masked alone: a shorter one is part of anything."""

Facts = dict[str, str]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that must not be. `size`: bytes of A's that crossed."""

    what: str
    """`leak`, `oracle` (foreign and absent differ), `crash` or `change`."""
    probe: str
    actor: str
    detail: str
    size: int = 0

    def __str__(self) -> str:
        return f"{self.what}: {self.probe} as {self.actor}: {self.detail}"


@dataclass
class Judge:
    """Knows every mark of A's."""

    canary: Canary
    handles: Iterable[Handle]
    tenants: Iterable[str]
    spent: set[str] = field(default_factory=set)
    """Marks that others have written into their own tenants: seeing them there proves nothing."""

    def __post_init__(self) -> None:
        told = {h.value.lower() for h in self.handles if h.field not in UNTOLD}
        self._marks = sorted(told, key=len, reverse=True)
        names = "|".join(map(re.escape, self.tenants))
        self._tenant = re.compile(rf"(?<![a-z0-9_-])(?:{names})(?![a-z0-9_-])")

    def leaks(self, answer: Answer, *, above: bool = False) -> list[str]:
        """What of A's reached a caller that did not send it."""
        told, sent = answer.text.lower(), _known(answer.sent)
        found = [t for t in self.canary.traces if t in told and t not in sent]
        found += [m for m in self._marks if m in told and m not in sent and m not in self.spent]
        if not above:
            names = set(self._tenant.findall(told))
            found += [n for n in names if n not in sent and n not in self.spent]
        return found

    def spend(self, answer: Answer) -> None:
        """What a change sent may turn up again among its sender's own things."""
        sent = _known(answer.sent)
        self.spent |= {m for m in self._marks if m in sent}
        self.spent |= set(self._tenant.findall(sent))


def _known(sent: str) -> str:
    """What the caller sent, in every spelling in which it may come back."""
    plain = unquote(sent)
    return "\n".join((sent, plain, unicodedata.normalize("NFKC", plain))).lower()


def crashed(answer: Answer) -> bool:
    """Whether the answer is an unexpected failure."""
    return answer.status >= 500 or any(_internal(message) for message in answer.messages)


def _internal(message: Any) -> bool:
    if not isinstance(message, dict):
        return False
    code = message.get("error", {}).get("code") if isinstance(message.get("error"), dict) else None
    told = message.get("result", {}).get("_meta", {}) if "result" in message else {}
    return code == -32603 or told.get("pro.tause/error", {}).get("code") == "internal"


def difference(foreign: Sequence[Answer], absent: Sequence[Answer]) -> list[str]:
    """Where the answers about what is foreign differ from those about what is absent.

    Where the answers of one side differ among themselves (times, fresh ids), they say nothing.
    """
    words = {w for one in foreign for two in absent for w in _sent_apart(one, two)}
    mine, theirs = [_facts(one, words) for one in foreign], [_facts(one, words) for one in absent]
    apart = _apart(mine[0], theirs[0])
    for side in (mine, theirs):
        for one in side[1:]:
            apart -= _apart(side[0], one)
    first, twin = mine[0], theirs[0]
    return sorted(f"{at}: {first.get(at)!r} / {twin.get(at)!r}"[:400] for at in apart)


def _sent_apart(one: Answer, other: Answer) -> Iterator[str]:
    """What was asked in one and not in the other: whole values, and the words in them."""
    for mine, theirs in zip(_values(one.sent), _values(other.sent), strict=False):
        if mine != theirs:
            yield from (mine, theirs)
    for pair in differing(one.sent, other.sent):
        yield from (word for word in pair if len(word) >= _SHORTEST)


def _values(sent: str) -> list[str]:
    """The strings of a request's JSON, else its lines."""
    with suppress(ValueError):
        return [
            str(json.loads(text)) for _, text in _leaves(json.loads(sent.split("\n", 2)[2]), "")
        ]
    return sent.splitlines()


def _apart(one: Facts, other: Facts) -> set[str]:
    return {at for at in one.keys() | other.keys() if one.get(at) != other.get(at)}


def _facts(answer: Answer, words: set[str]) -> Facts:
    """Everything an answer says, by where it says it, with the sent words masked."""
    masked = {w for word in words for w in (word, unicodedata.normalize("NFKC", word))}
    either = "|".join(re.escape(w) for w in sorted(masked, key=len, reverse=True) if w)
    hide = re.compile(rf"(?<![^\W_])(?:{either})(?![^\W_])", re.IGNORECASE) if either else None

    def clear(text: str) -> str:
        return hide.sub(_MASK, text) if hide else text

    facts: Facts = {"status": str(answer.status)}
    facts |= {f"header {n}": clear(v) for n, v in answer.headers if n not in _PASSING}
    messages = answer.messages
    if messages:
        facts |= {clear(at): clear(text) for at, text in _leaves(messages, "")}
    else:
        facts |= {f"line {n}": clear(line) for n, line in enumerate(answer.body.splitlines())}
    return facts


def _leaves(value: Any, at: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves(inner, f"{at}.{name}")
    elif isinstance(value, list) and value:
        for n, inner in enumerate(value):
            yield from _leaves(inner, f"{at}[{n}]")
    elif isinstance(value, str) and value[:1] in "{[":
        yield from _nested(value, at)
    else:
        yield at, json.dumps(value, ensure_ascii=False)


def _nested(text: str, at: str) -> Iterator[tuple[str, str]]:
    """The JSON that a text block repeats, else the text."""
    try:
        inner = json.loads(text)
    except ValueError:
        yield at, text
        return
    yield from _leaves(inner, f"{at}$")
