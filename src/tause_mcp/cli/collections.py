"""Collections from the shell: what there is, and what the Pydantic models of a module describe."""

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from tause_mcp.cli.calls import _call, tenant_option
from tause_mcp.cli.house import in_house
from tause_mcp.errors import Conflict, Invalid
from tause_mcp.platform import Platform


@click.group()
def collections() -> None:
    """List collections, or make them from Pydantic models."""


@collections.command("list")
@tenant_option
def list_collections(tenant: str) -> None:
    """One line per collection: name, version, indexes."""
    found = in_house(lambda p: _call(p, tenant, "database_list_collections", {"limit": 200}))
    for one in found["items"]:
        click.echo(f"{one['name']:32} v{one['version']:<4} {', '.join(one['indexes'])}")


@collections.command("generate")
@click.option("--models", "module", required=True, metavar="MODULE", help="A module to import.")
@click.option("--create", is_flag=True, help="Create the ones that are missing, not only print.")
@tenant_option
def generate(module: str, create: bool, tenant: str) -> None:
    """Print the collections that a module's Pydantic models describe, or create them.

    Running it again changes nothing: a collection that exists as described is left alone, and one
    that differs is told (migrate it with database_migrate) and ends with exit code 1.
    """
    from tause_mcp.services.database.models import generated

    wanted = generated(_imported(module))
    if not wanted:
        raise Invalid(f"{module} defines no Pydantic model")
    described = [{"name": one.name, "schema": one.schema, "indexes": one.indexes} for one in wanted]
    if not create:
        click.echo(json.dumps(described, indent=2, ensure_ascii=False))
        return
    told = in_house(lambda platform: _created(platform, tenant, described))
    for name, outcome in told.items():
        click.echo(f"{name:32} {outcome}")
    if differing := [name for name, outcome in told.items() if outcome == "differs"]:
        raise Conflict(f"{', '.join(differing)}: changed in the models: use database_migrate")


def _imported(module: str) -> Any:
    sys.path.insert(0, str(Path.cwd()))
    try:
        return import_module(module)
    except ImportError as error:
        raise Invalid(f"--models: {module} cannot be imported: {error}", field="models") from None
    finally:
        sys.path.pop(0)


async def _created(
    platform: Platform, tenant: str, described: list[dict[str, Any]]
) -> dict[str, str]:
    found = await _call(platform, tenant, "database_list_collections", {"limit": 200})
    there = {one["name"] for one in found["items"]}
    told = {}
    for one in described:
        if one["name"] not in there:
            await _call(platform, tenant, "database_create_collection", one)
            told[one["name"]] = "created"
            continue
        named = {"name": one["name"]}
        (known,) = (await _call(platform, tenant, "database_list_collections", named))["items"]
        told[one["name"]] = "unchanged" if _alike(known, one) else "differs"
    return told


def _alike(known: dict[str, Any], wanted: dict[str, Any]) -> bool:
    from tause_mcp.services.database.schemas import rules_of

    indexes = {*wanted["indexes"], *rules_of(wanted["schema"]).unique}
    return known.get("schema", {}) == wanted["schema"] and set(known["indexes"]) == indexes
