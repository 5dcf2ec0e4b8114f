-- views.sql: what operators and monitors may rely on
--
-- Columns are only ever added.  Each time comes twice: NAME_at (or created_ms)
-- as a number to calculate with, NAME as UTC text to read.
--
-- sqlite3 -readonly -box /var/lib/penstock/queue.db 'SELECT * FROM v_queue'

-- v_queue: one row per recipient that is in the queue, like mailq.
--
--   id           of the message, 32 hexadecimal digits
--   recipient    the address;  recipient_id  its row
--   state        queued, leased (the router is at it), held
--   queue        campaign:tenant@domain!routing_domain; its parts follow
--   due          when it is tried next, while queued
--   attempts     made so far
--   expires      NULL: the queue's max_age decides
--   last_*       of the most recent attempt: answer, source, site, peer
--   size         bytes to send, headers that we put in front included
--   age          seconds since we took it
--   mta_queue_id the id under which the MTA logged it
--
-- sqlite3 -readonly -box queue.db \
--   "SELECT id, recipient, due, last_reply FROM v_queue WHERE domain = 'example.com'"
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

-- v_message: one row per message, with everything that came with it.
--
--   recipients     still in the queue
--   admitted_by    the rule that let it in, with file and line
--   body .. auth   ESMTP parameters of MAIL FROM as the client gave them
--   prefix_size, content_size, longest_line, has_8bit: of the bytes
--   meta           JSON, what policy attached
--   scheduling     JSON of set_scheduling, NULL: none
--
-- sqlite3 -readonly -line queue.db "SELECT * FROM v_message WHERE id LIKE '0193f%'"
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

-- v_due: scheduled queues with queued mail, the next one first.
--
--   next_due   when the first of it is due, or a little before
--   late       seconds since then; negative: still to come
--   last_*     what the most recent deferral from this queue was told
--
-- Reads only the table of queues: quick, however much mail waits.
--
-- sqlite3 -readonly -box queue.db 'SELECT * FROM v_due LIMIT 20'
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

-- v_why: what holds each recipient, and how it got here.
--
--   why          one sentence
--   until        when that ends by itself, NULL: it does not, or nobody knows
--   admitted_by  the rule of the policy that let the message in
--   admitted_from  the client
--   path         source -> site [peer] of the last attempt
--
-- sqlite3 -readonly -line queue.db "SELECT * FROM v_why WHERE recipient = 'bob@example.com'"
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

-- v_by_domain: how much mail waits for each domain.
--
--   ready      due now, and leased: held only by connection or rate limits
--   deferred   waiting for the time of their next attempt
--   held       waiting for an operator
--   queues     scheduled queues that this counts
--   next_due   when the first of the queued is due
--   last_reply of the most recent deferral from one of its queues
--
-- Counts columns of indexes only: 0.2 s for a million recipients; joining
-- message here costs ten times as much.
--
-- sqlite3 -readonly -box queue.db \
--   'SELECT * FROM v_by_domain ORDER BY deferred DESC LIMIT 20'
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

-- v_suppression: addresses that get no more mail, and domains ("@domain").
--
--   address   lower case, A-labels
--   tenant    whose mail is held off; NULL: everybody's, '': mail without one
--   class     of the bounce or complaint, or what the operator said
--   reason    what was said: the reply, or the operator's reason
--   record    Bounce, OOB, Feedback (the first one), Operator
--   message   the message that this was about
--   who       the operator
--   hits      records that it stands on
--   until     NULL: for ever
--   active    0: it has ended, and goes with the next sweep
--
-- sqlite3 -readonly -box queue.db \
--   "SELECT * FROM v_suppression WHERE address = 'bob@example.com'"
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

-- v_tls: how TLS went with hosts, a row for each day, domain, policy, host and
-- result (RFC 8460): what a daily report about TLS is made of.
--
--   day       UTC
--   domain    of the recipients
--   policy    tlsa (DANE), sts (MTA-STS) or no-policy-found
--   mx        the host; empty: it never came to one
--   result    success, or the type of failure of RFC 8460, 4.3
--   sessions  that ended so;  last_at  the latest of them
--
-- Kept for 35 days.
--
-- sqlite3 -readonly -box queue.db \
--   "SELECT * FROM v_tls WHERE day = date('now', '-1 day') AND result <> 'success'"
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

-- v_timeline: what happened to a message, also after it has left.
--
--   id          of the message, 32 hexadecimal digits
--   at, time    when
--   event       received, delivered, bounced, expired, deferred, held, moved,
--               discarded (the policy wanted no more of it); oob, feedback: a
--               report that is linked to it
--   recipient   NULL: all of them
--   queue       its scheduled queue then
--   code, reply, source, site, peer   of an attempt; of a report what it says,
--               and peer who says it
--   message_id  of the header field, where it was received
--   number      of the event, in their order; 0 of a message that waits still
--
-- History is bounded by age and number; without an id this reads all of it.
--
-- sqlite3 -readonly -box queue.db \
--   "SELECT time, event, recipient, reply FROM v_timeline WHERE id = '...' ORDER BY at, number"
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

-- v_report: delivery and feedback reports that came in, one row a recipient.
--
--   type        oob (a message bounced elsewhere), feedback (a complaint)
--   linked      1: message and recipient are known here, or our signature in the
--               trace header vouches for them; 0: anybody can have written it
--   linked_by   signed, id, message_id, envelope_id
--   id          of the message that it is about, NULL unless linked
--   recipient   of that message; what the report says unless linked
--   queue       the scheduled queue that it was in, NULL unless known
--   code, reply what the report says; of a complaint reply is its type
--   reporter    the MTA or program that wrote it;  client  who brought it
--   report      id of the report itself
--   event       number of the row, in the order of arrival
--
-- sqlite3 -readonly -box queue.db \
--   'SELECT time, type, recipient, reply FROM v_report WHERE linked ORDER BY event DESC LIMIT 20'
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
