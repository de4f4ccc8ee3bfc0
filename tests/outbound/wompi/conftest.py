"""Nobody waits for a second try."""

import pytest

from tause_mcp.outbound import Policy
from tause_mcp.outbound.wompi import api


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("READING", "SENDING"):
        monkeypatch.setattr(api, name, Policy(deadline=20.0, attempts=2, pause=0.001))
