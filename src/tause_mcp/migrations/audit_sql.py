"""What keeps the audit chain in order inside the database itself, for both engines.

On PostgreSQL the application's role may only read the chain: it appends, prunes and forgets
through functions that run as the owner of the tables, on the tenant of the transaction alone. On
SQLite, where whoever opens the file owns it, triggers refuse what no path of the program does.
"""

TABLES = ("audit", "audit_heads", "audit_checkpoints")
FUNCTIONS = (
    "tause_audit_append(text, text, text, text, text, text, text, text)",
    "tause_audit_prune(bigint, integer)",
    "tause_audit_forget()",
)
"""What the application's role may execute."""
FLOOR_SECONDS = 86_400
"""Nothing younger is ever removed from a living tenant's chain, whatever is configured."""

_FORGETTABLE = "NOT EXISTS (SELECT 1 FROM tenants t WHERE t.tenant_id = OLD.tenant_id AND t.state <> 'deleted')"
_PRUNED = (
    "EXISTS (SELECT 1 FROM audit_checkpoints c WHERE c.tenant_id = OLD.tenant_id "
    "AND OLD.seq <= c.seq)"
)


def _trigger(name: str, what: str, when: str, text: str) -> str:
    return (
        f"CREATE TRIGGER {name} BEFORE {what} FOR EACH ROW WHEN {when} "
        f"BEGIN SELECT RAISE(ABORT, '{text}'); END"
    )


SQLITE = {
    "audit": (
        _trigger("audit_stays_as_written", "UPDATE ON audit", "1", "audit records are not changed"),
        _trigger(
            "audit_is_not_removed",
            "DELETE ON audit",
            f"NOT ({_PRUNED} OR {_FORGETTABLE})",
            "audit records are removed by retention only",
        ),
        _trigger(
            "audit_grows_at_its_head",
            "INSERT ON audit",
            "NOT EXISTS (SELECT 1 FROM audit_heads h WHERE h.tenant_id = NEW.tenant_id "
            "AND h.seq + 1 = NEW.seq AND h.hash = NEW.previous)",
            "an audit record follows the head of its chain",
        ),
    ),
    "audit_heads": (
        _trigger(
            "audit_head_goes_forward",
            "UPDATE ON audit_heads",
            "NOT EXISTS (SELECT 1 FROM audit a WHERE a.tenant_id = NEW.tenant_id "
            "AND NEW.tenant_id = OLD.tenant_id AND a.seq = NEW.seq AND NEW.seq = OLD.seq + 1 "
            "AND a.hash = NEW.hash)",
            "the head of a chain goes to its newest record",
        ),
        _trigger(
            "audit_head_stays",
            "DELETE ON audit_heads",
            f"NOT ({_FORGETTABLE})",
            "the head of a chain is not removed",
        ),
    ),
    "audit_checkpoints": (
        _trigger(
            "audit_checkpoint_goes_forward",
            "UPDATE ON audit_checkpoints",
            "NEW.tenant_id <> OLD.tenant_id OR NEW.seq <= OLD.seq",
            "a checkpoint goes forward",
        ),
        _trigger(
            "audit_checkpoint_stays",
            "DELETE ON audit_checkpoints",
            f"NOT ({_FORGETTABLE})",
            "a checkpoint is not removed",
        ),
    ),
}
"""Table -> its triggers."""

SQLITE_NAMES = tuple(t.split()[2] for triggers in SQLITE.values() for t in triggers)

_POSTGRESQL = (
    # a name of its own, so that a test of retention can move the time
    """CREATE OR REPLACE FUNCTION public.tause_audit_now() RETURNS bigint LANGUAGE sql VOLATILE
AS $$ SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint $$""",
    """CREATE OR REPLACE FUNCTION public.tause_audit_hash(domain text, VARIADIC fields text[])
RETURNS text LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE told text := domain; field text;
BEGIN
  FOREACH field IN ARRAY fields LOOP
    told := told || char_length(field) || ':' || field;
  END LOOP;
  RETURN encode(sha256(convert_to(told, 'UTF8')), 'hex');
END $$""",
    # the tenant's row before the head, as every change of the tree locks them
    """CREATE OR REPLACE FUNCTION public.tause_audit_append(actor_ text, home_ text,
  issuer_ text, credential_ text, action_ text, digest_ text, outcome_ text, door_ text)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  me text := nullif(current_setting('app.tenant_id', true), '');
  last public.audit_heads%ROWTYPE;
  at_ bigint;
  fresh text;
BEGIN
  PERFORM 1 FROM public.tenants t WHERE t.tenant_id = me AND t.state = 'active' FOR SHARE;
  IF NOT FOUND THEN RETURN NULL; END IF;
  SELECT * INTO last FROM public.audit_heads h WHERE h.tenant_id = me FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    INSERT INTO public.audit_heads (tenant_id, seq, hash)
      SELECT me, coalesce(max(a.seq), 0), coalesce(max(a.hash), repeat('0', 64)) FROM (
    SELECT seq, hash FROM public.audit WHERE tenant_id = me ORDER BY seq DESC LIMIT 1) a
      ON CONFLICT DO NOTHING;
    SELECT * INTO last FROM public.audit_heads h WHERE h.tenant_id = me FOR NO KEY UPDATE;
  END IF;
  at_ := public.tause_audit_now();
  fresh := public.tause_audit_hash('tause/audit/v1', me, (last.seq + 1)::text, at_::text, actor_,
    home_, issuer_, credential_, action_, digest_, outcome_, door_, last.hash);
  INSERT INTO public.audit (tenant_id, seq, at, actor, home, issuer, credential, action, digest,
    outcome, door, previous, hash) VALUES (me, last.seq + 1, at_, actor_, home_, issuer_,
    credential_, action_, digest_, outcome_, door_, last.hash, fresh);
  UPDATE public.audit_heads h SET seq = last.seq + 1, hash = fresh WHERE h.tenant_id = me;
  RETURN last.seq + 1;
END $$""",
    # the newest record always stays: the chain goes on from it
    """CREATE OR REPLACE FUNCTION public.tause_audit_prune(before_ bigint, most_ integer)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  me text := nullif(current_setting('app.tenant_id', true), '');
  head bigint; young bigint; cut bigint; cut_hash text; first_ bigint;
  at_ bigint := public.tause_audit_now();
BEGIN
  IF before_ > at_ - 86400 * 1000000::bigint THEN
    RAISE EXCEPTION 'audit records of the last day are kept' USING ERRCODE = '22023';
  END IF;
  PERFORM 1 FROM public.tenants t WHERE t.tenant_id = me AND t.state = 'active' FOR SHARE;
  IF NOT FOUND THEN RETURN 0; END IF;
  SELECT h.seq INTO head FROM public.audit_heads h WHERE h.tenant_id = me FOR NO KEY UPDATE;
  SELECT a.seq INTO first_ FROM public.audit a WHERE a.tenant_id = me ORDER BY a.seq LIMIT 1;
  SELECT a.seq INTO young FROM public.audit a
    WHERE a.tenant_id = me AND a.at >= before_ ORDER BY a.seq LIMIT 1;
  cut := least(coalesce(young, head) - 1, head - 1, first_ - 1 + least(most_, 10000));
  SELECT a.hash INTO cut_hash FROM public.audit a WHERE a.tenant_id = me AND a.seq = cut;
  IF NOT FOUND THEN RETURN 0; END IF;
  DELETE FROM public.audit a WHERE a.tenant_id = me AND a.seq <= cut;
  INSERT INTO public.audit_checkpoints (tenant_id, seq, hash, at) VALUES (me, cut, cut_hash, at_)
    ON CONFLICT (tenant_id) DO UPDATE
    SET seq = excluded.seq, hash = excluded.hash, at = excluded.at;
  PERFORM public.tause_audit_append('house', '', 'local', '', 'audit.prune',
    public.tause_audit_hash('tause/audit/checkpoint/v1', me, cut::text, cut_hash, at_::text),
    'done', 'background');
  RETURN cut - first_ + 1;
END $$""",
    """CREATE OR REPLACE FUNCTION public.tause_audit_forget() RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE me text := nullif(current_setting('app.tenant_id', true), ''); gone bigint;
BEGIN
  PERFORM 1 FROM public.tenants t WHERE t.tenant_id = me AND t.state <> 'deleted';
  IF FOUND OR me IS NULL THEN RETURN 0; END IF;
  DELETE FROM public.audit_heads WHERE tenant_id = me;
  DELETE FROM public.audit_checkpoints WHERE tenant_id = me;
  DELETE FROM public.audit WHERE tenant_id = me;
  GET DIAGNOSTICS gone = ROW_COUNT;
  RETURN gone;
END $$""",
)


def postgresql(schema: str) -> tuple[str, ...]:
    """The functions for the tables in `schema`, in the order of their making."""
    name = '"' + schema.replace('"', '""') + '".'
    made = [sql.replace("public.", name) for sql in _POSTGRESQL]
    return (*made, *(f"REVOKE ALL ON FUNCTION {name}{one} FROM PUBLIC" for one in FUNCTIONS))


DROP = (
    *(f"DROP FUNCTION {function}" for function in FUNCTIONS),
    "DROP FUNCTION tause_audit_hash(text, text[])",
    "DROP FUNCTION tause_audit_now()",
)
