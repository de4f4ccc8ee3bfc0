"""`tause-mcp prove` on a deployment that runs: it passes, it finds a leak, it leaves nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.support import backends
from tests.support.plugins import leaky
from tests.support.serving import Served, environment, run, serving

from .conftest import Prove


def tenants(home: Path) -> list[str]:
    return [line.split()[0] for line in run(home, "tenants", "list").splitlines()]


def test_a_plugin_that_leaks_makes_it_fail(tmp_path: Path, prove: Prove) -> None:
    before = os.environ.get("PYTHONPATH", "")
    plugged = {"PYTHONPATH": f"{leaky(tmp_path / 'site')}{os.pathsep}{before}".rstrip(os.pathsep)}
    with serving(tmp_path / "home", "--transport", "http", **plugged) as server:
        done = prove(server.home, "--only", "isolation", "--probes", "300", **plugged)
        assert done.returncode == 1, done.stderr
        assert done.stdout.startswith("FAILED")
        told = json.loads((tmp_path / "proof.json").read_text())["proof"]
        isolation = next(c for c in told["checks"] if c["name"] == "isolation")
        assert isolation["counts"]["bytes found"] > 0
        assert any("leaky_get" in problem for problem in isolation["problems"])
        assert told["subject"]["plugins"] == {"leaky": "1.0"}
        assert tenants(server.home) == ["default"]


def test_another_installation_is_refused_in_one_line(
    tmp_path: Path, prove: Prove, server: Served
) -> None:
    done = prove(tmp_path / "other", "--url", server.url)
    assert done.returncode == 2 and "another installation" in done.stderr
    done = prove(tmp_path / "other", "--url", "http://127.0.0.1:1")
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1
    done = prove(server.home, "--only", "isolatoin")
    assert done.returncode == 1 and "there are catalogue, isolation" in done.stderr


def test_interrupted_it_removes_what_it_made(tmp_path: Path, server: Served) -> None:
    command = [sys.executable, "-m", "tause_mcp", "prove", "--only", "isolation"]
    with subprocess.Popen(
        command, env=environment(server.home), cwd=tmp_path, stderr=subprocess.PIPE, text=True
    ) as process:
        until = time.monotonic() + 30
        while len(tenants(server.home)) < 3 and time.monotonic() < until:
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 130
        assert process.stderr is not None
        assert "removed" in process.stderr.read().splitlines()[-1]
    assert tenants(server.home) == ["default"]
    assert not (tmp_path / "proof.json").exists()


@pytest.mark.timeout(400)
def test_a_deployment_that_holds_is_proven(tmp_path: Path, prove: Prove, server: Served) -> None:
    done = prove(server.home, "--probes", "200", "--kills", "1")
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "proof.json").read_text())["proof"]
    verdicts = {c["name"]: c["verdict"] for c in told["checks"]}
    assert verdicts.pop("backup") == "not available"
    assert set(verdicts.values()) == {"pass"} and len(verdicts) == 6
    assert told["subject"]["database"] == ("postgresql" if backends.on_servers() else "sqlite")
    counts = {c["name"]: c["counts"] for c in told["checks"]}
    assert counts["isolation"]["bytes found"] == 0 < counts["isolation"]["probes"]
    assert counts["durability"]["acknowledged writes"] > 0 == counts["durability"]["lost"]
    assert counts["limits"]["calls admitted"] == 40
    text = (tmp_path / "proof.md").read_text()
    for secret in (server.key, str(tmp_path), str(server.home), "127.0.0.1", "/"):
        assert secret not in text.replace("application/", "").partition("\nSigned")[0] + str(told)
    assert tenants(server.home) == ["default"]
    jwks = ("--jwks", f"{server.url}/.well-known/jwks.json")
    assert prove(server.home, "--verify", "proof.json").returncode == 0
    assert prove(tmp_path / "elsewhere", "--verify", "proof.md", *jwks).returncode == 0
    assert prove(tmp_path / "elsewhere", "--verify", "proof.md").returncode == 1
