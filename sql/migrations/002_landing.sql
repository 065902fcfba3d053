-- What landing keeps beside the raw tables: keys, identifiers, cursors, the audit of pages, quarantine.

-- Keys that are no person's own, wrapped by a key generation: purposes `record`, `content`, `token`, `quarantine`, `cursor`, `stream:<source>.<stream>`.
create table vault.keys (
  purpose text not null,
  version integer not null,
  generation integer not null,
  wrapped_key bytea not null,
  created_at timestamptz not null default now(),
  primary key (purpose, version)
);

-- One row per identifier: its plaintext, once, under a key of its own.
create table vault.identifiers (
  token text primary key,
  kind text not null,
  generation integer not null,
  wrapped_key bytea not null,
  sealed bytea not null,
  created_at timestamptz not null default now()
);

create table ops.streams (
  source text not null,
  stream text not null,
  -- Rises when the schema, the normalisers or the keys change, so that a record landed anew wins over its older self.
  reload integer not null default 1,
  definition_hash text not null,
  schema jsonb not null,
  primary key (source, stream)
);

-- A cursor belongs to a stream, or to a whole source (stream ''). It is sealed, since a keyset can hold an e-mail.
create table ops.cursors (
  source text not null,
  stream text not null,
  position bigint not null default 0,
  sealed bytea,
  updated_at timestamptz not null default now(),
  primary key (source, stream)
);

create table ops.syncs (
  sync_id uuid not null,
  source text not null,
  stream text not null,
  kind text not null check (kind in ('incremental', 'full', 'window')),
  started_at timestamptz not null default now(),
  finished_at timestamptz,
  status text not null default 'running' check (status in ('running', 'done', 'failed')),
  error_code text,
  pages integer not null default 0,
  rows_read bigint not null default 0,
  inserted bigint not null default 0,
  updated bigint not null default 0,
  unchanged bigint not null default 0,
  deleted bigint not null default 0,
  rejected bigint not null default 0,
  notice text,
  primary key (sync_id, source, stream)
);
create index on ops.syncs (source, stream, started_at desc);

-- The audit line of every page, written in the page's own transaction.
create table ops.pages (
  sync_id uuid not null,
  source text not null,
  position bigint not null,
  stream text not null,
  rows_read integer not null,
  inserted integer not null,
  updated integer not null,
  unchanged integer not null,
  rejected integer not null,
  landed_at timestamptz not null default now(),
  primary key (sync_id, source, position, stream)
);

-- Keys a snapshot has seen, quarantined ones included; what is missing at its end is marked deleted.
create table ops.snapshot_keys (
  sync_id uuid not null,
  source text not null,
  stream text not null,
  record_key uuid not null,
  primary key (sync_id, source, stream, record_key)
);

-- A rejected record, sealed whole, with the tokens of the identifiers found anywhere in it.
create table ops.quarantine (
  quarantine_id uuid primary key default gen_random_uuid(),
  source text not null,
  stream text not null,
  -- Keyed hash of what was received: a record rejected twice stands here once.
  fingerprint uuid not null,
  record_key uuid,
  reason text not null,
  pointer text not null,
  sealed bytea not null,
  tokens text[] not null default '{}',
  times_seen integer not null default 1,
  first_seen_at timestamptz not null default now(),
  last_seen_at timestamptz not null default now(),
  expires_at timestamptz not null default now() + interval '90 days',
  unique (source, stream, fingerprint)
);
create index on ops.quarantine using gin (tokens);

-- Fields that arrive although no schema declares them: sealed with the record, counted here.
create table ops.undeclared_fields (
  source text not null,
  stream text not null,
  field text not null,
  records bigint not null,
  first_seen_at timestamptz not null default now(),
  last_seen_at timestamptz not null default now(),
  primary key (source, stream, field)
);

-- Tokens of values that the project's identity rules block: they point at nobody.
create table ops.blocked_identifiers (
  token text primary key,
  kind text not null
);
grant select on ops.blocked_identifiers to transformer;

-- What a piece of the runner has seen last, so that it need not look again.
create table ops.notes (
  name text primary key,
  value text not null
);
