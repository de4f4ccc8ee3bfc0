"""The application's role on PostgreSQL: made by the migrating one, with the least that will do."""

import base64
import hashlib
import hmac
import secrets
from typing import Any

from tause_mcp.database.protection import COMMANDS, GRANTS, SCHEMA, Run, identifier
from tause_mcp.errors import Misconfigured

_ROUNDS = 4096
ATTRIBUTES = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION NOBYPASSRLS"
_DEFINERS = """
SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = 'public' AND p.prosecdef AND pg_has_role(p.proowner, 'MEMBER')
"""


def scram(password: str, salt: bytes | None = None) -> str:
    """A password as the server keeps it (SCRAM-SHA-256, RFC 5803): it travels and is logged so."""
    salt = salt or secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _ROUNDS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    told = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${_ROUNDS}:{told[0]}${told[1]}:{told[2]}"


def ensure_role(run: Run, name: str, password: str | None) -> None:
    """Make the role unless it is there; one that is there keeps its attributes and password.

    Raises:
        Misconfigured: the admin may not create roles.
    """
    if run(f"SELECT to_regrole({literal(identifier(name))})").scalar() is not None:
        return
    may = run(
        "SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user"
    ).scalar()
    if not may:
        raise Misconfigured(
            f"TAUSE_DATABASE_URL: the role {name!r} does not exist and the admin may not create "
            f"roles: run CREATE ROLE {identifier(name)} {ATTRIBUTES} PASSWORD '...' as one who may"
        )
    run(f"CREATE ROLE {identifier(name)} {ATTRIBUTES}{_password(password)}")


def _password(password: str | None) -> str:
    """Prepared here when it is plain ASCII; the server normalises any other itself."""
    if not password:
        return ""
    kept = scram(password) if password.isascii() and password.isprintable() else password
    return f" PASSWORD {literal(kept)}"


def grant(run: Run, name: str) -> None:
    """Give the role what `GRANTS` says and take away everything else; nobody makes objects here."""
    role = identifier(name)
    run(f"REVOKE CREATE ON SCHEMA {SCHEMA} FROM PUBLIC, {role}")
    run(f"GRANT USAGE ON SCHEMA {SCHEMA} TO {role}")
    run("ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC")
    run(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {SCHEMA} TO {role}")
    for (table,) in run(_OWN_TABLES).all():
        named = f"{SCHEMA}.{identifier(table)}"
        run(f"REVOKE ALL ON {named} FROM PUBLIC, {role}")
        run(f"GRANT {', '.join(GRANTS.get(table, COMMANDS))} ON {named} TO {role}")
    for (function,) in run(_DEFINERS).all():
        run(f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC")
        run(f"GRANT EXECUTE ON FUNCTION {function} TO {role}")


_OWN_TABLES = """
SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND pg_has_role(c.relowner, 'MEMBER')
"""


def literal(text: Any) -> str:
    """A text as a literal of SQL."""
    told = str(text).replace("\\", "\\\\").replace("'", "''")
    return f"E'{told}'"
