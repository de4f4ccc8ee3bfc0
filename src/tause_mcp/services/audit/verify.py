"""A chain as lines: how an export is written, and verified with nothing but the file.

JSON Lines in ASCII: a line that opens it, a line for each record, a line that closes it. Opening
and closing line say where the records begin and end, so that one left out at either end shows.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from tause_mcp import times
from tause_mcp.services.audit.chain import Chain, Checkpoint, Head, Record, Verdict

FORMAT = 1
_OLDEST, _NEWEST = 0, 253_402_300_799_999_999
"""What a calendar can write; a time outside was forged, and shows as changed."""
_UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, RecursionError)


class Opening(NamedTuple):
    """What an export begins with: the record before its first, and whether it goes to the head."""

    after: Head
    complete: bool
    checkpoint: Checkpoint | None = None


class Closing(NamedTuple):
    """What an export ends with: its last record; `head` when that was the end of the chain."""

    end: Head
    head: bool


def opening_line(opening: Opening) -> str:
    told: dict[str, Any] = {"format": FORMAT, **opening.after._asdict()}
    told["complete"] = opening.complete
    if (removed := opening.checkpoint) is not None:
        told["checkpoint"] = {**removed._asdict(), "at": times.iso(removed.at)}
    return _line({"chain": told})


def line_of(record: Record) -> str:
    """The record as one line of JSON, in ASCII: no input can break the line."""
    at: object = record.at
    if isinstance(at, int):
        at = times.iso(min(max(at, _OLDEST), _NEWEST))
    return _line({**record._asdict(), "at": at})


def closing_line(closing: Closing) -> str:
    return _line({"head" if closing.head else "end": closing.end._asdict()})


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))


def verify_lines(lines: Iterable[str | bytes]) -> Verdict:
    """Verify an export offline: JSON Lines, or a saved result of `audit_export`."""
    found = _lines(lines)
    try:
        opening = _opening(next(found))
    except StopIteration:
        return _nothing(1, "the file is empty")
    except _UNREADABLE:
        return _nothing(1, "line 1 does not open an export")
    chain = Chain(opening.after, opening.checkpoint)
    closing: Closing | None = None
    for number, line in enumerate(found, 2):
        if closing is not None:
            chain.fail(chain.last + 1, f"line {number} stands behind the end of the export")
            break
        try:
            read = _read(line)
        except _UNREADABLE:
            chain.fail(chain.last + 1, f"line {number} is not a record")
            break
        if isinstance(read, Closing):
            closing = read
        elif not chain.take(read):
            break
    return _closed(chain, opening, closing)


def _closed(chain: Chain, opening: Opening, closing: Closing | None) -> Verdict:
    if closing is None or closing.head != opening.complete:
        chain.fail(chain.last + 1, "the line that closes the export is missing")
    return chain.close(closing.end if closing else opening.after)


def _nothing(seq: int, problem: str) -> Verdict:
    return Verdict(intact=False, records=0, broken_seq=seq, problem=problem)


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


def _opening(line: str) -> Opening:
    told = _loaded(line)["chain"]
    removed = told.pop("checkpoint", None)
    stated, complete = told.pop("format"), told.pop("complete")
    if (type(stated), stated) != (int, FORMAT) or type(complete) is not bool:
        raise ValueError("another format")
    checkpoint = None if removed is None else Checkpoint(**_typed(_timed(removed), Checkpoint))
    return Opening(Head(**_typed(told, Head)), complete, checkpoint)


def _read(line: str) -> Record | Closing:
    told = _loaded(line)
    for name in ("head", "end"):
        if set(told) == {name}:
            return Closing(Head(**_typed(told[name], Head)), name == "head")
    return Record(**_typed(_timed(told), Record))


def _loaded(line: str) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(told := dict(pairs)) < len(pairs):  # which of the two would count?
            raise ValueError("a member stands twice")
        return told

    return dict(json.loads(line, object_pairs_hook=once))


def _timed(told: dict[str, Any]) -> dict[str, Any]:
    written = told["at"]
    at = times.micros(written)
    if times.iso(at) != written:  # ISO 8601 has other spellings; the chain has this one
        raise ValueError("the time is not spelled as it was written")
    return {**told, "at": at}


def _typed(told: dict[str, Any], kind: type[Any]) -> dict[str, Any]:
    """`told`, if it has exactly the fields and types of `kind`."""
    for name, wanted in kind.__annotations__.items():
        if type(told[name]) is not wanted:
            raise TypeError(name)
    return told
