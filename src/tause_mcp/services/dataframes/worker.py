"""The other process: loads what a caller sent and runs checked queries, then ends.

Run as a script in isolated mode, apart from the package: it imports only the standard library and
polars. One job comes on stdin (a line of JSON, then the bytes whose lengths it names), one answer
goes to stdout (two lengths, JSON, bytes). Before the job is read it gives up every right it has: no
file or socket can be opened any more, and its memory and processor time are bounded.
"""

import base64
import csv
import ctypes
import io
import json
import math
import os
import re
import resource
import signal
import struct
import sys
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

if __name__ == "__main__":
    sys.path.append(sys.argv[3])  # where the server found polars: isolated mode may not look there

import polars as pl  # only now can it be found

BATCH = 20_000
"""CSV rows converted at once: text takes several times the room of a column."""
_WHOLE = r"^[+-]?(0|[1-9][0-9]{0,18})$"
_NUMBER = r"^[+-]?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?$"
_DAY = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_MOMENT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?$"
_PLAIN = (pl.Boolean, pl.String, pl.Date, pl.Datetime, pl.Time, pl.Duration, pl.Decimal, pl.Binary)
_EXACT = 2**53

Job = dict[str, Any]


class WrongError(Exception):
    """What was sent cannot be used; the text says why and never quotes more than a name."""


def refuse_rights(memory: int, seconds: int) -> None:
    """No file, socket or process from here on; memory beyond what is used now, and time, bounded."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: never outlive the server
        with open("/proc/self/statm", "rb") as told:  # noqa: PTH123  # before the door closes
            used = int(told.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (used + memory, used + memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))  # SIGXCPU, then SIGKILL
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))


# --- loading --------------------------------------------------------------------------------------


def load(job: Job, body: bytes) -> pl.DataFrame:
    """A frame from `body`, of the format the job names, within the job's bounds."""
    made = _LOADERS[job["format"]](body, job)
    _check_names(made.columns, job)
    _check_rows(made.height, job)
    made = made.select(_plain(made[name]) for name in made.columns)
    if made.estimated_size() > job["most_memory"]:
        raise WrongError("the data is too large once it is unpacked")
    return made.rechunk()


def _check_rows(rows: int, job: Job) -> None:
    if rows == 0:
        raise WrongError("there are no rows")
    if rows > job["most_rows"]:
        raise WrongError(f"there are more than {job['most_rows']} rows")


def _check_names(names: list[str], job: Job) -> None:
    if not names:
        raise WrongError("there are no columns")
    if len(names) > job["most_columns"]:
        raise WrongError(f"there are more than {job['most_columns']} columns")
    for number, name in enumerate(names, 1):
        if not 1 <= len(name) <= 100 or not name.isprintable() or not name.strip():
            raise WrongError(f"column {number} needs a name of 1 to 100 printable characters")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise WrongError(f"two columns are called {twice!r}")


def _plain(column: pl.Series) -> pl.Series:
    """A column of a type that rows can show; nested and opaque ones are refused."""
    kind = column.dtype
    if kind == pl.Null or isinstance(kind, pl.Categorical | pl.Enum):
        return column.cast(pl.String)
    if kind.is_numeric() or isinstance(kind, _PLAIN):
        return column
    raise WrongError(f"column {column.name!r} is nested or of a type that cannot be kept")


def _records(body: bytes, job: Job) -> pl.DataFrame:
    return _of_rows(_json(body), job)


def _ndjson(body: bytes, job: Job) -> pl.DataFrame:
    lines = [line for line in body.split(b"\n") if line.strip()]
    _check_rows(len(lines), job)
    return _of_rows([_json(line) for line in lines], job)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body, parse_constant=_no_constant, object_pairs_hook=_members)
    except (ValueError, RecursionError):
        raise WrongError("this is not JSON") from None


def _no_constant(text: str) -> float:
    raise WrongError(f"JSON has no {text}")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise WrongError("an object has the same member twice")
    return made


def _of_rows(rows: Any, job: Job) -> pl.DataFrame:
    """Objects as rows: what one lacks is null; the columns stand in the order they first appear."""
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise WrongError("the JSON is no list of objects")
    _check_rows(len(rows), job)
    names: dict[str, None] = {}
    for row in rows:
        names.update(dict.fromkeys(row))
        if len(names) > job["most_columns"]:
            break
    _check_names(list(names), job)
    return pl.DataFrame([_column(name, [row.get(name) for row in rows]) for name in names])


def _column(name: str, values: list[Any]) -> pl.Series:
    kinds = {type(value) for value in values} - {type(None)}
    if kinds - {bool, int, float, str}:
        raise WrongError(f"column {name!r} holds a list or an object: keep it flat")
    if kinds == {int, float}:
        if any(type(v) is int and abs(v) > _EXACT for v in values):
            raise WrongError(f"column {name!r} mixes fractions with integers too large for them")
        kinds = {float}
    if len(kinds) > 1:
        told = " and ".join(sorted(_WORDS[kind] for kind in kinds))
        raise WrongError(f"column {name!r} mixes {told}: use one type")
    kind = next(iter(kinds), str)
    try:
        return pl.Series(name, values, dtype=_DTYPES[kind], strict=kind is not float)
    except (OverflowError, TypeError, UnicodeEncodeError, pl.exceptions.PolarsError):
        raise WrongError(f"column {name!r} holds a value that cannot be kept") from None


_WORDS: dict[type, str] = {bool: "booleans", int: "numbers", float: "numbers", str: "text"}
_DTYPES: dict[type, Any] = {bool: pl.Boolean, int: pl.Int64, float: pl.Float64, str: pl.String}


def _csv(body: bytes, job: Job) -> pl.DataFrame:
    """Every cell read as text; a column becomes what all of its cells are."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise WrongError("the CSV is not UTF-8") from None
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        names = [name.strip() for name in next(rows, [])]
        _check_names(names, job)
        batches = list(_batches(rows, names, job))
    except csv.Error as wrong:
        raise WrongError(f"line {rows.line_num} of the CSV cannot be read: {wrong}") from None
    if not batches:
        raise WrongError("there are no rows")
    whole = pl.concat(batches)
    return whole.select(_typed(whole[name]) for name in names)


def _batches(rows: Any, names: list[str], job: Job) -> Iterator[pl.DataFrame]:
    count, batch = 0, []
    for row in rows:
        if not row:
            continue
        if len(row) != len(names):
            told = f"line {rows.line_num} of the CSV has {len(row)} cells, the first {len(names)}"
            raise WrongError(told)
        batch.append([cell or None for cell in row])
        if len(batch) == BATCH:
            count += len(batch)
            _check_rows(count, job)
            yield _texts(batch, names)
            batch = []
    if batch:
        yield _texts(batch, names)


def _texts(batch: list[list[str | None]], names: list[str]) -> pl.DataFrame:
    return pl.DataFrame(batch, schema=dict.fromkeys(names, pl.String), orient="row")


def _typed(column: pl.Series) -> pl.Series:
    """What all cells of a text column are. `007` stays text: a number would lose the zeros."""
    cells = column.drop_nulls()
    if cells.is_empty():
        return column
    if cells.is_in(["true", "false"]).all():
        return column == "true"
    for pattern, cast in _CASTS:
        if cells.str.contains(pattern).all():
            try:
                return cast(column)
            except pl.exceptions.PolarsError:  # too large for an integer, or no such day
                continue
    return column


_CASTS: tuple[tuple[str, Callable[[pl.Series], pl.Series]], ...] = (
    (_WHOLE, lambda c: c.str.strip_prefix("+").cast(pl.Int64)),
    (_NUMBER, lambda c: c.str.strip_prefix("+").cast(pl.Float64)),
    (_DAY, lambda c: c.str.to_date("%Y-%m-%d")),
    (_MOMENT, lambda c: c.str.replace("T", " ").str.to_datetime("%Y-%m-%d %H:%M:%S%.f")),
)


def _parquet(body: bytes, job: Job) -> pl.DataFrame:
    """Parquet: what its footer promises is held against the bounds before anything is unpacked."""
    try:
        promised = pl.scan_parquet(io.BytesIO(body))
        _check_names(promised.collect_schema().names(), job)
        _check_rows(promised.select(pl.len()).collect().item(), job)
        return pl.read_parquet(io.BytesIO(body))
    except pl.exceptions.PolarsError:
        raise WrongError("this is not Parquet that can be read") from None


_LOADERS: dict[str, Callable[[bytes, Job], pl.DataFrame]] = {
    "records": _records,
    "json": _records,
    "ndjson": _ndjson,
    "csv": _csv,
    "parquet": _parquet,
}


def described(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Each column's name, type and nulls; the least and the most of what has an order."""
    return [_described(frame[name]) for name in frame.columns]


def _described(column: pl.Series) -> dict[str, Any]:
    told = {"name": column.name, "type": named(column.dtype), "nulls": column.null_count()}
    if column.dtype.is_numeric() or column.dtype.is_temporal():
        told |= {"min": shown(column.min()), "max": shown(column.max())}
    return told


def named(kind: pl.DataType) -> str:
    """A type in one lower-case word."""
    return re.split(r"[(\[]", str(kind))[0].lower()


# --- asking ---------------------------------------------------------------------------------------


def ask(job: Job, bodies: list[bytes]) -> dict[str, Any]:
    """The answer of checked SQL over the frames that came with it."""
    try:
        frames = {
            name: pl.read_parquet(io.BytesIO(body))
            for name, body in zip(job["frames"], bodies, strict=True)
        }
    except pl.exceptions.PolarsError:
        return {"error": "damaged"}  # we wrote it ourselves
    with pl.SQLContext(frames, register_globals=False) as context:
        found = context.execute(job["sql"]).head(job["most_rows"] + 1).collect()
    rows, whole = _rows(found, job["most_rows"], job["most_bytes"])
    columns = [{"name": name, "type": named(found[name].dtype)} for name in found.columns]
    return {"columns": columns, "rows": rows, "row_count": len(rows), "truncated": not whole}


def _rows(found: pl.DataFrame, most: int, budget: int) -> tuple[list[dict[str, Any]], bool]:
    rows: list[dict[str, Any]] = []
    for row in found.head(most).iter_rows(named=True):
        told = {name: shown(value) for name, value in row.items()}
        budget -= len(json.dumps(told, ensure_ascii=False).encode(errors="replace"))
        if budget < 0:
            return rows, False
        rows.append(told)
    return rows, found.height <= most


def shown(value: Any) -> Any:
    """A value as JSON can carry it: see the documentation for what has no form of its own there."""
    match value:
        case None | bool() | str():
            return value
        case int():
            return value if -(2**63) <= value < 2**63 else str(value)
        case float():
            return value if math.isfinite(value) else _SPECIAL.get(value, "NaN")
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Decimal():
            return format(value, "f")
        case bytes():
            return base64.b64encode(value).decode()
        case list():
            return [shown(part) for part in value]
        case _:
            raise WrongError("the result holds a type that cannot be shown: cast it")


_SPECIAL = {math.inf: "Infinity", -math.inf: "-Infinity"}


# --- the conversation -------------------------------------------------------------------------------


def work(job: Job, bodies: list[bytes]) -> tuple[dict[str, Any], bytes]:
    """The answer to one job, and the bytes that go with it."""
    if job["task"] == "ask":
        return ask(job, bodies), b""
    made = load(job, bodies[0])
    packed = io.BytesIO()
    made.write_parquet(packed, compression="zstd", statistics=False)
    told = {"rows": made.height, "columns": described(made), "memory": made.estimated_size()}
    return told, packed.getvalue()


_BOUNDS = {"most_rows": 9, "most_columns": 9, "most_memory": 9999, "most_bytes": 999}


def rehearse() -> None:
    """One small job of each kind: what is imported, or started, when it is first used is here now."""
    text = b"a,b,c\n1,2020-01-01,2020-01-01 00:00:00\n,,\n"
    _, packed = work({"task": "load", "format": "csv", **_BOUNDS}, [text])
    work({"task": "load", "format": "parquet", **_BOUNDS}, [packed])
    work({"task": "load", "format": "ndjson", **_BOUNDS}, [b'{"a": 1, "b": "x", "c": 0.5}'])
    sql = 'SELECT "a", CAST("b" AS VARCHAR) AS "b", COUNT(*) AS "n" FROM "s" GROUP BY "a", "b"'
    work({"task": "ask", "frames": ["s"], "sql": sql, **_BOUNDS}, [packed])


def answered(job: Job, bodies: list[bytes]) -> tuple[dict[str, Any], bytes]:
    """The same, with a failure as `{error}`."""
    try:
        return work(job, bodies)
    except WrongError as wrong:
        return {"error": str(wrong)}, b""
    except MemoryError:
        return {"error": "memory"}, b""
    except pl.exceptions.PolarsError as failed:
        return {"error": _said(failed)}, b""
    except BaseException as failed:  # a panic of the engine is no Exception
        return {"error": f"it cannot be done ({type(failed).__name__})"}, b""


def _said(failed: BaseException) -> str:
    """What polars says, its first line only: more would show the plan and the data."""
    line = str(failed).splitlines()[0] if str(failed) else type(failed).__name__
    return line.partition("; valid columns")[0][:300]


def main() -> None:
    """Ready, one job, one answer, end."""
    ready, memory, seconds = b"\n", int(sys.argv[1]), int(sys.argv[2])
    given, taken = sys.stdin.buffer, sys.stdout.buffer
    rehearse()
    refuse_rights(memory, seconds)
    taken.write(ready)
    taken.flush()
    line = given.readline()
    if not line:
        return
    job = json.loads(line)
    bodies = [given.read(length) for length in job["lengths"]]
    told, body = answered(job, bodies)
    line = json.dumps(told).encode()
    taken.write(struct.pack(">QQ", len(line), len(body)) + line + body)
    taken.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
