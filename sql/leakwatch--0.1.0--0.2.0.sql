/* sql/leakwatch--0.1.0--0.2.0.sql */

-- complain if script is sourced in psql, rather than via CREATE or ALTER EXTENSION
\echo Use "ALTER EXTENSION leakwatch UPDATE TO '0.2.0'" to load this file. \quit

--
-- A dump is restored while the recorder writes: what it has written before the
-- rows of the dump arrive stays, and must not keep any of them out.  The recorder
-- itself fires no trigger.
--
-- This comes first: a server that still runs the library of 0.1.0 does not have
-- this function, and fails here before anything is changed.
--
CREATE FUNCTION leakwatch.keep_recorded()
RETURNS trigger
AS 'MODULE_PATHNAME', 'leakwatch_keep_recorded'
LANGUAGE C;
REVOKE ALL ON FUNCTION leakwatch.keep_recorded() FROM PUBLIC;
COMMENT ON FUNCTION leakwatch.keep_recorded() IS 'Leaves out restored rows that the recorder has written anew';
CREATE TRIGGER keep_recorded BEFORE INSERT ON leakwatch.incidents
	FOR EACH ROW EXECUTE FUNCTION leakwatch.keep_recorded();
COMMENT ON TRIGGER keep_recorded ON leakwatch.incidents IS 'Leaves out restored rows that the recorder has written anew';

-- What identifies a row is its key.  Numbers come with the incidents, and those of
-- different tables are different; should they not be, that must keep out no row.
ALTER TABLE leakwatch.incidents
	DROP CONSTRAINT incidents_pkey,
	DROP CONSTRAINT incidents_pid_backend_start_kind_since_key,
	ADD PRIMARY KEY (pid, backend_start, kind, since);
CREATE INDEX incidents_id_idx ON leakwatch.incidents (id);
COMMENT ON COLUMN leakwatch.incidents.id IS 'Number of the incident: the later it was found, the higher';
COMMENT ON SEQUENCE leakwatch.incidents_id_seq IS 'Numbers of rows that others insert; what 0.1.0 took its numbers from';

-- A trail has repeats and changes now, and tags have two forms.
COMMENT ON COLUMN leakwatch.incidents.trail IS 'Statements of its transaction, oldest first: when each came in (at), its text (query), how often it came and when last (count, last_at) if more than once, whether it changed or locked something (changed), and where known query_id and the sqlstate that it failed with; dropped is how many there were in its place';
COMMENT ON COLUMN leakwatch.incidents.tags IS 'The tags (sqlcommenter, or key:value) of the newest of these statements that has some';
COMMENT ON COLUMN leakwatch.leaks.trail IS 'Statements of its transaction, oldest first: when each came in (at), its text (query), how often it came and when last (count, last_at) if more than once, whether it changed or locked something (changed), and where known query_id and the sqlstate that it failed with; dropped is how many there were in its place';
COMMENT ON COLUMN leakwatch.leaks.tags IS 'The tags (sqlcommenter, or key:value) of the newest of these statements that has some';
COMMENT ON FUNCTION leakwatch.sqlcommenter_tags(text) IS 'The tags in the comments at the start and the end of a statement: those of sqlcommenter, and key:value pairs';

-- No incident is without an action.
COMMENT ON COLUMN leakwatch.incidents.action IS 'What leakwatch has done: warned, would_terminate or terminated';
COMMENT ON COLUMN leakwatch.leaks.action IS 'What leakwatch has done: warned, would_terminate or terminated';
