-- queue-6.sql: schema 6 as it was released; never changed. Made from sql/schema.sql and sql/views.sql.
PRAGMA page_size = 4096;
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA application_id = 1346719315;
PRAGMA user_version = 6;
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
CREATE TABLE chunk (
	id    INTEGER PRIMARY KEY,
	bytes BLOB NOT NULL
) STRICT;
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
CREATE TABLE held_queue (
	queue   INTEGER PRIMARY KEY,
	because TEXT    NOT NULL,
	until   INTEGER NOT NULL
) STRICT;
CREATE INDEX held_queue_until ON held_queue(until);
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
CREATE INDEX event_ref ON event(id >> 14, ref) WHERE ref IS NOT NULL;
CREATE INDEX event_envid ON event(envid, address COLLATE NOCASE)
 WHERE envid IS NOT NULL;
CREATE INDEX event_report ON event(id) WHERE report IS NOT NULL;
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
CREATE TABLE owner (
	id          INTEGER PRIMARY KEY,
	pid         INTEGER NOT NULL,
	started_at  INTEGER NOT NULL,
	alive_until INTEGER NOT NULL,
	stopped_at  INTEGER
) STRICT;
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
CREATE TRIGGER recipient_gone AFTER DELETE ON recipient
WHEN NOT EXISTS (SELECT 1 FROM recipient WHERE message = old.message)
BEGIN
	DELETE FROM message WHERE id = old.message;
END;
CREATE TRIGGER message_gone AFTER DELETE ON message
BEGIN
	DELETE FROM content
	 WHERE id = old.content AND refs = 1 AND size <= 65536;
	UPDATE content
	   SET refs = refs - 1, state = CASE WHEN refs > 1 THEN 1 ELSE 2 END
	 WHERE id = old.content;
END;
CREATE VIEW v_queue AS
SELECT m.uuid                                        AS id,
       r.address                                     AS recipient,
       m.sender                                      AS sender,
       CASE r.state WHEN 0 THEN 'queued'
                    WHEN 1 THEN 'leased'
                    ELSE 'held' END                  AS state,
       q.name                                        AS queue,
       q.domain                                      AS domain,
       q.tenant                                      AS tenant,
       q.campaign                                    AS campaign,
       q.routing_domain                              AS routing_domain,
       r.due_at                                      AS due_at,
       datetime(r.due_at, 'unixepoch')               AS due,
       r.attempts                                    AS attempts,
       r.expires                                     AS expires_at,
       datetime(r.expires, 'unixepoch')              AS expires,
       r.last_attempt_at                             AS last_attempt_at,
       datetime(r.last_attempt_at, 'unixepoch')      AS last_attempt,
       r.last_code                                   AS last_code,
       r.last_reply                                  AS last_reply,
       r.last_source                                 AS last_source,
       r.last_site                                   AS last_site,
       r.last_peer                                   AS last_peer,
       r.held_because                                AS held_because,
       c.size + length(m.prefix)                     AS size,
       m.created_ms                                  AS created_ms,
       datetime(m.created_ms / 1000, 'unixepoch')    AS created,
       unixepoch() - m.created_ms / 1000             AS age,
       m.mta_queue_id                                AS mta_queue_id,
       r.id                                          AS recipient_id
  FROM recipient AS r
  JOIN message AS m ON m.id = r.message
  JOIN queue   AS q ON q.id = r.queue
  LEFT JOIN content AS c ON c.id = m.content;
CREATE VIEW v_message AS
SELECT m.uuid                                     AS id,
       m.sender                                   AS sender,
       (SELECT count(*) FROM recipient AS r
         WHERE r.message = m.id)                  AS recipients,
       m.created_ms                               AS created_ms,
       datetime(m.created_ms / 1000, 'unixepoch') AS created,
       c.size + length(m.prefix)                  AS size,
       c.size                                     AS content_size,
       length(m.prefix)                           AS prefix_size,
       c.longest_line                             AS longest_line,
       c.has_8bit                                 AS has_8bit,
       m.body                                     AS body,
       m.smtputf8                                 AS smtputf8,
       m.ret                                      AS ret,
       m.envid                                    AS envid,
       m.auth                                     AS auth,
       nullif(m.declared_size, -1)                AS declared_size,
       m.session_id                               AS session_id,
       m.mta_queue_id                             AS mta_queue_id,
       m.client_addr                              AS client_addr,
       m.client_name                              AS client_name,
       m.helo                                     AS helo,
       m.authn_id                                 AS authn_id,
       m.reception_protocol                       AS reception_protocol,
       m.listener                                 AS listener,
       m.hostname                                 AS hostname,
       m.admitted_by                              AS admitted_by,
       m.scheduling                               AS scheduling,
       m.meta                                     AS meta
  FROM message AS m
  LEFT JOIN content AS c ON c.id = m.content;
CREATE VIEW v_due AS
SELECT q.name                                   AS queue,
       q.domain                                 AS domain,
       q.next_due                               AS next_due_at,
       datetime(q.next_due, 'unixepoch')        AS next_due,
       unixepoch() - q.next_due                 AS late,
       q.last_reply_at                          AS last_reply_at,
       datetime(q.last_reply_at, 'unixepoch')   AS last_answer,
       q.last_code                              AS last_code,
       q.last_reply                             AS last_reply
  FROM queue AS q
 WHERE q.next_due IS NOT NULL
 ORDER BY q.next_due, q.id;
CREATE VIEW v_why AS
SELECT m.uuid    AS id,
       r.address AS recipient,
       CASE
       WHEN r.state = 2 THEN
           'held: ' || coalesce(r.held_because, 'by an operator')
       WHEN r.state = 1 THEN
           'leased: the router is delivering it'
           || CASE WHEN o.alive_until IS NULL OR o.stopped_at IS NOT NULL
                     OR o.alive_until < unixepoch()
                   THEN ', but it does not run' ELSE '' END
       WHEN s.id IS NOT NULL THEN
           'suspended by ' || coalesce(s.who, 'an operator')
           || coalesce(': ' || s.reason, '')
       WHEN r.due_at > unixepoch() AND r.attempts > 0 THEN
           'due in ' || (r.due_at - unixepoch()) || ' s, attempt '
           || r.attempts || ' was told: ' || coalesce(r.last_reply, 'nothing')
       WHEN r.due_at > unixepoch() THEN
           'due in ' || (r.due_at - unixepoch()) || ' s'
       WHEN o.alive_until IS NULL OR o.stopped_at IS NOT NULL
            OR o.alive_until < unixepoch() THEN
           'due now, but no router runs'
       WHEN h.queue IS NOT NULL THEN
           'due now, but the queue waits for ' || h.because
       ELSE
           'due now: the router takes it as limits allow'
       END AS why,
       CASE WHEN r.state <> 0 THEN NULL
            WHEN s.id IS NOT NULL THEN datetime(s.until, 'unixepoch')
            WHEN r.due_at > unixepoch() THEN datetime(r.due_at, 'unixepoch')
            ELSE datetime(h.until, 'unixepoch')
            END  AS until,
       CASE r.state WHEN 0 THEN 'queued' WHEN 1 THEN 'leased' ELSE 'held'
            END  AS state,
       q.name    AS queue,
       r.due_at  AS due_at,
       datetime(r.due_at, 'unixepoch') AS due,
       r.attempts                      AS attempts,
       r.last_code                     AS last_code,
       r.last_reply                    AS last_reply,
       datetime(r.last_attempt_at, 'unixepoch') AS last_attempt,
       r.last_source || ' -> ' || coalesce(r.last_site, '?')
           || coalesce(' [' || r.last_peer || ']', '')  AS path,
       m.admitted_by                   AS admitted_by,
       m.listener                      AS listener,
       coalesce(m.client_name, 'unknown')
           || coalesce(' [' || m.client_addr || ']', '')
           || coalesce(' as ' || m.authn_id, '')        AS admitted_from,
       datetime(m.created_ms / 1000, 'unixepoch')       AS admitted
  FROM recipient AS r
  JOIN message AS m ON m.id = r.message
  JOIN queue   AS q ON q.id = r.queue
  LEFT JOIN owner AS o ON o.id = 1
  LEFT JOIN held_queue AS h ON h.queue = r.queue AND h.until > unixepoch()
  LEFT JOIN suspension AS s ON s.id =
       (SELECT min(x.id) FROM suspension AS x
         WHERE (x.until IS NULL OR x.until > unixepoch())
           AND x.source IS NULL AND x.site IS NULL
           AND (x.domain IS NULL OR x.domain = q.domain)
           AND (x.tenant IS NULL OR x.tenant = q.tenant)
           AND (x.campaign IS NULL OR x.campaign = q.campaign)
           AND (x.queue IS NULL OR x.queue = q.name));
CREATE VIEW v_by_domain AS
WITH n(queue, ready, deferred, leased, held, first) AS (
SELECT queue, count(*) FILTER (WHERE due_at <= unixepoch()),
       count(*) FILTER (WHERE due_at > unixepoch()), 0, 0, min(due_at)
  FROM recipient WHERE state = 0 GROUP BY queue
UNION ALL
SELECT queue, 0, 0, count(*), 0, NULL
  FROM recipient WHERE state = 1 GROUP BY queue
UNION ALL
SELECT queue, 0, 0, 0, count(*), NULL
  FROM recipient WHERE state = 2 GROUP BY queue)
SELECT q.domain                                AS domain,
       sum(n.ready + n.leased)                 AS ready,
       sum(n.deferred)                         AS deferred,
       sum(n.held)                             AS held,
       count(DISTINCT n.queue)                 AS queues,
       min(n.first)                            AS next_due_at,
       datetime(min(n.first), 'unixepoch')     AS next_due,
       (SELECT l.last_reply FROM queue AS l
         WHERE l.id = (SELECT x.id FROM queue AS x
                        WHERE x.domain = q.domain
                          AND x.last_reply IS NOT NULL
                        ORDER BY x.last_reply_at DESC LIMIT 1)) AS last_reply
  FROM n JOIN queue AS q ON q.id = n.queue
 GROUP BY q.domain;
CREATE VIEW v_suppression AS
SELECT s.address                              AS address,
       CASE s.all_tenants WHEN 0 THEN s.tenant END AS tenant,
       s.class                                AS class,
       s.reason                               AS reason,
       s.record                               AS record,
       s.message                              AS message,
       s.who                                  AS who,
       s.hits                                 AS hits,
       s.created_at                           AS created_at,
       datetime(s.created_at, 'unixepoch')    AS created,
       s.updated_at                           AS updated_at,
       datetime(s.updated_at, 'unixepoch')    AS updated,
       s.until                                AS until_at,
       datetime(s.until, 'unixepoch')         AS until,
       s.until IS NULL OR s.until > unixepoch() AS active,
       substr(s.address, instr(s.address, '@') + 1) AS domain
  FROM suppression AS s;
CREATE VIEW v_tls AS
SELECT date(t.day * 86400, 'unixepoch')   AS day,
       t.domain                           AS domain,
       t.policy                           AS policy,
       t.mx                               AS mx,
       t.result                           AS result,
       t.sessions                         AS sessions,
       t.last_at                          AS last_at,
       datetime(t.last_at, 'unixepoch')   AS last
  FROM tls_result AS t;
CREATE VIEW v_timeline AS
SELECT e.message                               AS id,
       e.at                                    AS at,
       datetime(e.at, 'unixepoch')             AS time,
       e.kind                                  AS event,
       e.address                               AS recipient,
       e.queue                                 AS queue,
       e.attempts                              AS attempts,
       e.code                                  AS code,
       e.reply                                 AS reply,
       e.source                                AS source,
       e.site                                  AS site,
       e.peer                                  AS peer,
       e.who                                   AS who,
       e.why                                   AS why,
       NULL                                    AS sender,
       NULL                                    AS message_id,
       e.report                                AS report,
       e.id                                    AS number
  FROM event AS e
 WHERE e.message IS NOT NULL
UNION ALL
SELECT m.uuid, m.created_ms / 1000,
       datetime(m.created_ms / 1000, 'unixepoch'), 'received',
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, m.client_addr, NULL,
       m.admitted_by, m.sender, m.message_id, NULL, 0
  FROM message AS m
UNION ALL
SELECT e.message, e.created_ms / 1000,
       datetime(e.created_ms / 1000, 'unixepoch'), 'received',
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       NULL, e.sender, e.message_id, NULL, 0
  FROM event AS e
 WHERE e.created_ms IS NOT NULL
   AND e.id = (SELECT min(x.id) FROM event AS x
                WHERE x.message = e.message AND x.created_ms IS NOT NULL)
   AND NOT EXISTS (SELECT 1 FROM message AS m WHERE m.uuid = e.message);
CREATE VIEW v_report AS
SELECT e.at                        AS at,
       datetime(e.at, 'unixepoch') AS time,
       e.kind                      AS type,
       e.message IS NOT NULL       AS linked,
       e.why                       AS linked_by,
       e.message                   AS id,
       e.address                   AS recipient,
       e.queue                     AS queue,
       e.code                      AS code,
       e.reply                     AS reply,
       e.peer                      AS reporter,
       e.who                       AS client,
       e.report                    AS report,
       e.id                        AS event
  FROM event AS e
 WHERE e.report IS NOT NULL;
