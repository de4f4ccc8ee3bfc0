"""Probes at what is no tool: doors, sealed state, sessions, links, routes, credentials."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from tause_mcp.testing.walk_ground import Ground, Probe
from tause_mcp.testing.walk_spellings import SPELLINGS
from tause_mcp.testing.walk_stage import ELICITS
from tause_mcp.testing.walk_wire import LEGACY, Answer, Speaker


def doors(ground: Ground) -> Iterator[Probe]:
    """A's own door, its name written in every way."""
    methods = ("tools/list", "resources/list", "resources/templates/list", "prompts/list")
    asked: list[tuple[str, dict[str, Any]]] = [(m, {}) for m in (*methods, "server/discover")]
    asked.append(("tools/call", {"name": "access_whoami", "arguments": {}}))
    for tenant in (ground.a.tenant, ground.child):
        for method, params in asked:
            yield Probe("door", method, tenant, partial(_at_door, method, params, str))
        for spelling, spell in SPELLINGS.items():
            send = partial(_at_door, "tools/list", {}, spell)
            yield Probe("door", f"tools/list {spelling}", tenant, send)


async def _at_door(method: str, params: Any, spell: Any, speaker: Speaker, value: str) -> Answer:
    return await replace(speaker, door=f"/t/{spell(value)}/mcp").ask(method, params)


def sealed(ground: Ground) -> Iterator[Probe]:
    """A's sealed state, brought back with somebody else's yes."""
    for name, arguments, state in ground.a.sealed:
        for tool, told in ((name, arguments), ("access_whoami", {})):
            send = partial(_answered, tool, told)
            yield Probe("sealed state", f"{name} to {tool}", state, send, writes=True)


async def _answered(name: str, arguments: Any, speaker: Speaker, value: str) -> Answer:
    yes = {"action": "accept", "content": {"approve": True}}
    params = {
        "name": name,
        "arguments": arguments,
        "inputResponses": {"approval": yes},
        "requestState": value,
    }
    return await speaker.ask("tools/call", params, capabilities=ELICITS)


def sessions(ground: Ground) -> Iterator[Probe]:
    """A's session of an older revision."""
    session = ground.a.session
    if session is None or not session.session:
        return
    for method in ("tools/list", "resources/list", "ping"):
        yield Probe("session", method, session.session, partial(_in_session, method))
    for verb in ("GET", "DELETE"):
        yield Probe("session", verb, session.session, partial(_session_verb, verb), writes=True)


async def _in_session(method: str, speaker: Speaker, value: str) -> Answer:
    return await replace(speaker, era=LEGACY, session=value).ask(method)


async def _session_verb(verb: str, speaker: Speaker, value: str) -> Answer:
    headers = {
        "mcp-session-id": value,
        "mcp-protocol-version": LEGACY,
        "accept": "application/json, text/event-stream",
    }
    return await speaker.send(verb, speaker.door, headers)


_TAMPERED: Mapping[str, Callable[[str], str]] = {
    **{name: SPELLINGS[name] for name in ("upper", "cut", "slash", "dots", "like any", "quote")},
    "flipped": lambda text: text[:-30] + ("A" if text[-30] != "A" else "B") + text[-29:],
    "longer": lambda text: f"{text}AAAA",
    "reversed": lambda text: text[: text.rindex("/") + 1] + text[text.rindex("/") + 1 :][::-1],
    "head": lambda text: text[: text.rindex("/") + 9],
}
"""A link in its own words is a login for whoever was given it; anything but its own words is not."""


def links(ground: Ground) -> Iterator[Probe]:
    for link in ground.a.links:
        for spelling, spell in _TAMPERED.items():
            for verb in ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"):
                send = partial(_fetch, verb, spell)
                yield Probe("link", f"{verb} {spelling}", link, send, verb not in ("GET", "HEAD"))


async def _fetch(verb: str, spell: Any, speaker: Speaker, value: str) -> Answer:
    headers = {"tus-resumable": "1.0.0", "upload-offset": "0", "upload-length": "1"}
    return await speaker.send(verb, spell(value), headers, b"x" if verb[0] == "P" else None)


_DOCUMENTS = ("/.well-known/oauth-protected-resource/t/{tenant}/mcp", "/metrics", "/readyz")


def routes(ground: Ground) -> Iterator[Probe]:
    """Every declared HTTP route, its parameters filled with A's names."""
    declared = [(r.path, r.methods) for r in ground.catalog.routes]
    links = set(ground.a.links)
    for path, methods in (*declared, *((p, ("GET",)) for p in _DOCUMENTS)):
        for handle in ground.handles:
            if handle.value in links or "{" not in path:
                continue
            for verb in methods:
                for form in _FORMS if verb == "POST" else ("",):
                    send = partial(_route, verb, path, form)
                    writes = verb not in ("GET", "HEAD")
                    yield Probe("route", f"{verb} {path} {form[12:]}", handle.value, send, writes)


_FORMS = ("key={token}", "key={token}&answer=approve")
_FORM = {"content-type": "application/x-www-form-urlencoded"}


async def _route(verb: str, path: str, form: str, speaker: Speaker, value: str) -> Answer:
    start, _, rest = path.partition("{")
    full = f"{start}{value.replace('/', '%2F')}{rest.partition('}')[2]}"
    if verb != "POST":
        return await speaker.send(verb, full)
    return await speaker.send(verb, full, _FORM, form.format(token=speaker.token).encode())


_BILL = re.compile(r"(pay|src)_[0-9a-f]{32}")


def bills(ground: Ground) -> Iterator[Probe]:
    """A's bills at the payer's page, under the caller's own name: a link is its whole words."""
    for handle in ground.a.handles.found.values():
        if _BILL.fullmatch(handle.value):
            for verb in ("GET", "POST"):
                path = f"/pay/{ground.b.tenant}.{{id}}"
                send = partial(_route, verb, path, "terms=yes&personal=yes")
                yield Probe("bill", f"{verb} own", handle.value, send, writes=verb == "POST")


def credentials(ground: Ground) -> Iterator[Probe]:
    """A's tenant and key id with a secret that is not theirs, and the caller's under A's name."""
    for handle in ground.a.handles.named("id")[:20]:
        yield Probe("credential", "their id, own secret", handle.value, partial(_mixed, ground))


async def _mixed(ground: Ground, speaker: Speaker, value: str) -> Answer:
    secret = speaker.token.rpartition(".")[2][:43].ljust(43, "x")
    token = f"tk_{ground.a.tenant}.{value}.{secret}"
    answer = await replace(speaker, token=token).ask("tools/list")
    return replace(answer, sent=f"{answer.sent}\n{value}\n{ground.a.tenant}")
