"""`tause-mcp storage reconcile`: a report on stdout, an exit code, nothing touched unless asked."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.serving import environment, run

pytestmark = pytest.mark.embedded


def reconcile(home: Path, *options: str) -> tuple[int, list[str]]:
    done = subprocess.run(
        [sys.executable, "-m", "tause_mcp", "storage", "reconcile", *options],
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout.splitlines()


def test_a_drifted_house_is_told_and_repaired(tmp_path: Path) -> None:
    home = tmp_path / "home"
    run(home, "tools", "call", "storage_put", "--args", '{"key": "a", "content": "text"}')
    assert reconcile(home) == (0, ["1 tenants, 0 blobs: rows and store agree"])
    with closing(sqlite3.connect(home / "tause.db")) as rows:
        rows.execute("UPDATE storage_usage SET bytes = 999, objects = 9")
        rows.commit()
    drifted = (
        "default: counters say 999 bytes in 9 objects and 0 reserved, "
        "stored are 4 bytes in 1 objects and 0 reserved"
    )
    assert reconcile(home) == (1, [drifted, "1 tenants, 0 blobs: repair with --repair"])
    assert reconcile(home, "--repair") == (0, [drifted, "1 tenants, 0 blobs: all repaired"])
    assert reconcile(home) == (0, ["1 tenants, 0 blobs: rows and store agree"])


def test_a_grace_that_would_take_what_is_being_written_is_refused(tmp_path: Path) -> None:
    code, _ = reconcile(tmp_path / "home", "--grace", "1")
    assert code == 2
