-- The history that scripts/demo.d/day makes up: a day up to now, of a shop whose
-- checkout leaks now and then, and badly in its twelfth hour.
SET client_min_messages = warning;
CREATE EXTENSION leakwatch;
CREATE ROLE web LOGIN;
CREATE ROLE reports LOGIN;
CREATE ROLE billing LOGIN;
GRANT SET ON PARAMETER leakwatch.idle_in_transaction_warn TO web, reports;
ALTER ROLE web SET leakwatch.mode = 'enforce';
ALTER ROLE web SET leakwatch.idle_in_transaction_terminate = '5min';
ALTER ROLE reports SET leakwatch.transaction_warn = '1h';
CREATE DATABASE shop;
\connect shop
CREATE TABLE catalog (item text, price numeric);
GRANT SELECT ON catalog TO web, reports;
\connect postgres
SET session_replication_role = replica;

-- By the minute: busy by day, quiet by night, and full when the checkout hangs.
INSERT INTO leakwatch.samples (minute, used, peak, idle, in_transaction, leaked, rejected)
SELECT date_trunc('minute', now()) - i * interval '1 min', least(used, 97), least(used + i % 4, 97), least(used, 97) / 2, 3,
	5 + 3 * sin(i / 90.0)::int + CASE WHEN i BETWEEN 690 AND 725 THEN 18 - abs(i - 706) ELSE 0 END,
	CASE WHEN i BETWEEN 700 AND 711 THEN 2 + i * 7 % 12 ELSE 0 END
FROM generate_series(2, 1439) AS i,
	LATERAL (SELECT (38 + 16 * sin((i + 420) * pi() / 720) + i * 7919 % 5
		+ CASE WHEN i BETWEEN 690 AND 725 THEN 70 - 4 * abs(i - 706) ELSE 0 END)::int AS used) AS u;

-- Ago (when it began, in minutes), for how many minutes, and how it went.
CREATE TEMP TABLE day (application text, kind text, usename text, ago int, minutes numeric, action text, outcome text,
	blocked int, waiter text, waited_with text, lock text, statements text[]);

INSERT INTO day
SELECT 'shop-checkout', 'idle_in_transaction', 'web', ago, CASE WHEN ended THEN 5 ELSE 1.2 + n % 5 * 0.7 END,
	CASE WHEN ended THEN 'terminated' ELSE 'warned' END, CASE WHEN ended THEN 'terminated' ELSE 'finished' END,
	CASE WHEN ended THEN 2 + n * 5 % 11 ELSE n % 2 END, 'shop-cart', 'UPDATE stock SET pieces = pieces + 1 WHERE item = $1',
	'RowExclusiveLock on relation stock of database shop',
	ARRAY ['BEGIN', 'SELECT * FROM cart WHERE id = $1', $$UPDATE stock SET pieces = pieces - 1 WHERE item = $1 /*action='pay',controller='checkout'*/$$]
FROM generate_series(1, 33) AS n,
	LATERAL (SELECT n > 12 AS ended, CASE WHEN n > 12 THEN 728 - n ELSE 100 * n + n * n % 37 END AS ago) AS t;

INSERT INTO day
SELECT 'shop-pool', 'idle_session', 'web', 1300 - n * 90 + n * n % 60, 60 + n * 37 % 400, 'warned', 'disconnected', 0, NULL, NULL, NULL,
	ARRAY [$$SELECT price FROM catalog WHERE item = $1 /*action='show',controller='cart'*/$$]
FROM generate_series(1, 9) AS n;

INSERT INTO day
SELECT 'shop-import', 'aborted_transaction', 'web', 1380 - n * 124, 3 + n * 7 % 23, 'warned', 'finished', n % 2, 'shop-cart', 'SELECT price FROM catalog WHERE item = $1',
	'AccessExclusiveLock on relation price of database shop',
	ARRAY ['BEGIN', 'LOCK TABLE price', $$INSERT INTO price VALUES ($1, $2) /*action='load',controller='import'*/$$]
FROM generate_series(1, 11) AS n;

INSERT INTO day VALUES
	('nightly-report', 'transaction', 'reports', 610, 48, 'warned', 'finished', 0, NULL, NULL, NULL, ARRAY ['BEGIN', 'SELECT * FROM sales']),
	('nightly-report', 'transaction', 'reports', 550, 37, 'warned', 'finished', 0, NULL, NULL, NULL, ARRAY ['BEGIN', 'SELECT * FROM sales']),
	('billing', 'idle_blocker', 'billing', 330, 16, 'would_terminate', 'terminated_by_admin', 4, 'shop-checkout', 'UPDATE account SET sum = sum + $1',
		'RowExclusiveLock on relation account of database shop',
		ARRAY ['BEGIN', $$UPDATE account SET sum = sum - $1 WHERE id = $2 /*controller='invoices'*/$$]);

-- The day before was better.
INSERT INTO day
SELECT application, kind, usename, ago + 1440, minutes, 'warned', 'finished', 0, NULL, NULL, NULL, statements
FROM day WHERE ago % 2 = 0;

INSERT INTO leakwatch.incidents (kind, pid, backend_start, datname, usename, application_name, since, detected_at, last_seen_at,
	ended_at, duration, action, outcome, blocked_sessions, blocked_application, blocked_query, strongest_lock, xmin_age_alone, query, trail, tags)
SELECT kind, 20000 + row_number() OVER (), since, 'shop', usename, application, since, since, until,
	until, until - since, action, outcome, blocked, CASE WHEN blocked > 0 THEN waiter END, CASE WHEN blocked > 0 THEN waited_with END,
	lock, CASE WHEN kind = 'transaction' THEN 184213 + ago END, last, (SELECT jsonb_agg(jsonb_build_object('query', s)) FROM unnest(statements) AS s),
	nullif(leakwatch.sqlcommenter_tags(last), '{}')
FROM day, LATERAL (SELECT now() - ago * interval '1 min' AS since, now() - ago * interval '1 min' + least(minutes, ago - 1) * interval '1 min' AS until,
	statements[array_upper(statements, 1)] AS last) AS t
ORDER BY ago DESC;
