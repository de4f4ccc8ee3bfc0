"""`/approvals/{id}`: a person signs in with a key, sees what will happen, and answers.

The sign-in lives ten minutes in a sealed cookie bound to this one approval; the key itself is kept
nowhere. What the key may do is read anew for every answer, so that a revoked key answers nothing.
"""

import secrets
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from tause_mcp import log, times
from tause_mcp.auth import Identities
from tause_mcp.capability import Route
from tause_mcp.database import TenantDatabase
from tause_mcp.errors import Conflict, Invalid, NotFound, TauseError, Unauthenticated
from tause_mcp.routes import _approval_page as text
from tause_mcp.routes import _page as html
from tause_mcp.routes._form import form_of
from tause_mcp.sealing import Seal
from tause_mcp.services.approvals import ANSWERS, Approvals, Means, Record, tenant_of
from tause_mcp.tenancy import Caller, Scopes, TenantId

COOKIE = "tause_approval"
SECONDS = 600


class House(Protocol):
    """What the page needs of the platform."""

    @property
    def seal(self) -> Seal: ...

    @property
    def identities(self) -> Identities: ...

    @property
    def public_url(self) -> str: ...

    def database_of(self, tenant: TenantId) -> TenantDatabase: ...

    def approvals_of(self, database: TenantDatabase) -> Approvals: ...

    async def verify(self, token: str, door_tenant: TenantId | None = None) -> Caller: ...

    async def answer(
        self, approval_id: str, approve: bool, by: Caller | str, means: Means
    ) -> Record: ...


@dataclass(frozen=True, slots=True)
class Session:
    """A person signed in to one approval: the key they hold, and a nonce for the form."""

    home: TenantId
    key_id: str
    nonce: str
    until: int

    def sealed(self, seal: Seal, approval_id: str) -> str:
        told = [self.home, self.key_id, self.nonce, self.until]
        return seal.close(told, "approval-session", approval_id)

    def csrf(self, seal: Seal, approval_id: str) -> str:
        return seal.close(self.nonce, "approval-form", approval_id)


def opened(seal: Seal, cookie: str | None, approval_id: str) -> Session | None:
    """The session that a cookie holds, unless it is forged, another approval's or over."""
    try:
        session = Session(*seal.open(cookie or "", "approval-session", approval_id))
    except Invalid:
        return None
    return session if session.until > times.now() else None


class ApprovalPage:
    """The ASGI endpoint."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        try:
            response = await self._respond(request)
        except TauseError as error:
            words = _words(request)
            response = _html(html.page(words, html.note(str(error))), error.status)
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        approval_id = request.path_params["id"]
        session = opened(self._house.seal, request.cookies.get(COOKIE), approval_id)
        caller = await self._caller(session, approval_id) if session else None
        if request.method == "POST":
            form = await form_of(request)
            if "answer" not in form:
                return await self._sign_in(request, approval_id, form.get("key", ""))
            return await self._answer(request, approval_id, session, caller, form)
        if session is None or caller is None:
            return _asked_to_sign_in(request)
        return await self._shown(request, approval_id, session, caller)

    async def _sign_in(self, request: Request, approval_id: str, key: str) -> Response:
        """A cookie and back to the page; the same refusal whatever does not fit."""
        tenant = tenant_of(approval_id)
        try:
            holder = await self._house.verify(key.strip())
            home, key_id = holder.tenant, holder.credential
            made = Session(home, key_id, secrets.token_urlsafe(18), _end(holder))
        except Unauthenticated:
            return _asked_to_sign_in(request, "refused", 403)
        by_key = holder.issuer == "local" and holder.subject == f"key:{key_id}"
        if tenant is None or not by_key or await self._caller(made, approval_id) is None:
            log.security.warning("approval_sign_in_refused", tenant=home, subject=holder.subject)
            return _asked_to_sign_in(request, "refused", 403)
        response = RedirectResponse(request.url.path, 303, dict(html.HEADERS))
        response.set_cookie(
            COOKIE,
            made.sealed(self._house.seal, approval_id),
            max_age=SECONDS,
            path=request.url.path,
            secure=self._house.public_url.startswith("https://"),
            httponly=True,
            samesite="strict",
        )
        return response

    async def _caller(self, session: Session, approval_id: str) -> Caller | None:
        """Who the session's key stands for now, in the approval's tenant; None without the scope."""
        tenant = tenant_of(approval_id)
        identities = self._house.identities
        record = await identities.key(session.home, session.key_id)
        alive = await identities.active_since(session.home)
        if tenant is None or record is None or record.revoked or alive is None:
            return None
        if record.expires_at is not None and record.expires_at * times.SECOND <= times.now():
            return None
        subject = f"key:{session.key_id}"
        grants = await identities.grants_of(session.home, "local", subject)
        key = Caller(
            subject=subject,
            tenant=session.home,
            scopes=Scopes(record.scopes),
            credential=session.key_id,
            expires_at=record.expires_at,
            grants=grants,
        )
        try:
            caller = key.acting_for(tenant)
        except NotFound:
            return None
        return caller if caller.scopes.allow(ANSWERS) else None

    async def _answer(
        self,
        request: Request,
        approval_id: str,
        session: Session | None,
        caller: Caller | None,
        form: dict[str, str],
    ) -> Response:
        if session is None or caller is None or not self._from_form(session, approval_id, form):
            return _asked_to_sign_in(request, "again", 403)
        if form["answer"] not in ("approve", "deny"):
            raise Invalid("an answer is approve or deny", field="answer")
        try:
            await self._house.answer(approval_id, form["answer"] == "approve", caller, "page")
        except Conflict:
            return await self._shown(request, approval_id, session, caller, late=True)
        return RedirectResponse(request.url.path, 303, dict(html.HEADERS))

    def _from_form(self, session: Session, approval_id: str, form: dict[str, str]) -> bool:
        """Whether the answer comes from the form that this session was shown."""
        given = form.get("csrf", "")
        return secrets.compare_digest(
            given.encode(), session.csrf(self._house.seal, approval_id).encode()
        )

    async def _shown(
        self,
        request: Request,
        approval_id: str,
        session: Session,
        caller: Caller,
        *,
        late: bool = False,
    ) -> Response:
        words = _words(request)
        try:
            record = await self._house.approvals_of(self._house.database_of(caller.tenant)).get(
                approval_id
            )
        except NotFound:
            return _html(html.page(words, html.note(words["absent"])), 404)
        told = {
            "tool": record.tool,
            "caller": record.subject,
            "tenant": caller.tenant,
            "expires": f"{record.expires[:16].replace('T', ' ')} UTC",
            "as": caller.subject,
        }
        if record.amount is not None:
            told["amount"] = f"{record.amount} {record.currency or ''}"
        pending = record.status == "pending"
        csrf = session.csrf(self._house.seal, approval_id)
        end = text.answers(words, csrf) if pending else html.note(words[record.status])
        start = html.note(words["late"]) if late else ""
        shown = (start, text.summary(words, record.summary), text.facts(words, told), end)
        return _html(html.page(words, *shown), 409 if late else 200)


def _end(holder: Caller) -> int:
    """When the session ends, in epoch microseconds: never after its key."""
    end = times.now() + SECONDS * times.SECOND
    if holder.expires_at is None:
        return end
    return min(end, int(holder.expires_at * times.SECOND))


def _words(request: Request) -> Any:
    return text.words_for(request.headers.get("accept-language", ""))


def _html(text: str, status: int) -> HTMLResponse:
    return HTMLResponse(text, status, dict(html.HEADERS))


def _asked_to_sign_in(request: Request, why: str | None = None, status: int = 200) -> Response:
    words = _words(request)
    start = html.note(words[why]) if why else ""
    return _html(html.page(words, start, text.sign_in(words)), status)


answer_approval = Route(
    fn=ApprovalPage, path="/approvals/{id}", methods=("GET", "POST"), tool="approvals_get"
)
