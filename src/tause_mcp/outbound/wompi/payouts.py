"""Wompi's payouts API ("Pagos a Terceros") and Bre-B keys, for one account.

Bank batches live in version 1 of the API and those with a Bre-B key in version 2. A batch is sent
once; its idempotency key and its reference find it again.
"""

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from tause_mcp.errors import Invalid
from tause_mcp.outbound.client import Outbound
from tause_mcp.outbound.paths import expand
from tause_mcp.outbound.wompi import payout_reading as reading
from tause_mcp.outbound.wompi.accounts import PayoutsAccount
from tause_mcp.outbound.wompi.api import Api, unclear, unreadable
from tause_mcp.outbound.wompi.payout_refusals import DIALECT
from tause_mcp.outbound.wompi.payout_values import (
    FundingAccount,
    KeyKind,
    Limits,
    MadePayout,
    NewPayout,
    Paid,
    Payee,
    Payout,
    PayoutBank,
    ResolvedKey,
)

T = TypeVar("T")

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_ONCE = re.compile(r"[A-Za-z0-9-]{1,64}")
_MOST_PAGES = 100
_ACCOUNTS = {"savings": "AHORROS", "checking": "CORRIENTE", "deposit": "DEPOSITO_ELECTRONICO"}


class Payouts:
    """One account over one client; it fails as `Wompi` does."""

    def __init__(self, account: PayoutsAccount, client: Outbound) -> None:
        self.account = account
        self._api = Api(client, account.base_url, DIALECT)

    async def banks(self) -> list[PayoutBank]:
        """The banks that can be paid into."""
        return _read(reading.banks(await self._get("/v1/banks")))

    async def accounts(self) -> list[FundingAccount]:
        """Our accounts that pay, with their balances."""
        return _read(reading.accounts(await self._get("/v1/accounts")))

    async def limits(self) -> Limits:
        """What may still be paid today."""
        return reading.limits(await self._get("/v1/limits"))

    async def create(self, idempotency_key: str, payout: NewPayout) -> MadePayout:
        """Send a batch. Wompi takes an idempotency key (letters, digits, hyphens, at most 64) once
        in 24 hours.

        Raises:
            ReferenceUsed: the key was taken: look the batch up by its reference.
        """
        if not _ONCE.fullmatch(idempotency_key):
            raise Invalid("the idempotency key holds letters, digits and hyphens, at most 64")
        told = await self._api.send(
            "POST",
            f"/{_version(payout.keyed)}/payouts",
            _written(payout),
            credential=self.account.credential,
            headers={"idempotency-key": idempotency_key},
        )
        found = reading.made(told)
        if found is None:
            raise unclear()
        return found

    async def payout(self, payout_id: str, *, keyed: bool = False) -> Payout | None:
        """A batch; None when there is none. `keyed`: it was made with a Bre-B key."""
        if not _ID.fullmatch(payout_id):
            return None
        path = expand("/payouts/{id}", id=payout_id)
        told = await self._get(f"/{_version(keyed)}{path}", absent=True)
        if told is None:
            return None
        found = reading.payout(reading.payload(told))
        if found is None or found.id != payout_id:
            raise unreadable()
        return found

    async def by_reference(self, reference: str) -> list[Payout]:
        """The batches of a reference: none or one, unless it was sent twice."""
        records = await self._records("/v1/payouts", {"reference": reference})
        found = [reading.payout(record) for record in records]
        # A filter that was not applied must never read as "there is no such reference".
        if any(one is None or one.reference != reference for one in found):
            raise unreadable()
        return [one for one in found if one is not None]

    async def transactions(self, payout_id: str, *, keyed: bool = False) -> list[Paid]:
        """The payees of a batch, each with what became of it."""
        path = expand("/payouts/{id}/transactions", id=payout_id)
        found = [reading.paid(one) for one in await self._records(f"/{_version(keyed)}{path}", {})]
        if any(one is None for one in found):
            raise unreadable()
        return [one for one in found if one is not None]

    async def resolve_key(self, key: str, kind: KeyKind = "") -> ResolvedKey | None:
        """Whose a Bre-B key is; None when nobody has it. Without a `kind` Wompi guesses it: a
        phone may be a document.

        Raises:
            Rejected: it is no key, or not active.
        """
        path = expand("/v2/breb/keys/resolve/{key}", key=key)
        query = {"keyType": kind.upper()} if kind else {}
        told = await self._get(path, query, absent=True)
        return None if told is None else _read(reading.resolved(told))

    async def _get(
        self, path: str, query: Mapping[str, str] | None = None, *, absent: bool = False
    ) -> Any:
        return await self._api.read(
            path, query=query, credential=self.account.credential, absent=absent
        )

    async def _records(self, path: str, query: Mapping[str, str]) -> list[Mapping[str, Any]]:
        """Every record of every page."""
        found: list[Mapping[str, Any]] = []
        for page in range(1, _MOST_PAGES + 1):
            told = await self._get(path, {**query, "page": str(page)})
            records, total = reading.page(told)
            if records is None:
                raise unreadable()
            found += records
            if len(found) >= total or not records:
                return found
        raise unreadable()


def _version(keyed: bool) -> str:
    return "v2" if keyed else "v1"


def _written(payout: NewPayout) -> dict[str, Any]:
    body: dict[str, Any] = {
        "reference": payout.reference,
        "accountId": payout.account_id,
        "paymentType": payout.payment_type.upper(),
        "transactions": [_payee(payee) for payee in payout.payees],
    }
    return body | ({"transactionStatus": payout.outcome} if payout.outcome else {})


def _payee(payee: Payee) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": payee.name,
        "amount": payee.amount,
        "email": payee.email,
        "reference": payee.reference,
        "description": payee.description,
        "key": payee.key,
    }
    if payee.document:
        kind = payee.document_type
        told |= {"legalIdType": "PP" if kind == "PA" else kind, "legalId": payee.document}
    if not payee.key:
        told |= {
            "bankId": payee.bank_id,
            "accountType": _ACCOUNTS[payee.account_type],
            "accountNumber": payee.account_number,
        }
    return {name: value for name, value in told.items() if value != ""}


def _read(found: T | None) -> T:
    """What a read answered, or the failure that it is."""
    if found is None:
        raise unreadable()
    return found
