"""Spans reach a collector, joined to the caller's trace, and tell nothing of anybody's."""

import asyncio
import sys
import time
from pathlib import Path

import httpx2
import pytest
from tests.support.clients import over_stdio
from tests.support.collector import Collector, attributes, collecting
from tests.support.serving import run_all, serving

from tause_mcp.errors import Misconfigured
from tause_mcp.telemetry.traces import tracing, wanted
from tause_mcp.testing.walk_wire import Speaker

pytestmark = pytest.mark.anyio
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}


async def calls(url: str, token: str) -> None:
    async with httpx2.AsyncClient(base_url=url, timeout=60, trust_env=False) as http:
        speaker = Speaker(http, token)
        put = {"name": "storage_put", "arguments": {"key": "k4n4ry", "content": "c4n4ry"}}
        assert (await speaker.ask("tools/call", put, meta=PARENT)).value
        await speaker.tool("storage_get", {"key": "k4n4ry/none"})
        await speaker.tool("c4n4ry_tool", {"secret": "c4n4ry"})
        await speaker.ask("resources/read", {"uri": "tause://default/storage/k4n4ry-none"})


def silent(collector: Collector, *canaries: str) -> None:
    """No span carries any of these, in any field."""
    told = b"".join(s.SerializeToString() for s in collector.spans + collector.resources)
    for canary in canaries:
        assert canary.encode() not in told


@pytest.fixture
def told() -> dict[str, str]:
    return {"OTEL_BSP_SCHEDULE_DELAY": "100", "TAUSE_LOG_LEVEL": "error"}


async def test_spans_are_exported_scrubbed_and_flushed_at_the_end(
    tmp_path: Path, told: dict[str, str]
) -> None:
    with collecting() as collector:
        late = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "60000"}
        with serving(tmp_path / "home", "--transport", "http", **{**told, **late}) as server:
            await calls(server.url, server.key)
            assert not collector.spans, "nothing is due yet"
            assert await asyncio.to_thread(server.stop) in (0, -15)  # what uvicorn raises again
            put = collector.wait("tools/call storage_put")
            key = server.key
    assert put.trace_id.hex() == TRACE and put.parent_span_id.hex() == "b7ad6b7169203331"
    assert attributes(put)["gen_ai.tool.name"] == "storage_put"
    get = collector.wait("tools/call storage_get")
    assert attributes(get)["error.type"] == "tool_error" and get.status.code == 2
    assert collector.named("tools/call unknown")
    names = {a.key: a.value.string_value for r in collector.resources for a in r.attributes}
    assert names["service.name"] == "tause-mcp"
    silent(collector, "c4n4ry", "k4n4ry", key, str(tmp_path), "default")


async def test_the_tenant_is_named_only_when_a_setting_says_so(
    tmp_path: Path, told: dict[str, str]
) -> None:
    with collecting() as collector:
        told |= {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "TAUSE_TRACE_TENANT": "true"}
        told |= {"OTEL_SERVICE_NAME": "shop"}
        home = tmp_path / "home"
        with serving(home, "--transport", "http", **told) as server:
            run_all(home, ("tenants", "create", "acme"))
            key = run_all(home, ("keys", "create", "--tenant", "acme"))[0].strip()
            await calls(server.url, key)
            put = await asyncio.to_thread(collector.wait, "tools/call storage_put")
    assert attributes(put)["tause.tenant"] == "acme"
    assert "shop" in {a.value.string_value for r in collector.resources for a in r.attributes}
    silent(collector, "c4n4ry", key)


async def test_a_local_session_is_traced_too_and_stdout_stays_clean(
    tmp_path: Path, told: dict[str, str]
) -> None:
    with collecting() as collector:
        told |= {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        async with over_stdio(tmp_path / "home", settings=told) as client:
            await client.call_tool("access_whoami", {})
        assert await asyncio.to_thread(collector.wait, "tools/call access_whoami")


async def test_a_collector_that_is_down_costs_no_call(tmp_path: Path, told: dict[str, str]) -> None:
    told |= {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    with serving(tmp_path / "home", "--transport", "http", **told) as server:
        await calls(server.url, server.key)
        began = time.monotonic()
        await asyncio.to_thread(server.stop)
        assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_without_a_collector_nothing_is_loaded(environ: dict[str, str]) -> None:
    assert not wanted(environ)


def test_without_the_extra_one_line_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(Misconfigured, match=r"tause-mcp\[otel\]"), tracing(frozenset()):
        pass


def test_another_protocol_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with pytest.raises(Misconfigured, match="http/protobuf"), tracing(frozenset()):
        pass
