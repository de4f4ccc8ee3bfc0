"""Change one server in a host's JSON configuration and leave every other byte as it was."""

import errno
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

SERVERS = "mcpServers"
_BOM = "\ufeff"
_SPACE = re.compile(r"[ \t\r\n]*")
_ATTEMPTS = 20

Outcome = Literal["added", "updated", "removed", "unchanged", "absent"]


class Refused(Exception):
    """The file is left alone: one line that says why and what to do."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a change did, or would do, to one file."""

    outcome: Outcome
    path: Path
    before: str
    after: str
    backup: Path | None = None


# --- text ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Member:
    key: str
    start: int
    value: int
    end: int


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    assert match is not None
    return match.end()


def _members(text: str, at: int) -> tuple[list[_Member], int]:
    """The members of the valid JSON object that opens at `at`, and where it closes."""
    decoder = json.JSONDecoder()
    found: list[_Member] = []
    at = _skip(text, at + 1)
    while text[at] != "}":
        key, after = decoder.raw_decode(text, at)
        value = _skip(text, _skip(text, after) + 1)
        _, end = decoder.raw_decode(text, value)
        found.append(_Member(key, at, value, end))
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return found, at


def _last(members: list[_Member], key: str) -> _Member | None:
    """Readers of JSON take the last of several equal keys; so do we."""
    return next((m for m in reversed(members) if m.key == key), None)


def _step(text: str) -> str:
    """The file's own indentation; two spaces where it has none."""
    indented = re.search(r"\n([ \t]+)\"", text)
    return indented[1] if indented else "  "


def _put(text: str, at: int, key: str, value: Any, depth: int) -> str:
    """Set one member of the object at `at`, which stands `depth` levels deep."""
    members, close = _members(text, at)
    step, newline = _step(text), "\r\n" if "\r\n" in text else "\n"
    inner, outer = newline + step * (depth + 1), newline + step * depth
    told = json.dumps(value, indent=step, ensure_ascii=False).replace("\n", inner)
    known = _last(members, key)
    if known is not None:
        return text[: known.value] + told + text[known.end :]
    member = f"{json.dumps(key, ensure_ascii=False)}: {told}"
    if not members:
        return text[: at + 1] + inner + member + outer + text[close:]
    lead = text[at + 1 : members[0].start] if newline in text[at : members[0].start] else inner
    return text[: members[-1].end] + "," + lead + member + text[members[-1].end :]


def _drop(text: str, at: int, key: str) -> str:
    """Remove one member of the object at `at`, with its comma."""
    members, close = _members(text, at)
    index = max(i for i, m in enumerate(members) if m.key == key)
    if index + 1 < len(members):
        return text[: members[index].start] + text[members[index + 1].start :]
    if index:
        return text[: members[index - 1].end] + text[members[index].end :]
    return text[: at + 1] + text[close:]


def _parsed(text: str, path: Path) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f" at line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise Refused(
            f"{path} is not valid JSON{where}: repair or move it, then run again"
        ) from None
    if not isinstance(value, dict):
        raise Refused(f"{path} holds no JSON object: repair or move it, then run again")
    if not isinstance(value.get(SERVERS, {}), dict):
        raise Refused(f"{path}: {SERVERS!r} is not an object: repair it, then run again")
    return value


def edited(
    text: str, name: str, entry: Mapping[str, Any] | None, path: Path
) -> tuple[str, Outcome]:
    """`text` with the server `name` set to `entry` (None: removed); everything else untouched.

    Raises:
        Refused: the text is not a host's configuration.
    """
    mark, body = (_BOM, text[1:]) if text.startswith(_BOM) else ("", text)
    if not body.strip():
        body = "{}\n"
    config = _parsed(body, path)
    known = config.get(SERVERS, {})
    if entry is None:
        if name not in known:
            return text, "absent"
        at = _object(body, SERVERS)
        return mark + _drop(body, at, name), "removed"
    if known.get(name) == entry:
        return text, "unchanged"
    if SERVERS not in config:
        body = _put(body, _skip(body, 0), SERVERS, {}, 0)
    changed = _put(body, _object(body, SERVERS), name, entry, 1)
    return mark + changed, "updated" if name in known else "added"


def _object(text: str, key: str) -> int:
    """Where the value of a member of the outermost object begins."""
    member = _last(_members(text, _skip(text, 0))[0], key)
    assert member is not None
    return member.value


# --- files ---------------------------------------------------------------------------------------


def change(
    path: Path,
    name: str,
    entry: Mapping[str, Any] | None,
    *,
    dry_run: bool = False,
    new_mode: int = 0o600,
) -> Change:
    """Set (None: remove) one server in the file, with a backup, atomically.

    A link is followed and stays a link. A file that somebody else changes meanwhile is read again.

    Raises:
        Refused: the file cannot be read or written, or is not a host's configuration.
    """
    target = _followed(path)
    try:
        if dry_run:
            return _planned(path, target, name, entry)
        with _alone(target):
            for _ in range(_ATTEMPTS):
                planned = _planned(path, target, name, entry)
                if planned.before == planned.after:
                    return planned
                if (done := _written(planned, target, new_mode)) is not None:
                    return done
    except OSError as error:
        raise Refused(
            f"{path} cannot be changed: {error.strerror or type(error).__name__}"
        ) from None
    raise Refused(f"{path} keeps changing: close the host, then run again")


def _followed(path: Path) -> Path:
    try:
        target = path.expanduser().absolute().resolve()
        target.stat()
    except FileNotFoundError:
        return target
    except (OSError, RuntimeError) as error:
        if isinstance(error, RuntimeError) or error.errno == errno.ELOOP:
            raise Refused(f"{path} is a link that leads back to itself: remove it") from None
        raise Refused(f"{path} cannot be read: {error.strerror}") from None
    if not target.is_file():
        raise Refused(f"{path} is not a file: name another with --config")
    return target


def _read(target: Path) -> str:
    try:
        return target.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError:
        raise Refused(f"{target} is not UTF-8 text: save it as UTF-8, then run again") from None


def _planned(path: Path, target: Path, name: str, entry: Mapping[str, Any] | None) -> Change:
    before = _read(target)
    after, outcome = edited(before, name, entry, path)
    return Change(outcome, path, before, after)


def _written(planned: Change, target: Path, new_mode: int) -> Change | None:
    """Replace the file; None when it is not any more what was read."""
    target.parent.mkdir(parents=True, exist_ok=True)
    exists = target.exists()
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    fresh = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(planned.after.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        _like(target, fresh) if exists else fresh.chmod(new_mode)
        if _read(target) != planned.before or target.exists() != exists:
            return None
        backup = _backup(target) if exists else None
        fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)
    return Change(planned.outcome, planned.path, planned.before, planned.after, backup)


def _like(original: Path, copy: Path) -> None:
    """The mode and, where this process may, the owner of the original."""
    shutil.copymode(original, copy)
    if sys.platform != "win32":
        owner = original.stat()
        if owner.st_uid != os.geteuid():
            with suppress(PermissionError):
                os.chown(copy, owner.st_uid, owner.st_gid)


def _backup(target: Path) -> Path:
    """A copy beside the file that never overwrites an older one."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    for count in range(1000):
        suffix = f".bak-{stamp}" + (f"-{count}" if count else "")
        backup = target.with_name(target.name + suffix)
        try:
            backup.touch(mode=0o600, exist_ok=False)
        except FileExistsError:
            continue
        backup.write_bytes(target.read_bytes())
        _like(target, backup)
        return backup
    raise Refused(f"{target} has too many backups: remove some")


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """One installer at a time for the files of a folder; the lock leaves nothing behind."""
    if sys.platform == "win32":
        yield  # the comparison before the replacement is the guard there
        return
    import fcntl

    target.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
