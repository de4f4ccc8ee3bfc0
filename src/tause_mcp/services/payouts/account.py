"""Whose account pays: the tenant's own keys, and nobody else's."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from tause_mcp.capability import Binding, Key
from tause_mcp.errors import NotFound, Unconfigured
from tause_mcp.intents import Directory
from tause_mcp.outbound import Outbound
from tause_mcp.outbound.wompi import PayoutBank, Payouts, PayoutsAccount
from tause_mcp.services.secrets import Secrets
from tause_mcp.settings import Settings

_PREFIX = "payouts.wompi."
KEYS: Mapping[str, Key] = {
    f"{_PREFIX}api_key": Key(
        "secret", scope="tenants:admin", about="Wompi's API key for paying third parties"
    ),
    f"{_PREFIX}user_principal_id": Key(
        "secret", scope="tenants:admin", about="Wompi's user-principal-id beside that key"
    ),
    f"{_PREFIX}environment": Key(
        "string", pattern=r"test|prod", scope="tenants:admin", about="where both keys are of"
    ),
    f"{_PREFIX}events_secret": Key(
        "secret",
        scope="tenants:admin",
        about="Wompi's secret that events of payouts are checked by",
    ),
}
"""What a tenant sets to pay from its own account. There is no installation's: money never leaves by
a setting that somebody else made."""
NEEDED = tuple(name for name in KEYS if not name.endswith("events_secret"))
_DO = (
    "payouts need the tenant's own keys of Wompi's Pagos a Terceros: set "
    + ", ".join(NEEDED)
    + " with tenants_configure (the first two as secret://name)"
)


def lacks(settings: Settings, values: Mapping[str, Any]) -> str | None:
    """What a tenant lacks for payouts, and what to do; None: nothing."""
    missing = [name for name in NEEDED if values.get(name) is None]
    if not missing:
        return None
    if len(missing) == len(NEEDED):
        return _DO
    return f"payouts lack {', '.join(missing)}: set them with tenants_configure"


class Shelf:
    """What a process has one of: the client, and the banks of each environment, for a day."""

    def __init__(self, client: Outbound) -> None:
        self.client = client
        self._banks: Directory[list[PayoutBank]] = Directory()

    async def banks(self, wompi: Payouts) -> list[PayoutBank]:
        """The banks that can be paid into, by name. When Wompi cannot be asked, those of at most a
        week ago.

        Raises:
            Unavailable: it cannot be asked, and never was. Unconfigured.
        """

        async def ask() -> list[PayoutBank]:
            return sorted(await wompi.banks(), key=lambda bank: bank.name)

        return await self._banks.of(wompi.account.base_url, ask)


@asynccontextmanager
async def open_shelf(url: str) -> AsyncIterator[Shelf]:
    """The client of this process; where it may go is Wompi's hosts, or what the operator says."""
    async with Outbound(trusted=True) as client:
        yield Shelf(client)


async def account(binding: Binding) -> PayoutsAccount:
    """The account in force for a tenant, by its own keys.

    Raises:
        Unconfigured: naming what is missing or wrong, never a value.
    """
    told = {name: binding.value(name) for name in KEYS}
    text = lacks(binding.settings, told)
    if text is not None:
        raise Unconfigured(text)
    stated = {name.removeprefix(_PREFIX): value for name, value in told.items()}
    secrets, events = binding.service(Secrets), stated["events_secret"]
    try:
        return PayoutsAccount.of(
            binding.settings,
            api_key=await secrets.resolve(stated["api_key"]),
            user_principal_id=await secrets.resolve(stated["user_principal_id"]),
            environment=stated["environment"],
            events_secrets=() if events is None else await secrets.accepted(events),
        )
    except NotFound as gone:
        raise Unconfigured(f"{_PREFIX}*: {gone}") from None


async def wompi(binding: Binding) -> Payouts:
    """Wompi's payouts with the account in force; no request is made."""
    shelf: Shelf = binding.backend("payouts")
    return Payouts(await account(binding), shelf.client)
