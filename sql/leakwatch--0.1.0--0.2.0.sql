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
-- Prepared transactions have no process: two of the same time differ by their GIDs.
ALTER TABLE leakwatch.incidents
	ADD COLUMN gid text NOT NULL DEFAULT '',
	DROP CONSTRAINT incidents_pkey,
	DROP CONSTRAINT incidents_pid_backend_start_kind_since_key,
	ADD PRIMARY KEY (pid, backend_start, kind, since, gid);
COMMENT ON COLUMN leakwatch.incidents.gid IS 'Global identifier of the prepared transaction, which is part of what identifies its incident; empty for a session';
COMMENT ON COLUMN leakwatch.incidents.pid IS 'Process ID of the session; 0 for a prepared transaction, which has none';
COMMENT ON COLUMN leakwatch.incidents.backend_start IS 'When the session began; of a prepared transaction, when it was prepared';
COMMENT ON COLUMN leakwatch.incidents.datname IS 'Database the session is connected to, or in which the transaction was prepared';
COMMENT ON COLUMN leakwatch.incidents.usename IS 'Role that logged in, or owns the prepared transaction';
COMMENT ON COLUMN leakwatch.incidents.since IS 'When it got into what it is reported for; with pid, backend_start, kind and gid, what identifies the incident';
COMMENT ON COLUMN leakwatch.leaks.pid IS 'Process ID of the session; 0 for a prepared transaction, which has none';
COMMENT ON COLUMN leakwatch.leaks.backend_start IS 'When the session began; of a prepared transaction, when it was prepared';
COMMENT ON COLUMN leakwatch.leaks.datname IS 'Database the session is connected to, or in which the transaction was prepared';
COMMENT ON COLUMN leakwatch.leaks.usename IS 'Role that logged in, or owns the prepared transaction';
COMMENT ON VIEW leakwatch.leaks IS 'Sessions and prepared transactions over a limit now';
CREATE INDEX incidents_id_idx ON leakwatch.incidents (id);
-- what the view applications has of a long history, without its statements
CREATE INDEX incidents_applications_idx ON leakwatch.incidents (datname, usename, application_name, client_addr)
	INCLUDE (outcome, duration, since);
COMMENT ON COLUMN leakwatch.incidents.id IS 'Number of the incident: the later it was found, the higher';
COMMENT ON SEQUENCE leakwatch.incidents_id_seq IS 'Numbers of rows that others insert; what 0.1.0 took its numbers from';

-- A trail has repeats and changes now, and tags have two forms.
COMMENT ON COLUMN leakwatch.incidents.trail IS 'Statements of its transaction, oldest first: when each came in (at), its text (query), how often it came and when last (count, last_at) if more than once, whether it changed or locked something (changed), and where known query_id and the sqlstate that it failed with; dropped is how many there were in its place';
COMMENT ON COLUMN leakwatch.incidents.tags IS 'The tags (sqlcommenter, or key:value) of the newest of these statements that has some';
COMMENT ON COLUMN leakwatch.leaks.trail IS 'Statements of its transaction, oldest first: when each came in (at), its text (query), how often it came and when last (count, last_at) if more than once, whether it changed or locked something (changed), and where known query_id and the sqlstate that it failed with; dropped is how many there were in its place';
COMMENT ON COLUMN leakwatch.leaks.tags IS 'The tags (sqlcommenter, or key:value) of the newest of these statements that has some';
COMMENT ON FUNCTION leakwatch.sqlcommenter_tags(text) IS 'The tags in the comments at the start and the end of a statement: those of sqlcommenter, and key:value pairs';

-- No incident is without an action, and none has ended because of it alone.
COMMENT ON COLUMN leakwatch.incidents.action IS 'What leakwatch has done: warned, would_terminate or terminated (told to end)';
COMMENT ON COLUMN leakwatch.leaks.action IS 'What leakwatch has done: warned, would_terminate or terminated (told to end)';
COMMENT ON COLUMN leakwatch.incidents.outcome IS 'open, finished (the session went on), disconnected, terminated (by leakwatch), terminated_by_admin, timed_out (by the server), ended_by_server or server_restart';
COMMENT ON COLUMN leakwatch.incidents.outcome_detail IS 'Which limit or timeout ended it, why the server did, or whether a prepared transaction was committed or rolled back';
COMMENT ON COLUMN leakwatch.status.terminated IS 'Sessions told to end';

--
-- Columns are added at the end.  No command appends an OUT column to a function,
-- and to make it and its view anew would lose the grants and the views of others.
--
ALTER TABLE leakwatch.incidents
	ADD COLUMN blocked_pids integer[],
	ADD COLUMN blocked_application text,
	ADD COLUMN blocked_query text,
	ADD COLUMN client_gone boolean,
	ADD COLUMN confidence double precision,
	ADD COLUMN reason text;
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
		(11, 'leakwatch.status()', 'held_exported_snapshot', 'bigint'),
		(12, 'leakwatch.status()', 'held_not_saturated', 'bigint'),
		(13, 'leakwatch.leaks()', 'client_gone', 'boolean'),
		(14, 'leakwatch.sessions()', 'waiting_for_client_warn', 'interval'),
		(15, 'leakwatch.sessions()', 'waiting_for_client_warn_source', 'text'),
		(16, 'leakwatch.sessions()', 'waiting_for_client_terminate', 'interval'),
		(17, 'leakwatch.sessions()', 'waiting_for_client_terminate_source', 'text'),
		(18, 'leakwatch.sessions()', 'waiting_for', 'text'),
		(19, 'leakwatch.sessions()', 'client_gone', 'boolean'),
		(20, 'leakwatch.status()', 'lingering', 'integer'),
		(21, 'leakwatch.leaks()', 'gid', 'text'),
		(22, 'leakwatch.leaks()', 'cause', 'bigint'),
		(23, 'leakwatch.leaks()', 'confidence', 'double precision'),
		(24, 'leakwatch.leaks()', 'reason', 'text'),
		(25, 'leakwatch.sessions()', 'suspected_leak_warn', 'interval'),
		(26, 'leakwatch.sessions()', 'suspected_leak_warn_source', 'text'),
		(27, 'leakwatch.sessions()', 'suspected_leak_terminate', 'interval'),
		(28, 'leakwatch.sessions()', 'suspected_leak_terminate_source', 'text'),
		(29, 'leakwatch.status()', 'suspected', 'bigint'),
		(30, 'leakwatch.status()', 'confirmed', 'bigint'),
		(31, 'leakwatch.status()', 'refuted', 'bigint')
	) AS c (position, function, name, type) GROUP BY function) AS added
WHERE p.oid OPERATOR(pg_catalog.=) added.function;

CREATE OR REPLACE VIEW leakwatch.leaks AS SELECT * FROM leakwatch.leaks();
CREATE OR REPLACE VIEW leakwatch.sessions AS SELECT * FROM leakwatch.sessions();
CREATE OR REPLACE VIEW leakwatch.status AS SELECT * FROM leakwatch.status();
COMMENT ON COLUMN leakwatch.leaks.holds IS 'What else was seen that it holds: advisory locks (if others waited for it), temporary tables (that it has had some), snapshot (while idle: of a cursor, or of its isolation level), exported snapshot (that others may use); NULL: nothing';
COMMENT ON COLUMN leakwatch.leaks.gid IS 'Global identifier of the prepared transaction; NULL for a session';
COMMENT ON COLUMN leakwatch.leaks.blocked_pids IS 'Process IDs of up to ten of the sessions that wait for its locks, the longest waiting first; NULL: none';
COMMENT ON COLUMN leakwatch.leaks.blocked_application IS 'Name of the application that waits longest';
COMMENT ON COLUMN leakwatch.leaks.blocked_query IS 'The statement with which it waits';
COMMENT ON COLUMN leakwatch.sessions.protected_by IS 'What would hold back its termination now: superuser, role unknown, active, state unknown, application, address, waiting, committing, maintenance, exported snapshot, not blocking, not saturated; NULL: nothing';
COMMENT ON COLUMN leakwatch.sessions.idle_blocker_warn IS 'Limit after which a session idle while others wait for its locks is reported; NULL: off';
COMMENT ON COLUMN leakwatch.sessions.idle_blocker_warn_source IS 'Where that limit comes from';
COMMENT ON COLUMN leakwatch.sessions.idle_blocker_terminate IS 'Limit after which a session idle while others wait for its locks is terminated; NULL: off';
COMMENT ON COLUMN leakwatch.sessions.idle_blocker_terminate_source IS 'Where that limit comes from';
COMMENT ON COLUMN leakwatch.status.held_waiting IS 'Terminations held back because the session waited for a lock itself';
COMMENT ON COLUMN leakwatch.status.held_committing IS 'Terminations held back because the session was committing';
COMMENT ON COLUMN leakwatch.status.held_maintenance IS 'Terminations held back because the session was running a maintenance command';
COMMENT ON COLUMN leakwatch.status.held_exported_snapshot IS 'Terminations held back because others could use its snapshot';
COMMENT ON COLUMN leakwatch.incidents.client_gone IS 'Whether it was seen that its client was gone while its statement ran';
COMMENT ON COLUMN leakwatch.leaks.client_gone IS 'Whether it has been seen that its client is gone while its statement runs';
COMMENT ON COLUMN leakwatch.sessions.waiting_for_client_warn IS 'Limit after which a session waiting for its client within a statement is reported; NULL: off';
COMMENT ON COLUMN leakwatch.sessions.waiting_for_client_warn_source IS 'Where that limit comes from';
COMMENT ON COLUMN leakwatch.sessions.waiting_for_client_terminate IS 'Limit after which a session waiting for its client within a statement is terminated; NULL: off';
COMMENT ON COLUMN leakwatch.sessions.waiting_for_client_terminate_source IS 'Where that limit comes from';
COMMENT ON COLUMN leakwatch.sessions.waiting_for IS 'What it waits for its client to do in the middle of a statement: client read (to send) or client write (to take what it is sent); NULL: nothing';
COMMENT ON COLUMN leakwatch.sessions.client_gone IS 'Whether it has been seen that its client is gone while its statement runs';
COMMENT ON COLUMN leakwatch.incidents.confidence IS 'Of a suspected leak: how sure it was, from 0 to 1; NULL: it is another kind';
COMMENT ON COLUMN leakwatch.incidents.reason IS 'Why a leak was suspected; NULL: it is another kind';
COMMENT ON COLUMN leakwatch.leaks.confidence IS 'Of a suspected leak: how sure it is, from 0 to 1; NULL: it is another kind';
COMMENT ON COLUMN leakwatch.leaks.reason IS 'Why a leak is suspected; NULL: it is another kind';
COMMENT ON COLUMN leakwatch.sessions.suspected_leak_warn IS 'Time for which a session has to be idle before it may be suspected of having been forgotten; NULL: nobody is';
COMMENT ON COLUMN leakwatch.sessions.suspected_leak_warn_source IS 'Where that limit comes from';
COMMENT ON COLUMN leakwatch.sessions.suspected_leak_terminate IS 'Limit after which an idle session that is suspected of having been forgotten is terminated; NULL: off';
COMMENT ON COLUMN leakwatch.sessions.suspected_leak_terminate_source IS 'Where that limit comes from';
COMMENT ON COLUMN leakwatch.status.suspected IS 'Idle sessions suspected of having been forgotten';
COMMENT ON COLUMN leakwatch.status.confirmed IS 'Of these, those that have ended without having been used again';
COMMENT ON COLUMN leakwatch.status.refuted IS 'Of these, those that have been used again';
COMMENT ON COLUMN leakwatch.status.lingering IS 'Sessions still there some seconds after they were told to end';

COMMENT ON COLUMN leakwatch.status.held_not_saturated IS 'Terminations held back because connections did not run out';

-- How connections are used, of the server and of each database and role.
--
CREATE FUNCTION leakwatch.saturation(
	OUT scope text,
	OUT name text,
	OUT used integer,
	OUT "limit" integer,
	OUT percent double precision,
	OUT peak integer,
	OUT peak_at timestamptz,
	OUT idle integer,
	OUT idle_in_transaction integer,
	OUT leaked integer,
	OUT suspected integer,
	OUT rejected bigint,
	OUT last_rejected_at timestamptz,
	OUT growth_per_minute double precision,
	OUT exhausted_in interval
)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'leakwatch_saturation'
LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
CREATE VIEW leakwatch.saturation AS
	SELECT scope, name, used, "limit", percent, peak, peak_at, idle, idle_in_transaction, leaked,
		suspected, rejected, last_rejected_at, growth_per_minute, exhausted_in
	FROM leakwatch.saturation();
REVOKE ALL ON FUNCTION leakwatch.saturation() FROM PUBLIC;
REVOKE ALL ON TABLE leakwatch.saturation FROM PUBLIC;
GRANT EXECUTE ON FUNCTION leakwatch.saturation() TO pg_monitor;
GRANT SELECT ON TABLE leakwatch.saturation TO pg_monitor;
COMMENT ON FUNCTION leakwatch.saturation() IS 'The rows of the view saturation';
COMMENT ON VIEW leakwatch.saturation IS 'How connections are used: of the server, and of each database and role that has a limit or has had sessions since the server started';
COMMENT ON COLUMN leakwatch.saturation.scope IS 'Whose connections: server, database or role';
COMMENT ON COLUMN leakwatch.saturation.name IS 'Of the database or the role; NULL for the server';
COMMENT ON COLUMN leakwatch.saturation.used IS 'Client sessions now';
COMMENT ON COLUMN leakwatch.saturation."limit" IS 'How many there can be: for the server of ordinary roles, else the CONNECTION LIMIT; NULL: no limit';
COMMENT ON COLUMN leakwatch.saturation.percent IS 'Used, of the limit; more than 100 where superusers use what is kept for them';
COMMENT ON COLUMN leakwatch.saturation.peak IS 'Most sessions at once since the server started';
COMMENT ON COLUMN leakwatch.saturation.peak_at IS 'When the last of these connected';
COMMENT ON COLUMN leakwatch.saturation.idle IS 'Of the sessions now, idle outside a transaction';
COMMENT ON COLUMN leakwatch.saturation.idle_in_transaction IS 'Of the sessions now, idle in a transaction, aborted or not';
COMMENT ON COLUMN leakwatch.saturation.leaked IS 'Incidents of sessions open now';
COMMENT ON COLUMN leakwatch.saturation.suspected IS 'Of these, sessions suspected of having been forgotten';
COMMENT ON COLUMN leakwatch.saturation.rejected IS 'Clients turned away by this limit since the server started';
COMMENT ON COLUMN leakwatch.saturation.last_rejected_at IS 'When the last of these was';
COMMENT ON COLUMN leakwatch.saturation.growth_per_minute IS 'By how many sessions the use grows in a minute, of the server; NULL: no growth that lasts';
COMMENT ON COLUMN leakwatch.saturation.exhausted_in IS 'When the limit will be met if it goes on like this, of the server; NULL: not in sight';

--
-- How they were used, minute by minute.
--
CREATE TABLE leakwatch.samples (
	minute timestamptz PRIMARY KEY,
	used integer NOT NULL,
	peak integer NOT NULL,
	idle integer NOT NULL,
	in_transaction integer NOT NULL,
	leaked integer NOT NULL,
	rejected integer NOT NULL
);
SELECT pg_catalog.pg_extension_config_dump('leakwatch.samples', '');
CREATE TRIGGER keep_recorded BEFORE INSERT ON leakwatch.samples
	FOR EACH ROW EXECUTE FUNCTION leakwatch.keep_recorded();
COMMENT ON TRIGGER keep_recorded ON leakwatch.samples IS 'Leaves out restored rows that the recorder has written anew';
REVOKE ALL ON TABLE leakwatch.samples FROM PUBLIC;
GRANT SELECT ON TABLE leakwatch.samples TO pg_monitor;
COMMENT ON TABLE leakwatch.samples IS 'How connections of the server were used, minute by minute, as far as it has been recorded';
COMMENT ON COLUMN leakwatch.samples.minute IS 'When the minute began';
COMMENT ON COLUMN leakwatch.samples.used IS 'Client sessions at its end';
COMMENT ON COLUMN leakwatch.samples.peak IS 'Most sessions at once within it';
COMMENT ON COLUMN leakwatch.samples.idle IS 'Of the sessions at its end, idle outside a transaction';
COMMENT ON COLUMN leakwatch.samples.in_transaction IS 'Of the sessions at its end, idle in a transaction, aborted or not';
COMMENT ON COLUMN leakwatch.samples.leaked IS 'Incidents of sessions open at its end';
COMMENT ON COLUMN leakwatch.samples.rejected IS 'Clients turned away within it by the limit of the server';

CREATE FUNCTION leakwatch.usage(
	OUT minute timestamptz,
	OUT used integer,
	OUT peak integer,
	OUT idle integer,
	OUT in_transaction integer,
	OUT leaked integer,
	OUT rejected integer
)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'leakwatch_usage'
LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
CREATE VIEW leakwatch.usage WITH (security_invoker = true) AS
	WITH recent AS MATERIALIZED (
		SELECT minute, used, peak, idle, in_transaction, leaked, rejected FROM leakwatch.usage()
	)
	SELECT minute, used, peak, idle, in_transaction, leaked, rejected FROM recent
	UNION ALL
	SELECT minute, used, peak, idle, in_transaction, leaked, rejected FROM leakwatch.samples
	WHERE minute OPERATOR(pg_catalog.<) ALL (SELECT minute FROM recent);
REVOKE ALL ON FUNCTION leakwatch.usage() FROM PUBLIC;
REVOKE ALL ON TABLE leakwatch.usage FROM PUBLIC;
GRANT EXECUTE ON FUNCTION leakwatch.usage() TO pg_monitor;
GRANT SELECT ON TABLE leakwatch.usage TO pg_monitor;
COMMENT ON FUNCTION leakwatch.usage() IS 'The minutes that shared memory has: 24 hours, since the server started';
COMMENT ON VIEW leakwatch.usage IS 'How connections of the server were used, minute by minute: those of shared memory, and before them those of the table samples';
COMMENT ON COLUMN leakwatch.usage.minute IS 'When the minute began';
COMMENT ON COLUMN leakwatch.usage.used IS 'Client sessions at its end';
COMMENT ON COLUMN leakwatch.usage.peak IS 'Most sessions at once within it';
COMMENT ON COLUMN leakwatch.usage.idle IS 'Of the sessions at its end, idle outside a transaction';
COMMENT ON COLUMN leakwatch.usage.in_transaction IS 'Of the sessions at its end, idle in a transaction, aborted or not';
COMMENT ON COLUMN leakwatch.usage.leaked IS 'Incidents of sessions open at its end';
COMMENT ON COLUMN leakwatch.usage.rejected IS 'Clients turned away within it by the limit of the server';

CREATE OR REPLACE VIEW leakwatch.applications WITH (security_invoker = true) AS
	SELECT datname, usename, application_name, client_addr,
		pg_catalog.count(*) FILTER (WHERE what OPERATOR(pg_catalog.=) 'session') AS sessions,
		pg_catalog.count(*) FILTER (WHERE state OPERATOR(pg_catalog.=) 'active') AS active,
		pg_catalog.count(*) FILTER (WHERE state OPERATOR(pg_catalog.=) 'idle') AS idle,
		pg_catalog.count(*) FILTER (WHERE state OPERATOR(pg_catalog.~~) 'idle in transaction%') AS idle_in_transaction,
		pg_catalog.count(*) FILTER (WHERE what OPERATOR(pg_catalog.=) 'open') AS open_incidents,
		pg_catalog.count(*) FILTER (WHERE what OPERATOR(pg_catalog.=) 'past') AS past_incidents,
		pg_catalog.max(duration) AS longest,
		pg_catalog.max(since) AS last_since,
		pg_catalog.round(100.0
			OPERATOR(pg_catalog.*) pg_catalog.count(*) FILTER (WHERE what OPERATOR(pg_catalog.=) 'session')
			OPERATOR(pg_catalog./) NULLIF(
				pg_catalog.current_setting('max_connections')::pg_catalog.int4
				OPERATOR(pg_catalog.-) pg_catalog.current_setting('superuser_reserved_connections')::pg_catalog.int4
				OPERATOR(pg_catalog.-) COALESCE(pg_catalog.current_setting('reserved_connections', true)::pg_catalog.int4, 0),
				0), 1) AS share,
		pg_catalog.count(*) FILTER (WHERE what OPERATOR(pg_catalog.=) 'open'
			AND kind OPERATOR(pg_catalog.=) 'suspected_leak') AS suspected
	FROM (
		SELECT 'session' AS what, datname, usename, application_name, client_addr, state,
			NULL::pg_catalog.text AS kind,
			NULL::pg_catalog.interval AS duration, NULL::pg_catalog.timestamptz AS since
		FROM leakwatch.sessions()
		UNION ALL
		SELECT 'open', datname, usename, application_name, client_addr, NULL, kind, duration, since
		FROM leakwatch.leaks()
		UNION ALL
		SELECT 'past', datname, usename, application_name, client_addr, NULL, NULL, duration, since
		FROM leakwatch.incidents
		WHERE outcome OPERATOR(pg_catalog.<>) 'open'
	) AS found
	GROUP BY datname, usename, application_name, client_addr;
COMMENT ON COLUMN leakwatch.applications.share IS 'Percent of the connections that ordinary roles can have, which its sessions take';
COMMENT ON COLUMN leakwatch.applications.suspected IS 'Of its open incidents, sessions suspected of having been forgotten';

--
-- What is measured, for those who watch from outside.
--
CREATE FUNCTION leakwatch.metrics(
	OUT name text,
	OUT type text,
	OUT help text,
	OUT labels jsonb,
	OUT value double precision
)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'leakwatch_metrics'
LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
CREATE VIEW leakwatch.metrics AS
	SELECT name, type, help, labels, value FROM leakwatch.metrics();
CREATE FUNCTION leakwatch.openmetrics(strict boolean DEFAULT false)
RETURNS text
AS 'MODULE_PATHNAME', 'leakwatch_openmetrics'
LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
REVOKE ALL ON FUNCTION leakwatch.metrics() FROM PUBLIC;
REVOKE ALL ON TABLE leakwatch.metrics FROM PUBLIC;
REVOKE ALL ON FUNCTION leakwatch.openmetrics(boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION leakwatch.metrics() TO pg_monitor;
GRANT SELECT ON TABLE leakwatch.metrics TO pg_monitor;
GRANT EXECUTE ON FUNCTION leakwatch.openmetrics(boolean) TO pg_monitor;
COMMENT ON FUNCTION leakwatch.metrics() IS 'The rows of the view metrics';
COMMENT ON FUNCTION leakwatch.openmetrics(boolean) IS 'The view metrics as a text that Prometheus can scrape; strict: as the specification of OpenMetrics names counters';
COMMENT ON VIEW leakwatch.metrics IS 'What is measured, a row for each value: for exporters';
COMMENT ON COLUMN leakwatch.metrics.name IS 'Of the metric, as Prometheus has it';
COMMENT ON COLUMN leakwatch.metrics.type IS 'gauge (goes up and down) or counter (since the server started)';
COMMENT ON COLUMN leakwatch.metrics.help IS 'What is measured';
COMMENT ON COLUMN leakwatch.metrics.labels IS 'What tells the values of a metric apart: kind, outcome, action, rule, state, worker, application, database or role';
COMMENT ON COLUMN leakwatch.metrics.value IS 'What it is now';

--
-- What happened, as a page.  It is read with the rights of the caller.
--
CREATE FUNCTION leakwatch.report(since interval DEFAULT '24 hours')
RETURNS text
AS 'MODULE_PATHNAME', 'leakwatch_report'
LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp
SET jit = off;
REVOKE ALL ON FUNCTION leakwatch.report(interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION leakwatch.report(interval) TO pg_monitor;
COMMENT ON FUNCTION leakwatch.report(interval) IS 'What happened within so long up to now: a page of HTML that needs nothing else';

--
-- Causes: incidents of the same code have the same number.
--
ALTER TABLE leakwatch.incidents ADD COLUMN cause bigint;
CREATE INDEX incidents_cause_idx ON leakwatch.incidents (cause, detected_at)
	INCLUDE (id, outcome, duration, blocked_sessions);
COMMENT ON COLUMN leakwatch.incidents.cause IS 'What it has in common with others of the same code: made from kind, database, application and the statements without their values; NULL: of 0.1.0';
COMMENT ON COLUMN leakwatch.leaks.cause IS 'What it has in common with others of the same code; NULL: not found out yet';

-- A statement without its values, for any text.
CREATE FUNCTION leakwatch.normalized(statement text)
RETURNS text
AS 'MODULE_PATHNAME', 'leakwatch_normalized'
LANGUAGE C STRICT IMMUTABLE PARALLEL SAFE;
REVOKE ALL ON FUNCTION leakwatch.normalized(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION leakwatch.normalized(text) TO pg_monitor;
COMMENT ON FUNCTION leakwatch.normalized(text) IS 'The statement without constants and comments, but with the tags that name code';

-- Written by who resolves a cause, and by nobody else.
CREATE TABLE leakwatch.resolutions (
	cause bigint PRIMARY KEY,
	resolved_at timestamptz NOT NULL,
	resolved_by text NOT NULL,
	note text
);
SELECT pg_catalog.pg_extension_config_dump('leakwatch.resolutions', '');
REVOKE ALL ON TABLE leakwatch.resolutions FROM PUBLIC;
GRANT SELECT ON TABLE leakwatch.resolutions TO pg_monitor;
COMMENT ON TABLE leakwatch.resolutions IS 'Causes that somebody has marked as cured';
COMMENT ON COLUMN leakwatch.resolutions.cause IS 'The cause';
COMMENT ON COLUMN leakwatch.resolutions.resolved_at IS 'When it was last marked so';
COMMENT ON COLUMN leakwatch.resolutions.resolved_by IS 'The role that did';
COMMENT ON COLUMN leakwatch.resolutions.note IS 'What it said about it';

CREATE FUNCTION leakwatch.resolve(cause bigint, note text DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'leakwatch_resolve'
LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
REVOKE ALL ON FUNCTION leakwatch.resolve(bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION leakwatch.resolve(bigint, text) IS 'Marks a cause as cured: it is told when it comes back';

CREATE VIEW leakwatch.causes WITH (security_invoker = true) AS
	SELECT c.cause, n.kind, n.datname, n.application_name,
		(
			SELECT t.tags
			FROM (
				SELECT leakwatch.sqlcommenter_tags(u.statement) AS tags, u.position
				FROM pg_catalog.unnest(s.statements) WITH ORDINALITY AS u (statement, position)
			) AS t
			WHERE t.tags OPERATOR(pg_catalog.<>) '{}'
			ORDER BY t.position DESC LIMIT 1
		) AS tags,
		s.statements,
		c.incidents, c.open, c.first_seen, c.last_seen, c.longest, c.total_duration,
		c.blocked_sessions, c.terminated, c.finished, c.last_incident,
		c.last_day OPERATOR(pg_catalog.-) c.day_before AS trend,
		r.resolved_at, r.note,
		COALESCE(c.last_seen OPERATOR(pg_catalog.>) r.resolved_at, false) AS regressed
	FROM (
		SELECT cause,
			pg_catalog.count(*) AS incidents,
			pg_catalog.count(*) FILTER (WHERE outcome OPERATOR(pg_catalog.=) 'open') AS open,
			pg_catalog.min(detected_at) AS first_seen,
			pg_catalog.max(detected_at) AS last_seen,
			pg_catalog.max(duration) AS longest,
			pg_catalog.sum(duration) AS total_duration,
			pg_catalog.max(blocked_sessions) AS blocked_sessions,
			pg_catalog.count(*) FILTER (WHERE outcome OPERATOR(pg_catalog.=) 'terminated') AS terminated,
			pg_catalog.count(*) FILTER (WHERE outcome OPERATOR(pg_catalog.=) 'finished') AS finished,
			pg_catalog.max(id) AS last_incident,
			pg_catalog.count(*) FILTER (WHERE detected_at OPERATOR(pg_catalog.>)
				(pg_catalog.now() OPERATOR(pg_catalog.-) '1 day'::pg_catalog.interval)) AS last_day,
			pg_catalog.count(*) FILTER (WHERE detected_at OPERATOR(pg_catalog.>)
					(pg_catalog.now() OPERATOR(pg_catalog.-) '2 days'::pg_catalog.interval)
				AND detected_at OPERATOR(pg_catalog.<=)
					(pg_catalog.now() OPERATOR(pg_catalog.-) '1 day'::pg_catalog.interval)) AS day_before
		FROM leakwatch.incidents WHERE cause IS NOT NULL GROUP BY cause
	) AS c
	CROSS JOIN LATERAL (
		SELECT i.kind, i.datname, i.application_name, i.query, i.trail
		FROM leakwatch.incidents AS i
		WHERE i.id OPERATOR(pg_catalog.=) c.last_incident AND i.cause OPERATOR(pg_catalog.=) c.cause
		LIMIT 1
	) AS n
	CROSS JOIN LATERAL (
		SELECT CASE WHEN n.trail IS NULL AND n.query IS NULL THEN NULL
			WHEN n.trail IS NULL THEN ARRAY[leakwatch.normalized(n.query)]
			ELSE ARRAY(
				SELECT leakwatch.normalized(e.statement OPERATOR(pg_catalog.->>) 'query')
				FROM pg_catalog.jsonb_array_elements(n.trail) WITH ORDINALITY AS e (statement, position)
				WHERE e.statement OPERATOR(pg_catalog.?) 'query'
				ORDER BY e.position
			) END AS statements
	) AS s
	LEFT JOIN leakwatch.resolutions AS r ON r.cause OPERATOR(pg_catalog.=) c.cause;
REVOKE ALL ON TABLE leakwatch.causes FROM PUBLIC;
GRANT SELECT ON TABLE leakwatch.causes TO pg_monitor;
COMMENT ON VIEW leakwatch.causes IS 'Incidents that the table has, grouped by the code that caused them';
COMMENT ON COLUMN leakwatch.causes.cause IS 'The cause';
COMMENT ON COLUMN leakwatch.causes.kind IS 'What sessions are over the limit of';
COMMENT ON COLUMN leakwatch.causes.datname IS 'Database they are connected to';
COMMENT ON COLUMN leakwatch.causes.application_name IS 'Name that the application gave itself';
COMMENT ON COLUMN leakwatch.causes.tags IS 'The tags that name code, of the newest statement that has some';
COMMENT ON COLUMN leakwatch.causes.statements IS 'The trail of the last incident without values, oldest first; NULL while leakwatch.capture_query is off';
COMMENT ON COLUMN leakwatch.causes.incidents IS 'How many there are in the table';
COMMENT ON COLUMN leakwatch.causes.open IS 'Of these, open';
COMMENT ON COLUMN leakwatch.causes.first_seen IS 'When the first of these was found';
COMMENT ON COLUMN leakwatch.causes.last_seen IS 'When the last of these was found';
COMMENT ON COLUMN leakwatch.causes.longest IS 'How long the longest has lasted';
COMMENT ON COLUMN leakwatch.causes.total_duration IS 'How long all have lasted together';
COMMENT ON COLUMN leakwatch.causes.blocked_sessions IS 'Most sessions seen waiting for the locks of one of them';
COMMENT ON COLUMN leakwatch.causes.terminated IS 'Of these, terminated by leakwatch';
COMMENT ON COLUMN leakwatch.causes.finished IS 'Of these, gone on by themselves';
COMMENT ON COLUMN leakwatch.causes.last_incident IS 'Number of the last of these';
COMMENT ON COLUMN leakwatch.causes.trend IS 'Found in the last 24 hours, less those of the 24 hours before';
COMMENT ON COLUMN leakwatch.causes.resolved_at IS 'When it was marked as cured; NULL: it was not';
COMMENT ON COLUMN leakwatch.causes.note IS 'What was said about that';
COMMENT ON COLUMN leakwatch.causes.regressed IS 'Whether one was found after it was marked as cured';

--
-- How long transactions lasted, and sessions were idle in them.
--
CREATE TABLE leakwatch.spells (
	hour timestamptz NOT NULL,
	datname text NOT NULL,
	usename text NOT NULL,
	application_name text NOT NULL,
	others boolean NOT NULL,
	kind text NOT NULL,
	counts bigint[] NOT NULL,
	longest interval NOT NULL,
	PRIMARY KEY (hour, datname, usename, application_name, others, kind)
);
SELECT pg_catalog.pg_extension_config_dump('leakwatch.spells', '');
CREATE TRIGGER keep_recorded BEFORE INSERT ON leakwatch.spells
	FOR EACH ROW EXECUTE FUNCTION leakwatch.keep_recorded();
COMMENT ON TRIGGER keep_recorded ON leakwatch.spells IS 'Leaves out restored rows that the recorder has written anew';
REVOKE ALL ON TABLE leakwatch.spells FROM PUBLIC;
GRANT SELECT ON TABLE leakwatch.spells TO pg_monitor;
COMMENT ON TABLE leakwatch.spells IS 'How many transactions lasted how long, and how many times sessions were idle in them for how long, by the hour and application, as far as it has been recorded';
COMMENT ON COLUMN leakwatch.spells.hour IS 'When the hour began in which they were recorded';
COMMENT ON COLUMN leakwatch.spells.datname IS 'Database; empty for all that there was no room for';
COMMENT ON COLUMN leakwatch.spells.usename IS 'Role; empty for all that there was no room for';
COMMENT ON COLUMN leakwatch.spells.application_name IS 'Name of the application';
COMMENT ON COLUMN leakwatch.spells.others IS 'Whether it is of all applications that there was no room for';
COMMENT ON COLUMN leakwatch.spells.kind IS 'What was counted: idle_in_transaction or transaction';
COMMENT ON COLUMN leakwatch.spells.counts IS 'How many took less than 1 ms, less than 2 ms, less than 4 ms and so on';
COMMENT ON COLUMN leakwatch.spells.longest IS 'How long the longest took';

CREATE FUNCTION leakwatch.spells(
	OUT datname text,
	OUT usename text,
	OUT application_name text,
	OUT others boolean,
	OUT kind text,
	OUT counts bigint[],
	OUT longest interval
)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'leakwatch_spells'
LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
REVOKE ALL ON FUNCTION leakwatch.spells() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION leakwatch.spells() TO pg_monitor;
COMMENT ON FUNCTION leakwatch.spells() IS 'What shared memory has counted and the table spells has not got yet';

CREATE FUNCTION leakwatch.add_counts(bigint[], bigint[])
RETURNS bigint[]
AS 'MODULE_PATHNAME', 'leakwatch_add_counts'
LANGUAGE C STRICT IMMUTABLE PARALLEL SAFE;
CREATE AGGREGATE leakwatch.sum_counts(bigint[]) (
	SFUNC = leakwatch.add_counts,
	STYPE = bigint[],
	COMBINEFUNC = leakwatch.add_counts,
	PARALLEL = SAFE
);
REVOKE ALL ON FUNCTION leakwatch.add_counts(bigint[], bigint[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION leakwatch.sum_counts(bigint[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION leakwatch.add_counts(bigint[], bigint[]) TO pg_monitor;
GRANT EXECUTE ON FUNCTION leakwatch.sum_counts(bigint[]) TO pg_monitor;
COMMENT ON FUNCTION leakwatch.add_counts(bigint[], bigint[]) IS 'The counts of two rows of spells together';
COMMENT ON AGGREGATE leakwatch.sum_counts(bigint[]) IS 'The counts of some rows of spells together';

CREATE FUNCTION leakwatch.spell_quantile(counts bigint[], fraction double precision)
RETURNS interval
AS 'MODULE_PATHNAME', 'leakwatch_spell_quantile'
LANGUAGE C STRICT IMMUTABLE PARALLEL SAFE;
REVOKE ALL ON FUNCTION leakwatch.spell_quantile(bigint[], double precision) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION leakwatch.spell_quantile(bigint[], double precision) TO pg_monitor;
COMMENT ON FUNCTION leakwatch.spell_quantile(bigint[], double precision) IS 'The duration that this fraction of some spells does not exceed';

CREATE FUNCTION leakwatch.spells_over(counts bigint[], "limit" interval)
RETURNS bigint
AS 'MODULE_PATHNAME', 'leakwatch_spells_over'
LANGUAGE C STRICT IMMUTABLE PARALLEL SAFE;
REVOKE ALL ON FUNCTION leakwatch.spells_over(bigint[], interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION leakwatch.spells_over(bigint[], interval) TO pg_monitor;
COMMENT ON FUNCTION leakwatch.spells_over(bigint[], interval) IS 'How many of some spells lasted for so long or longer';

CREATE FUNCTION leakwatch.spell_kind(kind text)
RETURNS text
AS 'MODULE_PATHNAME', 'leakwatch_spell_kind'
LANGUAGE C STRICT STABLE PARALLEL SAFE;
REVOKE ALL ON FUNCTION leakwatch.spell_kind(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION leakwatch.spell_kind(text) TO pg_monitor;
COMMENT ON FUNCTION leakwatch.spell_kind(text) IS 'The name of a kind that spells are counted for, and an error for any other';

CREATE FUNCTION leakwatch.server_limit(kind text, terminates boolean)
RETURNS interval
AS 'MODULE_PATHNAME', 'leakwatch_server_limit'
LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
REVOKE ALL ON FUNCTION leakwatch.server_limit(text, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION leakwatch.server_limit(text, boolean) TO pg_monitor;
COMMENT ON FUNCTION leakwatch.server_limit(text, boolean) IS 'The limit of a kind that the server sets for all; NULL: off';

CREATE FUNCTION leakwatch.unfinished(since timestamptz,
	OUT datname text, OUT usename text, OUT application_name text, OUT kind text, OUT duration interval)
RETURNS SETOF record
LANGUAGE sql VOLATILE PARALLEL RESTRICTED SET search_path = pg_catalog, pg_temp
AS $$
	WITH unfinished AS (
		SELECT datname, usename, application_name, kind, pid, backend_start, duration FROM leakwatch.incidents
		WHERE ended_at >= $1 AND outcome NOT IN ('open', 'finished')
			AND kind IN ('idle_in_transaction', 'waiting_for_client', 'transaction')
		UNION ALL
		SELECT datname, usename, application_name, kind, pid, backend_start, duration FROM leakwatch.leaks()
		WHERE kind IN ('idle_in_transaction', 'waiting_for_client', 'transaction')
	), named AS (
		SELECT coalesce(datname, '') AS datname, coalesce(usename, '') AS usename,
			coalesce(application_name, '') AS application_name, kind, pid, backend_start, duration
		FROM unfinished
	)
	SELECT datname, usename, application_name, kind, duration FROM named WHERE kind = 'idle_in_transaction'
	UNION ALL
	SELECT datname, usename, application_name, 'transaction', max(duration) FROM named
	GROUP BY pid, backend_start, datname, usename, application_name
$$;
REVOKE ALL ON FUNCTION leakwatch.unfinished(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION leakwatch.unfinished(timestamptz) TO pg_monitor;
COMMENT ON FUNCTION leakwatch.unfinished(timestamptz) IS 'Transactions, and idle spells in them, that were reported since then and have not gone on by themselves: open ones, and those that ended with their session';

CREATE FUNCTION leakwatch.what_if(kind text, "limit" interval, since timestamptz DEFAULT NULL,
	OUT observed bigint, OUT would_end bigint, OUT went_on bigint)
LANGUAGE sql VOLATILE PARALLEL RESTRICTED SET search_path = pg_catalog, pg_temp
AS $$
	WITH asked AS (
		SELECT leakwatch.spell_kind($1) AS kind, coalesce($3, now() - '7 days'::interval) AS since
	), counted AS (
		SELECT s.counts, s.longest FROM leakwatch.spells AS s, asked AS a
		WHERE s.kind = a.kind AND s.hour >= date_trunc('hour', a.since, 'UTC')
		UNION ALL
		SELECT s.counts, s.longest FROM leakwatch.spells() AS s, asked AS a WHERE s.kind = a.kind
	), summed AS (
		SELECT leakwatch.sum_counts(counts) AS counts, max(longest) AS longest FROM counted
	), went AS (
		SELECT coalesce((SELECT sum(n) FROM unnest(counts) AS n), 0)::bigint AS observed,
			CASE WHEN longest >= $2 THEN leakwatch.spells_over(counts, $2) ELSE 0 END AS went_on
		FROM summed
	), stayed AS (
		SELECT count(*) AS n FROM asked AS a, leakwatch.unfinished(a.since) AS u
		WHERE u.kind = a.kind AND u.duration >= $2
	)
	SELECT observed + n, went_on + n, went_on FROM went, stayed
$$;
REVOKE ALL ON FUNCTION leakwatch.what_if(text, interval, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION leakwatch.what_if(text, interval, timestamptz) TO pg_monitor;
COMMENT ON FUNCTION leakwatch.what_if(text, interval, timestamptz) IS 'How many sessions a terminate limit would have ended since then (by default in the last week), and how many of these went on by themselves';

CREATE FUNCTION leakwatch.setting_limit(value text)
RETURNS interval
AS 'MODULE_PATHNAME', 'leakwatch_setting_limit'
LANGUAGE C STRICT IMMUTABLE PARALLEL SAFE;
REVOKE ALL ON FUNCTION leakwatch.setting_limit(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION leakwatch.setting_limit(text) TO pg_monitor;
COMMENT ON FUNCTION leakwatch.setting_limit(text) IS 'The limit that the value of a setting stands for, in milliseconds without a unit; NULL: none';

CREATE FUNCTION leakwatch.limit_of(datname text, usename text, kind text, terminates boolean)
RETURNS interval
LANGUAGE sql VOLATILE PARALLEL RESTRICTED SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce((
		SELECT leakwatch.setting_limit(c.value)
		FROM pg_db_role_setting AS s
			LEFT JOIN pg_database AS d ON d.oid = s.setdatabase
			LEFT JOIN pg_roles AS r ON r.oid = s.setrole,
			LATERAL (SELECT substr(e, strpos(e, '=') + 1) AS value FROM unnest(s.setconfig) AS e
				WHERE split_part(e, '=', 1) = 'leakwatch.' || $3 || CASE WHEN $4 THEN '_terminate' ELSE '_warn' END) AS c
		WHERE (s.setdatabase = 0 OR d.datname = $1) AND (s.setrole = 0 OR r.rolname = $2)
		ORDER BY s.setrole <> 0 DESC, s.setdatabase <> 0 DESC LIMIT 1
	), leakwatch.server_limit($3, $4))
$$;
REVOKE ALL ON FUNCTION leakwatch.limit_of(text, text, text, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION leakwatch.limit_of(text, text, text, boolean) TO pg_monitor;
COMMENT ON FUNCTION leakwatch.limit_of(text, text, text, boolean) IS 'The limit of a kind that is in force for a role in a database, as server, database and role set it; NULL or 0: off';

CREATE VIEW leakwatch.advice WITH (security_invoker = true) AS
	WITH counted AS MATERIALIZED (
		SELECT datname, usename, application_name, others, kind, counts, longest FROM leakwatch.spells()
		UNION ALL
		SELECT datname, usename, application_name, others, kind, counts, longest FROM leakwatch.spells
		WHERE hour OPERATOR(pg_catalog.>=) pg_catalog.date_trunc('hour',
			pg_catalog.now() OPERATOR(pg_catalog.-) '7 days'::pg_catalog.interval, 'UTC')
	), summed AS (
		-- of a role in a database as a whole, its name is empty; NULL: not to be told apart
		SELECT datname, usename, GROUPING(application_name, others) OPERATOR(pg_catalog.=) 0 AS is_application,
			CASE WHEN GROUPING(application_name, others) OPERATOR(pg_catalog.<>) 0 THEN ''
				WHEN NOT others THEN application_name END AS name, kind,
			leakwatch.sum_counts(counts) AS counts, pg_catalog.max(longest) AS longest
		FROM counted WHERE datname OPERATOR(pg_catalog.<>) ''
		GROUP BY GROUPING SETS ((datname, usename, kind), (datname, usename, application_name, others, kind))
	), told AS MATERIALIZED (
		SELECT s.*,
			(SELECT pg_catalog.sum(n)::pg_catalog.int8 FROM pg_catalog.unnest(counts) AS n) AS observed,
			leakwatch.spell_quantile(counts, 0.5) AS p50,
			leakwatch.spell_quantile(counts, 0.99) AS p99,
			LEAST(leakwatch.spell_quantile(counts, 0.999), longest) AS p999,
			w.value AS warn_limit, CASE WHEN longest OPERATOR(pg_catalog.>=) w.value
				THEN leakwatch.spells_over(counts, w.value) ELSE 0 END AS warn_went_on,
			t.value AS terminate_limit, CASE WHEN longest OPERATOR(pg_catalog.>=) t.value
				THEN leakwatch.spells_over(counts, t.value) ELSE 0 END AS terminate_went_on
		FROM summed AS s
			CROSS JOIN LATERAL NULLIF(leakwatch.limit_of(s.datname, s.usename, s.kind, false), '0'::pg_catalog.interval) AS w (value)
			CROSS JOIN LATERAL NULLIF(leakwatch.limit_of(s.datname, s.usename, s.kind, true), '0'::pg_catalog.interval) AS t (value)
	), stayed AS (
		SELECT t.datname, t.usename, t.is_application, t.name, t.kind,
			pg_catalog.count(*) FILTER (WHERE u.duration OPERATOR(pg_catalog.>=) t.warn_limit) AS warn,
			pg_catalog.count(*) FILTER (WHERE u.duration OPERATOR(pg_catalog.>=) t.terminate_limit) AS terminate
		FROM leakwatch.unfinished(pg_catalog.now() OPERATOR(pg_catalog.-) '7 days'::pg_catalog.interval) AS u
			CROSS JOIN LATERAL (VALUES (true, application_name), (false, '')) AS a (is_application, name)
			JOIN told AS t ON u.datname OPERATOR(pg_catalog.=) t.datname AND u.usename OPERATOR(pg_catalog.=) t.usename
				AND u.kind OPERATOR(pg_catalog.=) t.kind AND a.is_application OPERATOR(pg_catalog.=) t.is_application
				AND a.name OPERATOR(pg_catalog.=) t.name
		GROUP BY t.datname, t.usename, t.is_application, t.name, t.kind
	)
	SELECT CASE WHEN t.is_application THEN 'application' ELSE 'role in database' END AS scope,
		t.datname, t.usename, CASE WHEN t.is_application THEN t.name END AS application_name, t.kind,
		observed, p50, p99, p999, longest, warn_limit, terminate_limit,
		CASE WHEN warn_limit IS NOT NULL THEN warn_went_on OPERATOR(pg_catalog.+) COALESCE(s.warn, 0) END AS met_warn,
		CASE WHEN warn_limit IS NOT NULL THEN warn_went_on END AS met_warn_went_on,
		CASE WHEN terminate_limit IS NOT NULL THEN terminate_went_on OPERATOR(pg_catalog.+) COALESCE(s.terminate, 0) END AS met_terminate,
		CASE WHEN terminate_limit IS NOT NULL THEN terminate_went_on END AS met_terminate_went_on,
		suggested,
		CASE WHEN NOT t.is_application AND suggested IS NOT NULL THEN
			pg_catalog.format('ALTER ROLE %I IN DATABASE %I SET leakwatch.%s_terminate = %L', t.usename, t.datname, t.kind,
				pg_catalog.concat(pg_catalog.extract('epoch', suggested)::pg_catalog.int8, 's')) END AS sql
	FROM told AS t
		LEFT JOIN stayed AS s ON s.datname OPERATOR(pg_catalog.=) t.datname AND s.usename OPERATOR(pg_catalog.=) t.usename
			AND s.is_application OPERATOR(pg_catalog.=) t.is_application AND s.name OPERATOR(pg_catalog.=) t.name
			AND s.kind OPERATOR(pg_catalog.=) t.kind
		CROSS JOIN LATERAL (SELECT pg_catalog.min(step) FROM pg_catalog.unnest(
				'{10s,15s,30s,1min,2min,5min,10min,15min,30min,1h,2h,6h,12h,1d}'::pg_catalog.interval[]) AS step
			WHERE observed OPERATOR(pg_catalog.>=) 1000
				AND step OPERATOR(pg_catalog.>=) (p999 OPERATOR(pg_catalog.*) 2::pg_catalog.float8)) AS l (suggested);
REVOKE ALL ON TABLE leakwatch.advice FROM PUBLIC;
GRANT SELECT ON TABLE leakwatch.advice TO pg_monitor;
COMMENT ON VIEW leakwatch.advice IS 'What limits would have met in the last week, by role and application, and a suggestion';
COMMENT ON COLUMN leakwatch.advice.scope IS 'Whom the row is of: application, or role in database for all of its applications together, for which limits can be set';
COMMENT ON COLUMN leakwatch.advice.datname IS 'Database';
COMMENT ON COLUMN leakwatch.advice.usename IS 'Role';
COMMENT ON COLUMN leakwatch.advice.application_name IS 'Name of the application; NULL: of all, or of those that there was no room for';
COMMENT ON COLUMN leakwatch.advice.kind IS 'What was counted: idle_in_transaction or transaction';
COMMENT ON COLUMN leakwatch.advice.observed IS 'How many there were in the last week, as far as it is recorded';
COMMENT ON COLUMN leakwatch.advice.p50 IS 'Half of them took no longer, to a factor of two';
COMMENT ON COLUMN leakwatch.advice.p99 IS '99 percent of them took no longer';
COMMENT ON COLUMN leakwatch.advice.p999 IS '99.9 percent of them took no longer';
COMMENT ON COLUMN leakwatch.advice.longest IS 'How long the longest took';
COMMENT ON COLUMN leakwatch.advice.warn_limit IS 'Warn limit in force; NULL: off';
COMMENT ON COLUMN leakwatch.advice.terminate_limit IS 'Terminate limit in force; NULL: off';
COMMENT ON COLUMN leakwatch.advice.met_warn IS 'How many met the warn limit, or would have; NULL: there is none';
COMMENT ON COLUMN leakwatch.advice.met_warn_went_on IS 'How many of these went on by themselves';
COMMENT ON COLUMN leakwatch.advice.met_terminate IS 'How many met the terminate limit, or would have; NULL: there is none';
COMMENT ON COLUMN leakwatch.advice.met_terminate_went_on IS 'How many of these went on by themselves';
COMMENT ON COLUMN leakwatch.advice.suggested IS 'A terminate limit of twice p999, rounded up; NULL: fewer than 1,000 were observed';
COMMENT ON COLUMN leakwatch.advice.sql IS 'The statement that sets it; it terminates only where leakwatch.mode is enforce';
