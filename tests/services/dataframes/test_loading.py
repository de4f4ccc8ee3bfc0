"""What becomes a frame, what is refused and how it says so; in this process, without its walls."""

import io
import json
import math
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tause_mcp.services.dataframes import worker

BOUNDS = {"most_rows": 1000, "most_columns": 10, "most_memory": 1 << 20, "most_bytes": 1 << 20}


def load(kind: str, body: bytes, **bounds: int) -> pl.DataFrame:
    return worker.load({"format": kind, **BOUNDS, **bounds}, body)


def packed(frame: pl.DataFrame) -> bytes:
    out = io.BytesIO()
    frame.write_parquet(out)
    return out.getvalue()


def round_trip(kind: str, body: bytes) -> list[dict[str, Any]]:
    told, parquet = worker.work({"task": "load", "format": kind, **BOUNDS}, [body])
    assert told["rows"]
    job = {"task": "ask", "frames": ["t"], "sql": 'SELECT * FROM "t"', **BOUNDS}
    answer, _ = worker.work(job, [parquet])
    rows: list[dict[str, Any]] = json.loads(json.dumps(answer["rows"], allow_nan=False))
    return rows


VALUES = (
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8"), max_size=20),
)
NAMES = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=12)


@st.composite
def tables(draw: st.DrawFn) -> list[dict[str, Any]]:
    columns = draw(st.dictionaries(NAMES, st.sampled_from(VALUES), min_size=1, max_size=5))
    rows = st.fixed_dictionaries({name: st.none() | kind for name, kind in columns.items()})
    return draw(st.lists(rows, min_size=1, max_size=8))


@settings(max_examples=60, deadline=None)
@given(tables())
def test_records_come_back_as_they_went(rows: list[dict[str, Any]]) -> None:
    assert round_trip("records", json.dumps(rows).encode()) == rows


@settings(max_examples=40, deadline=None)
@given(tables())
def test_text_cells_come_back_as_they_went(rows: list[dict[str, Any]]) -> None:
    cells = [{name: "x" + json.dumps(row[name]) for name in row} for row in rows]
    text = io.StringIO()
    import csv

    writer = csv.DictWriter(text, list(rows[0]), quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(cells)
    assert round_trip("csv", text.getvalue().encode()) == cells


def test_a_member_left_out_is_null_and_columns_keep_their_order() -> None:
    rows = [{"b": 1}, {"a": "x", "b": None}]
    assert round_trip("records", json.dumps(rows).encode()) == [
        {"b": 1, "a": None},
        {"b": None, "a": "x"},
    ]


def test_whole_and_broken_numbers_mix() -> None:
    frame = load("records", b'[{"a": 1}, {"a": 2.5}, {"a": null}]')
    assert frame.rows() == [(1.0,), (2.5,), (None,)]


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        ("records", "[]", "no rows"),
        ("records", "[{}]", "no columns"),
        ("records", "{}", "no list of objects"),
        ("records", "[1]", "no list of objects"),
        ("records", "[", "not JSON"),
        ("records", "[" * 100_000, "not JSON"),
        ("records", '[{"a": NaN}]', "no NaN"),
        ("records", '[{"a": 1, "a": 2}]', "same member twice"),
        ("records", '[{"a": 1}, {"a": "x"}]', "column 'a' mixes numbers and text"),
        ("records", '[{"a": true}, {"a": 1}]', "column 'a' mixes booleans and numbers"),
        ("records", '[{"a": [1]}]', "column 'a' holds a list or an object"),
        ("records", '[{"a": {"b": 1}}]', "column 'a' holds a list or an object"),
        ("records", '[{"a": 9223372036854775808}]', "column 'a' holds a value"),
        ("records", '[{"a": 9007199254740993}, {"a": 0.5}]', "too large"),
        ("records", '[{"a": "\\ud800"}]', "column 'a' holds a value"),
        ("records", '[{"\\ud800": 1}]', "printable"),
        ("records", '[{"": 1}]', "column 1 needs a name"),
        ("records", '[{"a\\n": 1}]', "printable"),
        ("records", json.dumps([{"x" * 101: 1}]), "1 to 100"),
        ("records", json.dumps([{f"c{n}": 1 for n in range(11)}]), "more than 10 columns"),
        ("records", json.dumps([{"a": 1}] * 1001), "more than 1000 rows"),
        ("ndjson", '{"a": 1}\n{"a"', "not JSON"),
        ("ndjson", '{"a": 1}\n' * 1001, "more than 1000 rows"),
        ("csv", "", "no columns"),
        ("csv", "a,b\n", "no rows"),
        ("csv", "\n1,2\n", "no columns"),
        ("csv", "a,a\n1,2\n", "two columns are called 'a'"),
        ("csv", "a, a\n1,2\n", "two columns are called 'a'"),
        ("csv", "a,\n1,2\n", "column 2 needs a name"),
        ("csv", "a,b\n1,2\n3\n", "line 3 of the CSV has 1 cells, the first 2"),
        ("csv", "a,b\n1,2,3\n", "line 2 of the CSV has 3 cells"),
        ("csv", 'a\n"x\n', "cannot be read"),
        ("csv", 'a\n"x"y\n', "cannot be read"),
        ("csv", "a\n" + "x" * 200_000 + "\n", "cannot be read"),
        ("csv", ",".join(f"c{n}" for n in range(11)), "more than 10 columns"),
        ("csv", "a\n" + "1\n" * 1001, "more than 1000 rows"),
        ("parquet", "PAR1 nothing", "not Parquet"),
        ("parquet", "", "not Parquet"),
    ],
)
def test_what_is_no_table_is_refused_in_words(kind: str, body: str, text: str) -> None:
    with pytest.raises(worker.WrongError, match=text) as told:
        load(kind, body.encode())
    assert len(str(told.value)) < 200


def test_a_csv_that_is_not_utf8_says_so() -> None:
    with pytest.raises(worker.WrongError, match="not UTF-8"):
        load("csv", b"a\n\xff\n")


def test_columns_of_a_csv_become_what_all_their_cells_are() -> None:
    text = (
        "\ufeffi,f,b,d,t,code,mixed,big,empty\r\n"
        "1,0.5,true,2024-02-29,2024-02-29T10:00:00,05001,1,99999999999999999999,\r\n"
        "-2,1e3,false,2024-01-01,2024-02-29 10:00:00.5,11001,x,1,\r\n"
        ",,,,,,,,\r\n"
    )
    frame = load("csv", text.encode())
    assert [worker.named(kind) for kind in frame.dtypes] == [
        *("int64", "float64", "boolean", "date", "datetime", "string", "string", "float64"),
        "string",
    ]
    assert frame["i"].to_list() == [1, -2, None]
    assert frame["code"].to_list() == ["05001", "11001", None]
    assert frame["t"].to_list()[1] == datetime(2024, 2, 29, 10, 0, 0, 500_000)


@pytest.mark.parametrize("cell", ["2024-02-30", "1_000", "٣", "0x10", "NaN", "inf", "True", "+-1"])
def test_a_cell_that_only_resembles_something_stays_text(cell: str) -> None:
    assert load("csv", f"a\n{cell}\n".encode())["a"].to_list() == [cell]


@pytest.mark.parametrize("cell", ["=1+1", "@SUM(A1)", "+A1", "-2+3|cmd", "\tx"])
def test_a_cell_that_starts_a_formula_is_data(cell: str) -> None:
    assert round_trip("csv", f'a\n"{cell}"\n'.encode()) == [{"a": cell}]


@pytest.mark.parametrize(
    "column",
    [
        pl.Series("a", [[1]]),
        pl.Series("a", [{"x": 1}]),
        pl.Series("a", [object()], dtype=pl.Object),
    ],
)
def test_nested_columns_are_refused(column: pl.Series) -> None:
    with pytest.raises(worker.WrongError, match="nested"):
        worker._plain(column)


def test_labels_of_a_parquet_become_text() -> None:
    frame = pl.DataFrame({"a": pl.Series(["x", "y"], dtype=pl.Categorical), "b": [None, None]})
    assert load("parquet", packed(frame)).dtypes == [pl.String, pl.String]


def test_a_parquet_is_held_to_what_its_footer_promises() -> None:
    many = packed(pl.DataFrame({"a": pl.repeat(0, 5_000_000, eager=True)}))
    assert len(many) < 100_000
    with pytest.raises(worker.WrongError, match="more than 1000 rows"):
        load("parquet", many)


def test_a_parquet_that_expands_is_refused() -> None:
    rows = pl.DataFrame({f"c{n}": pl.repeat(n, 200_000, eager=True) for n in range(10)})
    bomb = packed(rows)
    assert len(bomb) < 200_000
    with pytest.raises(worker.WrongError, match="too large once it is unpacked"):
        load("parquet", bomb, most_rows=1_000_000)


def test_a_parquet_cut_anywhere_is_refused_and_never_worse() -> None:
    whole = packed(pl.DataFrame({"a": range(500), "b": ["x"] * 500}))
    for at in range(0, len(whole), 97):
        with pytest.raises((worker.WrongError, pl.exceptions.PolarsError)):
            load("parquet", whole[:at])


def test_a_pickle_is_never_opened() -> None:
    import pickle

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (pytest.fail, ("a pickle was opened",))

    for kind in ("parquet", "csv", "json", "ndjson"):
        with pytest.raises(worker.WrongError):
            load(kind, pickle.dumps(Trap()))


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (2**63, "9223372036854775808"),
        (2**63 - 1, 2**63 - 1),
        (date(2024, 2, 29), "2024-02-29"),
        (datetime(2024, 2, 29, 1, 2, 3), "2024-02-29T01:02:03"),
        (datetime(2024, 2, 29, tzinfo=UTC), "2024-02-29T00:00:00+00:00"),
        (time(1, 2), "01:02:00"),
        (timedelta(hours=1), 3600.0),
        (Decimal("1.50"), "1.50"),
        (Decimal("1E+3"), "1000"),
        (b"\xff", "/w=="),
        ([1, None], [1, None]),
    ],
)
def test_every_value_has_a_form_in_json(value: Any, told: Any) -> None:
    assert worker.shown(value) == told


def test_an_answer_is_cut_at_rows_and_at_bytes() -> None:
    _, body = worker.work(
        {"task": "load", "format": "csv", **BOUNDS}, [b"a\n" + b"some text\n" * 100]
    )
    job = {"task": "ask", "frames": ["t"], "sql": 'SELECT * FROM "t"', **BOUNDS}
    by_rows, _ = worker.work({**job, "most_rows": 7}, [body])
    assert (by_rows["row_count"], by_rows["truncated"]) == (7, True)
    exact, _ = worker.work({**job, "most_rows": 100}, [body])
    assert (exact["row_count"], exact["truncated"]) == (100, False)
    by_bytes, _ = worker.work({**job, "most_bytes": 200}, [body])
    assert by_bytes["truncated"] and 5 < by_bytes["row_count"] < 15


def test_a_frame_is_told_by_column() -> None:
    frame = load("records", b'[{"n": 3, "s": "x"}, {"n": null, "s": null}]')
    assert worker.described(frame) == [
        {"name": "n", "type": "int64", "nulls": 1, "min": 3, "max": 3},
        {"name": "s", "type": "string", "nulls": 1},
    ]
