"""The ASGI application: its doors, and who may come through them at all."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tause_mcp.testing.wompi import (
    checkout,
    control,
    links,
    merchants,
    otp,
    pages,
    payout_lists,
    payouts,
    sources,
    tokens,
    transactions,
)
from tause_mcp.testing.wompi.config import PRODUCTION
from tause_mcp.testing.wompi.errors import Refused, error, foreign_key, not_found
from tause_mcp.testing.wompi.exchange import Answer, Ask, refused, told
from tause_mcp.testing.wompi.faults import App, Faulty, Receive, Scope, Send
from tause_mcp.testing.wompi.store import State
from tause_mcp.testing.wompi.webhooks import send_due, settled

Handler = Callable[[State, Ask], Answer]

_API: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/merchants/{public_key}", merchants.merchant),
    ("GET", "/pse/financial_institutions", merchants.institutions),
    ("POST", "/tokens/cards", tokens.card),
    ("POST", "/tokens/nequi", tokens.nequi),
    ("POST", "/tokens/daviplata", tokens.daviplata),
    ("POST", "/tokens/bancolombia_transfer", tokens.bancolombia),
    ("GET", "/tokens/{kind}/{id}", tokens.one),
    ("POST", "/transactions", transactions.create),
    ("GET", "/transactions", transactions.several),
    ("GET", "/transactions/{id}", transactions.one),
    ("POST", "/transactions/{id}/void", transactions.void),
    ("POST", "/payment_sources", sources.create),
    ("GET", "/payment_sources/{id}", sources.one),
    ("PUT", "/payment_sources/{id}/void", sources.void),
    ("POST", "/payment_links", links.create),
    ("GET", "/payment_links/{id}", links.one),
    ("PATCH", "/payment_links/{id}", links.change),
)

_PAYOUTS: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/banks", payouts.banks),
    ("GET", "/accounts", payouts.accounts),
    ("POST", "/accounts/balance-recharge", payouts.recharge),
    ("GET", "/limits", payouts.limits),
    ("GET", "/health", payout_lists.health),
    ("POST", "/payouts", payouts.create),
    ("GET", "/payouts", payout_lists.several),
    ("GET", "/payouts/{id}", payout_lists.one),
    ("GET", "/payouts/{id}/transactions", payout_lists.lines),
    ("GET", "/payouts/{id}/transactions/{transaction}", payout_lists.line),
    ("GET", "/transactions/{reference}", payout_lists.by_reference),
)

_SANDBOX: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/authorize/{id}", pages.authorize),
    ("POST", "/authorize/{id}", pages.chosen),
    ("GET", "/result/{id}", pages.result),
    ("GET", "/terms/{name}", pages.terms),
    ("POST", "/otp/{id}/send", otp.send),
    ("POST", "/otp/{id}/validate", otp.validate),
    ("GET", "/checkout/p/", checkout.order_page),
    ("POST", "/checkout/p/", checkout.order_paid),
    ("GET", "/checkout/l/{id}", checkout.link_page),
    ("POST", "/checkout/l/{id}", checkout.link_paid),
    ("POST", "/reset", control.reset),
    ("POST", "/advance", control.advance),
    ("POST", "/set-status", control.set_status),
    ("GET", "/transactions", control.transactions),
    ("GET", "/payouts", control.batches),
    ("GET", "/faults", control.faults),
    ("POST", "/faults", control.faults),
    ("DELETE", "/faults", control.faults),
    ("GET", "/config", control.configuration),
    ("POST", "/config", control.configuration),
    ("GET", "/deliveries", control.deliveries),
    ("POST", "/emit", control.emit),
    ("GET", "/keys", control.keys),
)

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_BODY = "tause.body"


def application(state: State) -> App:
    """Every door, behind the checks that all of them share."""
    routes = [_route(state, m, f"/v1{path}", fn) for m, path, fn in _API]
    for version in ("v1", "v2"):
        start = f"/payouts/{version}"
        routes += [_route(state, m, start + p, fn, version=version) for m, p, fn in _PAYOUTS]
    resolve = "/payouts/v2/breb/keys/resolve/{key}"
    routes.append(_route(state, "GET", resolve, payout_lists.resolve))
    routes += [_route(state, m, f"/_sandbox{path}", fn) for m, path, fn in _SANDBOX]
    routes.append(Route("/_sandbox/deliver", _deliver(state), methods=["POST"]))
    unknown = {404: _unknown, 405: _unknown}
    inner = Starlette(routes=routes, exception_handlers=unknown)
    return Guarded(Faulty(inner, state.faults), state)


async def _unknown(request: Request, problem: Exception) -> Response:
    return _response(refused(not_found()))


def _route(state: State, method: str, path: str, fn: Handler, **fixed: str) -> Route:
    async def endpoint(request: Request) -> Response:
        if state.config.latency and path.startswith(("/v1", "/payouts")):
            await asyncio.sleep(state.config.latency)
        return _response(_handled(state, fn, _ask(request, fixed)))

    return Route(path, endpoint, methods=[method])


def _deliver(state: State) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        """POST /_sandbox/deliver: send what is due; answers when it was."""
        refusal = _handled(state, _held, _ask(request, {}))
        if refusal.status == 200:
            await send_due(state)
            await settled(state)
        return _response(refusal)

    return endpoint


def _held(state: State, ask: Ask) -> Answer:
    control.allowed(state, ask)
    state.outbox.release()
    return told({"delivered": True})


def _handled(state: State, fn: Handler, ask: Ask) -> Answer:
    """One operation, whole, under the lock."""
    with state.lock:
        control.settle(state)
        try:
            return fn(state, ask)
        except Refused as refusal:
            return refused(refusal)


def _ask(request: Request, fixed: dict[str, str]) -> Ask:
    base = request.base_url
    return Ask(
        method=request.method,
        path=request.url.path,
        root=f"{base.scheme}://{base.netloc}",
        params={**request.path_params, **fixed},
        query=dict(request.query_params),
        headers={name.lower(): value for name, value in request.headers.items()},
        body=request.scope[_BODY],
    )


def _response(answer: Answer) -> Response:
    return Response(answer.body, answer.status, dict(answer.headers))


class Guarded:
    """The outermost layer: loopback names only, small bodies, and no production key anywhere."""

    def __init__(self, app: App, state: State) -> None:
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            _refuse_foreign_host(scope)
            scope[_BODY] = await self._read(receive)
            _refuse_production(scope)
        except Refused as refusal:
            await _say(send, refusal)
        except ConnectionAbortedError:
            return
        else:
            await self._app(scope, receive, send)

    async def _read(self, receive: Receive) -> bytes:
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ConnectionAbortedError
            body += message.get("body", b"")
            if len(body) > self._state.config.body_limit:
                raise error(413, "INPUT_VALIDATION_ERROR", "(Sandbox) the body is too large")
            if not message.get("more_body"):
                return bytes(body)


def _header(scope: Scope, name: bytes) -> str:
    found: list[str] = [v.decode("latin-1") for n, v in scope["headers"] if n.lower() == name]
    return ",".join(found)


def _refuse_foreign_host(scope: Scope) -> None:
    """A page on another host must reach nothing here, whatever name it gave this address."""
    host = _header(scope, b"host").lower()
    name, colon, port = host.rpartition(":")
    if colon and not host.endswith("]") and port.isascii() and port.isdigit():
        host = name
    if host not in _LOOPBACK:
        raise error(421, "SANDBOX_HOST", "(Sandbox) only 127.0.0.1, localhost and [::1]")


def _refuse_production(scope: Scope) -> None:
    sent: list[Any] = [scope["path"], scope["query_string"].decode("latin-1")]
    sent += [value.decode("latin-1") for _, value in scope["headers"]]
    sent.append(scope[_BODY].decode("utf-8", "replace"))
    for text in sent:
        if key := PRODUCTION.search(text):
            raise foreign_key(key.group())


async def _say(send: Send, refusal: Refused) -> None:
    body = orjson.dumps(refusal.body)
    headers = [
        (b"content-type", b"application/json; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
