"""A scene: one tenant makes things of every kind that the catalogue offers, all marked."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from tause_mcp.capability import Resource
from tause_mcp.catalog import Catalog
from tause_mcp.operation import Operation
from tause_mcp.testing.walk_handles import Canary, Handles
from tause_mcp.testing.walk_values import Values, like
from tause_mcp.testing.walk_wire import LEGACY, Speaker

UNDOES = frozenset(
    [
        "delete",
        "remove",
        "revoke",
        "drop",
        "forget",
        "unassign",
        "suspend",
        "cancel",
        "void",
        "erase",
        "clear",
        "retire",
        "uninstall",
        "stop",
        "disable",
        "end",
        "purge",
        "unschedule",
        "unsubscribe",
    ]
)
"""Verbs that take away: a scene is set without them."""

PAYS = ("pay_url",)
"""Members of results that hold a link for whoever pays."""

ELICITS: dict[str, Any] = {"elicitation": {"form": {}}}
_LARGE = 20_000
_TIMES = 4


@dataclass
class Scene:
    """What one tenant has, and everything by which it is named."""

    speaker: Speaker
    tenant: str
    canary: Canary
    handles: Handles = field(default_factory=Handles)
    made: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Tool -> arguments with which it succeeded."""
    keyed: dict[str, tuple[dict[str, Any], str]] = field(default_factory=dict)
    """Tool -> arguments and the idempotency key under which its result is kept."""
    cursors: list[tuple[str, str]] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    """Addresses that are a login by themselves: whoever is given one may use it."""
    sealed: list[tuple[str, dict[str, Any], str]] = field(default_factory=list)
    """Tool, arguments and the sealed state that waits for a person's answer."""
    uris: list[str] = field(default_factory=list)
    session: Speaker | None = None
    not_made: list[str] = field(default_factory=list)
    """Tools that make something and that no plausible arguments could move."""
    approve: Callable[[str], Awaitable[None]] | None = None
    """Answers the approvals that its calls ask for; None: they stay pending."""

    @property
    def values(self) -> Values:
        return Values(self.canary, self.handles)


async def staged(scene: Scene, catalog: Catalog) -> Scene:
    """Set the scene of one tenant, through its own key."""
    tools = list(catalog.tools.values())
    makers = [o for o in tools if o.writes and not o.forwards and _verb(o) not in UNDOES]
    for operation in makers:
        await _make(scene, operation)
    for operation in makers:  # once more for what needed something of another's
        if operation.name not in scene.made:
            await _make(scene, operation)
    scene.not_made = [o.name for o in makers if o.name not in scene.made]
    if "storage_put" in catalog.tools:
        await _objects(scene)
    for operation in tools:
        if not operation.writes and not operation.forwards:
            await _look(scene, operation)
    for operation in tools:
        if operation.consent is not None:
            await _ask(scene, operation)
    await _lists(scene)
    await _resources(scene, catalog)
    scene.session = await replace(scene.speaker, era=LEGACY).opened()
    return scene


def _verb(operation: Operation) -> str:
    return operation.name.split("_")[1]


async def _make(scene: Scene, operation: Operation) -> None:
    """Call a tool in plausible ways until it has worked a few times, under idempotency keys."""
    worked = 0
    schema, hidden = operation.inputs.schema, operation.local_only
    for arguments in scene.values.variants(schema, hidden, operation.capability):
        key = scene.canary.name()
        answer = await scene.speaker.tool(operation.name, arguments, key=key)
        if scene.approve and answer.value.get("status") == "approval_required":
            await scene.approve(answer.value["id"])
            answer = await scene.speaker.tool(operation.name, arguments, key=key)
        if answer.value:
            worked += 1
            scene.made[operation.name] = arguments
            scene.keyed[operation.name] = (arguments, key)
            scene.handles.harvest(operation.name, answer.value)
            scene.handles.harvest(operation.name, arguments)
            scene.links += [url for name in PAYS if (url := answer.value.get(name))]
        if worked == _TIMES:
            return


async def _objects(scene: Scene) -> None:
    """Objects in a row and in a blob, links to them, and an upload that stopped half-way."""
    for size in (10, _LARGE):
        key = f"walk/{scene.canary.name()}.txt"
        content = f"{scene.canary.content()} {'.' * size}"
        put = await scene.speaker.tool("storage_put", {"key": key, "content": content})
        scene.handles.harvest("storage_put", put.value)
        for method in ("GET", "PUT"):
            signed = await scene.speaker.tool("storage_sign_url", {"key": key, "method": method})
            if url := signed.value.get("url"):
                scene.links.append(url)
                scene.handles.harvest("storage_sign_url", signed.value)
    await _half_way(scene)


async def _half_way(scene: Scene) -> None:
    key = f"walk/{scene.canary.name()}.bin"
    signed = await scene.speaker.tool("storage_sign_url", {"key": key, "method": "PUT"})
    content = scene.canary.content().encode()
    headers = {
        "tus-resumable": "1.0.0",
        "upload-length": str(len(content) * 2),
        "content-type": "application/offset+octet-stream",
    }
    path = signed.value["url"]
    begun = await replace(scene.speaker, token="").send("POST", path, headers, content)
    if location := dict(begun.headers).get("location"):
        scene.links += [path, location]
        scene.handles.harvest("upload", {"key": key, "url": [path, location]})


async def _look(scene: Scene, operation: Operation) -> None:
    """Read, with what is known, and page by page to get cursors."""
    schema = operation.inputs.schema
    properties = schema["properties"]
    calls = [scene.values.required(schema)]
    if "limit" in properties and "cursor" in properties:
        calls.append({**calls[0], "limit": properties["limit"].get("minimum", 1)})
    for name in schema.get("required", ()):
        known = [h.value for h in scene.handles.named(*like(name))][:8]
        calls += [{**calls[0], name: value} for value in known]
    for arguments in calls:
        answer = await scene.speaker.tool(operation.name, arguments)
        if answer.value:
            scene.made[operation.name] = arguments
            scene.handles.harvest(operation.name, answer.value)
        if cursor := answer.value.get("next_cursor"):
            scene.cursors.append((operation.name, cursor))


async def _ask(scene: Scene, operation: Operation) -> None:
    """Approvals that stay pending, and the sealed state of a question to a person."""
    schema = operation.inputs.schema
    for arguments in scene.values.variants(schema):
        told = {**arguments, **_own_child(scene, operation)}
        for capabilities in ({}, ELICITS):
            params = {"name": operation.name, "arguments": told}
            answer = await scene.speaker.ask("tools/call", params, capabilities=capabilities)
            scene.handles.harvest(operation.name, answer.value)
            if state := answer.result.get("requestState"):
                scene.sealed.append((operation.name, told, state))
                return


def _own_child(scene: Scene, operation: Operation) -> dict[str, str]:
    """What has to be a tenant below is the one that the scene's tenant has."""
    required = operation.inputs.schema.get("required", ())
    return {"tenant_id": f"{scene.tenant}-child"} if "tenant_id" in required else {}


async def _lists(scene: Scene) -> None:
    """Cursors of the protocol's own lists."""
    for method in ("tools/list", "resources/list", "resources/templates/list", "prompts/list"):
        result = (await scene.speaker.ask(method)).result
        if cursor := result.get("nextCursor"):
            scene.cursors.append((method, cursor))


async def _resources(scene: Scene, catalog: Catalog) -> None:
    """Every resource that A can read, by the URIs that its handles make."""
    for operation in catalog.resources.values():
        declared = operation.declared
        assert isinstance(declared, Resource)
        for uri in uris_of(declared.path, scene.tenant, scene.handles):
            answer = await scene.speaker.ask("resources/read", {"uri": uri})
            if answer.result.get("contents"):
                scene.uris.append(uri)


def uris_of(path: str, tenant: str, handles: Handles) -> list[str]:
    """URIs of a template: each variable filled with what is known under its name."""
    start, brace, rest = path.partition("{")
    if not brace:
        return [f"tause://{tenant}/{path}"]
    name, _, end = rest.partition("}")
    known = handles.named(*like(name.lstrip("+")))
    known.sort(key=lambda h: not h.tool.startswith(f"{path.partition('/')[0]}_"))
    values = [h.value for h in known] or ["2026-01-01"]
    filled = [f"{start}{value}{end}" for value in values[:12]]
    return [uri for path in filled for uri in uris_of(path, tenant, handles)]
