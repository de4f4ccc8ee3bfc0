"""The example plugin, installed as anybody would and reached as a host does."""

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters

from tause_mcp.catalog import GROUPS, load
from tause_mcp.testing import house, laws

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "plugin_crm"
TOOLS = {f"crm_{verb}" for verb in ("create", "get", "list", "search", "update", "delete")}
TOOLS |= {"crm_tag", "crm_untag"}


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the plugin installed from its own pyproject.toml."""
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    flags = ["--no-deps", "--no-build-isolation", "--no-index", "--target", str(target)]
    subprocess.run([*pip, *flags, str(EXAMPLE)], check=True)
    return target


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """This process sees the plugin, and afterwards not any more."""
    monkeypatch.syspath_prepend(str(site))
    yield site
    for name in [n for n in sys.modules if n.split(".")[0] == "tause_crm"]:
        del sys.modules[name]


def path_of(site: Path) -> str:
    return os.pathsep.join([str(site), str(ROOT / "src")])


def test_the_plugins_own_tests_pass(site: Path) -> None:
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "tests"]
    environ = {**os.environ, "PYTHONPATH": path_of(site)}
    told = subprocess.run(run, cwd=EXAMPLE, env=environ, capture_output=True, text=True)
    assert told.returncode == 0, told.stdout + told.stderr
    assert " passed" in told.stdout
    assert "skipped" not in told.stdout


def test_an_installed_plugin_is_in_the_catalogue_and_keeps_the_laws(installed: Path) -> None:
    catalog = load()
    assert catalog.problems == ()
    assert set(catalog.tools) >= TOOLS
    assert "crm" in catalog.toolsets
    assert "crm.sqlite" in catalog.plugins["tause_mcp.backends"]
    laws.judge(catalog, only="crm")


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_client_in_memory_uses_the_plugin(
    installed: Path, tmp_path: Path, mode: str
) -> None:
    points = [p for g in GROUPS[:2] for p in entry_points(group=g) if p.name.startswith("crm")]
    async with (
        house(tmp_path / "home", plugins=points) as opened,
        opened.client(opened.caller(role="agent"), mode=mode) as client,
    ):
        made = await client.call_tool("crm_create", {"name": "Ana"})
        assert not made.is_error, made
        found = await client.call_tool("crm_search", {"query": "ana"})
        assert [c["name"] for c in found.structured_content["items"]] == ["Ana"]
        wrong = await client.call_tool("crm_get", {"id": "nobody"})
        assert wrong.is_error
        assert wrong.meta["pro.tause/error"]["code"] == "not_found"
    assert (tmp_path / "home" / "crm.db").exists()


async def test_a_host_over_stdio_uses_the_plugin_and_finds_its_contacts_again(
    site: Path, tmp_path: Path
) -> None:
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "tause_mcp", "serve", "--toolsets", "crm"],
        env={"PYTHONPATH": path_of(site), "TAUSE_HOME": str(tmp_path)},
    )
    async with Client(server, cache=None) as client:
        assert {t.name for t in (await client.list_tools()).tools} == TOOLS
        made = await client.call_tool("crm_create", {"name": "Ana", "tags": ["vip"]})
        assert not made.is_error, made
    async with Client(server, mode="legacy", cache=None) as client:
        listed = await client.call_tool("crm_list", {"tag": "vip"})
        assert [c["name"] for c in listed.structured_content["items"]] == ["Ana"]


def test_an_operator_chooses_the_backend_by_url(site: Path, tmp_path: Path) -> None:
    call = [sys.executable, "-m", "tause_mcp", "tools", "call", "crm_list"]
    environ = {"PYTHONPATH": path_of(site), "TAUSE_HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    unknown = subprocess.run(
        call, env={**environ, "CRM_URL": "couch://x"}, capture_output=True, text=True
    )
    assert unknown.returncode == 2
    assert "no crm backend for 'couch': use one of memory, sqlite" in unknown.stderr
    known = subprocess.run(call, env={**environ, "CRM_URL": "memory://"}, capture_output=True)
    assert known.returncode == 0, known.stderr
    assert not (tmp_path / "crm.db").exists()
