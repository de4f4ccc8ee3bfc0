"""The deployment under proof: its server over HTTP, and the same house opened beside it."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

import httpx2

from tause_mcp.errors import Misconfigured
from tause_mcp.platform import Platform, last_served, open_platform
from tause_mcp.settings import Settings
from tause_mcp.tenancy import ROOT, TenantId
from tause_mcp.testing.walk_cast import run

_START_SECONDS = 60.0
_SETTINGS = ("TAUSE_", "MCP_")


@dataclass(frozen=True, slots=True)
class Deployment:
    """A running server, and its house opened here."""

    platform: Platform
    url: str
    started: bool
    """By us: nobody served."""

    @property
    def embedded(self) -> bool:
        return self.platform.database.dialect == "sqlite"

    def connection(self, *, limit: int = 100) -> httpx2.AsyncClient:
        """A client with connections of its own: behind a balancer, perhaps at another replica."""
        limits = httpx2.Limits(max_connections=limit, max_keepalive_connections=limit)
        return httpx2.AsyncClient(base_url=self.url, timeout=30, trust_env=False, limits=limits)


@asynccontextmanager
async def opened(settings: Settings, url: str = "") -> AsyncIterator[Deployment]:
    """The deployment at `url`; without one, where this home was served last, started if need be.

    Raises:
        Misconfigured: nothing answers there, or another installation does.
    """
    wanted = (url or settings.public_url or last_served(settings)).rstrip("/")
    if url or await _answers(wanted):
        async with open_platform(settings, public_url=wanted) as platform:
            await _ours(platform, wanted)
            yield Deployment(platform, wanted, started=False)
        return
    async with served(settings) as own:
        told = settings.model_copy(update={"public_url": own})
        async with open_platform(told) as platform:
            yield Deployment(platform, own, started=True)


async def _answers(url: str) -> bool:
    try:
        async with httpx2.AsyncClient(timeout=5, trust_env=False) as http:
            return (await http.get(f"{url}/healthz")).status_code == 200
    except httpx2.HTTPError:
        return False


async def _ours(platform: Platform, url: str) -> None:
    """The server signs with the key of this home: it is the same installation."""
    try:
        async with httpx2.AsyncClient(timeout=10, trust_env=False) as http:
            answer = await http.get(f"{url}/.well-known/jwks.json")
            theirs = {key["kid"] for key in answer.json()["keys"]}
    except (httpx2.HTTPError, ValueError, KeyError, TypeError):
        raise Misconfigured("--url: no server of this kind answers there") from None
    if platform.verifier.keyring.kid not in theirs:
        raise Misconfigured(
            "the server there is another installation: run prove with the TAUSE_HOME and the "
            "settings that it is served with"
        )


@asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[str]:
    """A server process of this installation on a free port; its URL. Stopped at the end."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with keeping_url(settings):
        process = spawned(settings, port, TAUSE_PUBLIC_URL=url)
        try:
            await ready(process, url)
            yield url
        finally:
            await ended(process, signal.SIGTERM)


@contextmanager
def keeping_url(settings: Settings) -> Iterator[None]:
    """Where the home was served last stays what it was."""
    path = settings.at_home("url")
    before = path.read_text() if path.exists() else None
    try:
        yield
    finally:
        path.unlink(missing_ok=True) if before is None else path.write_text(before)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def spawned(
    settings: Settings, port: int, *, alone: bool = False, **changes: str
) -> "subprocess.Popen[bytes]":
    """`tause-mcp serve` with this environment and `changes`; `alone`: with no setting but those."""
    kept = {k: v for k, v in os.environ.items() if not (alone and k.startswith(_SETTINGS))}
    environ = {**kept, "TAUSE_HOME": str(settings.at_home("")), **changes}
    environ.setdefault("TAUSE_LOG_LEVEL", "error")
    serve = ("serve", "--transport", "http", "--port", str(port))
    return subprocess.Popen(  # noqa: S603  # ourselves
        [sys.executable, "-m", "tause_mcp", *serve],
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


async def ready(process: "subprocess.Popen[bytes]", url: str) -> None:
    """Wait until the server says so."""
    until = monotonic() + _START_SECONDS
    async with httpx2.AsyncClient(timeout=5, trust_env=False) as http:
        while process.poll() is None and monotonic() < until:
            with suppress(httpx2.HTTPError):
                if (await http.get(f"{url}/readyz")).status_code == 200:
                    return
            await asyncio.sleep(0.05)
    raise Misconfigured("the server does not start: see what `tause-mcp serve` says")


async def ended(process: "subprocess.Popen[bytes]", how: signal.Signals) -> None:
    """End a process of ours."""
    if process.poll() is None:
        process.send_signal(how)
        try:
            await asyncio.to_thread(process.wait, 20)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)


@asynccontextmanager
async def tenant(platform: Platform, name: str) -> AsyncIterator[tuple[TenantId, str]]:
    """A tenant that is thrown away, and a key of its owner."""
    made = TenantId(name)
    await run(platform, ROOT, "tenants_create", {"tenant_id": made})
    try:
        key = await run(platform, made, "access_create_key", {"role": "owner", "name": "prove"})
        yield made, key["key"]
    finally:
        await run(platform, ROOT, "tenants_delete", {"tenant_id": made})


async def tenants(platform: Platform, above: TenantId) -> AsyncIterator[TenantId]:
    """Every tenant below `above`, page by page."""
    page: dict[str, Any] = {"limit": 100}
    while True:
        listed = await run(platform, above, "tenants_list", page)
        for item in listed["items"]:
            if item["tenant_id"] != above:
                yield TenantId(item["tenant_id"])
        if "next_cursor" not in listed:
            return
        page["cursor"] = listed["next_cursor"]


@asynccontextmanager
async def throwaway_home() -> AsyncIterator[Settings]:
    """An empty embedded home, with none of this installation's settings but its plugins."""
    with TemporaryDirectory(prefix="tause-prove-", ignore_cleanup_errors=True) as folder:
        yield Settings.read({"TAUSE_HOME": str(Path(folder) / "home")})
