"""Signatures as Wompi computes them, and events that are believed only when they are genuine."""

import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tause_mcp.outbound.wompi import Event, integrity, read_event
from tause_mcp.outbound.wompi.signatures import expiration

# Examples of docs.wompi.co, with digests that were computed anew: the page prints a wrong one.
SECRET = "prod_integrity_Z5mMke9x0k8gpErbDqwrJXMqsI6SFli6"
PLAIN = "37c8407747e595535433ef8f6a811d853cd943046624a0ec04662b17bbf33bf5"
UNTIL = "e972f58e7de36b283fbb93d9318d39a54ffdff4e8e917b534f30d63c9d7bb89c"
EVENTS = "prod_events_OcHnIzeBl5socpwByQ4hA52Em3USQ93Z"
RIGHT = "5a18ec5e8fdb7df463e9f94774cba8f583ba21bd04a09ceff2ea68a4bc0aefbe"
PRINTED = "3476dda50f64cd7cbd160689640506febea93239bc524fc0469b2c68a3cc8bd0"
PAYOUTS = "prod_events_7b193c8afd7b47949f90d443cb1e1742"
PAYOUT = "82f0e769716170e202edfd348f604bd8461cdeeb416594cde563a890215a5282"


def test_the_integrity_signature_is_that_of_the_documentation() -> None:
    assert integrity("sk8-438k4-xmxm392-sn2m", 2_490_000, "COP", SECRET) == PLAIN
    until = "2023-06-09T20:28:50.000Z"
    assert integrity("sk8-438k4-xmxm392-sn2m", 2_490_000, "COP", SECRET, until) == UNTIL


def test_a_float_is_never_signed() -> None:
    with pytest.raises(ValueError, match="format code"):
        integrity("r", 2_490_000.0, "COP", SECRET)  # type: ignore[arg-type]


def test_an_expiration_is_told_in_utc_with_milliseconds() -> None:
    bogota = timezone(timedelta(hours=-5))
    told = expiration(datetime(2023, 6, 9, 15, 28, 50, 999, tzinfo=bogota))
    assert told == "2023-06-09T20:28:50.000Z"
    assert expiration(datetime(2023, 6, 9, 20, 28, 50, tzinfo=UTC)) == told


def event(**changed: Any) -> dict[str, Any]:
    told: dict[str, Any] = {
        "event": "transaction.updated",
        "data": {
            "transaction": {
                "id": "1234-1610641025-49201",
                "amount_in_cents": 4_490_000,
                "reference": "MZQ3X2DE2SMX",
                "status": "APPROVED",
            }
        },
        "environment": "prod",
        "signature": {
            "properties": [
                "transaction.id",
                "transaction.status",
                "transaction.amount_in_cents",
            ],
            "checksum": RIGHT,
        },
        "timestamp": 1_530_291_411,
        "sent_at": "2018-07-20T16:45:05.000Z",
    }
    return told | changed


def signed(data: Any, properties: list[Any], written: str, timestamp: Any = 7) -> bytes:
    """An event whose checksum covers `written`, whatever its properties lead to."""
    digest = hashlib.sha256(f"{written}{timestamp}{EVENTS}".encode()).hexdigest()
    made = {"event": "x", "data": data, "timestamp": timestamp}
    signature = {"properties": properties, "checksum": digest}
    return json.dumps(made | {"signature": signature}).encode()


def read(told: Any, *secrets: str) -> Event | None:
    body = told if isinstance(told, bytes) else json.dumps(told).encode()
    return read_event(body, secrets or (EVENTS,))


def with_checksum(checksum: Any) -> dict[str, Any]:
    told = event()
    return told | {"signature": told["signature"] | {"checksum": checksum}}


def test_the_events_of_the_documentation_are_genuine() -> None:
    found = read(event())
    assert found is not None
    assert (found.name, found.environment, found.timestamp) == (
        "transaction.updated",
        "prod",
        1_530_291_411,
    )
    assert found.text("transaction", "id") == "1234-1610641025-49201"
    assert found.text("transaction", "amount_in_cents") == found.text("payout", "id") == ""
    assert "49201" not in repr(found)
    payout = {
        "event": "transaction.updated",
        "data": {
            "transaction": {
                "id": "04a6e53d-a244-4140-ab9e-48fa541f9fe5",
                "status": "FAILED",
                "amountInCents": 7_500_000,
            }
        },
        "signature": {
            "properties": ["transaction.id", "transaction.status", "transaction.amountInCents"],
            "checksum": PAYOUT,
        },
        "timestamp": 1_747_673_128_600,
        "sentAt": "2025-05-15T15:00:00.000Z",
    }
    found = read(payout, PAYOUTS)
    assert found is not None
    assert found.environment == ""


def test_upper_case_is_the_same_checksum_and_the_printed_one_is_wrong() -> None:
    assert read(with_checksum(RIGHT.upper())) == read(event())
    assert read(with_checksum(PRINTED)) is read(with_checksum(PRINTED.upper())) is None


def test_a_secret_is_rotated_with_both_in_use_and_an_empty_one_opens_nothing() -> None:
    assert read(event(), "", "prod_events_new", EVENTS) is not None
    assert read(event(), "prod_events_new") is None
    assert read_event(json.dumps(event()).encode(), ()) is None
    body = signed({"a": "b"}, ["a"], "b").replace(
        hashlib.sha256(f"b7{EVENTS}".encode()).hexdigest().encode(),
        hashlib.sha256(b"b7").hexdigest().encode(),
    )
    assert read_event(body, ("",)) is None


@pytest.mark.parametrize("at", ["id", "status", "amount_in_cents"])
def test_a_changed_value_is_not_genuine(at: str) -> None:
    told = event()
    told["data"]["transaction"][at] = "2"
    assert read(told) is None


def test_what_is_signed_is_read_from_the_event() -> None:
    data = {"a": {"b": None, "c": True, "d": False, "e": 12_345_678_901_234, "f": "é"}, "g": "x"}
    body = signed(data, ["g", "a.b", "a.c", "a.d", "a.e", "a.f"], "xtruefalse12345678901234é")
    found = read(body)
    assert found is not None
    assert found.properties == ("g", "a.b", "a.c", "a.d", "a.e", "a.f")
    assert found.of("g") == {}


def test_a_number_is_signed_as_it_is_written() -> None:
    body = signed({"a": 0}, ["a"], "100.50").replace(b'"a": 0', b'"a": 100.50')
    assert read(body) is not None


@pytest.mark.parametrize(
    ("data", "properties", "written"),
    [
        ({"a": "x"}, ["b"], ""),
        ({"a": "x"}, ["a.b"], ""),
        ({"a": {}}, ["a"], "{}"),
        ({"a": ["x"]}, ["a"], "x"),
        ({"a": ["x"]}, ["a.0"], "x"),
        ({"a": "x"}, ["a", "b"], "x"),
        ({"a": "x"}, ["a", 1], "x"),
        ({"a": "x"}, "a", "x"),
        ({"a": "x"}, [], ""),
        ({"a": "x"}, ["a"] * 33, "x" * 33),
        ({"": "x"}, ["." * 40_000], "x"),
        ([], ["a"], ""),
        (None, ["a"], ""),
        ({"a": "x", "deep": [[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}, ["a"], "x"),
    ],
)
def test_a_path_that_leads_to_no_value_or_too_many_of_them_is_not_genuine(
    data: Any, properties: Any, written: str
) -> None:
    assert read(signed(data, properties, written)) is None


@pytest.mark.parametrize("timestamp", [None, 1.5, True, "7", [7]])
def test_a_timestamp_is_a_whole_number(timestamp: Any) -> None:
    assert read(signed({"a": "x"}, ["a"], "x", timestamp)) is None


@pytest.mark.parametrize(
    "told",
    [
        {}, [], None, 7, "x",
        event(event=None), event(data=None), event(signature=None), event(signature=[]),
        with_checksum(None), with_checksum(7), with_checksum(""), with_checksum("\ud800"),
        b"", b"{", b"\xff\xfe", b"\xff", b"[" * 60_000, b'{"event": NaN}', b"1" * 5_000,
        b'{"a": 1e999999999999999999999}', b'{"a":' * 10_000,
    ],
)  # fmt: skip
def test_junk_is_not_genuine_and_raises_nothing(told: Any) -> None:
    assert read(told) is None


def test_an_event_has_at_most_64_kib() -> None:
    body = signed({"a": "x"}, ["a"], "x")
    assert read(body + b" " * (65_536 - len(body))) is not None
    assert read(body + b" " * (65_537 - len(body))) is None


# A loaded machine makes any generation look slow.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

VALUES = st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.text(max_size=20)


def as_text(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


@patient
@given(
    st.dictionaries(st.text("abcxyz_", min_size=1), VALUES, min_size=1, max_size=8),
    st.integers(0, 2**50),
    st.randoms(),
)
def test_any_properties_in_any_order_and_no_other(
    data: dict[str, Any], timestamp: int, chance: Any
) -> None:
    order = sorted(data)
    chance.shuffle(order)
    written = "".join(as_text(data[name]) for name in order)
    body = signed({"t": data}, [f"t.{name}" for name in order], written, timestamp)
    found = read(body)
    assert found is not None
    assert found.properties == tuple(f"t.{name}" for name in order)
    other = signed({"t": data}, list(found.properties), f"{written}0", timestamp)
    assert read(other) is None


NAMES = st.sampled_from(["a", "b", "properties", "checksum", ""])
JSON = st.recursive(
    VALUES | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)


@patient
@given(st.binary() | JSON.map(lambda told: json.dumps(told).encode()))
def test_no_bytes_raise(body: bytes) -> None:
    assert read_event(body, (EVENTS,)) is None


@patient
@given(st.fixed_dictionaries({"event": JSON, "data": JSON, "timestamp": JSON, "signature": JSON}))
def test_no_shape_of_an_event_raises(told: Any) -> None:
    assert read(told) is None


@patient
@given(JSON, st.lists(JSON | st.text("a.b"), max_size=5), st.text())
def test_no_signature_raises(data: Any, properties: list[Any], checksum: str) -> None:
    told = {"event": "x", "data": data, "timestamp": 1}
    signature = {"properties": properties, "checksum": checksum}
    assert read(told | {"signature": signature}) is None
