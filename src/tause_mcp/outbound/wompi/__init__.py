"""Wompi: payments and payouts in Colombian pesos, over the guarded client (docs.wompi.co)."""

from tause_mcp.outbound.wompi.accounts import Account, Environment, PayoutsAccount
from tause_mcp.outbound.wompi.errors import (
    KeysRefused,
    NotSent,
    ReferenceUsed,
    Refused,
    Rejected,
    StaleTerms,
    Uncertain,
)
from tause_mcp.outbound.wompi.events import Event, read_event
from tause_mcp.outbound.wompi.payments import Wompi
from tause_mcp.outbound.wompi.payout_values import (
    FundingAccount,
    Limits,
    MadePayout,
    NewPayout,
    Paid,
    Payee,
    Payout,
    PayoutBank,
    ResolvedKey,
)
from tause_mcp.outbound.wompi.payouts import Payouts
from tause_mcp.outbound.wompi.signatures import integrity
from tause_mcp.outbound.wompi.values import (
    MINIMUM,
    Bank,
    Charge,
    Customer,
    Link,
    Merchant,
    Method,
    NewLink,
    Source,
    Terms,
    Transaction,
)

__all__ = [
    "MINIMUM",
    "Account",
    "Bank",
    "Charge",
    "Customer",
    "Environment",
    "Event",
    "FundingAccount",
    "KeysRefused",
    "Limits",
    "Link",
    "MadePayout",
    "Merchant",
    "Method",
    "NewLink",
    "NewPayout",
    "NotSent",
    "Paid",
    "Payee",
    "Payout",
    "PayoutBank",
    "Payouts",
    "PayoutsAccount",
    "ReferenceUsed",
    "Refused",
    "Rejected",
    "ResolvedKey",
    "Source",
    "StaleTerms",
    "Terms",
    "Transaction",
    "Uncertain",
    "Wompi",
    "integrity",
    "read_event",
]
