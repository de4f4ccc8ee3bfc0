"""Fixture tools that only answer: every content type, an error, a header, a 2020-12 schema."""

from typing import Annotated, Any

from mcp.server.mcpserver.tools import Tool
from mcp_types import (
    AudioContent,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    TextContent,
    TextResourceContents,
)
from pydantic import Field

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mNoAAAAggCB2kUIOwAAAABJRU5ErkJggg=="
WAV = "UklGRigAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQQAAACAgICA"

SCHEMA_2020_12: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


def text(value: str) -> TextContent:
    """One block of text."""
    return TextContent(type="text", text=value)


def image() -> ImageContent:
    """One grey pixel."""
    return ImageContent(type="image", data=PNG, mime_type="image/png")


def embedded(uri: str, mime_type: str, body: str) -> EmbeddedResource:
    """A text resource carried inside an answer."""
    contents = TextResourceContents(uri=uri, mime_type=mime_type, text=body)
    return EmbeddedResource(type="resource", resource=contents)


def answer(*blocks: ContentBlock) -> CallToolResult:
    """A finished call with these blocks."""
    return CallToolResult(content=list(blocks))


def test_simple_text() -> CallToolResult:
    """Answer with one block of text."""
    return answer(text("This is a simple text response for testing."))


def test_image_content() -> CallToolResult:
    """Answer with one image."""
    return answer(image())


def test_audio_content() -> CallToolResult:
    """Answer with one sound."""
    return answer(AudioContent(type="audio", data=WAV, mime_type="audio/wav"))


def test_embedded_resource() -> CallToolResult:
    """Answer with one embedded resource."""
    return answer(
        embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")
    )


def test_multiple_content_types() -> CallToolResult:
    """Answer with text, an image and a resource."""
    return answer(
        text("Multiple content types test:"),
        image(),
        embedded(
            "test://mixed-content-resource", "application/json", '{"test":"data","value":123}'
        ),
    )


def test_error_handling() -> CallToolResult:
    """Fail as a tool that crashes does."""
    raise RuntimeError("This tool intentionally returns an error for testing")


Region = Annotated[
    str,
    Field(
        description="Also sent as Mcp-Param-Region.", json_schema_extra={"x-mcp-header": "Region"}
    ),
]


def test_x_mcp_header(region: Region = "none") -> CallToolResult:
    """Answer with an argument that is mirrored in a header."""
    return answer(text(f"region={region}"))


def json_schema_2020_12_tool() -> CallToolResult:
    """Publish an input schema that uses the 2020-12 vocabulary."""
    return answer(text("json_schema_2020_12_tool"))


def schema_tool() -> Tool:
    """The tool above under its hand-written schema, which no signature can produce."""
    made = Tool.from_function(json_schema_2020_12_tool)
    return made.model_copy(update={"parameters": SCHEMA_2020_12})


TOOLS = (
    test_simple_text,
    test_image_content,
    test_audio_content,
    test_embedded_resource,
    test_multiple_content_types,
    test_error_handling,
    test_x_mcp_header,
)
