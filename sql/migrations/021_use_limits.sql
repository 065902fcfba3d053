-- What people have forbidden, as the ledger says now, by identifier: models read this, and never the ledger itself.
create table ops.use_limits (
  token text not null,
  choice text not null,
  purpose text not null,
  said_at timestamptz not null,
  -- False: it was lifted.
  holds boolean not null,
  primary key (token, choice, purpose)
);
grant select on ops.use_limits to transformer;
create index on privacy.consent_events (event_id) where choice <> 'consent';

-- Who is stored and not used. What only the mart remembers of them waits in the table below.
create table ops.restricted_people (
  customer_id uuid primary key,
  restricted_at timestamptz not null default now()
);
create table ops.set_aside (
  customer_id uuid not null,
  relation text not null,
  content jsonb not null
);
create index on ops.set_aside (customer_id);
