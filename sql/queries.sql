-- queries.sql: every statement that C runs, by name
--
-- `-- name: lease_due` becomes SQL_LEASE_DUE; the comment below it is dropped.
-- A test prepares each against schema.sql and looks at its plan: SCAN is an
-- error, except where a line `-- operator` says that someone asked for it.
-- `-- part` marks a condition that queue_view.c puts together with others: all
-- known at compile time, values always bound.
--
-- Indexes with a WHERE are only found by a literal: `state = 0`, not `state = ?`.

-- name: begin
BEGIN IMMEDIATE;
-- name: begin_read
BEGIN;
-- name: commit
COMMIT;
-- name: rollback
ROLLBACK;
-- name: savepoint
SAVEPOINT session;
-- name: savepoint_rollback
ROLLBACK TO session;
-- name: savepoint_release
RELEASE session;
-- name: sync_full
PRAGMA synchronous = FULL;
-- name: sync_normal
PRAGMA synchronous = NORMAL;
-- name: data_version
PRAGMA data_version;

-- name: content_insert
INSERT INTO content (state, refs, created_at, size, header_size, has_8bit,
       header_has_8bit, has_bare_cr_or_lf, has_nul, longest_line,
       received_headers, bytes)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12);
-- name: content_complete
-- What was written ahead gets its message.
UPDATE content SET state = 1, refs = ?2 WHERE id = ?1 AND state = 0;
-- name: content_doom
UPDATE content SET state = 2 WHERE id = ?1 AND state = 0;
-- name: chunk_insert
INSERT INTO chunk (id, bytes) VALUES (?1, ?2);
-- name: content_size
SELECT size, bytes IS NOT NULL FROM content WHERE id = ?1;
-- name: content_bytes
SELECT bytes FROM content WHERE id = ?1;
-- name: chunk_read
SELECT bytes FROM chunk WHERE id = ?1;

-- name: message_insert
INSERT INTO message (uuid, content, created_ms, sender, body, smtputf8, ret,
       envid, auth, declared_size, session_id, mta_queue_id, client_addr,
       client_name, helo, authn_id, reception_protocol, listener, hostname,
       admitted_by, scheduling, meta, prefix, message_id)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16,
       ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24);
-- name: queue_find
SELECT id FROM queue WHERE name = ?1;
-- name: queue_insert
INSERT INTO queue (name, campaign, tenant, domain, routing_domain, used_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6);
-- name: recipient_insert
INSERT INTO recipient (message, queue, state, due_at, attempts, expires,
       address, notify, orcpt, ref)
VALUES (?1, ?2, 0, ?3, ?4, ?5, ?6, ?7, ?8, ?9);

-- name: due_same
-- Those that became due in the same second as where the cursor stands ...
SELECT id, name, next_due FROM queue
 WHERE next_due = ?1 AND next_due IS NOT NULL AND id > ?2
 ORDER BY id LIMIT ?3;
-- name: due_after
-- ... and those after it.
SELECT id, name, next_due FROM queue
 WHERE next_due > ?1 AND next_due <= ?2 AND next_due IS NOT NULL
 ORDER BY next_due, id LIMIT ?3;
-- name: due_next
SELECT min(next_due) FROM queue WHERE next_due > ?1 AND next_due IS NOT NULL;

-- name: recipient_last
SELECT max(id) FROM recipient;
-- name: lease_due
SELECT id, message, due_at, attempts, crashes, expires, last_attempt_at,
       address, notify, orcpt, ref, last_code
  FROM recipient
 WHERE queue = ?1 AND state = 0 AND due_at <= ?2
 ORDER BY due_at, id LIMIT ?3;
-- name: lease_waiting
-- Those of one message that wait, whenever they are due.
SELECT r.id, r.message, r.due_at, r.attempts, r.crashes, r.expires,
       r.last_attempt_at, r.address, r.notify, r.orcpt, r.ref,
       r.last_code, r.queue, q.name
  FROM message AS m JOIN recipient AS r ON r.message = m.id
       JOIN queue AS q ON q.id = r.queue
 WHERE m.uuid = ?1 AND r.state = 0
 ORDER BY r.id;
-- name: lease_take
UPDATE recipient SET state = 1 WHERE id = ?1;
-- name: lease_take_many
-- What a statement with triggers costs by itself is more than what a row costs.
UPDATE recipient SET state = 1
 WHERE id IN (
       ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,
       ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20,
       ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30,
       ?31, ?32, ?33, ?34, ?35, ?36, ?37, ?38, ?39, ?40,
       ?41, ?42, ?43, ?44, ?45, ?46, ?47, ?48, ?49, ?50,
       ?51, ?52, ?53, ?54, ?55, ?56, ?57, ?58, ?59, ?60,
       ?61, ?62, ?63, ?64);
-- name: lease_message
-- ?2: with the content, if it is small.
SELECT m.uuid, m.content, m.created_ms, m.sender, m.body, m.smtputf8, m.ret,
       m.envid, m.auth, m.declared_size, m.session_id, m.mta_queue_id,
       m.client_addr, m.client_name, m.helo, m.authn_id, m.reception_protocol,
       m.listener, m.hostname, m.admitted_by, m.scheduling, m.meta, m.prefix,
       c.size, c.header_size, c.has_8bit, c.header_has_8bit,
       c.has_bare_cr_or_lf, c.has_nul, c.longest_line, c.received_headers,
       CASE WHEN ?2 THEN c.bytes END, m.message_id
  FROM message AS m JOIN content AS c ON c.id = m.content
 WHERE m.id = ?1;
-- name: lease_raise
UPDATE queue
   SET used_at = ?2,
       next_due = (SELECT due_at FROM recipient
                    WHERE queue = ?1 AND state = 0 ORDER BY due_at LIMIT 1)
 WHERE id = ?1;

-- name: settle_gone
-- Delivered, bounced, expired.  Triggers take message and content along.
DELETE FROM recipient WHERE id = ?1;
-- name: settle_gone_many
DELETE FROM recipient
 WHERE id IN (
       ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,
       ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20,
       ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30,
       ?31, ?32, ?33, ?34, ?35, ?36, ?37, ?38, ?39, ?40,
       ?41, ?42, ?43, ?44, ?45, ?46, ?47, ?48, ?49, ?50,
       ?51, ?52, ?53, ?54, ?55, ?56, ?57, ?58, ?59, ?60,
       ?61, ?62, ?63, ?64);
-- name: settle_deferred
-- What an operator has held meanwhile stays held.
UPDATE recipient
   SET state = CASE state WHEN 1 THEN 0 ELSE state END,
       due_at = ?2, attempts = ?3, crashes = 0, last_attempt_at = ?4,
       last_code = coalesce(?5, last_code),
       last_reply = coalesce(?6, last_reply),
       last_source = coalesce(?7, last_source),
       last_site = coalesce(?8, last_site),
       last_peer = coalesce(?9, last_peer)
 WHERE id = ?1 RETURNING queue;
-- name: settle_returned
UPDATE recipient
   SET state = CASE state WHEN 1 THEN 0 ELSE state END,
       due_at = ?2
 WHERE id = ?1 RETURNING queue;
-- name: settle_held
UPDATE recipient
   SET state = 2, held_because = ?2, attempts = max(attempts, ?3), crashes = 0,
       last_attempt_at = ?4, last_code = coalesce(?5, last_code),
       last_reply = coalesce(?6, last_reply),
       last_source = coalesce(?7, last_source),
       last_site = coalesce(?8, last_site),
       last_peer = coalesce(?9, last_peer)
 WHERE id = ?1 RETURNING queue;
-- name: settle_moved
-- Into another scheduled queue, or back into its own.
UPDATE recipient
   SET state = CASE state WHEN 1 THEN 0 ELSE state END,
       queue = ?2, due_at = ?3, attempts = ?4, crashes = 0
 WHERE id = ?1;
-- name: message_id_of
SELECT message_id FROM message WHERE id = ?1;
-- name: message_rewrite
UPDATE message SET sender = ?2, scheduling = ?3, meta = ?4, prefix = ?5
 WHERE id = ?1;
-- name: message_set_content
UPDATE message SET content = ?2 WHERE id = ?1;
-- name: content_left_small
-- As the trigger message_gone, for a message that gets another content.
DELETE FROM content
 WHERE id = (SELECT content FROM message WHERE id = ?1)
   AND refs = 1 AND size <= 65536;
-- name: content_left
UPDATE content
   SET refs = refs - 1, state = CASE WHEN refs > 1 THEN 1 ELSE 2 END
 WHERE id = (SELECT content FROM message WHERE id = ?1);
-- name: queue_said
UPDATE queue SET last_reply_at = ?2, last_code = ?3, last_reply = ?4
 WHERE id = ?1;
-- name: event_recipient
-- Before the row goes.  ?10: what the message was is said, too.
INSERT INTO event (at, kind, message, recipient, address, queue, attempts,
       code, reply, source, site, peer, ref, envid, message_id, sender,
       created_ms)
SELECT ?2, ?3, m.uuid, r.id, r.address, q.name, ?4, ?5, ?6, ?7, ?8, ?9,
       r.ref, m.envid, l.message_id, l.sender, l.created_ms
  FROM recipient AS r
  JOIN message AS m ON m.id = r.message
  JOIN queue   AS q ON q.id = r.queue
  LEFT JOIN message AS l ON l.id = r.message AND ?10
 WHERE r.id = ?1;
-- name: event_known
-- The same, by who has it all: the searches above cost as much again.
INSERT INTO event (recipient, at, kind, attempts, code, reply, source, site,
       peer, message, address, queue, ref, envid, message_id, sender,
       created_ms)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
       ?18);
-- name: event_report
-- Of one recipient of a message twenty are kept: reports are cheap to send again.
INSERT INTO event (at, kind, message, address, queue, code, reply, peer, who,
       why, report)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11
 WHERE ?3 IS NULL
    OR (SELECT count(*)
          FROM (SELECT 1 FROM event INDEXED BY event_message
                 WHERE message = ?3 AND address = ?4 AND report IS NOT NULL
                 LIMIT 20)) < 20;

-- name: past_by_id
-- The last that is known of it, after it has left or while it waits.
SELECT message, address, queue, kind, site, at FROM event
 WHERE message = ?1 AND address = ?2 COLLATE NOCASE
   AND recipient IS NOT NULL
 ORDER BY id DESC LIMIT 1;
-- name: past_refs
-- The first and last 16384 rows of history.
SELECT (SELECT min(id) FROM event) >> 14, (SELECT max(id) FROM event) >> 14;
-- name: past_by_ref
SELECT message, address, queue, kind, site, at FROM event
 WHERE id >> 14 = ?3 AND ref = ?1 AND ref IS NOT NULL
   AND address = ?2 COLLATE NOCASE
 ORDER BY id DESC LIMIT 1;
-- name: past_by_envid
SELECT message, address, queue, kind, site, at FROM event
 WHERE envid = ?1 AND envid IS NOT NULL
   AND address = ?2 COLLATE NOCASE
 ORDER BY id DESC LIMIT 1;
-- name: present_by_id
SELECT m.uuid, r.address, q.name, 'queued', r.last_site, r.last_attempt_at
  FROM message AS m
  JOIN recipient AS r ON r.message = m.id
  JOIN queue     AS q ON q.id = r.queue
 WHERE m.uuid = ?1 AND r.address = ?2 COLLATE NOCASE
 LIMIT 1;
-- name: present_by_ref
-- What the router is at: it may have been delivered, and not settled yet.
SELECT m.uuid, r.address, q.name, 'queued', r.last_site, r.last_attempt_at
  FROM recipient AS r
  JOIN message AS m ON m.id = r.message
  JOIN queue   AS q ON q.id = r.queue
 WHERE r.state = 1 AND r.queue > 0 AND r.ref = ?1
   AND r.address = ?2 COLLATE NOCASE
 LIMIT 1;
-- name: present_by_envid
SELECT m.uuid, r.address, q.name, 'queued', r.last_site, r.last_attempt_at
  FROM recipient AS r
  JOIN message AS m ON m.id = r.message
  JOIN queue   AS q ON q.id = r.queue
 WHERE r.state = 1 AND r.queue > 0 AND m.envid = ?1
   AND r.address = ?2 COLLATE NOCASE
 LIMIT 1;

-- name: leased_batch
-- Those of a router that died.
SELECT id FROM recipient
 WHERE state = 1 AND queue > 0 LIMIT 500;
-- name: leased_back
UPDATE recipient
   SET crashes = crashes + ?2,
       state = CASE WHEN crashes + ?2 >= ?3 THEN 2 ELSE 0 END,
       held_because = CASE WHEN crashes + ?2 >= ?3 THEN ?4
                           ELSE held_because END
 WHERE id = ?1;

-- name: blame_recipient
-- The router died while it was at this one, or about to lease it.
UPDATE recipient
   SET crashes = crashes + ?2,
       state = CASE WHEN crashes + ?2 >= ?3 THEN 2 ELSE state END,
       held_because = CASE WHEN crashes + ?2 >= ?3 THEN ?4
                           ELSE held_because END
 WHERE id = ?1 AND state < 2;
-- name: blame_queue
SELECT id FROM recipient WHERE queue = ?1 AND state = 0 LIMIT 500;
-- name: blame_hold
UPDATE recipient
   SET state = 2, held_because = ?4, crashes = max(crashes + ?2, ?3)
 WHERE id = ?1 AND state = 0;
-- name: blame_name
SELECT name FROM queue WHERE id = ?1;

-- name: owner_read
SELECT pid, started_at, alive_until, stopped_at FROM owner WHERE id = ?1;
-- name: owner_start
INSERT INTO owner (id, pid, started_at, alive_until, stopped_at)
VALUES (?1, ?2, ?3, ?3, NULL)
ON CONFLICT (id) DO UPDATE
   SET pid = ?2, started_at = ?3, alive_until = ?3, stopped_at = NULL;
-- name: owner_alive
UPDATE owner SET alive_until = ?2 WHERE id = ?1;
-- name: owner_stop
UPDATE owner SET stopped_at = ?2 WHERE id = ?1;

-- name: held_put
INSERT INTO held_queue (queue, because, until) VALUES (?1, ?2, ?3)
ON CONFLICT (queue) DO UPDATE SET because = ?2, until = ?3;
-- name: held_drop
DELETE FROM held_queue WHERE queue = ?1;
-- name: held_sweep
DELETE FROM held_queue WHERE until < ?1;

-- name: sweep_pending
SELECT id FROM content WHERE state = 0 AND created_at <= ?1
 ORDER BY created_at LIMIT 16;
-- name: sweep_doomed
SELECT id, size FROM content WHERE state = 2 AND created_at >= 0
 ORDER BY created_at LIMIT 1;
-- name: sweep_chunks
DELETE FROM chunk
 WHERE id IN (SELECT id FROM chunk WHERE id >= ?1 AND id < ?2 LIMIT 16);
-- name: sweep_content
DELETE FROM content WHERE id = ?1;
-- name: sweep_events
-- Oldest first: those before ?1, and all but the newest ?2.
SELECT max(id) FROM (SELECT id, at FROM event WHERE id > 0 ORDER BY id LIMIT 500)
 WHERE at < ?1 OR id <= (SELECT max(id) FROM event) - ?2;
-- name: sweep_events_to
DELETE FROM event WHERE id <= ?1;
-- name: sweep_tls
-- As sweep_events, by days.
SELECT max(id) FROM (SELECT id, day FROM tls_result WHERE id > 0 ORDER BY id LIMIT 500)
 WHERE day < ?1 OR id <= (SELECT max(id) FROM tls_result) - ?2;
-- name: sweep_tls_to
DELETE FROM tls_result WHERE id <= ?1;
-- name: sweep_queues
-- Idle ones of the next 200.
SELECT id, next_due IS NULL AND used_at < ?2 FROM queue
 WHERE id > ?1 ORDER BY id LIMIT 200;
-- name: sweep_queue
DELETE FROM queue
 WHERE id = ?1 AND next_due IS NULL
   AND NOT EXISTS (SELECT 1 FROM recipient WHERE queue = ?1 AND state = 0)
   AND NOT EXISTS (SELECT 1 FROM recipient WHERE queue = ?1 AND state = 1)
   AND NOT EXISTS (SELECT 1 FROM recipient WHERE queue = ?1 AND state = 2);
-- name: page_count
PRAGMA page_count;
-- name: freelist_count
PRAGMA freelist_count;
-- name: vacuum_step
PRAGMA incremental_vacuum(256);

-- name: body_find
SELECT m.content, m.prefix, c.size FROM message AS m
  JOIN content AS c ON c.id = m.content
 WHERE m.uuid = ?1;
-- name: id_by_prefix
-- Two, to see that there is only one.
SELECT uuid FROM message WHERE uuid >= ?1 AND uuid < ?1 || 'g' LIMIT 2;

-- name: suppression_find
-- The tenant's own first.  ?1 the address, ?2 its domain; a tenant that is not
-- known is NULL.
SELECT address, all_tenants, tenant, class, reason, record, message, who, hits,
       created_at, updated_at, until
  FROM suppression
 WHERE address IN (?1, ?2) AND all_tenants = 0 AND tenant = ?3
   AND (until IS NULL OR until > ?4)
UNION ALL
SELECT address, all_tenants, tenant, class, reason, record, message, who, hits,
       created_at, updated_at, until
  FROM suppression
 WHERE address IN (?1, ?2) AND all_tenants = 1 AND tenant = ''
   AND (until IS NULL OR until > ?4)
 LIMIT 1;
-- name: suppression_is
SELECT 1 FROM suppression
 WHERE address = ?1 AND all_tenants = ?2 AND tenant = ?3;
-- name: suppression_end
-- One that is over makes room for a new one.
DELETE FROM suppression
 WHERE address = ?1 AND all_tenants = ?2 AND tenant = ?3 AND until <= ?4;
-- name: suppression_note
-- Once more about the same message is not news.
INSERT INTO suppression (address, all_tenants, tenant, class, reason, record,
       message, hits, created_at, updated_at, until)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10)
ON CONFLICT (address, all_tenants, tenant) DO UPDATE
   SET hits = hits + 1, updated_at = excluded.updated_at,
       until = CASE WHEN until IS NOT NULL AND excluded.until IS NOT NULL
                    THEN max(until, excluded.until) END
 WHERE message IS NOT excluded.message
RETURNING created_at = updated_at AND hits = ?8;
-- name: suppression_set
-- What an operator says replaces what was there, but not since when.
INSERT INTO suppression (address, all_tenants, tenant, class, reason, record,
       message, who, hits, created_at, updated_at, until)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
ON CONFLICT (address, all_tenants, tenant) DO UPDATE
   SET class = excluded.class, reason = excluded.reason,
       record = excluded.record, message = excluded.message,
       who = excluded.who, updated_at = excluded.updated_at,
       until = excluded.until;
-- name: suppression_remove
DELETE FROM suppression
 WHERE address = ?1 AND all_tenants = ?2 AND tenant = ?3;
-- name: suppression_remove_all
DELETE FROM suppression WHERE address = ?1;
-- name: suppression_forget
-- What counted towards it.
DELETE FROM suppression_hit
 WHERE address = ?1 AND all_tenants = ?2 AND tenant = ?3;
-- name: suppression_forget_all
DELETE FROM suppression_hit WHERE address = ?1;
-- name: suppression_hit_insert
INSERT INTO suppression_hit (address, all_tenants, tenant, rule, message, at,
       until)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT DO NOTHING;
-- name: suppression_hit_count
SELECT count(*) FROM suppression_hit
 WHERE address = ?1 AND all_tenants = ?2 AND tenant = ?3 AND rule = ?4
   AND at > ?5;
-- name: suppression_event_text
UPDATE event SET why = ?2 WHERE id = ?1;
-- name: suppression_event
INSERT INTO event (at, kind, message, address, code, reply, who, why)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8);
-- name: suppression_ended
SELECT EXISTS (SELECT 1 FROM suppression
                WHERE until IS NOT NULL AND until <= ?1)
    OR EXISTS (SELECT 1 FROM suppression_hit WHERE until <= ?1);
-- name: sweep_suppression
DELETE FROM suppression
 WHERE (address, all_tenants, tenant) IN (
       SELECT address, all_tenants, tenant FROM suppression
        WHERE until IS NOT NULL AND until <= ?1 ORDER BY until LIMIT ?2);
-- name: sweep_suppression_hit
DELETE FROM suppression_hit
 WHERE (address, all_tenants, tenant, rule, message) IN (
       SELECT address, all_tenants, tenant, rule, message FROM suppression_hit
        WHERE until <= ?1 ORDER BY until LIMIT ?2);

-- name: ask_list
-- operator
SELECT * FROM v_queue WHERE TRUE
-- name: ask_waiting
-- operator
SELECT DISTINCT id FROM v_queue WHERE state = 'queued'
-- name: ask_summary
-- operator
SELECT * FROM v_by_domain WHERE TRUE
-- name: ask_message
-- operator
SELECT * FROM v_message WHERE TRUE
-- name: ask_why
-- operator
SELECT * FROM v_why WHERE TRUE
-- name: ask_due
-- operator
SELECT * FROM v_due WHERE TRUE
-- name: tls_add
INSERT INTO tls_result (day, domain, policy, mx, result, sessions, last_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT (day, domain, policy, mx, result)
    DO UPDATE SET sessions = sessions + excluded.sessions,
                  last_at = max(last_at, excluded.last_at);

-- name: ask_status
-- operator
-- Each number is one search, or a count that ends at 100,000: `more` says so.
WITH n(queued, leased, held) AS MATERIALIZED (SELECT
  (SELECT count(*) FROM (SELECT 1 FROM recipient WHERE state = 0 LIMIT 100000)),
  (SELECT count(*) FROM (SELECT 1 FROM recipient WHERE state = 1 LIMIT 100000)),
  (SELECT count(*) FROM (SELECT 1 FROM recipient WHERE state = 2 LIMIT 100000)))
SELECT n.queued AS queued, n.leased AS leased, n.held AS held,
       max(n.queued, n.leased, n.held) >= 100000 AS more,
       (SELECT count(*) FROM (SELECT 1 FROM queue
         WHERE next_due <= unixepoch() LIMIT 100000)) AS queues_due,
       (SELECT min(next_due) FROM queue
         WHERE next_due IS NOT NULL) AS next_due_at,
       (SELECT datetime(min(next_due), 'unixepoch') FROM queue
         WHERE next_due IS NOT NULL) AS next_due,
       (SELECT created_ms FROM message ORDER BY id LIMIT 1)
         AS oldest_created_ms,
       (SELECT count(*) FROM suspension
         WHERE until IS NULL OR until > unixepoch()) AS suspensions,
       (SELECT coalesce(sum(sessions), 0) FROM tls_result
         WHERE day = unixepoch() / 86400 AND result = 'success')
         AS tls_sessions,
       (SELECT coalesce(sum(sessions), 0) FROM tls_result
         WHERE day = unixepoch() / 86400 AND result <> 'success')
         AS tls_failures,
       r.pid AS router_pid, r.started_at AS router_started_at,
       r.alive_until AS router_alive_until,
       r.pid IS NOT NULL AND r.stopped_at IS NULL
         AND r.alive_until >= unixepoch() AS router_alive
  FROM n LEFT JOIN owner AS r ON r.id = 1;

-- name: ask_suppression
-- operator
SELECT * FROM v_suppression WHERE active
-- name: trace_by_id
-- operator
-- Two, to see that there is only one.
SELECT message AS id FROM event
 WHERE message >= ?1 AND message < ?1 || 'g'
UNION
SELECT uuid FROM message WHERE uuid >= ?1 AND uuid < ?1 || 'g' LIMIT 2;
-- name: trace_by_message_id
-- operator
SELECT message AS id FROM event
 WHERE message_id = ?1 AND message IS NOT NULL
UNION
SELECT uuid FROM message WHERE message_id = ?1
 ORDER BY id DESC LIMIT 100;
-- name: trace_by_address
-- operator
SELECT message AS id FROM event
 WHERE address = ?1 COLLATE NOCASE AND message IS NOT NULL
UNION
SELECT m.uuid FROM recipient AS r JOIN message AS m ON m.id = r.message
 WHERE r.address = ?1 COLLATE NOCASE
 ORDER BY id DESC LIMIT 100;
-- name: ask_timeline
-- operator
SELECT * FROM v_timeline WHERE id = ?1 ORDER BY at, number;

-- name: where_id
-- part
 AND id = ?1
-- name: where_domain
-- part
 AND domain = lower(?2)
-- name: where_sender
-- part
 AND sender = ?3 COLLATE NOCASE
-- name: where_recipient
-- part
 AND recipient = ?4 COLLATE NOCASE
-- name: where_tenant
-- part
 AND tenant = ?5
-- name: where_campaign
-- part
 AND campaign = ?6
-- name: where_queue
-- part
 AND queue = ?7
-- name: where_state
-- part
 AND state = ?8
-- name: where_address
-- part
 AND address = ?4
-- name: order_suppression
-- part
 ORDER BY address, tenant
-- name: where_older
-- part
 AND created_ms <= (unixepoch() - ?9) * 1000
-- name: where_after
-- part
 AND id > ?11
-- name: order_waiting
-- part
 ORDER BY id
-- name: order_queue
-- part
 ORDER BY created_ms, recipient_id
-- name: limit
-- part
 LIMIT ?10

-- name: check_recipients
-- operator
SELECT 'recipient ' || r.id || ' has no message'
  FROM recipient AS r LEFT JOIN message AS m ON m.id = r.message
 WHERE m.id IS NULL LIMIT 100;
-- name: check_recipient_queues
-- operator
SELECT 'recipient ' || r.id || ' has no scheduled queue'
  FROM recipient AS r LEFT JOIN queue AS q ON q.id = r.queue
 WHERE q.id IS NULL LIMIT 100;
-- name: check_messages
-- operator
SELECT 'message ' || m.uuid || ' has no recipients'
  FROM message AS m
 WHERE NOT EXISTS (SELECT 1 FROM recipient AS r WHERE r.message = m.id)
 LIMIT 100;
-- name: check_message_contents
-- operator
SELECT 'message ' || m.uuid || ' has no content'
  FROM message AS m LEFT JOIN content AS c ON c.id = m.content AND c.state = 1
 WHERE c.id IS NULL LIMIT 100;
-- name: check_refs
-- operator
SELECT 'content ' || c.id || ' is counted ' || c.refs || ' times, but '
       || count(m.id) || ' messages have it'
  FROM content AS c LEFT JOIN message AS m ON m.content = c.id
 WHERE c.state = 1
 GROUP BY c.id HAVING count(m.id) <> c.refs LIMIT 100;
-- name: check_sizes
-- operator
SELECT 'content ' || c.id || ' has '
       || coalesce(length(c.bytes), (SELECT sum(length(k.bytes)) FROM chunk AS k
           WHERE k.id >= c.id << 20 AND k.id < (c.id + 1) << 20), 0)
       || ' of ' || c.size || ' bytes'
  FROM content AS c
 WHERE c.state = 1
   AND c.size <> coalesce(length(c.bytes),
           (SELECT sum(length(k.bytes)) FROM chunk AS k
             WHERE k.id >= c.id << 20 AND k.id < (c.id + 1) << 20), 0)
 LIMIT 100;
-- name: check_next_due
-- operator
SELECT 'queue ' || q.name || ' is looked at too late'
  FROM queue AS q
 WHERE EXISTS (SELECT 1 FROM recipient AS r
         WHERE r.queue = q.id AND r.state = 0
           AND (q.next_due IS NULL OR r.due_at < q.next_due))
 LIMIT 100;
-- name: check_quick
-- operator
PRAGMA quick_check(100);
-- name: check_quick_queue
-- operator
PRAGMA quick_check('queue');
-- name: check_quick_recipient
-- operator
PRAGMA quick_check('recipient');
