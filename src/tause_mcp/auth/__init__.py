"""Who is calling: bearer JWT, API key or the person at the terminal -> `Caller`.

What needs cryptography is imported when it is first named: a local session needs none of it.
"""

from typing import TYPE_CHECKING, Any

from tause_mcp.auth.identities import Door, Identities, KeyRecord, door
from tause_mcp.auth.narrowing import intersection
from tause_mcp.auth.stdio import key_caller, local_caller
from tause_mcp.urls import imported

if TYPE_CHECKING:
    from tause_mcp.auth.apikeys import Minted, mint
    from tause_mcp.auth.opening import open_verifier
    from tause_mcp.auth.verifier import Verifier

__all__ = [
    "Door",
    "Identities",
    "KeyRecord",
    "Minted",
    "Verifier",
    "door",
    "intersection",
    "key_caller",
    "local_caller",
    "mint",
    "open_verifier",
]

_LATER = {
    "Minted": "tause_mcp.auth.apikeys:Minted",
    "mint": "tause_mcp.auth.apikeys:mint",
    "open_verifier": "tause_mcp.auth.opening:open_verifier",
    "Verifier": "tause_mcp.auth.verifier:Verifier",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return imported(_LATER[name])
