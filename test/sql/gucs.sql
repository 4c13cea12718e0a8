-- The settings: what they are, what they refuse, and where a session's own show
SET client_min_messages = warning;
CREATE EXTENSION leakwatch;

SELECT name, vartype, unit, context, boot_val, min_val, max_val, enumvals
  FROM pg_settings WHERE name LIKE 'leakwatch.%' ORDER BY name COLLATE "C";
\pset format unaligned
\pset tuples_only on
SELECT concat_ws(E'\n    ', name, short_desc, extra_desc)
  FROM pg_settings WHERE name LIKE 'leakwatch.%' ORDER BY name COLLATE "C";
\pset tuples_only off
\pset format aligned

--
-- Values of a session that are refused: for each why, and that the one before
-- stays in force.
--
CREATE FUNCTION refused(name text, value text, OUT code text, OUT why text, OUT kept boolean)
LANGUAGE plpgsql AS $$
DECLARE
  before text := current_setting(name);
  message text;
  detail text;
  hint text;
BEGIN
  PERFORM set_config(name, value, false);
  code := 'accepted';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
    detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  -- the message where it has to say all; versions write its range differently
  why := coalesce(nullif(detail, ''), nullif(hint, ''), regexp_replace(message, ' \(.*', ''));
  kept := current_setting(name) = before;
END
$$;
SET leakwatch.mode = 'enforce';
SET leakwatch.idle_in_transaction_warn = '7min';
SET leakwatch.session_terminate = '9h';
SELECT v.name, v.value, r.*
  FROM (VALUES ('mode', 'on'), ('mode', ''), ('mode', 'observe, enforce'),
               ('idle_in_transaction_warn', 'soon'), ('idle_in_transaction_warn', ''),
               ('idle_in_transaction_warn', '5 weeks'), ('idle_in_transaction_warn', '1 min 30 s'),
               ('idle_in_transaction_warn', '9ms'), ('idle_in_transaction_warn', '-1'),
               ('idle_in_transaction_warn', '25d'), ('idle_in_transaction_terminate', '1'),
               ('aborted_transaction_warn', '1min,'), ('aborted_transaction_terminate', '9'),
               ('transaction_warn', '0.6 ms'), ('transaction_terminate', 'NaN'),
               ('idle_session_warn', 'off'), ('idle_session_terminate', '2147483648'),
               ('session_warn', '10 MB'), ('session_terminate', '5')) AS v (name, value),
    LATERAL refused('leakwatch.' || v.name, v.value) AS r;

-- The shortest limit, the longest, and off; rounded to a ms before judged.
-- it would say how long this session has been connected
SET leakwatch.warn_client = off;
SELECT set_config('leakwatch.session_terminate', value, false)
  FROM (VALUES ('10ms'), ('2147483647'), ('0'), ('1us')) AS v (value);
RESET leakwatch.mode;
RESET leakwatch.idle_in_transaction_warn;
RESET leakwatch.session_terminate;

-- The prefix is reserved: a name that is misspelt is an error.
SET leakwatch.foo = 1;
SET leakwatch.idle_in_transaction_wran = '1min';

--
-- Settings of the server, of which nothing but bad values is set here.
--
SET leakwatch.database = 'elsewhere';
SET leakwatch.max_incidents = 1;

ALTER SYSTEM SET leakwatch.database = '';
ALTER SYSTEM SET leakwatch.database = 'a_name_of_64_bytes_which_is_one_more_than_a_name_in_a_catalog_has';
ALTER SYSTEM SET leakwatch.notify_channel = 'a_name_of_64_bytes_which_is_one_more_than_the_name_of_a_channel_';
ALTER SYSTEM SET leakwatch.notify_channel = 'leaks, others';
ALTER SYSTEM SET leakwatch.notify_channel = E'l\tk';
ALTER SYSTEM SET leakwatch.terminate_when = 'never';
ALTER SYSTEM SET leakwatch.terminate_when = '';
ALTER SYSTEM SET leakwatch.terminate_superusers = 'maybe';
ALTER SYSTEM SET leakwatch.terminate_active = 2;
ALTER SYSTEM SET leakwatch.capture_query = 'sometimes';
ALTER SYSTEM SET leakwatch.log_level = 'error';
ALTER SYSTEM SET leakwatch.log_level = 'loud';
ALTER SYSTEM SET leakwatch.scan_interval = '1 fortnight';
ALTER SYSTEM SET leakwatch.log_repeat = 'often';
ALTER SYSTEM SET leakwatch.retention = '1 year';
ALTER SYSTEM SET leakwatch.max_terminations_per_minute = '5min';
ALTER SYSTEM SET leakwatch.log_burst = 'all';
ALTER SYSTEM SET leakwatch.max_incidents = 'plenty';

ALTER SYSTEM SET leakwatch.protected_applications = 'pg_dump*,,psql';
ALTER SYSTEM SET leakwatch.protected_applications = 'pg_dump*,';
ALTER SYSTEM SET leakwatch.protected_applications = 'pg_dump*, ""';
ALTER SYSTEM SET leakwatch.protected_applications = 'pg_dump* psql';
ALTER SYSTEM SET leakwatch.protected_applications = '"pg_dump*';
ALTER SYSTEM SET leakwatch.protected_applications = E'"tab\tbed"';
ALTER SYSTEM SET leakwatch.protected_applications = 'psql, an_application_whose_name_has_64_bytes_though_the_server_keeps_63';

ALTER SYSTEM SET leakwatch.protected_addresses = '10.0.0.0/8, localhost';
ALTER SYSTEM SET leakwatch.protected_addresses = '10.0.0.256';
ALTER SYSTEM SET leakwatch.protected_addresses = '10.0.0.0/33';
ALTER SYSTEM SET leakwatch.protected_addresses = '10.0.0.0/';
ALTER SYSTEM SET leakwatch.protected_addresses = '10.0.0.0/-1';
ALTER SYSTEM SET leakwatch.protected_addresses = '10.0.0.0/8x';
ALTER SYSTEM SET leakwatch.protected_addresses = '10.0.0.1/8';
ALTER SYSTEM SET leakwatch.protected_addresses = 'fe80::/129';
ALTER SYSTEM SET leakwatch.protected_addresses = 'fe80::1/64';
ALTER SYSTEM SET leakwatch.protected_addresses = '/8';
ALTER SYSTEM SET leakwatch.protected_addresses = '10.0.0.0/8,,::1';
ALTER SYSTEM SET leakwatch.protected_addresses = '*';
ALTER SYSTEM SET leakwatch.protected_addresses = '10.0.0.1, 10';
ALTER SYSTEM SET leakwatch.protected_addresses = '10.1';
ALTER SYSTEM SET leakwatch.protected_addresses = '10.1.2';
ALTER SYSTEM SET leakwatch.protected_addresses = '10/8';
ALTER SYSTEM SET leakwatch.protected_addresses = '010.0.0.1';
ALTER SYSTEM SET leakwatch.protected_addresses = '0x0a.0.0.1';
ALTER SYSTEM SET leakwatch.protected_addresses = '00000000000000000000000000000000000000000000000000';
ALTER SYSTEM SET leakwatch.protected_addresses = 'fe80::1%lo';

-- Out of range: the words differ between versions.
\set VERBOSITY sqlstate
ALTER SYSTEM SET leakwatch.scan_interval = '49ms';
ALTER SYSTEM SET leakwatch.scan_interval = '61min';
ALTER SYSTEM SET leakwatch.max_terminations_per_minute = -1;
ALTER SYSTEM SET leakwatch.log_repeat = -1;
ALTER SYSTEM SET leakwatch.log_burst = -1;
ALTER SYSTEM SET leakwatch.retention = '-1d';
ALTER SYSTEM SET leakwatch.max_incidents = 1000001;
\set VERBOSITY default

-- None has got into postgresql.auto.conf.
SELECT name, setting FROM pg_file_settings
  WHERE name LIKE 'leakwatch.%' AND sourcefile LIKE '%/postgresql.auto.conf';

--
-- What a session sets shows in the view sessions, with where it comes from.
--
CREATE TEMP VIEW own AS
  SELECT mode, mode_source,
         transaction_warn AS warn, transaction_warn_source AS warn_source,
         session_terminate AS terminate, session_terminate_source AS terminate_source
    FROM leakwatch.sessions WHERE pid = pg_backend_pid();
SELECT leakwatch.scan();
TABLE own;
SET leakwatch.mode = 'off';
SET leakwatch.transaction_warn = '90s';
SET leakwatch.session_terminate = '12h';
TABLE own;
BEGIN;
SET LOCAL leakwatch.transaction_warn = '2min';
SET LOCAL leakwatch.session_terminate = 0;
TABLE own;
SAVEPOINT s;
SET leakwatch.transaction_warn = '3min';
TABLE own;
ROLLBACK TO s;
TABLE own;
COMMIT;
TABLE own;
BEGIN;
SET leakwatch.mode = 'enforce';
ROLLBACK;
TABLE own;
RESET leakwatch.mode;
RESET leakwatch.transaction_warn;
TABLE own;
DISCARD ALL;
SELECT mode_source, transaction_warn_source, session_terminate_source
  FROM leakwatch.sessions WHERE pid = pg_backend_pid();

-- An ordinary role sets nothing but what it was granted.
CREATE ROLE regress_leakwatch_app;
GRANT SET ON PARAMETER leakwatch.transaction_warn TO regress_leakwatch_app;
SET ROLE regress_leakwatch_app;
SELECT r.code, count(*)
  FROM pg_settings AS s, LATERAL refused(s.name, '1d') AS r
  WHERE s.name LIKE 'leakwatch.%' AND s.name <> 'leakwatch.transaction_warn' AND s.context = 'superuser'
  GROUP BY 1;
SET leakwatch.mode = 'off';
SET leakwatch.session_warn = 0;
SET leakwatch.transaction_warn = '1d';
SHOW leakwatch.transaction_warn;
ALTER SYSTEM SET leakwatch.mode = 'off';
RESET ROLE;
RESET leakwatch.transaction_warn;
REVOKE SET ON PARAMETER leakwatch.transaction_warn FROM regress_leakwatch_app;
DROP ROLE regress_leakwatch_app;

DROP FUNCTION refused;
DROP EXTENSION leakwatch;
