"""Listening for somebody else's changes, in both eras."""

import asyncio
from contextlib import suppress
from typing import Any

from tause_mcp.testing.walk_stage import Scene
from tause_mcp.testing.walk_wire import LEGACY, MODERN, Answer, Speaker, written

_SETTLED = 0.2
"""Seconds that a stream needs to be open, and an event to arrive."""


async def overheard(speaker: Speaker, scene: Scene) -> list[Answer]:
    """Everything that a stream of the speaker's brings while the scene's tenant changes things."""
    message = _listen(speaker, scene.uris)
    verb = "POST" if speaker.era == MODERN else "GET"
    answers = []
    if speaker.era == LEGACY:
        if not speaker.session:
            return []
        answers = [await speaker.ask("resources/subscribe", {"uri": uri}) for uri in scene.uris]
    headers = speaker.headers(message)
    content = written(message) if verb == "POST" else None
    request = speaker.request(verb, speaker.door, headers, content)
    response = await speaker.http.send(request, stream=True)
    told: list[str] = []
    reading = asyncio.create_task(_read(response, told))
    await asyncio.sleep(_SETTLED)
    await _change(scene)
    await asyncio.sleep(_SETTLED)
    reading.cancel()
    with suppress(asyncio.CancelledError):
        await reading
    await response.aclose()
    sent = " ".join(scene.uris)
    return [*answers, Answer(response.status_code, (), "".join(told), sent)]


def _listen(speaker: Speaker, uris: list[str]) -> dict[str, Any]:
    wanted = {
        "resourceSubscriptions": uris,
        "resourcesListChanged": True,
        "toolsListChanged": True,
        "promptsListChanged": True,
    }
    return speaker.message("subscriptions/listen", {"notifications": wanted})


async def _read(response: Any, told: list[str]) -> None:
    async for text in response.aiter_text():
        told.append(text)


async def _change(scene: Scene) -> None:
    """The scene's tenant makes everything once more that it made before."""
    owner = scene.speaker
    for tool, arguments in list(scene.made.items()):
        if tool in scene.keyed:
            await owner.tool(tool, arguments)
    for handle in scene.handles.named("key")[:20]:
        if "/" in handle.value:
            told = {"key": handle.value, "content": scene.canary.content()}
            await owner.tool("storage_put", told)
