"""What may have happened is told by the class of the failure, and a change is sent once."""

from collections.abc import Awaitable, Callable

import anyio
import pytest
from tests.support.outbound import serving, trusting
from tests.support.wompi import account, charge, line, made, sent, told, wompi

from tause_mcp.errors import Unavailable
from tause_mcp.outbound import Outbound
from tause_mcp.outbound.wompi import (
    KeysRefused,
    Method,
    NewLink,
    NotSent,
    Refused,
    Rejected,
    Uncertain,
    Wompi,
)

pytestmark = pytest.mark.anyio

NEW = NewLink("Bill", "A bill", "tpsku")
CHANGES: dict[str, Callable[[Wompi], Awaitable[object]]] = {
    "create": lambda wompi: wompi.create(charge()),
    "void": lambda wompi: wompi.void("1-2-3"),
    "create_source": lambda wompi: wompi.create_source("card", "tok_test_1", "a@b.co", "t", "p"),
    "void_source": lambda wompi: wompi.void_source(3891),
    "create_link": lambda wompi: wompi.create_link(NEW),
    "close_link": lambda wompi: wompi.close_link("link1"),
}
READS: dict[str, Callable[[Wompi], Awaitable[object]]] = {
    "merchant": lambda wompi: wompi.merchant(),
    "banks": lambda wompi: wompi.banks(),
    "transaction": lambda wompi: wompi.transaction("1-2-3"),
    "by_reference": lambda wompi: wompi.by_reference("tpref1"),
    "source": lambda wompi: wompi.source(3891),
    "link": lambda wompi: wompi.link("link1"),
}
HTML = b"<html><h1>502 Bad Gateway</h1></html>"
BROKEN = b"HTTP/1.1 201 X\r\nContent-Length: 999\r\n\r\n{"  # after which the server hangs up
GONE = b""
UNREADABLE = [HTML, b"{", b'"x', b"\xff\xfe\x00", b"[1]", b'{"data": null}', b'{"data": {"id": 7}}']


@pytest.mark.parametrize(
    "answer",
    [GONE, BROKEN, b"junk\r\n\r\n", told(500, {}), told(502, HTML), told(503, b""), told(504, b""),
     told(408, b""), told(302, b""), told(201, HTML), told(200, b"{")],
    ids=range(11),
)  # fmt: skip
async def test_without_a_clear_answer_it_may_have_happened(answer: bytes) -> None:
    async with wompi(answer) as (client, server):
        for change in CHANGES.values():
            with pytest.raises(Uncertain) as failed:
                await change(client)
            assert failed.value.retry_after
            assert "look it up" in str(failed.value)
        assert len(server.requests) == len(CHANGES)


@pytest.mark.parametrize("name", ["create", "create_source", "create_link"])
async def test_what_was_made_and_cannot_be_read_may_have_happened(name: str) -> None:
    async with wompi(*(told(201, body) for body in UNREADABLE)) as (client, server):
        for _ in UNREADABLE:
            with pytest.raises(Uncertain):
                await CHANGES[name](client)
        assert len(server.requests) == len(UNREADABLE)


async def test_a_request_that_cannot_be_sent_did_nothing() -> None:
    async with serving(GONE) as server:
        closed = f"{server.url}/v1"
    async with trusting() as client:
        for change in CHANGES.values():
            with pytest.raises(NotSent) as failed:
                await change(Wompi(account(closed), client))
            assert failed.value.retry_after


@pytest.mark.parametrize("problem", [OSError("down"), UnicodeError("no name")])
async def test_a_name_that_cannot_be_resolved_did_nothing(problem: Exception) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        raise problem

    async with Outbound(trusted=True, resolve=resolve) as client:
        with pytest.raises(NotSent):
            await Wompi(account(), client).create(charge())


async def test_a_busy_wompi_did_nothing() -> None:
    async with wompi(told(429, HTML, "retry-after: 7")) as (client, server):
        for change in CHANGES.values():
            with pytest.raises(NotSent) as failed:
                await change(client)
            assert failed.value.retry_after == 7.0
        assert len(server.requests) == len(CHANGES)


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(
    "body",
    [
        HTML,
        {"error": {"type": "INVALID_ACCESS_TOKEN", "reason": "Llave no válida"}},
        {
            "error": {
                "type": "INVALID_ACCESS_TOKEN",
                "reason": "no corresponde a este ambiente, se recibió: pub_test_canarypublic",
            }
        },
    ],
    ids=range(3),
)
async def test_keys_that_are_refused_are_named_and_not_shown(status: int, body: object) -> None:
    async with wompi(told(status, body)) as (client, server):
        for ask in (*CHANGES.values(), *READS.values()):
            with pytest.raises(KeysRefused, match="WOMPI_PUBLIC_KEY") as failed:
                await ask(client)
            assert "canary" not in str(failed.value)
        assert len(server.requests) == len(CHANGES) + len(READS)


@pytest.mark.parametrize(
    "body", [HTML, b"", b"{", b"[]", b'{"error": 7}', {"error": {"type": "?"}}]
)
async def test_a_refusal_in_any_words_made_nothing(body: object) -> None:
    answers = [told(status, body) for status in (400, 404, 409, 422)]
    for change in CHANGES.values():
        async with wompi(*answers) as (client, server):
            for _ in answers:
                with pytest.raises(Refused):
                    await change(client)
            assert len(server.requests) == len(answers)


@pytest.mark.parametrize(
    "answer",
    [GONE, BROKEN, told(500, {}), told(502, HTML), told(302, b""), told(200, b""), told(200, HTML),
     told(404, HTML), *(told(200, body) for body in UNREADABLE)],
    ids=range(8 + len(UNREADABLE)),
)  # fmt: skip
async def test_a_read_that_cannot_be_read_says_nothing(answer: bytes) -> None:
    async with wompi(answer) as (client, _):
        for read in READS.values():
            with pytest.raises(Unavailable) as failed:
                await read(client)
            assert not isinstance(failed.value, Uncertain)
            assert failed.value.retry_after


@pytest.mark.parametrize("name", ["transaction", "source", "link"])
async def test_what_wompi_says_does_not_exist_is_none(name: str) -> None:
    body = {"error": {"type": "NOT_FOUND_ERROR", "reason": "La entidad solicitada no existe"}}
    async with wompi(told(404, body)) as (client, _):
        assert await READS[name](client) is None


@pytest.mark.parametrize("name", ["merchant", "banks", "by_reference"])
async def test_a_404_is_never_an_empty_list(name: str) -> None:
    body = {"error": {"type": "NOT_FOUND_ERROR", "reason": "La entidad solicitada no existe"}}
    async with wompi(told(404, body)) as (client, _):
        with pytest.raises((Refused, KeysRefused)):
            await READS[name](client)


async def test_an_unknown_merchant_is_a_wrong_key_and_no_absent_thing() -> None:
    body = {
        "error": {
            "type": "NOT_FOUND",
            "reason": "Comercio con llave pub_test_… no encontrado",
            "code": "MERCHANT_NOT_FOUND",
        }
    }
    for ask in (READS["transaction"], READS["merchant"], CHANGES["create"]):
        async with wompi(told(404, body)) as (client, _):
            with pytest.raises(KeysRefused, match="WOMPI_PUBLIC_KEY"):
                await ask(client)


async def test_a_reference_is_looked_up_with_the_private_key_and_compared() -> None:
    async with wompi(told(200, {"data": [made()], "meta": {}})) as (client, server):
        (found,) = await client.by_reference("tpref1")
        assert found.id == "12015602-1769351602-78650"
        assert line(server) == "GET /v1/transactions?reference=tpref1"
        assert b"Bearer prv_test_canaryprivate" in server.requests[0]
        # A filter that was not applied is no answer to the question.
        with pytest.raises(Unavailable):
            await client.by_reference("tpref2")
    async with wompi(told(200, {"data": [], "meta": {}})) as (client, _):
        assert await client.by_reference("tpref1") == []
    async with wompi(told(200, {"data": [made(amount_in_cents=1.5)]})) as (client, _):
        with pytest.raises(Unavailable):
            await client.by_reference("tpref1")


async def test_another_transaction_than_the_one_asked_for_is_not_believed() -> None:
    async with wompi(told(200, {"data": made()})) as (client, _):
        with pytest.raises(Unavailable):
            await client.transaction("1-2-3")


@pytest.mark.parametrize("number", ["", "..", "a/b", "1?x", "é", "x" * 129, "1\n"])
async def test_what_can_be_no_id_is_asked_of_nobody(number: str) -> None:
    async with wompi(told(200, {"data": made()})) as (client, server):
        assert await client.transaction(number) is None
        assert await client.link(number) is None
        assert server.requests == []


async def test_an_id_in_a_path_stays_one_segment() -> None:
    async with wompi(told(200, {"data": {}})) as (client, server):
        await client.void("../../x?y#z")
        assert line(server) == "POST /v1/transactions/..%2F..%2Fx%3Fy%23z/void"


async def test_a_caller_that_is_cancelled_leaves_no_answer_behind() -> None:
    """A claim that is held has to be looked up: nothing here swallows the cancellation."""
    async with wompi(told(201, {"data": made()})) as (client, _):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await client.create(charge())
        assert scope.cancelled_caught


async def test_a_void_that_failed_is_refused_and_an_empty_answer_is_none() -> None:
    failed = {"data": {"status": "DECLINED", "status_message": "No se pudo anular"}}
    async with wompi(told(201, failed), told(201, b"")) as (client, server):
        with pytest.raises(Refused, match="No se pudo anular"):
            await client.void("1-2-3", 150_000)
        assert sent(server) == {"amount_in_cents": 150_000}
        assert await client.void("1-2-3") is None
        assert b"content-type" not in server.requests[1].lower()
    whole = {"data": {"status": "APPROVED", "transaction": made(status="VOIDED")}}
    async with wompi(told(201, whole)) as (client, server):
        found = await client.void("1-2-3")
        assert found is not None
        assert (found.status, found.final) == ("VOIDED", True)
        assert b"Bearer prv_test_canaryprivate" in server.requests[0]


async def test_a_method_that_is_not_enabled_is_told_as_one() -> None:
    body = {"error": {"type": "NOT_FOUND_ERROR", "reason": "El método NEQUI no está habilitado"}}
    async with wompi(told(404, body)) as (client, _):
        with pytest.raises(Rejected, match=r"not enabled nequi.*another method") as failed:
            await client.create(charge())
        assert failed.value.field == "method.type"
        with pytest.raises(Rejected, match="payments_save_source") as gone:
            await client.create(charge(method=None, source_id=3891))
        assert gone.value.field == "source_id"


async def test_a_token_that_does_not_exist_is_the_payers_to_make_again() -> None:
    body = {"error": {"type": "NOT_FOUND_ERROR", "reason": "La entidad solicitada no existe"}}
    async with wompi(told(404, body)) as (client, _):
        with pytest.raises(Rejected, match="ask the payer for a new one") as failed:
            await client.create(charge(method=Method("card", token="tok_test_1")))
        assert failed.value.field == "method.token"
        with pytest.raises(Refused) as other:
            await client.create(charge())
        assert type(other.value) is Refused
