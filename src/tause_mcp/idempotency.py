"""The idempotency step of the pipeline: a repeated key returns the first result, for 24 hours.

A key is claimed before the work, marked in the work's own transaction, and given its result after
it. Each claim has a token: whoever loses its claim (its process stood still past the lease) cannot
commit any more.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from time import monotonic
from typing import Any, NamedTuple

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from tause_mcp import log, times
from tause_mcp.capability import Ciphers
from tause_mcp.database import (
    TENANT,
    Database,
    Statement,
    TenantDatabase,
    Transaction,
    Work,
    metadata,
)
from tause_mcp.errors import Conflict, IdempotencyConflict, Invalid, TauseError
from tause_mcp.operation import Operation
from tause_mcp.tenancy import Caller, TenantId

KEPT = 24 * 3600 * times.SECOND
LEASE = 90.0
"""Seconds that a claim holds without a sign of life: longer than a call may work."""
PATIENCE = 10.0
"""Seconds that a repeated call waits for the first."""
_POLL = 0.05
_MAX_KEY = 255

CLAIMED, MARKED, DONE, SECRET = "claimed", "marked", "done", "secret"

_log = log.get("idempotency")

idempotency = sa.Table(
    "idempotency",
    metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("token", sa.Text, nullable=False),
    sa.Column("result", sa.LargeBinary),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("lease_until", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Index("idempotency_by_expiry", "expires_at"),
)

_c = idempotency.c
_now: sa.BindParameter[int] = sa.bindparam("now", type_=sa.BigInteger)
_held = (
    _c.tenant_id == TENANT,
    _c.key == sa.bindparam("of_key", type_=sa.Text),
    _c.token == sa.bindparam("of_token", type_=sa.Text),
)


def _claim(dialect: str) -> sa.sql.expression.ClauseElement:
    insert: Any = (sqlite if dialect == "sqlite" else postgresql).insert(idempotency)
    fresh = {c.name: insert.excluded[c.name] for c in idempotency.columns if not c.primary_key}
    free = sa.or_(
        _c.expires_at <= insert.excluded.created_at,
        sa.and_(_c.state == CLAIMED, _c.lease_until <= insert.excluded.created_at),
    )
    clause: sa.sql.expression.ClauseElement = insert.on_conflict_do_update(
        index_elements=["tenant_id", "key"], set_=fresh, where=free
    )
    return clause


CLAIM = Statement(_claim)
"""One row when the key is free, expired, or claimed by a call that died before it changed anything."""

READ = Statement(
    sa.select(_c.digest, _c.state, _c.result, _c.lease_until, _c.expires_at).where(
        _c.tenant_id == TENANT, _c.key == sa.bindparam("of_key", type_=sa.Text)
    )
)
MARK = Statement(sa.update(idempotency).where(*_held, _c.state == CLAIMED).values(state=MARKED))
KEEP = Statement(
    sa.update(idempotency)
    .where(*_held)
    .values(
        state=sa.bindparam("of_state", type_=sa.Text),
        result=sa.bindparam("of_result", type_=sa.LargeBinary),
    )
)
DROP = Statement(sa.delete(idempotency).where(*_held, _c.state == CLAIMED))
LOSE = Statement(sa.update(idempotency).where(*_held, _c.state == MARKED).values(lease_until=0))
"""Nobody waits any more for a result that cannot come."""
SWEEP = Statement(sa.delete(idempotency).where(_c.expires_at <= _now))


class Kept(NamedTuple):
    """What is stored under a key."""

    digest: str
    state: str
    result: bytes | None
    lease_until: int
    expires_at: int

    def free(self, now: int) -> bool:
        """Whether the key may be claimed again: nothing was changed under it, or long ago."""
        return self.expires_at <= now or (self.state == CLAIMED and self.lease_until <= now)


_tokens: ContextVar[Mapping[tuple[TenantId, str], str]] = ContextVar("claims")
"""The claims of the running call: nobody else's `keep` or `drop` can touch them."""


class StoredIdempotency:
    """`pipeline.Idempotency` over the table, for any number of processes."""

    def __init__(
        self,
        database: Database,
        ciphers: Ciphers,
        *,
        lease: float = LEASE,
        patience: float = PATIENCE,
    ) -> None:
        self._database = database
        self._ciphers = ciphers
        self._lease = int(lease * times.SECOND)
        self._patience = patience

    async def recall(
        self, caller: Caller, operation: Operation, key: str, digest: str
    ) -> dict[str, Any] | None:
        """The first result under this key, waiting for a call that is working; None: there is none.

        Raises:
            IdempotencyConflict: the arguments differ. Conflict: done, but it cannot be repeated.
        """
        _check(key)
        return await self._settled(caller, key, digest, self._nobody)

    async def claim(
        self, caller: Caller, operation: Operation, key: str, digest: str
    ) -> dict[str, Any] | None:
        """Take the key (None), or wait for the call that holds it and return its result."""

        async def take() -> bool:
            return await self._take(caller, key, digest)

        return await self._settled(caller, key, digest, take)

    async def _nobody(self) -> bool:
        return True

    async def _settled(
        self, caller: Caller, key: str, digest: str, take: Callable[[], Awaitable[bool]]
    ) -> dict[str, Any] | None:
        """Wait until the key is free and `take` succeeds (None), or its result is there."""
        until = monotonic() + self._patience
        while True:
            kept, now = await self._read(caller.tenant, key), times.now()
            if kept is None or kept.free(now):
                if await take():
                    return None
            elif (found := _result(kept, digest, now)) is not None:
                return found
            if monotonic() >= until:
                if kept is not None and kept.state == MARKED:
                    raise _lost("its answer was lost")
                raise Conflict(
                    "another call with this idempotency key is still working: ask again later",
                    field="idempotency_key",
                    retry_after=5.0,
                )
            await asyncio.sleep(_POLL)

    async def _read(self, tenant: TenantId, key: str) -> Kept | None:
        row = await TenantDatabase(self._database, tenant).first(READ, of_key=key)
        if row is None:
            return None
        kept = Kept(*row)
        if kept.result is None or kept.result[:1] == b"{":  # of a release that kept it in plain
            return kept
        opened = (await self._ciphers.cipher(tenant)).open(_place(key), bytes(kept.result))
        return kept._replace(result=opened)

    async def _take(self, caller: Caller, key: str, digest: str) -> bool:
        token, now = secrets.token_hex(8), times.now()
        before = _tokens.get({})
        _tokens.set({**before, (caller.tenant, key): token})  # a cancelled claim may be dropped too
        taken = await TenantDatabase(self._database, caller.tenant).write(
            lambda tx: tx.run(
                CLAIM,
                key=key,
                subject=caller.subject,
                digest=digest,
                state=CLAIMED,
                token=token,
                result=None,
                created_at=now,
                lease_until=now + self._lease,
                expires_at=now + KEPT,
            )
        )
        if not taken:
            _tokens.set(before)
        return bool(taken)

    def mark(self, caller: Caller, key: str) -> Work[None]:
        """Trailer: the change under this key is committed, if the claim still holds."""
        token = _tokens.get({}).get((caller.tenant, key), "")

        async def marked(tx: Transaction) -> None:
            if not await tx.run(MARK, of_key=key, of_token=token):
                raise Conflict(
                    "this call took too long and lost its idempotency key: nothing was changed",
                    field="idempotency_key",
                )

        return marked

    async def keep(self, caller: Caller, key: str, result: bytes | None) -> None:
        """Remember the result (None: it is a secret). The change is done: this never fails it."""
        state = SECRET if result is None else DONE
        try:
            if result is not None:
                result = (await self._ciphers.cipher(caller.tenant)).seal(_place(key), result)
            await self._write(caller, key, KEEP, of_state=state, of_result=result)
        except TauseError as error:
            _log.error("result_not_kept", tenant=caller.tenant, code=error.code)

    async def drop(self, caller: Caller, key: str) -> None:
        """The work failed: the key is free again, or, when its change is committed, lost."""
        await self._write(caller, key, DROP, LOSE)

    async def _write(self, caller: Caller, key: str, *statements: Statement, **values: Any) -> None:
        held = dict(_tokens.get({}))
        token = held.pop((caller.tenant, key), None)
        if token is None:
            return
        _tokens.set(held)

        async def work(tx: Transaction) -> None:
            for statement in statements:
                await tx.run(statement, of_key=key, of_token=token, **values)

        await TenantDatabase(self._database, caller.tenant).write(work)

    async def sweep(self) -> None:
        """Remove what is older than a day, of every tenant."""
        now = times.now()
        await self._database.write(None, lambda tx: tx.run(SWEEP, now=now), house=True)


def _place(key: str) -> str:
    """Where a result is kept sealed."""
    return f"idempotency/{key}"


def _check(key: str) -> None:
    if not 1 <= len(key) <= _MAX_KEY or not key.isprintable():
        raise Invalid(
            f"an idempotency key has 1 to {_MAX_KEY} printable characters",
            field="idempotency_key",
        )


def _result(kept: Kept, digest: str, now: int) -> dict[str, Any] | None:
    """The first result; None while it is still to come."""
    if kept.digest != digest:
        raise IdempotencyConflict(
            "this idempotency key was used with other arguments: take a new one",
            field="idempotency_key",
        )
    if kept.state == DONE and kept.result is not None:
        found: dict[str, Any] = orjson.loads(kept.result)
        return found
    if kept.state == SECRET:
        raise _lost("its result is a secret, which is shown only once")
    if kept.state == MARKED and kept.lease_until <= now:
        raise _lost("its answer was lost")
    return None


def _lost(why: str) -> Conflict:
    return Conflict(
        f"the first call with this idempotency key was done, and {why}: "
        "read what it changed, or take a new key",
        field="idempotency_key",
    )
