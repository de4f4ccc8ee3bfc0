"""A host's configuration, changed without damage: real files, real processes."""

import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from tause_mcp.cli import hostfiles
from tause_mcp.cli.hostfiles import Refused, change, edited
from tause_mcp.cli.hosts import install

OTHER = {
    "globalShortcut": "",
    "mcpServers": {"files": {"command": "npx", "args": ["-y", "x"], "env": {"TOKEN": "s3cret"}}},
    "zeta": [1, 2.50, None],
}


def run(*arguments: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(install, list(arguments), env=env)


def servers(path: Path) -> dict[str, Any]:
    return json.loads(path.read_bytes().decode("utf-8-sig"))["mcpServers"]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "host" / "claude_desktop_config.json"
    path.parent.mkdir()
    path.write_text(json.dumps(OTHER, indent=2) + "\n")
    return path


def backups(path: Path) -> list[Path]:
    return sorted(path.parent.glob(f"{path.name}.bak-*"))


# --- what must not happen --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"mcpServers": {,}}', "not valid JSON at line 1"),
        (b'// mine\n{"mcpServers": {}}', "not valid JSON"),
        (b"[1, 2]", "no JSON object"),
        (b'{"mcpServers": []}', "'mcpServers' is not an object"),
        (b'{"mcpServers": null}', "'mcpServers' is not an object"),
        ('{"a": "é"}'.encode("latin-1"), "not UTF-8"),
        (b"[" * 200_000, "not valid JSON"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused_in_one_line(
    tmp_path: Path, content: bytes, says: str
) -> None:
    path = tmp_path / "c.json"
    path.write_bytes(content)
    result = run("claude-desktop", "--config", str(path))
    assert result.exit_code == 1
    assert says in result.output
    assert result.output.count("\n") == 1
    assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["c.json"]


def test_a_link_that_leads_back_to_itself_is_refused(tmp_path: Path) -> None:
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    one.symlink_to(two)
    two.symlink_to(one)
    result = run("claude-desktop", "--config", str(one))
    assert result.exit_code == 1
    assert "leads back to itself" in result.output
    assert result.output.count("\n") == 1


def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    result = run("claude-desktop", "--config", str(tmp_path))
    assert result.exit_code == 1
    assert "not a file" in result.output


def test_a_failing_replacement_leaves_the_file_and_nothing_else(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = config.read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tause_mcp.cli.hostfiles.os.fsync", full)
    result = run("claude-desktop", "--config", str(config))
    assert result.exit_code == 1
    assert "No space left" in result.output
    assert config.read_bytes() == before
    assert os.listdir(config.parent) == [config.name]


def test_a_file_changed_meanwhile_by_the_host_is_read_again(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, told = os.fsync, []

    def host_writes(descriptor: int) -> None:
        real(descriptor)
        if not told:
            told.append(1)
            config.write_text(json.dumps({**OTHER, "written": "by the host"}))

    monkeypatch.setattr("tause_mcp.cli.hostfiles.os.fsync", host_writes)
    assert run("claude-desktop", "--config", str(config)).exit_code == 0
    assert json.loads(config.read_text())["written"] == "by the host"
    assert "tause" in servers(config)


def test_a_file_that_never_rests_is_given_up(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = iter(range(10_000))

    def restless(_: int) -> None:
        config.write_text(json.dumps({**OTHER, "n": next(count)}))

    monkeypatch.setattr("tause_mcp.cli.hostfiles.os.fsync", restless)
    with pytest.raises(Refused, match="keeps changing"):
        change(config, "tause", {"command": "x"})


@pytest.mark.parametrize("name", ["", "a b", "x" * 18, "../up", "ñ", "a__b\n"])
def test_a_name_that_hosts_choke_on_is_refused(config: Path, name: str) -> None:
    before = config.read_bytes()
    assert run("claude-desktop", "--config", str(config), "--name", name).exit_code == 2
    assert config.read_bytes() == before


@pytest.mark.parametrize(
    "wrong",
    [
        ("--tenant", "NOT A TENANT"),
        ("--toolsets", "a,,b"),
        ("--role", "root"),
        ("--allow-path", "/nowhere/at/all"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_is_written(
    config: Path, wrong: tuple[str, str]
) -> None:
    before = config.read_bytes()
    assert run("claude-desktop", "--config", str(config), *wrong).exit_code == 2
    assert config.read_bytes() == before


def test_no_secret_of_the_environment_is_written(config: Path) -> None:
    secret = {"TAUSE_API_KEY": "tk_secret", "TAUSE_HOME": "/srv/tause", "OPENAI_API_KEY": "sk-1"}
    result = run("claude-desktop", "--config", str(config), env=secret)
    assert "Not copied" in result.output
    assert "tk_secret" not in config.read_text() + result.output
    assert servers(config)["tause"]["env"] == {"TAUSE_HOME": "/srv/tause"}


def test_a_dry_run_writes_nothing_and_shows_nothing_of_others(config: Path) -> None:
    before = config.read_bytes()
    result = run("claude-desktop", "--config", str(config), "--dry-run")
    assert result.exit_code == 0
    assert '+    "tause": {' in result.output
    assert "s3cret" not in result.output
    assert config.read_bytes() == before
    assert os.listdir(config.parent) == [config.name]


# --- what stays ------------------------------------------------------------------------------------


def test_everything_else_stays_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    text = (
        '\ufeff{\r\n\t"z":   1.50,\r\n\t"mcpServers": { "old":{"command":"x"}  },'
        '\r\n\t"ñ": "\\u00e9\\ud800"\r\n}\r\n'
    )
    path.write_bytes(text.encode())
    assert run("claude-desktop", "--config", str(path)).exit_code == 0
    after = path.read_bytes().decode()
    head, rest = text.split('{"command":"x"}')
    assert after.startswith(head + '{"command":"x"},')
    assert after.endswith(rest)
    assert "\n" not in after.replace("\r\n", "")
    assert backups(path)[0].read_bytes() == text.encode()


def test_a_second_run_changes_nothing(config: Path) -> None:
    assert "added" in run("claude-desktop", "--config", str(config)).output
    first, stamp = config.read_bytes(), config.stat().st_mtime_ns
    assert "already as wanted" in run("claude-desktop", "--config", str(config)).output
    assert config.read_bytes() == first
    assert config.stat().st_mtime_ns == stamp
    assert len(backups(config)) == 1


def test_another_wish_updates_only_its_own_entry(config: Path) -> None:
    run("claude-desktop", "--config", str(config))
    assert "updated" in run("claude-desktop", "--config", str(config), "--read-only").output
    found = servers(config)
    assert list(found) == ["files", "tause"]
    assert "--read-only" in found["tause"]["args"]
    assert found["files"] == OTHER["mcpServers"]["files"]
    assert len(backups(config)) == 2


def test_removing_brings_the_file_back(config: Path) -> None:
    before = config.read_bytes()
    run("claude-desktop", "--config", str(config))
    assert "removed" in run("claude-desktop", "--config", str(config), "--remove").output
    assert config.read_bytes() == before
    assert "not in" in run("claude-desktop", "--config", str(config), "--remove").output


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_the_mode_stays_and_so_does_a_link(tmp_path: Path, config: Path, mode: int) -> None:
    config.chmod(mode)
    link = tmp_path / "link.json"
    link.symlink_to(config)
    assert run("claude-desktop", "--config", str(link)).exit_code == 0
    assert link.is_symlink()
    assert stat.S_IMODE(config.stat().st_mode) == mode
    assert [stat.S_IMODE(b.stat().st_mode) for b in backups(config)] == [mode]
    assert "tause" in servers(config)


@pytest.mark.parametrize("content", [None, b"", b"  \n", b"{}", b'{"a": 1}'])
def test_a_first_server_is_added_to_a_file_without_any(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "not" / "yet" / "c.json"
    if content is not None:
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    assert run("claude-desktop", "--config", str(path)).exit_code == 0
    assert list(servers(path)) == ["tause"]
    assert len(backups(path)) == (content is not None)
    if content is None:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("count", [2, pytest.param(6, marks=pytest.mark.torture)])
def test_concurrent_runs_lose_nothing(config: Path, count: int) -> None:
    code = "import sys; from tause_mcp.cli.hosts import install; install(sys.argv[1:])"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, "claude-code", "--config", config, "--name", f"t{n}"],
            stdout=subprocess.DEVNULL,
        )
        for n in range(count)
    ]
    assert [process.wait(60) for process in running] == [0] * count
    assert set(servers(config)) == {"files", *(f"t{n}" for n in range(count))}
    assert len(backups(config)) == count
    assert len(os.listdir(config.parent)) == count + 1


def test_one_run_at_a_time_replaces_the_file(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow between the last look and the replacement, where only the lock helps."""
    real = hostfiles._backup

    def slow(target: Path) -> Path:
        sleep(0.05)
        return real(target)

    monkeypatch.setattr(hostfiles, "_backup", slow)
    names = [f"t{n}" for n in range(5)]
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda name: change(config, name, {"command": "x"}), names))
    assert set(servers(config)) == {"files", *names}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
SERVERS = st.dictionaries(st.text(max_size=6), JSON, max_size=4)


@given(
    rest=st.dictionaries(st.text(max_size=8).filter(lambda k: k != "mcpServers"), JSON, max_size=4),
    known=st.none() | SERVERS,
    indent=st.sampled_from([None, 0, 1, 2, 4, "\t"]),
    name=st.text(max_size=6),
    ascii_only=st.booleans(),
)
def test_any_configuration_gains_and_loses_exactly_one_server(
    rest: dict[str, Any], known: dict[str, Any] | None, indent: Any, name: str, ascii_only: bool
) -> None:
    config = rest if known is None else {**rest, "mcpServers": known}
    text = json.dumps(config, indent=indent, ensure_ascii=ascii_only)
    entry = {"command": "/bin/x", "args": ["é", "\n"]}
    added, _ = edited(text, name, entry, Path("c"))
    assert json.loads(added) == {**rest, "mcpServers": {**(known or {}), name: entry}}
    assert list(json.loads(added)["mcpServers"])[: len(known or {})] == list(known or {})
    assert edited(added, name, entry, Path("c")) == (added, "unchanged")
    removed, _ = edited(added, name, None, Path("c"))
    left = {k: v for k, v in (known or {}).items() if k != name}
    assert json.loads(removed) == {**rest, "mcpServers": left}


def test_of_equal_keys_the_one_that_counts_is_changed() -> None:
    text = '{"mcpServers": {"a": 1}, "mcpServers": {"b": 2}}'
    after, _ = edited(text, "t", {"command": "x"}, Path("c"))
    assert json.loads(after)["mcpServers"] == {"b": 2, "t": {"command": "x"}}
