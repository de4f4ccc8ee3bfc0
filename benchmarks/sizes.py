"""What a model and the wire pay for `tools/list`, per toolset."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.servers import ask_bytes, result_of
from benchmarks.wire import MODERN, Door

DEFAULT = "(default)"


@dataclass(frozen=True)
class Size:
    """One toolset: how many tools, bytes of the answers, UTF-8 bytes / 4 of what a model reads."""

    toolset: str
    tools: int
    wire_bytes: int
    tokens: int


def pages(door: Door) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Each page of tools/list: as it came, and its result."""
    params: dict[str, Any] = {}
    while True:
        came = ask_bytes(door, "tools/list", params, MODERN)
        result = result_of(came, "tools/list")
        yield came, result
        if not result.get("nextCursor"):
            return
        params = {"cursor": result["nextCursor"]}


def listed(door: Door, toolset: str) -> list[dict[str, Any]]:
    """Every tool of a toolset."""
    return [tool for _, result in pages(at(door, toolset)) for tool in result["tools"]]


def at(door: Door, toolset: str) -> Door:
    return door if toolset == DEFAULT else replace(door, query=f"?toolsets={toolset}")


def tokens(tools: list[dict[str, Any]]) -> int:
    """An estimate: UTF-8 bytes / 4 of name, description and input schema."""
    return (
        sum(
            len(tool["name"].encode())
            + len(tool.get("description", "").encode())
            + len(
                json.dumps(tool["inputSchema"], separators=(",", ":"), ensure_ascii=False).encode()
            )
            for tool in tools
        )
        // 4
    )


def size(door: Door, toolset: str) -> Size:
    every = list(pages(at(door, toolset)))
    tools = [tool for _, result in every for tool in result["tools"]]
    return Size(toolset, len(tools), sum(len(came) for came, _ in every), tokens(tools))


def sizes(door: Door) -> list[Size]:
    """The default, each capability found in `all`, and `all`."""
    found = sorted({tool["name"].partition("_")[0] for tool in listed(door, "all")})
    return [size(door, toolset) for toolset in (DEFAULT, *found, "all")]
