-- Generations of the keys that wrap all other keys. What a generation wrapped is lost with it, so exactly one wraps.
create table vault.generations (
  generation integer primary key check (generation > 0),
  -- `destroying` wraps nothing any more, and its key may be gone already: only the end of its rotation is missing.
  status text not null check (status in ('current', 'retiring', 'destroying', 'destroyed')),
  created_at timestamptz not null default now(),
  destroyed_at timestamptz
);
create unique index generations_one_current on vault.generations (status) where status = 'current';

insert into vault.generations (generation, status)
select max(generation), 'current' from vault.keys having max(generation) is not null;
