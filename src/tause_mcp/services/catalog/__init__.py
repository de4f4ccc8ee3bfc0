"""The small door: find, describe and run any tool of the catalogue."""

from tause_mcp.capability import Capability
from tause_mcp.services.catalog.service import Directory

CAPABILITY = Capability(
    name="catalog",
    about="search every tool by what it does and run it",
    words="catálogo herramienta herramientas buscar encontrar ejecutar describir",
    services={Directory: lambda b: Directory(b.described, b.dispatch)},
    modules=(),
)

__all__ = ["CAPABILITY", "Directory"]
