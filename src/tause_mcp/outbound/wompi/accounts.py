"""Whose keys, and where they may go: a sandbox (replaceable by the operator), or production.

The keys say the environment by their prefix. A set is taken whole or not at all, of one
environment, and a production key never goes anywhere but to Wompi's production.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from tause_mcp.errors import Unconfigured
from tause_mcp.outbound.client import Credential
from tause_mcp.settings import WOMPI_PRODUCTION, Settings

Environment = Literal["test", "prod"]

SANDBOX = "https://sandbox.wompi.co/v1"
CHECKOUT = "https://checkout.wompi.co"
PAYOUTS_SANDBOX = "https://api.sandbox.payouts.wompi.co"
PAYOUTS_PRODUCTION = "https://api.payouts.wompi.co"

_SHAPES = {
    "public_key": re.compile(r"pub_(test|prod)_\w+", re.ASCII),
    "private_key": re.compile(r"prv_(test|prod)_\w+", re.ASCII),
    "integrity_secret": re.compile(r"(test|prod)_integrity_\w+", re.ASCII),
    "events_secret": re.compile(r"(test|prod)_events_\w+", re.ASCII),
}
_HEADER = re.compile(r"[\x21-\x7e]{1,512}")


@dataclass(frozen=True, slots=True, repr=False)
class Account:
    """A merchant's account at Wompi. Made by `of` or `installation`, which check it."""

    public_key: str
    private_key: str
    integrity_secret: str
    events_secrets: tuple[str, ...]
    base_url: str
    checkout_url: str

    def __repr__(self) -> str:
        return f"Account(environment={self.environment!r})"

    @property
    def environment(self) -> Environment:
        """By the prefix of the public key."""
        return "prod" if self.public_key.startswith("pub_prod_") else "test"

    @property
    def public(self) -> Credential:
        return _bearer(self.base_url, self.public_key)

    @property
    def private(self) -> Credential:
        return _bearer(self.base_url, self.private_key)

    @classmethod
    def of(
        cls,
        settings: Settings,
        *,
        public_key: str,
        private_key: str,
        integrity_secret: str,
        events_secrets: Iterable[str],
    ) -> "Account":
        """An account with a tenant's own keys. Several events secrets while one is rotated.

        Raises:
            Unconfigured: naming the keys at fault, never a value.
        """
        events = tuple(events_secrets)
        keys = [
            ("public_key", public_key),
            ("private_key", private_key),
            ("integrity_secret", integrity_secret),
            *(("events_secret", secret) for secret in events or ("",)),
        ]
        production = _one_environment(keys) == "prod"
        return cls(
            public_key=public_key,
            private_key=private_key,
            integrity_secret=integrity_secret,
            events_secrets=events,
            base_url=WOMPI_PRODUCTION if production else _sandbox(settings),
            checkout_url=CHECKOUT if production else settings.wompi_checkout_url or CHECKOUT,
        )

    @classmethod
    def installation(cls, settings: Settings) -> "Account | None":
        """The installation's own account, by the `WOMPI_*` settings; None when it has none."""
        if not settings.wompi_public_key:
            return None
        return cls.of(
            settings,
            public_key=settings.wompi_public_key,
            private_key=settings.wompi_private_key,
            integrity_secret=settings.wompi_integrity_secret,
            events_secrets=(settings.wompi_events_secret,),
        )


@dataclass(frozen=True, slots=True, repr=False)
class PayoutsAccount:
    """An account for paying third parties. Its keys name no environment, so it is stated."""

    api_key: str
    user_principal_id: str
    environment: Environment
    base_url: str
    events_secrets: tuple[str, ...] = field(default=())

    def __repr__(self) -> str:
        return f"PayoutsAccount(environment={self.environment!r})"

    @property
    def credential(self) -> Credential:
        return Credential(
            self.base_url,
            {"x-api-key": self.api_key, "user-principal-id": self.user_principal_id},
        )

    @classmethod
    def of(
        cls,
        settings: Settings,
        *,
        api_key: str,
        user_principal_id: str,
        environment: str,
        events_secrets: Iterable[str] = (),
    ) -> "PayoutsAccount":
        """A tenant's own; there is no installation's.

        Raises:
            Unconfigured: naming the keys at fault, never a value.
        """
        told = {"api_key": api_key, "user_principal_id": user_principal_id}
        wrong = [f"payouts.wompi.{k}" for k, value in told.items() if not _HEADER.fullmatch(value)]
        if environment not in ("test", "prod"):
            wrong.append("payouts.wompi.environment (test or prod)")
        if wrong:
            raise Unconfigured(f"{_listed(wrong)}: missing or malformed; set them again")
        production = environment == "prod"
        sandbox = settings.wompi_payouts_url or PAYOUTS_SANDBOX
        return cls(
            api_key=api_key,
            user_principal_id=user_principal_id,
            environment="prod" if production else "test",
            base_url=PAYOUTS_PRODUCTION if production else sandbox,
            events_secrets=tuple(events_secrets),
        )


def _one_environment(keys: Iterable[tuple[str, str]]) -> str:
    """The environment that all keys are of."""
    found: dict[str, str] = {}
    wrong: list[str] = []
    for name, value in keys:
        shape = _SHAPES[name].fullmatch(value)
        at = f"payments.wompi.{name}"
        if shape is None:
            wrong.append(at)
        elif found.get(at, shape[1]) != shape[1]:
            found[at] = "mixed"
        else:
            found[at] = shape[1]
    if wrong:
        raise Unconfigured(f"{_listed(wrong)}: missing, or not a key of Wompi's of that kind")
    if len(set(found.values())) > 1 or "mixed" in found.values():
        raise Unconfigured(
            f"Wompi's keys are of two environments: {_told(found)}; take all from the same page"
        )
    return found["payments.wompi.public_key"]


def _told(found: Mapping[str, str]) -> str:
    return ", ".join(f"{name} is {environment}" for name, environment in found.items())


def _listed(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))


def _sandbox(settings: Settings) -> str:
    replaced = settings.wompi_base_url
    return SANDBOX if replaced in ("", WOMPI_PRODUCTION) else replaced


def _bearer(origin: str, key: str) -> Credential:
    return Credential(origin, {"authorization": f"Bearer {key}"})
