-- Archives of what is held about somebody, encrypted under a passphrase that nothing here knows once they are written.
create table privacy.archives (
  request_id uuid primary key references privacy.requests,
  -- Whose: an erasure of the person deletes the archive too.
  subject_tokens text[] not null,
  started_at timestamptz not null default now(),
  finished_at timestamptz,
  expires_at timestamptz,
  bytes bigint,
  -- Values of other people that were left out.
  redacted bigint,
  -- Names of its files, with the rows that each tells.
  files jsonb not null default '{}'
);

create table privacy.archive_parts (
  request_id uuid not null references privacy.archives on delete cascade,
  part integer not null,
  content bytea not null,
  primary key (request_id, part)
);
