"""A change of what is not there changes nothing, says nothing else, and leaves no record."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tause_mcp.errors import NotFound
from tause_mcp.testing.home import House, house

pytestmark = pytest.mark.anyio

STEPS = [{"op": "index", "field": "a"}]
ABSENT: list[tuple[str, dict[str, Any]]] = [
    ("access_revoke_key", {"id": "0123456789abcdef"}),
    ("access_remove_role", {"name": "none"}),
    ("access_unassign_role", {"subject": "nobody", "role": "viewer"}),
    ("storage_delete", {"key": "none"}),
    ("storage_copy", {"source": "none", "destination": "b"}),
    ("database_insert", {"collection": "none", "document": {}}),
    ("database_update", {"collection": "there", "id": "none", "changes": {"a": 1}}),
    ("database_migrate", {"collection": "none", "steps": STEPS}),
    ("database_migrate", {"collection": "there", "rollback_to": 7}),
    ("dataframes_put", {"name": "a", "key": "none.csv"}),
    ("dataframes_delete", {"name": "none"}),
    ("secrets_rotate", {"name": "none", "value": "v"}),
    ("secrets_delete", {"name": "none"}),
    ("tenants_configure", {"tenant_id": "none", "name": "x"}),
    ("tenants_suspend", {"tenant_id": "none"}),
    ("tenants_resume", {"tenant_id": "none"}),
]


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path / "home") as opened:
        await opened.call("database_create_collection", {"name": "there"})
        yield opened


async def test_what_is_absent_is_refused_without_a_trace(home: House) -> None:
    before = await home.call("audit_verify", {})
    for tool, arguments in ABSENT:
        with pytest.raises(NotFound) as refused:
            await home.call(tool, arguments)
        assert "had changed before" not in str(refused.value), tool
        assert await home.call("audit_verify", {}) == before, tool
