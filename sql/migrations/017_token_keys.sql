-- The key that makes tokens can be changed. While the stored tokens are being renamed nobody lands, publishes, erases or
-- hands anything over: `moving_xid` is the transaction since which that is so.
alter table privacy.epoch add column moving_xid xid8;

-- What each token is called under the new key; kept until the former key is retired. A null: an identifier that is named
-- somewhere and that the vault does not know, so that its new name shows only once it arrives.
create table vault.token_changes (
  former text primary key,
  token text unique,
  check (former <> token)
);

-- A text with every former token in it replaced. `kinds` is an alternation of the kinds of tokens, the longest first.
create function vault.renamed(value text, kinds text) returns text language plpgsql stable set search_path = pg_catalog as
$$
declare
  change record;
begin
  for change in
    select c.former, c.token
    from (select distinct m.found[1] as former from regexp_matches(value, '((?:' || kinds || ')_[0-9a-f]{32})', 'g') as m (found)) as f
    join vault.token_changes as c using (former) where c.token is not null
  loop
    value := replace(value, change.former, change.token);
  end loop;
  return value;
end
$$;

-- Identifiers that arrive while both keys are known: what was noted under the former name of one that the vault did not
-- know is found by the new name from then on.
create function vault.meet_tokens(former_tokens text[], tokens text[]) returns void language plpgsql security definer
  set search_path = pg_catalog as
$$
begin
  update vault.token_changes as change set token = met.token
  from unnest(former_tokens, tokens) as met (former, token) where change.former = met.former and change.token is null;

  update privacy.consent_identifiers as said set token = change.token
  from vault.token_changes as change where change.former = any(former_tokens) and said.token = change.former
    and not exists (select from privacy.consent_identifiers as other where other.token = change.token and other.event_id = said.event_id);
  update privacy.bystanders as who set token = change.token
  from vault.token_changes as change where change.former = any(former_tokens) and who.token = change.former
    and not exists (select from privacy.bystanders as other where other.token = change.token);
  update privacy.subjects as who set token = change.token
  from vault.token_changes as change where change.former = any(former_tokens) and who.token = change.former
    and not exists (select from privacy.subjects as other where other.token = change.token);
  update ops.use_limits as said set token = change.token
  from vault.token_changes as change where change.former = any(former_tokens) and said.token = change.former
    and not exists (select from ops.use_limits as other
                    where other.token = change.token and other.choice = said.choice and other.purpose = said.purpose);

  -- What was noted under both names already.
  delete from privacy.consent_identifiers as said using vault.token_changes as change
  where change.former = any(former_tokens) and said.token = change.former;
  delete from privacy.bystanders as who using vault.token_changes as change
  where change.former = any(former_tokens) and who.token = change.former;
  delete from ops.use_limits as said using vault.token_changes as change
  where change.former = any(former_tokens) and said.token = change.former;
end
$$;
revoke all on function vault.meet_tokens(text[], text[]) from public;
grant execute on function vault.meet_tokens(text[], text[]) to loader, privacy;

-- Which fields a reprocessing is about, and how many rows it has to read.
alter table ops.reprocessings add column fields text[] not null default '{}', add column rows_total bigint;
