-- Roles as commands use them: what hands audiences over is `activator`, who reads audit, receipts, consent and the list of
-- recipients is `auditor`; each sees what that takes.

-- Gives everything to the role that owns its schema, and each role what it may do there. Called after every migration, so
-- that what a migration makes is nobody's who logs in. A grant that a migration made besides stays.
create or replace function ops.settle_privileges() returns void language plpgsql set search_path = pg_catalog as
$$
declare
  each record;
begin
  -- Two commands that start at once would alter the same rows of the catalogue.
  perform pg_advisory_xact_lock(5131712);
  -- Whoever shall own a schema must be able to create one, for that moment.
  execute format('grant create on database %I to warehouse, loader, publisher', current_database());
  for each in
    select n.nspname as schema, o.owner
    from (values ('ops', 'warehouse'), ('vault', 'warehouse'), ('privacy', 'warehouse'), ('raw', 'loader'),
      ('staging', 'publisher'), ('core', 'publisher'), ('mart', 'publisher'),
      ('build_staging', 'publisher'), ('build_core', 'publisher'), ('build_mart', 'publisher')) as o (schema, owner)
    join pg_namespace n on n.nspname = o.schema
    where pg_get_userbyid(n.nspowner) <> o.owner
  loop
    execute format('alter schema %I owner to %I', each.schema, each.owner);
  end loop;
  execute format('revoke create on database %I from warehouse, loader, publisher', current_database());

  for each in
    select n.nspname as schema, c.relname as name, pg_get_userbyid(n.nspowner) as owner
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname in ('ops', 'vault', 'privacy', 'raw', 'staging', 'core', 'mart') and c.relkind in ('r', 'p', 'v', 'm', 'S')
      and c.relowner <> n.nspowner
      -- The sequence of an identity column follows its table.
      and not (c.relkind = 'S' and exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype in ('a', 'i')))
  loop
    execute format('alter table %I.%I owner to %I', each.schema, each.name, each.owner);
  end loop;
  for each in
    select p.oid::regprocedure as routine, pg_get_userbyid(n.nspowner) as owner
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where n.nspname in ('ops', 'vault', 'privacy', 'staging') and p.proowner <> n.nspowner
      and p.oid <> 'ops.settle_privileges()'::regprocedure
  loop
    execute format('alter routine %s owner to %I', each.routine, each.owner);
  end loop;

  execute format('revoke temporary, create on database %I from public', current_database());
  execute format('grant connect on database %I to analyst, auditor', current_database());
  execute format('grant temporary on database %I to loader, publisher, transformer, privacy', current_database());

  grant usage on schema ops to loader, publisher, transformer, privacy, activator, auditor, analyst;
  grant usage on schema raw to publisher, transformer, privacy;
  grant usage on schema staging, core to transformer, privacy;
  grant usage on schema staging to loader;
  grant usage on schema mart to transformer, privacy, activator, analyst;
  grant usage on schema core to activator, auditor;
  grant usage on schema vault to loader, privacy, activator, auditor;
  grant usage on schema privacy to loader, publisher, privacy, activator, auditor;
  grant usage on schema build_staging, build_core, build_mart to privacy;
  grant usage, create on schema build_staging, build_core, build_mart to transformer;

  grant select, insert, update, delete on all tables in schema ops to loader, publisher;
  grant select on all tables in schema ops to auditor;
  -- What is sealed in these tells an auditor nothing, and what only the mart remembers of restricted people is theirs.
  revoke select on ops.quarantine, ops.cursors, ops.set_aside from auditor;
  grant select on all tables in schema mart to transformer, activator;
  grant select on all tables in schema core to transformer, activator;
  grant select on all tables in schema staging to transformer;
  grant select on all tables in schema raw to transformer, publisher;
  grant select, insert, update, delete, maintain on all tables in schema raw, staging, core, mart, ops, vault, privacy to privacy;
  grant usage on all sequences in schema ops, vault, privacy to loader, publisher, privacy;

  grant select, insert on vault.keys, vault.identifiers to loader;
  grant select on vault.keys, vault.identifiers, vault.generations to activator;
  grant select on vault.generations to loader, auditor;
  -- A row lock asks for the right to update some column; these say nothing.
  grant update (created_at) on vault.generations to loader, activator;
  grant insert on vault.generations to loader;
  grant select on privacy.epoch to loader, publisher, activator;
  grant update (only_row) on privacy.epoch to loader, publisher, activator;

  revoke update, delete on privacy.audit, privacy.audit_chain from privacy;
  revoke insert on privacy.audit_chain from privacy;
  grant select, insert on privacy.audit to privacy;
  -- Who acts writes a line and learns its id.
  revoke select on privacy.audit from loader, publisher, activator;
  grant insert, select (audit_id) on privacy.audit to loader, publisher, activator;
  grant select, insert on privacy.subjects to loader, publisher, privacy, activator;
  grant select on privacy.audit, privacy.audit_chain, privacy.subjects to auditor;
  grant select on privacy.audit_chain to privacy;
  grant select on privacy.consent_identifiers to auditor;
  -- Made by the first build; those that later ones make are granted as they are made.
  if to_regclass('core.identifiers') is not null then
    grant select on core.identifiers to auditor;
  end if;

  insert into ops.notes (name, value) select 'privileges settled', count(*) from ops.migrations
  on conflict (name) do update set value = excluded.value;
end
$$;
