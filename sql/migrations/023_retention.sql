-- How long records are kept, and what became of those that were past their age.

-- A run of the rules: what it found, what it changed. Rows by `relation action`.
create table privacy.retention_runs (
  run_id uuid primary key default gen_random_uuid(),
  started_at timestamptz not null default now(),
  -- The rules as they stood, with the moment before which each takes records.
  rules jsonb not null default '[]',
  changed jsonb not null default '{}',
  passed_over jsonb not null default '{}',
  finished_at timestamptz
);

-- Records that a run has still to take out. From when they stand here no loader lets them in again.
create table privacy.retention_records (
  record_key uuid primary key,
  run_id uuid not null references privacy.retention_runs,
  relation text not null,
  action text not null check (action in ('delete', 'strip')),
  -- Whether its own age is the reason, which may have changed since; else it refers to a record that goes.
  is_past_age boolean not null
);
create index on privacy.retention_records (run_id, relation, action);

-- Records that were too old by when they landed: their source may deliver the same again, and it stays out. A later
-- version is news of somebody, and lands.
create table privacy.expired_records (
  record_key uuid primary key,
  content_hash uuid not null,
  version numeric
);
grant select on privacy.retention_records, privacy.expired_records to loader;

-- Identifiers that no record carried any more when a run looked; it looks once more before it takes them out.
create table privacy.unused_identifiers (
  token text primary key
);

-- A receipt is about a request, or about a run.
alter table privacy.receipts alter column request_id drop not null,
  add column run_id uuid references privacy.retention_runs,
  add check (num_nonnulls(request_id, run_id) = 1);
create index on privacy.receipts (run_id, receipt_seq) where run_id is not null;
grant select on privacy.retention_runs to auditor;

-- Credit that was kept because the person is restricted goes when the restriction does.
alter table ops.kept_credit add column until_lifted boolean not null default false;

-- Campaigns to which kept credit belongs, as long as somebody living has come by them.
create table ops.kept_campaigns (
  campaign_id uuid primary key,
  source text,
  medium text,
  campaign text not null,
  channel text not null
);
grant select on ops.kept_campaigns to transformer;

alter table ops.syncs add column past_age bigint not null default 0;
