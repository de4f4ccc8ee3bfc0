"""The page that answers an approval: only with the right key, only from its own form."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from tests.support.ciphers import approvals_of, ciphers
from tests.support.rows import make_file

from tause_mcp import times
from tause_mcp.auth.apikeys import matching, mint, parse
from tause_mcp.auth.identities import Refused
from tause_mcp.capability import Consent, Tool
from tause_mcp.database import Database, TenantDatabase, open_database
from tause_mcp.errors import NotFound, Unauthenticated
from tause_mcp.operation import compile_operation
from tause_mcp.pipeline import Invocation
from tause_mcp.routes.approvals import COOKIE, answer_approval
from tause_mcp.sealing import Seal
from tause_mcp.services.access import Access, StoredIdentities
from tause_mcp.services.approvals import ApprovalGate, Approvals, Means, Record, tenant_of
from tause_mcp.tenancy import ROLES, Caller, Scopes, TenantId

pytestmark = pytest.mark.anyio

PEPPER = b"p" * 32
A, AB, TOP = map(TenantId, ("ta", "tab", "top"))
WRONG = "tk_ta.0123456789abcdef." + "x" * 43


async def campaign(message: str) -> dict[str, str]:
    """Send to many."""
    return {}


SEND = compile_operation(Tool(campaign, "Send", "notifications:write"), "n", frozenset())


@dataclass
class House:
    """The platform, as the page sees it."""

    database: Database
    public_url: str = "https://house.example"
    seal: Seal = Seal(b"k" * 32)  # noqa: RUF009  # a frozen value

    def mint(self, tenant: TenantId) -> tuple[str, str, bytes]:
        made = mint(tenant, PEPPER)
        return made.id, made.text, made.digest

    def changed(self, tenant: TenantId, credential: str | None = None) -> None: ...

    async def active_since(self, tenant: TenantId) -> float | None:
        return 0.0

    @property
    def identities(self) -> StoredIdentities:
        return StoredIdentities(self.database, self)

    def database_of(self, tenant: TenantId) -> TenantDatabase:
        return TenantDatabase(self.database, tenant)

    async def verify(self, token: str, door_tenant: TenantId | None = None) -> Caller:
        try:
            tenant, id_ = parse(token)
            record = matching(token, await self.identities.key(tenant, id_), PEPPER)
        except Refused:
            raise Unauthenticated("no") from None
        if record.revoked:
            raise Unauthenticated("no")
        return Caller(f"key:{id_}", tenant, Scopes(record.scopes), credential=id_)

    async def answer(
        self, approval_id: str, approve: bool, by: Caller | str, means: Means
    ) -> Record:
        tenant = tenant_of(approval_id)
        if tenant is None:
            raise NotFound("no such approval")
        return await self.approvals_of(self.database_of(tenant)).answer(
            approval_id, approve, by, means
        )

    def approvals_of(self, database: TenantDatabase) -> Approvals:
        return approvals_of(database)

    # what a test does beside the page

    def access(self, tenant: TenantId) -> Access:
        async def above() -> tuple[TenantId, ...]:
            return (TOP,)

        owner = Caller("key:maker", tenant, Scopes(ROLES["owner"]))
        return Access(self.database_of(tenant), owner, self, above)

    async def key(self, tenant: TenantId = A, *scopes: str) -> str:
        made = await self.access(tenant).create_key(scopes=list(scopes) or ["approvals:admin"])
        return made.text

    async def pending(self, summary: str = "Send 900 mails", ttl: int = 60) -> str:
        async def ceiling(tenant: TenantId, currency: str) -> int | None:
            return None

        @dataclass
        class Ttl:
            approval_ttl: int = ttl

        gate = ApprovalGate(self.database, Ttl(), lambda t, i: i, ceiling, ciphers())
        caller = Caller("key:agent", A, Scopes(frozenset({"notifications:write"})))
        call = Invocation(caller, {"message": "hi"})
        return (await gate.settle(call, SEND, f"{summary} {ttl}", Consent(summary))).id

    async def status(self, approval_id: str) -> str:
        return (await approvals_of(self.database_of(A)).get(approval_id)).status


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_database(make_file(tmp_path / "rows.db")) as database:
        yield House(database)


@pytest.fixture
async def browser(house: House) -> AsyncIterator[httpx2.AsyncClient]:
    declared = answer_approval
    app = Starlette(
        routes=[Route(declared.path, declared.fn(house), methods=list(declared.methods))]
    )
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="https://house.example") as client:
        yield client


Browser = httpx2.AsyncClient


async def sign_in(browser: Browser, approval_id: str, key: str) -> httpx2.Response:
    return await browser.post(f"/approvals/{approval_id}", data={"key": key})


async def form(browser: Browser, approval_id: str, key: str) -> str:
    """Sign in; the token of the form that is shown."""
    assert (await sign_in(browser, approval_id, key)).status_code == 303
    shown = await browser.get(f"/approvals/{approval_id}")
    found = re.search(r'name="csrf" value="([^"]+)"', shown.text)
    assert found is not None
    return found[1]


async def answer(browser: Browser, approval_id: str, csrf: str, said: str = "approve") -> int:
    data = {"csrf": csrf, "answer": said}
    return (await browser.post(f"/approvals/{approval_id}", data=data)).status_code


# --- before anyone is signed in ----------------------------------------------------------------


async def test_unknown_foreign_expired_and_malformed_ids_look_the_same(
    house: House, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = await house.pending()
    expired = await house.pending(ttl=0)
    ids = [
        known,
        expired,
        known[:-1] + "_",
        "ap_tab." + "A" * 24,
        "ap_none." + "A" * 24,
        "x",
        "%00",
    ]
    asked = [await browser.get(f"/approvals/{i}") for i in ids]
    refused = [await sign_in(browser, i, await house.key(AB)) for i in ids]
    refused += [await sign_in(browser, i, WRONG) for i in ids]
    assert {(r.status_code, r.text) for r in asked} == {(200, asked[0].text)}
    foreign = [r for i, r in zip(ids * 2, refused, strict=True) if not i.startswith("ap_tab.")]
    assert {(r.status_code, r.text, "set-cookie" in r.headers) for r in foreign} == {
        (403, refused[0].text, False)
    }
    assert "Send 900" not in asked[0].text + refused[0].text


@pytest.mark.parametrize(
    "scopes", [["approvals:read"], ["*:read", "*:write"], ["access:admin"], ["approvals:write"]]
)
async def test_a_key_without_the_scope_does_not_sign_in(
    house: House, browser: Browser, scopes: list[str]
) -> None:
    id_ = await house.pending()
    refused = await sign_in(browser, id_, await house.key(A, *scopes))
    assert (refused.status_code, "set-cookie" in refused.headers) == (403, False)


async def test_a_wrong_key_is_never_shown_again(house: House, browser: Browser) -> None:
    refused = await sign_in(browser, await house.pending(), WRONG)
    assert WRONG not in refused.text


async def test_nobody_answers_without_signing_in(house: House, browser: Browser) -> None:
    id_ = await house.pending()
    csrf = await form(browser, id_, await house.key())
    browser.cookies.clear()
    assert await answer(browser, id_, csrf) == 403
    assert await house.status(id_) == "pending"


# --- signed in ------------------------------------------------------------------------------


async def test_an_answer_needs_the_token_of_this_sign_in(house: House, browser: Browser) -> None:
    id_, key = await house.pending(), await house.key()
    former = await form(browser, id_, key)
    browser.cookies.clear()
    await form(browser, id_, key)
    for forged in ("", "x", former, former[:-2] + "AA"):
        assert await answer(browser, id_, forged) == 403
    assert await house.status(id_) == "pending"


async def test_a_sign_in_opens_one_approval_only(house: House, browser: Browser) -> None:
    first = await house.pending()
    csrf = await form(browser, first, await house.key())
    cookie = browser.cookies[COOKIE]
    other = await house.pending("Something else")
    browser.cookies.set(COOKIE, cookie, domain="house.example", path="/approvals/" + other)
    assert "Something else" not in (await browser.get(f"/approvals/{other}")).text
    assert await answer(browser, other, csrf) == 403
    assert await house.status(other) == "pending"


async def test_a_forged_cookie_signs_nobody_in(house: House, browser: Browser) -> None:
    id_ = await house.pending()
    sealed = Seal(b"other" * 8).close(
        ["ta", "0" * 16, "n", times.now() + 10**9], "approval-session", id_
    )
    for forged in (sealed, "x", "....", "é".encode().hex()):
        browser.cookies.clear()
        browser.cookies.set(COOKIE, forged, domain="house.example")
        shown = await browser.get(f"/approvals/{id_}")
        assert 'name="key"' in shown.text


async def test_a_revoked_key_answers_nothing_though_signed_in(
    house: House, browser: Browser
) -> None:
    id_, key = await house.pending(), await house.key()
    csrf = await form(browser, id_, key)
    await house.access(A).revoke_key(parse(key)[1])
    assert await answer(browser, id_, csrf) == 403
    assert await house.status(id_) == "pending"


async def test_a_sign_in_ends_after_ten_minutes(
    house: House, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = await house.pending(ttl=3600)
    csrf = await form(browser, id_, await house.key())
    later = times.now() + 601 * times.SECOND
    monkeypatch.setattr(times, "now", lambda: later)
    assert await answer(browser, id_, csrf) == 403
    assert await house.status(id_) == "pending"


async def test_an_approval_is_answered_once_and_the_second_is_told(
    house: House, browser: Browser
) -> None:
    id_ = await house.pending()
    csrf = await form(browser, id_, await house.key())
    await house.answer(id_, False, "ana", "cli")
    assert await answer(browser, id_, csrf) == 409
    assert await house.status(id_) == "denied"


async def test_an_expired_approval_shows_no_buttons(
    house: House, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = await house.pending(ttl=0)
    assert (await sign_in(browser, id_, await house.key())).status_code == 303
    shown = await browser.get(f"/approvals/{id_}")
    assert "Expired" in shown.text
    assert "csrf" not in shown.text


@pytest.mark.parametrize("said", ["yes", "", "APPROVE"])
async def test_an_answer_is_one_of_two_words(house: House, browser: Browser, said: str) -> None:
    id_ = await house.pending()
    csrf = await form(browser, id_, await house.key())
    assert await answer(browser, id_, csrf, said) == 422
    assert await house.status(id_) == "pending"


async def test_a_body_that_is_not_the_form_is_refused(house: House, browser: Browser) -> None:
    path = f"/approvals/{await house.pending()}"
    assert (await browser.post(path, json={"key": "x"})).status_code == 422
    assert (await browser.post(path, data={"key": "x" * 20_000})).status_code == 422
    many = {f"f{n}": "x" for n in range(20)}
    assert (await browser.post(path, data=many)).status_code == 422
    assert (await browser.put(path)).status_code == 405


# --- what a person sees and does -----------------------------------------------------------


@pytest.mark.parametrize(("said", "status"), [("approve", "approved"), ("deny", "denied")])
async def test_a_person_signs_in_sees_what_will_happen_and_answers(
    house: House, browser: Browser, said: str, status: str
) -> None:
    id_, key = await house.pending(), await house.key()
    csrf = await form(browser, id_, key)
    shown = (await browser.get(f"/approvals/{id_}")).text
    assert all(t in shown for t in ("Send 900 mails", "campaign", "key:agent", "UTC"))
    assert await answer(browser, id_, csrf, said) == 303
    record = await approvals_of(house.database_of(A)).get(id_)
    assert (record.status, record.means) == (status, "page")
    assert record.answered_by == f"key:{parse(key)[1]}"
    assert "csrf" not in (await browser.get(f"/approvals/{id_}")).text


async def test_someone_above_answers_by_a_stored_grant(house: House, browser: Browser) -> None:
    id_, key = await house.pending(), await house.key(TOP)
    assert (await sign_in(browser, id_, key)).status_code == 403
    await house.access(A).assign_role(f"top/key:{parse(key)[1]}", "admin")
    assert await answer(browser, id_, await form(browser, id_, key)) == 303
    assert await house.status(id_) == "approved"


async def test_the_page_allows_nothing_from_elsewhere(house: House, browser: Browser) -> None:
    id_, key = await house.pending(), await house.key()
    signed = await sign_in(browser, id_, key)
    cookie = signed.headers["set-cookie"].lower()
    assert all(w in cookie for w in ("httponly", "samesite=strict", "secure", "max-age=600"))
    assert f"path=/approvals/{id_}".lower() in cookie
    assert key not in cookie
    for response in (signed, await browser.get(f"/approvals/{id_}")):
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert response.headers["cache-control"] == "no-store"
        assert "<script" not in response.text
        assert not re.search(r"(src|href)=", response.text)


async def test_markup_and_hidden_letters_are_written_out(house: House, browser: Browser) -> None:
    id_ = await house.pending("Send <b>1</b>\u202e000\u200b mails\nto all")
    await form(browser, id_, await house.key())
    shown = (await browser.get(f"/approvals/{id_}")).text
    assert "Send &lt;b&gt;1&lt;/b&gt;[U+202E]000[U+200B] mails\nto all" in shown


@pytest.mark.parametrize(
    ("wanted", "lang"),
    [("es-CO,es;q=0.9,en;q=0.8", "es"), ("fr, es;q=0.2, en;q=0.1", "es"), ("en", "en"),
     ("es;q=0", "en"), ("", "en"), ("es;q=x,,;;", "en"), ("de", "en")],
)  # fmt: skip
async def test_the_page_speaks_spanish_or_english(
    house: House, browser: Browser, wanted: str, lang: str
) -> None:
    shown = await browser.get("/approvals/x", headers={"accept-language": wanted})
    assert f'<html lang="{lang}">' in shown.text
