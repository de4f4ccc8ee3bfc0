"""Keys, roles and assignments of every tenant, and the statements on them."""

import sqlalchemy as sa

from tause_mcp.database import TENANT, Statement, metadata, upsert

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sa.Column("hint", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("role", sa.Text),
    sa.Column("scopes", sa.Text),
    sa.Column("toolsets", sa.Text),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger),
    sa.Column("revoked_at", sa.BigInteger),
    sa.Index("api_keys_by_time", "tenant_id", "created_at", "id"),
)
"""`scopes` narrows `role`; alone it is what the key holds. Both lists are JSON."""

roles = sa.Table(
    "roles",
    metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("scopes", sa.Text, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
)

assignments = sa.Table(
    "assignments",
    metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("home", sa.Text, primary_key=True),
    sa.Column("issuer", sa.Text, primary_key=True),
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("role", sa.Text, primary_key=True),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger),
    sa.Index("assignments_by_principal", "home", "issuer", "subject"),
)
"""A role of `tenant_id` for a principal of `home`: itself, or a tenant above (a stored grant)."""

_k, _r, _a = api_keys.c, roles.c, assignments.c
_of: sa.BindParameter[str] = sa.bindparam("of", type_=sa.Text)
_now: sa.BindParameter[int] = sa.bindparam("now", type_=sa.BigInteger)
_before: sa.BindParameter[int] = sa.bindparam("before", type_=sa.BigInteger)
_before_id: sa.BindParameter[str] = sa.bindparam("before_id", type_=sa.Text)
_most: sa.BindParameter[int] = sa.bindparam("most", type_=sa.Integer)
_lasting = sa.or_(_a.expires_at.is_(None), _a.expires_at > _now)
_active = sa.and_(_k.revoked_at.is_(None), sa.or_(_k.expires_at.is_(None), _k.expires_at > _now))

# --- keys -----------------------------------------------------------------------------------

_with_role = sa.outerjoin(
    api_keys, roles, sa.and_(_r.tenant_id == _k.tenant_id, _r.name == _k.role)
)
SHOWN = (
    _k.id,
    _k.name,
    _k.hint,
    _k.role,
    _k.scopes,
    _r.scopes.label("role_scopes"),
    _k.toolsets,
    _k.created_by,
    _k.created_at,
    _k.expires_at,
    _k.revoked_at,
)
"""The columns of a `KeyInfo`, before its scopes are put together."""

INSERT_KEY = Statement(sa.insert(api_keys))
GET_KEY = Statement(
    sa.select(*SHOWN).select_from(_with_role).where(_k.tenant_id == TENANT, _k.id == _of)
)
PROVE_KEY = Statement(
    sa.select(_k.digest, _k.role, _k.scopes, _r.scopes, _k.toolsets, _k.expires_at, _k.revoked_at)
    .select_from(_with_role)
    .where(_k.tenant_id == TENANT, _k.id == _of)
)
LIST_KEYS = Statement(
    sa.select(*SHOWN)
    .select_from(_with_role)
    .where(
        _k.tenant_id == TENANT,
        sa.or_(_k.created_at < _before, sa.and_(_k.created_at == _before, _k.id < _before_id)),
    )
    .order_by(_k.created_at.desc(), _k.id.desc())
    .limit(_most)
)
"""Newest first."""
REVOKE_KEY = Statement(
    sa.update(api_keys)
    .values(revoked_at=_now)
    .where(_k.tenant_id == TENANT, _k.id == _of, _k.revoked_at.is_(None))
)

# --- roles ----------------------------------------------------------------------------------

PUT_ROLE = upsert(roles, ("tenant_id", "name"), ("scopes", "updated_at"))
GET_ROLE = Statement(sa.select(_r.scopes).where(_r.tenant_id == TENANT, _r.name == _of))
LIST_ROLES = Statement(
    sa.select(_r.name, _r.scopes).where(_r.tenant_id == TENANT).order_by(_r.name)
)
COUNT_ROLES = Statement(sa.select(sa.func.count()).where(_r.tenant_id == TENANT))
REMOVE_ROLE = Statement(sa.delete(roles).where(_r.tenant_id == TENANT, _r.name == _of))
KEYS_IN_ROLE = Statement(
    sa.select(sa.func.count()).where(_k.tenant_id == TENANT, _k.role == _of, _active)
)

# --- assignments ------------------------------------------------------------------------------

_principal = (
    _a.home == sa.bindparam("of_home"),
    _a.issuer == sa.bindparam("of_issuer"),
    _a.subject == sa.bindparam("of_subject"),
)
_role_of = sa.outerjoin(
    assignments, roles, sa.and_(_r.tenant_id == _a.tenant_id, _r.name == _a.role)
)
PUT_ASSIGNMENT = upsert(
    assignments,
    ("tenant_id", "home", "issuer", "subject", "role"),
    ("created_by", "created_at", "expires_at"),
)
REMOVE_ASSIGNMENT = Statement(
    sa.delete(assignments).where(_a.tenant_id == TENANT, *_principal, _a.role == _of)
)
ASSIGNED = Statement(
    sa.select(_a.role, _r.scopes)
    .select_from(_role_of)
    .where(_a.tenant_id == TENANT, *_principal, _lasting)
)
"""What a principal was given in the tenant."""
IN_ROLE = Statement(
    sa.select(_a.home, _a.issuer, _a.subject, _a.expires_at)
    .where(_a.tenant_id == TENANT, _a.role == _of, _lasting)
    .order_by(_a.home, _a.issuer, _a.subject)
    .limit(_most)
)
COUNT_IN_ROLE = Statement(
    sa.select(sa.func.count()).where(_a.tenant_id == TENANT, _a.role == _of, _lasting)
)
GRANTS = Statement(
    sa.select(_a.tenant_id, _a.role, _r.scopes, _a.created_at)
    .select_from(_role_of)
    .where(*_principal, _a.tenant_id != _a.home, _lasting)
    .order_by(_a.tenant_id)
    .limit(10_000)
)
"""The house's own question over all tenants: where a principal may act besides its home."""
