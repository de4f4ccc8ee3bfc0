"""Secrets of the process's environment: no two share a variable, none can be changed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tause_mcp.errors import Misconfigured, Unconfigured
from tause_mcp.services.secrets import Secrets
from tause_mcp.services.secrets.sources.environment import (
    Environment,
    _read,
    open_environment,
    written,
)
from tause_mcp.tenancy import TenantId

pytestmark = pytest.mark.anyio
TENANTS = st.from_regex(r"[a-z0-9][a-z0-9_-]{1,8}", fullmatch=True)
NAMES = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,6}(/[a-z0-9][a-z0-9._-]{0,4})?", fullmatch=True)


def of(tenant: str, **environ: str) -> Secrets:
    return Secrets(Environment("APP", environ).shelf(TenantId(tenant)))


@given(TENANTS, NAMES, TENANTS, NAMES)
def test_two_secrets_never_share_a_variable(t1: str, n1: str, t2: str, n2: str) -> None:
    one, two = (f"{written(t)}__{written(n)}" for t, n in ((t1, n1), (t2, n2)))
    assert (one == two) == ((t1, n1) == (t2, n2))


@given(NAMES)
def test_a_name_is_read_back_from_its_variable(name: str) -> None:
    assert _read(written(name)) == name


@given(st.text("AZ09_2DFf-", max_size=10))
def test_a_variable_that_no_name_writes_is_no_secret(part: str) -> None:
    name = _read(part)
    assert name is None or written(name) == part


async def test_a_tenant_sees_its_own_variables_only() -> None:
    environ = {
        "APP__ACME__STRIPE_2DKEY": "v1",
        "APP__ACME2__STRIPE_2DKEY": "v2",
        "APP__ACME__EMPTY": "",
        "APP__ACME_5FX__A": "v3",
        "PATH": "/bin",
    }
    acme = of("acme", **environ)
    assert [s.name for s in await acme.list()] == ["stripe-key"]
    assert await acme.resolve("secret://stripe-key") == "v1"
    assert await of("acme_x", **environ).resolve("secret://a") == "v3"
    assert await acme.list("stripe-key") == []


async def test_nothing_can_be_changed() -> None:
    acme = of("acme")
    for attempt in (acme.put("a", "v"), acme.rotate("a", "v"), acme.delete("a")):
        with pytest.raises(Unconfigured, match="kept by the operator"):
            await attempt


@pytest.mark.parametrize("url", ["env://", "env://app", "env://TAUSE_X", "env://A__B", "env://A/B"])
async def test_a_prefix_of_the_wrong_form_refuses_to_start(url: str) -> None:
    with pytest.raises(Misconfigured, match="TAUSE_SECRETS_URL"):
        async with open_environment(url):
            pass
