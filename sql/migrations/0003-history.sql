-- 0003-history.sql: what is needed to link reports to mail that has left
--
-- Mail that waits already has no ref: reports about it are linked by its id.
ALTER TABLE message ADD COLUMN message_id TEXT;
ALTER TABLE recipient ADD COLUMN ref INTEGER;
ALTER TABLE event ADD COLUMN ref INTEGER;
ALTER TABLE event ADD COLUMN envid TEXT;
ALTER TABLE event ADD COLUMN message_id TEXT;
ALTER TABLE event ADD COLUMN sender TEXT;
ALTER TABLE event ADD COLUMN created_ms INTEGER;
ALTER TABLE event ADD COLUMN report TEXT;
CREATE INDEX event_ref ON event(id >> 14, ref) WHERE ref IS NOT NULL;
CREATE INDEX event_envid ON event(envid, address COLLATE NOCASE)
 WHERE envid IS NOT NULL;
CREATE INDEX event_report ON event(id) WHERE report IS NOT NULL;
