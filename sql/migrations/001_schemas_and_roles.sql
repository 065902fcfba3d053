-- Schemas, the roles that may use them, and the functions that every model may call.
create schema if not exists ops;
create schema raw;
create schema staging;
create schema core;
create schema mart;
create schema build_staging;
create schema build_core;
create schema build_mart;
create schema vault;
create schema privacy;

create extension if not exists btree_gist;

-- Roles belong to the cluster, so another database of it may have made them already.
do $$
begin
  perform pg_advisory_xact_lock(5131712);
  if not exists (select from pg_roles where rolname = 'transformer') then
    create role transformer nologin;
  end if;
  if not exists (select from pg_roles where rolname = 'analyst') then
    create role analyst nologin;
  end if;
  execute format('grant transformer, analyst to %I with inherit false, set true', current_user);
  execute format('revoke temporary, create on database %I from public', current_database());
  execute format('grant connect on database %I to analyst', current_database());
end
$$;

revoke all on schema public from public;

-- One row: what the project's file says and the day that models take as today.
create table ops.settings (
  only_row boolean primary key default true check (only_row),
  currency text not null,
  time_zone text not null,
  as_of timestamptz not null
);
insert into ops.settings (currency, time_zone, as_of) values ('EUR', 'UTC', '1970-01-01T00:00:00Z');

create function ops.nobody() returns uuid language sql immutable parallel safe
  return '00000000-0000-0000-0000-000000000000'::uuid;
comment on function ops.nobody() is 'The one member of core.people that stands for erased and never-identified people alike.';

create function ops.as_of() returns timestamptz language sql stable parallel safe
  begin atomic select as_of from ops.settings; end;
comment on function ops.as_of() is 'The first instant of the current day in the project''s time zone: one value per day.';

create function ops.time_zone() returns text language sql stable parallel safe
  begin atomic select time_zone from ops.settings; end;
comment on function ops.time_zone() is 'The project''s time zone, in which a day begins.';

create function ops.currency() returns text language sql stable parallel safe
  begin atomic select currency from ops.settings; end;
comment on function ops.currency() is 'The project''s reporting currency (ISO 4217).';

-- Moved by an erasure; whoever writes personal rows reads it FOR SHARE as the last statement of the transaction and
-- compares it with the epoch under which it decided what to write.
create table privacy.epoch (
  only_row boolean primary key default true check (only_row),
  epoch bigint not null
);
insert into privacy.epoch (epoch) values (1);

grant usage on schema raw, staging, core, mart, ops to transformer;
grant usage, create on schema build_staging, build_core, build_mart to transformer;
grant select on ops.settings to transformer, analyst;
grant usage on schema mart, ops to analyst;

alter default privileges in schema raw grant select on tables to transformer;
alter default privileges in schema staging grant select on tables to transformer;
alter default privileges in schema core grant select on tables to transformer;
alter default privileges in schema mart grant select on tables to transformer;
