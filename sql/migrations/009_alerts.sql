-- What needs a person, and which channel was told what: a change is told once.

create table ops.alerts (
  -- `freshness:shop.orders`, `sync:shop`, `check:every_order_has_a_customer`, `build`, `run`.
  subject text primary key,
  state text not null check (state in ('ok', 'warning', 'error')),
  code text not null,
  counts jsonb not null default '{}',
  -- From when on it stands so.
  since timestamptz not null default now(),
  -- From when on it is watched: a stream that never landed is late from then.
  watched_at timestamptz not null default now()
);

create table ops.alert_deliveries (
  subject text not null references ops.alerts on delete cascade,
  channel text not null,
  state text not null,
  code text not null,
  told_at timestamptz not null default now(),
  primary key (subject, channel)
);
