"""What of SQL is let through, and that it is written out as it was read."""

import logging
import time

import polars as pl
import pytest

from tause_mcp.errors import Invalid
from tause_mcp.services.dataframes.grammar import FUNCTIONS
from tause_mcp.services.dataframes.statement import checked

CONTEXT = pl.SQLContext(
    {
        "s": pl.DataFrame(
            {
                "a": [1, 2, 3, None],
                "b": ["x", "y", "x", "z"],
                "d": pl.Series(["2020-01-01T10:20:30"] * 4).str.to_datetime(),
                "f": [0.5, 0.25, float("nan"), None],
                "t": [True, False, None, True],
            }
        ),
        "r": pl.DataFrame({"a": [1, 2], "c": ["one", "two"]}),
    },
    register_globals=False,
)


def answer(sql: str) -> list[tuple[object, ...]]:
    return CONTEXT.execute(sql, eager=True).rows()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM s ORDER BY a DESC NULLS LAST",
        "SELECT * FROM s ORDER BY a DESC",
        "SELECT * FROM s ORDER BY a NULLS FIRST",
        "SELECT a AS \"x\"\"y\", 'it''s' AS q FROM s",
        "SELECT s.a, r.c FROM s JOIN r ON s.a = r.a ORDER BY s.a",
        "SELECT s.a, c FROM s LEFT JOIN r USING (a) ORDER BY s.a",
        "SELECT s.a FROM s CROSS JOIN r ORDER BY s.a",
        "SELECT b, COUNT(*) AS n, SUM(a) AS m FROM s GROUP BY b HAVING COUNT(*) > 1",
        "SELECT b, COUNT(DISTINCT a) AS n FROM s GROUP BY ALL ORDER BY b LIMIT 2 OFFSET 1",
        "SELECT a, SUM(a) OVER (PARTITION BY b ORDER BY a) AS n FROM s ORDER BY a",
        "SELECT a, SUM(a) OVER (ORDER BY a ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) "
        "AS n FROM s ORDER BY a",
        "SELECT SUM(a) OVER w AS n FROM s WINDOW w AS (ORDER BY a) ORDER BY n",
        "SELECT a FROM s QUALIFY ROW_NUMBER() OVER (ORDER BY a) = 1",
        "WITH c AS (SELECT a FROM s), e AS (SELECT a FROM c) SELECT * FROM e ORDER BY a",
        "SELECT a FROM s UNION ALL SELECT a FROM r ORDER BY a",
        "SELECT a FROM s EXCEPT SELECT a FROM r ORDER BY a",
        "SELECT * FROM (SELECT a FROM s WHERE a > 1) AS q ORDER BY a",
        "SELECT a FROM s WHERE a IN (SELECT a FROM r) ORDER BY a",
        "SELECT a FROM s WHERE EXISTS (SELECT 1 FROM r WHERE r.a = s.a) ORDER BY a",
        "SELECT (SELECT MAX(a) FROM r) AS m, a FROM s ORDER BY a",
        "SELECT CASE WHEN a > 1 THEN 'x' ELSE 'y' END AS v FROM s",
        "SELECT CASE b WHEN 'x' THEN 1 END AS v FROM s",
        "SELECT a FROM s WHERE b LIKE 'x%' AND NOT b ILIKE 'Y%' OR a BETWEEN 1 AND 2",
        "SELECT t IS NOT TRUE AS v, a IS NULL AS w, b NOT IN ('x') AS u FROM s",
        "SELECT -a AS v, a * 2 + 1 - 3 % 2 AS w, a / 2 AS u, b || '!' AS q FROM s",
        "SELECT CAST(a AS VARCHAR) AS v, a::double AS w, TRY_CAST(b AS BIGINT) AS u FROM s",
        "SELECT CAST(a AS DECIMAL(10, 2)) AS v, DATE '2020-02-01' - INTERVAL '1 month' AS w FROM s",
        "SELECT EXTRACT(YEAR FROM d) AS v, DATE_TRUNC('month', d) AS w FROM s",
        "SELECT SUM(a) FILTER (WHERE a > 1) AS v FROM s",
        "SELECT DISTINCT b FROM s ORDER BY b",
        "/* why */ SELECT a FROM s -- because",
        "SELECT a FROM s WHERE " + " OR ".join(f"a = {n}" for n in range(100)),
    ],
)
def test_what_is_let_through_means_the_same(sql: str) -> None:
    assert repr(answer(checked(sql).sql)) == repr(answer(sql))


ARGUMENTS = {
    "count": "*", "corr": "a, f", "covar": "a, f", "quantile_cont": "a, 0.5",
    "quantile_disc": "a, 0.5", "string_agg": "b, ','", "row_number": "", "rank": "",
    "dense_rank": "", "pi": "", "ntile": "2", "nullif": "a, 1", "ifnull": "a, 1",
    "if": "a > 1, 1, 2", "coalesce": "a, 1", "greatest": "a, 1", "least": "a, 1", "pow": "a, 2",
    "power": "a, 2", "mod": "a, 2", "atan2": "a, f", "log": "f, 2", "substr": "b, 1, 1",
    "substring": "b, 1, 1", "left": "b, 1", "right": "b, 1", "replace": "b, 'x', 'y'",
    "concat": "b, b", "concat_ws": "'-', b", "starts_with": "b, 'x'", "ends_with": "b, 'x'",
    "strpos": "b, 'x'", "split_part": "b, 'x', 1", "regexp_like": "b, 'x'",
    "date_part": "'year', d", "date_trunc": "'month', d", "strftime": "d, '%Y'",
    "date": "'2020-01-01'", "now": "",
}  # fmt: skip
TEXT = "length char_length octet_length bit_length lower upper initcap trim ltrim rtrim reverse"
TIMES = "year month day hour minute second quarter week"
WINDOWS = "row_number rank dense_rank lag lead first_value last_value ntile"


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function_on_the_list_works(name: str) -> None:
    plain = "b" if name in TEXT.split() else "d" if name in TIMES.split() else "f"
    over = " OVER (ORDER BY a)" if name in WINDOWS.split() else ""
    sql = f"SELECT {name.upper()}({ARGUMENTS.get(name, plain)}){over} AS v FROM s"
    assert answer(checked(sql).sql)


@pytest.mark.parametrize(
    "sql",
    [
        "",
        " ",
        ";",
        "x",
        "SELEC 1",
        "SELECT * FROM s; DROP TABLE s",
        "SELECT 1; SELECT 2",
        "DROP TABLE s",
        "DELETE FROM s",
        "UPDATE s SET a = 1",
        "TRUNCATE s",
        "INSERT INTO s VALUES (1)",
        "CREATE TABLE x AS SELECT * FROM s",
        "SELECT * INTO x FROM s",
        "SHOW TABLES",
        "EXPLAIN SELECT * FROM s",
        "DESCRIBE s",
        "PRAGMA x",
        "SET x = 1",
        "COPY s TO '/tmp/x'",
        "TABLE s",
        "VALUES (1)",
        "(SELECT 1)",
        "WITH RECURSIVE x AS (SELECT 1 UNION ALL SELECT * FROM x) SELECT * FROM x",
        "WITH a AS (DELETE FROM s RETURNING *) SELECT * FROM a",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM READ_CSV('/etc/passwd') AS t",
        "SELECT * FROM read_parquet('s3://bucket/x')",
        "SELECT * FROM read_ipc('x'), s",
        "SELECT * FROM scan_csv('x')",
        "SELECT * FROM s JOIN read_json('x') ON true",
        "SELECT (SELECT * FROM read_csv('x'))",
        "SELECT a FROM s WHERE EXISTS (SELECT * FROM read_csv('x'))",
        "SELECT read_csv('x') FROM s",
        "SELECT a FROM s ORDER BY read_csv('x')",
        "SELECT a FROM s LIMIT read_csv('x')",
        "SELECT * FROM ｒead_csv('x')",
        "SELECT * FROM \"read_csv\"('x')",
        "SELECT * FROM read_csv\u200b('x')",
        "SELECT\u202e * FROM s",
        "SELECT \ufeff* FROM s",
        'SELECT "a\x00b" FROM s',
        "SELECT '\ud800' FROM s",
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM pg_catalog.pg_class",
        "SELECT * FROM other.s",
        "SELECT pg_catalog.version()",
        "SELECT version()",
        "SELECT * FROM s, LATERAL (SELECT 1) x",
        "SELECT * FROM UNNEST(a)",
        "SELECT * FROM s TABLESAMPLE (1)",
        "SELECT * FROM s FOR UPDATE",
        "SELECT * FROM s PIVOT(sum(a) FOR b IN ('x'))",
        "SELECT * FROM s AS t(a, b)",
        "SELECT a FROM s GROUP BY CUBE (a)",
        "SELECT a[1] FROM s",
        "SELECT [1, 2]",
        "SELECT {'a': 1}",
        "SELECT x -> 'a' FROM s",
        "SELECT CAST(a AS INT[]) FROM s",
        "SELECT CAST(a AS foo) FROM s",
        "SELECT ?",
        "SELECT :x",
        "SELECT @x",
        "SELECT /*+ hint */ a FROM s",
        "SELECT a COLLATE x FROM s",
        "SELECT REPEAT('x', 1000000000)",
        "SELECT LPAD('x', 1000000000)",
        "SELECT ARRAY_AGG(a) FROM s",
    ],
)
def test_anything_else_is_refused(sql: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(Invalid) as told:
        checked(sql)
    assert told.value.field == "sql"
    assert "\n" not in str(told.value)
    assert caplog.text == ""


@pytest.mark.parametrize(
    "sql",
    ["SELECT * FROM '/etc/passwd'", 'SELECT * FROM "/etc/passwd"', "SELECT * FROM 'http://x'"],
)
def test_a_path_as_a_table_is_only_a_name(sql: str) -> None:
    (name,) = checked(sql).tables
    assert name.startswith(("/", "http"))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT " + "(" * 59 + "1" + ")" * 59,
        "SELECT " + "(" * 4000,
        "SELECT " + "(SELECT " * 50 + "1" + ")" * 50,
        "SELECT " + "CASE WHEN " * 900 + "1",
        "SELECT " + "- " * 4900 + "1",
        "SELECT " + "NOT " * 2400 + "1",
        "SELECT " + "1+" * 4900 + "1",
        "SELECT " + "1," * 4900 + "1",
        "SELECT " + "a." * 4900 + "a",
        "SELECT " + "abs(" * 59 + "1" + ")" * 59,
        "SELECT 1" + "::int" * 1900,
        "SELECT 1" + " BETWEEN 1 AND 1" * 580,
        "SELECT a" + "[1]" * 3000,
        "SELECT '" + "''" * 4900,
        "SELECT 1" + " UNION SELECT 1" * 30,
        "SELECT * FROM s" + ", s" * 30,
        "WITH " + ",".join(f"a{n} AS (SELECT * FROM s)" for n in range(60)) + " SELECT 1",
        "SELECT 1 " * 2000,
    ],
)
def test_a_query_made_to_exhaust_is_refused_at_once(sql: str) -> None:
    began = time.process_time()
    with pytest.raises(Invalid):
        checked(sql)
    assert time.process_time() - began < 3  # seconds of the processor; unbounded, it is minutes
