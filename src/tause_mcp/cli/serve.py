"""`tause-mcp serve`: stdio by default, HTTP or legacy SSE when asked."""

import asyncio
import gc
import json
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import click

from tause_mcp import log
from tause_mcp.cli import house
from tause_mcp.errors import Misconfigured, Unavailable
from tause_mcp.events import Event
from tause_mcp.platform import Platform, open_platform
from tause_mcp.server.identity import View
from tause_mcp.settings import Settings
from tause_mcp.telemetry.traces import tracing
from tause_mcp.tenancy import Caller, Scopes

_RECHECK = 3.0
"""Seconds between looks at the key and the tenant of a local session."""
_CHILD = "_TAUSE_SERVING"
"""How a worker process learns what its parent was asked; not a setting."""
_ALL = Scopes(frozenset({"*:*"}))


@click.command()
@click.option("--transport", type=click.Choice(["stdio", "http", "sse"]), default="stdio")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8765, show_default=True, type=click.IntRange(0, 65535))
@click.option("--tenant", default=None, help="The local person's tenant (stdio).")
@click.option("--role", default="agent", show_default=True, help="The local person's role (stdio).")
@click.option("--toolsets", default="", help="What is listed: names, comma separated, or `all`.")
@click.option("--read-only", is_flag=True, help="List only tools that read.")
@click.option("--protocol", type=click.Choice(["auto", "legacy"]), default="auto", help="(stdio)")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="(http)")
@click.option("--stateless", is_flag=True, help="No sessions for older revisions (http).")
@click.option("--allow-path", multiple=True, type=click.Path(), help="A folder for `path` (stdio).")
def serve(transport: str, toolsets: str, read_only: bool, **asked: Any) -> None:
    """Serve MCP."""
    names = tuple(n.strip() for n in toolsets.split(",") if n.strip()) or None
    if transport == "stdio":
        _stdio(View(names, read_only), asked)
    else:
        _http({"toolsets": names, "read_only": read_only, "sse": transport == "sse", **asked})


def _stdio(view: View, asked: dict[str, Any]) -> None:
    from tause_mcp.server.stdio import Protocol, reserved, serve_stdio

    settings = house.settings()
    stdout = reserved()

    async def whole() -> None:
        async with open_platform(settings) as platform:
            _refuse_unknown_toolsets(platform, view)
            platform.local_paths = _folders(asked["allow_path"])
            sit = partial(platform.local, asked["tenant"], asked["role"])
            person = Person(await sit())
            protocol = cast(Protocol, asked["protocol"])
            serving = serve_stdio(platform, person, view, protocol, stdout)
            with tracing(platform.catalog.named):
                await _while_held(platform, person, sit, serving)

    async def ended() -> None:
        try:
            await whole()
        except SessionOver as error:  # a thread still waits for stdin: nothing can wake it
            click.echo(f"tause-mcp: {error}", err=True)
            os._exit(1)

    asyncio.run(ended())


class SessionOver(Misconfigured):
    """The house was closed in order; the session's own reader cannot be."""


@dataclass
class Person:
    """Who sits at this session, as far as was last known."""

    caller: Caller

    def __call__(self) -> Caller:
        return self.caller


async def _while_held(
    platform: Platform,
    person: Person,
    sit: Callable[[], Awaitable[Caller]],
    serving: Coroutine[Any, Any, None],
) -> None:
    """A suspended or deleted tenant, and a revoked or expired `TAUSE_API_KEY`, end the session, as
    they do at every other door; and it may never do more than the key may now."""
    session = asyncio.create_task(serving)
    tenant = person.caller.tenant
    since = await platform.directory.active_since(tenant)
    changed = asyncio.Event()

    def hear(event: Event) -> None:
        if event.kind == "access":
            changed.set()

    platform.events.subscribe(tenant, hear)
    while True:
        waking = asyncio.create_task(changed.wait())
        ends = {session, waking}
        await asyncio.wait(ends, timeout=_RECHECK, return_when=asyncio.FIRST_COMPLETED)
        waking.cancel()
        changed.clear()
        if session.done():
            break
        try:
            person.caller = await sit()
            if await platform.directory.active_since(tenant) != since:
                raise Misconfigured(f"the tenant {tenant!r} of this session was closed")
        except Unavailable:  # nobody can tell now; neither can any call do anything
            continue
        except Misconfigured as error:
            session.cancel()
            raise SessionOver(str(error)) from None
    await session


def _folders(paths: tuple[str, ...]) -> tuple[Path, ...]:
    folders = tuple(Path(path).expanduser().resolve() for path in paths)
    for given, folder in zip(paths, folders, strict=True):
        if not given or not folder.is_dir():
            raise Misconfigured(f"--allow-path: {given!r} is not a folder")
    return folders


def _refuse_unknown_toolsets(platform: Platform, view: View) -> None:
    known = {*platform.catalog.toolsets, "all"}
    for name in view.toolsets or ():
        if name not in known:
            raise Misconfigured(
                f"--toolsets: no toolset {name!r}; there are {', '.join(sorted(known))}"
            )


def _http(asked: dict[str, Any]) -> None:
    settings = house.settings()
    asked["port"] = _open_port(asked["host"], asked["port"])
    asked["url"] = settings.public_url or f"http://{_shown_host(asked['host'])}:{asked['port']}"
    if asked["sse"] and asked["workers"] > 1:
        raise Misconfigured("--transport sse keeps its sessions in one process: use --workers 1")
    key = asyncio.run(_prepared(settings, asked))
    _greet(asked["url"], key, asked["sse"])
    if asked["workers"] == 1:
        _run(settings, asked)
        return
    with TemporaryDirectory(prefix="tause-counts-") as counts:
        _run(settings, {**asked, "counts": counts})


def _shown_host(host: str) -> str:
    if host in ("0.0.0.0", "::", ""):  # noqa: S104  # compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _open_port(host: str, port: int) -> int:
    """The port, or a free one for 0; refused before anything is made when it cannot be served."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family) as probe:
            return int(probe.getsockname()[1])
    except OSError as error:
        raise _not_served(host, port, error) from None


def _not_served(host: str, port: int, error: OSError) -> Misconfigured:
    told = os.strerror(error.errno) if error.errno else str(error)
    return Misconfigured(f"--host, --port: cannot serve on {host}:{port}: {told}")


async def _prepared(settings: Settings, asked: dict[str, Any]) -> str:
    """Migrate, make the first key, and refuse what cannot start, before any worker does."""
    opening = open_platform(settings, public_url=asked["url"], workers=asked["workers"])
    async with opening as platform:
        _refuse_unknown_toolsets(platform, View(asked["toolsets"]))
        settings.at_home("url").write_text(f"{asked['url']}\n")
        return str(await house.first_key(platform))


def _greet(url: str, key: str, sse: bool) -> None:
    door = f"{url}/sse" if sse else f"{url}/mcp"
    config = {
        "mcpServers": {"tause": {"url": door, "headers": {"Authorization": "Bearer <the key>"}}}
    }
    click.echo(f"TauseStack serves MCP at {door}")
    click.echo(f"The first key (tenant default, role owner) is in {key}")
    click.echo(f"Paste into a host, with the key in place:\n{json.dumps(config, indent=2)}")
    sys.stdout.flush()


def _run(settings: Settings, asked: dict[str, Any]) -> None:
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    from tause_mcp.server import accepting

    os.environ[_CHILD] = json.dumps({k: v for k, v in asked.items() if k not in _LOCAL})
    told: dict[str, Any] = {
        "factory": True,
        "host": asked["host"],
        "port": asked["port"],
        "workers": asked["workers"],
        "loop": "auto",
        "http": "httptools",
        "ws": "none",
        "access_log": False,
        "log_config": None,
        "server_header": False,
        "forwarded_allow_ips": settings.trusted_proxies,
        "timeout_graceful_shutdown": 10,
    }
    if asked["workers"] > 1 and accepting.SPREADS:
        try:
            port = accepting.reserved(asked["host"], asked["port"])
        except OSError as error:
            raise _not_served(asked["host"], asked["port"], error) from None
        config = uvicorn.Config(_WORKER, **told | {"loop": accepting.LOOP})
        Multiprocess(config, [port]).run()
    else:
        uvicorn.run(_WORKER, **told)


_WORKER = "tause_mcp.cli.serve:worker"
_LOCAL = ("tenant", "role", "protocol", "allow_path")


def worker() -> Any:
    """The application of one process."""
    from tause_mcp.server.app import Serving, application
    from tause_mcp.server.draining import end_with_parent

    asked = json.loads(os.environ[_CHILD])
    if asked["workers"] > 1:
        end_with_parent()
    settings = Settings.read()
    log.configure(settings.log_level)
    view = View(tuple(asked["toolsets"]) if asked["toolsets"] else None, asked["read_only"])
    stateless = asked["stateless"] or asked["workers"] > 1
    counts = Path(asked["counts"]) if "counts" in asked else None
    serving = Serving(stateless=stateless, sse=asked["sse"], view=view, counts=counts)
    return application(
        settings,
        serving,
        public_url=asked["url"],
        opened=partial(_settled, view),
        workers=asked["workers"],
    )


def _settled(view: View, platform: Platform) -> None:
    """Build what is listed, so that no list waits for it; another tool's first call waits 1 to 3 ms.

    What is loaded now stays: the collector need not walk it again (50 ms pauses at p99).
    """
    for operation in platform.catalog.listed(_ALL, view.toolsets, read_only=view.read_only):
        operation.build()
    gc.unfreeze()  # what the imports threw away goes too
    gc.collect()
    gc.freeze()
