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

--
-- Columns are added at the end.  No command appends an OUT column to a function,
-- and to make it and its view anew would lose the grants and the views of others.
--
ALTER TABLE leakwatch.incidents
	ADD COLUMN blocked_pids integer[],
	ADD COLUMN blocked_application text,
	ADD COLUMN blocked_query text;
COMMENT ON COLUMN leakwatch.incidents.blocked_pids IS 'Process IDs of up to ten of the sessions that waited for its locks, the longest waiting first; NULL: none';
COMMENT ON COLUMN leakwatch.incidents.blocked_application IS 'Name of the application that waited longest';
COMMENT ON COLUMN leakwatch.incidents.blocked_query IS 'The statement with which it waited';
COMMENT ON COLUMN leakwatch.incidents.holds IS 'What else was seen that it holds: advisory locks (if others waited for it), temporary tables (that it has had some), snapshot (while idle: of a cursor, or of its isolation level), exported snapshot (that others may use); NULL: nothing';

UPDATE pg_catalog.pg_proc AS p SET
	proallargtypes = p.proallargtypes OPERATOR(pg_catalog.||) added.types,
	proargmodes = p.proargmodes OPERATOR(pg_catalog.||) added.modes,
	proargnames = p.proargnames OPERATOR(pg_catalog.||) added.names
FROM (SELECT function, pg_catalog.array_agg(type::pg_catalog.oid ORDER BY position) AS types,
		pg_catalog.array_agg('o'::pg_catalog."char") AS modes,
		pg_catalog.array_agg(name ORDER BY position) AS names
	FROM (VALUES
		(1, 'leakwatch.leaks()'::pg_catalog.regprocedure, 'blocked_pids', 'integer[]'::pg_catalog.regtype),
		(2, 'leakwatch.leaks()', 'blocked_application', 'text'),
		(3, 'leakwatch.leaks()', 'blocked_query', 'text'),
		(4, 'leakwatch.sessions()', 'idle_blocker_warn', 'interval'),
		(5, 'leakwatch.sessions()', 'idle_blocker_warn_source', 'text'),
		(6, 'leakwatch.sessions()', 'idle_blocker_terminate', 'interval'),
		(7, 'leakwatch.sessions()', 'idle_blocker_terminate_source', 'text'),
		(8, 'leakwatch.status()', 'held_waiting', 'bigint'),
		(9, 'leakwatch.status()', 'held_committing', 'bigint'),
		(10, 'leakwatch.status()', 'held_maintenance', 'bigint'),
		(11, 'leakwatch.status()', 'held_exported_snapshot', 'bigint')
	) AS c (position, function, name, type) GROUP BY function) AS added
WHERE p.oid OPERATOR(pg_catalog.=) added.function;

CREATE OR REPLACE VIEW leakwatch.leaks AS SELECT * FROM leakwatch.leaks();
CREATE OR REPLACE VIEW leakwatch.sessions AS SELECT * FROM leakwatch.sessions();
CREATE OR REPLACE VIEW leakwatch.status AS SELECT * FROM leakwatch.status();
COMMENT ON COLUMN leakwatch.leaks.holds IS 'What else was seen that it holds: advisory locks (if others waited for it), temporary tables (that it has had some), snapshot (while idle: of a cursor, or of its isolation level), exported snapshot (that others may use); NULL: nothing';
COMMENT ON COLUMN leakwatch.leaks.blocked_pids IS 'Process IDs of up to ten of the sessions that wait for its locks, the longest waiting first; NULL: none';
COMMENT ON COLUMN leakwatch.leaks.blocked_application IS 'Name of the application that waits longest';
COMMENT ON COLUMN leakwatch.leaks.blocked_query IS 'The statement with which it waits';
COMMENT ON COLUMN leakwatch.sessions.protected_by IS 'What would hold back its termination now: superuser, role unknown, active, state unknown, application, address, waiting, committing, maintenance, exported snapshot, not blocking; NULL: nothing';
COMMENT ON COLUMN leakwatch.sessions.idle_blocker_warn IS 'Limit after which a session idle while others wait for its locks is reported; NULL: off';
COMMENT ON COLUMN leakwatch.sessions.idle_blocker_warn_source IS 'Where that limit comes from';
COMMENT ON COLUMN leakwatch.sessions.idle_blocker_terminate IS 'Limit after which a session idle while others wait for its locks is terminated; NULL: off';
COMMENT ON COLUMN leakwatch.sessions.idle_blocker_terminate_source IS 'Where that limit comes from';
COMMENT ON COLUMN leakwatch.status.held_waiting IS 'Terminations held back because the session waited for a lock itself';
COMMENT ON COLUMN leakwatch.status.held_committing IS 'Terminations held back because the session was committing';
COMMENT ON COLUMN leakwatch.status.held_maintenance IS 'Terminations held back because the session was running a maintenance command';
COMMENT ON COLUMN leakwatch.status.held_exported_snapshot IS 'Terminations held back because others could use its snapshot';
