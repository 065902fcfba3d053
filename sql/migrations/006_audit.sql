-- Who did what to whom, and why: insert-only, each row chained to the one before by its hash.

-- People stand in the audit by a random reference alone. An erasure deletes the line here, and the audit names nobody any more.
create table privacy.subjects (
  subject uuid primary key default gen_random_uuid(),
  customer_id uuid unique,
  token text unique,
  check (num_nonnulls(customer_id, token) = 1)
);

create table privacy.audit (
  audit_id uuid primary key default gen_random_uuid(),
  happened_at timestamptz not null default clock_timestamp(),
  actor text not null check (length(actor) between 1 and 200),
  action text not null check (action ~ '^[a-z][a-z_.]{0,63}$'),
  -- No foreign key: the reference outlives its meaning.
  subject uuid,
  purpose text check (length(purpose) <= 1000),
  detail jsonb not null default '{}' check (pg_column_size(detail) <= 16384)
);
create index on privacy.audit (actor, action, happened_at);

create table privacy.audit_chain (
  seq bigint primary key,
  audit_id uuid not null unique,
  -- sha256 of the hash before (none before the first) and of privacy.audit_text.
  hash bytea not null check (length(hash) = 32)
);

-- jsonb has one text for equal values, whatever the session's settings.
create function privacy.audit_text(seq bigint, line privacy.audit) returns text language sql stable
  return jsonb_build_array(seq, (line).audit_id, extract(epoch from (line).happened_at), (line).actor, (line).action,
                           (line).subject, (line).purpose, (line).detail)::text;

-- Deferred to the commit, so that the lock is each transaction's last: taken earlier, it would wait for whoever waits for
-- the privacy epoch, and the other way round.
create function privacy.chain_audit() returns trigger language plpgsql security definer
  set search_path = pg_catalog as
$$
declare
  last_seq bigint;
  last_hash bytea;
begin
  perform pg_advisory_xact_lock(5131713);
  select chain.seq, chain.hash into last_seq, last_hash from privacy.audit_chain as chain order by chain.seq desc limit 1;
  last_seq := coalesce(last_seq, 0) + 1;
  insert into privacy.audit_chain (seq, audit_id, hash)
  values (last_seq, new.audit_id, sha256(coalesce(last_hash, ''::bytea) || convert_to(privacy.audit_text(last_seq, new), 'UTF8')));
  return null;
end
$$;
create constraint trigger chain after insert on privacy.audit deferrable initially deferred
  for each row execute function privacy.chain_audit();

create function privacy.refuse_change() returns trigger language plpgsql as
$$
begin
  raise exception 'the audit is insert-only' using errcode = '42501';
end
$$;
create trigger insert_only before update or delete or truncate on privacy.audit
  for each statement execute function privacy.refuse_change();
create trigger insert_only before update or delete or truncate on privacy.audit_chain
  for each statement execute function privacy.refuse_change();
revoke all on function privacy.chain_audit() from public;
