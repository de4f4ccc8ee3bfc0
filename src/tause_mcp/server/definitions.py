"""How an operation is published: MCP definitions as wire dicts, made once."""

from collections.abc import Container, Iterable
from functools import cached_property
from typing import Any

from tause_mcp.capability import Prompt, Resource
from tause_mcp.catalog import Catalog
from tause_mcp.operation import Operation
from tause_mcp.server.identity import Identity
from tause_mcp.tenancy import Caller

_TENANT = {
    "type": "string",
    "maxLength": 63,
    "description": "Tenant to act for, when not your own.",
}


class Definitions:
    """The catalogue's wire forms. Treat what it returns as read-only."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._lists: dict[Any, list[dict[str, Any]]] = {}

    def input(self, name: str) -> dict[str, Any] | None:
        """The JSON Schema of a tool's arguments; None when there is no such tool."""
        operation = self._catalog.tools.get(name)
        return operation.inputs.schema if operation else None

    def tools(
        self, identity: Identity, version: str, lacking: Iterable[str] = ()
    ) -> list[dict[str, Any]]:
        """What this caller is shown, in stable order: nothing of a capability in `lacking`."""
        caller = identity.caller
        several = bool(caller.grants) and not identity.tenant_door
        key = (
            caller.scopes.granted,
            identity.toolsets,
            identity.view.read_only,
            several,
            identity.local,
            version,
            missing := frozenset(lacking),
        )
        found = self._lists.get(key)
        if found is None:
            if len(self._lists) > 1024:
                self._lists.clear()
            shown = self._catalog.listed(
                caller.scopes,
                identity.toolsets,
                read_only=identity.view.read_only,
                lacking=missing,
            )
            found = self._lists[key] = [
                tool_definition(o, several=several, local=identity.local)
                for o in shown
                if getattr(o.declared, "since", "") <= version
            ]
        return found

    @cached_property
    def templates(self) -> list[tuple[Operation, dict[str, Any]]]:
        return [(o, d) for o, d in self._resources() if "uriTemplate" in d]

    def _resources(self) -> Iterable[tuple[Operation, dict[str, Any]]]:
        for operation in self._catalog.resources.values():
            declared = operation.declared
            assert isinstance(declared, Resource)
            shared = {
                "name": operation.name,
                "title": operation.title,
                "description": operation.description,
                "mimeType": declared.mime_type,
            }
            yield operation, {"uriTemplate": f"tause://{{tenant_id}}/{declared.path}", **shared}

    def fixed_resources(
        self, identity: Identity, lacking: Container[str] = ()
    ) -> list[dict[str, Any]]:
        """Resources with no variable but the tenant: listed by their URI for this tenant."""
        caller = identity.caller
        return [
            {k: v for k, v in shown.items() if k != "uriTemplate"}
            | {"uri": shown["uriTemplate"].replace("{tenant_id}", caller.tenant)}
            for operation, shown in self.templates
            if "{" not in operation.declared.path  # type: ignore[union-attr]  # a resource
            and _shown(operation, caller, lacking)
        ]

    def resource_templates(
        self, identity: Identity, lacking: Container[str] = ()
    ) -> list[dict[str, Any]]:
        return [told for o, told in self.templates if _shown(o, identity.caller, lacking)]

    def prompts(self, identity: Identity, lacking: Container[str] = ()) -> list[dict[str, Any]]:
        every = self._catalog.prompts.values()
        return [prompt_definition(o) for o in every if _shown(o, identity.caller, lacking)]


def _shown(operation: Operation, caller: Caller, lacking: Container[str]) -> bool:
    return operation.opens_to(caller.scopes) and operation.capability not in lacking


def tool_definition(operation: Operation, *, several: bool, local: bool) -> dict[str, Any]:
    """The wire form of a tool. Paths of a person's machine are shown only beside it."""
    schema = operation.inputs.schema
    hidden = () if local else operation.local_only
    if hidden or (several and "tenant_id" not in operation.inputs.names):
        properties = {k: v for k, v in schema["properties"].items() if k not in hidden}
        if several and "tenant_id" not in operation.inputs.names:
            properties["tenant_id"] = _TENANT
        schema = schema | {"properties": properties}
    hints = operation.hints
    told: dict[str, Any] = {
        "name": operation.name,
        "title": operation.title,
        "description": operation.description,
        "inputSchema": schema,
        "annotations": {
            "readOnlyHint": hints.read_only,
            "destructiveHint": hints.destructive,
            "idempotentHint": hints.idempotent,
            "openWorldHint": hints.open_world,
        },
    }
    if operation.outputs is not None:
        told["outputSchema"] = operation.outputs.schema
    return told


def prompt_definition(operation: Operation) -> dict[str, Any]:
    assert isinstance(operation.declared, Prompt)
    schema = operation.inputs.schema
    required = set(schema.get("required", ()))
    return {
        "name": operation.name,
        "title": operation.title,
        "description": operation.description,
        "arguments": [
            {"name": name, "required": name in required}
            | ({"description": shown["description"]} if "description" in shown else {})
            for name, shown in schema["properties"].items()
        ],
    }
