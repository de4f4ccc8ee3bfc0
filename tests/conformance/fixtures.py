"""The test-only hook: the runner's fixtures beside the tools of an already built server."""

from collections.abc import Callable, Mapping
from typing import Any

from mcp.server.lowlevel import Server
from mcp.server.mcpserver import MCPServer
from mcp.server.subscriptions import SubscriptionBus
from mcp_types import (
    CompleteRequestParams,
    EmptyResult,
    PromptReference,
    SetLevelRequestParams,
    SubscribeRequestParams,
    UnsubscribeRequestParams,
)
from pydantic import BaseModel
from tests.conformance import content, conversation, reading, rounds

LISTS = {
    "tools/list": ("tools", "tools"),
    "resources/list": ("resources", "resources"),
    "resources/templates/list": ("resource_templates", "resourceTemplates"),
    "prompts/list": ("prompts", "prompts"),
}
"""Each list's method and the name of its items, in the SDK's models and on the wire."""
TOOL_NAMES = frozenset(
    tool.__name__
    for tool in (
        *content.TOOLS,
        content.json_schema_2020_12_tool,
        *rounds.TOOLS,
        *conversation.TOOLS,
    )
)
STREAMED = frozenset(tool.__name__ for tool in conversation.TOOLS)
"""Fixture tools that talk while they run and so need stream mode."""
PROMPT_NAMES = frozenset(prompt.__name__ for prompt in reading.PROMPTS)


def build(bus: SubscriptionBus | None = None) -> MCPServer:
    """Every fixture, on a server of its own that publishes changes to `bus`."""
    fixtures = MCPServer("fixtures", tools=[content.schema_tool()], subscriptions=bus)
    for tool in (*content.TOOLS, *rounds.TOOLS, *conversation.TOOLS):
        fixtures.add_tool(tool)
    reading.add_to(fixtures)
    return fixtures


def owned_tool(params: Any) -> bool:
    return params.name in TOOL_NAMES


def owned_prompt(params: Any) -> bool:
    return params.name in PROMPT_NAMES


def owned_uri(uri: str) -> bool:
    """Exact names only: an unknown `test://` address is the server's to refuse."""
    head, tail = reading.TEMPLATE.split("{id}")
    return uri in reading.URIS or (uri.startswith(head) and uri.endswith(tail))


def owned_resource(params: Any) -> bool:
    return owned_uri(str(params.uri))


def owned_reference(params: CompleteRequestParams) -> bool:
    if isinstance(params.ref, PromptReference):
        return params.ref.name in PROMPT_NAMES
    return params.ref.uri == reading.TEMPLATE


async def acknowledge(ctx: Any, params: Any) -> EmptyResult:
    """Nothing to do: logs are filtered by the SDK, and no fixture resource ever changes."""
    return EmptyResult()


def register(server: Server[Any], bus: SubscriptionBus | None = None) -> None:
    """Add every fixture to `server`; whatever is not a fixture's stays the server's.

    A server that serves `subscriptions/listen` must pass the bus that it listens to,
    or the change fixtures would publish where nobody hears them.
    """
    if bus is None and server.get_request_handler("subscriptions/listen") is not None:
        raise ValueError("This server serves subscriptions/listen: pass its bus to register().")
    fixtures = build(bus)
    source: Server[Any] = fixtures._lowlevel_server  # the SDK has no public way to its handlers
    for method in LISTS:
        _extend(server, source, method)
    _route(server, source, "tools/call", owned_tool)
    _route(server, source, "prompts/get", owned_prompt)
    _route(server, source, "resources/read", owned_resource)
    _route(server, source, "completion/complete", owned_reference)
    _complete(server, source)
    server.get_tool_input_schema = _schemas(server, source)


def _extend(server: Server[Any], source: Server[Any], method: str) -> None:
    """The first page of a list is the server's first page and the fixtures."""
    entry, theirs = server.get_request_handler(method), source.get_request_handler(method)
    assert theirs is not None
    if entry is None:
        server.add_request_handler(method, theirs.params_type, theirs.handler)
        return

    async def handler(ctx: Any, params: Any) -> Any:
        page = await entry.handler(ctx, params)
        if params is not None and params.cursor is not None:
            return page
        return _joined(page, await theirs.handler(ctx, params), *LISTS[method])

    server.add_request_handler(method, entry.params_type, handler)


def _joined(page: Any, more: Any, field: str, wire: str) -> Any:
    """The server's page in the form that it gave it, a model or the wire's, and `more` items."""
    items = getattr(more, field)
    if isinstance(page, BaseModel):
        return page.model_copy(update={field: [*getattr(page, field), *items]})
    sent = [item.model_dump(by_alias=True, mode="json", exclude_none=True) for item in items]
    return {**page, wire: [*page[wire], *sent]}


def _route(
    server: Server[Any], source: Server[Any], method: str, owned: Callable[[Any], bool]
) -> None:
    """A fixture's name goes to the fixtures, every other name to the server."""
    entry, theirs = server.get_request_handler(method), source.get_request_handler(method)
    assert theirs is not None
    ours = theirs if entry is None else entry

    async def handler(ctx: Any, params: Any) -> Any:
        return await (theirs if owned(params) else ours).handler(ctx, params)

    server.add_request_handler(method, ours.params_type, handler)


def _complete(server: Server[Any], source: Server[Any]) -> None:
    """Methods of the handshake era, and listening, where the server has none of its own."""
    absent: list[tuple[str, type[BaseModel]]] = [
        ("logging/setLevel", SetLevelRequestParams),
        ("resources/subscribe", SubscribeRequestParams),
        ("resources/unsubscribe", UnsubscribeRequestParams),
    ]
    for method, params_type in absent:
        if server.get_request_handler(method) is None:
            server.add_request_handler(method, params_type, acknowledge)
    listen = source.get_request_handler("subscriptions/listen")
    if server.get_request_handler("subscriptions/listen") is None and listen is not None:
        server.add_request_handler("subscriptions/listen", listen.params_type, listen.handler)


def _schemas(server: Server[Any], source: Server[Any]) -> Callable[[str], Any]:
    """The input schema by name, from the server first."""
    ours, theirs = server.get_tool_input_schema, source.get_tool_input_schema
    assert theirs is not None

    def schema(name: str) -> Mapping[str, Any] | None:
        return theirs(name) if name in TOOL_NAMES else ours(name) if ours else None

    return schema
