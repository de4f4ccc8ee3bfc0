"""Payouts and Bre-B keys."""

import hashlib
from datetime import datetime, timedelta
from typing import Any

import anyio
import httpx2
import orjson
import pytest
from tests.wompi.receiver import Receiver

from tause_mcp.testing.wompi import Sandbox, Served
from tause_mcp.testing.wompi.clock import BOGOTA

pytestmark = pytest.mark.anyio
BREB = {"key": "@elias123", "name": "Elias Cantor", "email": "e@example.com", "amount": 150_000}


class Payouts:
    """A payer."""

    def __init__(self, served: Served, sandbox: Sandbox) -> None:
        keys = sandbox.keys
        self.headers = {"x-api-key": keys.payouts_api, "user-principal-id": keys.payouts_principal}
        self.http = httpx2.AsyncClient(base_url=served.payouts_url, trust_env=False, verify=False)
        self.account = self.bank = ""

    async def get(self, path: str, **query: str) -> Any:
        answer = await self.http.get(path, headers=self.headers, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, body: Any, key: str = "k-1") -> httpx2.Response:
        headers = {**self.headers, "idempotency-key": key}
        return await self.http.post(path, headers=headers, json=body)

    def batch(self, *lines: dict[str, Any], **more: Any) -> dict[str, Any]:
        line = {
            "legalIdType": "CC",
            "legalId": "1000000000",
            "bankId": self.bank,
            "accountType": "AHORROS",
            "accountNumber": "12345678",
            "name": "Ana Prueba",
            "email": "ana@example.com",
            "amount": 1_000_000,
            "reference": "line-1",
        }
        made = {"reference": "nomina-7", "accountId": self.account, "paymentType": "PAYROLL"}
        return {**made, "transactions": list(lines) or [line], **more}


@pytest.fixture
async def payouts(served: Served, sandbox: Sandbox) -> Any:
    payouts = Payouts(served, sandbox)
    async with payouts.http:
        payouts.account = (await payouts.get("/v1/accounts"))["data"][0]["id"]
        payouts.bank = (await payouts.get("/v1/banks"))[0]["id"]
        yield payouts


async def balance(payouts: Payouts) -> int:
    return (await payouts.get("/v1/accounts"))["data"][0]["balanceInCents"]


@pytest.mark.parametrize("name", ["x-api-key", "user-principal-id"])
async def test_both_headers_are_needed(payouts: Payouts, name: str) -> None:
    headers = {k: v for k, v in payouts.headers.items() if k != name}
    answer = await payouts.http.get("/v1/banks", headers=headers)
    assert answer.status_code == 401
    assert answer.json()["meta"]["trace_id"]


async def test_a_batch_is_paid_and_read(payouts: Payouts) -> None:
    before = await balance(payouts)
    answer = await payouts.post("/v1/payouts", payouts.batch())
    assert answer.status_code == 201
    told = answer.json()
    assert (told["code"], told["message"]) == ("OK", "Solicitud ejecutada correctamente.")
    made = told["data"]
    assert (made["transactions"], made["success"], made["failed"]) == (1, 1, 0)
    read = (await payouts.get(f"/v1/payouts/{made['payoutId']}"))["data"]
    assert (read["status"], read["amountInCents"]) == ("TOTAL_PAYMENT", 1_000_000)
    lines = (await payouts.get(f"/v1/payouts/{made['payoutId']}/transactions"))["data"]
    (line,) = lines["records"]
    assert (line["status"], line["reference"], line["payeeInfo"]["bank"]) == (
        "APPROVED",
        "line-1",
        "BANCOLOMBIA",
    )
    one = (await payouts.get(f"/v1/payouts/{made['payoutId']}/transactions/{line['id']}"))["data"]
    assert one["payout"]["id"] == made["payoutId"]
    found = (await payouts.get("/v1/transactions/nomina-7"))["data"]
    assert [r["id"] for r in found["records"]] == [line["id"]]
    listed = (await payouts.get("/v1/payouts", status="TOTAL_PAYMENT,PENDING"))["data"]
    assert (listed["total"], listed["records"][0]["id"]) == (1, made["payoutId"])
    assert (await payouts.get("/v1/payouts", status="REJECTED"))["data"]["records"] == []
    assert await balance(payouts) == before - 1_000_000


async def test_what_failed_is_given_back(payouts: Payouts) -> None:
    before = await balance(payouts)
    made = await payouts.post("/v1/payouts", payouts.batch(transactionStatus="FAILED"))
    read = (await payouts.get(f"/v1/payouts/{made.json()['data']['payoutId']}"))["data"]
    assert read["status"] == "REJECTED"
    assert await balance(payouts) == before


@pytest.mark.parametrize(("version", "code"), [("v1", "EXC_022"), ("v2", "EXC_032")])
async def test_a_key_is_good_once_a_day(
    payouts: Payouts, sandbox: Sandbox, version: str, code: str
) -> None:
    path = f"/{version}/payouts"
    assert (await payouts.post(path, payouts.batch())).status_code == 201
    for _ in range(2):
        again = await payouts.post(path, payouts.batch(reference="otra"))
        assert (again.status_code, again.json()["code"]) == (409, code)
    sandbox.advance(86_401)
    assert (await payouts.post(path, payouts.batch())).status_code == 201


async def test_of_parallel_batches_with_one_key_exactly_one_is_made(
    payouts: Payouts, sandbox: Sandbox
) -> None:
    statuses: list[int] = []

    async def pay() -> None:
        statuses.append((await payouts.post("/v1/payouts", payouts.batch())).status_code)

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(pay)
    assert sorted(statuses) == [201] + [409] * 7
    assert len(sandbox.payouts) == 1


@pytest.mark.parametrize("key", ["", "no spaces", "x" * 65, "ñ"])
async def test_a_key_that_is_none_is_refused(payouts: Payouts, key: str) -> None:
    headers = {**payouts.headers, **({"idempotency-key": key.encode()} if key else {})}
    answer = await payouts.http.post("/v1/payouts", headers=headers, json=payouts.batch())
    assert answer.status_code == 400
    assert isinstance(answer.json()["message"], list)


async def test_a_refused_batch_leaves_its_key_and_the_money(payouts: Payouts) -> None:
    before = await balance(payouts)
    line = {**payouts.batch()["transactions"][0], "amount": before + 1}
    answer = await payouts.post("/v1/payouts", payouts.batch(line))
    assert (answer.status_code, answer.json()["code"]) == (400, "EXC_008")
    assert answer.json()["message"] == "Saldo insuficiente para procesar el lote."
    assert await balance(payouts) == before
    assert (await payouts.post("/v1/payouts", payouts.batch())).status_code == 201


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"amount": 0}, "amount"),
        ({"amount": 1.5}, "amount"),
        ({"accountNumber": "000000"}, "accountNumber"),
        ({"accountNumber": "12345"}, "accountNumber"),
        ({"accountType": "AHORRO"}, "accountType"),
        ({"bankId": "1007"}, "bankId"),
        ({"bankId": ["x"]}, "bankId"),
        ({"legalIdType": "PA"}, "legalIdType"),
        ({"legalId": 7}, "legalId"),
        ({"name": ""}, "name"),
        ({"email": "nobody"}, "email"),
        ({"email": 7}, "email"),
        ({"key": "@elias123"}, "key should not exist"),
    ],
)
async def test_every_problem_of_a_line_is_told(
    payouts: Payouts, changed: dict[str, Any], told: str
) -> None:
    line = {**payouts.batch()["transactions"][0], **changed}
    answer = await payouts.post("/v1/payouts", payouts.batch(line))
    assert answer.status_code == 400
    assert f"transactions.0.{told}" in answer.json()["message"][0]


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"reference": 7}, 400),
        ({"paymentType": "GIFT"}, 400),
        ({"transactionStatus": "MAYBE"}, 400),
        ({"transactions": []}, 400),
        ({"transactions": ["x"]}, 400),
        ({"recurring": {"interval": "month", "months": 3}}, 400),
        ({"dispersionDatetime": "2001-01-01T10:00"}, 400),
        ({"dispersionDatetime": "mañana"}, 400),
        ({"accountId": "x"}, 404),
    ],
)
async def test_a_batch_that_is_none_is_refused(
    payouts: Payouts, changed: dict[str, Any], status: int
) -> None:
    answer = await payouts.post("/v1/payouts", payouts.batch(**changed))
    assert answer.status_code == status


async def test_a_scheduled_batch_waits_for_its_day(payouts: Payouts, sandbox: Sandbox) -> None:
    day = datetime.fromtimestamp(sandbox.state.now(), BOGOTA) + timedelta(days=2)
    body = payouts.batch(dispersionDatetime=day.strftime("%Y-%m-%dT%H:%M"))
    made = (await payouts.post("/v1/payouts", body)).json()["data"]["payoutId"]
    for _ in range(2):
        assert (await payouts.get(f"/v1/payouts/{made}"))["data"]["status"] == "PENDING"
    sandbox.advance(2 * 86_400)
    assert (await payouts.get(f"/v1/payouts/{made}"))["data"]["status"] == "TOTAL_PAYMENT"


async def test_an_account_is_recharged(payouts: Payouts) -> None:
    before = await balance(payouts)
    body = {"accountId": payouts.account, "amountInCents": 10_000}
    answer = await payouts.post("/v1/accounts/balance-recharge", body)
    assert answer.json()[0]["balanceInCents"] == before + 10_000
    for wrong in (9_999, 5_000_000_001, "10000"):
        answer = await payouts.post(
            "/v1/accounts/balance-recharge", {**body, "amountInCents": wrong}
        )
        assert answer.status_code == 400
    assert await balance(payouts) == before + 10_000


async def test_a_day_has_limits(payouts: Payouts, sandbox: Sandbox) -> None:
    await payouts.post("/v1/payouts", payouts.batch())
    told = await payouts.get("/v1/limits")
    assert told["limits"]["dailyConsumed"] == 1_000_000
    sandbox.balance_in_cents = 10**12
    line = {**payouts.batch()["transactions"][0], "amount": told["limits"]["dailyAvailable"] + 1}
    answer = await payouts.post("/v1/payouts", payouts.batch(line), "k-2")
    assert (answer.status_code, answer.json()["code"]) == (400, "LIMIT_EXCEEDED")


async def test_events_of_payouts_have_their_own_shape(payouts: Payouts, sandbox: Sandbox) -> None:
    made = (await payouts.post("/v1/payouts", payouts.batch())).json()["data"]["payoutId"]
    await payouts.get(f"/v1/payouts/{made}")
    line, batch = (orjson.loads(d.body) for d in sandbox.deliveries)
    assert (line["event"], batch["event"]) == ("transaction.updated", "payout.updated")
    assert line["data"]["transaction"]["payoutId"] == batch["data"]["payout"]["id"] == made
    assert "environment" not in line
    assert line["sentAt"].endswith("Z")
    assert len(str(line["timestamp"])) == 13
    told = line["data"]["transaction"]
    written = f"{told['id']}APPROVED1000000{line['timestamp']}{sandbox.keys.payouts_events}"
    assert line["signature"]["checksum"] == hashlib.sha256(written.encode()).hexdigest()


async def test_any_success_takes_an_event_of_payouts(
    payouts: Payouts, sandbox: Sandbox, receiver: Receiver
) -> None:
    sandbox.change(auto_deliver=False, payouts_webhook_url=receiver.url)
    receiver.status = 204
    made = (await payouts.post("/v1/payouts", payouts.batch())).json()["data"]["payoutId"]
    sandbox.decide(made, "APPROVED")
    assert await sandbox.deliver() == 2
    assert [d.outcome for d in sandbox.deliveries] == ["delivered"] * 2
    with pytest.raises(ValueError, match="pending payout"):
        sandbox.decide(made, "FAILED")


# -- Bre-B -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("@elias123", "ALPHANUMERIC"),
        ("ecolon@wompi.com", "MAIL"),
        ("3001234567", "PHONE"),
        ("1020304050", "IDENTIFICATION"),
        ("900123456", "IDENTIFICATION"),
    ],
)
async def test_a_key_leads_to_a_masked_holder(payouts: Payouts, key: str, kind: str) -> None:
    for query in ({}, {"keyType": kind}):
        path = f"/v2/breb/keys/resolve/{key.replace('@', '%40')}"
        told = (await payouts.get(path, **query))["data"]
        assert (told["keyType"], told["financialEntity"]["name"]) == (kind, "BANCOLOMBIA")
        assert "***" in told["holderName"]
        assert key not in told["keyValue"]


@pytest.mark.parametrize(
    ("key", "query", "status", "code"),
    [
        ("noexiste@test.com", {}, 404, "EXC_034"),
        ("otra@test.com", {}, 404, "EXC_034"),
        ("12345", {}, 400, "EXC_033"),
        ("a b", {}, 400, "EXC_033"),
        ("@elias123", {"keyType": "PHONE"}, 400, "EXC_033"),
        ("3001234567", {"keyType": "IDENTIFICATION"}, 404, "EXC_034"),
        ("inactiva@test.com", {}, 400, "EXC_035"),
        ("timeout@test.com", {}, 503, "EXC_036"),
        ("error@test.com", {}, 503, "EXC_037"),
        ("@elias123", {"keyType": "PASSPORT"}, 400, "VALIDATION_ERROR"),
    ],
)
async def test_a_key_that_leads_nowhere_says_why(
    payouts: Payouts, key: str, query: dict[str, str], status: int, code: str
) -> None:
    path = f"/v2/breb/keys/resolve/{key}"
    answer = await payouts.http.get(path, headers=payouts.headers, params=query)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_keys_and_accounts_are_paid_in_one_batch(
    payouts: Payouts, served: Served, sandbox: Sandbox
) -> None:
    lost = {**BREB, "key": "noexiste@test.com"}
    body = payouts.batch(payouts.batch()["transactions"][0], BREB, lost)
    answer = await payouts.post("/v2/payouts", body)
    assert answer.status_code == 201, answer.text
    made = answer.json()["data"]["payoutId"]
    assert (await payouts.get(f"/v2/payouts/{made}"))["data"]["status"] == "PARTIAL_PAYMENT"
    lines = (await payouts.get(f"/v2/payouts/{made}/transactions"))["data"]["records"]
    control = {"authorization": f"Bearer {sandbox.control_token}"}
    told = (await payouts.http.get(f"{served.control_url}/payouts", headers=control)).json()
    assert [line["status"] for line in told["payouts"][0]["transactions"]] == [
        line["status"] for line in lines
    ]
    assert told["balance_in_cents"] == sandbox.balance_in_cents
    assert [line["status"] for line in lines] == ["APPROVED", "APPROVED", "FAILED"]
    assert lines[1]["payeeInfo"]["keyType"] == "ALPHANUMERIC"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"bankId": "x"}, "bankId"),
        ({"key": " "}, "key"),
        ({"legalId": "1"}, "legalId"),
        ({"email": "nobody"}, "email"),
    ],
)
async def test_a_line_with_a_key_names_no_account(
    payouts: Payouts, changed: dict[str, Any], told: str
) -> None:
    answer = await payouts.post("/v2/payouts", payouts.batch({**BREB, **changed}))
    assert answer.status_code == 400
    assert told in answer.json()["message"][0]
    bare = {k: v for k, v in BREB.items() if k != "email"}
    answer = await payouts.post("/v2/payouts", payouts.batch(bare))
    assert "email" in answer.json()["message"][0]
