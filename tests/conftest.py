"""Shared by every test: asyncio, and settings that never touch the person's own home."""

import os

import pytest


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
