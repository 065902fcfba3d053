-- Changes of the identity rules that somebody wants approved: until then, and where it is refused, builds keep the rules before.

create table ops.identity_plans (
  plan_id uuid primary key default gen_random_uuid(),
  rules jsonb not null,
  former_rules jsonb not null,
  -- What they would change: counts, ids of customers, amounts.
  plan jsonb not null,
  status text not null default 'waiting' check (status in ('waiting', 'approved', 'refused')),
  requested_at timestamptz not null default clock_timestamp(),
  requested_by text not null,
  decided_at timestamptz,
  decided_by text
);
create index on ops.identity_plans (requested_at desc);

grant select on ops.identity_plans to loader, auditor;
grant select, insert, update on ops.identity_plans to publisher;
grant select, insert, update, delete, maintain on ops.identity_plans to privacy;
