"""The payer's page over the whole HTTP server: what is shown, accepted, refused, and done once."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from tests.support.shop import ANA, Shop, order, shop

from tause_mcp import times
from tause_mcp.testing.walk import in_process
from tause_mcp.testing.wompi import Sandbox

pytestmark = pytest.mark.anyio

COMPLETE = {
    "bank_code": "1",
    "person_type": "natural",
    "full_name": "Ana Pérez",
    "document_type": "CC",
    "document": "1020304050",
    "phone": "+57 300 123 4567",
}
TICKS = {"terms": "yes", "personal": "yes"}
BARE = {"method": "pse", "customer": {"email": "ana@example.com"}}


@dataclass(frozen=True, slots=True)
class Payer:
    """A browser at the pay page."""

    shop: Shop
    http: httpx2.AsyncClient

    async def bill(self, order_id: str = "o-1", **told: Any) -> str:
        """The path of a payment that waits for its payer."""
        made = await self.shop.call("payments_create", order(order_id, **told))
        return httpx2.URL(made["pay_url"]).path

    async def get(self, path: str, **headers: str) -> httpx2.Response:
        return await self.http.get(path, headers=headers)

    async def form(self, path: str) -> str:
        """The sealed state of the form."""
        return sealed((await self.get(path)).text)

    async def send(self, path: str, **fields: str) -> httpx2.Response:
        return await self.http.post(path, data=fields, headers={"user-agent": "Pocket 1.0"})

    async def pay(self, path: str, **fields: str) -> httpx2.Response:
        return await self.send(path, form=await self.form(path), **TICKS, **fields)

    async def status(self, order_id: str = "o-1") -> str:
        told = await self.shop.house.call("payments_get", {"order_id": order_id}, "acme")
        return str(told["status"])


def sealed(html: str) -> str:
    found = re.search(r'name="form" value="([^"]+)"', html)
    assert found, html
    return found[1]


@pytest.fixture
async def payer(tmp_path: Path) -> AsyncIterator[Payer]:
    sandbox = Sandbox(resolve_after="polls:1,PSE=manual,NEQUI=manual,BANCOLOMBIA_QR=manual")
    async with shop(tmp_path / "home", sandbox) as opened:
        async with in_process(opened.house.platform) as http:
            yield Payer(opened, http)


# --- what is shown ----------------------------------------------------------------------------------


async def test_it_shows_the_bill_both_terms_and_what_is_missing(payer: Payer) -> None:
    path = await payer.bill(**BARE, description="<script>alert(1)</script> & más")
    shown = await payer.get(path)
    html = shown.text
    assert shown.status_code == 200 and '<html lang="es">' in html
    for text in ("Tienda de prueba", "$ 24.900", "o-1", "&lt;script&gt;", "Modo de pruebas"):
        assert text in html
    assert "<script" not in html
    assert html.count('target="_blank" rel="noopener noreferrer"') == 2
    assert html.count('type="checkbox"') == 2 and "checked" not in html
    asked = re.findall(r'(?:input|select) id="(\w+)"', html)
    assert asked == ["bank_code", "person_type", "full_name", "document_type", "document", "phone"]
    assert "Banco que aprueba" in html
    policy = shown.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "form-action 'self'" in policy
    assert shown.headers["cache-control"] == "no-store"
    assert shown.headers["referrer-policy"] == "same-origin"


async def test_only_what_is_missing_is_asked(payer: Payer) -> None:
    html = (await payer.get(await payer.bill())).text
    assert not re.findall(r'(?:input|select) id="(\w+)"', html)
    nequi = await payer.bill("o-2", method="nequi", customer={"email": "ana@example.com"})
    assert re.findall(r'input id="(\w+)"', (await payer.get(nequi)).text) == ["phone"]


@pytest.mark.parametrize(
    ("accepts", "lang"),
    [("", "es"), ("en", "en"), ("en-US,en;q=0.9", "en"), ("fr", "es"), ("es;q=0.5,en;q=0.4", "es")],
)
async def test_it_speaks_the_payers_language(payer: Payer, accepts: str, lang: str) -> None:
    shown = await payer.get(await payer.bill(), **{"accept-language": accepts})
    assert f'<html lang="{lang}">' in shown.text


# --- accepting --------------------------------------------------------------------------------------


async def test_an_accepted_payment_goes_to_the_bank_and_comes_back_by_the_ledger(
    payer: Payer,
) -> None:
    path = await payer.bill(**BARE)
    sent = await payer.pay(path, **COMPLETE)
    assert sent.status_code == 303 and sent.headers["location"].startswith(f"{path}?go=")
    onward = await payer.get(sent.headers["location"])
    bank = re.search(r'http-equiv="refresh" content="0;url=([^"]+)"', onward.text)
    assert bank and bank[1].startswith(payer.shop.served.url)
    again = (await payer.get(sent.headers["location"])).text
    assert 'content="0;url' not in again and "Ir al banco" in again, "it goes on by itself once"
    lied = await payer.get(f"{path}?id=1-2-3&status=APPROVED&env=prod")
    assert "pendiente" in lied.text
    (made,) = payer.shop.sandbox.transactions
    payer.shop.sandbox.decide(made.id, "APPROVED")
    await payer.shop.call("payments_reconcile", {"id": path.rpartition(".")[2]})
    paid = (await payer.get(f"{path}?id={made.id}")).text
    assert "Pago aprobado" in paid and made.reference in paid and made.id in paid


async def test_the_acceptance_is_kept_with_where_it_came_from_and_audited_without(
    payer: Payer,
) -> None:
    path = await payer.bill(**BARE)
    await payer.pay(path, **COMPLETE)
    platform = payer.shop.house.platform
    trail = await payer.shop.house.call("audit_search", {"limit": 100}, "acme")
    (line,) = [one for one in trail["items"] if one["action"] == "payments_accept"]
    assert line["actor"] == f"payer:{path.rpartition('.')[2]}"
    assert "Pocket" not in str(trail) and "1020304050" not in str(trail)
    from tause_mcp.services.payments import ledger
    from tause_mcp.tenancy import TenantId

    bound = platform.binding(
        payer.shop.house.caller("acme"), platform.catalog.tools["payments_get"]
    )
    assert bound.tenant == TenantId("acme")
    books = ledger(bound)
    kept = await books.opened(await books.row(path.rpartition(".")[2]))
    assert kept.acceptance and "Pocket 1.0" in kept.acceptance["evidence"]
    assert kept.customer.document == "1020304050" and kept.customer.phone == "3001234567"
    assert kept.method and kept.method.bank_code == "1"


@pytest.mark.parametrize(
    ("changed", "name", "told"),
    [
        ({"phone": "12"}, "phone", "empiezan por 3"),
        ({"bank_code": "99"}, "bank_code", "Elija su banco"),
        ({"bank_code": ""}, "bank_code", "Elija su banco"),
        ({"document": "x"}, "document", "no puede ser"),
        ({"document_type": ""}, "document_type", "tipo de documento"),
        ({"full_name": "A"}, "full_name", "2 a 100"),
        ({"full_name": "Ana 4242 4242 4242 4242"}, "full_name", "número de una tarjeta"),
        ({"person_type": "robot"}, "person_type", "tipo de persona"),
        ({"terms": "no"}, "terms", "hay que aceptarlo"),
        ({"personal": ""}, "personal", "hay que aceptarla"),
    ],
)
async def test_what_is_wrong_is_told_beside_its_field_and_what_was_typed_stays(
    payer: Payer, changed: dict[str, str], name: str, told: str
) -> None:
    path = await payer.bill(**BARE)
    form = await payer.form(path)
    sent = await payer.send(path, **{"form": form, **TICKS, **COMPLETE, **changed})
    assert sent.status_code == 422
    beside = re.search(rf'id="{name}-wrong">([^<]*)<', sent.text)
    assert beside and told in beside[1]
    if "full_name" not in changed:
        assert 'value="Ana Pérez"' in sent.text
    assert "checked" not in sent.text, "what is accepted is never ticked for the payer"
    assert await payer.status() == "awaiting_payer" and not payer.shop.sandbox.attempts


async def test_however_often_it_is_sent_it_is_one_transaction(payer: Payer) -> None:
    path = await payer.bill(**BARE)
    forms = [await payer.form(path) for _ in range(4)]
    answers: list[int] = []

    async def send(form: str) -> None:
        answers.append((await payer.send(path, form=form, **TICKS, **COMPLETE)).status_code)

    async with anyio.create_task_group() as tasks:
        for form in (*forms, *forms):
            tasks.start_soon(send, form)
    assert answers == [303] * 8
    assert list(payer.shop.sandbox.attempts.values()) == [1]
    late = await payer.send(path, form=forms[0], **TICKS, **COMPLETE)
    assert late.status_code == 303 and late.headers["location"].startswith(f"{path}?go=")


async def test_a_form_that_is_old_forged_or_another_bills_is_shown_anew(
    payer: Payer, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, other = await payer.bill(**BARE), await payer.bill("o-2", **BARE)
    theirs = await payer.form(other)
    old = await payer.form(path)
    real = times.now
    for form, late in (("", 0), ("x" * 50, 0), (theirs, 0), (old, 31 * 60)):
        monkeypatch.setattr(times, "now", lambda late=late: real() + late * times.SECOND)
        sent = await payer.send(path, form=form, **TICKS, **COMPLETE)
        assert sent.status_code == 422 and "acepte de nuevo" in sent.text
        assert 'value="Ana Pérez"' in sent.text and sealed(sent.text) != form
    assert await payer.status() == "awaiting_payer" and not payer.shop.sandbox.attempts


async def test_another_sites_form_is_refused(payer: Payer) -> None:
    path = await payer.bill(**BARE)
    fields = {"form": await payer.form(path), **TICKS, **COMPLETE}
    for origin in ("https://evil.example", "null"):
        sent = await payer.http.post(path, data=fields, headers={"origin": origin})
        assert sent.status_code == 403
    assert await payer.status() == "awaiting_payer"


@pytest.mark.parametrize("content", [b"{}", b"form=%ff&terms=yes", b"x" * 20_000])
async def test_what_is_no_form_changes_nothing(payer: Payer, content: bytes) -> None:
    path = await payer.bill(**BARE)
    kind = "application/json" if content == b"{}" else "application/x-www-form-urlencoded"
    sent = await payer.http.post(path, content=content, headers={"content-type": kind})
    assert sent.status_code == 422
    assert await payer.status() == "awaiting_payer"


async def test_when_wompi_is_away_nothing_was_charged_and_it_can_be_tried_again(
    payer: Payer,
) -> None:
    path = await payer.bill()
    form = await payer.form(path)
    payer.shop.sandbox.fail("GET /merchants/*", "503", times=20)
    sent = await payer.send(path, form=form, **TICKS)
    assert sent.status_code == 503 and "No se ha cobrado nada" in sent.text
    assert await payer.status() == "awaiting_payer" and not payer.shop.sandbox.attempts


# --- states -----------------------------------------------------------------------------------------


async def test_nequi_and_the_qr_code_say_what_to_do(payer: Payer) -> None:
    nequi = await payer.bill(method={"type": "nequi", "phone": "3991111111"})
    shown = await payer.get((await payer.pay(nequi)).headers["location"])
    assert "Abra su app Nequi" in shown.text and 'http-equiv="refresh" content="3"' in shown.text
    code = await payer.bill("o-2", method="bancolombia_qr")
    await payer.pay(code)
    await payer.shop.call("payments_reconcile", {"id": code.rpartition(".")[2]})
    shown = await payer.get(code)
    assert (
        '<img class="qr" alt="Código QR para pagar" src="data:image/svg+xml;base64,' in shown.text
    )
    assert shown.headers["content-security-policy"].endswith("img-src data:")


async def test_a_declined_payment_says_what_to_do(payer: Payer) -> None:
    token = await payer.shop.token("4111111111111111")
    path = await payer.bill(method={"type": "card", "token": token})
    await payer.pay(path)
    await payer.shop.call("payments_reconcile", {"id": path.rpartition(".")[2]})
    shown = (await payer.get(path)).text
    assert "Pago rechazado" in shown and "Pida al comercio un enlace nuevo" in shown
    assert "<form" not in shown


async def test_what_ran_out_is_over(payer: Payer, monkeypatch: pytest.MonkeyPatch) -> None:
    path = await payer.bill()
    form = await payer.form(path)
    real = times.now
    monkeypatch.setattr(times, "now", lambda: real() + 25 * 3600 * times.SECOND)
    assert "Este enlace venció" in (await payer.get(path)).text
    assert (await payer.send(path, form=form, **TICKS)).status_code == 303
    assert not payer.shop.sandbox.attempts


async def test_the_checkout_is_a_way_on_to_wompi(payer: Payer) -> None:
    shown = (await payer.get(await payer.bill(method="checkout"))).text
    assert "Ir a pagar en Wompi" in shown and "<form" not in shown
    assert f'href="{payer.shop.served.checkout_url}' in shown.replace("&amp;", "&")


async def test_a_source_is_saved_after_its_payer_agrees(payer: Payer) -> None:
    told = {"type": "card", "token": await payer.shop.token(), "customer": ANA}
    made = await payer.shop.call("payments_save_source", told)
    path = httpx2.URL(made["pay_url"]).path
    html = (await payer.get(path)).text
    assert "Aceptar y guardar" in html and "cobros futuros" in html
    await payer.pay(path)
    assert "Medio de pago guardado" in (await payer.get(path)).text


async def test_reloads_ask_wompi_once_in_a_while(payer: Payer) -> None:
    path = await payer.bill()
    await payer.pay(path)
    asked: list[int] = []
    operations = payer.shop.house.platform.pipeline
    real = operations.run

    async def counting(operation: Any, call: Any) -> Any:
        asked.append(operation.name == "payments_reconcile" and call.door == "pay")
        return await real(operation, call)

    object.__setattr__(operations, "run", counting)
    for _ in range(12):
        await payer.get(path)
    assert 1 <= sum(asked) <= 4, "once in four seconds, however long this took"


# --- what is not there ------------------------------------------------------------------------------


async def test_unknown_foreign_malformed_suspended_and_unconfigured_look_the_same(
    payer: Payer,
) -> None:
    path = await payer.bill()
    id_ = path.rpartition(".")[2]
    foreign = await payer.shop.call("payments_create", order(), "globex")
    await payer.shop.house.call("tenants_suspend", {"tenant_id": "globex"})
    absent = [
        f"/pay/acme.pay_{'0' * 32}",
        f"/pay/acme.{foreign['id']}",
        f"/pay/globex.{foreign['id']}",
        f"/pay/nobody.{id_}",
        f"/pay/ACME.{id_}",
        f"/pay/acme.{id_[:-1]}",
        f"/pay/acme.{id_}x",
        f"/pay/{id_}",
        "/pay/x",
        "/pay/%00",
        "/pay/..%2e",
    ]
    shown = [await payer.get(one) for one in absent]
    shown += [await payer.send(one, form="x", **TICKS) for one in absent]
    assert {one.status_code for one in shown} == {404}
    assert len({one.content for one in shown}) == 1
    assert len({str(sorted(one.headers.items())) for one in shown}) == 1
