-- The same as before, each token looked up by the key of the list: the plan of a join over a list that was never analysed
-- read the whole of it for every value.
create or replace function vault.renamed(value text, kinds text) returns text language plpgsql stable set search_path = pg_catalog as
$$
declare
  part text;
  next text;
begin
  for part in
    select distinct m.found[1] from regexp_matches(value, '((?:' || kinds || ')_[0-9a-f]{32})', 'g') as m (found)
  loop
    select c.token into next from vault.token_changes as c where c.former = part;
    if next is not null then value := replace(value, part, next); end if;
  end loop;
  return value;
end
$$;
