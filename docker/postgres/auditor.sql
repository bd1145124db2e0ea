-- The auditor's share of one service's database: a role, the same for all of them, that reads
-- every table and changes nothing. Comes after service.sql. Can be run again; changes the password.
--
--   PASSWORD=… psql -v service=order -v database=order -f auditor.sql
\set ON_ERROR_STOP on
\set QUIET on
\pset tuples_only on
SET client_min_messages = warning;
\getenv password PASSWORD
\set owner :service _owner

SELECT pg_advisory_lock(5314) \g /dev/null
SELECT 'CREATE ROLE auditor' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'auditor') \gexec
ALTER ROLE auditor LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'password';
ALTER ROLE auditor SET default_transaction_read_only = on;
GRANT CONNECT ON DATABASE :"database" TO auditor;

\connect :"database"
SET ROLE :"owner";
-- Those that are there, and those that migrations will bring.
GRANT SELECT ON ALL TABLES IN SCHEMA public TO auditor;
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA public GRANT SELECT ON TABLES TO auditor;
