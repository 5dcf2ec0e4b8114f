-- 0006-held-queues.sql: what the router waits for; as in schema.sql

-- A scheduled queue that the router does not pull from for a while, because a
-- rate or a limit of the policy is closed.  Rewritten now and then while that
-- lasts; of no meaning after `until`.
CREATE TABLE held_queue (
	queue   INTEGER PRIMARY KEY,
	because TEXT    NOT NULL,
	until   INTEGER NOT NULL
) STRICT;

CREATE INDEX held_queue_until ON held_queue(until);
