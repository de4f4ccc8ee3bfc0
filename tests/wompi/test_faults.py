"""Each fault: what the caller sees, and whether the work was done."""

import time

import anyio
import httpx2
import orjson
import pytest
from tests.wompi.endpoint import NEQUI, Endpoint

from tause_mcp.testing.wompi import FAULTS, Sandbox

pytestmark = pytest.mark.anyio
DONE = {
    "timeout",
    "500_after",
    "502_after",
    "truncated",
    "cut",
    "reset_after",
    "html_after",
    "slow",
}
"""After these there is a payment."""
SILENT = {"timeout", "timeout_before"}
BROKEN = {"cut", "reset_before", "reset_after"}


@pytest.mark.parametrize("kind", FAULTS)
async def test_a_fault_is_what_it_says_once(wompi: Endpoint, sandbox: Sandbox, kind: str) -> None:
    body = await wompi.order(NEQUI)
    sandbox.fail("POST /transactions", kind, **({"seconds": 0.01} if kind == "slow" else {}))
    # a silent one is waited for in vain; the others must not be cut short on a busy machine
    patience = 0.5 if kind in SILENT else 30
    answer = None
    try:
        answer = await wompi.ask("POST", "/transactions", json=body, timeout=patience)
    except httpx2.TimeoutException:
        assert kind in SILENT
    except httpx2.TransportError:
        assert kind in BROKEN
    assert (answer is None) == (kind in SILENT | BROKEN)
    if answer is not None:
        seen(kind, answer)
    if kind == "timeout":  # the client may give up before a busy server has begun
        await until_made(sandbox, body["reference"])
    assert sandbox.creates[body["reference"]] == (1 if kind in DONE else 0)
    again = await wompi.ask("POST", "/transactions", json=await wompi.order(NEQUI))
    assert again.status_code == 201


async def until_made(sandbox: Sandbox, reference: str) -> None:
    with anyio.fail_after(30):
        while not sandbox.creates[reference]:
            await anyio.sleep(0.01)


def seen(kind: str, answer: httpx2.Response) -> None:
    """What came of an answer."""
    if kind == "slow":
        assert answer.status_code == 201
    elif kind == "truncated":
        assert answer.status_code == 201
        with pytest.raises(orjson.JSONDecodeError):
            orjson.loads(answer.content)
    elif kind.startswith("html"):
        assert (answer.status_code, answer.headers["content-type"]) == (502, "text/html")
    else:
        assert answer.status_code == int(kind.partition("_")[0])
        assert (answer.headers.get("retry-after") == "1") == (kind == "429")


async def test_the_nth_calls_fail_and_no_other(wompi: Endpoint, sandbox: Sandbox) -> None:
    made = await wompi.pay(NEQUI)
    sandbox.fail("/transactions/*", "503", nth=2, times=2)
    path = f"/transactions/{made['id']}"
    statuses = [(await wompi.ask("GET", path)).status_code for _ in range(5)]
    assert statuses == [200, 503, 503, 200, 200]


async def test_faults_are_taken_back(wompi: Endpoint, sandbox: Sandbox) -> None:
    sandbox.fail("/merchants/*", "500", times=100)
    path = f"/merchants/{wompi.public}"
    assert (await wompi.ask("GET", path, None)).status_code == 500
    sandbox.clear_faults()
    assert (await wompi.ask("GET", path, None)).status_code == 200


async def test_a_fault_of_one_method_leaves_the_other(wompi: Endpoint, sandbox: Sandbox) -> None:
    sandbox.fail("POST /v1/transactions", "500", times=1)
    listed = await wompi.ask("GET", "/transactions", wompi.private)
    assert listed.status_code == 200
    made = await wompi.ask("POST", "/transactions", json=await wompi.order(NEQUI))
    assert made.status_code == 500


async def test_latency_delays_each_answer(wompi: Endpoint, sandbox: Sandbox) -> None:
    sandbox.change(latency=0.05)
    began = time.monotonic()
    await wompi.acceptance()
    assert time.monotonic() - began >= 0.05


@pytest.mark.parametrize(
    ("kind", "nth", "told"), [("none", 1, "no fault 'none'"), ("500", 0, "at least 1")]
)
def test_a_fault_that_does_not_exist_is_refused(
    sandbox: Sandbox, kind: str, nth: int, told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        sandbox.fail("/x", kind, nth=nth)
