"""`/pay/{tenant}.{id}`: a payer reads what is to be paid, accepts both terms, and pays, once.

The link is its own login: whoever was given it may read and pay that one bill, and nothing else. What
the query string says on the way back from a bank is not read: the page shows what the ledger knows.
"""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from tause_mcp import times
from tause_mcp.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    QuotaExceeded,
    RateLimited,
    TauseError,
    Unauthenticated,
    Unconfigured,
)
from tause_mcp.pipeline import Crash
from tause_mcp.routes import _page as frame
from tause_mcp.routes import _pay_page as html
from tause_mcp.routes._form import form_of
from tause_mcp.routes._pay_doors import Asked, Operations, Visit, payer
from tause_mcp.routes._pay_words import words_for
from tause_mcp.services.colombia.money import format_cents
from tause_mcp.services.payments import Payment, SavedSource, Terms

FORM_SECONDS = 30 * 60
"""How long a form may stay open before the terms are shown anew."""
LOOK_SECONDS = 4
"""Reloads of a page ask the provider once in so many seconds."""
_ABSENT = (NotFound, Unconfigured, Forbidden, Unauthenticated)
_BUSY = (RateLimited, QuotaExceeded)
_PATIENCE = ((60, 3), (600, 10), (3600, 60))
"""Until so many seconds after a change, a waiting page looks again every so many."""

Kept = Payment | SavedSource


@dataclass(frozen=True, slots=True)
class Sent:
    """What a payer sent with a form, and what is wrong with it."""

    typed: Mapping[str, str]
    wrong: Mapping[str, str]
    note: str = ""
    status: int = 422


class PayPage:
    """The ASGI endpoint."""

    def __init__(self, platform: Any) -> None:
        self._platform = platform
        self._operations = Operations(platform)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        words = words_for(request.headers.get("accept-language", ""))
        try:
            response = await self._respond(request, words)
        except ClientDisconnect:
            return
        except (TauseError, Crash) as error:
            response = _failed(words, error)
        await response(scope, receive, send)

    async def _respond(self, request: Request, words: html.Words) -> Response:
        visit = payer(self._platform, self._operations, request.path_params["id"])
        if visit is None:
            raise NotFound("no such link")
        kept = await visit.run(self._operations.show)
        if request.method == "POST":
            return await self._sent(request, words, visit, kept)
        stale = False
        if _open(kept):
            back = "back" if "id" in request.query_params else "here"
            kept, stale = await self._looked(visit, kept, back)
        return await self._shown(request, words, visit, kept, stale=stale)

    # the form -------------------------------------------------------------------------------------

    async def _sent(
        self, request: Request, words: html.Words, visit: Visit, kept: Kept
    ) -> Response:
        """The payer's answer. Whatever was done already is not done again."""
        if not _waits(kept):
            return _back(request)
        form = await form_of(request, 16)
        terms = self._terms(request, form.get("form", ""))
        typed = {name: form.get(name, "").strip() for name in html.FIELDS}
        if terms is None:
            return await self._form(request, words, visit, kept, Sent(typed, {}, words["stale"]))
        missing = [name for name in ("terms", "personal") if form.get(name) != "yes"]
        if missing:
            wrong = {name: words[f"wrong_{name}"] for name in missing}
            return await self._form(request, words, visit, kept, Sent(typed, wrong, words["check"]))
        return await self._accepted(request, words, visit, kept, terms, typed)

    async def _accepted(
        self,
        request: Request,
        words: html.Words,
        visit: Visit,
        kept: Kept,
        terms: Terms,
        typed: dict[str, str],
    ) -> Response:
        given = {name: text for name, text in _tidy(typed).items() if text}
        try:
            await visit.run(
                self._operations.accept,
                policy_url=terms.policy_url,
                personal_data_url=terms.personal_data_url,
                evidence=_evidence(request),
                **given,
            )
        except Invalid as error:
            name, text = _named(words, error)
            sent = Sent(typed, {name: text}, words["check"])
            return await self._form(request, words, visit, kept, sent)
        except Conflict:  # the terms are others now, or it is too late: the page says which
            kept = await visit.run(self._operations.show)
            if not _waits(kept):
                return _back(request)
            sent = Sent(typed, {}, words["stale"], 409)
            return await self._form(request, words, visit, kept, sent)
        return _back(request)

    async def _form(
        self, request: Request, words: html.Words, visit: Visit, kept: Kept, sent: Sent
    ) -> Response:
        asked: Asked = await visit.run(self._operations.ask)
        until = times.now() + FORM_SECONDS * times.SECOND
        told = [asked.terms.policy_url, asked.terms.personal_data_url, until]
        sealed = self._platform.seal.close(told, "pay-form", request.path_params["id"])
        head, submit = _heads(words, kept, asked.merchant)
        shown = html.form(
            words,
            sealed=sealed,
            terms=asked.terms,
            asked=[name for name in html.FIELDS if name in asked.lacking],
            banks=asked.banks,
            submit=submit,
            typed=sent.typed,
            wrong=sent.wrong,
        )
        start = frame.note(sent.note) if sent.note else ""
        return _html(frame.page(words, start, head, shown), sent.status)

    def _terms(self, request: Request, sealed: str) -> Terms | None:
        """What the form showed, unless it is another link's, forged or too old."""
        try:
            policy, personal, until = self._platform.seal.open(
                sealed, "pay-form", request.path_params["id"]
            )
        except Invalid:
            return None
        return Terms(policy, personal) if until > times.now() else None

    # states ---------------------------------------------------------------------------------------

    async def _looked(self, visit: Visit, kept: Kept, place: str) -> tuple[Kept, bool]:
        """What the ledger knows after it asked the provider, and whether it could not be asked.
        Whoever seems to be `back` from a bank is no reload of whoever waited `here`."""
        now = time.time()
        slot = int(now // LOOK_SECONDS)
        name = f"pay-look/{visit.caller.tenant}/{visit.id}/{place}/{slot}"
        try:
            until = (slot + 1) * LOOK_SECONDS
            if not await self._platform.shared_state.once.spend(name, issued=now, until=until):
                return kept, False
            await visit.run(self._operations.reconcile)
        except (TauseError, Crash):
            return kept, True
        return await visit.run(self._operations.show), False

    async def _shown(
        self, request: Request, words: html.Words, visit: Visit, kept: Kept, *, stale: bool
    ) -> Response:
        if _waits(kept) and not _is_checkout(kept):
            return await self._form(request, words, visit, kept, Sent({}, {}, status=200))
        head, _ = _heads(words, kept)
        start = frame.note(words["old_news"]) if stale else ""
        if _waits(kept):
            assert isinstance(kept, Payment), "only payments have a checkout"
            on = html.going(words, kept.checkout_url or "", "checkout_now", "to_checkout")
            return _html(frame.page(words, start, head, on))
        if kept.status in ("processing", "pending"):
            return await self._waiting(request, words, visit, kept, start + head)
        status = _ended(kept)
        told = html.kept(kept) if isinstance(kept, Payment) else {}
        return _html(frame.page(words, start, head, html.final(words, status, told)))

    async def _waiting(
        self, request: Request, words: html.Words, visit: Visit, kept: Kept, head: str
    ) -> Response:
        """Where the payer goes on, or a page that looks again by itself."""
        url = kept.redirect_url if isinstance(kept, Payment) else None
        if url and await self._first(request):
            on = html.going(words, url, "going", "to_bank")
            return _html(frame.page(words, head, on, head=html.refresh(0, url)))
        told = html.state(words, kept.status) + await self._way_on(words, visit, kept, url)
        seconds = _patience(kept)
        by_itself = html.refresh(seconds, "") if seconds else ""
        end = f'<p class="small">{words["wait"]}</p>' if seconds else html.again(words)
        return _html(frame.page(words, head, told, end, head=by_itself), images=True)

    async def _way_on(self, words: html.Words, visit: Visit, kept: Kept, url: str | None) -> str:
        if url:
            return html.going(words, url, "bank", "to_bank")
        if kept.status == "pending" and _method(kept) == "nequi":
            return f"<p>{words['nequi_now']}</p>"
        if kept.status == "pending" and _method(kept) == "bancolombia_qr":
            try:
                return html.qr(words, await visit.run(self._operations.qr))
            except TauseError:
                return ""
        return ""

    async def _first(self, request: Request) -> bool:
        """Whether the payer has just sent the form: they go on by themselves once, and whoever comes
        back stays."""
        token = request.query_params.get("go", "")
        if not 8 <= len(token) <= 40:
            return False
        now = time.time()
        name = f"pay-go/{request.path_params['id']}/{token}"
        try:
            return bool(
                await self._platform.shared_state.once.spend(name, issued=now, until=now + 86_400)
            )
        except TauseError:
            return False


# --- what a bill is ---------------------------------------------------------------------------------


def _waits(kept: Kept) -> bool:
    """Whether the payer's acceptance is still awaited."""
    return kept.status == "awaiting_payer" and _ended(kept) != "expired"


def _open(kept: Kept) -> bool:
    """Whether the provider may know more than the ledger."""
    return kept.status in ("processing", "pending") or (_waits(kept) and _is_checkout(kept))


def _ended(kept: Kept) -> str:
    """Its status; what ran out and was not swept yet is expired."""
    over = kept.expires_at is not None and kept.expires_at <= times.now()
    if kept.status == "awaiting_payer" and over and not _is_checkout(kept):
        return "expired"
    return "removed" if kept.status == "removing" else kept.status


def _is_checkout(kept: Kept) -> bool:
    return isinstance(kept, Payment) and kept.method == "checkout"


def _method(kept: Kept) -> str:
    return kept.method if isinstance(kept, Payment) else kept.type


def _patience(kept: Kept) -> int:
    age = (times.now() - kept.updated_at) / times.SECOND
    return next((every for until, every in _PATIENCE if age < until), 0)


def _heads(words: html.Words, kept: Kept, merchant: str = "") -> tuple[str, str]:
    """The bill, and what the button says."""
    if isinstance(kept, SavedSource):
        return html.keeping(words, kept, merchant), words["save"]
    amount = format_cents(kept.amount)
    return html.bill(words, kept, merchant), words["pay"].format(amount=amount)


# --- what comes and goes ----------------------------------------------------------------------------


def _tidy(typed: Mapping[str, str]) -> dict[str, str]:
    """What people write around a number is no part of it."""
    told = dict(typed)
    phone = "".join(c for c in told.get("phone", "") if c not in " -.()+")
    told["phone"] = phone[2:] if len(phone) == 12 and phone.startswith("57") else phone
    return told


def _named(words: html.Words, error: Invalid) -> tuple[str, str]:
    """The field of the form that an error is about, and what to say beside it."""
    at = str(error).partition(":")[0].rpartition(".")[2]
    name = next((n for n in (at, error.field or "") if n in html.FIELDS), html.FIELDS[0])
    if "card's number" in str(error):
        return name, words["wrong_card"]
    return name, words.get(f"wrong_{name}", words["wrong"])


def _evidence(request: Request) -> str:
    """Where an acceptance came from: the peer, or whom a proxy that is trusted names."""
    host = request.client.host if request.client else "unknown"
    agent = "".join(c for c in request.headers.get("user-agent", "") if c.isprintable())
    return f"{host} {agent}"[:400]


def _html(text: str, status: int = 200, *, images: bool = False) -> HTMLResponse:
    return HTMLResponse(text, status, dict(frame.WITH_IMAGES if images else frame.HEADERS))


def _back(request: Request) -> Response:
    """To the page itself, where reloading sends nothing again, and from there on to the bank."""
    url = f"{request.url.path}?go={secrets.token_urlsafe(12)}"
    return RedirectResponse(url, 303, dict(frame.HEADERS))


def _failed(words: html.Words, error: TauseError | Crash) -> Response:
    """A page for what went wrong. Whatever is not to be had here looks the same."""
    if isinstance(error, _ABSENT):
        return _html(html.absent(words), 404)
    if isinstance(error, Crash):
        return _html(frame.page(words, frame.note(words["broken"]), html.again(words)), 500)
    busy = isinstance(error, _BUSY)
    status = error.status if busy or isinstance(error, Invalid) else 503
    told = words["busy"] if busy else words["down"]
    shown = _html(frame.page(words, frame.note(told), html.again(words)), status)
    if error.retry_after is not None:
        shown.headers["retry-after"] = str(max(1, round(error.retry_after)))
    return shown
