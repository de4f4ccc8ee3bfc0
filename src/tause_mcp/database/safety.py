"""The self-check at the start: what would let the application's role past the walls.

Row-level security binds neither superusers nor BYPASSRLS, nor TRUNCATE, nor who owns a table and
may lift it. Each finding is one line that says what to do; with any of them nothing is served.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from tause_mcp.database.protection import POLICIES, TABLES, Policy, expected


class Danger(NamedTuple):
    """What is unsafe, and what to do about it."""

    what: str
    advice: str

    def __str__(self) -> str:
        return f"{self.what}: {self.advice}"


_OTHER_ROLE = (
    "name a role of its own in TAUSE_DATABASE_URL and run `tause-mcp migrate` with "
    "TAUSE_DATABASE_ADMIN_URL, which makes it"
)
_MIGRATE = "run `tause-mcp migrate` with TAUSE_DATABASE_ADMIN_URL"

_ROLE = """
SELECT rolname::text AS name, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication
FROM pg_roles WHERE rolname = current_user
"""
_ATTRIBUTES = {
    "rolsuper": ("is a superuser", "NOSUPERUSER"),
    "rolbypassrls": ("may bypass row-level security", "NOBYPASSRLS"),
    "rolcreaterole": ("may create roles", "NOCREATEROLE"),
    "rolcreatedb": ("may create databases", "NOCREATEDB"),
    "rolreplication": ("may replicate the whole server", "NOREPLICATION"),
}


async def _of_the_role(connection: Any) -> list[Danger]:
    role = await connection.fetchrow(_ROLE)
    return [
        Danger(
            f"the role {role['name']!r} {is_}",
            f"ALTER ROLE {role['name']} {word}, or {_OTHER_ROLE}",
        )
        for column, (is_, word) in _ATTRIBUTES.items()
        if role[column]
    ]


async def _of_ownership(connection: Any) -> list[Danger]:
    owned = [row["name"] for row in await connection.fetch(TABLES) if row["owned"]]
    if not owned:
        return []
    return [Danger(f"its role owns tables of tenants ({_some(owned)})", _OTHER_ROLE)]


_MEMBERSHIPS = """
SELECT r.rolname::text FROM pg_roles r
WHERE r.rolname <> current_user AND pg_has_role(r.oid, 'MEMBER')
  AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) ORDER BY 1
"""


async def _of_memberships(connection: Any) -> list[Danger]:
    """Whatever they are for: SET ROLE would take all that they hold."""
    rows = await connection.fetch(_MEMBERSHIPS)
    return [
        Danger(
            f"its role is a member of {name!r}", f"REVOKE {name} FROM the role, or {_OTHER_ROLE}"
        )
        for (name,) in rows
    ]


_EXCESS = f"""
SELECT t.name, p.privilege FROM ({TABLES}) AS t
CROSS JOIN unnest(ARRAY['TRUNCATE', 'REFERENCES', 'TRIGGER']) AS p(privilege)
WHERE NOT t.owned AND has_table_privilege(t.oid::oid, p.privilege)
"""  # noqa: S608  # of constants


async def _of_privileges(connection: Any) -> list[Danger]:
    found: dict[str, list[str]] = {}
    for name, privilege in await connection.fetch(_EXCESS):
        found.setdefault(privilege, []).append(name)
    dangers = [
        Danger(f"its role may {privilege} tables of tenants ({_some(names)})", _MIGRATE)
        for privilege, names in found.items()
    ]
    if await connection.fetchval("SELECT has_schema_privilege('public', 'CREATE')"):
        dangers.append(Danger("its role may create objects in the schema public", _MIGRATE))
    return dangers


async def _of_tables(connection: Any) -> list[Danger]:
    """Row-level security on every table of tenants, with our policies and no other that widens."""
    found: dict[int, set[Policy]] = {}
    for row in await connection.fetch(POLICIES):
        if row["widens"]:
            found.setdefault(row["oid"], set()).add(Policy(*row[1:6]))
    dangers = []
    for table in await connection.fetch(TABLES):
        named = (
            table["name"] if table["schema"] == "public" else f"{table['schema']}.{table['name']}"
        )
        if not table["forced"]:
            dangers.append(Danger(f"the table {named} has no forced row-level security", _MIGRATE))
        policies = found.get(table["oid"], set())
        wanted = expected(table["name"], varchar=table["varchar"])
        dangers += [
            Danger(
                f"the policy {p.name} on {named} widens what a tenant sees",
                f"DROP POLICY {p.name} ON {named}",
            )
            for p in sorted(policies - wanted)
            if p.name not in {w.name for w in wanted}
        ]
        dangers += [
            Danger(f"the policy {p.name} on {named} is missing or altered", _MIGRATE)
            for p in sorted(wanted - policies)
        ]
    return dangers


_VIEWS = f"""
WITH RECURSIVE over AS (
  SELECT v.oid, v.relname, v.relkind, v.reloptions
  FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class v ON v.oid = r.ev_class
  WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
    AND d.refobjid IN (SELECT oid::oid FROM ({TABLES}) AS t) AND v.relkind IN ('v', 'm')
  UNION
  SELECT v.oid, v.relname, v.relkind, v.reloptions
  FROM over o JOIN pg_depend d ON d.refobjid = o.oid AND d.refclassid = 'pg_class'::regclass
  JOIN pg_rewrite r ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass
  JOIN pg_class v ON v.oid = r.ev_class AND v.relkind IN ('v', 'm')
)
SELECT relname::text AS name, relkind = 'm' AS kept FROM over
WHERE (relkind = 'm' OR NOT COALESCE(reloptions && ARRAY['security_invoker=true',
  'security_invoker=on', 'security_invoker=1', 'security_invoker=yes'], false))
  AND has_any_column_privilege(oid, 'SELECT, INSERT, UPDATE')
ORDER BY 1
"""  # noqa: S608  # of constants


async def _of_views(connection: Any) -> list[Danger]:
    dangers = []
    for name, kept in await connection.fetch(_VIEWS):
        if kept:
            what = f"the materialized view {name} keeps rows of all tenants"
            dangers.append(Danger(what, f"REVOKE ALL ON {name} FROM the role and PUBLIC"))
        else:
            what = f"the view {name} reads tables of tenants with its owner's rights"
            dangers.append(Danger(what, f"ALTER VIEW {name} SET (security_invoker = true)"))
    return dangers


_FUNCTIONS = """
SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE p.prosecdef AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND has_function_privilege(p.oid, 'EXECUTE')
  AND NOT EXISTS (SELECT FROM unnest(p.proconfig) AS c WHERE c LIKE 'search_path=%')
ORDER BY 1
"""


async def _of_functions(connection: Any) -> list[Danger]:
    return [
        Danger(
            f"the function {name} runs with its owner's rights and no fixed search_path",
            f"ALTER FUNCTION {name} SET search_path = pg_catalog, public, pg_temp",
        )
        for (name,) in await connection.fetch(_FUNCTIONS)
    ]


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


_CHECKS: tuple[Callable[[Any], Awaitable[list[Danger]]], ...] = (
    _of_the_role,
    _of_ownership,
    _of_memberships,
    _of_privileges,
    _of_tables,
    _of_views,
    _of_functions,
)


async def dangers(connection: Any) -> list[Danger]:
    """Everything unsafe about this connection's role and its database; empty when it is safe."""
    return [danger for check in _CHECKS for danger in await check(connection)]


@asynccontextmanager
async def examined(url: str) -> AsyncIterator[Any]:
    """A connection in one transaction, so that it works through a pooler too."""
    import asyncpg

    from tause_mcp.database.postgres import dsn_of

    connection = await asyncpg.connect(dsn_of(url), timeout=10, statement_cache_size=0)
    try:
        async with connection.transaction(readonly=True):
            yield connection
    finally:
        await connection.close()
