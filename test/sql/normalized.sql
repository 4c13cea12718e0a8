-- Statements without their values.
SET client_min_messages = warning;
CREATE EXTENSION leakwatch;
RESET client_min_messages;
\pset format unaligned
\pset tuples_only on
CREATE FUNCTION pg_temp.show(VARIADIC statements text[]) RETURNS SETOF text LANGUAGE sql AS
	$$ SELECT leakwatch.normalized(s) FROM unnest(statements) AS s $$;

-- constants of every form, and parameters
SELECT pg_temp.show(
	'SELECT pieces FROM stock WHERE item = ''lamp'' AND price > 12.5 AND id=7',
	'SELECT .5, 1e10, 0.1 FROM t WHERE a = $3 AND b = $1',
	'SELECT E''it\''s'', B''101'', X''1F'', N''n'', U&''\0041'', $$a''b$$, $tag$ $$ $tag$',
	'UPDATE t SET active = true, gone = NULL WHERE gone IS NOT NULL AND x IS true',
	'SELECT E''\u00e9 \xff'' || ''\'', 5',
	'INSERT INTO t VALUES (DEFAULT, 1)',
	'LIMIT''5''and');
-- signs are part of a constant, but not between two operands
SELECT pg_temp.show(
	'SELECT -1, a - 1, a + - 1 FROM t WHERE b = -2 AND c IN (-1, +2) AND d BETWEEN -1 AND 1',
	'UPDATE stock SET pieces = pieces - 1, more = more + 1');
-- lists and rows of them, of any length
SELECT pg_temp.show(
	'SELECT * FROM t WHERE id IN (1, 2, 3) AND code = ANY (ARRAY[''a'', ''b''])',
	'SELECT * FROM t WHERE id IN (1) AND code = ANY (ARRAY[''a''])',
	'INSERT INTO t (a, b) VALUES (1, ''x''), (2, ''y''), (3, ''z'')',
	'SELECT * FROM t WHERE id IN (''1''::uuid, ''2''::uuid) AND d > ''2026-01-01''::pg_catalog.date');
-- comments go, the tags that name code stay, and ids go
SELECT pg_temp.show(
	'SELECT /* a */ 1 -- b',
	'SELECT 1 /*controller=''checkout'',action=''pay'',traceparent=''00-5bd6-8a3e-01'',user=''7''*/',
	'/*application:Shop,line:/app/models/a.rb:17:in `pay*/ SELECT 1',
	'SELECT 1 /*route=''%2Forders%2F17%2Fv2'',file=''caf%C3%A9.js'',note=''it\''s''*/');
-- words, spaces and punctuation are as they were
SELECT pg_temp.show(
	E'  select\t"A b".*,\n f( x ) FROM  "Schema".t;',
	'ALTER ROLE <not shown: it may contain a password>',
	'');
-- what the lexer does not take
SELECT pg_temp.show(
	'SELECT 123abc, $1x, "" FROM t WHERE a = ''b''',
	'SELECT a, ''the rest of it is missing',
	'SELECT ''secret'', ''the rest of it is missing',
	'SELECT a /* the rest of it is missing',
	'SELECT a, "the rest of it is missing',
	'SELECT $$the rest of it is missing',
	'SELECT ''a\'', secret, ''b\'' ',
	'SELECT ''a\'' secret \ 5',
	'SELECT N''a\'' secret \ 5',
	repeat('1x ', 100));
-- a statement of which the middle is missing
CREATE FUNCTION pg_temp.cut(statement text) RETURNS text LANGUAGE sql AS
	$$ SELECT substr(statement, 1, 169) || ' ... ' || right(statement, 338) $$;
SELECT pg_temp.show(
	pg_temp.cut('SELECT * FROM t WHERE id IN (' || repeat('12345, ', 200) || '1) AND a = ''b'''),
	pg_temp.cut('INSERT INTO t (a) VALUES (''' || repeat('secret ', 200) || ''')'),
	pg_temp.cut('INSERT INTO t (a) VALUES (' || repeat('''it''''s a secret'', ', 100) || ' 5)'),
	pg_temp.cut('INSERT INTO t (a) VALUES (' || repeat('''a secret '', ', 100) || ' 5)'),
	pg_temp.cut('SELECT ' || repeat('column_a, ', 30) || 'b' || repeat(' secret ', 30) || ''' FROM t WHERE c = ''d'''),
	pg_temp.cut('SELECT a, ''' || repeat('secret ', 15) || ''' FROM t' || repeat(', u', 100) || ' WHERE c = ''d'''),
	pg_temp.cut('SELECT "a", ' || repeat('"column"."b", ', 60) || ' "c" FROM t WHERE c = ''d'' /*action=''a''*/'),
	pg_temp.cut('SELECT a ' || repeat(', u', 200) || ' -- it''s b' || E'\n' || ' WHERE c = ''secret'''),
	pg_temp.cut('SELECT a ' || repeat(', u', 200) || ', $q$it''s$q$ WHERE c = ''secret'''));
SELECT leakwatch.normalized(NULL) IS NULL;

-- Taken in again, it comes out as it is, and no value gets out: of statements
-- with cuts and changes at random.
SELECT setseed(0.5);
CREATE TABLE pg_temp.mutated AS
WITH bases (statement) AS (VALUES
	('UPDATE stock SET pieces = pieces - 4711, note = ''4711'' WHERE item IN (''4711'', ''4711'') AND a->>''4711'' = $$4711$$ /*action=''pay'',user=''u4711''*/'),
	('INSERT INTO t VALUES (4711, E''\''4711'', x''4711''), (-4711.5, U&''4711'', NULL) RETURNING "id" -- 4711'),
	('SELECT "a"."b", count(*) FROM a JOIN b USING (c) WHERE d::text = ''4711'' AND e > interval ''4711 days'' /* 4711 */ GROUP BY 1'))
SELECT CASE n % 3
	WHEN 0 THEN overlay(statement PLACING substr('''"\/*$-(,', 1 + (random() * 7)::int, 1) FROM 1 + (random() * 120)::int FOR 1)
	WHEN 1 THEN left(statement, (random() * 150)::int)
	ELSE overlay(statement PLACING '' FROM 1 + (random() * 120)::int FOR (random() * 4)::int) END AS statement
FROM bases, generate_series(1, 2000) AS n;
SELECT count(*), count(*) FILTER (WHERE n <> leakwatch.normalized(n)) AS not_the_same,
	count(*) FILTER (WHERE n ~ '\m4711\M') AS got_out
FROM (SELECT statement, leakwatch.normalized(statement) AS n FROM pg_temp.mutated) AS m;
-- And of a long one that is cut within its strings.
SELECT count(*), count(*) FILTER (WHERE leakwatch.normalized(c) ~ 'secret') AS got_out
FROM (
	SELECT pg_temp.cut('INSERT INTO t (a, b) VALUES (''' || string_agg(
		(ARRAY['secret', ' ', '''''', '$1', '/*', '*/', '--', ';', ',', '"', ' ... ', ''', '''])[1 + (random() * 11)::int], ''
		ORDER BY n) || ''');') AS c
	FROM generate_series(1, 1000) AS m, generate_series(1, 300) AS n GROUP BY m) AS s;

-- Or between any of these.
SELECT count(*), count(*) FILTER (WHERE leakwatch.normalized(c) ~ 'secret') AS got_out
FROM (
	SELECT pg_temp.cut('SELECT * FROM t WHERE' || string_agg(
		(ARRAY[' a = ''secret''', ' AND b IN (''secret'', ''se''''cret'')', ' OR c = E''secret\''secret''',
			' AND d = $q$secret '' secret$q$', ' /* secret'' */ AND e = 5', E' -- secret ''\n AND f = x''1F''',
			' AND "column" = ''"secret"''', ' AND g = ''it''''s -- secret''', ' AND h = ''/* secret''',
			' AND i > ''secret'' || ''*/ secret''', ' AND j = U&''secret''', ', ''secret ... secret''',
			' AND l = $$it''s secret$$', ' AND n = ''''', ' AND name = another'])[1 + (random() * 14)::int], ''
		ORDER BY n)) AS c
	FROM generate_series(1, 3000) AS m, generate_series(1, 30) AS n GROUP BY m) AS s;

DROP EXTENSION leakwatch;
