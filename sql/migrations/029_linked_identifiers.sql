-- A link between two identifiers stands with one of them instead of in a table of its own. Until the next build writes it, retention
-- and "identity why" read it as the last one left it, hung on the identifier that the person is kept with.
do $$
begin
  if to_regclass('core.identity_merges') is null or to_regclass('core.identifiers') is null then
    return;
  end if;
  alter table core.identifiers add column linked_token text, add column linked_record_key uuid;
  with recursive ends (token, other, record_key) as (
    select stronger_token, weaker_token, record_key from core.identity_merges
    union all
    select weaker_token, stronger_token, record_key from core.identity_merges
  ),
  tree (token, linked_token, linked_record_key) as (
    select anchor_token, null::text, null::uuid from core.people where anchor_token is not null
    union
    select ends.other, ends.token, ends.record_key
    from tree
    join ends on ends.token = tree.token
    where ends.other is distinct from tree.linked_token
  )
  update core.identifiers as i
  set linked_token = tree.linked_token, linked_record_key = tree.linked_record_key
  from tree
  where tree.token = i.token and tree.linked_token is not null;
  drop table core.identity_merges;
  delete from ops.relation_state where relation = 'core.identity_merges';
end
$$;
