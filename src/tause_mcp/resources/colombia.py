"""Colombia's departments and municipalities by URI."""

from typing import Annotated, Any

from pydantic import Field

from tause_mcp.capability import resource
from tause_mcp.services import colombia as co
from tause_mcp.services.colombia import Colombia
from tause_mcp.tools.colombia import shown, shown_departments


async def codes(typed: str) -> list[str]:
    """Codes of departments."""
    return [code for code in co.departments() if code.startswith(typed)]


@resource("colombia/departments", "Departments of Colombia", scope="colombia:read")
async def colombia_departments() -> dict[str, Any]:
    """The 33 departments by DANE code, with how many municipalities each has."""
    return {"items": shown_departments()}


@resource(
    "colombia/municipalities/{department_code}",
    "Municipalities of a department",
    scope="colombia:read",
    complete={"department_code": codes},
)
async def colombia_municipalities(
    colombia: Colombia,
    department_code: Annotated[str, Field(max_length=20)],
) -> dict[str, Any]:
    """All municipalities of one department by DANE code."""
    found = co.municipalities_of(department_code, language=colombia.language)
    return {"department_code": department_code, "items": [shown(row) for row in found]}
