"""One server on a PostgreSQL, a Redis and an S3 endpoint of its own, to be broken part by part."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.support import postgres, redis, s3
from tests.support.s3_proxy import Fault, FaultProxy
from tests.support.serving import Served, serving

Part = Literal["database", "cache", "storage"]
How = Literal["stopped", "killed", "paused", "refusing", "failing"]
DEADLINE = 4.0
PASSWORD = "changed-p4ssword"


@dataclass
class Parts:
    """The parts, the server on them, and ways to break and mend each."""

    database: postgres.Server
    cache: redis.Server
    proxy: FaultProxy
    server: Served
    settings: dict[str, str]

    def broken(self, part: Part, how: How) -> None:
        _BREAK[part, how](self)

    def mended(self, part: Part, how: How) -> None:
        _MEND[part, how](self)

    @property
    def resident(self) -> int:
        """KiB of memory that the server's process has."""
        status = Path(f"/proc/{self.server.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])

    def refuse_roles(self) -> None:
        self.database.sql("ALTER ROLE app CONNECTION LIMIT 0", _ENDED)

    def admit_roles(self) -> None:
        self.database.sql("ALTER ROLE app CONNECTION LIMIT -1")

    def refuse_clients(self) -> None:
        """It wants a password that nobody has; who is connected already is sent away."""
        self.cache.command("CONFIG", "SET", "requirepass", PASSWORD)
        self.cache.conversation(("AUTH", PASSWORD), ("CLIENT", "KILL", "TYPE", "normal"))
        self.cache.conversation(("AUTH", PASSWORD), ("CLIENT", "KILL", "TYPE", "pubsub"))

    def admit_clients(self) -> None:
        self.cache.conversation(("AUTH", PASSWORD), ("CONFIG", "SET", "requirepass", ""))


_ENDED = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'"
Act = Callable[[Parts], object]
_BREAK: dict[tuple[Part, How], Act] = {
    ("database", "stopped"): lambda p: p.database.stop(),
    ("database", "killed"): lambda p: p.database.kill(),
    ("database", "paused"): lambda p: p.database.pause(),
    ("database", "refusing"): lambda p: p.refuse_roles(),
    ("cache", "stopped"): lambda p: p.cache.stop(),
    ("cache", "killed"): lambda p: p.cache.kill(),
    ("cache", "paused"): lambda p: p.cache.pause(),
    ("cache", "refusing"): lambda p: p.refuse_clients(),
    ("storage", "stopped"): lambda p: p.proxy.down(),
    ("storage", "paused"): lambda p: p.proxy.set(Fault("hang")),
    ("storage", "refusing"): lambda p: p.proxy.set(Fault("status", 403)),
    ("storage", "failing"): lambda p: p.proxy.set(Fault("status", 500)),
}
_MEND: dict[tuple[Part, How], Act] = {
    ("database", "stopped"): lambda p: p.database.start(),
    ("database", "killed"): lambda p: p.database.start(),
    ("database", "paused"): lambda p: p.database.resume(),
    ("database", "refusing"): lambda p: p.admit_roles(),
    ("cache", "stopped"): lambda p: p.cache.start(),
    ("cache", "killed"): lambda p: p.cache.start(),
    ("cache", "paused"): lambda p: p.cache.resume(),
    ("cache", "refusing"): lambda p: p.admit_clients(),
    ("storage", "stopped"): lambda p: p.proxy.up(),
    ("storage", "paused"): lambda p: p.proxy.mend(),
    ("storage", "refusing"): lambda p: p.proxy.mend(),
    ("storage", "failing"): lambda p: p.proxy.mend(),
}
EVERY = tuple(_BREAK)


@contextmanager
def standing(home: Path) -> Iterator[Parts]:
    """A ready server on parts of its own."""
    database, cache = postgres.Server(), redis.Server()
    database.create("parts")
    try:
        with s3.failing() as proxy:
            settings = {
                **database.settings("parts"),
                "TAUSE_CACHE_URL": cache.url(),
                "TAUSE_STORAGE_URL": s3.server().url(port=proxy.port),
                "TAUSE_DEADLINE": str(DEADLINE),
                "TAUSE_LOG_LEVEL": "warning",
            }
            with serving(home, "--transport", "http", **settings) as server:
                yield Parts(database, cache, proxy, server, settings)
    finally:
        database.remove()
        cache.remove()
