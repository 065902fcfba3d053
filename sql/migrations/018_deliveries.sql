-- Batches on their way to destinations, and what became of each.

create table privacy.deliveries (
  -- Also the key by which the destination knows a repetition.
  delivery_id uuid primary key default gen_random_uuid(),
  destination text not null,
  operation text not null check (operation in ('deliver', 'remove', 'erase')),
  audience text,
  purpose text,
  -- sent: a call has begun, and what came of it is not known yet.
  state text not null default 'queued'
    check (state in ('queued', 'sent', 'accepted', 'confirmed', 'unsupported', 'failed', 'manual')),
  -- How many people it names; from its first call on it never names others under this id.
  members integer not null,
  made_at timestamptz not null default now(),
  sent_at timestamptz,
  settled_at timestamptz,
  -- erase: whose, and under which handles, under the request's own key; gone once it is settled.
  request_id uuid references privacy.requests,
  envelope bytea,
  check ((operation = 'erase') = (request_id is not null))
);
create index on privacy.deliveries (destination, audience) where state in ('queued', 'sent');
create index on privacy.deliveries (request_id) where request_id is not null;

alter table privacy.recipients
  add column operation text not null default 'deliver' check (operation in ('deliver', 'remove')),
  -- Of which identifiers the values went along.
  add column tokens text[] not null default '{}',
  -- These values by the destination's names, under the key of the first of the tokens: what an erasure needs there.
  add column envelope bytea;
create index on privacy.recipients (recipient, audience, customer_id);

-- People whose erasure has begun and whose rows are still there: nobody hands them over any more.
create table privacy.leaving_people (
  customer_id uuid primary key
);

grant select, insert, update on privacy.deliveries to activator;
grant select on privacy.leaving_people to activator;
grant select on privacy.deliveries to auditor;
