"""Shared by every test: asyncio, and settings that never touch the person's own home."""

import logging
import os
from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def no_outside_settings(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    """A test sees only the settings that it states."""
    for name in list(os.environ):
        if name.startswith(("TAUSE_", "TAUSESTACK_", "SUPABASE_", "MCP_", "WOMPI_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TAUSE_HOME", str(tmp_path / "home"))


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
