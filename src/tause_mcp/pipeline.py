"""The life of a call: what happens around every operation, whatever the door.

Identity and tenant come proven in the `Invocation`; lookup happened at the door. Here: validation,
scope, consent, limits, idempotency, work, audit, usage, all under one deadline. What a step needs
is a Protocol passed in, so that each is tested alone and no door can skip one.
"""

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any
from uuid import uuid4

import orjson

from tause_mcp import log
from tause_mcp.capability import Consent, Tool
from tause_mcp.database import TenantDatabase
from tause_mcp.errors import DeadlineExceeded, Invalid, TauseError, TooLarge
from tause_mcp.operation import Operation
from tause_mcp.steps import (
    Approval,
    Approvals,
    AskPerson,
    AuditTrail,
    Binder,
    Crash,
    Idempotency,
    Invocation,
    Limits,
    Meter,
    Result,
    Tenants,
    Watch,
    pending,
    refuse,
)
from tause_mcp.supervision import Aside

__all__ = [
    "Approval",
    "Approvals",
    "AskPerson",
    "AuditTrail",
    "Binder",
    "Crash",
    "Idempotency",
    "Invocation",
    "Limits",
    "Meter",
    "Pipeline",
    "Result",
    "Tenants",
    "Watch",
    "digest_of",
    "pending",
    "refuse",
]

MAX_RESULT = 24 * 1024
"""Bytes of `structuredContent`; more is stored and previewed."""

_log = log.get("pipeline")


def digest_of(operation: str, arguments: Mapping[str, Any], key: bytes = b"") -> str:
    """SHA-256 over the operation and its arguments, members in canonical order, null as absent.

    With `key` it is an HMAC: arguments that hold a secret must not be found by trying.

    Raises:
        Invalid: something among them that JSON cannot carry (a lone surrogate, a huge integer).
    """
    present = {name: value for name, value in arguments.items() if value is not None}
    option = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS
    try:
        told = orjson.dumps(present, option=option, default=str)
    except TypeError:
        raise Invalid("an argument holds text or a number that JSON cannot carry") from None
    whole = operation.encode() + b"\0" + told
    return hmac.digest(key, whole, "sha256").hex() if key else hashlib.sha256(whole).hexdigest()


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
    """Seconds from the proof of who calls to the end of the work."""
    digest_key: bytes = b""
    """The key of the digests of calls that hold a secret."""
    watch: Watch | None = None
    aside: Aside = field(default_factory=Aside)
    """Finishes what a call gives back or keeps, when its answer cannot wait for it."""

    async def run(self, operation: Operation, call: Invocation) -> Result:
        """Run one operation for its caller.

        Raises:
            TauseError: an anticipated failure. AskPerson: the door has to ask first.
            Crash: anything else; the traceback is in the log.
        """
        started = perf_counter()
        result: Result | None = None
        outcome = "ok"
        if self.watch is not None:
            self.watch.began(call.caller.tenant)
        try:
            result = await self._in_time(operation, call)
            return result
        except TauseError as error:
            outcome = error.code
            raise
        except AskPerson:
            outcome = "approval_required"
            raise
        except Crash:
            outcome = "internal"
            raise
        except asyncio.CancelledError as error:
            outcome = "cancelled"
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise
            # nobody cancelled this call: something in it gave up, and its caller still waits
            outcome = "internal"
            raise self._crash(operation, call, error) from None
        except Exception as error:
            outcome = "internal"
            raise self._crash(operation, call, error) from None
        finally:
            self._counted(operation, call, perf_counter() - started, outcome, result)

    def _counted(
        self,
        operation: Operation,
        call: Invocation,
        took: float,
        outcome: str,
        result: Result | None,
    ) -> None:
        size = len(result.text) if result is not None and result.text else 0
        if not call.house:
            self.meter.count(call.caller.tenant, operation, took, result is not None, size)
        if self.watch is not None:
            self.watch.ended(operation.capability, outcome, took)

    async def _in_time(self, operation: Operation, call: Invocation) -> Result:
        """The walk under the call's deadline, which ends with the work: what is done is told."""
        try:
            async with asyncio.timeout(self.deadline - call.waited) as limit:
                return await self._walk(operation, call, limit)
        except TimeoutError:
            if limit.expired():
                raise self._late(operation, call) from None
            raise

    async def _walk(self, operation: Operation, call: Invocation, limit: asyncio.Timeout) -> Result:
        if operation.screen is not None:
            operation.screen(call.arguments)
        arguments = operation.inputs.read(call.arguments)
        _refuse_local(operation, call)
        caller = call.caller
        if not operation.everyone:
            caller.require(operation.scope, operation.part_of(arguments))
        await self.tenants.require_active(caller.tenant)
        self.tenants.require_configured(caller.tenant, operation.capability)
        if operation.forwards or not operation.writes:
            return await self._read(operation, call, arguments)
        return await self._change(operation, call, arguments, limit)

    async def _read(
        self, operation: Operation, call: Invocation, arguments: dict[str, Any]
    ) -> Result:
        await self._admit(operation, call)
        database = self.binder.database_of(call.caller.tenant)
        if not operation.carries_limit:
            return await self._work(operation, call, arguments, database)
        try:
            result = await self._work(operation, call, arguments, database)
        except asyncio.CancelledError:  # nobody waits any more, and the call counts all the same
            await self.aside.run(self.limits.collect(call.caller), patience=0)
            raise
        except BaseException:
            await self.limits.collect(call.caller)
            raise
        await self.limits.collect(call.caller)
        return result

    async def _change(
        self,
        operation: Operation,
        call: Invocation,
        arguments: dict[str, Any],
        limit: asyncio.Timeout,
    ) -> Result:
        """A call that may change something: consent, limits, idempotency, work, audit.

        When it fails, what is given back is decided by what was committed, not by how it failed:
        a cancelled or lost commit may have happened.
        """
        caller, key = call.caller, call.idempotency_key
        digest = digest_of(
            operation.name, call.arguments, self.digest_key if operation.secret_input else b""
        )
        if (
            key
            and (first := await self.idempotency.recall(caller, operation, key, digest)) is not None
        ):
            return _repeated(first)
        approval = await self._consent(operation, call, arguments, digest)
        if approval is not None and approval.status != "granted":
            told = pending(approval)
            return Result(told, orjson.dumps(told), approval)
        database = self.binder.database_of(caller.tenant)
        try:
            await self._admit(operation, call)
            if (
                key
                and (first := await self.idempotency.claim(caller, operation, key, digest))
                is not None
            ):
                if approval is not None:
                    await self.approvals.release(caller.tenant, approval.id)
                return _repeated(first)
            result = await self._committed(operation, call, arguments, digest, approval, database)
        except BaseException:
            if key or approval is not None or _owes(database):
                await self.aside.run(self._given_back(call, approval, database))
            raise
        if key:
            if not limit.expired():
                limit.reschedule(None)  # the change is made: its answer is not late any more
            kept = None if operation.secret else result.text
            await self.aside.run(_tried(self.idempotency.keep(caller, key, kept)))
        return result

    async def _admit(self, operation: Operation, call: Invocation) -> None:
        if not call.house:
            await self.limits.admit(call.caller, operation)

    async def _given_back(
        self, call: Invocation, approval: Approval | None, database: TenantDatabase
    ) -> None:
        """What a failed call took; after what stays of it is written down, in this order."""
        if _owes(database):
            await _tried(database.write(_nothing))
        if call.idempotency_key:
            await _tried(self.idempotency.drop(call.caller, call.idempotency_key))
        if approval is not None:
            await _tried(self.approvals.release(call.caller.tenant, approval.id))

    async def _consent(
        self, operation: Operation, call: Invocation, arguments: dict[str, Any], digest: str
    ) -> Approval | None:
        if isinstance(operation.declared, Tool) and operation.declared.guard:
            operation.declared.guard(call.caller, arguments)
        consent = operation.consent(arguments) if operation.consent else None
        if consent is None:
            return None
        if operation.asks is not None:
            consent = await self._asks(operation.asks, call, arguments)
            if consent is None:
                return None
            digest = digest_of(digest, {"told": consent.summary})
        return await self.approvals.settle(call, operation, digest, consent)

    async def _asks(
        self, looking: Operation, call: Invocation, arguments: dict[str, Any]
    ) -> Consent | None:
        """What a person has to be asked now; raises what would be refused whatever they said."""
        bound = self.binder.bind(call, looking, self.binder.database_of(call.caller.tenant))
        known = {name: arguments[name] for name in looking.inputs.names}
        found: Consent | None = await looking.fn(**bound, **known)
        return found

    async def _committed(
        self,
        operation: Operation,
        call: Invocation,
        arguments: dict[str, Any],
        digest: str,
        approval: Approval | None,
        database: TenantDatabase,
    ) -> Result:
        """The work; its audit entry, idempotency mark and spent approval commit with it."""
        caller, key = call.caller, call.idempotency_key
        database.looking = call.house
        database.trailers.append(self.audit.entry(call, operation, digest))
        if key:
            database.trailers.append(self.idempotency.mark(caller, key))
        if approval is not None:
            database.trailers.append(self.approvals.spend(approval.id))
        call.begun = True
        try:
            result = await self._work(operation, call, arguments, database)
            if database.trailers and (database.changed or not database.looking):
                await database.write(_nothing)
        except TauseError as error:
            if database.changed:
                raise _partly(error) from None
            raise
        return result

    async def _work(
        self,
        operation: Operation,
        call: Invocation,
        arguments: dict[str, Any],
        database: TenantDatabase,
    ) -> Result:
        bound = self.binder.bind(call, operation, database)
        value = operation.fn(**bound, **arguments)
        if operation.kind != "prompt":
            value = await value
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

    def _late(self, operation: Operation, call: Invocation) -> DeadlineExceeded:
        text = f"the call took longer than {self.deadline:g} s"
        if operation.writes:
            looked = "read whether its change was made before you call again"
            text += f": {looked if call.begun else 'nothing was done'}"
        return DeadlineExceeded(text, retry_after=1.0)

    def _crash(self, operation: Operation, call: Invocation, error: BaseException) -> Crash:
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
        if call.arguments.get(name) is not None:
            raise Invalid(f"{name}: works only over stdio, beside the files", field=name)


async def _tried(undo: Awaitable[None]) -> None:
    """Give something back, or keep it; the call's own outcome is what counts."""
    try:
        await undo
    except Exception:
        _log.exception("undo_failed")


def _owes(database: TenantDatabase) -> bool:
    """Whether a change was committed whose trailers were not."""
    return database.changed and bool(database.trailers)


async def _nothing(_: Any) -> None:
    """A transaction of trailers alone: the work kept its data elsewhere."""


def _partly(error: TauseError) -> TauseError:
    """The failure of a call that had already changed something."""
    text = f"{error}; what it had changed before stays: read it before you call again"
    return type(error)(text, field=error.field, retry_after=error.retry_after)


def _repeated(first: dict[str, Any]) -> Result:
    return Result(first, orjson.dumps(first))
