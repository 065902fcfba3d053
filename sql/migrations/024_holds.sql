-- What is kept although it would have to go: by hand for one person (rules stand in miette.yaml), and what erasures have
-- set aside for either.

create table privacy.holds (
  hold_id uuid primary key default gen_random_uuid(),
  -- A stream (shop.orders) or a contract (orders).
  category text not null check (length(category) between 1 and 200),
  purpose text not null check (purpose ~ '^[a-z][a-z0-9_]{0,62}$'),
  law text not null check (length(law) between 1 and 200),
  -- Null: until it is released.
  until timestamptz,
  added_at timestamptz not null default now(),
  released_at timestamptz
);

-- Whose: cut by the person's erasure, which has set aside by then what is held.
create table privacy.hold_identifiers (
  token text not null,
  hold_id uuid not null references privacy.holds,
  primary key (token, hold_id)
);

-- Records of erased people, opened and sealed anew under a key of the erasure's own (vault.keys, `hold:<request>`). Where
-- they stood nothing names the person any more, so nothing uses them.
create table privacy.held_records (
  request_id uuid not null references privacy.requests,
  record_key uuid not null,
  relation text not null,
  -- Of the rule, where one holds it.
  purpose text,
  law text,
  until timestamptz,
  -- By hand, where somebody does.
  hold_id uuid references privacy.holds,
  released_at timestamptz,
  held_at timestamptz not null default now(),
  sealed bytea not null,
  primary key (request_id, record_key),
  check (num_nonnulls(until, hold_id) > 0)
);

grant select on privacy.holds to auditor;
grant select (request_id, record_key, relation, purpose, law, until, hold_id, released_at, held_at) on privacy.held_records to auditor;
