"""Redis: one pool of connections, scripts in one round trip, every failure `Unavailable`.

Values are text and JSON, never pickled: whoever can write to Redis must not run code here.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from hashlib import sha1
from time import monotonic
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import redis.exceptions
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from tause_mcp import log
from tause_mcp.errors import Misconfigured, Unavailable

SETTING = "TAUSE_CACHE_URL"
SECONDS = 1.0
"""How long one command may take."""
_BOUND = 2.5
"""How long a question may take with its waiting for a connection."""
MOST_CONNECTIONS = 20
_REST = 0.5
"""Seconds that nobody asks a server which did not answer: each would wait as long."""
_log = log.get("redis")
_FAILURES = (redis.exceptions.RedisError, OSError, TimeoutError, ValueError, IndexError)
"""The last two are what a peer that does not speak the protocol makes of the parser."""

Argument = str | bytes | int


def unavailable(error: BaseException) -> Unavailable:
    """What a caller may know: no address and no command."""
    _log.warning("redis_error", error=type(error).__name__)
    return Unavailable("the shared cache is unavailable: try again in a moment", retry_after=1.0)


def listed(reply: Any, count: int) -> list[Any]:
    """A reply of so many parts; `Unavailable` when what answers is not what was asked."""
    if not isinstance(reply, list) or len(reply) != count:
        raise unavailable(ValueError("reply"))
    return reply


class _Cancellations:
    """The driver swallows some cancellations, or makes failures of its own of them."""

    def __init__(self) -> None:
        self._before = self._count()

    @staticmethod
    def _count() -> int:
        task = asyncio.current_task()
        return 0 if task is None else task.cancelling()

    def pass_on(self) -> None:
        """Whoever was cancelled since then ends."""
        if self._count() > self._before:
            raise asyncio.CancelledError


class Script:
    """Lua that runs as one step; sent by its digest, and whole only when the server lacks it."""

    __slots__ = ("digest", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = sha1(text.encode(), usedforsecurity=False).hexdigest()


class RedisClient:
    """Commands to one database of one server. `prefix` begins every key and channel."""

    def __init__(self, pool: BlockingConnectionPool, prefix: str) -> None:
        self._redis: Redis = Redis.from_pool(pool)
        self._rested = 0.0
        self.prefix = prefix

    async def run(
        self, script: Script, keys: Sequence[str], arguments: Sequence[Argument] = ()
    ) -> Any:
        """Run a script; its reply as the driver gives it (`int`, `bytes`, `list`, None).

        Raises:
            Unavailable: down, slow, full, refusing or not Redis. A change may have been made.
        """
        if monotonic() < self._rested:
            raise Unavailable(
                "the shared cache is unavailable: try again in a moment", retry_after=1.0
            )
        return await self._asked(self._run(script, len(keys), *keys, *arguments))

    async def _run(self, script: Script, *told: Any) -> Any:
        try:
            return await self._redis.evalsha(script.digest, *told)
        except redis.exceptions.NoScriptError:
            return await self._redis.eval(script.text, *told)

    async def _asked(self, question: Awaitable[Any]) -> Any:
        """The driver's own timeouts bound each read; this one bounds all of them."""
        cancelled = _Cancellations()
        try:
            async with asyncio.timeout(_BOUND):
                told = await question
        except _FAILURES as error:
            cancelled.pass_on()
            raise self._failed(error) from None
        cancelled.pass_on()
        return told

    async def publish(self, channel: str, message: bytes) -> None:
        """Raises `Unavailable`."""
        await self._asked(self._redis.publish(channel, message))

    async def check(self) -> None:
        """Raise `Unavailable` unless it answers now."""
        if await self._asked(self._redis.ping()) not in (True, b"PONG"):
            raise unavailable(ValueError("reply"))
        self._rested = 0.0

    def _failed(self, error: BaseException) -> Unavailable:
        gone = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError)
        if isinstance(error, gone):
            self._rested = monotonic() + _REST
        return unavailable(error)

    async def subscribed(
        self, channel: str, heard: Callable[[bytes], None], subscribed: Callable[[], None]
    ) -> None:
        """Hear a channel until the connection breaks; `subscribed` once nothing is missed.

        Raises:
            Unavailable: it broke, or did not answer for some seconds.
        """
        pubsub, cancelled = self._redis.pubsub(), _Cancellations()
        try:
            await pubsub.subscribe(channel)
            while True:
                cancelled.pass_on()
                await self._hear(pubsub, heard, subscribed)
        except _FAILURES as error:
            cancelled.pass_on()
            raise unavailable(error) from None
        finally:
            with suppress(*_FAILURES):
                async with asyncio.timeout(SECONDS):
                    await pubsub.aclose()  # type: ignore[no-untyped-call]  # redis's own

    async def _hear(
        self, pubsub: Any, heard: Callable[[bytes], None], subscribed: Callable[[], None]
    ) -> None:
        """One message, or proof that the connection lives."""
        told = await pubsub.get_message(timeout=2 * SECONDS)
        if told is None:
            await pubsub.ping()
            told = await pubsub.get_message(timeout=2 * SECONDS)
        if told is None:
            raise TimeoutError
        if told["type"] == "subscribe":
            subscribed()
        elif told["type"] == "message":
            heard(told["data"])


@asynccontextmanager
async def open_redis(url: str) -> AsyncIterator[RedisClient]:
    """The client of `redis://`, `rediss://` or `unix://`; the server may come up later.

    The query takes redis-py's own options (`ssl_ca_certs`, `socket_timeout`, ...), and `prefix`.

    Raises:
        Misconfigured: the URL is wrong.
    """
    pool, prefix = _pool(url)
    try:
        yield RedisClient(pool, prefix)
    finally:
        with suppress(*_FAILURES):
            async with asyncio.timeout(SECONDS):
                await pool.disconnect()


def _pool(url: str) -> tuple[BlockingConnectionPool, str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise Misconfigured(f"{SETTING}: not a URL of Redis") from None
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    prefix = query.pop("prefix", "tause")
    if not prefix.isascii() or not prefix.replace("-", "").replace("_", "").isalnum():
        raise Misconfigured(f"{SETTING}: prefix is letters, digits, - and _")
    bare = parts._replace(query=urlencode(query)).geturl()
    try:
        pool: BlockingConnectionPool = BlockingConnectionPool.from_url(
            bare,
            max_connections=MOST_CONNECTIONS,
            timeout=2 * SECONDS,
            socket_timeout=SECONDS,
            socket_connect_timeout=SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        pool.make_connection()  # type: ignore[no-untyped-call]  # an unknown option shows only here
    except (ValueError, TypeError, redis.exceptions.RedisError):
        raise Misconfigured(
            f"{SETTING}: not a URL of Redis, or an option in it that redis-py does not know"
        ) from None
    database = pool.connection_kwargs.get("db", 0)
    return pool, f"{prefix}:{database}"
