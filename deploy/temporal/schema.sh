#!/bin/sh
# Makes Temporal's tables, or brings them up to date: runs to its end before every start of the server.
set -eu
SQL_PASSWORD="$(cat "${TEMPORAL_PASSWORD_FILE:-/run/secrets/temporal_password}")"
export SQL_PASSWORD
export SQL_PLUGIN=postgres12_pgx SQL_HOST="${POSTGRES_HOST:-postgres}" SQL_PORT="${POSTGRES_PORT:-5432}" SQL_USER=temporal
for pair in temporal:temporal temporal_visibility:visibility; do
  database="${pair%%:*}"
  schema="postgresql/v12/${pair##*:}"
  # The first version is set up once; on a database that has one, this says so and is no failure.
  temporal-sql-tool --quiet --database "$database" setup-schema --version 0.0 >/dev/null 2>&1 || true
  temporal-sql-tool --database "$database" update-schema --schema-name "$schema"
done
