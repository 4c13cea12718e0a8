-- The views and the table: their columns, a session's own row, who sees what
SET client_min_messages = warning;
CREATE EXTENSION leakwatch;

-- What other programs rely on.
SELECT c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull
  FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
  WHERE c.relnamespace = 'leakwatch'::regnamespace AND c.relkind IN ('r', 'v') AND a.attnum > 0
  ORDER BY c.relname COLLATE "C", a.attnum;
SELECT pg_get_constraintdef(oid) FROM pg_constraint
  WHERE conrelid = 'leakwatch.incidents'::regclass AND contype IN ('p', 'u') ORDER BY contype;

-- After a scan the watcher is there and well.  Of the recorder nothing is known:
-- its database may lack the extension, and it may have found that out by now.
SELECT leakwatch.scan();
SELECT health ~ '^(ok|incidents are not recorded .*)$' AS health,
       watcher_pid IS NOT NULL AS watcher, watcher_started_at <= last_scan_at AS started,
       last_scan_at <= clock_timestamp() AS scanned, scans > 0 AS scans,
       last_scan_time BETWEEN '0' AND total_scan_time AS scan_time, sessions > 0 AS sessions, room > 0 AS room,
       num_nulls(open, pending, written, dropped, reported, finished, announced, terminated,
                 held_superuser, held_active, held_application, held_address, held_not_blocking, held_brake,
                 spared, failed, clock_jumps) AS nulls
  FROM leakwatch.status;
SELECT count(*) FROM leakwatch.status;

-- scan() scans: the counter moves at once.
SELECT scans AS before FROM leakwatch.status \gset
SELECT leakwatch.scan();
SELECT scans > :before AS scanned FROM leakwatch.status;

-- Workers are there, but no client sessions.
SELECT a.backend_type, count(s.pid)
  FROM pg_stat_activity AS a LEFT JOIN leakwatch.sessions AS s USING (pid)
  WHERE a.backend_type IN ('checkpointer', 'leakwatch watcher') GROUP BY 1 ORDER BY 1;

--
-- The own session, with no limit but its own.
--
SELECT set_config(name, '0', false) IS NULL AS failed
  FROM pg_settings WHERE name ~ '^leakwatch\..*_(warn|terminate)$' AND context = 'superuser' GROUP BY 1;
SET leakwatch.mode = 'observe';
SELECT s.backend_start = a.backend_start AS backend_start, s.datname = a.datname AS datname,
       s.usename = a.usename AS usename, s.application_name = a.application_name AS application_name,
       s.client_addr IS NOT DISTINCT FROM a.client_addr AS client_addr,
       s.client_port IS NOT DISTINCT FROM a.client_port AS client_port, s.state, s.listening,
       s.state_age BETWEEN '0' AND s.session_age AS state_age,
       s.transaction_age BETWEEN '0' AND s.session_age AS transaction_age,
       s.next_action, s.next_action_kind, s.next_action_at
  FROM leakwatch.sessions AS s JOIN pg_stat_activity AS a USING (pid)
  WHERE s.pid = pg_backend_pid();

LISTEN regress_leakwatch;
SELECT listening FROM leakwatch.sessions WHERE pid = pg_backend_pid();
UNLISTEN *;
SELECT listening FROM leakwatch.sessions WHERE pid = pg_backend_pid();

-- What happens to it next, and what would not let it.
CREATE TEMP VIEW next AS
  SELECT mode, protected_by, next_action, next_action_kind, next_action_at - now() AS in_transaction_for
    FROM leakwatch.sessions WHERE pid = pg_backend_pid();
SET leakwatch.transaction_warn = '2h';
TABLE next;
SET leakwatch.transaction_terminate = '1h';
TABLE next;
SET leakwatch.mode = 'enforce';
TABLE next;
SET leakwatch.mode = 'off';
TABLE next;
RESET leakwatch.transaction_warn;
RESET leakwatch.transaction_terminate;
SET leakwatch.mode = 'observe';

--
-- A leak, which is this session: connected for 10 ms.
--
CREATE TEMP VIEW own_leak AS
  SELECT kind, datname = current_database() AS datname, usename = session_user AS usename,
         application_name, num_nulls(client_port, state) AS hidden, duration >= warn_limit AS duration,
         warn_limit, terminate_limit, action, blocked_sessions,
         query = '<insufficient privilege>' AS query_hidden
    FROM leakwatch.leaks WHERE pid = pg_backend_pid();
CREATE TEMP VIEW own_session AS
  SELECT backend_start IS NOT NULL AS backend_start, datname = current_database() AS datname,
         usename = session_user AS usename,
         num_nonnulls(application_name, client_addr, client_port, state, listening, state_age,
           transaction_age, session_age, mode, mode_source, transaction_warn_source,
           protected_by, next_action, next_action_kind, next_action_at) > 0 AS others
    FROM leakwatch.sessions WHERE pid = pg_backend_pid();
-- it would say how long
SET leakwatch.warn_client = off;
SET leakwatch.session_warn = '10ms';
SELECT pg_sleep(0.01);
SELECT leakwatch.scan();
TABLE own_leak;

-- A role without rights can do nothing.
CREATE ROLE regress_leakwatch_nobody;
SET ROLE regress_leakwatch_nobody;
TABLE leakwatch.leaks;
TABLE leakwatch.incidents;
SELECT leakwatch.scan();
RESET ROLE;
GRANT USAGE ON SCHEMA leakwatch TO regress_leakwatch_nobody;
SET ROLE regress_leakwatch_nobody;
TABLE leakwatch.leaks;
TABLE leakwatch.sessions;
TABLE leakwatch.status;
TABLE leakwatch.incidents;
SELECT leakwatch.leaks();
SELECT leakwatch.sessions();
SELECT leakwatch.status();
SELECT leakwatch.scan();
SELECT nextval('leakwatch.incidents_id_seq');
INSERT INTO leakwatch.incidents DEFAULT VALUES;
UPDATE leakwatch.incidents SET outcome = 'open';
DELETE FROM leakwatch.incidents;
TRUNCATE leakwatch.incidents;
CREATE TABLE leakwatch.mine ();
RESET ROLE;

-- One that may read the views sees of others' sessions what it would see in
-- pg_stat_activity: that they are there.
GRANT SELECT ON leakwatch.leaks, leakwatch.sessions TO regress_leakwatch_nobody;
GRANT EXECUTE ON FUNCTION leakwatch.leaks(), leakwatch.sessions() TO regress_leakwatch_nobody;
GRANT SELECT ON own_leak, own_session TO regress_leakwatch_nobody;
TABLE own_session;
SET ROLE regress_leakwatch_nobody;
SELECT application_name, client_addr, client_port, state, query
  FROM leakwatch.leaks WHERE pid = pg_backend_pid();
TABLE own_leak;
TABLE own_session;
RESET ROLE;

-- A member of pg_monitor reads all, and writes nothing.
REVOKE ALL ON own_leak, own_session, leakwatch.leaks, leakwatch.sessions FROM regress_leakwatch_nobody;
DROP OWNED BY regress_leakwatch_nobody;
GRANT pg_monitor TO regress_leakwatch_nobody;
GRANT SELECT ON own_leak, own_session TO regress_leakwatch_nobody;
SET ROLE regress_leakwatch_nobody;
TABLE own_leak;
TABLE own_session;
SELECT count(*) FROM leakwatch.status;
SELECT count(*) FROM leakwatch.incidents;
SELECT leakwatch.scan();
DELETE FROM leakwatch.incidents;
RESET ROLE;

-- Off again, it is no leak any more.
SET leakwatch.session_warn = 0;
SELECT leakwatch.scan();
TABLE own_leak;

DROP OWNED BY regress_leakwatch_nobody;
DROP ROLE regress_leakwatch_nobody;
DROP EXTENSION leakwatch CASCADE;
