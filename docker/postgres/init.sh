#!/bin/bash
# Run once by the PostgreSQL image, on an empty data folder.
set -euo pipefail
for service in orchestrator order inventory payment notification shipping analytics; do
    name=${service^^}
    owner=${name}_OWNER_PASSWORD own=${name}_DATABASE_PASSWORD
    OWNER_PASSWORD=${!owner:?} PASSWORD=${!own:?} psql --no-psqlrc --username "$POSTGRES_USER" --dbname postgres \
        --variable "service=$service" --variable "database=$service" --file /etc/saga/service.sql
done
