"""Cached values in Redis: each question is one script, so that what it counts stays exact.

A tenant has five keys: values by key, keys by last use, by end, by name, and the bytes of all.
"""

from collections.abc import Sequence

from tause_mcp.database import TenantDatabase
from tause_mcp.errors import Invalid, Unavailable
from tause_mcp.limits import Due, passed
from tause_mcp.services.cache.backends import OVERHEAD, WHOLE, Place, no_number, over
from tause_mcp.shared import Taken
from tause_mcp.shared.redis import RedisClient, Script
from tause_mcp.shared.redis_state import GCRA, rate_key
from tause_mcp.tenancy import TenantId

IDLE = 30 * 86_400
"""Seconds after the last change when all of a tenant's cache goes: nothing stays for ever."""
_PORTION = 500
"""Entries that one script removes at most: nobody else waits long for it."""
_ROUNDS = 10_000

_COMMON = f"""
local V, U, X, K, N = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function size(key, payload) return #key + #payload + {OVERHEAD} end
local function held(key)
  local kept = redis.call('HGET', V, key)
  if not kept then return nil end
  local colon = string.find(kept, ':', 1, true)
  local till = tonumber(string.sub(kept, 1, colon - 1))
  return string.sub(kept, colon + 1), till
end
local function alive(till) return till == 0 or till > now end
local function used() return tonumber(redis.call('GET', N) or 0) end
local function drop(key)
  local payload, till = held(key)
  if not payload then return false end
  redis.call('HDEL', V, key)
  redis.call('ZREM', U, key)
  redis.call('ZREM', X, key)
  redis.call('ZREM', K, key)
  redis.call('DECRBY', N, size(key, payload))
  return alive(till)
end
local function expire()
  local ended = redis.call('ZRANGEBYSCORE', X, '-inf', now, 'LIMIT', 0, {_PORTION})
  for _, key in ipairs(ended) do drop(key) end
  return #ended == {_PORTION}
end
"""
_WRITE = f"""
local function put(key, payload, till, limit)
  local need = size(key, payload)
  if need > limit then drop(key) return 'over' end
  if expire() then return 'again' end
  redis.call('ZADD', U, 'XX', time[1] * 1000000 + time[2], key)
  local old = held(key)
  old = old and size(key, old) or 0
  local left = {_PORTION}
  while used() - old + need > limit do
    if left == 0 then return 'again' end
    local oldest = redis.call('ZRANGE', U, 0, 0)[1]
    if not oldest or oldest == key then break end
    drop(oldest)
    left = left - 1
  end
  drop(key)
  redis.call('HSET', V, key, string.format('%.0f', till) .. ':' .. payload)
  redis.call('ZADD', U, time[1] * 1000000 + time[2], key)
  if till > 0 then redis.call('ZADD', X, till, key) end
  redis.call('ZADD', K, 0, key)
  redis.call('INCRBY', N, need)
  for _, each in ipairs({{V, U, X, K, N}}) do redis.call('EXPIRE', each, {IDLE}) end
  return 'kept'
end
local function ending(ttl)
  if ttl == 0 then return 0 end
  return now + ttl * 1000
end
"""
_GET = Script(f"""{GCRA}
local burst = tonumber(ARGV[3])
if burst > 0 then
  local taken = gcra(KEYS[3], tonumber(ARGV[2]), burst)
  if taken[1] > 0 then return {{taken[1]}} end
end
local kept = redis.call('HGET', KEYS[1], ARGV[1])
if not kept then return {{0}} end
local time = redis.call('TIME')
local colon = string.find(kept, ':', 1, true)
local till = tonumber(string.sub(kept, 1, colon - 1))
if till > 0 and till <= time[1] * 1000 + math.floor(time[2] / 1000) then return {{0}} end
redis.call('ZADD', KEYS[2], 'XX', time[1] * 1000000 + time[2], ARGV[1])
return {{0, string.sub(kept, colon + 1)}}
""")
_SET = Script(f"""{_COMMON}{_WRITE}
return put(ARGV[1], ARGV[2], ending(tonumber(ARGV[3])), tonumber(ARGV[4]))
""")
_INCREMENT = Script(f"""{_COMMON}{_WRITE}
local payload, till = held(ARGV[1])
local before = 0
if payload and alive(till) then
  if #payload > 17 or not string.find(payload, '^%-?%d+$') then return {{'nothing'}} end
  before = tonumber(payload)
  if math.abs(before) > {WHOLE} then return {{'nothing'}} end
else
  till = ending(tonumber(ARGV[3]))
end
local after = before + tonumber(ARGV[2])
if math.abs(after) > {WHOLE} then return {{'far'}} end
local told = string.format('%.0f', after)
return {{put(ARGV[1], told, till, tonumber(ARGV[4])), told}}
""")
_DELETE = Script(f"{_COMMON} return drop(ARGV[1]) and 1 or 0")
_CLEAR = Script(f"""{_COMMON}
if expire() then return {{0, 1}} end
local found
if ARGV[1] == '' then
  found = redis.call('HLEN', V)
  redis.call('DEL', V, U, X, K, N)
  return {{found, 0}}
end
local least, most = '[' .. ARGV[1], '(' .. ARGV[1] .. '\\127'
found = redis.call('ZRANGEBYLEX', K, least, most, 'LIMIT', 0, {_PORTION})
for _, key in ipairs(found) do drop(key) end
return {{#found, #found == {_PORTION} and 1 or 0}}
""")
_USED = Script(f"{_COMMON} if expire() then return -1 end return used()")
_LEAVE = Script("return redis.call('DEL', unpack(KEYS))")


class RedisStore:
    """`CacheStore` in one Redis."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    def _keys(self, tenant: TenantId, born: int) -> list[str]:
        """No tenant's name holds a brace or a colon, and no key of a caller is part of these."""
        base = f"{self._client.prefix}:cache:{{{tenant}}}:{born}"
        return [f"{base}:{part}" for part in ("v", "u", "x", "k", "n")]

    async def get(self, at: Place, key: str, due: Due | None) -> bytes | None:
        keys = self._keys(at.tenant, at.born)[:2]
        charge = burst = 0
        if due is not None:
            if due.rate.amount <= 0:
                passed(due.rate, due.rate.nothing())
            charge, burst = due.rate.charge(due.cost), due.rate.burst
            keys.append(rate_key(self._client, due.tenant, due.rate.name))
        wait, *found = await self._client.run(_GET, keys, (key, charge, burst))
        if due is not None:
            passed(due.rate, Taken(int(wait), 0))
        return bytes(found[0]) if found else None

    async def set(self, at: Place, key: str, value: bytes, ttl: int | None) -> None:
        for _ in range(_ROUNDS):
            told = await self._client.run(
                _SET, self._keys(at.tenant, at.born), (key, value, ttl or 0, at.limit)
            )
            if _kept(told, at):
                return
        raise _busy()

    async def increment(self, at: Place, key: str, by: int, ttl: int | None) -> int:
        for _ in range(_ROUNDS):
            told: Sequence[bytes] = await self._client.run(
                _INCREMENT, self._keys(at.tenant, at.born), (key, by, ttl or 0, at.limit)
            )
            if told[0] == b"nothing":
                raise no_number()
            if told[0] == b"far":
                raise Invalid("the number would leave -(2^53-1) to 2^53-1", field="by")
            if _kept(told[0], at):
                return int(told[1])
        raise _busy()

    async def delete(self, at: Place, key: str) -> bool:
        gone: int = await self._client.run(_DELETE, self._keys(at.tenant, at.born), (key,))
        return gone == 1

    async def clear(self, at: Place, prefix: str) -> int:
        removed, more = 0, 1
        while more:
            keys = self._keys(at.tenant, at.born)
            found, more = await self._client.run(_CLEAR, keys, (prefix,))
            removed += found
        return removed

    async def used(self, database: TenantDatabase, born: int) -> int:
        while True:
            found: int = await self._client.run(_USED, self._keys(database.tenant, born))
            if found >= 0:
                return found

    async def leave(self, tenant: TenantId, born: int) -> None:
        await self._client.run(_LEAVE, self._keys(tenant, born))


def _kept(told: bytes, at: Place) -> bool:
    if told == b"over":
        raise over(at.limit)
    return told == b"kept"


def _busy() -> Unavailable:
    return Unavailable("the cache is being emptied: try again in a moment", retry_after=1.0)
