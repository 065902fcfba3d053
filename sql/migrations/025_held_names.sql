-- A hold can be noted of somebody who has not landed, too: it is found by the new name as they arrive.
create or replace function vault.meet_tokens(former_tokens text[], tokens text[]) returns void language plpgsql security definer
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
  update privacy.hold_identifiers as held set token = change.token
  from vault.token_changes as change where change.former = any(former_tokens) and held.token = change.former
    and not exists (select from privacy.hold_identifiers as other where other.token = change.token and other.hold_id = held.hold_id);
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
  delete from privacy.hold_identifiers as held using vault.token_changes as change
  where change.former = any(former_tokens) and held.token = change.former;
  delete from ops.use_limits as said using vault.token_changes as change
  where change.former = any(former_tokens) and said.token = change.former;
end
$$;
