"""What must stay secret is told nowhere: a whole server at DEBUG whose parts fail one after another.

Every secret of the installation and of a caller is a canary; logs, answers, errors, metrics, spans
and what the command line prints are searched for each.
"""

import base64
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest
from tests.canary.test_at_rest import spellings
from tests.support import postgres, redis, s3
from tests.support.collector import Collector, collecting
from tests.support.serving import Served, environment, free_port, serving

from tause_mcp.testing.walk_wire import Speaker

pytestmark = [pytest.mark.anyio, pytest.mark.embedded, pytest.mark.timeout(300)]
SHOWN = ("storage_get", "cache_get")
"""Tools whose answer to its owner is the content itself."""


def canary() -> str:
    return f"canary{uuid4().hex}"


@dataclass
class Stage:
    """The parts, their secrets, and everything that was said."""

    database: postgres.Server
    cache: redis.Server
    collector: Collector
    settings: dict[str, str]
    secrets: dict[str, str]
    told: list[tuple[str, bytes]] = field(default_factory=list)

    def hear(self, where: str, text: str | bytes) -> None:
        self.told.append((where, text.encode() if isinstance(text, str) else text))

    def leaks(self) -> list[str]:
        return [
            f"{what} in {where}"
            for what, secret in self.secrets.items()
            for where, text in self.told
            if any(spelling in text for spelling in spellings(secret))
        ]


@pytest.fixture
def stage() -> Iterator[Stage]:
    names = ("database", "owner", "redis", "s3", "collector", "shared", "content", "value")
    secrets = {name: canary() for name in names}
    master = base64.b64encode(uuid4().bytes + uuid4().bytes).decode()
    with ExitStack() as stack:
        database, cache = postgres.Server(), redis.Server()
        stack.callback(database.remove)
        stack.callback(cache.remove)
        collector = stack.enter_context(collecting())
        url = database.create("canary").replace("//app@", f"//app:{secrets['database']}@")
        owner = database.url("canary", "owner").replace("//owner@", f"//owner:{secrets['owner']}@")
        cache.command("CONFIG", "SET", "requirepass", secrets["redis"])
        bucket = s3.server().url(s3.server().bucket())
        settings = {
            "TAUSE_DATABASE_URL": url,
            "TAUSE_DATABASE_ADMIN_URL": owner,
            "TAUSE_CACHE_URL": cache.url().replace("//", f"//:{secrets['redis']}@", 1),
            "TAUSE_STORAGE_URL": bucket.replace("key=test", f"key={secrets['s3']}"),
            "TAUSE_ENCRYPTION_KEY": master,
            "TAUSE_LOG_LEVEL": "debug",
            "TAUSE_DEADLINE": "4",
            "MCP_JWT_SECRET": secrets["shared"],
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_EXPORTER_OTLP_HEADERS": f"x-token={secrets['collector']}",
            "OTEL_BSP_SCHEDULE_DELAY": "200",
        }
        yield Stage(database, cache, collector, settings, {**secrets, "master": master})


async def calls(stage: Stage, server: Served) -> None:
    """Good, wrong and refused calls, all heard."""
    value, content = stage.secrets["value"], stage.secrets["content"]
    asked = [
        ("storage_put", {"key": "a", "content": content * 1000}),
        ("storage_get", {"key": "a"}),
        ("storage_put", {"key": "../a", "content": content}),
        ("storage_put", {"key": "a", "content": content, "encoding": "base64"}),
        ("cache_set", {"key": "k", "value": value}),
        ("cache_get", {"key": "k"}),
        ("secrets_put", {"name": "a", "value": value}),
        ("secrets_put", {"name": "A B", "value": value}),
        ("secrets_rotate", {"name": "none", "value": value}),
        ("database_insert", {"collection": "none", "document": {"a": value}}),
        ("colombia_validate_nit", {"number": value * 3}),
        ("audit_search", {}),
        ("tenants_get", {}),
    ]
    async with httpx2.AsyncClient(base_url=server.url, timeout=60, trust_env=False) as http:
        for name in ("readyz", "healthz"):
            stage.hear(name, (await http.get(f"/{name}")).content)
        for token in (value, f"tk_default.{value}", f"{value}.{value}.{value}"):
            answer = await http.post("/mcp", headers={"authorization": f"Bearer {token}"})
            stage.hear("a login", answer.content)
        speaker = Speaker(http, server.key)
        for tool, arguments in asked:
            answer = await speaker.tool(tool, arguments)
            if tool not in SHOWN or not answer.value:
                stage.hear(tool, answer.body)
        answer = await http.get("/metrics", headers={"authorization": f"Bearer {server.key}"})
        stage.hear("metrics", answer.content)


def commands(stage: Stage, home: Path) -> None:
    port = str(free_port())
    for words in (["doctor"], ["migrate"], ["tenants", "list"], ["serve", "--transport", "http"]):
        done = subprocess.run(
            [sys.executable, "-m", "tause_mcp", *words, *(["--port", port] * (len(words) > 2))],
            env=environment(home, **stage.settings),
            capture_output=True,
            timeout=120,
        )
        stage.hear(words[0], done.stdout + done.stderr)


def _database(stage: Stage) -> tuple[Callable[[], object], Callable[[], object]]:
    return stage.database.stop, stage.database.start


def _cache(stage: Stage) -> tuple[Callable[[], object], Callable[[], object]]:
    return stage.cache.stop, stage.cache.start


async def test_no_secret_is_told_anywhere_whatever_fails(stage: Stage, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with serving(home, "--transport", "http", **stage.settings) as server:
        stage.secrets["key"] = server.key.rpartition(".")[2]
        await calls(stage, server)
        for part in (_cache, _database):
            stop, start = part(stage)
            stop()
            await calls(stage, server)
            if part is _database:
                commands(stage, home)
            start()
        await calls(stage, server)
        server.stop()
        log = server.log.read_bytes()
    stage.hear("the log", log)
    assert stage.collector.spans, "the collector heard nothing: the search proves nothing"
    for span in stage.collector.spans + stage.collector.resources:
        stage.hear("a span", span.SerializeToString())
    records = [line for line in log.splitlines() if line.startswith(b"{") and line != b"{"]
    assert len(records) > 10 and all(re.fullmatch(rb"\{.*\}", line) for line in records)
    assert stage.leaks() == []
    stage.hear("a planted one", f"postgres://app:{stage.secrets['database']}@x")
    assert stage.leaks() == ["database in a planted one"]
