"""Fixture resources, prompts and completions."""

import base64
import json

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.prompts import Prompt
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp_types import (
    Completion,
    CompletionArgument,
    CompletionContext,
    PromptReference,
    ResourceTemplateReference,
)
from tests.conformance.content import PNG, embedded, image
from tests.conformance.rounds import test_input_required_result_prompt

TEMPLATE = "test://template/{id}/data"
URIS = ("test://static-text", "test://static-binary", "test://watched-resource")
WORDS = ("paris", "park", "party")


def static_text() -> str:
    """A resource of text."""
    return "This is the content of the static text resource."


def static_binary() -> bytes:
    """A resource of bytes."""
    return base64.b64decode(PNG)


def watched() -> str:
    """A resource that a client may subscribe to."""
    return "Watched resource content"


def templated(id: str) -> str:  # noqa: A002 - the template's variable is called id
    """A resource named by its argument."""
    return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


def test_simple_prompt() -> list[UserMessage]:
    """A prompt without arguments."""
    return [UserMessage("This is a simple prompt for testing.")]


def test_prompt_with_arguments(arg1: str, arg2: str) -> list[UserMessage]:
    """A prompt with two required arguments."""
    return [UserMessage(f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'")]


def test_prompt_with_embedded_resource(resourceUri: str) -> list[UserMessage]:
    """A prompt that carries a resource."""
    resource = embedded(resourceUri, "text/plain", "Embedded resource content for testing.")
    return [UserMessage(resource), UserMessage("Please process the embedded resource above.")]


def test_prompt_with_image() -> list[UserMessage]:
    """A prompt that carries an image."""
    return [UserMessage(image()), UserMessage("Please analyze the image above.")]


async def complete(
    ref: PromptReference | ResourceTemplateReference,
    argument: CompletionArgument,
    context: CompletionContext | None,
) -> Completion:
    """The words that begin with what was typed."""
    values = [word for word in WORDS if word.startswith(argument.value)]
    return Completion(values=values, total=len(values), has_more=False)


PROMPTS = (
    test_simple_prompt,
    test_prompt_with_arguments,
    test_prompt_with_embedded_resource,
    test_prompt_with_image,
    test_input_required_result_prompt,
)


def add_to(fixtures: MCPServer) -> None:
    """Register all of the above."""
    fixtures.resource(URIS[0])(static_text)
    fixtures.resource(URIS[1], mime_type="image/png")(static_binary)
    fixtures.resource(URIS[2])(watched)
    fixtures.resource(TEMPLATE, mime_type="application/json")(templated)
    for prompt in PROMPTS:
        fixtures.add_prompt(Prompt.from_function(prompt))
    fixtures.completion()(complete)  # type: ignore[no-untyped-call]  # the SDK's has no annotation
