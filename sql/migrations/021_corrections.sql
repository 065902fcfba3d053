-- What people have corrected: the right value and the one that stood there, sealed, beside the record that landed. It holds
-- until its source sends the right value itself, or it is released.
create table privacy.corrections (
  record_key uuid not null,
  source text not null,
  stream text not null,
  field text not null,
  sealed bytea not null,
  -- An identifier of whom it is about: it goes with the person's erasure.
  subject_tokens text[] not null,
  request_id uuid not null references privacy.requests,
  corrected_at timestamptz not null default now(),
  primary key (record_key, field)
);
grant select, update, delete on privacy.corrections to loader;
