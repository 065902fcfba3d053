-- What people ask for about their data, how far it is, and what proves it.

create table privacy.requests (
  request_id uuid primary key default gen_random_uuid(),
  kind text not null check (kind in ('access', 'portability', 'erasure', 'correction', 'restriction', 'objection',
    'opt_out', 'limit', 'consent', 'readmission')),
  state text not null default 'received' check (state in ('received', 'verified', 'planned', 'approved', 'running',
    'completed', 'completed_with_exceptions', 'cancelled', 'refused', 'expired')),
  -- How it came: `cli`, `api`, `gpc`, `source:newsletter`.
  channel text not null,
  jurisdiction text,
  received_at timestamptz not null default now(),
  due_at timestamptz,
  -- Nothing is carried out before: the request can be cancelled until then.
  not_before timestamptz,
  -- Whom it is about, as the audit names people; null until somebody is found, and cut by an erasure.
  subject uuid,
  -- The identifiers that were given, under the request's own key (vault.keys, `request:<id>`); gone once they are not needed.
  sealed bytea,
  -- Everything that was found to be the person's, under the same key.
  scope bytea,
  -- Counts per table, and what stands in the way; no value of a record.
  plan jsonb,
  planned_at timestamptz,
  approved_at timestamptz,
  approved_by text,
  -- Requests that are carried out together: each table is read once for all of them.
  batch_id uuid,
  completed_at timestamptz,
  outcome jsonb
);
create index on privacy.requests (state);
create index on privacy.requests (batch_id) where batch_id is not null;

create function privacy.refuse_row_change() returns trigger language plpgsql as
$$
begin
  raise exception 'rows of this table are only inserted' using errcode = '42501';
end
$$;

create table privacy.request_events (
  event_id bigint generated always as identity primary key,
  request_id uuid not null references privacy.requests,
  happened_at timestamptz not null default clock_timestamp(),
  actor text not null check (length(actor) between 1 and 200),
  event text not null check (event ~ '^[a-z][a-z_.]{0,63}$'),
  detail jsonb not null default '{}' check (pg_column_size(detail) <= 16384)
);
create index on privacy.request_events (request_id, event_id);
create trigger insert_only before update or delete or truncate on privacy.request_events
  for each statement execute function privacy.refuse_row_change();

-- Erasures that are carried out together, and how far they have come.
create table privacy.erasure_batches (
  batch_id uuid primary key default gen_random_uuid(),
  started_at timestamptz not null default now(),
  -- The last tombstone's transaction: older ones must have ended before anything is swept.
  tombstone_xid xid8,
  tombstoned_at timestamptz,
  -- Rows deleted, stripped or cut so far, by relation.
  swept jsonb not null default '{}',
  finished_at timestamptz
);

-- Identifiers of erased people, by HMAC under the suppression key: no loader lets them in again.
create table privacy.suppressions (
  hash bytea primary key check (length(hash) = 16),
  -- Which request it came by, so that a readmission takes back no more than it is to.
  request_id uuid not null references privacy.requests,
  suppressed_at timestamptz not null default now()
);
create index on privacy.suppressions (request_id);
-- A list that was cut short shows: whoever loads compares it with this number, and stops.
alter table privacy.epoch add column suppressions bigint not null default 0;

-- Facts that the business keeps without their person: they land stripped again, whatever their source says of them.
create table privacy.stripped_records (
  record_key uuid primary key
);

-- Identifiers of living people who share a record with an erased one: the record loses that identifier and stays.
create table privacy.bystanders (
  token text primary key
);

-- The credit of channels for orders without a person. Of an order's touchpoints in one channel and campaign it is the sum.
create table ops.kept_credit (
  order_id uuid not null,
  touchpoint_id uuid not null default gen_random_uuid(),
  model text not null,
  channel text not null,
  campaign_id uuid,
  share numeric not null,
  amount numeric,
  -- What the order was worth when it was credited.
  order_amount numeric,
  primary key (order_id, touchpoint_id, model)
);
grant select on ops.kept_credit to transformer;

-- What proves that a request was carried out: signed, and each chained to the one before by its hash.
create table privacy.receipts (
  receipt_seq bigint primary key,
  request_id uuid not null references privacy.requests,
  issued_at timestamptz not null default now(),
  -- The signed text as it stands, byte for byte.
  body text not null,
  signature bytea not null,
  hash bytea not null check (length(hash) = 32)
);
create index on privacy.receipts (request_id, receipt_seq);
create trigger insert_only before update or delete or truncate on privacy.receipts
  for each statement execute function privacy.refuse_row_change();

grant select on privacy.suppressions, privacy.stripped_records, privacy.bystanders to loader;
grant select on privacy.requests, privacy.request_events, privacy.receipts to auditor;
