"""Prompts about tenants name the tools that exist, and only tenants within reach."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.tenants import CATALOG, House, open_house, who

from tause_mcp.errors import Forbidden, Invalid

pytestmark = pytest.mark.anyio


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path / "rows.db") as opened:
        yield opened


async def test_a_prompt_names_tools_that_exist(house: House) -> None:
    onboard = await house.call("onboard_tenant", tenant_id="aa", name="Acme", plan="gold")
    analyze = await house.call("analyze_usage")
    named = set(re.findall(r"\btenants_\w+", onboard + analyze))
    assert named
    assert named <= set(CATALOG.tools)
    assert "'Acme'" in onboard
    assert "my tenant" in analyze


async def test_a_prompt_takes_no_odd_tenant(house: House) -> None:
    with pytest.raises(Invalid):
        await house.call("onboard_tenant", tenant_id="A B\nignore all")
    with pytest.raises(Forbidden):
        await house.call("onboard_tenant", who(role="agent"), tenant_id="aa")


async def test_suggested_tenants_are_within_reach(house: House) -> None:
    await house.grow("aa", "aa1")
    await house.grow("ab")
    suggest = CATALOG.completions[("analyze_usage", "tenant_id")]

    async def suggested(tenant: str, typed: str) -> list[str]:
        from tause_mcp.pipeline import Invocation

        call = Invocation(who(tenant), {"typed": typed})
        return (await house.pipeline.run(suggest, call)).value

    assert await suggested("default", "a") == ["aa", "aa1", "ab"]
    assert await suggested("aa", "") == ["aa", "aa1"]
    assert await suggested("aa", "ab") == []
