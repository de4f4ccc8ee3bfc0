"""What is written into a host's configuration, where, and what the host then starts."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from mcp import Client, StdioServerParameters

from tause_mcp.cli import hosts
from tause_mcp.cli.hosts import config_path, install, launcher, server_entry


def run(*arguments: str) -> Result:
    return CliRunner().invoke(install, list(arguments))


def servers(path: Path) -> dict[str, Any]:
    return json.loads(path.read_bytes())["mcpServers"]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "claude_desktop_config.json"


# --- what is written -------------------------------------------------------------------------------


def test_claude_code_gets_every_tool_in_a_project_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAUSE_HOME", raising=False)
    assert run("claude-code", "--tenant", "acme", "--role", "viewer").exit_code == 0
    entry = servers(tmp_path / ".mcp.json")["tause"]
    assert entry["type"] == "stdio"
    assert Path(entry["command"]).is_absolute()
    told = "serve --protocol legacy --tenant acme --role viewer --toolsets all"
    assert " ".join(entry["args"]).endswith(told)
    assert "env" not in entry
    assert stat.S_IMODE((tmp_path / ".mcp.json").stat().st_mode) == 0o644


def test_claude_desktop_gets_the_default_list(config: Path, tmp_path: Path) -> None:
    run("claude-desktop", "--config", str(config), "--allow-path", str(tmp_path))
    entry = servers(config)["tause"]
    assert "type" not in entry
    assert "--toolsets" not in entry["args"]
    end = ["serve", "--protocol", "auto", "--allow-path", str(tmp_path)]
    assert entry["args"][-5:] == end


@pytest.mark.parametrize(
    ("host", "scope", "platform", "environ", "expected"),
    [
        ("claude-desktop", "user", "darwin", {}, "/h/Library/Application Support/Claude/{}"),
        ("claude-desktop", "user", "win32", {"APPDATA": "/ad"}, "/ad/Claude/{}"),
        ("claude-desktop", "user", "win32", {}, "/h/AppData/Roaming/Claude/{}"),
        ("claude-desktop", "user", "linux", {}, "/h/.config/Claude/{}"),
        ("claude-desktop", "user", "linux", {"XDG_CONFIG_HOME": "/x"}, "/x/Claude/{}"),
        ("claude-code", "user", "linux", {}, "/h/.claude.json"),
        ("claude-code", "user", "linux", {"CLAUDE_CONFIG_DIR": "/c"}, "/c/.claude.json"),
    ],
)
def test_the_file_is_where_the_host_looks(
    host: Any, scope: Any, platform: str, environ: dict[str, str], expected: str
) -> None:
    found = config_path(host, scope, platform=platform, environ=environ, home=Path("/h"))
    assert str(found) == expected.format("claude_desktop_config.json")


def test_an_environment_of_uvx_is_started_through_uvx_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uvx = tmp_path / "uvx"
    uvx.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(hosts.sys, "prefix", "/home/x/.cache/uv/archive-v0/AbC")
    command, flag, source, script = launcher()
    assert (command, flag, script) == (str(uvx), "--from", "tause-mcp")
    assert source.startswith(("tause-mcp==", "/"))


def test_a_projects_files_cannot_stand_in_for_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts.sys, "executable", str(tmp_path / "python"))
    command, *arguments = launcher()
    assert (command, arguments) == (str(tmp_path / "python"), ["-P", "-m", "tause_mcp"])


def test_the_entry_names_an_installed_script_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tause-mcp").touch(mode=0o755)
    monkeypatch.setattr(hosts.sys, "executable", str(tmp_path / "python"))
    entry = server_entry("claude-desktop", hosts.Wanted(), {})
    assert entry["command"] == str(tmp_path / "tause-mcp")


# --- what a host then does -------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize(("host", "mode"), [("claude-code", "legacy"), ("claude-desktop", "auto")])
async def test_a_host_starts_what_was_written_and_keeps_a_file(
    host: str, mode: Any, tmp_path: Path
) -> None:
    """The real command line writes; then a client starts the entry with its own environment only."""
    config, home = tmp_path / "c.json", tmp_path / "home"
    command = [sys.executable, "-m", "tause_mcp", "install", host, "--config", str(config)]
    source = str(Path(hosts.__file__).parents[2])
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": source, "TAUSE_HOME": str(home)}
    subprocess.run(command, env=environ, check=True, capture_output=True)
    entry = servers(config)["tause"]
    server = StdioServerParameters(
        command=entry["command"], args=entry["args"], env={**entry["env"], "PYTHONPATH": source}
    )
    async with Client(server, mode=mode, cache=None) as client:
        listed = {tool.name for tool in (await client.list_tools()).tools}
        assert {"storage_put", "catalog_search"} <= listed
        assert ("audit_verify" in listed) == (host == "claude-code")
        kept = await client.call_tool("storage_put", {"key": "hola.txt", "content": "¡hola!"})
        assert not kept.is_error, kept
        got = await client.call_tool("storage_get", {"key": "hola.txt"})
        assert got.structured_content["content"] == "¡hola!"
