"""Roles, to whom they are given, and the stored grants that open another tenant."""

import pytest

from tause_mcp import times
from tause_mcp.errors import Conflict, Forbidden, Invalid, NotFound, QuotaExceeded, Unavailable
from tause_mcp.services.access import StoredIdentities, service
from tause_mcp.tenancy import ROLES, TenantId

from .conftest import AC, ACME, OTHER, SHOP, TILL, House

pytestmark = pytest.mark.anyio

KEYCLOAK = "https://login.example"


# --- what is refused --------------------------------------------------------------------------


async def test_a_role_beyond_its_definer_is_refused(house: House) -> None:
    with pytest.raises(Forbidden):
        await house.of(ACME, "access:admin", "storage:*").define_role("ops", ["memory:read"])
    assert [r.name for r in await house.of().roles(None, 50) if not r.built_in] == []


async def test_a_role_beyond_the_caller_is_not_assigned(house: House) -> None:
    await house.of().define_role("ops", ["memory:read", "storage:read"])
    for role in ("ops", "viewer", "owner"):
        with pytest.raises(Forbidden):
            await house.of(ACME, "access:admin", "storage:*").assign_role("ana", role)
    assert not (await house.identities.scopes_of(ACME, "local", "ana", ())).granted


@pytest.mark.parametrize("name", sorted(ROLES))
async def test_a_built_in_role_is_neither_redefined_nor_removed(house: House, name: str) -> None:
    with pytest.raises(Conflict):
        await house.of().define_role(name, ["storage:read"])
    with pytest.raises(Conflict):
        await house.of().remove_role(name)


async def test_an_absent_or_foreign_role_is_not_found(house: House) -> None:
    await house.of(AC).define_role("ops", ["storage:read"])
    for act in (house.of().remove_role("ops"), house.of().assign_role("ana", "ops")):
        with pytest.raises(NotFound, match="access_list_roles"):
            await act


async def test_a_role_that_someone_has_is_not_removed(house: House) -> None:
    await house.of().define_role("ops", ["storage:read"])
    await house.of().assign_role("ana", "ops")
    with pytest.raises(Conflict, match="in use"):
        await house.of().remove_role("ops")
    assert (await house.identities.scopes_of(ACME, "local", "ana", ())).granted == {"storage:read"}
    await house.of().unassign_role("ana", "ops")
    await house.of().remove_role("ops")


async def test_a_role_with_an_active_key_is_not_removed(house: House) -> None:
    await house.of().define_role("ops", ["storage:read"])
    made = await house.of().create_key(role="ops")
    with pytest.raises(Conflict):
        await house.of().remove_role("ops")
    await house.of().revoke_key(made.info.id)
    await house.of().remove_role("ops")
    assert (await house.proven(made.text)).scopes == frozenset()


async def test_unassigning_what_nobody_has_is_not_found(house: House) -> None:
    await house.of().assign_role("ana", "viewer")
    for subject, role, issuer in (
        ("ana", "agent", "local"),
        ("an", "viewer", "local"),
        ("ana", "viewer", KEYCLOAK),
        ("other/ana", "viewer", "local"),
    ):
        with pytest.raises(NotFound):
            await house.of().unassign_role(subject, role, issuer)


@pytest.mark.parametrize("subject", ["a\nb", "a\x00", "x" * 256, "acme/"])
async def test_a_subject_outside_the_grammar_is_invalid(house: House, subject: str) -> None:
    if subject == "acme/":
        principal = (await house.of().assign_role(subject, "viewer")).principal
        assert (principal.home, principal.subject) == (ACME, "acme/")
        return
    with pytest.raises(Invalid):
        await house.of().assign_role(subject, "viewer")


async def test_a_tenant_has_a_bounded_number_of_roles(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MOST_ROLES", 2)
    for n in range(2):
        await house.of().define_role(f"r{n}", ["storage:read"])
    with pytest.raises(QuotaExceeded):
        await house.of().define_role("more", ["storage:read"])
    await house.of().define_role("r0", ["storage:write"])


@pytest.mark.parametrize("home", ["other", "till", "ac", "acme", "absent"])
async def test_only_a_tenant_above_is_granted_and_others_look_absent(
    house: House, home: str
) -> None:
    """`shop` lies below `acme`; `till` lies below `shop`; a tree is not a prefix."""
    grant = house.of(SHOP).assign_role(f"{home}/key:1", "viewer")
    if home == "acme":
        await grant
        return
    with pytest.raises(NotFound) as absent:
        await grant
    assert (str(absent.value), absent.value.field) == ("no such tenant above this one", "subject")


# --- what a subject holds ---------------------------------------------------------------------


async def test_a_subject_of_one_issuer_is_not_anothers(house: House) -> None:
    await house.of().assign_role("ana", "viewer", KEYCLOAK)
    of = house.identities.scopes_of
    assert (await of(ACME, KEYCLOAK, "ana", ())).granted == ROLES["viewer"]
    for tenant, issuer, subject in (
        (ACME, "local", "ana"), (ACME, KEYCLOAK, "an"), (ACME, KEYCLOAK, "ana%"),
        (AC, KEYCLOAK, "ana"), (OTHER, KEYCLOAK, "ana"),
    ):  # fmt: skip
        assert not (await of(tenant, issuer, subject, ())).granted


async def test_roles_of_a_token_are_built_in_or_the_tenants_own(house: House) -> None:
    await house.of().define_role("ops", ["storage:write"])
    of = house.identities.scopes_of
    assert (await of(ACME, KEYCLOAK, "x", ("ops", "viewer", "nope"))).granted == {
        "storage:write", "*:read",
    }  # fmt: skip
    assert not (await of(AC, KEYCLOAK, "x", ("ops",))).granted


async def test_a_role_given_to_a_key_adds_to_it_until_it_is_taken_back(house: House) -> None:
    made = await house.of().create_key(scopes=["storage:read"])
    subject = f"key:{made.info.id}"
    await house.of().assign_role(subject, "viewer")
    assert (await house.proven(made.text)).scopes == {"storage:read", "*:read"}
    await house.of().unassign_role(subject, "viewer")
    assert (await house.proven(made.text)).scopes == {"storage:read"}
    assert house.forgotten.count((ACME, None)) == 2


async def test_an_assignment_ends_when_it_was_told_to(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.of().assign_role("ana", "viewer", expires_in=60)
    await house.of(SHOP).assign_role("acme/ana", "viewer", expires_in=60)
    assert (await house.identities.scopes_of(ACME, "local", "ana", ())).granted
    assert await house.identities.grants_of(ACME, "local", "ana")
    later = times.now() + 61 * times.SECOND
    monkeypatch.setattr(times, "now", lambda: later)
    assert not (await house.identities.scopes_of(ACME, "local", "ana", ())).granted
    assert not await house.identities.grants_of(ACME, "local", "ana")


async def test_roles_are_listed_built_in_first_with_who_has_them(house: House) -> None:
    await house.of().define_role("aaa", ["storage:read"])
    await house.of(AC).define_role("foreign", ["storage:read"])
    await house.of().assign_role("ana", "aaa", KEYCLOAK)
    found = await house.of().roles(None, 50)
    assert [r.name for r in found] == [*sorted(ROLES), "aaa"]
    assert (found[-1].built_in, found[-1].assigned) == (False, 1)
    assert [p.subject for p, _ in found[-1].principals] == ["ana"]
    assert [r.name for r in await house.of().roles((False, "owner"), 1)] == ["viewer"]


# --- stored grants ------------------------------------------------------------------------------


async def test_a_grant_opens_just_that_tenant_for_just_that_principal(house: House) -> None:
    await house.of(SHOP).assign_role("acme/key:1", "viewer")
    grants = await house.identities.grants_of(ACME, "local", "key:1")
    assert {t: s.granted for t, s in grants.items()} == {SHOP: ROLES["viewer"]}
    for tenant, issuer, subject in (
        (ACME, "local", "key:12"), (ACME, KEYCLOAK, "key:1"), (AC, "local", "key:1"),
        (SHOP, "local", "key:1"), (TILL, "local", "key:1"),
    ):  # fmt: skip
        assert not await house.identities.grants_of(tenant, issuer, subject)
    assert not (await house.identities.scopes_of(ACME, "local", "key:1", ())).granted
    assert not (await house.identities.scopes_of(SHOP, "local", "key:1", ())).granted


async def test_a_grant_has_the_granting_tenants_own_role(house: House) -> None:
    await house.of(SHOP).define_role("books", ["storage:read:books/*"])
    await house.of(ACME).define_role("books", ["*:*"])
    await house.of(SHOP).assign_role("acme/ana", "books", KEYCLOAK)
    grants = await house.identities.grants_of(ACME, KEYCLOAK, "ana")
    assert grants[SHOP].granted == {"storage:read:books/*"}


async def test_several_grants_add_up_and_are_taken_back_one_by_one(house: House) -> None:
    await house.of(SHOP).define_role("books", ["storage:write"])
    await house.of(SHOP).assign_role("acme/ana", "books")
    await house.of(SHOP).assign_role("acme/ana", "viewer")
    await house.of(TILL).assign_role("acme/ana", "viewer")
    grants = await house.identities.grants_of(ACME, "local", "ana")
    assert grants[SHOP].granted == {"storage:write", "*:read"}
    await house.of(SHOP).unassign_role("acme/ana", "viewer")
    await house.of(TILL).unassign_role("acme/ana", "viewer")
    grants = await house.identities.grants_of(ACME, "local", "ana")
    assert {t: s.granted for t, s in grants.items()} == {SHOP: {"storage:write"}}


async def test_a_grant_of_a_suspended_or_a_former_tenant_opens_nothing(house: House) -> None:
    await house.of(SHOP).assign_role("acme/ana", "viewer")
    del house.since[SHOP]
    assert not await house.identities.grants_of(ACME, "local", "ana")
    house.since[SHOP] = times.now() / times.SECOND + 1
    assert not await house.identities.grants_of(ACME, "local", "ana")


async def test_ones_own_tenant_may_be_written_and_is_no_grant(house: House) -> None:
    given = await house.of().assign_role("acme/shop/y", "viewer")
    assert given.principal.written(ACME) == "acme/shop/y"
    assert (await house.identities.scopes_of(ACME, "local", "shop/y", ())).granted
    assert not await house.identities.grants_of(ACME, "local", "shop/y")


# --- what may be used once ------------------------------------------------------------------------


async def test_an_assertion_is_spent_once(house: House) -> None:
    until = times.now() / times.SECOND + 60
    assert await house.identities.spend("iss\x1fjti", issued=until - 60, until=until)
    assert not await house.identities.spend("iss\x1fjti", issued=until - 60, until=until)
    assert await house.identities.spend("iss\x1fjti2", issued=until - 60, until=until)


async def test_a_spent_assertion_is_remembered_past_its_end(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = times.now()
    monkeypatch.setattr(times, "now", lambda: now)
    assert await house.identities.spend("a", issued=0, until=now / times.SECOND + 60)
    monkeypatch.setattr(times, "now", lambda: now + 60 * times.SECOND)
    assert not await house.identities.spend("a", issued=0, until=now / times.SECOND + 120)


async def test_a_replay_store_that_is_down_lets_nobody_in(house: House) -> None:
    class Down:
        dialect = "sqlite"

        async def write(self, tenant: TenantId | None, work: object) -> bool:
            raise Unavailable("down")

    identities = StoredIdentities(Down(), house)  # type: ignore[arg-type]  # only writes are used
    with pytest.raises(Unavailable):
        await identities.spend("a", issued=0.0, until=1.0)
