"""What travels through the pipeline, and what each of its steps is made of."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from tause_mcp.capability import Consent
from tause_mcp.database import TenantDatabase, Work
from tause_mcp.errors import Forbidden
from tause_mcp.operation import WAITING, Operation
from tause_mcp.tenancy import Caller, TenantId


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


def pending(approval: Approval) -> dict[str, Any]:
    """The result of a call that waits for a person."""
    return {
        "status": WAITING,
        "id": approval.id,
        "url": approval.url,
        "command": f"tause-mcp approvals approve {approval.id}",
        "summary": approval.summary,
        "expires_at": approval.expires_at,
    }


def refuse(reason: str) -> Forbidden:
    """A person said no."""
    return Forbidden(f"a person refused this call: {reason}")


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
    house: bool = False
    """Nobody called: the house looks after something of the tenant's by itself. It takes nothing of
    the tenant's rate and usage, and is recorded only where it changed something."""
    waited: float = 0.0
    """Seconds of the deadline that proving who calls took."""
    begun: bool = False
    """Its work has begun: if it is late, it may have changed something."""


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

    def require_configured(self, tenant: TenantId, capability: str) -> None:
        """Raise `Unconfigured`, with what to do, while an active tenant lacks something for it."""
        ...


class Limits(Protocol):
    async def admit(self, caller: Caller, operation: Operation) -> None:
        """Count the call against the tenant's rate and quota, or raise with `retry_after`."""
        ...

    async def collect(self, caller: Caller) -> None:
        """Count what an operation was to count in its own question, and did not."""
        ...


class Approvals(Protocol):
    async def settle(
        self, call: Invocation, operation: Operation, digest: str, consent: Consent
    ) -> Approval:
        """The call's approval: status `granted` (now consumed), `pending`, or raise `AskPerson`."""
        ...

    def spend(self, approval_id: str) -> Work[None]:
        """Trailer: the approved change is committed; the approval is never given back."""
        ...

    async def release(self, tenant: TenantId, approval_id: str) -> None:
        """The work failed: unless it was spent, the approval may be used again."""
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
        """The work failed: unless the key is marked, it is free again; else its answer is lost."""
        ...


class AuditTrail(Protocol):
    def entry(self, call: Invocation, operation: Operation, digest: str) -> Work[None]:
        """Trailer: the call's line in its tenant's chain."""
        ...


class Meter(Protocol):
    def count(
        self, tenant: TenantId, operation: Operation, seconds: float, ok: bool, size: int
    ) -> None: ...


class Watch(Protocol):
    """Counts calls for the operator's instruments."""

    def began(self, tenant: TenantId) -> None:
        """A call begins; `tenant` is for its span, if at all."""
        ...

    def ended(self, capability: str, outcome: str, seconds: float) -> None:
        """`outcome` is `ok`, an error's code, `internal` or `cancelled`."""
        ...


class Binder(Protocol):
    """Makes the services of one call."""

    def bind(
        self, call: Invocation, operation: Operation, database: TenantDatabase
    ) -> dict[str, Any]: ...

    def database_of(self, tenant: TenantId) -> TenantDatabase: ...

    async def spill(self, call: Invocation, operation: Operation, text: bytes) -> dict[str, Any]:
        """Store a large result; `{preview, key, size, url}`."""
        ...
