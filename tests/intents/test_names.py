"""What is known at a provider under a name stays known by it: these are of the first release."""

import pytest

from tause_mcp.sealing import Seal
from tause_mcp.services.payments.record import names as of_payments
from tause_mcp.services.payouts.record import account_of
from tause_mcp.services.payouts.record import names as of_payouts
from tause_mcp.tenancy import TenantId

BORN = 1_700_000_000_000_000
OURS = (Seal(b"k" * 32), TenantId("acme"), BORN)


def test_payments_keep_their_references_and_digests() -> None:
    names = of_payments(*OURS)
    assert names.reference("test", "order-1", 1) == "tps6ucez4w7oinavzmudmzazzcmomaod6x"
    assert names.digest("payment", {"amount": 1, "b": "ñ"}) == (
        "6a12dc4804e5758dfe8ef114f222edc5ca974a0e041cf2bb7e03a8a14228f1db"
    )


def test_payouts_keep_their_references_digests_and_accounts() -> None:
    names = of_payouts(*OURS)
    assert names.reference("test", "order-1", 1) == "tomp6ukwr2livovn6cugo5ebkov5iqm5gn"
    assert names.digest({"amount": 1, "b": "ñ"}) == (
        "341a60bfca3d35d8ac2d627daf07562ddfde21232170556f1b7875a31586fea7"
    )
    assert account_of(names, "test", "principal") == "33fc85be639d6afabfb399c0911c22e2"


@pytest.mark.parametrize(
    "other",
    [
        (Seal(b"l" * 32), TenantId("acme"), BORN),
        (Seal(b"k" * 32), TenantId("acm"), BORN),
        (Seal(b"k" * 32), TenantId("acme"), BORN + 1),
    ],
    ids=["installation", "tenant", "a later tenant of its id"],
)
def test_another_has_other_names(other: tuple[Seal, TenantId, int]) -> None:
    mine, theirs = of_payments(*OURS), of_payments(*other)
    assert mine.reference("test", "o", 1) != theirs.reference("test", "o", 1)
    assert mine.digest("payment", {}) != theirs.digest("payment", {})


def test_parts_do_not_run_into_each_other() -> None:
    names = of_payments(*OURS)
    assert names.reference("test", "o1", 1) != names.reference("test", "o", 11)
    assert names.mac("reference", "a", "b") != names.mac("reference", "ab")
