"""Tables of one tenant, asked in SQL. Needs the extra `dataframes` (polars, sqlglot)."""

from importlib.util import find_spec
from typing import Any

from tause_mcp.capability import Backends, Binding, Capability
from tause_mcp.services.dataframes.engine import Engine
from tause_mcp.services.dataframes.service import NAME_PATTERN, Frame, Frames
from tause_mcp.services.storage import Storage
from tause_mcp.tenancy import TenantId


def lacking(*_: object) -> str | None:
    """What to install, unless all is there."""
    if all(find_spec(name) for name in ("polars", "sqlglot")):
        return None
    return "dataframes need polars and sqlglot: the operator installs tause-mcp[dataframes]"


def _frames(binding: Binding) -> Frames:
    storage, engine = binding.service(Storage), binding.backend("dataframes")
    return Frames(binding.database, storage, engine, binding.cipher)


async def _left(platform: Any, tenant: TenantId) -> None:
    """What runs for the tenant ends; its frames go with its rows and its storage."""
    engine: Engine = platform.backends["dataframes"]
    await engine.end(tenant)


CAPABILITY = Capability(
    name="dataframes",
    about="keep tables and ask them in SQL",
    words="tabla tablas datos hoja cálculo consulta consultar estadística suma promedio agrupar "
    "dataframe table spreadsheet csv parquet sql query statistics group join analysis",
    services={Frames: _frames},
    modules=(),
    backends=Backends(
        default=lambda settings: "process://",
        factories={"process": "tause_mcp.services.dataframes.engine:open_engine"},
    ),
    on_delete=_left,
    lacks=lacking,
)

__all__ = ["CAPABILITY", "NAME_PATTERN", "Engine", "Frame", "Frames", "lacking"]
