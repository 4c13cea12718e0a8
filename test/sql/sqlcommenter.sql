-- The tags of a statement, as jsonb
SET client_min_messages = warning;
CREATE EXTENSION leakwatch;
RESET client_min_messages;

CREATE FUNCTION pg_temp.tags(text) RETURNS jsonb LANGUAGE sql AS 'SELECT leakwatch.sqlcommenter_tags($1)';

-- Examples of the specification: the first lacks some quotes there too.
SELECT key, value FROM jsonb_each_text(pg_temp.tags($$SELECT * FROM FOO /*action='%2Fparam*d',controller='index,'framework='spring',
traceparent='00-5bd66ef5095369c7b0d1f8f4bd33716a-c532cb4098ac3dd2-01',
tracestate='congo%3Dt61rcWkgMzE%2Crojo%3D00f067aa0ba902b7'*/$$));
SELECT key, value FROM jsonb_each_text(pg_temp.tags($$INSERT INTO "polls_question" VALUES ('x') /*controller='index',db_driver='django.db.backends.postgresql',
framework='django%3A2.2.1',route='%5Epolls/%24',
traceparent='00-5bd66ef5095369c7b0d1f8f4bd33716a-c532cb4098ac3dd2-01',
tracestate='congo%3Dt61rcWkgMzE%2Crojo%3D00f067aa0ba902b7'*/$$));

SELECT statement, pg_temp.tags(statement) AS tags
  FROM (VALUES
    ('SELECT 1'),
    (''),
    ('SELECT 1 /* prose */'),
    ('SELECT 1 /*a=''b''*/;'),
    ('/*a=''1''*/ SELECT 1 /*b=''2''*/ /*c=''3''*/'),
    ('SELECT 1 /*a=''1'',a=''2''*/'),
    ('/*a=''start''*/ SELECT 1 /*a=''end''*/'),
    ('SELECT 1 /*name=''DROP TABLE FOO\''*/'),
    ('SELECT 1 /*name=''DROP TABLE \''FOO\''''*/'),
    ('SELECT 1 /*a=''100%25'',b=''100%''*/'),
    ('SELECT 1 /*a=''%00''*/'),
    ('SELECT 1 /*bad, a=''b'', =''c'', d=*/'),
    ('SELECT ''/*a=b*/'''),
    ('SELECT 1 /*application:Blog,controller:posts,action:show*/'),
    ('SELECT 1 /* TODO: fix this, later: that */'),
    ('SELECT 1 /* 12:30:00 */')) AS v (statement);

-- What is no UTF-8 once it is decoded is replaced, or left out at the end.
SELECT convert_to(pg_temp.tags('SELECT 1 /*a=''%C3%A9%FF%C3''*/') ->> 'a', 'UTF8') AS replaced;

SELECT leakwatch.sqlcommenter_tags(NULL) IS NULL AS nothing;

DROP EXTENSION leakwatch;
