"""What a tenant has not configured for a capability: not listed, refused before anything else."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tause_mcp.capability import Binding, Capability, Consent, Key, prompt, resource, tool
from tause_mcp.errors import Forbidden, Invalid, Unconfigured
from tause_mcp.settings import Settings
from tause_mcp.testing.home import House, house

pytestmark = pytest.mark.anyio
TEXT = "sonar needs a station: set sonar.station with tenants_configure"
ALL = {"toolsets": ("all",)}


@dataclass
class Sonar:
    """Listens at the tenant's station."""

    station: str


@tool("Ping a station", scope="sonar:write", consent=lambda _: Consent("Ping it"))
async def sonar_ping(sonar: Sonar) -> dict[str, str]:
    """Ping the station of the tenant."""
    return {"station": sonar.station}


@tool("Read a station", scope="sonar:read")
async def sonar_get(sonar: Sonar) -> dict[str, str]:
    """Read the name of the station of the tenant."""
    return {"station": sonar.station}


@resource("sonar/station", "Station", scope="sonar:read")
async def sonar_station(sonar: Sonar) -> dict[str, str]:
    """The station of the tenant."""
    return {"station": sonar.station}


@prompt("Listen", scope="sonar:read")
def sonar_listen() -> str:
    """Listen at the station."""
    return "Listen."


def _lacks(settings: Settings, values: Mapping[str, Any]) -> str | None:
    return None if values["sonar.station"] else TEXT


def _capability() -> Capability:
    module = ModuleType("sonar")
    for declared in (sonar_ping, sonar_get, sonar_station, sonar_listen):
        setattr(module, declared.name, declared)
    keys = {
        "sonar.station": Key("string", r"[a-z]{3,9}", scope="sonar:admin", about="its station"),
        "sonar.token": Key("secret", about="what opens it"),
        "sonar.depth": Key("integer", high=100, about="meters"),
    }

    def bind(binding: Binding) -> Sonar:
        return Sonar(binding.value("sonar.station"))

    services: Mapping[type[Any], Any] = {Sonar: bind}
    return Capability("sonar", "listen", "sonar eco", services, (module,), keys=keys, lacks=_lacks)


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path, plugins=[_capability()]) as opened:
        for name in ("acme", "globex"):
            await opened.tenant(name)
        yield opened


async def _offered(home: House, tenant: str) -> set[str]:
    """What begins with `sonar` in every list."""
    async with home.client(tenant, **ALL) as client:
        tools = [t.name for t in (await client.list_tools()).tools]
        resources = [r.name for r in (await client.list_resources()).resources]
        prompts = [p.name for p in (await client.list_prompts()).prompts]
    return {name for name in (*tools, *resources, *prompts) if name.startswith("sonar")}


async def _configure(home: House, tenant: str, **values: Any) -> None:
    told = {"values": {f"sonar.{name}": value for name, value in values.items()}}
    await home.call("tenants_configure", told, tenant)


async def test_it_is_offered_to_the_tenant_that_configured_it_and_to_nobody_else(
    home: House,
) -> None:
    assert await _offered(home, "acme") == set()
    await _configure(home, "acme", station="north")
    assert await _offered(home, "acme") == {
        "sonar_ping",
        "sonar_get",
        "sonar_station",
        "sonar_listen",
    }
    assert await home.call("sonar_get", {}, "acme") == {"station": "north"}
    assert await _offered(home, "globex") == set()
    await home.call("tenants_configure", {"remove": ["sonar.station"]}, "acme")
    assert await _offered(home, "acme") == set()


async def test_a_call_says_what_to_do_before_anyone_is_asked_to_approve(home: House) -> None:
    for tool_name in ("sonar_ping", "sonar_get"):
        with pytest.raises(Unconfigured, match=r"set sonar\.station"):
            await home.call(tool_name, {}, "acme")
    assert (await home.call("approvals_list", {}, "acme"))["items"] == []
    found = await home.call("catalog_search", {"query": "sonar station"}, "acme")
    assert not [t for t in found["items"] if t["name"].startswith("sonar")]


async def test_a_resource_and_a_prompt_say_it_too(home: House) -> None:
    async with home.client("acme") as client:
        for asking in (
            client.read_resource("tause://acme/sonar/station"),
            client.get_prompt("sonar_listen"),
        ):
            with pytest.raises(Exception, match=r"set sonar\.station"):
                await asking


async def test_what_is_out_of_scope_stays_unknown(home: House) -> None:
    viewer = home.caller("acme", scopes={"storage:read"})
    with pytest.raises(Forbidden):
        await home.call("sonar_get", {}, viewer)


async def test_a_tenant_inherits_what_the_one_above_configured(home: House) -> None:
    await _configure(home, "default", station="south")
    assert await home.call("sonar_get", {}, "globex") == {"station": "south"}
    await _configure(home, "globex", station="west")
    assert await home.call("sonar_get", {}, "globex") == {"station": "west"}
    assert await home.call("sonar_get", {}, "acme") == {"station": "south"}


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("station", "NORTH", r"sonar.station matches \[a-z\]"),
        ("station", "north\n", "matches"),
        ("station", 7, "is of type string"),
        ("token", "hunter2", "secret://name"),
        ("depth", 101, "from 0 to 100"),
    ],
)
async def test_a_declared_key_is_checked_when_it_is_written(
    home: House, name: str, value: Any, told: str
) -> None:
    with pytest.raises(Invalid, match=told):
        await _configure(home, "acme", **{name: value})


async def test_a_declared_key_is_written_by_whoever_holds_what_it_demands(home: House) -> None:
    writer = home.caller("acme", scopes={"tenants:write"})
    with pytest.raises(Forbidden, match="sonar:admin"):
        await home.call("tenants_configure", {"values": {"sonar.station": "north"}}, writer)
    await home.call("tenants_configure", {"values": {"sonar.depth": 5}}, writer)


async def test_listeners_hear_that_their_tools_changed(home: House) -> None:
    heard: list[str] = []
    home.platform.events.subscribe("acme", lambda event: heard.append(event.kind))  # type: ignore[arg-type]
    await _configure(home, "acme", station="north")
    assert "tools" in heard
    heard.clear()
    await home.call("tenants_configure", {"values": {"motto": "onwards"}}, "acme")
    assert "tools" not in heard


async def test_a_key_of_another_capability_is_not_taken(tmp_path: Path) -> None:
    from dataclasses import replace

    greedy = replace(_capability(), keys={"storage.secret": Key("string", about="not ours")})
    with pytest.raises(AssertionError, match="does not begin with 'sonar'"):
        async with house(tmp_path, plugins=[greedy]):
            pass
