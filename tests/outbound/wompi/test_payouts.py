"""Payouts and Bre-B keys: what is told to Wompi, and what is read from its answers."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.support.outbound import serving, trusting
from tests.support.wompi import line, payouts, payouts_account, sent, told

from tause_mcp.errors import Invalid, Unavailable
from tause_mcp.outbound.wompi import (
    FundingAccount,
    KeysRefused,
    Limits,
    MadePayout,
    NewPayout,
    NotSent,
    Paid,
    Payee,
    Payout,
    PayoutBank,
    Payouts,
    ReferenceUsed,
    Refused,
    Rejected,
    ResolvedKey,
    Uncertain,
)

pytestmark = pytest.mark.anyio

BANK = Payee(
    "Ana Pérez",
    7_500_000,
    email="ana@example.com",
    bank_id="b1",
    account_number="9876543210",
    document_type="PA",
    document="AB1234",
)
KEYED = Payee("Ana Pérez", 7_500_000, email="ana@example.com", key="@ana123", reference="line1")
BATCH = NewPayout("tpref1", "a1", (BANK,))


def enveloped(data: Any) -> dict[str, Any]:
    return {"status": 200, "code": "OK", "message": "x", "meta": {"trace_id": "t"}, "data": data}


def page(*records: Any, total: int | None = None) -> dict[str, Any]:
    return enveloped({"page": 1, "limit": 10, "total": total, "records": list(records)})


async def test_a_batch_is_sent_once_under_its_key() -> None:
    body = enveloped({"payoutId": "p1", "transactions": 1, "success": 1, "failed": 0})
    async with payouts(told(201, body)) as (client, server):
        assert await client.create("key-1", BATCH) == MadePayout("p1", 1, 1, 0)
        assert line(server) == "POST /v1/payouts"
        head = server.requests[0].lower()
        assert b"idempotency-key: key-1" in head
        assert b"x-api-key: canarykey" in head
        assert b"user-principal-id: canaryid" in head
        assert sent(server) == {
            "reference": "tpref1",
            "accountId": "a1",
            "paymentType": "OTHER",
            "transactions": [
                {
                    "name": "Ana Pérez",
                    "amount": 7_500_000,
                    "email": "ana@example.com",
                    "legalIdType": "PP",
                    "legalId": "AB1234",
                    "bankId": "b1",
                    "accountType": "AHORROS",
                    "accountNumber": "9876543210",
                }
            ],
        }


async def test_a_bre_b_key_is_paid_in_version_2() -> None:
    async with payouts(told(201, {"payoutId": "p1"})) as (client, server):
        new = NewPayout("tpref1", "a1", (BANK, KEYED), payment_type="payroll", outcome="FAILED")
        assert await client.create("key-1", new) == MadePayout("p1")
        assert line(server) == "POST /v2/payouts"
        body = sent(server)
        assert (body["paymentType"], body["transactionStatus"]) == ("PAYROLL", "FAILED")
        assert body["transactions"][1] == {
            "name": "Ana Pérez",
            "amount": 7_500_000,
            "email": "ana@example.com",
            "reference": "line1",
            "key": "@ana123",
        }
        assert "ana" not in repr(new)


@pytest.mark.parametrize("key", ["", "a b", "é", "x" * 65, "a\r\nb", "a_b"])
async def test_an_idempotency_key_that_is_none_is_not_sent(key: str) -> None:
    async with payouts(told(201, {})) as (client, server):
        with pytest.raises(Invalid):
            await client.create(key, BATCH)
        assert server.requests == []


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"", Uncertain),
        (told(500, {}), Uncertain),
        (told(201, b"<html>"), Uncertain),
        (told(201, b""), Uncertain),
        (told(201, {"data": {"transactions": 1}}), Uncertain),
        (told(201, {"data": []}), Uncertain),
        (told(429, b""), NotSent),
        (told(401, b""), KeysRefused),
        (told(409, {"code": "EXC_022", "message": "x"}), ReferenceUsed),
        (told(409, {"code": "EXC_032", "message": "x"}), ReferenceUsed),
        (told(400, {"code": "EXC_008", "message": "Saldo insuficiente"}), Rejected),
        (told(404, {"code": "NOT_FOUND", "message": "la cuenta no existe"}), Refused),
    ],
)
async def test_what_may_have_happened_is_told_by_the_class(
    answer: bytes, kind: type[Exception]
) -> None:
    async with payouts(answer) as (client, server):
        with pytest.raises(kind) as failed:
            await client.create("key-1", BATCH)
        assert type(failed.value) is kind
        assert "canary" not in str(failed.value)
        assert len(server.requests) == 1


async def test_without_a_connection_nothing_was_paid() -> None:
    async with serving(b"") as server:
        closed = server.url
    async with trusting() as client:
        with pytest.raises(NotSent):
            await Payouts(payouts_account(closed), client).create("key-1", BATCH)


RECORD = {
    "id": "p1", "status": "TOTAL_PAYMENT", "reference": "tpref1", "amountInCents": 7_500_000,
    "currency": "COP", "totalTransactions": 1, "statusMessage": "Pagado\n", "createdAt": "2026-01-01",
}  # fmt: skip
FOUND = Payout("p1", "TOTAL_PAYMENT", "tpref1", 7_500_000, "COP", 1, "Pagado", "2026-01-01")


async def test_a_batch_is_read_in_the_version_it_was_made_in() -> None:
    async with payouts(told(200, enveloped(RECORD))) as (client, server):
        assert await client.payout("p1") == FOUND
        assert FOUND.final
        assert await client.payout("p1", keyed=True) == FOUND
        assert [line(server, at) for at in (0, 1)] == ["GET /v1/payouts/p1", "GET /v2/payouts/p1"]
        assert await client.payout("../p1") is None
        with pytest.raises(Unavailable):
            await client.payout("p2")
    async with payouts(told(404, {"code": "NOT_FOUND", "message": "x"})) as (client, _):
        assert await client.payout("p1") is None
    async with payouts(told(404, {"message": "Not Found"})) as (client, _):
        with pytest.raises(Refused):  # a gateway's words, not Wompi's: no answer to the question
            await client.payout("p1")


async def test_a_reference_finds_its_batches_and_no_other() -> None:
    async with payouts(told(200, page(RECORD, total=1))) as (client, server):
        assert await client.by_reference("tpref1") == [FOUND]
        assert line(server) == "GET /v1/payouts?reference=tpref1&page=1"
        with pytest.raises(Unavailable):
            await client.by_reference("tpref2")
    async with payouts(told(200, page(total=0))) as (client, _):
        assert await client.by_reference("tpref1") == []
    async with payouts(told(404, {"code": "NOT_FOUND"})) as (client, _):
        with pytest.raises(Refused):
            await client.by_reference("tpref1")


def payee(number: int, **changed: Any) -> dict[str, Any]:
    return {"id": f"t{number}", "status": "APPROVED", "amountInCents": 1, **changed}


async def test_every_page_of_payees_is_read() -> None:
    first, second = page(payee(1), payee(2), total=3), page(payee(3), total=3)
    async with payouts(told(200, first), told(200, second)) as (client, server):
        found = await client.transactions("p1")
        assert [one.id for one in found] == ["t1", "t2", "t3"]
        assert line(server, 1) == "GET /v1/payouts/p1/transactions?page=2"
        assert len(server.requests) == 2


async def test_pages_that_never_end_are_given_up_and_an_empty_one_ends_them() -> None:
    async with payouts(told(200, page(payee(1), total=10**9))) as (client, server):
        with pytest.raises(Unavailable):
            await client.transactions("p1")
        assert len(server.requests) == 100
    async with payouts(told(200, page(total=5))) as (client, _):
        assert await client.transactions("p1", keyed=True) == []


@pytest.mark.parametrize(
    ("reason", "failure"),
    [
        (None, ""),
        ("La cuenta no existe", "La cuenta no existe"),
        ({"code": "C01", "message": "La cuenta no existe"}, "C01 La cuenta no existe"),
        (
            {"code": "EXC_037", "description": "Entidad no disponible"},
            "EXC_037 Entidad no disponible",
        ),
        ({"code": 7}, ""),
    ],
)
async def test_why_a_payee_was_not_paid_is_told(reason: object, failure: str) -> None:
    record = payee(
        1,
        status="FAILED",
        failureReason=reason,
        fee={"totalInCents": 5},
        reference=None,
        appliedAt="2026",
    )
    async with payouts(told(200, page(record))) as (client, _):
        (found,) = await client.transactions("p1")
        assert found == Paid("t1", "FAILED", 1, "", failure, 5, "2026")
        assert found.final


async def test_banks_accounts_and_limits_come_bare_or_in_an_envelope() -> None:
    bank = {"id": "b1", "code": "1007", "name": "BANCOLOMBIA"}
    ours = {
        "id": "a1",
        "number": "****6789",
        "balanceInCents": 10,
        "status": "ACTIVE",
        "accountType": "AHORROS",
        "bank": {"name": "BANCOLOMBIA", "code": "1007"},
    }
    used = {"limits": {"dailyLimit": 3, "dailyConsumed": 1, "dailyAvailable": 2.5}}
    for wrap in (enveloped, lambda data: data):
        async with payouts(
            told(200, wrap([bank, {"name": "?"}])), told(200, wrap([ours])), told(200, wrap(used))
        ) as (client, _):
            assert await client.banks() == [PayoutBank("b1", "1007", "BANCOLOMBIA")]
            assert await client.accounts() == [
                FundingAccount("a1", "****6789", 10, "ACTIVE", "AHORROS", "BANCOLOMBIA")
            ]
            assert await client.limits() == Limits(3, 1, None)


async def test_a_key_is_resolved() -> None:
    data = {
        "holderName": "JUA*** PER***",
        "financialEntity": {"name": "BANCOLOMBIA", "code": "001"},
        "keyType": "ALPHANUMERIC",
        "keyValue": "@JUA***",
    }
    async with payouts(told(200, enveloped(data))) as (client, server):
        found = await client.resolve_key("@ana/../1", "alphanumeric")
        assert found == ResolvedKey("JUA*** PER***", "BANCOLOMBIA", "001", "alphanumeric")
        assert line(server) == ("GET /v2/breb/keys/resolve/%40ana%2F..%2F1?keyType=ALPHANUMERIC")
        await client.resolve_key("3001234567")
        assert line(server) == "GET /v2/breb/keys/resolve/3001234567"
        with pytest.raises(Invalid):
            await client.resolve_key("")


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "EXC_033", Rejected),
        (400, "EXC_035", Rejected),
        (503, "EXC_036", Unavailable),
        (503, "EXC_037", Unavailable),
    ],
)
async def test_a_key_that_cannot_be_resolved_says_why(
    status: int, code: str, kind: type[Exception]
) -> None:
    async with payouts(told(status, {"code": code, "message": "x"})) as (client, _):
        with pytest.raises(kind):
            await client.resolve_key("12345")


async def test_a_key_of_nobody_is_none() -> None:
    async with payouts(told(404, {"code": "EXC_034", "message": "x"})) as (client, _):
        assert await client.resolve_key("noexiste@test.com") is None


READS: dict[str, Callable[[Payouts], Awaitable[object]]] = {
    "banks": lambda client: client.banks(),
    "accounts": lambda client: client.accounts(),
    "payout": lambda client: client.payout("p1"),
    "by_reference": lambda client: client.by_reference("r"),
    "transactions": lambda client: client.transactions("p1"),
    "resolve_key": lambda client: client.resolve_key("@ana123"),
}


JUNK = [b"", b"<html>", b"7", b"[7]", b'{"data": 7}', b'{"data": {"records": [{}]}}']


@pytest.mark.parametrize("read", READS.values(), ids=READS)
async def test_a_read_that_cannot_be_read_says_nothing(
    read: Callable[[Payouts], Awaitable[object]],
) -> None:
    async with payouts(*(told(200, body) for body in JUNK)) as (client, server):
        for _ in JUNK:
            with pytest.raises(Unavailable):
                await read(client)
        assert len(server.requests) == len(JUNK)
