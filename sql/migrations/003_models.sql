-- What the model runner knows: the state of every relation, and the build under way.

-- One row per raw table and per published relation. Whoever changes rows of a relation raises its version in the same
-- transaction, so a model is computed again exactly when the version of an input differs from the one it was computed from.
create table ops.relation_state (
  relation text primary key,
  version bigint not null default 1,
  -- The rest is empty for raw tables.
  kind text check (kind in ('view', 'table')),
  definition_hash text,
  input_versions jsonb,
  -- The settings (`as_of`, `currency`, `time_zone`, `identity`) whose values the rows depend on.
  settings jsonb,
  row_count bigint,
  published_at timestamptz
);

create table ops.builds (
  build_id uuid primary key,
  status text not null default 'active' check (status in ('active', 'published', 'failed', 'abandoned')),
  -- The privacy epoch under which the build decided what to write.
  epoch bigint not null,
  -- Whether everything was asked for: only then are relations dropped whose model is gone.
  is_complete boolean not null,
  settings jsonb not null,
  started_at timestamptz not null default now(),
  finished_at timestamptz,
  result jsonb
);
create unique index builds_one_active on ops.builds (status) where status = 'active';

create table ops.build_relations (
  build_id uuid not null references ops.builds on delete cascade,
  relation text not null,
  definition_hash text not null,
  reason text not null,
  -- Filled when the relation is computed. A view has no rows of its own.
  computed_at timestamptz,
  row_count bigint,
  -- Versions of the inputs that the build did not compute itself, as of the snapshot that was read.
  input_versions jsonb,
  inserted bigint,
  updated bigint,
  deleted bigint,
  primary key (build_id, relation)
);

grant select on ops.relation_state to transformer;

-- The role that publishes reads what `transformer` has computed, without being it.
do $$
declare
  publisher text := current_user;
begin
  set local role transformer;
  execute format('alter default privileges in schema build_staging, build_core, build_mart grant select on tables to %I', publisher);
  reset role;
end
$$;
