"""The client speaks to a running server, and says plainly what is wrong when it cannot."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.serving import Served, free_port, serving

import tause_mcp.client as ts
from tause_mcp.client import connection
from tause_mcp.client.payments import cents_of
from tause_mcp.errors import Invalid, NotFound, Unauthenticated, Unavailable, Unconfigured

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("client") / "home") as running:
        yield running


@pytest.fixture(autouse=True)
def not_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_configured", None)


async def test_with_no_setting_it_finds_the_server_of_this_home(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAUSE_HOME", str(served.home))
    assert (await ts.call("access_whoami", {}))["tenant"] == "default"


async def test_a_result_and_a_failure_are_the_servers_own(served: Served) -> None:
    ts.configure(served.url, served.key)
    await ts.call("storage_put", {"key": "a", "content": "hola"}, idempotency_key="once")
    assert (await ts.call("storage_get", {"key": "a"}))["content"] == "hola"
    with pytest.raises(Invalid) as wrong:
        await ts.call("storage_get", {})
    assert wrong.value.field == "key"
    with pytest.raises(NotFound, match="Unknown tool"):
        await ts.call("storage_fly", {})


async def test_a_wrong_key_and_a_server_that_is_not_there(served: Served) -> None:
    with pytest.raises(Unauthenticated, match="not accepted"):
        await ts.Connection(served.url, "tk_default.wrong").call("access_whoami", {})
    with pytest.raises(Unavailable, match="is it running"):
        await ts.Connection(f"http://127.0.0.1:{free_port()}", "k").call("access_whoami", {})


def test_without_a_key_it_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAUSE_HOME", str(tmp_path))
    with pytest.raises(Unconfigured, match="TAUSE_API_KEY"):
        ts.configure()


def test_a_connection_never_shows_its_key() -> None:
    assert "hunter2" not in repr(ts.Connection("http://127.0.0.1", "hunter2"))


@given(st.decimals(min_value=0, max_value=10**10, places=2))
def test_pesos_become_whole_cents(pesos: Decimal) -> None:
    assert cents_of(pesos) == cents_of(str(pesos)) == int(pesos * 100)


@pytest.mark.parametrize(
    ("pesos", "cents"), [(50_000, 5_000_000), (1500.5, 150_050), ("1500.05", 150_005), (0.1, 10)]
)
def test_pesos_as_people_write_them(pesos: Any, cents: int) -> None:
    assert cents_of(pesos) == cents


@pytest.mark.parametrize(
    "wrong", [True, "", "mil", "1.234,50", "１５００", 0.001, float("nan"), "Infinity"]
)
def test_what_is_no_amount_is_refused(wrong: Any) -> None:
    with pytest.raises(Invalid) as told:
        cents_of(wrong)
    assert told.value.field == "amount"
