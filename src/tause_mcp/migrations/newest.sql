CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL,
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
--
INSERT INTO "alembic_version" VALUES('0012');
--
CREATE TABLE api_keys (
	tenant_id TEXT NOT NULL,
	id TEXT NOT NULL,
	digest BLOB NOT NULL,
	hint TEXT NOT NULL,
	name TEXT NOT NULL,
	role TEXT,
	scopes TEXT,
	toolsets TEXT,
	created_by TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	expires_at BIGINT,
	revoked_at BIGINT,
	PRIMARY KEY (tenant_id, id)
);
--
CREATE TABLE approvals (
	tenant_id TEXT NOT NULL,
	id TEXT NOT NULL,
	tool TEXT NOT NULL,
	digest TEXT NOT NULL,
	principal TEXT NOT NULL,
	subject TEXT NOT NULL,
	summary TEXT NOT NULL,
	amount BIGINT,
	currency TEXT,
	page_only SMALLINT NOT NULL,
	status TEXT NOT NULL,
	live SMALLINT,
	asked_at BIGINT,
	answered_at BIGINT,
	answered_by TEXT,
	means TEXT,
	created_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL,
	consumed_at BIGINT, sealed BLOB,
	PRIMARY KEY (tenant_id, id),
	CONSTRAINT one_live_approval UNIQUE (tenant_id, digest, principal, live)
);
--
CREATE TABLE assignments (
	tenant_id TEXT NOT NULL,
	home TEXT NOT NULL,
	issuer TEXT NOT NULL,
	subject TEXT NOT NULL,
	role TEXT NOT NULL,
	created_by TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	expires_at BIGINT,
	PRIMARY KEY (tenant_id, home, issuer, subject, role)
);
--
CREATE TABLE audit (
	tenant_id TEXT NOT NULL,
	seq BIGINT NOT NULL,
	at BIGINT NOT NULL,
	actor TEXT NOT NULL,
	home TEXT NOT NULL,
	issuer TEXT NOT NULL,
	credential TEXT NOT NULL,
	action TEXT NOT NULL,
	digest TEXT NOT NULL,
	outcome TEXT NOT NULL,
	door TEXT NOT NULL,
	previous TEXT NOT NULL,
	hash TEXT NOT NULL,
	PRIMARY KEY (tenant_id, seq)
);
--
CREATE TABLE audit_checkpoints (
	tenant_id TEXT NOT NULL,
	seq BIGINT NOT NULL,
	hash TEXT NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (tenant_id)
);
--
CREATE TABLE audit_heads (
	tenant_id TEXT NOT NULL,
	seq BIGINT NOT NULL,
	hash TEXT NOT NULL,
	PRIMARY KEY (tenant_id)
);
--
CREATE TABLE blob_trash (
	tenant_id TEXT NOT NULL,
	blob TEXT NOT NULL,
	due BIGINT NOT NULL,
	claimed SMALLINT NOT NULL,
	PRIMARY KEY (tenant_id, blob)
);
--
CREATE TABLE cache_entries (
	tenant_id TEXT NOT NULL,
	"key" TEXT NOT NULL,
	value TEXT NOT NULL,
	size BIGINT NOT NULL,
	expires_at BIGINT,
	used_at BIGINT NOT NULL,
	PRIMARY KEY (tenant_id, "key")
);
--
CREATE TABLE cache_usage (
	tenant_id TEXT NOT NULL,
	bytes BIGINT NOT NULL,
	PRIMARY KEY (tenant_id)
);
--
CREATE TABLE collection_history (
	tenant_id TEXT NOT NULL,
	collection TEXT NOT NULL,
	version BIGINT NOT NULL,
	steps TEXT NOT NULL,
	schema TEXT NOT NULL,
	indexes TEXT NOT NULL,
	changed BIGINT NOT NULL,
	"by" TEXT NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (tenant_id, collection, version)
);
--
CREATE TABLE collections (
	tenant_id TEXT NOT NULL,
	name TEXT NOT NULL,
	stamp TEXT NOT NULL,
	version BIGINT NOT NULL,
	schema TEXT NOT NULL,
	indexes TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	PRIMARY KEY (tenant_id, name)
);
--
CREATE TABLE dataframes (
	tenant_id TEXT NOT NULL,
	name TEXT NOT NULL,
	height BIGINT NOT NULL,
	width INTEGER NOT NULL,
	columns BLOB NOT NULL,
	size BIGINT NOT NULL,
	memory BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	PRIMARY KEY (tenant_id, name)
);
--
CREATE TABLE document_history (
	tenant_id TEXT NOT NULL,
	collection TEXT NOT NULL,
	version BIGINT NOT NULL,
	id TEXT NOT NULL,
	kept TEXT NOT NULL,
	sealed BLOB,
	at BIGINT NOT NULL,
	PRIMARY KEY (tenant_id, collection, version, id)
);
--
CREATE TABLE document_index (
	tenant_id TEXT NOT NULL,
	collection TEXT NOT NULL,
	id TEXT NOT NULL,
	field TEXT NOT NULL,
	rank SMALLINT NOT NULL,
	number DOUBLE NOT NULL,
	text TEXT NOT NULL,
	unique_key TEXT,
	PRIMARY KEY (tenant_id, collection, id, field)
);
--
CREATE TABLE document_references (
	tenant_id TEXT NOT NULL,
	collection TEXT NOT NULL,
	id TEXT NOT NULL,
	field TEXT NOT NULL,
	target TEXT NOT NULL,
	target_collection TEXT NOT NULL,
	PRIMARY KEY (tenant_id, collection, id, field, target)
);
--
CREATE TABLE document_usage (
	tenant_id TEXT NOT NULL,
	rows BIGINT NOT NULL,
	PRIMARY KEY (tenant_id)
);
--
CREATE TABLE documents (
	tenant_id TEXT NOT NULL,
	collection TEXT NOT NULL,
	id TEXT NOT NULL,
	version BIGINT NOT NULL,
	data TEXT NOT NULL,
	sealed BLOB,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	PRIMARY KEY (tenant_id, collection, id)
);
--
CREATE TABLE house_secrets (
	name TEXT NOT NULL,
	value BLOB NOT NULL,
	created_at BIGINT NOT NULL,
	PRIMARY KEY (name)
);
--
CREATE TABLE idempotency (
	tenant_id TEXT NOT NULL,
	"key" TEXT NOT NULL,
	subject TEXT NOT NULL,
	digest TEXT NOT NULL,
	state TEXT NOT NULL,
	token TEXT NOT NULL,
	result BLOB,
	created_at BIGINT NOT NULL,
	lease_until BIGINT NOT NULL,
	expires_at BIGINT NOT NULL,
	PRIMARY KEY (tenant_id, "key")
);
--
CREATE TABLE leases (
	name TEXT NOT NULL,
	token TEXT NOT NULL,
	until BIGINT NOT NULL,
	PRIMARY KEY (name)
);
--
CREATE TABLE objects (
	tenant_id TEXT NOT NULL,
	"key" TEXT NOT NULL,
	size BIGINT NOT NULL,
	sha256 TEXT NOT NULL,
	etag TEXT NOT NULL,
	content_type TEXT NOT NULL,
	updated_at BIGINT NOT NULL,
	blob TEXT,
	body BLOB, enc BLOB, lost_at BIGINT,
	PRIMARY KEY (tenant_id, "key")
);
--
CREATE TABLE payment_links (
	tenant_id TEXT NOT NULL,
	id TEXT NOT NULL,
	environment TEXT NOT NULL,
	account TEXT NOT NULL,
	sku TEXT NOT NULL,
	amount BIGINT,
	currency TEXT NOT NULL,
	single_use SMALLINT NOT NULL,
	sealed BLOB NOT NULL,
	state TEXT NOT NULL,
	provider_id TEXT,
	url TEXT,
	problem TEXT,
	expires_at BIGINT,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	PRIMARY KEY (tenant_id, id)
);
--
CREATE TABLE payment_schedules (
	tenant_id TEXT NOT NULL,
	id TEXT NOT NULL,
	environment TEXT NOT NULL,
	digest TEXT NOT NULL,
	live SMALLINT,
	source_id TEXT NOT NULL,
	amount BIGINT NOT NULL,
	currency TEXT NOT NULL,
	every TEXT NOT NULL,
	start_at BIGINT NOT NULL,
	until BIGINT,
	count BIGINT,
	sealed BLOB NOT NULL,
	state TEXT NOT NULL,
	done BIGINT NOT NULL,
	skipped BIGINT NOT NULL,
	next_at BIGINT,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	PRIMARY KEY (tenant_id, id),
	CONSTRAINT one_live_schedule UNIQUE (tenant_id, digest, live)
);
--
CREATE TABLE payment_sources (
	tenant_id TEXT NOT NULL,
	id TEXT NOT NULL,
	environment TEXT NOT NULL,
	account TEXT NOT NULL,
	digest TEXT NOT NULL,
	type TEXT NOT NULL,
	state TEXT NOT NULL,
	unattended SMALLINT NOT NULL,
	provider_id BIGINT,
	status_message TEXT,
	sealed BLOB NOT NULL,
	claim TEXT,
	claimed_until BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL,
	PRIMARY KEY (tenant_id, id),
	CONSTRAINT one_source_per_token UNIQUE (tenant_id, digest)
);
--
CREATE TABLE payments (
	tenant_id TEXT NOT NULL,
	id TEXT NOT NULL,
	environment TEXT NOT NULL,
	order_id TEXT NOT NULL,
	attempt BIGINT NOT NULL,
	reference TEXT NOT NULL,
	digest TEXT NOT NULL,
	kind TEXT NOT NULL,
	account TEXT NOT NULL,
	amount BIGINT NOT NULL,
	currency TEXT NOT NULL,
	method TEXT NOT NULL,
	state TEXT NOT NULL,
	provider_id TEXT,
	status_message TEXT,
	redirect_url TEXT,
	sealed BLOB NOT NULL,
	claim TEXT,
	claimed_until BIGINT NOT NULL,
	sent_at BIGINT,
	checks BIGINT NOT NULL,
	checked_at BIGINT NOT NULL,
	voided BIGINT NOT NULL,
	voiding BIGINT NOT NULL,
	void_state TEXT,
	source_id TEXT,
	schedule_id TEXT,
	problem TEXT,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	finalized_at BIGINT,
	expires_at BIGINT NOT NULL, link_id TEXT,
	PRIMARY KEY (tenant_id, id),
	CONSTRAINT one_payment_per_attempt UNIQUE (tenant_id, environment, order_id, attempt),
	CONSTRAINT one_payment_per_reference UNIQUE (tenant_id, reference)
);
--
CREATE TABLE payouts (
	tenant_id TEXT NOT NULL,
	id TEXT NOT NULL,
	environment TEXT NOT NULL,
	payout_id TEXT NOT NULL,
	attempt BIGINT NOT NULL,
	reference TEXT NOT NULL,
	digest TEXT NOT NULL,
	kind TEXT NOT NULL,
	account TEXT NOT NULL,
	account_id TEXT NOT NULL,
	amount BIGINT NOT NULL,
	currency TEXT NOT NULL,
	payment_type TEXT NOT NULL,
	state TEXT NOT NULL,
	provider_id TEXT,
	provider_status TEXT,
	status_message TEXT,
	hint TEXT,
	sealed BLOB NOT NULL,
	claim TEXT,
	claimed_until BIGINT NOT NULL,
	sent_at BIGINT,
	checks BIGINT NOT NULL,
	checked_at BIGINT NOT NULL,
	problem TEXT,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	finalized_at BIGINT,
	expires_at BIGINT NOT NULL,
	PRIMARY KEY (tenant_id, id),
	CONSTRAINT one_payout_per_attempt UNIQUE (tenant_id, environment, payout_id, attempt),
	CONSTRAINT one_payout_per_reference UNIQUE (tenant_id, reference)
);
--
CREATE TABLE provider_due (
	tenant_id TEXT NOT NULL,
	kind TEXT NOT NULL,
	id TEXT NOT NULL,
	due_at BIGINT NOT NULL,
	tries BIGINT NOT NULL,
	since BIGINT NOT NULL,
	PRIMARY KEY (tenant_id, kind, id)
);
--
CREATE TABLE rates (
	tenant_id TEXT NOT NULL,
	name TEXT NOT NULL,
	full_at BIGINT NOT NULL,
	PRIMARY KEY (tenant_id, name)
);
--
CREATE TABLE roles (
	tenant_id TEXT NOT NULL,
	name TEXT NOT NULL,
	scopes TEXT NOT NULL,
	updated_at BIGINT NOT NULL,
	PRIMARY KEY (tenant_id, name)
);
--
CREATE TABLE secrets (
	tenant_id TEXT NOT NULL,
	name TEXT NOT NULL,
	version BIGINT NOT NULL,
	value BLOB NOT NULL,
	previous BLOB,
	previous_until BIGINT,
	description TEXT NOT NULL,
	expires_at BIGINT,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	PRIMARY KEY (tenant_id, name)
);
--
CREATE TABLE signals (
	id INTEGER NOT NULL,
	message BLOB NOT NULL,
	sent_at BIGINT NOT NULL,
	PRIMARY KEY (id)
);
--
CREATE TABLE spent_assertions (
	assertion TEXT NOT NULL,
	until BIGINT NOT NULL,
	PRIMARY KEY (assertion)
);
--
CREATE TABLE storage_usage (
	tenant_id TEXT NOT NULL,
	bytes BIGINT NOT NULL,
	objects BIGINT NOT NULL,
	reserved BIGINT NOT NULL,
	PRIMARY KEY (tenant_id)
);
--
CREATE TABLE tenant_changes (
	tenant_id TEXT NOT NULL,
	version BIGINT NOT NULL,
	what TEXT NOT NULL,
	environment TEXT NOT NULL,
	at BIGINT NOT NULL,
	actor TEXT NOT NULL,
	home TEXT NOT NULL,
	was TEXT,
	became TEXT,
	PRIMARY KEY (tenant_id, version, what, environment)
);
--
CREATE TABLE tenant_connections (
	tenant_id TEXT NOT NULL,
	id TEXT NOT NULL,
	until BIGINT NOT NULL,
	PRIMARY KEY (tenant_id, id)
);
--
CREATE TABLE tenant_keys (
	tenant_id TEXT NOT NULL,
	generation INTEGER NOT NULL,
	wrapped BLOB NOT NULL,
	created_at BIGINT NOT NULL,
	PRIMARY KEY (tenant_id, generation)
);
--
CREATE TABLE tenant_limits (
	tenant_id TEXT NOT NULL,
	name TEXT NOT NULL,
	amount BIGINT NOT NULL,
	PRIMARY KEY (tenant_id, name)
);
--
CREATE TABLE "tenant_values" (
	tenant_id TEXT NOT NULL,
	"key" TEXT NOT NULL,
	environment TEXT NOT NULL,
	kind TEXT NOT NULL,
	value TEXT NOT NULL,
	version BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	PRIMARY KEY (tenant_id, "key", environment)
);
--
CREATE TABLE tenants (
	tenant_id TEXT NOT NULL,
	parent_id TEXT,
	name TEXT NOT NULL,
	state TEXT NOT NULL,
	"plan" TEXT,
	config_version BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	PRIMARY KEY (tenant_id)
);
--
CREATE TABLE upload_parts (
	tenant_id TEXT NOT NULL,
	upload_id TEXT NOT NULL,
	start BIGINT NOT NULL,
	size BIGINT NOT NULL,
	blob TEXT NOT NULL, enc BLOB, sha256 TEXT,
	PRIMARY KEY (tenant_id, upload_id, start)
);
--
CREATE TABLE uploads (
	tenant_id TEXT NOT NULL,
	id TEXT NOT NULL,
	"key" TEXT NOT NULL,
	length BIGINT NOT NULL,
	received BIGINT NOT NULL,
	content_type TEXT NOT NULL,
	sha256 TEXT NOT NULL,
	expires_at BIGINT NOT NULL,
	done SMALLINT NOT NULL,
	PRIMARY KEY (tenant_id, id)
);
--
CREATE TABLE usage (
	tenant_id TEXT NOT NULL,
	hour BIGINT NOT NULL,
	capability TEXT NOT NULL,
	bucket INTEGER NOT NULL,
	calls BIGINT NOT NULL,
	errors BIGINT NOT NULL,
	bytes BIGINT NOT NULL,
	PRIMARY KEY (tenant_id, hour, capability, bucket)
);
--
CREATE INDEX api_keys_by_time ON api_keys (tenant_id, created_at, id);
--
CREATE INDEX approvals_by_time ON approvals (tenant_id, created_at, id);
--
CREATE INDEX assignments_by_principal ON assignments (home, issuer, subject);
--
CREATE INDEX audit_by_time ON audit (tenant_id, at, seq);
--
CREATE INDEX blob_trash_due ON blob_trash (due);
--
CREATE INDEX idempotency_by_expiry ON idempotency (expires_at);
--
CREATE INDEX objects_blob ON objects (tenant_id, blob);
--
CREATE INDEX spent_assertions_by_time ON spent_assertions (until);
--
CREATE INDEX tenants_by_parent ON tenants (parent_id, tenant_id);
--
CREATE INDEX upload_parts_blob ON upload_parts (tenant_id, blob);
--
CREATE INDEX uploads_expires_at ON uploads (expires_at);
--
CREATE TRIGGER audit_stays_as_written BEFORE UPDATE ON audit FOR EACH ROW WHEN 1 BEGIN SELECT RAISE(ABORT, 'audit records are not changed'); END;
--
CREATE TRIGGER audit_is_not_removed BEFORE DELETE ON audit FOR EACH ROW WHEN NOT (EXISTS (SELECT 1 FROM audit_checkpoints c WHERE c.tenant_id = OLD.tenant_id AND OLD.seq <= c.seq) OR NOT EXISTS (SELECT 1 FROM tenants t WHERE t.tenant_id = OLD.tenant_id AND t.state <> 'deleted')) BEGIN SELECT RAISE(ABORT, 'audit records are removed by retention only'); END;
--
CREATE TRIGGER audit_grows_at_its_head BEFORE INSERT ON audit FOR EACH ROW WHEN NOT EXISTS (SELECT 1 FROM audit_heads h WHERE h.tenant_id = NEW.tenant_id AND h.seq + 1 = NEW.seq AND h.hash = NEW.previous) BEGIN SELECT RAISE(ABORT, 'an audit record follows the head of its chain'); END;
--
CREATE TRIGGER audit_head_goes_forward BEFORE UPDATE ON audit_heads FOR EACH ROW WHEN NOT EXISTS (SELECT 1 FROM audit a WHERE a.tenant_id = NEW.tenant_id AND NEW.tenant_id = OLD.tenant_id AND a.seq = NEW.seq AND NEW.seq = OLD.seq + 1 AND a.hash = NEW.hash) BEGIN SELECT RAISE(ABORT, 'the head of a chain goes to its newest record'); END;
--
CREATE TRIGGER audit_head_stays BEFORE DELETE ON audit_heads FOR EACH ROW WHEN NOT (NOT EXISTS (SELECT 1 FROM tenants t WHERE t.tenant_id = OLD.tenant_id AND t.state <> 'deleted')) BEGIN SELECT RAISE(ABORT, 'the head of a chain is not removed'); END;
--
CREATE TRIGGER audit_checkpoint_goes_forward BEFORE UPDATE ON audit_checkpoints FOR EACH ROW WHEN NEW.tenant_id <> OLD.tenant_id OR NEW.seq <= OLD.seq BEGIN SELECT RAISE(ABORT, 'a checkpoint goes forward'); END;
--
CREATE TRIGGER audit_checkpoint_stays BEFORE DELETE ON audit_checkpoints FOR EACH ROW WHEN NOT (NOT EXISTS (SELECT 1 FROM tenants t WHERE t.tenant_id = OLD.tenant_id AND t.state <> 'deleted')) BEGIN SELECT RAISE(ABORT, 'a checkpoint is not removed'); END;
--
CREATE INDEX tenant_changes_by_what ON tenant_changes (tenant_id, what, version);
--
CREATE INDEX signals_sent_at ON signals (sent_at);
--
CREATE INDEX document_history_of ON document_history (tenant_id, collection, id);
--
CREATE INDEX document_index_order ON document_index (tenant_id, collection, field, rank, number, text, id);
--
CREATE UNIQUE INDEX document_index_unique ON document_index (tenant_id, collection, field, unique_key) WHERE unique_key IS NOT NULL;
--
CREATE INDEX document_references_to ON document_references (tenant_id, target_collection, target);
--
CREATE INDEX cache_entries_by_use ON cache_entries (tenant_id, used_at);
--
CREATE INDEX cache_entries_by_expiry ON cache_entries (tenant_id, expires_at);
--
CREATE INDEX payments_by_provider ON payments (tenant_id, provider_id);
--
CREATE INDEX payments_by_time ON payments (tenant_id, created_at, id);
--
CREATE INDEX payments_by_schedule ON payments (tenant_id, schedule_id, state);
--
CREATE INDEX payment_sources_by_time ON payment_sources (tenant_id, created_at, id);
--
CREATE INDEX payment_schedules_by_time ON payment_schedules (tenant_id, created_at, id);
--
CREATE INDEX payment_schedules_by_source ON payment_schedules (tenant_id, source_id);
--
CREATE INDEX payment_links_by_time ON payment_links (tenant_id, created_at, id);
--
CREATE INDEX payment_links_by_provider ON payment_links (tenant_id, provider_id);
--
CREATE INDEX provider_due_at ON provider_due (kind, due_at);
--
CREATE INDEX payouts_by_provider ON payouts (tenant_id, provider_id);
--
CREATE INDEX payouts_by_time ON payouts (tenant_id, created_at, id);
--
CREATE INDEX payments_by_link ON payments (tenant_id, link_id);
