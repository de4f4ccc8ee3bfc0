"""A set of keys is whole, of one environment, and goes where it may."""

import pytest
from tests.support.wompi import EVENTS, KEYS, account, payouts_account

from tause_mcp.errors import Unconfigured
from tause_mcp.outbound.wompi import Account, PayoutsAccount
from tause_mcp.settings import Settings

PRODUCTION = {name: value.replace("test", "prod") for name, value in KEYS.items()}


def test_a_test_key_goes_to_the_sandbox_or_what_replaces_it() -> None:
    assert account().base_url == "https://sandbox.wompi.co/v1"
    assert account("http://127.0.0.1:9/v1/").base_url == "http://127.0.0.1:9/v1"
    assert account().checkout_url == "https://checkout.wompi.co"
    assert account().environment == "test"
    assert payouts_account().base_url == "https://api.sandbox.payouts.wompi.co"
    assert payouts_account("http://127.0.0.1:9").base_url == "http://127.0.0.1:9"


def test_a_production_key_goes_to_wompi_alone() -> None:
    settings = Settings.read(
        {
            "WOMPI_BASE_URL": "http://127.0.0.1:9/v1",
            "WOMPI_CHECKOUT_URL": "http://127.0.0.1:9",
            "WOMPI_PAYOUTS_URL": "http://127.0.0.1:9",
        }
    )
    own = Account.of(settings, **PRODUCTION, events_secrets=(EVENTS.replace("test", "prod"),))
    assert own.environment == "prod"
    assert own.base_url == "https://production.wompi.co/v1"
    assert own.checkout_url == "https://checkout.wompi.co"
    pays = PayoutsAccount.of(settings, api_key="a", user_principal_id="b", environment="prod")
    assert pays.base_url == "https://api.payouts.wompi.co"


def test_the_installations_account_is_that_of_its_settings() -> None:
    assert Account.installation(Settings.read({})) is None
    environ = {f"WOMPI_{name.upper()}": value for name, value in KEYS.items()}
    found = Account.installation(Settings.read({**environ, "WOMPI_EVENTS_SECRET": EVENTS}))
    assert found == account()


def test_no_key_is_in_a_repr() -> None:
    assert repr(account()) == "Account(environment='test')"
    assert repr(payouts_account()) == "PayoutsAccount(environment='test')"
    assert "canary" not in f"{account().private} {payouts_account().credential}"


def test_several_events_secrets_are_in_force_while_one_is_rotated() -> None:
    settings = Settings.read({})
    both = (EVENTS, "test_events_new")
    assert Account.of(settings, **KEYS, events_secrets=both).events_secrets == both
    with pytest.raises(Unconfigured, match="two environments"):
        Account.of(settings, **KEYS, events_secrets=(EVENTS, "prod_events_new"))


@pytest.mark.parametrize("name", [*KEYS, "events_secret"])
@pytest.mark.parametrize("value", ["", "canary", "pub_test_é", "prv_test_a b", "test_events_\n"])
def test_a_key_that_is_none_is_named_and_not_shown(name: str, value: str) -> None:
    keys = {**KEYS, "events_secret": EVENTS, name: value}
    events = keys.pop("events_secret")
    with pytest.raises(Unconfigured, match=rf"^payments\.wompi\.{name}: missing") as refused:
        Account.of(Settings.read({}), **keys, events_secrets=(events,))
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("name", [*KEYS, "events_secret"])
def test_a_set_is_of_one_environment(name: str) -> None:
    keys = {**KEYS, "events_secret": EVENTS}
    keys[name] = keys[name].replace("test", "prod")
    events = keys.pop("events_secret")
    with pytest.raises(Unconfigured, match=rf"payments\.wompi\.{name} is prod") as refused:
        Account.of(Settings.read({}), **keys, events_secrets=(events,))
    assert "canary" not in str(refused.value)


def test_no_events_secret_is_one_that_is_missing() -> None:
    with pytest.raises(Unconfigured, match="events_secret: missing"):
        Account.of(Settings.read({}), **KEYS, events_secrets=())


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"api_key": ""}, "payouts.wompi.api_key"),
        ({"api_key": "canary\r\nx: y"}, "payouts.wompi.api_key"),
        ({"user_principal_id": "ñ"}, "payouts.wompi.user_principal_id"),
        ({"environment": "production"}, "payouts.wompi.environment"),
    ],
)
def test_an_account_of_payouts_is_whole(changed: dict[str, str], named: str) -> None:
    with pytest.raises(Unconfigured, match=named) as refused:
        payouts_account(**changed)
    assert "canary" not in str(refused.value)
