"""What a sandbox is made with: keys, merchant, methods, and how payments come to their end."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from random import Random
from types import NoneType
from typing import Literal

METHODS = (
    "CARD",
    "NEQUI",
    "PSE",
    "BANCOLOMBIA_TRANSFER",
    "BANCOLOMBIA_QR",
    "BANCOLOMBIA_COLLECT",
    "PCOL",
    "BANCOLOMBIA_BNPL",
    "DAVIPLATA",
    "SU_PLUS",
)
"""Every payment method that the double knows."""

PRODUCTION = re.compile(r"(?:pub|prv)_prod_\w*|prod_(?:events|integrity)_\w*")
"""A key of the other environment. Nothing of this kind is ever taken."""

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def letters(random: Random, length: int) -> str:
    """So many letters and digits."""
    return "".join(random.choices(_LETTERS, k=length))


@dataclass(frozen=True, slots=True)
class Keys:
    """Every credential of the double's one merchant."""

    public: str
    private: str
    events: str
    integrity: str
    payouts_api: str
    payouts_principal: str
    payouts_events: str

    def __post_init__(self) -> None:
        for name in (f.name for f in fields(self)):
            _refuse_production(name, getattr(self, name))
        for name, start in _STARTS.items():
            if not re.fullmatch(rf"{start}[A-Za-z0-9]+", getattr(self, name)):
                raise ValueError(f"keys.{name}: must be {start} and letters or digits")

    @classmethod
    def of(cls, seed: int) -> "Keys":
        """The keys of a seed: the same ones each time."""
        made = Random(f"keys of {seed}")  # noqa: S311  # of a test double, meant to be repeatable
        named = {name: start + letters(made, 32) for name, start in _STARTS.items()}
        principal = "-".join(f"{made.getrandbits(4 * n):0{n}x}" for n in (8, 4, 4, 4, 12))
        return cls(payouts_principal=principal, **named)


_STARTS = {
    "public": "pub_test_",
    "private": "prv_test_",
    "events": "test_events_",
    "integrity": "test_integrity_",
    "payouts_api": "test_payouts_",
    "payouts_events": "test_events_",
}


def _refuse_production(name: str, value: str) -> None:
    if PRODUCTION.search(value):
        raise ValueError(f"keys.{name}: a production key; the sandbox takes none")


@dataclass(frozen=True, slots=True)
class Merchant:
    """Who is paid, as `GET /merchants/{key}` and every transaction tell it."""

    id: int = 19208
    name: str = "Tienda de prueba"
    legal_name: str = "Tienda de Prueba SAS"
    legal_id: str = "901234567-1"
    legal_id_type: str = "NIT"
    contact_name: str = "Ana Prueba"
    phone_number: str = "+573001112233"
    email: str = "tienda@example.com"
    logo_url: str | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """When a pending thing comes to the end that its test data name."""

    kind: Literal["manual", "polls", "seconds"]
    amount: float = 0

    @classmethod
    def of(cls, text: str) -> "Rule":
        """`manual`, `polls:N` (N whole, at least 1) or `seconds:S`."""
        kind, _, amount = text.strip().partition(":")
        if kind == "manual" and not amount:
            return cls("manual")
        if kind == "polls" and re.fullmatch(r"[1-9]\d{0,5}", amount):
            return cls("polls", int(amount))
        if kind == "seconds" and re.fullmatch(r"\d{1,8}(\.\d{1,6})?", amount):
            return cls("seconds", float(amount))
        raise ValueError(f"resolve_after: {text!r} is none of manual, polls:N, seconds:S")


@cache
def rules(text: str) -> Mapping[str, Rule]:
    """`polls:1,PSE=manual` -> a rule for each method named, and `*` for all others."""
    found = {"*": Rule("manual")}
    for part in text.split(","):
        name, given, rule = part.rpartition("=")
        name = name.strip() if given else "*"
        if name not in ("*", "PAYOUT", *METHODS):
            raise ValueError(f"resolve_after: no method {name!r}")
        found[name] = Rule.of(rule)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """How a sandbox behaves.

    Raises:
        ValueError: a production key, an unknown method, a rule or URL that cannot be read.
    """

    seed: int = 0
    """Of the ids, and of the keys where none are given."""
    keys: Keys | None = None
    merchant: Merchant = field(default_factory=Merchant)
    methods: tuple[str, ...] = METHODS
    """The enabled ones."""
    webhook_url: str | None = None
    payouts_webhook_url: str | None = None
    """Default: `webhook_url`."""
    auto_deliver: bool = True
    """Served, it sends events by itself; otherwise only `deliver` does."""
    resolve_after: str = "polls:1,PSE=manual"
    """When a payment comes to the end of its test data: `manual` (a page or the control API),
    `polls:N` (reads) or `seconds:S` (of its own clock), and per method: `polls:1,PSE=manual`."""
    url_after: int = 1
    """The read that first shows a redirect URL; it is never in the answer to a create."""
    pse_url_stage: bool = True
    """PSE shows its URL while it is still pending. Off: URL and end at once, as measured."""
    strict_personal_auth: bool = True
    """`accept_personal_auth` must be there. The real one's strictness is not known."""
    void_body: bool = True
    """A void answers with a body. Off: an empty 201, as its specification says."""
    latency: float = 0.0
    """Seconds before each answer of the API."""
    limit: int = 10_000
    """Of each kind of thing that is kept."""
    body_limit: int = 65_536
    balance_in_cents: int = 1_000_000_000
    """Of the account that pays payouts."""
    control_token: str | None = None
    """Of the control API. Default: a random one."""

    def __post_init__(self) -> None:
        for name, kinds in _KINDS.items():
            if type(getattr(self, name)) not in kinds:
                raise ValueError(f"{name}: must be {kinds[0].__name__}")
        rules(self.resolve_after)
        if strange := {str(m) for m in self.methods} - set(METHODS):
            raise ValueError(f"methods: no method {min(strange)!r}")
        for name in ("webhook_url", "payouts_webhook_url"):
            url = getattr(self, name)
            if url is not None and not re.match(r"https?://[^\s/?#]+", url):
                raise ValueError(f"{name}: must be an http or https URL")
        for name in ("limit", "body_limit", "url_after"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: must be at least 1")
        if not 0 <= self.latency <= 60:
            raise ValueError("latency: from 0 to 60 seconds")


_KINDS: Mapping[str, tuple[type, ...]] = {
    "seed": (int,),
    "methods": (tuple,),
    "webhook_url": (str, NoneType),
    "payouts_webhook_url": (str, NoneType),
    "auto_deliver": (bool,),
    "resolve_after": (str,),
    "url_after": (int,),
    "pse_url_stage": (bool,),
    "strict_personal_auth": (bool,),
    "void_body": (bool,),
    "latency": (float, int),
    "limit": (int,),
    "body_limit": (int,),
    "balance_in_cents": (int,),
}
