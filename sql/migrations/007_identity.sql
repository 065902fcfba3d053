-- What people decided about identifiers by hand. It outlives every rebuild, since tokens do.

create table ops.identity_decisions (
  -- The pair in ascending order, so that it stands here once.
  token text not null,
  other_token text not null,
  decision text not null check (decision in ('merge', 'split')),
  decided_at timestamptz not null default now(),
  decided_by text not null,
  primary key (token, other_token),
  check (token < other_token)
);
create index on ops.identity_decisions (other_token);
grant select on ops.identity_decisions to transformer;
