alter table vault.identifiers
  -- The transaction that brought it: what has come since somebody looked is found by it, without a look at all of them. A bigint, as an
  -- xid8 can have no BRIN index.
  add column landed_xid bigint not null default pg_current_xact_id()::text::bigint;
create index on vault.identifiers using brin (landed_xid) with (pages_per_range = 16);
-- It says more since.
delete from ops.notes where name = 'blocked identifiers';
