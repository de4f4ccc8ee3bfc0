"""A few hundred probes of the walk, over the whole HTTP server in this process."""

import pytest

from tause_mcp.platform import Platform
from tause_mcp.testing.walk import Prepare, in_process, walk
from tause_mcp.testing.walk_wire import LEGACY, MODERN

pytestmark = pytest.mark.anyio

PROBES = 500
NOT_MADE: set[str] = set()
"""Tools that make something, of which the walk cannot have A make any."""


KINDS = {
    "tool",
    "nested",
    "replay",
    "small door",
    "spelling",
    "tenant",
    "door",
    "resource",
    "completion",
    "prompt",
    "cursor",
    "idempotency",
    "sealed state",
    "session",
    "link",
    "route",
    "bill",
    "credential",
    "listen",
}


async def test_nobody_finds_anything_of_another_tenant(
    platform: Platform, prepare: Prepare
) -> None:
    async with in_process(platform) as http:
        report = await walk(platform, http, most=PROBES, eras=(MODERN, LEGACY), prepare=prepare)
    assert not report.findings, report
    assert report.bytes == 0 and report.probes >= PROBES
    assert set(report.not_made) == NOT_MADE
    assert set(report.counts) >= KINDS
    everything = {*platform.catalog.tools, *platform.catalog.prompts}
    assert not everything - report.covered
