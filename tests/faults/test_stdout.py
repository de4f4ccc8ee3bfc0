"""On stdio, stdout carries MCP and nothing else, whatever is printed and however much is logged."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.plugins import noisy
from tests.support.serving import environment


def conversation(home: Path, plugins: Path, *options: str) -> tuple[list[str], str, int]:
    """Every line of stdout, all of stderr, and the exit code of a session that ends."""
    told = environment(home, TAUSE_LOG_LEVEL="debug", PYTHONPATH=_path(plugins))
    messages = [
        _request(
            1, "initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo=_CLIENT
        ),
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        _request(2, "tools/call", name="noisy_say", arguments={}),
        _request(3, "tools/call", name="storage_put", arguments={"key": "k", "content": "x"}),
        _request(4, "tools/call", name="nothing_here", arguments={}),
        _request(5, "tools/list"),
    ]
    command = [sys.executable, "-m", "tause_mcp", "serve", *options]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=told, text=True, **pipes) as process:
        assert process.stdin is not None and process.stdout is not None
        lines = []
        for message in messages:
            process.stdin.write(f"{json.dumps(message)}\n")
            process.stdin.flush()
            while "id" in message:
                lines.append(process.stdout.readline())
                if not lines[-1] or f'"id":{message["id"]}' in lines[-1].replace(" ", ""):
                    break
        process.stdin.close()
        assert process.stderr is not None
        lines += process.stdout.readlines()
        return lines, process.stderr.read(), process.wait(20)


_CLIENT = {"name": "test", "version": "1"}


def _request(number: int, method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def _path(plugins: Path) -> str:
    return os.pathsep.join([str(plugins), *filter(None, [os.environ.get("PYTHONPATH")])])


def test_stdout_carries_only_mcp_whatever_a_plugin_prints(tmp_path: Path) -> None:
    plugins = noisy(tmp_path / "plugins")
    options = ("--role", "owner", "--toolsets", "all")
    lines, told, code = conversation(tmp_path / "home", plugins, *options)
    assert code == 0, told[-2000:]
    messages = [json.loads(line) for line in lines]
    assert [m["id"] for m in messages if "id" in m] == [1, 2, 3, 4, 5], lines
    assert all(m["jsonrpc"] == "2.0" for m in messages)
    assert messages[1]["result"]["structuredContent"] == {"said": True}
    for where in ("import", "tool", "thread"):
        for way in ("print", "flushed", "original", "descriptor", "child"):
            assert f"noise {where}: {way}" in told, "what was printed is lost"
