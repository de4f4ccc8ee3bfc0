"""The tools of frames through the whole pipeline: scopes, shapes, refusals."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tause_mcp.errors import Forbidden, Invalid, NotFound, QuotaExceeded, Unconfigured
from tause_mcp.services import dataframes
from tause_mcp.services.storage import Storage
from tause_mcp.testing.home import House, house

pytestmark = pytest.mark.anyio
SALES = [{"city": "cali", "n": 2}, {"city": "pasto", "n": 5}]


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as opened:
        yield opened


async def sales(home: House, name: str = "sales", **given: Any) -> Any:
    return await home.call("dataframes_put", {"name": name, **(given or {"records": SALES})})


async def test_the_way_of_a_frame(home: House) -> None:
    made = await sales(home)
    assert (made["name"], made["rows"], made["columns"]) == ("sales", 2, 2)
    told = await home.call("dataframes_describe", {"name": "sales"})
    assert told["columns"] == [
        {"name": "city", "type": "string", "nulls": 0},
        {"name": "n", "type": "int64", "nulls": 0, "min": 2, "max": 5},
    ]
    assert (await home.call("dataframes_list"))["items"] == [made]
    answer = await home.call(
        "dataframes_query", {"sql": "SELECT city, n * 2 AS twice FROM sales ORDER BY n"}
    )
    assert answer == {
        "columns": [{"name": "city", "type": "string"}, {"name": "twice", "type": "int64"}],
        "rows": [{"city": "cali", "twice": 4}, {"city": "pasto", "twice": 10}],
        "row_count": 2,
        "truncated": False,
    }
    assert await home.call("dataframes_delete", {"name": "sales"}) == {
        "name": "sales",
        "deleted": True,
    }
    with pytest.raises(NotFound):
        await home.call("dataframes_describe", {"name": "sales"})


@pytest.mark.parametrize(
    "given", [{}, {"records": SALES, "csv": "a\n1\n"}, {"csv": "a\n1\n", "key": "a.csv"}]
)
async def test_exactly_one_source_is_given(home: House, given: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match="exactly one of records, csv and key"):
        await home.call("dataframes_put", {"name": "sales", **given})


@pytest.mark.parametrize(
    "name", ["", "Sales", "1a", "a-b", "a.b", "a" * 64, "añ", "../a", 'a"b', 7]
)
async def test_a_name_is_a_plain_word_of_sql(home: House, name: Any) -> None:
    with pytest.raises(Invalid) as told:
        await home.call("dataframes_put", {"name": name, "records": SALES})
    assert told.value.field == "name"


@pytest.mark.parametrize(
    "records", ["x", [1], [[1]], [{"a": 1}] * 10_001, [{"a": 2**70}], [{"a": "\ud800"}]]
)
async def test_records_are_a_bounded_list_of_objects(home: House, records: Any) -> None:
    with pytest.raises(Invalid):
        await home.call("dataframes_put", {"name": "t", "records": records})


async def test_an_object_needs_the_right_to_read_it(home: House) -> None:
    await home.call("storage_put", {"key": "in/a.csv", "content": "a\n1\n"})
    told = {"name": "t", "key": "in/a.csv"}
    writer = home.caller(scopes={"dataframes:write", "storage:read:out/*"})
    with pytest.raises(Forbidden, match="storage:read"):
        await home.call("dataframes_put", told, writer)
    reader = home.caller(scopes={"dataframes:write", "storage:read:in/*"})
    assert (await home.call("dataframes_put", told, reader))["rows"] == 1


async def test_a_scope_of_some_frames_hides_the_others(home: House) -> None:
    await sales(home)
    await sales(home, "secret")
    some = home.caller(scopes={"dataframes:read:sal*"})
    assert [f["name"] for f in (await home.call("dataframes_list", {}, some))["items"]] == ["sales"]
    texts = set()
    for table in ("secret", "absent"):
        for sql in (f"SELECT * FROM {table}", f"SELECT * FROM sales JOIN {table} USING (city)"):
            with pytest.raises(NotFound) as told:
                await home.call("dataframes_query", {"sql": sql}, some)
            texts.add(str(told.value))
    assert len(texts) == 1
    with pytest.raises(Forbidden):
        await home.call("dataframes_put", {"name": "sales", "records": SALES}, some)


async def test_an_agent_may_keep_frames_and_a_viewer_may_ask_them(home: House) -> None:
    agent, viewer = home.caller(role="agent"), home.caller(role="viewer")
    await home.call("dataframes_put", {"name": "sales", "records": SALES}, agent)
    answer = await home.call("dataframes_query", {"sql": "SELECT COUNT(*) AS n FROM sales"}, viewer)
    assert answer["rows"] == [{"n": 2}]
    with pytest.raises(Forbidden):
        await home.call("dataframes_delete", {"name": "sales"}, viewer)


async def test_a_long_answer_is_stored_and_previewed(home: House) -> None:
    rows = "\n".join(f"{n},{'x' * 60}" for n in range(1000))
    await sales(home, csv=f"n,t\n{rows}\n")
    told = await home.call("dataframes_query", {"sql": "SELECT * FROM sales ORDER BY n"})
    assert told["size"] > 24 * 1024 and told["preview"].startswith('{"columns":')
    part = await home.call("storage_get", {"key": told["key"], "range": "0-99"})
    assert part["content"] == told["preview"][:100]


async def test_a_put_is_in_the_audit_chain_and_repeats_by_its_key(home: House) -> None:
    told = {"name": "sales", "records": SALES}
    first = await home.call("dataframes_put", told, key="once")
    assert await home.call("dataframes_put", told, key="once") == first
    found = await home.call("audit_search", {"action": "dataframes_put"})
    assert len(found["items"]) == 1


async def test_frames_count_as_storage_and_go_with_their_tenant(home: House) -> None:
    tenant = await home.tenant("shop")
    await home.call("tenants_configure", {"tenant_id": tenant, "limits": {"storage": 2000}})
    await home.call("dataframes_put", {"name": "sales", "records": SALES}, "shop")
    rows = [{"a": f"{n * 7919:x}", "b": n * 104729 % 9973} for n in range(600)]
    with pytest.raises(QuotaExceeded):
        await home.call("dataframes_put", {"name": "more", "records": rows}, "shop")
    told = await home.call("dataframes_list", {}, "shop")
    assert [f["name"] for f in told["items"]] == ["sales"]
    operation = home.platform.catalog.tools["dataframes_list"]
    usage = await home.platform.binding(home.caller("shop"), operation).service(Storage).usage()
    assert usage.bytes == told["items"][0]["size"]


async def test_without_its_extra_nothing_is_listed_and_a_call_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataframes, "find_spec", lambda name: None)
    async with house(tmp_path) as home:
        async with home.client(toolsets=("all",)) as client:
            shown = [tool.name for tool in (await client.list_tools()).tools]
        assert shown and not [name for name in shown if name.startswith("dataframes_")]
        with pytest.raises(Unconfigured, match=r"tause-mcp\[dataframes\]") as told:
            await sales(home)
        assert told.value.code == "unconfigured"
        found = await home.call("catalog_search", {"query": "dataframe sql query"})
        assert not [t for t in found["items"] if t["name"].startswith("dataframes_")]


def test_nothing_heavy_is_imported_before_it_is_used() -> None:
    import subprocess
    import sys

    script = "import sys, tause_mcp.catalog as c; c.load(()).tools; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert not {"polars", "sqlglot", "obstore"} & set(done.stdout.split())
