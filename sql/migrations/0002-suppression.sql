-- 0002-suppression.sql: addresses that get no more mail; as in schema.sql

-- Addresses that get no more mail (mail/suppression.h).
--   address      its key: lower case, A-labels; '@domain' stands for a domain
--   all_tenants  1: whoever sends, tenant is ''; 0: only mail of this tenant,
--                '' is mail without one
--   record       Bounce, OOB, Feedback: the first that was about it; Operator
--   until        NULL: for ever
CREATE TABLE suppression (
	address     TEXT    NOT NULL,
	all_tenants INTEGER NOT NULL CHECK (all_tenants IN (0, 1)),
	tenant      TEXT    NOT NULL,
	class       TEXT,
	reason      TEXT,
	record      TEXT    NOT NULL,
	message     TEXT,
	who         TEXT,
	hits        INTEGER NOT NULL,
	created_at  INTEGER NOT NULL,
	updated_at  INTEGER NOT NULL,
	until       INTEGER,
	PRIMARY KEY (address, all_tenants, tenant)
) STRICT, WITHOUT ROWID;

CREATE INDEX suppression_until ON suppression(until) WHERE until IS NOT NULL;

-- Records that count towards a rule that wants more than one.  A message counts
-- once.
CREATE TABLE suppression_hit (
	address     TEXT    NOT NULL,
	all_tenants INTEGER NOT NULL,
	tenant      TEXT    NOT NULL,
	rule        TEXT    NOT NULL,
	message     TEXT    NOT NULL,
	at          INTEGER NOT NULL,
	until       INTEGER NOT NULL,
	PRIMARY KEY (address, all_tenants, tenant, rule, message)
) STRICT, WITHOUT ROWID;

CREATE INDEX suppression_hit_until ON suppression_hit(until);
