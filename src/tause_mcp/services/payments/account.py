"""Whose Wompi account a tenant collects with: its own keys as a whole, or the installation's."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from tause_mcp.capability import Binding, Key
from tause_mcp.errors import NotFound, Unconfigured
from tause_mcp.intents import Directory
from tause_mcp.outbound import Outbound
from tause_mcp.outbound.wompi import Account, Bank, Wompi
from tause_mcp.services.secrets import Secrets
from tause_mcp.settings import Settings

_PREFIX = "payments.wompi."
KEYS: Mapping[str, Key] = {
    f"{_PREFIX}public_key": Key(
        "string",
        pattern=r"pub_(test|prod)_\w+",
        scope="tenants:admin",
        about="Wompi's public key, of the merchant that collects",
    ),
    f"{_PREFIX}private_key": Key(
        "secret", scope="tenants:admin", about="Wompi's private key of the same environment"
    ),
    f"{_PREFIX}integrity_secret": Key(
        "secret", scope="tenants:admin", about="Wompi's secret that signs what goes out"
    ),
    f"{_PREFIX}events_secret": Key(
        "secret", scope="tenants:admin", about="Wompi's secret that its events are checked by"
    ),
}
"""What a tenant sets to collect into its own account."""
_DO = (
    "payments need Wompi's four keys: set "
    + ", ".join(KEYS)
    + " with tenants_configure (the last three as secret://name), or the operator sets WOMPI_*"
)


def lacks(settings: Settings, values: Mapping[str, Any]) -> str | None:
    """What a tenant lacks for payments, and what to do; None: nothing."""
    stated = [name for name in KEYS if values.get(name) is not None]
    if len(stated) == len(KEYS):
        return None
    if stated:
        missing = [name for name in KEYS if name not in stated]
        return f"payments lack {', '.join(missing)}: set them with tenants_configure"
    return None if settings.wompi_public_key else _DO


class Shelf:
    """What a process has one of: the client, and the banks of each account, cached for a day."""

    def __init__(self, client: Outbound) -> None:
        self.client = client
        self._banks: Directory[list[Bank]] = Directory()

    async def banks(self, wompi: Wompi) -> list[Bank]:
        """The banks of PSE. When Wompi cannot be asked, those of at most a week ago.

        Raises:
            Unavailable: it cannot be asked, and never was. Unconfigured.
        """
        at = (wompi.account.base_url, wompi.account.public_key)
        return await self._banks.of(at, wompi.banks)


@asynccontextmanager
async def open_shelf(url: str) -> AsyncIterator[Shelf]:
    """The client of this process; where it may go is Wompi's hosts, or what the operator says."""
    async with Outbound(trusted=True) as client:
        yield Shelf(client)


async def account_of(binding: Binding) -> Account:
    """The account in force for a tenant: its own keys as a whole set, else the installation's.

    Raises:
        Unconfigured: naming what is missing or wrong, never a value.
    """
    stated = {name.removeprefix(_PREFIX): binding.value(name) for name in KEYS}
    text = lacks(binding.settings, {f"{_PREFIX}{name}": held for name, held in stated.items()})
    if text is not None:
        raise Unconfigured(text)
    if stated["public_key"] is None:
        found = Account.installation(binding.settings)
        assert found is not None, "`lacks` said that it is there"
        return found
    secrets = binding.service(Secrets)
    try:
        return Account.of(
            binding.settings,
            public_key=stated["public_key"],
            private_key=await secrets.resolve(stated["private_key"]),
            integrity_secret=await secrets.resolve(stated["integrity_secret"]),
            events_secrets=await secrets.accepted(stated["events_secret"]),
        )
    except NotFound as gone:
        raise Unconfigured(f"{_PREFIX}*: {gone}") from None


async def wompi_of(binding: Binding) -> Wompi:
    """Wompi with the account in force; no request is made."""
    shelf: Shelf = binding.backend("payments")
    return Wompi(await account_of(binding), shelf.client)


class Banks:
    """The banks of PSE, for one tenant's account."""

    def __init__(self, binding: Binding) -> None:
        self._binding = binding

    async def list(self) -> list[Bank]:
        """Every bank, by name.

        Raises:
            Unavailable, Unconfigured.
        """
        shelf: Shelf = self._binding.backend("payments")
        found = await shelf.banks(await wompi_of(self._binding))
        return sorted(found, key=lambda bank: bank.name)
