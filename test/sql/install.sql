-- The extension: what it is made of, who may use it, and that it comes and goes
\set SHOW_CONTEXT never

-- A schema that somebody has prepared makes it fail.
CREATE SCHEMA leakwatch;
CREATE EXTENSION leakwatch;
DROP SCHEMA leakwatch;

-- Only a superuser creates it, even in a database of one's own.
CREATE ROLE regress_leakwatch_owner;
SELECT format('GRANT CREATE ON DATABASE %I TO regress_leakwatch_owner', current_database()) \gexec
SET ROLE regress_leakwatch_owner;
CREATE EXTENSION leakwatch;
RESET ROLE;
DROP OWNED BY regress_leakwatch_owner;
DROP ROLE regress_leakwatch_owner;

-- Not the database where incidents are recorded, and that is said.
CREATE EXTENSION leakwatch;

SELECT superuser, trusted, relocatable, schema, requires
  FROM pg_available_extension_versions WHERE name = 'leakwatch' AND installed;

-- Every object.  Row types count as members from 17 on only.
CREATE TEMP VIEW members AS
  SELECT d.classid, d.objid, o.type, o.identity
    FROM pg_depend AS d
    JOIN pg_extension AS e ON e.oid = d.refobjid,
    LATERAL pg_identify_object(d.classid, d.objid, 0) AS o
    WHERE e.extname = 'leakwatch' AND d.refclassid = 'pg_extension'::regclass
      AND d.deptype = 'e' AND d.classid <> 'pg_type'::regclass;
SELECT type, identity FROM members ORDER BY type COLLATE "C", identity COLLATE "C";

-- Who may do what, where the owner is left out: PUBLIC nothing, pg_monitor reads.
WITH acls AS (
  SELECT m.type, m.identity, c.relowner AS owner,
         coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner)) AS acl
    FROM members AS m JOIN pg_class AS c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
  UNION ALL
  SELECT m.type, m.identity, p.proowner, coalesce(p.proacl, acldefault('f', p.proowner))
    FROM members AS m JOIN pg_proc AS p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
  UNION ALL
  SELECT m.type, m.identity, n.nspowner, coalesce(n.nspacl, acldefault('n', n.nspowner))
    FROM members AS m JOIN pg_namespace AS n ON m.classid = 'pg_namespace'::regclass AND n.oid = m.objid
  UNION ALL
  SELECT m.type, m.identity || '.' || a.attname, c.relowner, a.attacl
    FROM members AS m JOIN pg_class AS c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
      JOIN pg_attribute AS a ON a.attrelid = c.oid
    WHERE a.attacl IS NOT NULL
), grants AS (
  SELECT acls.type, acls.identity, a.privilege_type, a.is_grantable,
         CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS grantee
    FROM acls CROSS JOIN LATERAL aclexplode(acls.acl) AS a
    WHERE a.grantee <> acls.owner
)
SELECT type, identity, g.grantee,
       string_agg(g.privilege_type, ', ' ORDER BY g.privilege_type COLLATE "C") AS privileges,
       bool_or(g.is_grantable) AS grantable
  FROM members AS m FULL JOIN grants AS g USING (type, identity)
  GROUP BY type, identity, g.grantee
  ORDER BY type COLLATE "C", identity COLLATE "C", g.grantee COLLATE "C";

-- The walk above knows every class of object that there is.
SELECT DISTINCT classid::regclass FROM members ORDER BY 1;

-- Objects and columns without a comment: none.
SELECT type, identity FROM members
  WHERE coalesce(obj_description(objid, classid::regclass::name), '') = '';
SELECT m.identity, a.attname
  FROM members AS m JOIN pg_attribute AS a ON a.attrelid = m.objid
  WHERE m.type IN ('table', 'view') AND a.attnum > 0
    AND coalesce(col_description(a.attrelid, a.attnum), '') = '';

SELECT p.oid::regprocedure AS function, l.lanname, p.provolatile, p.proparallel, p.proisstrict,
       p.prosecdef, p.proleakproof, p.proretset
  FROM members AS m JOIN pg_proc AS p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
    JOIN pg_language AS l ON l.oid = p.prolang
  ORDER BY p.proname;

-- What pg_dump saves the rows of.
SELECT c.relation::regclass, c.condition
  FROM pg_extension AS e, LATERAL unnest(e.extconfig, e.extcondition) AS c (relation, condition)
  WHERE e.extname = 'leakwatch' ORDER BY c.relation::regclass::text COLLATE "C";

-- It goes without a trace, and comes again.
SET client_min_messages = warning;
DROP EXTENSION leakwatch;
SELECT to_regnamespace('leakwatch');
CREATE EXTENSION leakwatch;
SELECT leakwatch.scan();
DROP EXTENSION leakwatch;
