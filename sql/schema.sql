-- schema.sql: the tables of a new queue file, version 6
--
-- Tables are ours and may change with a migration; operators use the views
-- (views.sql).  All times are unix seconds (_at) or milliseconds (_ms), UTC.
--
-- Ids of rows are AUTOINCREMENT: the router holds them across transactions,
-- and an id that came back for another row would settle the wrong mail.
--
-- No foreign keys: enforcing them would cost a search per row, and the
-- triggers below keep the tables together, also when SQL by hand deletes
-- recipients.  `penstock check --queue-integrity` looks for what they missed.

PRAGMA page_size = 4096;
PRAGMA auto_vacuum = INCREMENTAL;
-- "PENS"
PRAGMA application_id = 1346719315;
PRAGMA user_version = 6;

-- The bytes of a message, shared by all batches of one transaction.  Up to
-- 64 KiB stand in `bytes`; larger content has bytes NULL and rows in chunk.
--   state  0 pending: chunks are being written, no message has it yet
--          1 in use
--          2 doomed: nobody has it any more, its chunks go in small steps
--   refs   messages that have it
CREATE TABLE content (
	id                INTEGER PRIMARY KEY AUTOINCREMENT,
	state             INTEGER NOT NULL,
	refs              INTEGER NOT NULL,
	created_at        INTEGER NOT NULL,
	size              INTEGER NOT NULL,
	header_size       INTEGER NOT NULL,
	has_8bit          INTEGER NOT NULL,
	header_has_8bit   INTEGER NOT NULL,
	has_bare_cr_or_lf INTEGER NOT NULL,
	has_nul           INTEGER NOT NULL,
	longest_line      INTEGER NOT NULL,
	received_headers  INTEGER NOT NULL,
	bytes             BLOB
) STRICT;

CREATE INDEX content_pending ON content(created_at) WHERE state = 0;
CREATE INDEX content_doomed  ON content(created_at) WHERE state = 2;

-- 64 KiB each, the last one shorter.  id = content << 20 | n, n from 0.
CREATE TABLE chunk (
	id    INTEGER PRIMARY KEY,
	bytes BLOB NOT NULL
) STRICT;

-- One batch.  What the client said is as it said it; NULL: it did not.
-- message_id: of the header field, without angle brackets; NULL: none.
CREATE TABLE message (
	id                 INTEGER PRIMARY KEY AUTOINCREMENT,
	uuid               TEXT    NOT NULL,
	content            INTEGER NOT NULL,
	created_ms         INTEGER NOT NULL,
	sender             TEXT    NOT NULL,
	body               TEXT,
	smtputf8           INTEGER NOT NULL,
	ret                TEXT,
	envid              TEXT,
	auth               TEXT,
	declared_size      INTEGER NOT NULL,
	session_id         TEXT,
	mta_queue_id       TEXT,
	client_addr        TEXT,
	client_name        TEXT,
	helo               TEXT,
	authn_id           TEXT,
	reception_protocol TEXT,
	listener           TEXT,
	hostname           TEXT,
	admitted_by        TEXT,
	scheduling         TEXT,
	meta               TEXT    NOT NULL,
	prefix             BLOB    NOT NULL,
	message_id         TEXT
) STRICT;

CREATE UNIQUE INDEX message_uuid ON message(uuid);

-- One scheduled queue.  next_due is a lower bound of the due_at of its queued
-- recipients: triggers only lower it, the router raises it after a lease.
--   used_at     when it was made or last leased from: idle empty ones go
--   last_reply  what the most recent deferral from this queue was told
CREATE TABLE queue (
	id             INTEGER PRIMARY KEY AUTOINCREMENT,
	name           TEXT    NOT NULL,
	campaign       TEXT,
	tenant         TEXT,
	domain         TEXT    NOT NULL,
	routing_domain TEXT,
	next_due       INTEGER,
	used_at        INTEGER NOT NULL,
	last_reply_at  INTEGER,
	last_code      INTEGER,
	last_reply     TEXT
) STRICT;

CREATE UNIQUE INDEX queue_name ON queue(name);
CREATE INDEX queue_domain   ON queue(domain);
CREATE INDEX queue_next_due ON queue(next_due) WHERE next_due IS NOT NULL;

-- One address: the unit of scheduling.
--   state    0 queued, 1 leased by the router, 2 held for an operator
--   crashes  routers that died while they were at it; at 3 it is held
--   expires  NULL: the queue's max_age decides
--   ref      number of Message-ID and address (queue_history.h), NULL: none
CREATE TABLE recipient (
	id              INTEGER PRIMARY KEY AUTOINCREMENT,
	message         INTEGER NOT NULL,
	queue           INTEGER NOT NULL,
	state           INTEGER NOT NULL CHECK (state IN (0, 1, 2)),
	due_at          INTEGER NOT NULL,
	attempts        INTEGER NOT NULL,
	crashes         INTEGER NOT NULL DEFAULT 0,
	expires         INTEGER,
	address         TEXT    NOT NULL,
	notify          TEXT,
	orcpt           TEXT,
	last_attempt_at INTEGER,
	last_code       INTEGER,
	last_reply      TEXT,
	last_source     TEXT,
	last_site       TEXT,
	last_peer       TEXT,
	held_because    TEXT,
	ref             INTEGER
) STRICT;

CREATE INDEX recipient_due     ON recipient(queue, due_at) WHERE state = 0;
CREATE INDEX recipient_leased  ON recipient(queue) WHERE state = 1;
CREATE INDEX recipient_held    ON recipient(queue) WHERE state = 2;
CREATE INDEX recipient_message ON recipient(message);

-- An operator's order.  NULL in a scope: any; `until` NULL: for ever.
CREATE TABLE suspension (
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	domain     TEXT,
	tenant     TEXT,
	campaign   TEXT,
	queue      TEXT,
	source     TEXT,
	site       TEXT,
	reason     TEXT,
	who        TEXT,
	created_at INTEGER NOT NULL,
	until      INTEGER
) STRICT;

-- A scheduled queue that the router does not pull from for a while, because a
-- rate or a limit of the policy is closed.  Rewritten now and then while that
-- lasts; of no meaning after `until`.
CREATE TABLE held_queue (
	queue   INTEGER PRIMARY KEY,
	because TEXT    NOT NULL,
	until   INTEGER NOT NULL
) STRICT;

CREATE INDEX held_queue_until ON held_queue(until);

-- What happened to mail and what operators did, oldest first; bounded by age
-- and number.  Texts, not row ids, so that it outlives what it is about.
-- undo: JSON of what an order changed.  Reports that come in are linked with it
-- to what has left (queue_history.h):
--   ref, envid        as of the recipient and its message
--   message_id, sender, created_ms   of the message; only where a recipient
--                     has left
--   report            of a report that came in: its own id; `message` is what
--                     it is linked to, `why` how
CREATE TABLE event (
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	at         INTEGER NOT NULL,
	kind       TEXT    NOT NULL,
	message    TEXT,
	recipient  INTEGER,
	address    TEXT,
	queue      TEXT,
	attempts   INTEGER,
	code       INTEGER,
	reply      TEXT,
	source     TEXT,
	site       TEXT,
	peer       TEXT,
	who        TEXT,
	why        TEXT,
	undo       TEXT,
	ref        INTEGER,
	envid      TEXT,
	message_id TEXT,
	sender     TEXT,
	created_ms INTEGER,
	report     TEXT
) STRICT;

CREATE INDEX event_message ON event(message) WHERE message IS NOT NULL;
-- A ref may be anything: in one tree each new one would make another page
-- dirty.  16384 rows at a time stay together.
CREATE INDEX event_ref ON event(id >> 14, ref) WHERE ref IS NOT NULL;
CREATE INDEX event_envid ON event(envid, address COLLATE NOCASE)
 WHERE envid IS NOT NULL;
CREATE INDEX event_report ON event(id) WHERE report IS NOT NULL;

-- How TLS went with whom: sessions that ended alike on a day (RFC 8460), bounded
-- by age and number.  Ids are not kept by anybody.
CREATE TABLE tls_result (
	id       INTEGER PRIMARY KEY,
	day      INTEGER NOT NULL,
	domain   TEXT    NOT NULL,
	policy   TEXT    NOT NULL,
	mx       TEXT    NOT NULL,
	result   TEXT    NOT NULL,
	sessions INTEGER NOT NULL,
	last_at  INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX tls_result_key
    ON tls_result(day, domain, policy, mx, result);

-- The daemons.  id 1 router, 2 milter.  stopped_at NULL: running, or it did not
-- end cleanly.  alive_until: the router's leases hold until then.
CREATE TABLE owner (
	id          INTEGER PRIMARY KEY,
	pid         INTEGER NOT NULL,
	started_at  INTEGER NOT NULL,
	alive_until INTEGER NOT NULL,
	stopped_at  INTEGER
) STRICT;

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

CREATE TRIGGER recipient_came AFTER INSERT ON recipient
WHEN new.state = 0
BEGIN
	UPDATE queue SET next_due = new.due_at
	 WHERE id = new.queue
	   AND (next_due IS NULL OR next_due > new.due_at);
END;

CREATE TRIGGER recipient_moved AFTER UPDATE OF state, due_at, queue ON recipient
WHEN new.state = 0
BEGIN
	UPDATE queue SET next_due = new.due_at
	 WHERE id = new.queue
	   AND (next_due IS NULL OR next_due > new.due_at);
END;

-- A message goes with its last recipient ...
CREATE TRIGGER recipient_gone AFTER DELETE ON recipient
WHEN NOT EXISTS (SELECT 1 FROM recipient WHERE message = old.message)
BEGIN
	DELETE FROM message WHERE id = old.message;
END;

-- ... and content with its last message: at once when it stands in one row,
-- else in small steps (queue_sweep).
CREATE TRIGGER message_gone AFTER DELETE ON message
BEGIN
	DELETE FROM content
	 WHERE id = old.content AND refs = 1 AND size <= 65536;
	UPDATE content
	   SET refs = refs - 1, state = CASE WHEN refs > 1 THEN 1 ELSE 2 END
	 WHERE id = old.content;
END;
