"""API keys: their shape, what is stored, and every way not to be one."""

import hmac
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tause_mcp.auth import apikeys, mint
from tause_mcp.auth.identities import KeyRecord, Refused
from tause_mcp.auth.verifier import REFUSAL
from tause_mcp.errors import Unauthenticated
from tause_mcp.tenancy import TENANT_ID_PATTERN, TenantId

pytestmark = pytest.mark.anyio

PEPPER = b"p" * 32
ACME, BETA = TenantId("acme"), TenantId("beta")


async def refused(house, text, security, reason):
    with pytest.raises(Unauthenticated) as told:
        await house.verifier.verify(text, house.plain)
    assert str(told.value) == REFUSAL
    assert [reason in entry["reason"] for entry in security] == [True]
    assert "tk_" not in str(security)


async def test_a_key_is_its_tenant_with_its_scopes(house) -> None:
    text, key_id = house.key(scopes=frozenset({"storage:read"}), toolsets=("storage",))
    caller = await house.verifier.verify(text, house.plain)
    assert (caller.subject, caller.tenant, caller.issuer) == (f"key:{key_id}", "acme", "local")
    assert (caller.scopes.granted, caller.toolsets) == ({"storage:read"}, ("storage",))
    assert (caller.credential, caller.expires_at) == (key_id, None)


def test_a_key_is_long_random_and_plain_and_only_its_digest_is_stored() -> None:
    one, two = mint(ACME, PEPPER), mint(ACME, PEPPER)
    assert re.fullmatch(r"tk_acme\.[0-9a-f]{16}\.[A-Za-z0-9_-]{43}", one.text)
    assert one.id != two.id and one.text.rpartition(".")[2] != two.text.rpartition(".")[2]
    assert one.digest == hmac.digest(PEPPER, one.text.encode(), "sha256")
    assert one.digest != mint(ACME, b"q" * 32).digest
    assert one.text not in repr(one) and repr(one.digest) not in repr(one)
    assert repr(one.digest) not in repr(KeyRecord(one.digest, frozenset()))


@given(st.from_regex(TENANT_ID_PATTERN, fullmatch=True).filter(str.isascii))
def test_what_is_minted_is_parsed(tenant) -> None:
    tenant = TenantId(tenant.rstrip("\n"))
    made = mint(tenant, PEPPER)
    assert apikeys.parse(made.text) == (tenant, made.id)


@given(st.text(max_size=120))
def test_no_other_text_is_a_key(text) -> None:
    with pytest.raises(Refused):
        apikeys.parse(f"tk_{text}")


ID, SECRET = "0123456789abcdef", "s" * 43


@pytest.mark.parametrize(
    "text",
    [
        "tk_",
        f"tk_acme.{ID}",
        f"tk_acme.{ID}.",
        f"tk_.{ID}.{SECRET}",
        f"tk_acme..{SECRET}",
        f"tk_acme.{ID}.{SECRET}x",
        f"tk_acme.{ID}.{SECRET[:-1]}",
        f"tk_acme.{ID}.{SECRET}.x",
        f"tk_ACME.{ID}.{SECRET}",
        f"tk_acme.{ID.upper()}.{SECRET}",
        f"tk_../x.{ID}.{SECRET}",
        f"tk_acme.{ID}.{SECRET}\n",
        f"tk_acme.{ID}.{SECRET[:-1]}é",
        f"tk_acme.{ID}.{SECRET[:-1]}\udc80",
        f"tk_acme.{ID}.{'s' * 9000}",
    ],
)
async def test_a_malformed_key_is_refused_without_a_look_up(house, security, text) -> None:
    await refused(house, text, security, "not shaped like an API key")
    assert house.store.asked == []


@pytest.mark.parametrize("prefix", ["TK_", " tk_", "xtk_"])
async def test_a_key_in_another_dress_is_no_key(house, security, prefix) -> None:
    text, _ = house.key()
    await refused(house, text.replace("tk_", prefix), security, "")


async def test_a_wrong_secret_is_refused(house, security) -> None:
    text, _ = house.key()
    wrong = text[:-1] + ("A" if text[-1] != "A" else "B")
    await refused(house, wrong, security, "no such API key")


async def test_an_unknown_id_is_refused_in_the_same_way_and_at_the_same_cost(
    house, security, monkeypatch
) -> None:
    compared = []
    monkeypatch.setattr(
        apikeys.hmac,
        "compare_digest",
        lambda one, other: bool(compared.append((len(one), len(other)))) or one == other,
    )
    text, key_id = house.key()
    wrong = text[:-1] + ("A" if text[-1] != "A" else "B")
    for attempt in (wrong, text.replace(key_id, "0" * 16), text.replace("acme", "gone")):
        with pytest.raises(Unauthenticated):
            await house.verifier.verify(attempt, house.plain)
    assert compared == [(32, 32)] * 3
    assert house.store.asked == ["key"] * 3
    assert {entry["reason"] for entry in security} == {"no such API key"}


async def test_an_unknown_key_is_refused_even_if_its_digest_were_the_placeholder(
    house, security, monkeypatch
) -> None:
    monkeypatch.setattr(apikeys, "digest", lambda text, pepper: bytes(32))
    await refused(house, f"tk_acme.{ID}.{SECRET}", security, "no such API key")


async def test_a_key_does_not_open_the_tenant_it_is_rewritten_to(house, security) -> None:
    text, key_id = house.key()
    house.store.keys[BETA, key_id] = house.store.keys[ACME, key_id]
    await refused(house, text.replace("acme", "beta"), security, "no such API key")


async def test_a_row_moved_under_another_id_opens_nothing(house, security) -> None:
    text, key_id = house.key()
    house.store.keys[ACME, "f" * 16] = house.store.keys[ACME, key_id]
    await refused(house, text.replace(key_id, "f" * 16), security, "no such API key")


async def test_a_revoked_key_is_refused_by_its_id_alone(house, security) -> None:
    text, key_id = house.key(revoked=True)
    await refused(house, text, security, f"the API key {key_id} is revoked")


@pytest.mark.parametrize("ago", [0.0, 1.0])
async def test_an_expired_key_is_refused(house, security, ago) -> None:
    text, _ = house.key(expires_at=time.time() - ago)
    await refused(house, text, security, "has expired")


async def test_a_key_is_good_until_it_expires(house) -> None:
    at = time.time() + 60
    text, _ = house.key(expires_at=at)
    assert (await house.verifier.verify(text, house.plain)).expires_at == at


async def test_the_key_of_a_suspended_tenant_is_refused(house, security) -> None:
    text, _ = house.key()
    del house.store.tenants["acme"]
    await refused(house, text, security, "absent or suspended")


async def test_a_key_minted_with_another_pepper_is_refused(house, security) -> None:
    made = mint(ACME, b"other" * 8)
    house.store.keys[ACME, made.id] = KeyRecord(made.digest, frozenset({"*:*"}))
    await refused(house, made.text, security, "no such API key")
