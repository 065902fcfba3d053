-- Who got to know of whom: a line is an intention before anything leaves, and done once it has.
create table privacy.recipients (
  batch_id uuid not null,
  customer_id uuid not null,
  -- What left: the audience, for which purpose, to whom.
  recipient text not null check (length(recipient) between 1 and 200),
  audience text not null,
  purpose text not null,
  -- Kinds of identifiers that went with it.
  fields text[] not null default '{}',
  -- withheld: consent was gone when it was to leave. unknown: a crash came between the intention and the end.
  state text not null default 'intended' check (state in ('intended', 'done', 'withheld', 'unknown')),
  claimed_at timestamptz not null default now(),
  settled_at timestamptz,
  primary key (batch_id, customer_id)
);
create index on privacy.recipients (customer_id);
create index on privacy.recipients (recipient, audience) where state = 'intended';

grant select, insert, update on privacy.recipients to activator;
grant select on privacy.recipients to auditor;
