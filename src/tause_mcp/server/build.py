"""Compose the SDK's server over the platform."""

from collections.abc import Callable
from typing import Any

from mcp.server.caching import CacheHint
from mcp.server.lowlevel import Server
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity

from tause_mcp import __version__
from tause_mcp.catalog import Catalog
from tause_mcp.platform import Platform
from tause_mcp.server.calls import ToolCalls
from tause_mcp.server.definitions import Definitions
from tause_mcp.server.identity import Identify, of_request, principal_of
from tause_mcp.server.listen import Listening
from tause_mcp.server.lists import Lists
from tause_mcp.server.reads import Reads

Hook = Callable[[Server[Any]], None]


def instructions(catalog: Catalog) -> str:
    """What a host tells its model about this server: every capability by name, under 2 KB."""
    lines = "\n".join(f"- {c.name}: {c.about}" for c in catalog.capabilities)
    return (
        "A whole backend for one tenant. Capabilities:\n"
        f"{lines}\n"
        "Tools are named <capability>_<verb>. Not every tool is listed: find any with "
        "catalog_search (English or Spanish), read its arguments with catalog_describe, run it "
        "with catalog_read or catalog_call. A result with status approval_required waits for a "
        "person: show its url, and make the same call again once it is approved."
    )


def build(
    platform: Platform, identify: Identify = of_request, hooks: tuple[Hook, ...] = ()
) -> Server[Any]:
    """The SDK's server with every handler of the house.

    `identify` says who speaks on a message; `hooks` see the built server last (tests only).
    """
    definitions = Definitions(platform.catalog)
    lists = Lists(platform, definitions, identify)
    reads = Reads(platform, identify)
    listening = Listening(platform, identify)
    private = CacheHint(ttl_ms=5_000, scope="private")
    server: Server[Any] = Server(
        "tause",
        version=__version__,
        title="TauseStack",
        instructions=instructions(platform.catalog),
        cache_hints={
            "tools/list": private,
            "resources/list": private,
            "resources/templates/list": private,
            "prompts/list": private,
            "resources/read": CacheHint(0, "private"),
            "server/discover": CacheHint(3_600_000, "public"),
        },
        get_tool_input_schema=definitions.input,
        on_list_tools=lists.tools,  # type: ignore[arg-type]  # wire dicts are results too
        on_call_tool=ToolCalls(platform, identify),  # type: ignore[arg-type]
        on_list_resources=lists.resources,  # type: ignore[arg-type]
        on_list_resource_templates=lists.templates,  # type: ignore[arg-type]
        on_read_resource=reads.resource,  # type: ignore[arg-type]
        on_list_prompts=lists.prompts,  # type: ignore[arg-type]
        on_get_prompt=reads.prompt,  # type: ignore[arg-type]
        on_completion=reads.completion,  # type: ignore[arg-type]
        on_subscriptions_listen=listening.listen,
        on_subscribe_resource=listening.subscribe,
        on_unsubscribe_resource=listening.unsubscribe,
    )
    state = RequestStateSecurity(
        keys=[platform.seal.derive("request-state")],
        audience="tause",
        bind_principal=principal_of(identify),
    )
    server.middleware.append(RequestStateBoundary(state, default_audience="tause"))
    for hook in hooks:
        hook(server)
    return server
