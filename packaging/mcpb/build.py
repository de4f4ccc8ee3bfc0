"""Build the MCPB bundle: `python packaging/mcpb/build.py [FOLDER]` writes FOLDER/tause-mcp-<version>.mcpb.

The same sources give the same bytes. The host's uv installs the pinned dependencies on first start.
"""

import json
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tause_mcp import __version__
from tause_mcp.catalog import SMALL_DOOR, Catalog, load
from tause_mcp.tenancy import ROLES, Scopes

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
MONEY = frozenset({"billing", "payments", "payouts"})
"""Toolsets that a listed bundle leaves out: directories take no connector that moves money."""
_WHEN = (1980, 1, 1, 0, 0, 0)


def toolsets(catalog: Catalog) -> list[str]:
    """Arguments that keep money off the list; none while the default list has none."""
    shown = catalog.listed(_agent())
    if not MONEY & {o.capability for o in shown}:
        return []
    named = {o.capability for o in shown} - MONEY | {SMALL_DOOR}
    return ["--toolsets", ",".join(sorted(named))]


def _agent() -> Scopes:
    return Scopes(ROLES["agent"])


def manifest(catalog: Catalog) -> dict[str, Any]:
    """The manifest with this version and the tools that an agent is shown."""
    told: dict[str, Any] = json.loads((HERE / "manifest.json").read_text(encoding="utf-8"))
    extra = toolsets(catalog)
    shown = catalog.listed(_agent(), extra[1].split(",") if extra else None)
    told["version"] = __version__
    told["server"]["mcp_config"]["args"] += extra
    told["tools"] = [{"name": o.name, "description": o.description} for o in shown]
    return told


def project() -> str:
    """The project's own pyproject.toml, with every dependency pinned for uv."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    told = f"{text}\n[tool.uv]\nconstraint-dependencies = {json.dumps(pins)}\ndefault-groups = []\n"
    tomllib.loads(told)
    return told


def files(catalog: Catalog) -> Iterator[tuple[str, bytes]]:
    """Name in the bundle -> content."""
    yield "manifest.json", _json(manifest(catalog))
    yield "pyproject.toml", project().encode()
    yield "main.py", (HERE / "main.py").read_bytes()
    for name in ("README.md", "LICENSE"):
        yield name, (ROOT / name).read_bytes()
    source = ROOT / "src"
    for path in sorted(source.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc":
            yield path.relative_to(ROOT).as_posix(), path.read_bytes()


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def build(folder: Path, catalog: Catalog | None = None) -> Path:
    """Write the bundle into `folder`; its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"tause-mcp-{__version__}.mcpb"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as bundle:
        for name, content in sorted(files(catalog or load(()))):
            entry = zipfile.ZipInfo(name, _WHEN)
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            bundle.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return path


if __name__ == "__main__":
    built = build(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist")
    sys.stdout.write(f"{built}\n")
