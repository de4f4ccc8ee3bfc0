"""Rows: one small interface over SQLite and PostgreSQL.

SQLAlchemy Core owns schema and dialects; each statement is compiled once per dialect and run on
the driver. Work inside a transaction is an `async def work(tx)` that awaits nothing but `tx`.
"""

from tause_mcp.database.engine import (
    Database,
    Options,
    TenantDatabase,
    Transaction,
    Work,
    open_database,
)
from tause_mcp.database.statements import TENANT, Statement, metadata, upsert

__all__ = [
    "TENANT",
    "Database",
    "Options",
    "Statement",
    "TenantDatabase",
    "Transaction",
    "Work",
    "metadata",
    "open_database",
    "upsert",
]
