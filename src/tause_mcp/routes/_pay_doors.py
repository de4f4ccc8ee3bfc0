"""What a payer may make the house do: operations in no catalogue, walked through the pipeline like
every other, each as a caller that is that link and nothing more."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from tause_mcp.capability import Resource, Tool
from tause_mcp.cards import without_cards
from tause_mcp.operation import Operation, compile_operation
from tause_mcp.pipeline import Invocation
from tause_mcp.services.payments import (
    Banks,
    Completion,
    Payment,
    Payments,
    SavedSource,
    Sources,
    Terms,
)
from tause_mcp.tenancy import Caller, Scopes, TenantId

_LINK = re.compile(r"([a-z0-9][a-z0-9_-]{1,62})\.((?:pay|src)_[0-9a-f]{32})")
_READ, _ACCEPT, _WRITE = "payments:read", "payments:accept", "payments:write"

Text = Annotated[str, Field(max_length=200)]
Address = Annotated[str, Field(max_length=2000)]
Person = Literal["", "natural", "juridica"]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the form of a payer is made of. `lacking`: what only the payer can add."""

    merchant: str
    terms: Terms
    lacking: tuple[str, ...]
    banks: Mapping[str, str]


async def payments_show(payments: Payments, sources: Sources, id: Text) -> Payment | SavedSource:  # noqa: A002
    """What the link is for, as it stands."""
    return await (sources.get(id) if id.startswith("src_") else payments.get(id))


async def payments_ask(payments: Payments, banks: Banks, id: Text) -> Asked:  # noqa: A002
    """The merchant's terms of now, and what is asked of the payer besides."""
    merchant, terms = await payments.terms()
    lacking = () if id.startswith("src_") else await payments.lacking(id)
    known = await banks.list() if "bank_code" in lacking else []
    return Asked(merchant, terms, lacking, {bank.code: bank.name for bank in known})


async def payments_qr(payments: Payments, id: Text) -> str:  # noqa: A002
    """The QR code of a pending payment."""
    return await payments.qr_image(id)


async def payments_accept(
    payments: Payments,
    sources: Sources,
    id: Text,  # noqa: A002
    policy_url: Address,
    personal_data_url: Address,
    evidence: Annotated[str, Field(max_length=500)],
    bank_code: Text = "",
    person_type: Person = "",
    full_name: Text = "",
    phone: Text = "",
    document_type: Text = "",
    document: Text = "",
) -> dict[str, str]:
    """The payer accepts both terms, and adds what was missing: it is sent, once."""
    terms = Terms(policy_url, personal_data_url)
    if id.startswith("src_"):
        return {"status": (await sources.accept(id, terms, evidence)).status}
    given = Completion(
        bank_code=bank_code or None,
        person_type=person_type or None,
        full_name=full_name or None,
        phone=phone or None,
        document_type=document_type or None,
        document=document or None,
    )
    return {"status": (await payments.accept(id, terms, evidence, given)).status}


class Operations:
    """Compiled once for each door."""

    def __init__(self, platform: Any) -> None:
        services = frozenset(platform.catalog.services)

        def compiled(declared: Tool | Resource, *unscreened: str) -> Operation:
            return compile_operation(declared, "payments", services, without_cards(*unscreened))

        def read(fn: Any) -> Operation:
            return compiled(Resource(fn, "", fn.__name__, _READ))

        self.show, self.ask, self.qr = map(read, (payments_show, payments_ask, payments_qr))
        accept = Tool(payments_accept, "Accept and pay", _ACCEPT, secret_input=True)
        self.accept = compiled(accept, "evidence")
        self.reconcile: Operation = platform.catalog.tools["payments_reconcile"]


@dataclass(frozen=True, slots=True)
class Visit:
    """One request by one link, bound to its tenant."""

    platform: Any
    operations: Operations
    caller: Caller
    id: str
    door: str

    async def run(self, operation: Operation, **arguments: Any) -> Any:
        call = Invocation(self.caller, {"id": self.id, **arguments}, door=self.door)
        return (await self.platform.pipeline.run(operation, call)).value


def payer(platform: Any, operations: Operations, link: str) -> Visit | None:
    """Whoever holds a pay link; None when it is the text of no link."""
    found = _LINK.fullmatch(link)
    if found is None:
        return None
    scopes = Scopes(frozenset({_READ, _ACCEPT, _WRITE}))
    caller = Caller(f"payer:{found[2]}", TenantId(found[1]), scopes, issuer="pay")
    return Visit(platform, operations, caller, found[2], "pay")
