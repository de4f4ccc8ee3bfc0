"""What the sandbox keeps: records in memory, behind one lock."""

from collections import Counter, OrderedDict
from collections.abc import Callable, MutableMapping
from dataclasses import asdict, dataclass, field
from random import Random
from threading import RLock
from typing import Any, TypeVar

from tause_mcp.testing.wompi.clock import Clock, stamp
from tause_mcp.testing.wompi.config import Config, Keys, Rule, letters, rules
from tause_mcp.testing.wompi.errors import full
from tause_mcp.testing.wompi.faults import Faults
from tause_mcp.testing.wompi.ledger import Ledger, opened
from tause_mcp.testing.wompi.outbox import Outbox

FINAL = ("APPROVED", "DECLINED", "ERROR", "VOIDED")

K = TypeVar("K")
V = TypeVar("V")


@dataclass(slots=True)
class Acceptance:
    """One presigned token of the terms or of the personal data."""

    kind: str
    expires_at: float
    used: bool = False


@dataclass(slots=True)
class Otp:
    """The one-time codes of a Daviplata payment or token."""

    bearer: str
    sent: int = 1
    tried: int = 0
    purchases: list[dict[str, Any]] = field(default_factory=list)
    confirmations: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class Token:
    """A tokenised card or wallet. A card's number is not kept: only what it leads to."""

    id: str
    kind: str
    created_at: float
    root: str
    public: dict[str, Any]
    outcome: str
    """What a payment with it comes to."""
    becomes: str = "APPROVED"
    """What the token itself comes to, for those that a person confirms."""
    status: str = "PENDING"
    polls: int = 0
    redirect_url: str | None = None
    three_ds: str = ""
    updated_at: float = 0.0
    otp: Otp | None = None


@dataclass(slots=True)
class Source:
    """A saved payment source."""

    id: int
    token: Token
    customer_email: str
    status: str = "AVAILABLE"
    description: str = ""


@dataclass(slots=True)
class Link:
    """A payment link."""

    id: str
    created_at: float
    updated_at: float
    fields: dict[str, Any]
    active: bool = True
    paid: bool = False


@dataclass(slots=True)
class Transaction:
    """A payment, as stored; `document` is what the API shows of it."""

    id: str
    reference: str
    amount_in_cents: int
    currency: str
    customer_email: str
    method: str
    payment_method: dict[str, Any]
    created_at: float
    root: str
    plan: str | None
    """What its test data lead to; None where only a payer or the control API decides."""
    status: str = "PENDING"
    status_message: str | None = None
    finalized_at: float | None = None
    redirect_url: str | None = None
    payment_source_id: int | None = None
    payment_link_id: str | None = None
    shipping_address: dict[str, Any] | None = None
    customer_data: dict[str, Any] | None = None
    taxes: list[dict[str, Any]] = field(default_factory=list)
    recurrent: bool | None = None
    polls: int = 0
    revealed: bool = False
    otp: Otp | None = None

    @property
    def extra(self) -> dict[str, Any]:
        return self.payment_method["extra"]  # type: ignore[no-any-return]

    def document(self, state: "State") -> dict[str, Any]:
        """The `data` of the API."""
        ended = self.finalized_at
        return {
            "id": self.id,
            "created_at": stamp(self.created_at),
            "finalized_at": None if ended is None else stamp(ended),
            "amount_in_cents": self.amount_in_cents,
            "reference": self.reference,
            "customer_email": self.customer_email,
            "currency": self.currency,
            "payment_method_type": self.method,
            "payment_method": self.payment_method,
            "status": self.status,
            "status_message": self.status_message,
            "billing_data": None,
            "shipping_address": self.shipping_address,
            "redirect_url": self.redirect_url,
            "payment_source_id": self.payment_source_id,
            "payment_link_id": self.payment_link_id,
            "customer_data": self.customer_data,
            "bill_id": None,
            "taxes": self.taxes,
            "tip_in_cents": None,
            "merchant": state.merchant(),
        }


@dataclass(slots=True)
class State:
    """Everything, and the lock that each operation holds from its first look to its last change."""

    config: Config
    clock: Clock
    keys: Keys
    random: Random
    control_token: str
    outbox: Outbox
    lock: RLock = field(default_factory=RLock)
    wake: Callable[[], None] = lambda: None
    """Told when there may be something to send or to settle."""
    transactions: dict[str, Transaction] = field(default_factory=dict)
    by_reference: dict[str, Transaction] = field(default_factory=dict)
    pending: dict[str, Transaction] = field(default_factory=dict)
    creates: Counter[str] = field(default_factory=Counter)
    attempts: Counter[str] = field(default_factory=Counter)
    acceptances: OrderedDict[str, Acceptance] = field(default_factory=OrderedDict)
    tokens: dict[str, Token] = field(default_factory=dict)
    pending_tokens: dict[str, Token] = field(default_factory=dict)
    sources: dict[int, Source] = field(default_factory=dict)
    links: dict[str, Link] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    ledger: Ledger = field(init=False)

    def __post_init__(self) -> None:
        self.ledger = opened(self.config.balance_in_cents, self.uuid)

    def now(self) -> float:
        return self.clock.now()

    def keep(self, things: MutableMapping[K, V], key: K, thing: V) -> V:
        """Store, while there is room."""
        self.room(things)
        things[key] = thing
        return thing

    def room(self, things: MutableMapping[Any, Any]) -> None:
        if len(things) >= self.config.limit:
            raise full()

    def rule(self, method: str) -> Rule:
        known = rules(self.config.resolve_after)
        return known.get(method, known["*"])

    def merchant(self) -> dict[str, Any]:
        """The merchant inside a transaction."""
        told = asdict(self.config.merchant)
        return {**told, "public_key": self.keys.public}

    def transaction_id(self) -> str:
        """`<merchant>-<epoch>-<5 digits>`, as real ones look."""
        while True:
            number = self.random.randint(10_000, 99_999)
            made = f"{self.config.merchant.id}-{int(self.now())}-{number}"
            if made not in self.transactions:
                return made

    def digits(self, length: int) -> str:
        return str(self.random.randint(10 ** (length - 1), 10**length - 1))

    def letters(self, length: int) -> str:
        return letters(self.random, length)

    def uuid(self) -> str:
        return "-".join(f"{self.random.getrandbits(4 * n):0{n}x}" for n in (8, 4, 4, 4, 12))

    def clear(self) -> None:
        """Forget everything but keys, configuration and time."""
        things: tuple[MutableMapping[Any, Any], ...] = (
            self.transactions,
            self.by_reference,
            self.pending,
            self.creates,
            self.attempts,
            self.acceptances,
            self.tokens,
            self.pending_tokens,
            self.sources,
            self.links,
        )
        for kept in things:
            kept.clear()
        self.outbox.clear()
        self.faults.asked.clear()
        self.ledger = opened(self.config.balance_in_cents, self.uuid)
