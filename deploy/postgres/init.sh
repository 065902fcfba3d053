#!/bin/sh
# Runs once, on an empty data folder: the databases, the logins, none of them a superuser, and the roles of the warehouse's
# work. `miette` migrates and administers; a worker may become the roles of its work and is none of them by itself;
# analysts read the mart.
set -eu
secrets="${SECRETS_FOLDER:-/run/secrets}"
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres \
  --set owner="$(cat "$secrets/miette_password")" \
  --set worker="$(cat "$secrets/worker_password")" \
  --set analyst="$(cat "$secrets/analyst_password")" \
  --set temporal="$(cat "$secrets/temporal_password")" <<'SQL'
-- What is logged of these statements would hold their passwords.
set log_statement = 'none';
set log_min_error_statement = 'panic';
create role miette login createrole password :'owner';
create role worker login password :'worker';
create role analyst login password :'analyst';
create role transformer;
create role warehouse;
create role loader;
create role publisher;
create role privacy;
create role activator;
create role auditor;
grant analyst, transformer, warehouse, loader, publisher, privacy, activator, auditor to miette with admin option;
grant transformer, loader, publisher, privacy, activator to worker with inherit false, set true;
grant pg_read_all_stats to privacy;
create role temporal login password :'temporal';
create database miette owner miette template template0;
create database temporal owner temporal template template0;
create database temporal_visibility owner temporal template template0;
revoke connect on database miette, temporal, temporal_visibility from public;
revoke connect on database postgres from public;
grant connect on database miette to worker;
\connect miette
-- Nobody but who migrates runs code of their own in the server, or keeps data in it that no table shows.
revoke usage on language plpgsql from public;
grant usage on language plpgsql to miette;
revoke execute on function lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea) from public;
\connect temporal_visibility
-- Temporal's visibility tables use it, and only a superuser may install it where it is not trusted.
create extension if not exists btree_gin;
SQL
