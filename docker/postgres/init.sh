#!/bin/bash
# Run once by the PostgreSQL image, on an empty data folder.
set -euo pipefail
for service in orchestrator order inventory payment notification shipping analytics; do
    name=${service^^}
    owner=${name}_OWNER_PASSWORD own=${name}_DATABASE_PASSWORD
    OWNER_PASSWORD=${!owner:?} PASSWORD=${!own:?} psql --no-psqlrc --username "$POSTGRES_USER" --dbname postgres \
        --variable "service=$service" --variable "database=$service" --file /etc/saga/service.sql
done

# For postgres_exporter: figures of the server, no rows of anybody.
PASSWORD=${MONITOR_DATABASE_PASSWORD:?} psql --no-psqlrc --quiet --set ON_ERROR_STOP=on --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\getenv password PASSWORD
CREATE ROLE monitor LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'password';
GRANT pg_monitor TO monitor;
SQL
