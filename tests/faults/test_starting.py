"""What cannot start says so in one line and ends with another exit code than 0."""

import socket
import stat
import subprocess
from pathlib import Path

import pytest
from tests.support.forked import Forked

SECRET = "c4n4ry-short"
HTTP = ("serve", "--transport", "http", "--port", "0")


def refused(said: tuple[int, str]) -> str:
    """The one line of a refusal."""
    code, text = said
    lines = text.strip().splitlines()
    assert code not in (0, None), text
    assert len(lines) == 1 and lines[0].startswith("tause-mcp: "), text
    assert "Traceback" not in text
    return lines[0]


@pytest.mark.parametrize(
    ("secret", "door"),
    [(SECRET, HTTP), ("x" * 32, HTTP), ("password" * 5, ("serve",))],
    ids=["short", "no entropy", "a default"],
)
def test_a_weak_shared_secret_is_refused_and_not_repeated(
    forks: Forked, secret: str, door: tuple[str, ...]
) -> None:
    line = refused(forks.run(*door, MCP_JWT_SECRET=secret))
    assert "MCP_JWT_SECRET" in line and secret not in line


def test_an_unknown_setting_is_refused_by_name(forks: Forked) -> None:
    line = refused(forks.run(*HTTP, TAUSE_DATABASE_UR="sqlite:////x"))
    assert "TAUSE_DATABASE_UR" in line and "TAUSE_DATABASE_URL" in line


@pytest.mark.parametrize(
    "wrong",
    [
        {"TAUSE_DEADLINE": "soon"},
        {"TAUSE_MAX_BODY": "-1"},
        {"TAUSE_LOG_LEVEL": "loud"},
        {"TAUSE_DATABASE_URL": "mysql://user:hunter2hunter2@host/db"},
        {"TAUSE_DATABASE_URL": "postgresql+asyncpg://user:hunter2hunter2@127.0.0.1:1/db"},
        {"TAUSE_STORAGE_URL": "ftp://user:hunter2hunter2@host/path"},
        {"TAUSE_SETTINGS": "/nowhere/settings"},
        {"TAUSE_TRUSTED_ISSUERS": "https://issuer.example"},
        {"TAUSE_TENANT": "No Such"},
    ],
    ids=lambda wrong: next(iter(wrong.values()))[:20],
)
def test_a_wrong_setting_is_refused_by_name(forks: Forked, wrong: dict[str, str]) -> None:
    line = refused(forks.run(*HTTP, **wrong))
    assert next(iter(wrong)) in line
    assert "hunter2hunter2" not in line


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--transport", "sse", "--workers", "2"), "--workers"),
        (("--transport", "http", "--toolsets", "nothing"), "--toolsets"),
        (("--toolsets", "nothing"), "--toolsets"),
        (("--tenant", "nobody"), "nobody"),
        (("--role", "emperor"), "emperor"),
        (("--allow-path", "/no/such/folder"), "--allow-path"),
    ],
)
def test_options_that_cannot_be_served_are_refused(
    forks: Forked, options: tuple[str, ...], named: str
) -> None:
    assert named in refused(forks.run("serve", *options))


def test_a_port_in_use_is_refused_in_one_line(forks: Forked) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        line = refused(forks.run("serve", "--transport", "http", "--port", str(port)))
    assert str(port) in line and "--port" in line


def test_a_home_that_cannot_be_made_is_refused(forks: Forked, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    for door in (HTTP, ("serve",)):
        assert "TAUSE_HOME" in refused(forks.run(*door, TAUSE_HOME=str(file / "home")))


@pytest.fixture
def read_only(tmp_path: Path):
    """A folder that nobody can write to, whoever we are."""
    folder = tmp_path / "read-only"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "ro,size=1m", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode:
        folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    yield folder
    if mounted.returncode == 0:
        subprocess.run(["umount", str(folder)], check=True)
    else:
        folder.chmod(stat.S_IRWXU)


def test_a_home_that_cannot_be_written_is_refused(forks: Forked, read_only: Path) -> None:
    for home in (read_only, read_only / "home"):
        assert "TAUSE_HOME" in refused(forks.run(*HTTP, TAUSE_HOME=str(home)))
