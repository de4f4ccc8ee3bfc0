"""An approval is answered in each of its three ways, by real clients, in both eras."""

from uuid import uuid4

import httpx2
import pytest
from mcp.types import ElicitResult
from tests.support.clients import over_http
from tests.support.serving import Served, run

pytestmark = pytest.mark.anyio

ERAS = pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])


def fresh() -> dict[str, str]:
    return {"name": uuid4().hex, "role": "admin"}


async def called(server: Served, arguments: dict, mode: str = "2026-07-28", **options) -> object:
    async with over_http(f"{server.url}/mcp", server.key, mode, **options) as client:
        return await client.call_tool("access_create_key", arguments)


def answering(action: str, content: dict | None = None, heard: list | None = None):
    async def answer(context, params) -> ElicitResult:
        if heard is not None:
            heard.append(params.message)
        return ElicitResult(action=action, content=content)

    return answer


@ERAS
async def test_a_person_who_is_asked_and_agrees_lets_the_call_through(server, mode) -> None:
    heard: list[str] = []
    callback = answering("accept", {"approve": True}, heard)
    made = await called(server, fresh(), mode, elicitation_callback=callback)
    assert made.structured_content["key"].startswith("tk_default.")
    assert len(heard) == 1 and "admin" in heard[0]


@ERAS
@pytest.mark.parametrize("answer", [("decline", None), ("accept", {"approve": False})])
async def test_a_person_who_refuses_stops_the_call(server, mode, answer) -> None:
    made = await called(server, fresh(), mode, elicitation_callback=answering(*answer))
    assert made.is_error and made.meta["pro.tause/error"]["code"] == "forbidden"


@ERAS
async def test_a_question_that_is_dismissed_leaves_the_call_waiting(server, mode) -> None:
    made = await called(server, fresh(), mode, elicitation_callback=answering("cancel"))
    assert made.structured_content["status"] == "approval_required"


@ERAS
async def test_the_command_line_answers_and_the_same_call_completes(server, mode) -> None:
    arguments = fresh()
    waiting = await called(server, arguments, mode)
    assert waiting.structured_content["status"] == "approval_required" and not waiting.is_error
    run(server.home, "approvals", "approve", waiting.structured_content["id"])
    assert "key" in (await called(server, arguments, mode)).structured_content
    again = await called(server, arguments, mode)
    assert again.structured_content["status"] == "approval_required"


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [("tenants_delete", {"tenant_id": "nobody"}), ("database_drop_collection", {"name": "none"})],
)
async def test_a_client_that_checks_results_takes_one_that_waits(server, tool, arguments) -> None:
    async with over_http(f"{server.url}/mcp", server.key) as client:
        await client.list_tools()
        waiting = await client.call_tool(tool, arguments)
    assert waiting.structured_content["status"] == "approval_required"


async def test_another_call_does_not_complete_with_it(server) -> None:
    arguments = fresh()
    waiting = await called(server, arguments)
    await by_page(waiting.structured_content["url"], server.key, "approve")
    other = await called(server, {**arguments, "name": "other"})
    assert other.structured_content["status"] == "approval_required"


async def test_the_page_answers_and_the_small_door_completes(server) -> None:
    arguments = {"name": "access_create_key", "arguments": fresh()}
    async with over_http(f"{server.url}/mcp", server.key) as client:
        waiting = await client.call_tool("catalog_call", arguments)
        url = waiting.structured_content["url"]
        await by_page(url, server.key, "approve")
        made = await client.call_tool("catalog_call", arguments)
    assert made.structured_content["key"].startswith("tk_")


async def test_denied_on_the_page_is_refused_once(server) -> None:
    arguments = fresh()
    waiting = await called(server, arguments)
    await by_page(waiting.structured_content["url"], server.key, "deny")
    assert (await called(server, arguments)).is_error
    assert (await called(server, arguments)).structured_content["status"] == "approval_required"


async def by_page(url: str, key: str, answer: str) -> None:
    """What a person does in a browser: sign in with a key, read, press a button."""
    async with httpx2.AsyncClient(trust_env=False, follow_redirects=True) as browser:
        first = await browser.get(url)
        assert (
            first.status_code == 200
            and "default-src 'none'" in first.headers["content-security-policy"]
        )
        shown = await browser.post(url, data={"key": key})
        assert shown.status_code == 200, shown.text
        token = shown.text.partition('name="csrf" value="')[2].partition('"')[0]
        assert token
        done = await browser.post(url, data={"csrf": token, "answer": answer})
        assert done.status_code == 200, done.text
        assert key not in str(done.url)


async def test_an_answer_to_a_question_counts_for_one_call(server) -> None:
    heard: list[str] = []

    async def replayed(context, params) -> ElicitResult:
        heard.append(params.message)
        return ElicitResult(action="accept", content={"approve": True})

    arguments = fresh()
    first = await called(server, arguments, elicitation_callback=replayed)
    second = await called(server, arguments, elicitation_callback=replayed)
    assert len(heard) == 2, "an answer is used once"
    assert first.structured_content["id"] != second.structured_content["id"]
