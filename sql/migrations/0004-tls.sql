-- 0004-tls.sql: how TLS went with whom; as in schema.sql

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
