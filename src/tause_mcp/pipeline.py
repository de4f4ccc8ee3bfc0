"""The life of a call: what happens around every operation, whatever the door.

Identity and tenant come proven in the `Invocation`; lookup happened at the door. Here: validation,
scope, consent, limits, idempotency, work under a deadline, audit, usage. What a step needs is a
Protocol passed in, so that each is tested alone and no door can skip one.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Protocol
from uuid import uuid4

import orjson

from tause_mcp import log
from tause_mcp.capability import Consent, Tool
from tause_mcp.database import TenantDatabase, Work
from tause_mcp.errors import (
    DeadlineExceeded,
    Forbidden,
    Invalid,
    TauseError,
    TooLarge,
)
from tause_mcp.operation import Operation
from tause_mcp.tenancy import Caller, TenantId

MAX_RESULT = 24 * 1024
"""Bytes of `structuredContent`; more is stored and previewed."""

_log = log.get("pipeline")


class Crash(Exception):
    """An unexpected failure. The caller gets `reference`; the traceback is only in the log."""

    def __init__(self, reference: str) -> None:
        super().__init__(f"internal error; quote {reference} to the operator")
        self.reference = reference


@dataclass(frozen=True, slots=True)
class Approval:
    """A stored, single-use record of one exact call that a person answers."""

    id: str
    status: str
    summary: str
    expires_at: str
    url: str
    page_only: bool = False
    """Above the tenant's ceiling: only the signed-in page counts."""


class AskPerson(Exception):  # a question, not an error
    """The client can ask its person: the door does, then makes the same call with the answer."""

    def __init__(self, approval: Approval) -> None:
        super().__init__(approval.id)
        self.approval = approval


@dataclass(slots=True)
class Invocation:
    """One call as it came through a door."""

    caller: Caller
    arguments: Mapping[str, Any]
    door: str = "mcp"
    idempotency_key: str | None = None
    elicits: bool = False
    """The client declared that it can put a question to its person."""
    answers: Mapping[str, bool] = field(default_factory=dict)
    """Approval id -> the person's answer, as the client brought it back."""
    progress: Callable[[float, float | None, str | None], Awaitable[None]] | None = None
    depth: int = 0
    """How many `catalog_call` stand around this call."""
    local: bool = False
    """On stdio, beside the person's own files."""


@dataclass(frozen=True, slots=True)
class Result:
    """What an operation answers: a JSON object (tools), or whatever the face returns."""

    value: Any
    text: bytes | None = None
    approval: Approval | None = None


class Tenants(Protocol):
    async def require_active(self, tenant: TenantId) -> None:
        """Raise as for an absent tenant unless it is active. Cached for at most 4 s."""
        ...


class Limits(Protocol):
    async def admit(self, caller: Caller, operation: Operation) -> None:
        """Count the call against the tenant's rate and quota, or raise with `retry_after`."""
        ...


class Approvals(Protocol):
    async def settle(
        self, call: Invocation, operation: Operation, digest: str, consent: Consent
    ) -> Approval:
        """The call's approval: status `granted` (now consumed), `pending`, or raise `AskPerson`."""
        ...

    async def release(self, tenant: TenantId, approval_id: str) -> None:
        """The work failed: the approval may be used again."""
        ...


class Idempotency(Protocol):
    async def recall(
        self, caller: Caller, operation: Operation, key: str, digest: str
    ) -> dict[str, Any] | None:
        """The first result under this key; `IdempotencyConflict` when the arguments differ."""
        ...

    async def claim(
        self, caller: Caller, operation: Operation, key: str, digest: str
    ) -> dict[str, Any] | None:
        """Take the key, or wait for the call that holds it and return its result."""
        ...

    def mark(self, caller: Caller, key: str) -> Work[None]:
        """Trailer: the change under this key is committed."""
        ...

    async def keep(self, caller: Caller, key: str, result: bytes | None) -> None:
        """Remember the result (None: it is a secret and cannot be repeated)."""
        ...

    async def drop(self, caller: Caller, key: str) -> None:
        """The work failed and changed nothing: the key is free again."""
        ...


class AuditTrail(Protocol):
    def entry(self, call: Invocation, operation: Operation, digest: str) -> Work[None]:
        """Trailer: the call's line in its tenant's chain."""
        ...


class Meter(Protocol):
    def count(
        self, tenant: TenantId, operation: Operation, seconds: float, ok: bool, size: int
    ) -> None: ...


class Binder(Protocol):
    """Makes the services of one call."""

    def bind(
        self, call: Invocation, operation: Operation, database: TenantDatabase
    ) -> dict[str, Any]: ...

    def database_of(self, tenant: TenantId) -> TenantDatabase: ...

    async def spill(self, call: Invocation, operation: Operation, text: bytes) -> dict[str, Any]:
        """Store a large result; `{preview, key, size, url}`."""
        ...


def digest_of(operation: str, arguments: Mapping[str, Any]) -> str:
    """SHA-256 over the operation and its arguments, members in canonical order.

    Raises:
        Invalid: something among them that JSON cannot carry (a lone surrogate, a huge integer).
    """
    option = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS
    try:
        told = orjson.dumps(arguments, option=option, default=str)
    except TypeError:
        raise Invalid("an argument holds text or a number that JSON cannot carry") from None
    return hashlib.sha256(operation.encode() + b"\0" + told).hexdigest()


@dataclass(frozen=True)
class Pipeline:
    """The walk that every operation takes."""

    tenants: Tenants
    limits: Limits
    approvals: Approvals
    idempotency: Idempotency
    audit: AuditTrail
    meter: Meter
    binder: Binder
    deadline: float = 60.0

    async def run(self, operation: Operation, call: Invocation) -> Result:
        """Run one operation for its caller.

        Raises:
            TauseError: an anticipated failure. AskPerson: the door has to ask first.
            Crash: anything else; the traceback is in the log.
        """
        started = perf_counter()
        result: Result | None = None
        try:
            result = await self._walk(operation, call)
            return result
        except (TauseError, AskPerson, asyncio.CancelledError, Crash):
            raise
        except Exception as error:
            raise self._crash(operation, call, error) from None
        finally:
            self.meter.count(
                call.caller.tenant,
                operation,
                perf_counter() - started,
                result is not None,
                len(result.text) if result is not None and result.text else 0,
            )

    async def _walk(self, operation: Operation, call: Invocation) -> Result:
        arguments = operation.inputs.read(call.arguments)
        _refuse_local(operation, call)
        caller = call.caller
        caller.require(operation.scope, operation.part_of(arguments))
        await self.tenants.require_active(caller.tenant)
        if operation.forwards or not operation.writes:
            await self.limits.admit(caller, operation)
            return await self._work(
                operation, call, arguments, self.binder.database_of(caller.tenant)
            )
        return await self._change(operation, call, arguments)

    async def _change(
        self, operation: Operation, call: Invocation, arguments: dict[str, Any]
    ) -> Result:
        """A call that may change something: consent, limits, idempotency, work, audit."""
        caller, key = call.caller, call.idempotency_key
        digest = digest_of(operation.name, call.arguments)
        if (
            key
            and (first := await self.idempotency.recall(caller, operation, key, digest)) is not None
        ):
            return _repeated(first)
        approval = await self._consent(operation, call, arguments, digest)
        if approval is not None and approval.status != "granted":
            told = _pending(approval)
            return Result(told, orjson.dumps(told), approval)
        try:
            await self.limits.admit(caller, operation)
            if (
                key
                and (first := await self.idempotency.claim(caller, operation, key, digest))
                is not None
            ):
                return _repeated(first)
            return await self._committed(operation, call, arguments, digest)
        except BaseException:
            if approval is not None:
                await self.approvals.release(caller.tenant, approval.id)
            raise

    async def _consent(
        self, operation: Operation, call: Invocation, arguments: dict[str, Any], digest: str
    ) -> Approval | None:
        consent = operation.consent(arguments) if operation.consent else None
        if consent is None:
            return None
        if isinstance(operation.declared, Tool) and operation.declared.guard:
            operation.declared.guard(call.caller, arguments)
        return await self.approvals.settle(call, operation, digest, consent)

    async def _committed(
        self, operation: Operation, call: Invocation, arguments: dict[str, Any], digest: str
    ) -> Result:
        """The work, with its audit entry and idempotency mark in the same transaction."""
        caller, key = call.caller, call.idempotency_key
        database = self.binder.database_of(caller.tenant)
        database.trailers.append(self.audit.entry(call, operation, digest))
        if key:
            database.trailers.append(self.idempotency.mark(caller, key))
        try:
            result = await self._work(operation, call, arguments, database)
            if database.trailers:
                await database.write(_nothing)
        except BaseException:
            if key and database.trailers:
                await self.idempotency.drop(caller, key)
            raise
        if key:
            await self.idempotency.keep(caller, key, None if operation.secret else result.text)
        return result

    async def _work(
        self,
        operation: Operation,
        call: Invocation,
        arguments: dict[str, Any],
        database: TenantDatabase,
    ) -> Result:
        bound = self.binder.bind(call, operation, database)
        try:
            async with asyncio.timeout(self.deadline) as limit:
                value = operation.fn(**bound, **arguments)
                if operation.kind != "prompt":
                    value = await value
        except TimeoutError:
            if limit.expired():
                raise DeadlineExceeded(
                    f"the call took longer than {self.deadline:g} s", retry_after=1.0
                ) from None
            raise
        if operation.outputs is None:
            return Result(value)
        return await self._shaped(operation, call, operation.outputs.write(value))

    async def _shaped(
        self, operation: Operation, call: Invocation, value: dict[str, Any]
    ) -> Result:
        text = orjson.dumps(value)
        if len(text) <= MAX_RESULT:
            return Result(value, text)
        if not operation.open_result:
            raise TooLarge("the result is over 24 KiB: ask for less with limit, range or a filter")
        value = await self.binder.spill(call, operation, text)
        return Result(value, orjson.dumps(value))

    def _crash(self, operation: Operation, call: Invocation, error: Exception) -> Crash:
        reference = uuid4().hex[:12]
        _log.error(
            "crash",
            operation=operation.name,
            tenant=call.caller.tenant,
            reference=reference,
            exc_info=error,
        )
        return Crash(reference)


def _refuse_local(operation: Operation, call: Invocation) -> None:
    """Files of the person's machine are reached over stdio only."""
    for name in () if call.local else operation.local_only:
        if name in call.arguments:
            raise Invalid(f"{name}: works only over stdio, beside the files", field=name)


async def _nothing(_: Any) -> None:
    """A transaction of trailers alone: the work kept its data elsewhere."""


def _repeated(first: dict[str, Any]) -> Result:
    return Result(first, orjson.dumps(first))


def _pending(approval: Approval) -> dict[str, Any]:
    return {
        "status": "approval_required",
        "id": approval.id,
        "url": approval.url,
        "command": f"tause-mcp approvals approve {approval.id}",
        "summary": approval.summary,
        "expires_at": approval.expires_at,
    }


def refuse(reason: str) -> Forbidden:
    """A person said no."""
    return Forbidden(f"a person refused this call: {reason}")
