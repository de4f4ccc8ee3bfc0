"""What one process tells makes the others forget or look anew; nothing crosses a tenant."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.support.news import Line, two

from tause_mcp.events import Event
from tause_mcp.shared import Signal
from tause_mcp.tenancy import TenantId

pytestmark = pytest.mark.anyio

TA, TAB = TenantId("ta"), TenantId("tab")


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.mark.parametrize(
    ("tell", "forgets"),
    [
        (lambda one: one.news.credentials_changed(TA), ["tenant ta", "logins"]),
        (lambda one: one.news.tenant_changed(TA), ["tenant ta", "logins"]),
        (lambda one: one.news.tenant_gone(TA), ["tenant ta", "logins", "gone ta"]),
        (lambda one: one.events.tools_changed(TA), []),
        (lambda one: one.events.resource_updated(TA, "config"), []),
    ],
)
async def test_the_other_process_forgets_what_changed(
    line: Line, tell: Callable[[Any], None], forgets: list[str]
) -> None:
    async with two(line) as (one, other):
        tell(one)
        await line.quiet()
        assert other.forgot == forgets


async def test_listeners_of_the_tenant_hear_it_in_the_other_process_and_of_another_do_not(
    line: Line,
) -> None:
    mine: list[Event] = []
    theirs: list[Event] = []
    async with two(line) as (one, other):
        other.events.subscribe(TA, mine.append)
        other.events.subscribe(TAB, theirs.append)
        one.events.resource_updated(TA, "storage/a")
        one.events.resources_changed(TA)
        one.events.tools_changed(TA)
        one.news.credentials_changed(TA)
        await line.quiet()
    assert mine == [
        Event("resource", "tause://ta/storage/a"),
        Event("resources"),
        Event("tools"),
        Event("access"),
    ]
    assert theirs == []


@pytest.mark.parametrize(
    "signal",
    [
        Signal(TA, "resource", "tause://tab/storage/a"),
        Signal(TA, "resource", "https://evil.example"),
        Signal(TA, "resource", ""),
        Signal(TA, "something"),
    ],
)
async def test_a_forged_or_unknown_signal_tells_nobody_anything(line: Line, signal: Signal) -> None:
    heard: list[Event] = []
    async with two(line) as (one, other):
        for tenant in (TA, TAB):
            other.events.subscribe(tenant, heard.append)
        one.signals.send(signal)
        await line.quiet()
        assert heard == [] and other.forgot == []


async def test_after_a_gap_everything_is_forgotten(line: Line) -> None:
    async with two(line) as (_, other):
        line.gap()
        assert other.forgot == ["tenant None", "logins"]


async def test_who_tells_forgets_its_own_logins_at_once(line: Line) -> None:
    async with two(line) as (one, _):
        one.news.credentials_changed(TA)
        assert one.forgot == ["logins"]
