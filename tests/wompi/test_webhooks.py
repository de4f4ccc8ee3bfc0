"""Events: signed, sent at least once, and otherwise on demand."""

import hashlib
from typing import Any

import anyio
import pytest
from tests.wompi.endpoint import NEQUI, PSE, Endpoint
from tests.wompi.receiver import Receiver

from tause_mcp.testing.wompi import WEBHOOK_MODES, Sandbox

pytestmark = pytest.mark.anyio


@pytest.fixture
def sandbox(receiver: Receiver) -> Sandbox:
    return Sandbox(auto_deliver=False, webhook_url=receiver.url)


def right(sandbox: Sandbox, body: dict[str, Any]) -> str:
    """The checksum an event should have, by the documentation's words."""
    values = []
    for path in body["signature"]["properties"]:
        value: Any = body["data"]
        for name in path.split("."):
            value = value[name]
        values.append(str(value))
    text = f"{''.join(values)}{body['timestamp']}{sandbox.keys.events}"
    return hashlib.sha256(text.encode()).hexdigest()


async def end(wompi: Endpoint, sandbox: Sandbox, status: str = "APPROVED") -> str:
    """A payment that ended; its id."""
    made = await wompi.pay(PSE)
    sandbox.decide(made["id"], status)
    return str(made["id"])


async def test_an_end_is_told_once_and_signed(
    wompi: Endpoint, sandbox: Sandbox, receiver: Receiver
) -> None:
    ended = await end(wompi, sandbox)
    assert await sandbox.deliver() == 1
    assert await sandbox.deliver() == 0
    (body,) = receiver.bodies
    assert (body["event"], body["environment"]) == ("transaction.updated", "test")
    assert body["data"]["transaction"] == await wompi.read(ended)
    paths = ["transaction.id", "transaction.status", "transaction.amount_in_cents"]
    assert body["signature"]["properties"] == paths
    assert body["signature"]["checksum"] == right(sandbox, body) == receiver.checksums[0]
    assert type(body["timestamp"]) is int
    assert body["sent_at"].endswith("Z")


async def test_a_void_is_told_too(wompi: Endpoint, sandbox: Sandbox, receiver: Receiver) -> None:
    made = await wompi.pay(await wompi.card())
    await wompi.ended(made["id"])
    await wompi.ask("POST", f"/transactions/{made['id']}/void", wompi.private)
    await sandbox.deliver()
    assert receiver.statuses == ["APPROVED", "VOIDED"]


async def test_served_it_sends_by_itself(
    wompi: Endpoint, sandbox: Sandbox, receiver: Receiver
) -> None:
    sandbox.change(auto_deliver=True)
    ended = await end(wompi, sandbox)
    with anyio.fail_after(30):
        await receiver.came.wait()
    assert receiver.ids == [ended]


async def test_what_time_ends_is_told_by_itself(
    wompi: Endpoint, sandbox: Sandbox, receiver: Receiver
) -> None:
    sandbox.change(auto_deliver=True, resolve_after="seconds:0.05")
    made = await wompi.pay(NEQUI)
    with anyio.fail_after(30):
        await receiver.came.wait()
    assert (receiver.ids, receiver.statuses) == ([made["id"]], ["APPROVED"])


async def test_anything_but_200_is_tried_again_three_times_and_then_no_more(
    wompi: Endpoint, sandbox: Sandbox, receiver: Receiver
) -> None:
    receiver.status = 202
    await end(wompi, sandbox)
    await sandbox.deliver()
    for wait, before in ((1800, 1), (9000, 2), (75_600, 3)):
        sandbox.advance(wait - 60)
        await sandbox.deliver()
        assert len(receiver.bodies) == before
        sandbox.advance(60)
        await sandbox.deliver()
        assert len(receiver.bodies) == before + 1
    sandbox.advance(30 * 86_400)
    await sandbox.deliver()
    assert len(receiver.bodies) == 4
    assert len(set(receiver.raw)) == 1
    (delivery,) = sandbox.deliveries
    assert delivery.outcome == "given_up"
    assert [attempt.status for attempt in delivery.attempts] == [202] * 4


async def test_a_retry_ends_with_its_200(
    wompi: Endpoint, sandbox: Sandbox, receiver: Receiver
) -> None:
    receiver.status = 500
    await end(wompi, sandbox)
    await sandbox.deliver()
    receiver.status = 200
    sandbox.advance(1800)
    await sandbox.deliver()
    assert [d.outcome for d in sandbox.deliveries] == ["delivered"]


async def test_nobody_there_is_a_failed_attempt(wompi: Endpoint, sandbox: Sandbox) -> None:
    sandbox.webhook_url = "http://127.0.0.1:1/none"
    await end(wompi, sandbox)
    await sandbox.deliver()
    (delivery,) = sandbox.deliveries
    assert (delivery.outcome, delivery.attempts[0].status) == ("queued", None)
    assert delivery.attempts[0].problem == "ConnectError"


async def test_without_an_address_events_are_only_noted(wompi: Endpoint, sandbox: Sandbox) -> None:
    sandbox.webhook_url = None
    await end(wompi, sandbox)
    assert await sandbox.deliver() == 0
    assert [d.outcome for d in sandbox.deliveries] == ["no_url"]


# -- modes -----------------------------------------------------------------------------------------


async def test_duplicate_sends_the_same_bytes_twice(
    wompi: Endpoint, sandbox: Sandbox, receiver: Receiver
) -> None:
    sandbox.webhooks("duplicate")
    await end(wompi, sandbox)
    await sandbox.deliver()
    assert len(receiver.raw) == 2
    assert len(set(receiver.raw)) == 1


async def test_reorder_turns_each_pair(
    wompi: Endpoint, sandbox: Sandbox, receiver: Receiver
) -> None:
    sandbox.change(auto_deliver=True)
    sandbox.webhooks("reorder")
    ids = [await end(wompi, sandbox) for _ in range(4)]
    with anyio.fail_after(30):
        while len(receiver.bodies) < 4:
            await anyio.sleep(0.01)
    assert receiver.ids == [ids[1], ids[0], ids[3], ids[2]]


async def test_what_waits_for_a_pair_goes_when_it_is_delivered(
    wompi: Endpoint, sandbox: Sandbox, receiver: Receiver
) -> None:
    sandbox.webhooks("reorder")
    ended = await end(wompi, sandbox)
    assert [d.outcome for d in sandbox.deliveries] == ["held"]
    await sandbox.deliver()
    assert receiver.ids == [ended]


async def test_drop_sends_nothing_ever(
    wompi: Endpoint, sandbox: Sandbox, receiver: Receiver
) -> None:
    sandbox.webhooks("drop")
    await end(wompi, sandbox)
    sandbox.advance(100_000)
    await sandbox.deliver()
    assert receiver.bodies == []
    assert [d.outcome for d in sandbox.deliveries] == ["dropped"]


async def test_a_wrong_checksum_is_wrong(
    wompi: Endpoint, sandbox: Sandbox, receiver: Receiver
) -> None:
    sandbox.webhooks("wrong_checksum")
    await end(wompi, sandbox)
    await sandbox.deliver()
    (body,) = receiver.bodies
    assert body["signature"]["checksum"] != right(sandbox, body)
    assert len(body["signature"]["checksum"]) == 64


async def test_an_upper_case_checksum_is_the_right_one(
    wompi: Endpoint, sandbox: Sandbox, receiver: Receiver
) -> None:
    sandbox.webhooks("upper_checksum")
    await end(wompi, sandbox)
    await sandbox.deliver()
    (body,) = receiver.bodies
    assert body["signature"]["checksum"] == right(sandbox, body).upper() == receiver.checksums[0]


async def test_more_properties_in_another_order_are_signed_as_they_stand(
    wompi: Endpoint, sandbox: Sandbox, receiver: Receiver
) -> None:
    sandbox.webhooks("extra_property", "rotate_properties")
    for _ in range(3):
        await end(wompi, sandbox)
    await sandbox.deliver()
    orders = [tuple(body["signature"]["properties"]) for body in receiver.bodies]
    assert all(len(set(order)) == 4 for order in orders)
    assert len(set(orders)) == 3
    for body in receiver.bodies:
        assert body["signature"]["checksum"] == right(sandbox, body)


async def test_any_event_can_be_sent(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.emit("something.new", {"thing": {"id": "t-1", "size": 3}}, ["thing.size", "thing.id"])
    await sandbox.deliver()
    (body,) = receiver.bodies
    assert body["event"] == "something.new"
    assert body["signature"]["checksum"] == right(sandbox, body)


async def test_a_mode_that_does_not_exist_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match="no webhook mode 'twice'"):
        sandbox.webhooks("twice")
    sandbox.webhooks(*WEBHOOK_MODES)


@pytest.mark.parametrize("url", ["ftp://x", "x", "http://"])
async def test_an_address_that_is_none_is_refused(sandbox: Sandbox, url: str) -> None:
    with pytest.raises(ValueError, match="webhook_url"):
        sandbox.webhook_url = url
