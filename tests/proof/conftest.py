"""A deployment that runs, and `tause-mcp prove` beside it."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.serving import Served, environment, serving

Prove = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("prove") / "home") as served:
        yield served


@pytest.fixture
def prove(tmp_path: Path) -> Prove:
    """Run `tause-mcp prove` with the settings of a home."""

    def run(home: Path, *options: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "tause_mcp", "prove", *options],
            env=environment(home, **settings),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run
