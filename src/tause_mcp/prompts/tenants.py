"""Prompts about tenants."""

from typing import Annotated

from pydantic import Field

from tause_mcp.capability import prompt
from tause_mcp.services.tenants import Tenants
from tause_mcp.tenancy import TENANT_ID_PATTERN

Text = Annotated[str, Field(max_length=200)]
Id = Annotated[str, Field(pattern=TENANT_ID_PATTERN)]


async def known(tenants: Tenants, typed: str) -> list[str]:
    """Tenants within the caller's reach."""
    return [info.id for info in await tenants.tree(None, "", "", 500) if info.id.startswith(typed)]


@prompt("Onboard a tenant", scope="tenants:admin")
def onboard_tenant(tenant_id: Id, name: Text = "", plan: Text = "") -> str:
    """Set up a new tenant from nothing to a key that works."""
    called = f", named {name!r}" if name else ""
    planned = f" on the plan {plan!r}" if plan else ""
    return (
        f"Onboard the tenant {tenant_id!r}{called}{planned}. Step by step:\n"
        "1. tenants_list: make sure that the id is free.\n"
        "2. tenants_create with the id, name and plan; ask me which limits it should have.\n"
        "3. tenants_configure: ask me for its locale, currency and timezone; set only what differs "
        "from what tenants_explain says it inherits.\n"
        "4. tenants_get: show me the result in a short table.\n"
        f"5. Tell me to run `tause-mcp keys create --tenant {tenant_id}` for its first key: a key "
        "belongs in no chat.\n"
        "Stop and ask when a step fails."
    )


@prompt("Analyze usage", scope="tenants:read", complete={"tenant_id": known})
def analyze_usage(tenant_id: Annotated[str, Field(max_length=63)] = "", hours: Text = "24") -> str:
    """Read a tenant's usage and say what stands out."""
    of = f"the tenant {tenant_id!r}" if tenant_id else "my tenant"
    named = f"tenant_id={tenant_id!r}, " if tenant_id else ""
    return (
        f"Analyze how {of} used the platform in the last {hours} hours. "
        f"Call tenants_get_usage({named}hours={hours}) and read:\n"
        "- which capabilities have the most calls, bytes and errors, and their error rates;\n"
        "- hours that stand out from the others, and p95 far above p50;\n"
        "- limits that are nearly used up, and when they would run out at this pace.\n"
        "Answer with five lines at most, the figures in them, then one recommendation."
    )
