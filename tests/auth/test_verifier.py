"""Doors, grants, single-use assertions, and what is remembered for how long."""

import asyncio
import hmac
import time

import pytest

from tause_mcp import auth
from tause_mcp.auth import Door, door, key_caller, local_caller, remembered
from tause_mcp.auth.remembered import Remembered
from tause_mcp.auth.signing import Keyring
from tause_mcp.auth.verifier import REFUSAL
from tause_mcp.errors import Misconfigured, NotFound, Unauthenticated, Unavailable
from tause_mcp.tenancy import ROLES, Caller, Scopes, TenantId

pytestmark = pytest.mark.anyio

HOUSE = "https://house.example.com"
ACME, BETA = TenantId("acme"), TenantId("beta")
READ = Scopes(frozenset({"storage:read"}))


class Clock:
    def __init__(self) -> None:
        self.now = 5000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    """The monotonic clock of what is remembered."""
    made = Clock()
    monkeypatch.setattr(remembered, "monotonic", made)
    monkeypatch.setattr("tause_mcp.auth.verifier.monotonic", made)
    return made


async def refused(house, token, at) -> str:
    with pytest.raises(Unauthenticated) as told:
        await house.verifier.verify(token, at)
    return str(told.value)


# -- doors -----------------------------------------------------------------------------------------


async def test_a_tenants_own_door_opens_to_its_callers(house) -> None:
    text, _ = house.key()
    caller = await house.verifier.verify(text, house.door("acme"))
    assert (caller.tenant, caller.home, dict(caller.grants)) == ("acme", None, {})


async def test_a_foreign_door_and_an_absent_one_refuse_in_the_same_words(house, security) -> None:
    text, _ = house.key()
    house.store.asked.clear()
    foreign = await refused(house, text, house.door("beta"))
    asked_for_foreign = list(house.store.asked)
    house.store.asked.clear()
    absent = await refused(house, text, house.door("nobody"))
    assert foreign == absent == REFUSAL
    assert house.store.asked == asked_for_foreign
    assert len({entry["reason"] for entry in security}) == 1


async def test_a_stored_grant_opens_another_tenants_door_with_its_scopes(house) -> None:
    text, key_id = house.key(scopes=frozenset({"*:*"}))
    house.store.grants["acme", "local", f"key:{key_id}"] = {BETA: READ}
    caller = await house.verifier.verify(text, house.door("beta"))
    assert (caller.tenant, caller.home, caller.scopes) == ("beta", "acme", READ)
    assert not caller.grants


async def test_a_grant_for_a_suspended_tenant_opens_nothing(house) -> None:
    text, key_id = house.key()
    house.store.grants["acme", "local", f"key:{key_id}"] = {BETA: READ}
    del house.store.tenants["beta"]
    assert await refused(house, text, house.door("beta")) == REFUSAL


async def test_the_plain_door_lets_a_caller_name_a_granted_tenant_only(house) -> None:
    text, key_id = house.key()
    house.store.grants["acme", "local", f"key:{key_id}"] = {BETA: READ}
    caller = await house.verifier.verify(text, house.plain)
    assert caller.tenant == "acme"
    assert caller.acting_for("beta").scopes == READ
    with pytest.raises(NotFound):
        caller.acting_for("gamma")


async def test_a_grant_belongs_to_issuer_tenant_and_subject_together(house) -> None:
    for owner in (
        ("acme", "local", "ana"),
        ("acme", "https://other.example.com", "ana"),
        ("beta", HOUSE, "ana"),
        ("acme", HOUSE, "eva"),
    ):
        house.store.grants[owner] = {BETA: Scopes(frozenset({"*:*"}))}
    token = house.forge(claims=house.claims(aud=f"{HOUSE}/t/beta/mcp"))
    assert await refused(house, token, house.door("beta")) == REFUSAL


async def test_a_list_of_tenants_in_a_token_opens_nothing(house) -> None:
    more = {"tenants": ["beta"], "grants": {"beta": ["*:*"]}, "aud": f"{HOUSE}/t/beta/mcp"}
    token = house.forge(claims=house.claims(**more))
    assert await refused(house, token, house.door("beta")) == REFUSAL


async def test_a_token_is_for_one_door(house) -> None:
    plain = house.forge()
    own = house.forge(claims=house.claims(aud=f"{HOUSE}/t/acme/mcp"))
    assert (await house.verifier.verify(plain, house.plain)).tenant == "acme"
    assert (await house.verifier.verify(own, house.door("acme"))).tenant == "acme"
    assert await refused(house, plain, house.door("acme")) == REFUSAL
    assert await refused(house, own, house.plain) == REFUSAL


def test_a_door_is_made_once_and_normalised() -> None:
    assert door(f"{HOUSE}:443/mcp/") is door(f"{HOUSE}:443/mcp/")
    assert Door(f"{HOUSE}:443/mcp/") == Door(f"{HOUSE}/mcp")
    assert Door("https://h/mcp", ACME).mark != Door("https://h/mcp").mark


# -- assertions ------------------------------------------------------------------------------------


async def test_an_assertion_is_good_once(house, security) -> None:
    text = house.keyring.assertion(HOUSE)
    claims = await house.verifier.redeem(text, f"{HOUSE}/")
    assert claims["iss"] == claims["sub"] == HOUSE
    with pytest.raises(Unauthenticated) as told:
        await house.verifier.redeem(text, HOUSE)
    assert str(told.value) == REFUSAL
    (entry,) = security
    assert (entry["event"], entry["reason"]) == (
        "assertion refused",
        "an assertion was used before",
    )


async def test_of_assertions_raced_only_one_holds(house) -> None:
    text = house.keyring.assertion(HOUSE)
    tries = [house.verifier.redeem(text, HOUSE) for _ in range(10)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(found, dict) for found in results) == 1


async def test_a_replay_store_that_is_down_accepts_nothing(house) -> None:
    async def down(assertion: str, *, issued: float, until: float) -> bool:
        raise Unavailable("the store is down")

    house.store.spend = down
    with pytest.raises(Unavailable):
        await house.verifier.redeem(house.keyring.assertion(HOUSE), HOUSE)


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        ({"typ": "at+jwt"}, {}),
        ({}, {"exp": 120}),
        ({}, {"jti": None}),
        ({}, {"aud": f"{HOUSE}/mcp"}),
        ({}, {"iss": "https://evil.example.com"}),
        ({"kid": "other"}, {}),
        ({"alg": "none"}, {}),
    ],
)
async def test_an_assertion_out_of_its_profile_is_refused_and_not_spent(
    house, header, claims
) -> None:
    now = time.time()
    stated = {"aud": HOUSE, "iat": now, "exp": now + 30} | claims
    if "exp" in claims:
        stated["exp"] = now + claims["exp"]
    text = house.forge(
        header=house.header(**({"typ": "JWT"} | header)), claims=house.claims(**stated)
    )
    with pytest.raises(Unauthenticated):
        await house.verifier.redeem(text, HOUSE)
    assert house.store.spent == set()


async def test_a_good_forged_assertion_shows_that_the_above_fail_for_their_one_reason(
    house,
) -> None:
    stated = {"aud": HOUSE, "exp": time.time() + 30}
    text = house.forge(header=house.header(typ=None), claims=house.claims(**stated))
    assert (await house.verifier.redeem(text, HOUSE))["sub"] == "ana"


async def test_an_assertion_is_no_access_token(house) -> None:
    assert await refused(house, house.keyring.assertion(f"{HOUSE}/mcp"), house.plain) == REFUSAL


async def test_the_shared_secret_makes_no_assertion(make_house, security) -> None:
    secret = b"q7Zx-92kd_Lw0Vt5RbYn3Gm8Hs1Pc6Fj4Ue"
    house = make_house(MCP_JWT_SECRET=secret.decode())
    stated = {"iss": "orchestrator", "aud": HOUSE, "exp": time.time() + 30}
    text = house.forge(
        header={"alg": "HS256", "kid": "k", "typ": "JWT"},
        claims=house.claims(**stated),
        sign=lambda signed: hmac.digest(secret, signed, "sha256"),
    )
    with pytest.raises(Unauthenticated):
        await house.verifier.redeem(text, HOUSE)
    assert security[0]["reason"] == "the issuer is not trusted"


# -- what is remembered ----------------------------------------------------------------------------


async def test_a_second_look_asks_nothing(house, clock) -> None:
    text, _ = house.key()
    assert house.verifier.cached(text, house.plain) is None
    first = await house.verifier.verify(text, house.plain)
    house.store.asked.clear()
    assert await house.verifier.verify(text, house.plain) is first
    assert house.verifier.cached(text, house.plain) is first
    assert house.store.asked == []


async def test_what_is_remembered_at_one_door_says_nothing_at_another(house) -> None:
    text, _ = house.key()
    await house.verifier.verify(text, house.plain)
    await house.verifier.verify(text, house.door("acme"))
    assert house.verifier.cached(text, house.door("beta")) is None
    assert await refused(house, text, house.door("beta")) == REFUSAL
    assert house.verifier.cached(text, Door("https://other.example.com/mcp")) is None


async def test_a_revocation_bites_within_four_seconds(house, clock) -> None:
    text, key_id = house.key()
    await house.verifier.verify(text, house.plain)
    del house.store.keys[ACME, key_id]
    clock.now += 3.99
    await house.verifier.verify(text, house.plain)
    clock.now += 0.02
    assert await refused(house, text, house.plain) == REFUSAL


async def test_time_spent_verifying_counts(house, clock) -> None:
    text, _ = house.key()
    read = house.store.key

    async def slow(tenant, asked):
        found = await read(tenant, asked)
        clock.now += 3
        return found

    house.store.key = slow
    await house.verifier.verify(text, house.plain)
    clock.now += 1.01
    assert house.verifier.cached(text, house.plain) is None


async def test_forgetting_works_at_once_and_on_what_is_under_way(house) -> None:
    text, _ = house.key()
    await house.verifier.verify(text, house.plain)
    house.verifier.forget()
    assert house.verifier.cached(text, house.plain) is None
    read = house.store.key

    async def meanwhile_revoked(tenant, asked):
        found = await read(tenant, asked)
        house.verifier.forget()
        return found

    house.store.key = meanwhile_revoked
    await house.verifier.verify(text, house.plain)
    assert house.verifier.cached(text, house.plain) is None


async def test_nothing_is_remembered_beyond_a_credentials_life(house, clock) -> None:
    now = time.time()
    token = house.forge(claims=house.claims(iat=now - 10, exp=now + 1.5))
    await house.verifier.verify(token, house.plain)
    clock.now += 1.6
    assert house.verifier.cached(token, house.plain) is None
    late = house.forge(claims=house.claims(iat=now - 10, exp=now - 5))
    await house.verifier.verify(late, house.plain)
    assert house.verifier.cached(late, house.plain) is None


async def test_a_refusal_is_never_remembered(house, clock) -> None:
    text, key_id = house.key()
    record = house.store.keys.pop((ACME, key_id))
    assert await refused(house, text, house.plain) == REFUSAL
    house.store.keys[ACME, key_id] = record
    assert (await house.verifier.verify(text, house.plain)).tenant == "acme"


async def test_a_flood_of_bad_tokens_evicts_nothing(house, clock) -> None:
    text, _ = house.key()
    first = await house.verifier.verify(text, house.plain)
    for n in range(200):
        await refused(house, f"tk_acme.{n:016x}.{'x' * 43}", house.plain)
    assert house.verifier.cached(text, house.plain) is first
    assert len(house.verifier._remembered._known) == 1


async def test_a_store_that_is_down_lets_nobody_in_and_is_no_failed_login(house, security) -> None:
    text, _ = house.key()

    async def down(tenant):
        raise Unavailable("the store is down")

    house.store.active_since = down
    with pytest.raises(Unavailable):
        await house.verifier.verify(text, house.plain)
    assert security == []


def test_what_is_remembered_is_bounded_and_the_oldest_goes_first() -> None:
    kept, caller = Remembered(most=3), Caller("s", ACME, READ)
    names = [kept.name(f"token-{n}", Door("https://h/mcp")) for n in range(5)]
    for name in names:
        kept.put(name, caller, began=remembered.monotonic(), life=60, generation=0)
    assert [kept.get(name) is not None for name in names] == [False, False, True, True, True]
    kept.put(names[2], caller, began=remembered.monotonic(), life=60, generation=0)
    kept.put(names[0], caller, began=remembered.monotonic(), life=60, generation=0)
    assert [kept.get(name) is not None for name in names] == [True, False, True, False, True]


def test_no_token_is_kept_and_names_differ_between_processes() -> None:
    one, two = Remembered(), Remembered()
    at = Door("https://h/mcp")
    assert one.name("token", at) != two.name("token", at)
    assert one.name("token", at) == one.name("token", Door("https://h/mcp/"))
    assert one.name("token\udcff", at) != one.name("token", at)


def test_a_hit_costs_microseconds(house) -> None:
    text = asyncio.run(_warm(house))
    at, rounds = house.plain, 2000
    began = time.process_time()
    for _ in range(rounds):
        house.verifier.cached(text, at)
    assert (time.process_time() - began) / rounds < 100e-6


async def _warm(house) -> str:
    token = house.forge()
    await house.verifier.verify(token, house.plain)
    return token


# -- at the terminal -------------------------------------------------------------------------------


def test_the_person_at_the_terminal_is_an_agent_unless_said_otherwise() -> None:
    caller = local_caller(ACME)
    assert (caller.subject, caller.tenant, caller.issuer) == ("local:agent", "acme", "local")
    assert caller.scopes.granted == ROLES["agent"]
    assert not caller.scopes.allow("access:write") and not caller.scopes.allow("payments:write")
    assert local_caller(ACME, "owner").scopes.allow("access:admin")


def test_an_unknown_role_is_one_clear_line() -> None:
    with pytest.raises(Misconfigured, match="--role: 'root' is not one of owner, admin"):
        local_caller(ACME, "root")


async def test_an_api_key_decides_over_stdio_too(house) -> None:
    text, key_id = house.key()
    caller = await key_caller(text, house.verifier.verify, house.plain)
    assert caller.subject == f"key:{key_id}"
    with pytest.raises(Misconfigured, match="TAUSE_API_KEY") as refused_to_start:
        await key_caller("tk_acme.nonsense", house.verifier.verify, house.plain)
    assert "nonsense" not in str(refused_to_start.value)


def test_the_package_names_what_it_offers() -> None:
    assert all(getattr(auth, name) is not None for name in auth.__all__)
    with pytest.raises(AttributeError):
        _ = auth.nothing


async def test_our_own_key_set_is_what_the_verifier_publishes(house) -> None:
    assert isinstance(house.verifier.keyring, Keyring)
    assert house.verifier.jwks() == house.keyring.jwks()
