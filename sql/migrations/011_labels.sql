-- The mailbox that an e-mail address is delivered to: an erasure finds all spellings of it, and a loader knows each again.
alter table vault.identifiers add column folded_token text;
create index on vault.identifiers (folded_token) where folded_token is not null;

-- Rows that landed before their stream's schema changed, being brought under it: fields declared since, match keys and
-- remains are made from what is sealed. One row per stream; it stays when the work is done, as the record of it.
create table ops.reprocessings (
  source text not null,
  stream text not null,
  -- Rows with a smaller number are brought under the schema of this one.
  reload integer not null,
  -- The last row that was committed, first of the current rows, then of the history.
  is_in_history boolean not null default false,
  after_key uuid,
  after_hash uuid,
  rows_read bigint not null default 0,
  rows_changed bigint not null default 0,
  -- Values that break the schema which was declared for them: they stay sealed.
  values_refused bigint not null default 0,
  started_at timestamptz not null default now(),
  finished_at timestamptz,
  primary key (source, stream)
);
