"""Shared state in Redis: each question is one script on one key, in one round trip."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from secrets import token_hex

from tause_mcp.errors import Unavailable
from tause_mcp.shared.gcra import Rate, Taken
from tause_mcp.shared.redis import RedisClient, Script, listed, open_redis
from tause_mcp.shared.renewal import renewed
from tause_mcp.shared.signals import Signals
from tause_mcp.shared.state import SharedState
from tause_mcp.tenancy import TenantId

GCRA = """
local function gcra(key, charge, burst)
  local time = redis.call('TIME')
  local now = time[1] * 1000000 + time[2]
  local before = tonumber(redis.call('GET', key)) or now
  before = math.min(math.max(before, now), now + burst)
  local after = before + charge
  if charge == 0 then return {0, after - now} end
  if after - now > burst then return {after - now - burst, before - now} end
  redis.call('SET', key, string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000))
  return {0, after - now}
end
"""
"""`gcra(key, charge, burst)` -> `{wait, owed}` in microseconds of Redis's own clock."""

_SOON, _LATEST = 0.1, 3.0
"""Seconds before it tries to listen again: the first time, and at most."""

_TAKE = Script(f"{GCRA} return gcra(KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]))")
_FORGET = Script("return redis.call('DEL', unpack(KEYS))")
_SPEND = Script("""
local since = redis.call('GET', KEYS[2])
if not since then
  local time = redis.call('TIME')
  since = time[1] + time[2] / 1000000
  redis.call('SET', KEYS[2], string.format('%.6f', since))
end
if #ARGV == 0 or tonumber(ARGV[1]) < tonumber(since) then return 0 end
return redis.call('SET', KEYS[1], '1', 'NX', 'PXAT', ARGV[2]) and 1 or 0
""")
_LEASE = Script("""
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
""")
_RELEASE = Script("""
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
""")


def rate_key(client: RedisClient, tenant: TenantId, name: str) -> str:
    """A tenant's grammar has no brace and no colon: no two tenants share a key."""
    return f"{client.prefix}:rate:{{{tenant}}}:{name}"


class RedisRates:
    """`Rates` by one script."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    async def take(self, tenant: TenantId, rate: Rate, cost: int) -> Taken:
        if rate.amount <= 0:
            return rate.nothing()
        key = rate_key(self._client, tenant, rate.name)
        told = await self._client.run(_TAKE, (key,), (rate.charge(cost), rate.burst))
        wait, owed = listed(told, 2)
        return Taken(int(wait), rate.left(int(owed)))

    async def forget(self, tenant: TenantId, *names: str) -> None:
        await self._client.run(_FORGET, [rate_key(self._client, tenant, name) for name in names])


class RedisOnce:
    """`Once`: a server that lost its memory takes nothing issued before that."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self._since = f"{client.prefix}:once:since"

    async def spend(self, name: str, *, issued: float, until: float) -> bool:
        named = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
        keys = f"{self._client.prefix}:once:{named}", self._since
        told = f"{issued:.6f}", int(until * 1000) + 1000
        spent: int = await self._client.run(_SPEND, keys, told)
        return spent == 1

    async def begin(self) -> None:
        """Remember from now on, if that is news."""
        await self._client.run(_SPEND, (self._since, self._since))


class RedisLeases:
    """`Leases`: a key that runs out with its holder."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    @asynccontextmanager
    async def lease(self, name: str, ttl: float) -> AsyncIterator[bool]:
        keys, token = (f"{self._client.prefix}:lease:{name}",), token_hex(16)

        async def hold() -> bool:
            held: int = await self._client.run(_LEASE, keys, (token, int(ttl * 1000)))
            return held == 1

        async def release() -> None:
            await self._client.run(_RELEASE, keys, (token,))

        async with renewed(hold, release, ttl) as held:
            yield held


class RedisWire:
    """`signals.Wire` by publish and subscribe. A channel knows no database: its name does."""

    gather = 0.005

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self._channel = f"{client.prefix}:signals"

    async def send(self, message: bytes) -> None:
        await self._client.publish(self._channel, message)

    async def run(self, heard: Callable[[bytes], None], lost: Callable[[], None]) -> None:
        pause = _SOON

        def subscribed() -> None:
            nonlocal pause
            pause = _SOON
            lost()

        while True:
            try:
                await self._client.subscribed(self._channel, heard, subscribed)
            except Unavailable:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LATEST)


@asynccontextmanager
async def open_redis_state(url: str) -> AsyncIterator[SharedState]:
    """Open the shared state that `url` names."""
    async with open_redis(url) as client:
        once, signals = RedisOnce(client), Signals(RedisWire(client))
        with suppress(Unavailable):  # it comes up later, and begins with the first question
            await once.begin()
        async with signals.running():
            yield SharedState(
                kind="redis",
                rates=RedisRates(client),
                once=once,
                leases=RedisLeases(client),
                signals=signals,
                check=client.check,
                source=client,
            )
