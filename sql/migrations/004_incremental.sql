-- What incremental builds know: how far each relation has read raw, and in which cluster.

-- Rows of raw that landed in a transaction at or after the horizon may not have been seen by the computation. Transaction
-- ids mean nothing in another cluster (a restore, a move), so its identifier stands beside them.
alter table ops.relation_state
  add column horizon xid8,
  add column cluster text;

alter table ops.builds add column is_incremental boolean not null default false;
alter table ops.build_relations add column horizon xid8;

-- One row per record that was taken out of a raw table, so that the next build takes it out of all that was made of it.
create table ops.removed_records (
  relation text not null,
  record_key uuid not null,
  removed_xid xid8 not null default pg_current_xact_id(),
  primary key (relation, record_key)
);
create index on ops.removed_records (removed_xid);

-- What has landed since a horizon is found without reading what has not changed.
do $$
declare
  raw_table text;
begin
  for raw_table in
    select format('%I.%I', n.nspname, c.relname)
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    join pg_attribute a on a.attrelid = c.oid and a.attname = 'landed_xid' and not a.attisdropped
    where n.nspname = 'raw' and c.relkind = 'r'
  loop
    execute format('create index on %s (landed_xid)', raw_table);
  end loop;
end
$$;

-- A first build's tables are moved to where they are published, with their keys and indexes, instead of being copied:
-- the owner of the published tables takes them over from the role that computed them.
do $$
begin
  execute format('grant transformer to %I with inherit true, set true', current_user);
end
$$;
