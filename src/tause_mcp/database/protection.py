"""What the application's role may do on PostgreSQL: one wall per table, found from the catalogue.

Every table with a column `tenant_id` gets forced row-level security after each migration, whoever
made it. What the house reads and writes over all tenants is `HOUSE`, and nothing else. What the
role may do to a table besides is `GRANTS`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

SCHEMA = "public"

COMMANDS = ("SELECT", "INSERT", "UPDATE", "DELETE")
"""What is granted on a table that `GRANTS` does not name. Never TRUNCATE, REFERENCES, TRIGGER."""
_READ_ONLY = ("alembic_version", "audit", "audit_heads", "audit_checkpoints")
GRANTS: dict[str, tuple[str, ...]] = dict.fromkeys(_READ_ONLY, ("SELECT",))
"""Table -> what the application's role may do to it. The audit chain it writes through functions
of its owner (`migrations.audit_sql`)."""

BOUND = "(tenant_id = NULLIF(current_setting('app.tenant_id'::text, true), ''::text))"
"""The row is of the transaction's tenant; without one, of nobody. As the server spells it."""
_BOUND_VARCHAR = BOUND.replace("(tenant_id =", "((tenant_id)::text =")
_ON = "(current_setting('app.house'::text, true) = 'on'::text)"
_EXPIRED = f"({_ON} AND (expires_at <= ((EXTRACT(epoch FROM now()) * (1000000)::numeric))::bigint))"


class Opening(NamedTuple):
    """What house mode opens of a table: the commands, and the rows."""

    commands: tuple[str, ...]
    rows: str = _ON


HOUSE: dict[str, Opening] = {
    "tenants": Opening(("SELECT", "INSERT", "UPDATE")),
    "tenant_values": Opening(COMMANDS),
    "tenant_limits": Opening(COMMANDS),
    "tenant_changes": Opening(("SELECT", "INSERT", "DELETE")),
    "assignments": Opening(("SELECT",)),
    "roles": Opening(("SELECT",)),
    "usage": Opening(("SELECT", "INSERT", "UPDATE")),
    "storage_usage": Opening(("SELECT",)),
    "blob_trash": Opening(("SELECT",)),
    "uploads": Opening(("SELECT",), _EXPIRED),
    "idempotency": Opening(("SELECT", "DELETE"), _EXPIRED),
    "provider_due": Opening(("SELECT",)),
}
"""The tree, who was given a role in it, counts, what is due, and what has expired. No table with what a tenant
keeps (objects, keys, approvals, audit...) is ever named here: sweeps go tenant by tenant."""


class Policy(NamedTuple):
    """One policy as the catalogue has it: command `*`, `r`, `a`, `w` or `d`, and its conditions."""

    name: str
    command: str
    using: str | None
    check: str | None
    plain: bool = True
    """Permissive, and for every role."""


_LETTERS = {"SELECT": "r", "INSERT": "a", "UPDATE": "w", "DELETE": "d"}


def expected(table: str, *, varchar: bool = False) -> set[Policy]:
    """The policies of a table of tenants."""
    bound = _BOUND_VARCHAR if varchar else BOUND
    found = {Policy("tenant_only", "*", bound, bound)}
    opening = HOUSE.get(table, Opening(()))
    for command in opening.commands:
        using = None if command == "INSERT" else opening.rows
        check = opening.rows if command in ("INSERT", "UPDATE") else None
        found.add(Policy(f"house_{command.lower()}", _LETTERS[command], using, check))
    return found


TABLES = """
SELECT c.oid::int8 AS oid, n.nspname::text AS schema, c.relname::text AS name,
  c.relrowsecurity AND c.relforcerowsecurity AS forced,
  format_type(a.atttypid, -1) = 'character varying' AS varchar,
  pg_has_role(c.relowner, 'MEMBER') AS owned
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY 2, 3
"""
"""Every table of tenants, in whatever schema."""

POLICIES = """
SELECT polrelid::int8 AS oid, polname::text AS name, polcmd::text AS command,
  pg_get_expr(polqual, polrelid) AS using, pg_get_expr(polwithcheck, polrelid) AS check,
  polpermissive AND polroles = '{0}' AS plain,
  polpermissive AND EXISTS (
    SELECT FROM unnest(polroles) AS r WHERE r = 0 OR pg_has_role(r, 'MEMBER')) AS widens
FROM pg_policy
"""
"""Every policy; `widens` when it may show this role more rows."""

Run = Callable[[str], Any]
"""Runs one statement on the migration's own connection; a SQLAlchemy result."""


def lift(run: Run) -> None:
    """Let the migrations of this transaction see every tenant's rows; `protect` ends it."""
    for table in run(TABLES).mappings().all():
        if table["forced"] and table["schema"] == SCHEMA:
            run(f"ALTER TABLE {_named(table)} NO FORCE ROW LEVEL SECURITY")


def protect(run: Run) -> None:
    """Force row-level security on every table of tenants. What is right already is not touched."""
    found: dict[int, set[Policy]] = {}
    for row in run(POLICIES).all():
        found.setdefault(row[0], set()).add(Policy(*row[1:6]))
    for table in run(TABLES).mappings().all():
        if table["schema"] != SCHEMA:
            continue
        wanted = expected(table["name"], varchar=table["varchar"])
        _repolice(run, _named(table), found.get(table["oid"], set()), wanted)
        if not table["forced"]:
            run(f"ALTER TABLE {_named(table)} ENABLE ROW LEVEL SECURITY")
            run(f"ALTER TABLE {_named(table)} FORCE ROW LEVEL SECURITY")


_WORDS = {"*": "ALL", **{letter: word for word, letter in _LETTERS.items()}}


def _repolice(run: Run, table: str, found: set[Policy], wanted: set[Policy]) -> None:
    """Ours as they are to be; a stranger's stays, and the self-check names it."""
    for policy in found - wanted:
        if policy.name == "tenant_only" or policy.name.startswith("house_"):
            run(f"DROP POLICY {policy.name} ON {table}")
    for policy in sorted(wanted - found):
        using = f" USING ({policy.using})" if policy.using else ""
        check = f" WITH CHECK ({policy.check})" if policy.check else ""
        run(
            f"CREATE POLICY {policy.name} ON {table} FOR {_WORDS[policy.command]} TO PUBLIC"
            f"{using}{check}"
        )


def _named(table: Any) -> str:
    return f"{identifier(table['schema'])}.{identifier(table['name'])}"


def identifier(name: str) -> str:
    """A name as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'
