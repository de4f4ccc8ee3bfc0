"""The documentation's own examples, computed anew. One digest that it prints is not its string's."""

import hashlib

import pytest

from tause_mcp.testing.wompi.signing import checksum, integrity, same

SECRET = "prod_integrity_Z5mMke9x0k8gpErbDqwrJXMqsI6SFli6"
EVENTS = "prod_events_OcHnIzeBl5socpwByQ4hA52Em3USQ93Z"
PATHS = ["transaction.id", "transaction.status", "transaction.amount_in_cents"]
TOLD = {
    "transaction": {
        "id": "1234-1610641025-49201",
        "status": "APPROVED",
        "amount_in_cents": 4_490_000,
        "reference": "r-1",
        "payment_link_id": None,
    }
}


@pytest.mark.parametrize(
    ("until", "right"),
    [
        ("", "37c8407747e595535433ef8f6a811d853cd943046624a0ec04662b17bbf33bf5"),
        (
            "2023-06-09T20:28:50.000Z",
            "e972f58e7de36b283fbb93d9318d39a54ffdff4e8e917b534f30d63c9d7bb89c",
        ),
    ],
)
def test_the_integrity_signature(until: str, right: str) -> None:
    made = integrity("sk8-438k4-xmxm392-sn2m", 2_490_000, "COP", SECRET, until)
    assert made == right
    assert same(right, made)
    assert not same(right.upper(), made)


def test_the_checksum_of_an_event() -> None:
    made = checksum(TOLD, PATHS, 1_530_291_411, EVENTS)
    assert made == "5a18ec5e8fdb7df463e9f94774cba8f583ba21bd04a09ceff2ea68a4bc0aefbe"
    assert made != "3476dda50f64cd7cbd160689640506febea93239bc524fc0469b2c68a3cc8bd0"


def test_a_checksum_covers_its_properties_in_their_order() -> None:
    turned = [PATHS[1], PATHS[0], "transaction.payment_link_id", "transaction.reference"]
    written = f"APPROVED1234-1610641025-49201r-11530291411{EVENTS}"
    expected = hashlib.sha256(written.encode()).hexdigest()
    assert checksum(TOLD, turned, 1_530_291_411, EVENTS) == expected


def test_the_checksum_of_a_payouts_event() -> None:
    told = {
        "transaction": {
            "id": "04a6e53d-a244-4140-ab9e-48fa541f9fe5",
            "status": "FAILED",
            "amountInCents": 7_500_000,
        }
    }
    paths = ["transaction.id", "transaction.status", "transaction.amountInCents"]
    made = checksum(told, paths, 1_747_673_128_600, "prod_events_7b193c8afd7b47949f90d443cb1e1742")
    assert made == "82f0e769716170e202edfd348f604bd8461cdeeb416594cde563a890215a5282"
