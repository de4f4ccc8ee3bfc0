"""API keys: never more than their maker, shown once, ended at once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tause_mcp import times
from tause_mcp.auth.apikeys import parse
from tause_mcp.auth.identities import Refused
from tause_mcp.errors import Forbidden, Invalid, NotFound
from tause_mcp.services.access import first_key
from tause_mcp.tenancy import ROLES, TenantId

from .conftest import AC, ACME, OTHER, House

pytestmark = pytest.mark.anyio


# --- what must not be made ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("held", "asked"),
    [
        (["storage:read"], ["storage:write"]),
        (["storage:read:reports/*"], ["storage:read"]),
        (["storage:read:reports/*"], ["storage:read:report*"]),
        (["storage:read:a"], ["storage:read:ab"]),
        (["storage:read:a"], ["storage:read:a*"]),
        (["storage:read", "storage:write"], ["storage:*"]),
        (["storage:*"], ["*:read"]),
        (["*:read"], ["*:*"]),
        (["*:read", "*:write", "*:admin"], ["payments:unattended"]),
    ],
)
async def test_a_key_never_holds_more_than_its_maker(
    house: House, held: list[str], asked: list[str]
) -> None:
    with pytest.raises(Forbidden):
        await house.of(ACME, *held).create_key(scopes=asked)
    assert await house.of().keys(None, 10) == []


@pytest.mark.parametrize("role", ["owner", "admin"])
async def test_a_built_in_role_beyond_its_maker_is_refused(house: House, role: str) -> None:
    with pytest.raises(Forbidden):
        await house.of(ACME, *ROLES["developer"]).create_key(role=role)


async def test_a_custom_role_beyond_its_maker_is_refused(house: House) -> None:
    await house.of().define_role("till", ["payments:write"])
    with pytest.raises(Forbidden):
        await house.of(ACME, "storage:write").create_key(role="till")


async def test_the_default_role_is_refused_to_who_does_not_hold_it(house: House) -> None:
    with pytest.raises(Forbidden):
        await house.of(ACME, "storage:read").create_key()


async def test_scopes_beyond_the_named_role_are_refused(house: House) -> None:
    with pytest.raises(Invalid) as wrong:
        await house.of().create_key(role="viewer", scopes=["storage:write"])
    assert wrong.value.field == "scopes"


async def test_a_strong_custom_role_has_to_name_its_scopes(house: House) -> None:
    """Whoever approves the key has to see them."""
    await house.of().define_role("boss", ["tenants:admin", "storage:read"])
    with pytest.raises(Invalid, match="admin scopes"):
        await house.of().create_key(role="boss")
    made = await house.of().create_key(role="boss", scopes=["tenants:admin"])
    assert made.info.scopes == ("tenants:admin",)


async def test_another_tenants_role_is_unknown(house: House) -> None:
    await house.of(AC).define_role("till", ["storage:read"])
    with pytest.raises(NotFound):
        await house.of(ACME).create_key(role="till")


@pytest.mark.parametrize(
    "scope",
    ["", "*", "storage", "storage:", ":read", "st*:read", "storage:re*", "Storage:read",
     "storage:read:", "storage:read:a b", "storage:read:a*b", "storage:read:**", "storage:read\n",
     "storage:read:" + "a" * 600, "ｓtorage:read"],
)  # fmt: skip
async def test_a_scope_outside_the_grammar_is_invalid(house: House, scope: str) -> None:
    with pytest.raises(Invalid) as wrong:
        await house.of().create_key(scopes=["storage:read", scope])
    assert wrong.value.field == "scopes"


async def test_too_many_scopes_are_invalid(house: House) -> None:
    with pytest.raises(Invalid):
        await house.of().create_key(scopes=[f"storage:read:{n}" for n in range(65)])
    with pytest.raises(Invalid):
        await house.of().create_key(scopes=[f"storage:read:{n}{'a' * 500}" for n in range(20)])


# --- what does not open -------------------------------------------------------------------


async def test_a_key_of_another_tenant_is_not_found(house: House) -> None:
    made = await house.of(ACME).create_key()
    told = []
    for tenant, id_ in ((OTHER, made.info.id), (AC, made.info.id), (OTHER, "0" * 16)):
        with pytest.raises(NotFound) as absent:
            await house.of(tenant).revoke_key(id_)
        told.append((str(absent.value), absent.value.describe()))
    assert told[0] == told[1] == told[2]
    assert not (await house.proven(made.text)).revoked


@pytest.mark.parametrize("tenant", [AC, OTHER, TenantId("acme_"), TenantId("acme-x")])
async def test_a_key_rewritten_for_another_tenant_opens_nothing(
    house: House, tenant: TenantId
) -> None:
    made = await house.of(ACME).create_key()
    with pytest.raises(Refused):
        await house.proven(made.text.replace("tk_acme.", f"tk_{tenant}."))


async def test_a_revoked_key_is_told_so_at_once_and_again(house: House) -> None:
    made = await house.of().create_key()
    first = await house.of().revoke_key(made.info.id)
    again = await house.of().revoke_key(made.info.id)
    assert first.revoked_at == again.revoked_at
    assert first.revoked_at is not None
    assert (await house.proven(made.text)).revoked
    assert (ACME, made.info.id) in house.forgotten


async def test_a_key_expires_when_it_was_told_to(house: House) -> None:
    before = times.now() / times.SECOND
    made = await house.of().create_key(expires_in=60)
    expires = (await house.proven(made.text)).expires_at
    assert expires is not None
    assert before + 59 < expires < before + 70


# --- what a key holds -----------------------------------------------------------------------


async def test_a_new_key_opens_its_tenant_with_what_it_was_given(house: House) -> None:
    made = await house.of().create_key("ci", scopes=["storage:read:*", "memory:write:notes/*"])
    record = await house.proven(made.text)
    assert record.scopes == {"storage:read", "memory:write:notes/*"}
    assert parse(made.text) == (ACME, made.info.id)
    assert len(made.text) >= 40


async def test_a_key_without_role_or_scopes_is_a_developers(house: House) -> None:
    made = await house.of().create_key()
    assert (await house.proven(made.text)).scopes == ROLES["developer"]


async def test_scopes_narrow_a_role(house: House) -> None:
    made = await house.of().create_key(role="developer", scopes=["storage:read"])
    assert (await house.proven(made.text)).scopes == {"storage:read"}


async def test_a_part_that_ends_in_a_colon_and_a_star_stays_a_prefix(house: House) -> None:
    made = await house.of().create_key(scopes=["storage:read:a:*"])
    assert made.info.scopes == ("storage:read:a:*",)


async def test_a_role_defined_narrower_narrows_its_keys_and_wider_widens_none(
    house: House,
) -> None:
    await house.of().define_role("ops", ["storage:read", "memory:read"])
    made = await house.of().create_key(role="ops")
    await house.of().define_role("ops", ["storage:read:logs/*", "payments:write"])
    assert (await house.proven(made.text)).scopes == {"storage:read:logs/*"}


async def test_toolsets_are_what_its_holder_is_shown(house: House) -> None:
    made = await house.of().create_key(toolsets=["storage", "catalog", "storage"])
    assert (await house.proven(made.text)).toolsets == ("catalog", "storage")


async def test_a_list_shows_no_secret_and_pages_from_the_newest(house: House) -> None:
    texts = [(await house.of().create_key(f"k{n}")).text for n in range(3)]
    await house.of(AC).create_key("foreign")
    first = await house.of().keys(None, 2)
    rest = await house.of().keys((first[-1].created_at, first[-1].id), 2)
    assert [k.name for k in (*first, *rest)] == ["k2", "k1", "k0"]
    for key, text in zip((*first, *rest), reversed(texts), strict=True):
        assert text.endswith(key.hint)
        assert text.rpartition(".")[2][:-4] not in repr(key)


async def test_the_text_of_a_new_key_is_not_in_its_repr(house: House) -> None:
    made = await house.of().create_key()
    assert made.text not in repr(made)


async def test_the_first_key_is_the_root_tenants_owner(house: House) -> None:
    text = await first_key(house)
    assert text.startswith("tk_default.")
    assert (await house.proven(text)).scopes == ROLES["owner"]


async def test_rows_exchanged_between_tenants_do_not_open(
    house: House, swap: Callable[[str, str], object]
) -> None:
    """The digest binds the tenant: a row moved by hand is another tenant's secret."""
    made = await house.of(ACME).create_key()
    await house.of(AC).create_key()
    swap("acme", "ac")
    with pytest.raises(Refused):
        await house.proven(made.text)
    with pytest.raises(Refused):
        await house.proven(made.text.replace("tk_acme.", "tk_ac."))


@pytest.fixture
def swap(house: House, tmp_path: Path) -> Callable[[str, str], object]:
    from tests.support.tenants import rows_of

    def change(one: str, other: str) -> None:
        path = tmp_path / "rows.db"
        rows_of(path, "DELETE FROM api_keys WHERE tenant_id = ?", other)
        rows_of(path, "UPDATE api_keys SET tenant_id = ? WHERE tenant_id = ?", other, one)

    return change
