"""Fixture tools that talk while they run: logs, progress, questions to the client, changes."""

import asyncio
from typing import Annotated, Any, Literal

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.prompts import Prompt
from mcp.shared.exceptions import MCPError
from mcp_types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CallToolResult,
    InputRequiredResult,
    SamplingMessage,
)
from pydantic import BaseModel, Field, WithJsonSchema
from tests.conformance.content import answer, text
from tests.conformance.rounds import ask

PAUSE = 0.05  # seconds between two messages, so that a client sees them one by one


async def test_tool_with_logging(ctx: Context) -> CallToolResult:
    """Log three lines, apart in time."""
    await ctx.info("Tool execution started")
    await asyncio.sleep(PAUSE)
    await ctx.info("Tool processing data")
    await asyncio.sleep(PAUSE)
    await ctx.info("Tool execution completed")
    return answer(text("Tool with logging executed successfully"))


async def test_logging_tool(ctx: Context) -> CallToolResult:
    """Log one line, which a client that set no level must not see."""
    await ctx.info("Logged")
    return answer(text("logged"))


async def test_tool_with_progress(ctx: Context) -> CallToolResult:
    """Report progress three times, apart in time."""
    for step in (0, 50, 100):
        await ctx.report_progress(step, 100, f"Completed step {step} of 100")
        await asyncio.sleep(PAUSE)
    return answer(text("Tool with progress executed successfully"))


async def test_sampling(prompt: str, ctx: Context) -> CallToolResult:
    """Ask the client's model, inside a session."""
    reply = await ctx.session.create_message(
        messages=[SamplingMessage(role="user", content=text(prompt))],
        max_tokens=100,
        # Without it the question goes to the standalone stream, which may not be open.
        related_request_id=ctx.request_id,
    )
    said = reply.content.text if reply.content.type == "text" else "nothing"
    return answer(text(f"LLM response: {said}"))


async def elicit(ctx: Context, message: str, form: type[BaseModel], verb: str) -> CallToolResult:
    """Ask the client's user to fill a form, inside a session."""
    reply = await ctx.elicit(message=message, schema=form)
    filled = reply.data.model_dump_json() if reply.action == "accept" else "{}"
    return answer(text(f"{verb}: action={reply.action}, content={filled}"))


class Person(BaseModel):
    """What `test_elicitation` asks for."""

    username: str = Field(description="User's response")
    email: str = Field(description="User's email address")


async def test_elicitation(message: str, ctx: Context) -> CallToolResult:
    """Ask the client's user for two fields."""
    return await elicit(ctx, message, Person, "User response")


def enum(*values: str, **more: Any) -> WithJsonSchema:
    """A choice of strings."""
    return WithJsonSchema({"type": "string", "enum": list(values), **more})


class Defaults(BaseModel):
    """Every primitive type with a default (SEP-1034)."""

    name: str = "John Doe"
    age: int = 30
    score: float = 95.5
    status: Annotated[str, enum("active", "inactive", "pending")] = "active"
    verified: bool = True


async def test_elicitation_sep1034_defaults(ctx: Context) -> CallToolResult:
    """Ask with a default for every primitive type."""
    return await elicit(ctx, "Please check these values", Defaults, "Elicitation completed")


def titled(*values: str) -> list[dict[str, str]]:
    """The same choices with titles."""
    return [{"const": value, "title": value.capitalize()} for value in values]


def many(items: dict[str, Any]) -> WithJsonSchema:
    """A choice of several."""
    return WithJsonSchema({"type": "array", "items": items})


class Enums(BaseModel):
    """The five ways to offer a choice (SEP-1330)."""

    untitledSingle: Annotated[str, enum("option1", "option2", "option3")]
    titledSingle: Annotated[
        str, WithJsonSchema({"type": "string", "oneOf": titled("value1", "value2", "value3")})
    ]
    legacyEnum: Annotated[str, enum("opt1", "opt2", enumNames=["Option one", "Option two"])]
    untitledMulti: Annotated[
        list[str], many({"type": "string", "enum": ["option1", "option2", "option3"]})
    ]
    titledMulti: Annotated[list[str], many({"anyOf": titled("value1", "value2", "value3")})]


async def test_elicitation_sep1330_enums(ctx: Context) -> CallToolResult:
    """Ask with each form of choice."""
    return await elicit(ctx, "Please choose", Enums, "Elicitation completed")


async def test_streaming_elicitation(ctx: Context) -> CallToolResult | InputRequiredResult:
    """Ask on a response stream, where no request of the server's own may travel."""
    await ctx.report_progress(0, 1)
    if (ctx.input_responses or {}).get("name") is None:
        return InputRequiredResult(
            input_requests={"name": ask("What is your name?", name="string")}
        )
    return answer(text("answered"))


async def test_missing_capability(ctx: Context) -> CallToolResult:
    """Need sampling, and refuse a client that does not declare it."""
    declared = ctx.client_capabilities
    if declared is None or declared.sampling is None:
        needed: dict[str, Any] = {"requiredCapabilities": {"sampling": {}}}
        raise MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, "This tool needs sampling", needed)
    return answer(text("The client declares sampling"))


async def test_reconnection(ctx: Context) -> CallToolResult:
    """Close the stream in the middle of a call; the client comes back for the answer."""
    await ctx.close_sse_stream()
    await asyncio.sleep(4 * PAUSE)
    return answer(text("Reconnection test completed"))


def passing() -> Literal["passing"]:
    """A tool or prompt that is there for a moment."""
    return "passing"


async def test_trigger_tool_change(ctx: Context) -> CallToolResult:
    """Add a tool, remove it, and tell who listens."""
    ctx.mcp_server.add_tool(passing)
    ctx.mcp_server.remove_tool(passing.__name__)
    await ctx.notify_tools_changed()
    return answer(text("tool list changed"))


async def test_trigger_prompt_change(ctx: Context) -> CallToolResult:
    """Add a prompt, remove it, and tell who listens."""
    ctx.mcp_server.add_prompt(Prompt.from_function(passing))
    ctx.mcp_server.remove_prompt(passing.__name__)
    await ctx.notify_prompts_changed()
    return answer(text("prompt list changed"))


TOOLS = (
    test_tool_with_logging,
    test_logging_tool,
    test_tool_with_progress,
    test_sampling,
    test_elicitation,
    test_elicitation_sep1034_defaults,
    test_elicitation_sep1330_enums,
    test_streaming_elicitation,
    test_missing_capability,
    test_reconnection,
    test_trigger_tool_change,
    test_trigger_prompt_change,
)
