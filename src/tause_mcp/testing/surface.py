"""The published form of every tool, to be compared with what was published before."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tause_mcp.catalog import Catalog
from tause_mcp.operation import Operation
from tause_mcp.server.definitions import tool_definition


def published(operation: Operation) -> dict[str, Any]:
    """What callers, hosts and keys rely on: words, schemas, hints, scope, cost."""
    return {
        **tool_definition(operation, several=False, local=True),
        "scope": operation.scope,
        "cost": operation.cost,
        "asks": operation.consent is not None,
    }


def snapshots(catalog: Catalog, only: str | None = None) -> dict[str, str]:
    """File name -> text, one file per tool."""
    return {
        f"{o.name}.json": json.dumps(published(o), indent=2, ensure_ascii=False) + "\n"
        for o in catalog.tools.values()
        if only is None or o.capability == only
    }


def compare(catalog: Catalog, folder: Path, *, update: bool, only: str | None = None) -> None:
    """The snapshots in `folder` are those of the catalogue, no more and no fewer.

    Raises:
        AssertionError: naming each tool that differs and how.
    """
    wanted = snapshots(catalog, only)
    if update:
        _write(folder, wanted)
    kept = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    breaches = [_difference(name, wanted.get(name), kept.get(name)) for name in {*wanted, *kept}]
    found = sorted(filter(None, breaches))
    assert not found, "\n".join([*found, "If this is meant, run with UPDATE_SURFACE=1."])


def _write(folder: Path, wanted: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.json"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (folder / name).write_text(text, encoding="utf-8")


def _difference(name: str, wanted: str | None, kept: str | None) -> str | None:
    tool = name.removesuffix(".json")
    if wanted == kept:
        return None
    if kept is None:
        return f"{tool}: new, without a snapshot"
    if wanted is None:
        return f"{tool}: has a snapshot and is gone"
    new, old = json.loads(wanted), json.loads(kept)
    changed = _changed(new, old, new.keys() | old.keys())
    return f"{tool}: changed in {', '.join(changed) or 'the order of its members'}"


def _changed(new: dict[str, Any], old: dict[str, Any], names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if new.get(name) != old.get(name))
