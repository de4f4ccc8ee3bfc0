"""Fixtures that ask by answering: `input_required`, then the same call again (SEP-2322)."""

import json
from typing import Any

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp_types import (
    CallToolResult,
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
    ListRootsRequest,
    ListRootsResult,
    SamplingMessage,
)
from tests.conformance.content import answer, text

Round = CallToolResult | InputRequiredResult


def ask(message: str, **fields: str) -> ElicitRequest:
    """A form with these required fields, each name with its JSON type."""
    schema = {
        "type": "object",
        "properties": {name: {"type": kind} for name, kind in fields.items()},
        "required": list(fields),
    }
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def sample(prompt: str, max_tokens: int) -> CreateMessageRequest:
    """A question to the client's model."""
    message = SamplingMessage(role="user", content=text(prompt))
    params = CreateMessageRequestParams(messages=[message], max_tokens=max_tokens)
    return CreateMessageRequest(params=params)


def more(state: str | None = None, **requests: Any) -> InputRequiredResult:
    """The answer that asks."""
    return InputRequiredResult(input_requests=requests, request_state=state)


def given(ctx: Context, key: str) -> Any:
    """What the client answered under this key, or None."""
    return (ctx.input_responses or {}).get(key)


def field(ctx: Context, key: str, name: str) -> Any:
    """One field of an accepted form, or None."""
    form = given(ctx, key)
    accepted = isinstance(form, ElicitResult) and form.action == "accept"
    return (form.content or {}).get(name) if accepted else None


async def test_input_required_result_elicitation(ctx: Context) -> Round:
    """Ask for a name, then greet."""
    name = field(ctx, "user_name", "name")
    if name is None:
        return more(user_name=ask("What is your name?", name="string"))
    return answer(text(f"Hello, {name}!"))


async def test_input_required_result_sampling(ctx: Context) -> Round:
    """Ask the client's model, then repeat what it said."""
    reply = given(ctx, "capital_question")
    if not isinstance(reply, CreateMessageResult):
        return more(capital_question=sample("What is the capital of France?", 100))
    said = reply.content.text if reply.content.type == "text" else "nothing"
    return answer(text(f"Model said: {said}"))


async def test_input_required_result_list_roots(ctx: Context) -> Round:
    """Ask for the client's roots, then name them."""
    reply = given(ctx, "client_roots")
    if not isinstance(reply, ListRootsResult):
        return more(client_roots=ListRootsRequest())
    return answer(text(f"Roots: {', '.join(str(root.uri) for root in reply.roots)}"))


async def test_input_required_result_request_state(ctx: Context) -> Round:
    """Ask for a yes, and complete only with the state that went along."""
    if field(ctx, "confirm", "ok") is None or ctx.request_state != "asked":
        return more("asked", confirm=ask("Please confirm", ok="boolean"))
    return answer(text("state-ok"))


async def test_input_required_result_multiple_inputs(ctx: Context) -> Round:
    """Ask for three things at once."""
    questions = {
        "user_name": ask("What is your name?", name="string"),
        "greeting": sample("Generate a greeting", 50),
        "client_roots": ListRootsRequest(),
    }
    if ctx.request_state is None or any(given(ctx, key) is None for key in questions):
        return more("asked", **questions)
    return answer(text("All three were answered"))


async def test_input_required_result_multi_round(ctx: Context) -> Round:
    """Ask twice; the state carries the first answer to the end."""
    state = json.loads(ctx.request_state or "{}")
    name = state.get("name") or field(ctx, "step1", "name")
    if ctx.request_state is None or name is None:
        return more("{}", step1=ask("Step 1: What is your name?", name="string"))
    color = field(ctx, "step2", "color")
    if color is None:
        second = ask("Step 2: What is your favorite color?", color="string")
        return more(json.dumps({"name": name}), step2=second)
    return answer(text(f"{name} likes {color}"))


async def test_input_required_result_tampered_state(ctx: Context) -> Round:
    """Complete with any state that reaches the tool: a changed one must not."""
    if ctx.request_state is None:
        return more("sealed", confirm=ask("Please confirm", ok="boolean"))
    return answer(text("state-ok"))


async def test_input_required_result_capabilities(ctx: Context) -> Round:
    """Ask only for what the client declares."""
    declared = ctx.client_capabilities
    questions: dict[str, Any] = {}
    if declared is not None and declared.sampling is not None:
        questions["sample"] = sample("Say hello", 50)
    if declared is not None and declared.elicitation is not None:
        questions["ask"] = ask("What is your name?", name="string")
    return more("asked", **questions)


async def test_input_required_result_prompt(
    ctx: Context,
) -> list[UserMessage] | InputRequiredResult:
    """Ask for a context, then put it in the prompt."""
    context = field(ctx, "user_context", "context")
    if context is None:
        return more(user_context=ask("What context should the prompt use?", context="string"))
    return [UserMessage(f"Use this context: {context}")]


TOOLS = (
    test_input_required_result_elicitation,
    test_input_required_result_sampling,
    test_input_required_result_list_roots,
    test_input_required_result_request_state,
    test_input_required_result_multiple_inputs,
    test_input_required_result_multi_round,
    test_input_required_result_tampered_state,
    test_input_required_result_capabilities,
)
