"""Shared by every test: asyncio, and settings that never touch the person's own home."""

import logging
import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import hypothesis
import pytest
import structlog
from tests.support import backends
from tests.support.clock import BUSY

from tause_mcp.testing import home


def pytest_addoption(parser: pytest.Parser) -> None:
    default = os.environ.get(backends.SWITCH) or "embedded"
    told = "where houses keep their things: embedded, or servers (PostgreSQL, Redis, S3)"
    parser.addoption("--backends", default=default, help=told)


def pytest_configure(config: pytest.Config) -> None:
    # how long an example takes says how busy the machine is
    hypothesis.settings.register_profile(
        "busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("busy")
    try:
        backends.choose(config.getoption("--backends"))
    except ValueError as wrong:
        raise pytest.UsageError(f"--backends: {wrong}") from None
    home.surroundings = backends.settings


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On the servers, only what opens a house is run again."""
    if not backends.on_servers():
        return
    again = [item for item in items if _opens_a_house(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(again)])
    items[:] = again


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What a long test counted (`record_property("counted", ...)`), wherever it ran."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, told in getattr(report, "user_properties", ()):
            if name == "counted" and report.when == "call":
                terminalreporter.write_line(f"{report.nodeid.split('::')[0]}: {told}")


def _opens_a_house(item: pytest.Item) -> bool:
    if not isinstance(item, pytest.Function) or item.get_closest_marker("embedded"):
        return False
    if item.nodeid.startswith(backends.OF_THEIR_OWN):
        return False
    known = item._fixtureinfo.name2fixturedefs.values()
    fixtures = (d.func for defs in known for d in defs if hasattr(d.func, "__globals__"))
    ours = (f for f in fixtures if f.__module__ != __name__)
    return backends.opens_a_house(chain([item.function], ours))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def no_outside_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A test sees only the settings that it states."""
    for name in list(os.environ):
        if name.startswith(("TAUSE_", "TAUSESTACK_", "SUPABASE_", "MCP_", "WOMPI_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TAUSE_HOME", str(tmp_path / "home"))


@pytest.fixture
def patient_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no outage is meant, a Redis that a busy machine holds up is waited for."""
    monkeypatch.setattr("tause_mcp.shared.redis.SECONDS", BUSY)
    monkeypatch.setattr("tause_mcp.shared.redis._BOUND", 2 * BUSY)


@pytest.fixture(autouse=True)
def houses_end_with_their_test(tmp_path: Path) -> Iterator[None]:
    yield
    backends.forget(tmp_path)


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """What a test makes of the logs of this process ends with it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    if structlog.is_configured():
        structlog.reset_defaults()
        root.handlers[:] = handlers
        root.setLevel(level)
