"""Who may reach it, with what, and how much it keeps; and the control API."""

from dataclasses import replace
from typing import Any

import httpx2
import pytest
from tests.wompi.endpoint import NEQUI, PSE, Endpoint

from tause_mcp.testing.wompi import Keys, Sandbox, Served, running, serving

pytestmark = pytest.mark.anyio
PROD = "pub_prod_0123456789abcdef"


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "0.0.0.0", "", "[::2]:80"]
)
async def test_a_name_that_is_not_loopback_is_refused(
    wompi: Endpoint, sandbox: Sandbox, host: str
) -> None:
    headers = {"host": host, "authorization": f"Bearer {sandbox.control_token}"}
    root = wompi.base_url.removesuffix("/v1")
    for path in ("/v1/merchants/x", "/_sandbox/keys", "/_sandbox/authorize/x", "/payouts/v1/banks"):
        answer = await wompi.http.get(root + path, headers=headers)
        assert answer.status_code == 421, path
        assert sandbox.keys.private not in answer.text


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:7", "127.0.0.1", "[::1]", "[::1]:80"])
async def test_a_loopback_name_will_do(wompi: Endpoint, host: str) -> None:
    answer = await wompi.http.get(f"/merchants/{wompi.public}", headers={"host": host})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "options",
    [
        {"headers": {"authorization": f"Bearer {PROD}"}},
        {"headers": {"x-api-key": "prv_prod_0123"}},
        {"params": {"public-key": PROD}},
        {"content": b'{"signature": "prod_integrity_abc"}'},
        {"content": b'{"x": "prod_events_abc"}'},
    ],
)
async def test_a_production_key_is_refused_wherever_it_is(
    wompi: Endpoint, options: dict[str, Any]
) -> None:
    root = wompi.base_url.removesuffix("/v1")
    for path in ("/v1/transactions", "/payouts/v1/payouts", "/_sandbox/checkout/p/"):
        answer = await wompi.http.post(root + path, **options)
        assert answer.status_code == 401
        assert "no corresponde a este ambiente" in answer.json()["error"]["reason"]


async def test_a_production_key_in_the_path_is_refused(wompi: Endpoint) -> None:
    assert (await wompi.http.get(f"/merchants/{PROD}")).status_code == 401


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("public", PROD, "production key"),
        ("private", "prv_prod_1", "production key"),
        ("events", "prod_events_1", "production key"),
        ("integrity", "prod_integrity_1", "production key"),
        ("public", "pub_1", "must be pub_test_"),
        ("integrity", "test_events_1", "must be test_integrity_"),
    ],
)
def test_a_sandbox_is_not_made_with_other_keys(name: str, value: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Sandbox(keys=replace(Keys.of(1), **{name: value}))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"resolve_after": "soon"}, "none of manual"),
        ({"resolve_after": "polls:0"}, "none of manual"),
        ({"resolve_after": "seconds:-1"}, "none of manual"),
        ({"resolve_after": "CASH=manual"}, "no method 'CASH'"),
        ({"methods": ("CASH",)}, "no method 'CASH'"),
        ({"webhook_url": "shop"}, "webhook_url"),
        ({"limit": 0}, "limit"),
    ],
)
def test_a_configuration_that_is_none_is_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Sandbox(**options)


def test_a_seed_gives_its_keys_again_and_no_control_token() -> None:
    first, second, other = Sandbox(seed=5), Sandbox(seed=5), Sandbox(seed=6)
    assert first.keys == second.keys != other.keys
    assert first.control_token != second.control_token


async def test_ids_of_a_seed_come_again() -> None:
    ids = []
    for _ in range(2):
        sandbox = Sandbox(seed=9, now=lambda: 1_795_798_745.0)
        async with running(sandbox) as served, Endpoint.of(sandbox, served) as wompi:
            ids.append((await wompi.pay(NEQUI))["id"])
    assert ids[0] == ids[1]
    assert ids[0].startswith("19208-1795798745-")


async def test_a_large_body_is_refused(wompi: Endpoint) -> None:
    answer = await wompi.http.post("/transactions", content=b" " * 65_537)
    assert answer.status_code == 413


async def test_it_keeps_so_much_and_no_more() -> None:
    sandbox = Sandbox(limit=2)
    async with running(sandbox) as served, Endpoint.of(sandbox, served) as wompi:
        await wompi.pay(NEQUI)
        await wompi.pay(NEQUI)
        answer = await wompi.ask("POST", "/transactions", json=await wompi.order(NEQUI))
        assert answer.status_code == 503
        assert answer.json()["error"]["type"] == "SANDBOX_FULL"
        for _ in range(2):
            await wompi.card()
        assert (await wompi.ask("POST", "/tokens/nequi", json=NEQUI)).status_code == 503
        sandbox.reset()
        await wompi.pay(NEQUI)
        assert len(sandbox.transactions) == 1


async def test_an_unknown_door_is_not_found(wompi: Endpoint) -> None:
    told = {"type": "NOT_FOUND_ERROR", "reason": "La entidad solicitada no existe"}
    for method, path in (("GET", "/nothing"), ("DELETE", "/transactions")):
        answer = await wompi.http.request(method, path)
        assert (answer.status_code, answer.json()) == (404, {"error": told})


async def test_a_taken_port_is_told(served: Served) -> None:
    port = int(served.url.rpartition(":")[2])
    with pytest.raises(OSError, match="in use"):
        async with running(Sandbox(), port):
            pass


def test_a_thread_serves_it_to_a_test_without_a_loop() -> None:
    sandbox = Sandbox(resolve_after="manual")
    with (
        serving(sandbox) as served,
        httpx2.Client(base_url=served.base_url, trust_env=False, verify=False) as http,
    ):
        told = http.get(f"/merchants/{sandbox.keys.public}").json()["data"]
        assert told["name"] == "Tienda de prueba"
        with pytest.raises(OSError, match="in use"), serving(Sandbox(), int(served.url[-5:])):
            pass
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(served.url, trust_env=False, verify=False)


# -- the control API -------------------------------------------------------------------------------


class Control:
    """A test in another process."""

    def __init__(self, http: httpx2.AsyncClient, served: Served, token: str) -> None:
        self.http, self.url = http, served.control_url
        self.headers = {"authorization": f"Bearer {token}"}

    async def ask(self, method: str, path: str, json: Any = None, status: int = 200) -> Any:
        answer = await self.http.request(method, self.url + path, json=json, headers=self.headers)
        assert answer.status_code == status, answer.text
        return answer.json()


@pytest.fixture
async def control(wompi: Endpoint, served: Served, sandbox: Sandbox) -> Control:
    return Control(wompi.http, served, sandbox.control_token)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/reset"),
        ("POST", "/advance"),
        ("POST", "/set-status"),
        ("POST", "/deliver"),
        ("GET", "/transactions"),
        ("GET", "/payouts"),
        ("GET", "/faults"),
        ("POST", "/faults"),
        ("DELETE", "/faults"),
        ("GET", "/config"),
        ("POST", "/config"),
        ("GET", "/deliveries"),
        ("POST", "/emit"),
        ("GET", "/keys"),
    ],
)
async def test_control_needs_its_token(
    wompi: Endpoint, served: Served, method: str, path: str
) -> None:
    for headers in ({}, {"authorization": f"Bearer {wompi.private}"}):
        answer = await wompi.http.request(method, served.control_url + path, headers=headers)
        assert answer.status_code == 401


async def test_a_payment_is_decided_from_outside(wompi: Endpoint, control: Control) -> None:
    made = await wompi.pay(PSE)
    decided = {"id": made["id"], "status": "APPROVED"}
    assert await control.ask("POST", "/set-status", decided) == decided
    assert (await wompi.read(made["id"]))["status"] == "APPROVED"
    await control.ask("POST", "/set-status", {**decided, "status": "DECLINED"}, 422)
    await control.ask("POST", "/set-status", {**decided, "status": "DECLINED", "force": True})
    await control.ask("POST", "/set-status", {**decided, "status": "PAID"}, 422)
    await control.ask("POST", "/set-status", {"id": "x", "status": "APPROVED"}, 404)
    told = await control.ask("GET", "/transactions")
    assert told["creates"] == told["attempts"] == {made["reference"]: 1}
    assert [t["status"] for t in told["transactions"]] == ["DECLINED"]


async def test_faults_and_time_and_configuration_from_outside(
    wompi: Endpoint, control: Control, sandbox: Sandbox
) -> None:
    await control.ask("POST", "/faults", {"path": "POST /transactions", "kind": "503", "times": 2})
    answer = await wompi.ask("POST", "/transactions", json=await wompi.order(NEQUI))
    assert answer.status_code == 503
    (fault,) = (await control.ask("GET", "/faults"))["faults"]
    assert (fault["kind"], fault["seen"]) == ("503", 1)
    await control.ask("DELETE", "/faults")
    await wompi.pay(NEQUI)
    before = sandbox.state.now()
    assert (await control.ask("POST", "/advance", {"seconds": 3600}))["now"] >= before + 3600
    told = await control.ask(
        "POST", "/config", {"resolve_after": "manual", "webhook_modes": ["duplicate"], "latency": 0}
    )
    assert (told["resolve_after"], told["webhook_modes"]) == ("manual", ["duplicate"])
    assert await control.ask("GET", "/config") == told
    assert (await control.ask("GET", "/keys"))["private"] == sandbox.keys.private
    assert await control.ask("POST", "/deliver") == {"delivered": True}
    await control.ask(
        "POST", "/emit", {"event": "x", "data": {"a": {"id": "1"}}, "properties": ["a.id"]}
    )
    assert (await control.ask("GET", "/deliveries"))["deliveries"][0]["event"] == "x"
    await control.ask("POST", "/reset")
    assert sandbox.transactions == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/advance", {"seconds": -1}),
        ("/advance", {"seconds": "1"}),
        ("/advance", {"seconds": True}),
        ("/advance", {"seconds": 1e300}),
        ("/faults", {"path": "/x", "kind": "none"}),
        ("/faults", {"path": "/x", "kind": "500", "nth": "1"}),
        ("/faults", {"path": "/x", "kind": "500", "why": 1}),
        ("/faults", {"kind": "500"}),
        ("/config", {"keys": {}}),
        ("/config", {"resolve_after": "soon"}),
        ("/config", {"resolve_after": 7}),
        ("/config", {"strict_personal_auth": "no"}),
        ("/config", {"webhook_url": "shop"}),
        ("/config", {"webhook_url": 7}),
        ("/config", {"webhook_modes": ["twice"]}),
        ("/config", {"webhook_modes": 7}),
        ("/config", {"methods": ["CASH"]}),
        ("/config", {"methods": 7}),
        ("/config", {"latency": "1"}),
        ("/config", {"latency": -1}),
        ("/emit", {"event": "x", "data": {}, "properties": []}),
        ("/emit", {"event": "x", "data": 7, "properties": ["a"]}),
    ],
)
async def test_control_refuses_what_it_does_not_know(
    control: Control, sandbox: Sandbox, path: str, body: dict[str, Any]
) -> None:
    before = sandbox.state.config
    await control.ask("POST", path, body, 422)
    assert sandbox.state.config == before
