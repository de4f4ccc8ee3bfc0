"""Whatever one replica did, the next one knows, though every call goes to another."""

import asyncio
import base64
import hashlib
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from tests.replicas.conftest import Installation
from tests.support.clock import BUSY

from tause_mcp.server.held import RECHECK_SECONDS
from tause_mcp.tenancy import BELIEVED
from tause_mcp.testing.walk_wire import LEGACY, MODERN, Answer, Era, Speaker, written

pytestmark = pytest.mark.anyio
ERAS = pytest.mark.parametrize("era", [MODERN, LEGACY])
PROMISED = 5.0
"""Seconds in which a revocation holds on every replica."""
BOUND = PROMISED + BUSY


@pytest.fixture
def owner(installation: Installation, http: httpx2.AsyncClient) -> Speaker:
    return Speaker(http, installation.key)


async def made(speaker: Speaker, tool: str, arguments: dict[str, Any], **more: Any) -> Any:
    answer = await speaker.tool(tool, arguments, **more)
    assert answer.value, answer.text[-800:]
    return answer.value


async def test_every_replica_is_ready(installation: Installation) -> None:
    for number in range(3):
        async with installation.client(number) as http:
            assert (await http.get("/readyz")).json() == {"status": "ready"}


@ERAS
async def test_a_key_works_on_the_next_replica_at_once(owner: Speaker, era: Era) -> None:
    for _ in range(6):
        key = (await made(owner, "access_create_key", {"role": "developer"}))["key"]
        mine = await Speaker(owner.http, key, era=era).opened()
        assert (await made(mine, "access_whoami", {}))["tenant"] == "default"


@ERAS
async def test_what_one_stores_the_others_read_list_and_page(owner: Speaker, era: Era) -> None:
    mine = await Speaker(owner.http, owner.token, era=era).opened()
    place = f"r{uuid4().hex[:8]}"
    for number in range(7):
        await made(mine, "storage_put", {"key": f"{place}/{number}", "content": f"c{number}"})
        got = await made(mine, "storage_get", {"key": f"{place}/{number}"})
        assert got["content"] == f"c{number}"
    found, cursor = [], None
    while True:
        asked = {"prefix": f"{place}/", "limit": 2} | ({"cursor": cursor} if cursor else {})
        page = await made(mine, "storage_list", asked)
        found += [item["key"] for item in page["items"]]
        if (cursor := page.get("next_cursor")) is None:
            break
    assert found == [f"{place}/{number}" for number in range(7)]


@ERAS
async def test_documents_counters_and_lists_of_tools_are_the_same_everywhere(
    owner: Speaker, era: Era
) -> None:
    mine = await Speaker(owner.http, owner.token, era=era).opened()
    name = f"c{uuid4().hex[:8]}"
    await made(mine, "database_create_collection", {"name": name})
    for number in range(4):
        kept = await made(mine, "database_insert", {"collection": name, "document": {"n": number}})
        told = {"collection": name, "id": kept["id"]}
        assert (await made(mine, "database_get", told))["data"] == {"n": number}
        counted = await made(mine, "cache_increment", {"key": name})
        assert counted["value"] == number + 1
        assert (await made(mine, "cache_get", {"key": name}))["value"] == number + 1
    lists = [(await mine.ask("tools/list", {})).result["tools"] for _ in range(3)]
    assert lists[0] == lists[1] == lists[2]


async def test_an_approval_asked_on_one_answered_on_another_is_used_on_a_third(
    owner: Speaker, http: httpx2.AsyncClient
) -> None:
    told = {"role": "admin", "name": uuid4().hex}
    asked = await made(owner, "access_create_key", told)
    assert asked["status"] == "approval_required"
    again = await made(owner, "access_create_key", told)
    assert again["id"] == asked["id"]
    await answered(http, owner.token, asked["id"])
    results = [await owner.tool("access_create_key", told) for _ in range(3)]
    keys = [r.value["key"] for r in results if r.value and "key" in r.value]
    assert len(keys) == 1, "an approval is used once"


async def answered(http: httpx2.AsyncClient, key: str, approval: str) -> None:
    """The signed-in page, each of its requests on another replica."""
    page = f"/approvals/{approval}"
    await http.post(page, data={"key": key})
    form = (await http.get(page)).text
    csrf = re.search(r'name="csrf" value="([^"]+)"', form)
    assert csrf is not None, form
    answer = await http.post(page, data={"answer": "approve", "csrf": csrf[1]})
    assert answer.status_code in (200, 303), answer.text


async def test_the_parts_of_an_upload_may_go_to_different_replicas(
    owner: Speaker, http: httpx2.AsyncClient
) -> None:
    content = bytes(range(256)) * 1200
    key = f"up/{uuid4().hex}"
    link = (await made(owner, "storage_sign_url", {"key": key, "method": "PUT"}))["url"]
    path = httpx2.URL(link).raw_path.decode()
    tus = {"tus-resumable": "1.0.0"}
    begun = await http.post(path, headers={**tus, "upload-length": str(len(content))})
    assert begun.status_code == 201, begun.text
    place = httpx2.URL(begun.headers["location"]).raw_path.decode()
    for start in range(0, len(content), 100_000):
        part = content[start : start + 100_000]
        checksum = base64.b64encode(hashlib.sha256(part).digest()).decode()
        headers = {
            **tus,
            "upload-offset": str(start),
            "content-type": "application/offset+octet-stream",
            "upload-checksum": f"sha256 {checksum}",
        }
        sent = await http.patch(place, headers=headers, content=part)
        assert sent.status_code == 204, sent.text
    stat = await made(owner, "storage_stat", {"key": key})
    assert stat["sha256"] == hashlib.sha256(content).hexdigest()


async def test_one_idempotency_key_raced_on_all_replicas_is_one_call(owner: Speaker) -> None:
    for _ in range(3):
        counter, key = uuid4().hex, uuid4().hex
        told = await asyncio.gather(
            *(owner.tool("cache_increment", {"key": counter}, key=key) for _ in range(9))
        )
        assert {answer.value["value"] for answer in told if answer.value} == {1}
        assert sum(bool(answer.value) for answer in told) == 9, [a.text[-300:] for a in told]
        assert (await made(owner, "cache_get", {"key": counter}))["value"] == 1


async def until(true: Callable[[], Awaitable[bool]], seconds: float = BOUND) -> None:
    began = time.monotonic()
    while not await true():
        assert time.monotonic() - began < seconds, "it took too long"
        await asyncio.sleep(0.05)


def test_what_is_believed_and_how_often_it_is_asked_keep_the_promise() -> None:
    """The streams and calls below may be late on a busy machine; these are what they wait for."""
    assert max(BELIEVED, RECHECK_SECONDS) < PROMISED


async def test_a_revoked_key_ends_everywhere_with_its_open_streams(
    installation: Installation, owner: Speaker
) -> None:
    new = await made(owner, "access_create_key", {"role": "developer"})
    async with (
        installation.client(0) as a,
        installation.client(1) as b,
        installation.client(2) as c,
    ):
        clients = [Speaker(client, new["key"]) for client in (a, b, c)]
        for speaker in clients:
            await made(speaker, "access_whoami", {})
        streams = [asyncio.create_task(hear(speaker, [])) for speaker in clients]
        await asyncio.sleep(0.5)
        assert not any(stream.done() for stream in streams)
        began = time.monotonic()
        await made(Speaker(a, owner.token), "access_revoke_key", {"id": new["id"]})

        async def refused() -> bool:
            answers = await asyncio.gather(*(s.tool("access_whoami", {}) for s in clients))
            return all(answer.status == 401 for answer in answers)

        await until(refused)
        await asyncio.wait(streams, timeout=BOUND - (time.monotonic() - began))
        assert all(stream.done() for stream in streams)
        assert time.monotonic() - began < BOUND


async def hear(
    speaker: Speaker, heard: list[str], notifications: dict[str, Any] | None = None
) -> None:
    """Hold a stream open until the server ends it."""
    wanted = notifications or {"toolsListChanged": True}
    message = speaker.message("subscriptions/listen", {"notifications": wanted})
    headers = speaker.headers(message)
    request = speaker.request("POST", speaker.door, headers, written(message))
    response = await speaker.http.send(request, stream=True)
    assert response.status_code == 200, await response.aread()
    async for text in response.aiter_text():
        heard.append(text)


async def test_a_change_on_one_replica_is_heard_on_another(
    installation: Installation, owner: Speaker
) -> None:
    key = f"ev/{uuid4().hex}"
    uri = f"tause://default/storage/{key}"
    heard: list[str] = []
    async with installation.client(0) as a, installation.client(1) as b:
        hearing = asyncio.create_task(
            hear(Speaker(b, owner.token), heard, {"resourceSubscriptions": [uri]})
        )

        async def told() -> bool:  # a change from before it listens is not heard
            await made(Speaker(a, owner.token), "storage_put", {"key": key, "content": "x"})
            return any(uri in text and "updated" in text for text in heard)

        await until(told)
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)


async def test_a_rate_is_exact_over_all_replicas(
    installation: Installation, owner: Speaker
) -> None:
    name = f"t{uuid4().hex[:10]}"
    await made(owner, "tenants_create", {"tenant_id": name})
    code, said = installation.replicas[0].run("keys", "create", "--tenant", name, "--role", "owner")
    assert code == 0, said
    mine = Speaker(owner.http, said.split()[-1])
    await made(owner, "tenants_configure", {"tenant_id": name, "limits": {"calls_per_hour": 25}})
    await asyncio.sleep(BELIEVED)  # what a replica may believe
    answers: list[Answer] = await asyncio.gather(
        *(mine.tool("access_whoami", {}) for _ in range(75))
    )
    assert sum(bool(answer.value) for answer in answers) == 25
    assert all("rate_limited" in a.body for a in answers if not a.value)


async def test_a_suspended_tenant_is_closed_on_every_replica(
    installation: Installation, owner: Speaker
) -> None:
    name = f"t{uuid4().hex[:10]}"
    await made(owner, "tenants_create", {"tenant_id": name})
    code, said = installation.replicas[0].run("keys", "create", "--tenant", name, "--role", "owner")
    assert code == 0, said
    mine = Speaker(owner.http, said.split()[-1])
    for _ in range(3):
        await made(mine, "access_whoami", {})
    await made(owner, "tenants_suspend", {"tenant_id": name})

    async def closed() -> bool:
        answers = [await mine.tool("access_whoami", {}) for _ in range(3)]
        return not any(answer.value for answer in answers)

    await until(closed)


async def test_a_change_of_configuration_holds_on_every_replica(
    installation: Installation, owner: Speaker
) -> None:
    """A value that a tenant inherits, and a limit of its own, where both are remembered already."""
    parent, child = (f"t{uuid4().hex[:10]}" for _ in range(2))
    await made(owner, "tenants_create", {"tenant_id": parent})
    await made(owner, "tenants_create", {"tenant_id": child, "parent": parent})
    code, said = installation.replicas[0].run("keys", "create", "--tenant", child)
    assert code == 0, said
    key = said.split()[-1]
    name, nit = f"c{uuid4().hex[:8]}", {"number": "800197268-4"}

    async def each(tool: str, arguments: dict[str, Any]) -> list[Answer]:
        told = []
        for number in range(3):
            async with installation.client(number) as http:
                told.append(await Speaker(http, key).tool(tool, arguments))
        return told

    assert all("corresponde" in one.body for one in await each("colombia_validate_nit", nit))
    await made(Speaker(owner.http, key), "database_create_collection", {"name": name})
    insert = {"collection": name, "document": {}}
    assert all(one.value for one in await each("database_insert", insert))
    english = {"tenant_id": parent, "values": {"locale": "en-US"}}
    await made(owner, "tenants_configure", english)
    await made(owner, "tenants_configure", {"tenant_id": child, "limits": {"rows": 3}})

    async def changed() -> bool:
        texts = await each("colombia_validate_nit", nit)
        return all("is the right one" in one.body for one in texts)

    async def limited() -> bool:
        return not any(one.value for one in await each("database_insert", insert))

    await until(changed)
    await until(limited)


async def test_a_replica_that_is_killed_leaves_the_others_serving(
    installation: Installation, owner: Speaker
) -> None:
    killed = installation.replicas[2]
    killed.kill()
    async with installation.client(0) as a, installation.client(1) as b:
        for http in (a, b, a, b):
            await made(Speaker(http, owner.token), "cache_increment", {"key": "after"})
            assert (await http.get("/readyz")).status_code == 200
    killed.start("--stateless")
    for _ in range(3):
        await made(owner, "access_whoami", {})
